#![allow(unused)]

use fixture_guard::destructive_fixture;
use fixture_guard::sqlx::*;

#[destructive_fixture]
async fn reset_db<'a>(conn: &'a mut PgConnection, name: &'a str) {}

#[destructive_fixture]
async fn forever(conn: &'static mut PgConnection) {}

fn main() {}
