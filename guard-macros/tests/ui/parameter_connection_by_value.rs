#![allow(unused)]

use fixture_guard::destructive_fixture;
use fixture_guard::sqlx::*;

#[destructive_fixture]
async fn reset_db(conn: PgConnection) {}

#[destructive_fixture]
async fn guarded(mut tx: fixture_guard::GuardedTransaction) {}

fn main() {}
