#![allow(unused)]

use fixture_guard::destructive_fixture;
use fixture_guard::sqlx::*;

#[destructive_fixture(hosts: ["localhost"])]
async fn reset_0(conn: &mut PgConnection) {}

#[destructive_fixture("localhost")]
async fn reset_1(conn: &mut PgConnection) {}

#[destructive_fixture(hosts = ["localhost"] max_rows = 1)]
async fn reset_2(conn: &mut PgConnection) {}

#[destructive_fixture(hosts = ["a", , "b"])]
async fn reset_3(conn: &mut PgConnection) {}

fn main() {}
