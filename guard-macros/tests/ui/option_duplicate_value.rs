#![allow(unused)]

use fixture_guard::destructive_fixture;
use fixture_guard::sqlx::*;

#[destructive_fixture(hosts = ["localhost", "127.0.0.1", "LocalHost"])]
async fn reset_0(conn: &mut PgConnection) {}

#[destructive_fixture(tables = ["categories", "categories"])]
async fn reset_1(conn: &mut PgConnection) {}

fn main() {}
