#![allow(unused)]

use fixture_guard::sqlx::*;
use fixture_guard::{GuardedTransaction, destructive_fixture, guarded_test};

#[destructive_fixture(statement_timeout = 90)]
async fn reset_0(conn: &mut PgConnection) {}

#[destructive_fixture(statement_timeout = "90", lock_timeout = "0s")]
async fn reset_1(conn: &mut PgConnection) {}

#[destructive_fixture(statement_timeout = "25h")]
async fn reset_2(conn: &mut PgConnection) {}

#[destructive_fixture(timeout = "10s")]
async fn reset_3(conn: &mut PgConnection) {}

#[guarded_test(lock_timeout = "1.5s")]
async fn test_0(tx: &mut GuardedTransaction) {}

fn main() {}
