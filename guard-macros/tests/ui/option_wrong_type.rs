#![allow(unused)]

use fixture_guard::destructive_fixture;
use fixture_guard::sqlx::*;

#[destructive_fixture(hosts = "localhost")]
async fn reset_0(conn: &mut PgConnection) {}

#[destructive_fixture(hosts = ["localhost", 1])]
async fn reset_1(conn: &mut PgConnection) {}

#[destructive_fixture(max_rows = "10")]
async fn reset_2(conn: &mut PgConnection) {}

#[destructive_fixture(max_rows = -1)]
async fn reset_3(conn: &mut PgConnection) {}

#[destructive_fixture(max_rows = 1.5)]
async fn reset_4(conn: &mut PgConnection) {}

#[destructive_fixture(max_rows = 99_999_999_999_999_999_999)]
async fn reset_5(conn: &mut PgConnection) {}

#[destructive_fixture(max_rows = 10u8)]
async fn reset_6(conn: &mut PgConnection) {}

#[destructive_fixture(environment = staging)]
async fn reset_7(conn: &mut PgConnection) {}

#[destructive_fixture(environment = ["staging"])]
async fn reset_8(conn: &mut PgConnection) {}

#[destructive_fixture(on_success = true)]
async fn reset_9(conn: &mut PgConnection) {}

#[destructive_fixture(tables = categories)]
async fn reset_10(conn: &mut PgConnection) {}

#[destructive_fixture(crate = 1)]
async fn reset_11(conn: &mut PgConnection) {}

#[destructive_fixture(hosts)]
async fn reset_12(conn: &mut PgConnection) {}

#[destructive_fixture(hosts = )]
async fn reset_13(conn: &mut PgConnection) {}

#[destructive_fixture(max_rows)]
async fn reset_14(conn: &mut PgConnection) {}

fn main() {}
