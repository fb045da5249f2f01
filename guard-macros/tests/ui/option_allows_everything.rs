#![allow(unused)]

use fixture_guard::destructive_fixture;
use fixture_guard::sqlx::*;

#[destructive_fixture(hosts = ["*"])]
async fn reset_0(conn: &mut PgConnection) {}

#[destructive_fixture(hosts = ["localhost", "*.*"])]
async fn reset_1(conn: &mut PgConnection) {}

#[destructive_fixture(databases = ["?*"])]
async fn reset_2(conn: &mut PgConnection) {}

#[destructive_fixture(hosts = ["**", "*-*"])]
async fn reset_3(conn: &mut PgConnection) {}

fn main() {}
