#![allow(unused)]

use fixture_guard::destructive_fixture;
use fixture_guard::sqlx::*;

#[destructive_fixture(hosts = ["postgres://app:secret@db-staging/app"])]
async fn reset_0(conn: &mut PgConnection) {}

#[destructive_fixture(hosts = ["localhost, 127.0.0.1"])]
async fn reset_1(conn: &mut PgConnection) {}

#[destructive_fixture(databases = ["postgres://app:secret@db-staging/app"])]
async fn reset_2(conn: &mut PgConnection) {}

#[destructive_fixture(environment = "host=db password = secret")]
async fn reset_3(conn: &mut PgConnection) {}

#[destructive_fixture(hosts = ["app@db-staging"])]
async fn reset_4(conn: &mut PgConnection) {}

fn main() {}
