#![allow(unused)]

use fixture_guard::destructive_fixture;
use fixture_guard::sqlx::*;

#[destructive_fixture(host = ["localhost"])]
async fn reset_0(conn: &mut PgConnection) {}

#[destructive_fixture(users = ["app"])]
async fn reset_1(conn: &mut PgConnection) {}

#[destructive_fixture(rollback)]
async fn reset_2(conn: &mut PgConnection) {}

#[destructive_fixture(allow_production = true)]
async fn reset_3(conn: &mut PgConnection) {}

fn main() {}
