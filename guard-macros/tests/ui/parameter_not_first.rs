#![allow(unused)]

use fixture_guard::destructive_fixture;
use fixture_guard::sqlx::*;

#[destructive_fixture]
async fn reset_db(table: &str, conn: &mut PgConnection) {}

#[destructive_fixture]
async fn later(limit: u32, dry: bool, db: &mut fixture_guard::PgConnection) {}

fn main() {}
