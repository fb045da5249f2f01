#![allow(unused)]

use fixture_guard::destructive_fixture;
use fixture_guard::sqlx::*;

#[destructive_fixture(hosts = ["*-staging*"])]
#[destructive_fixture(max_rows = 10)]
async fn reset_db(conn: &mut PgConnection) {}

fn main() {}
