#![allow(unused)]

use fixture_guard::destructive_fixture;
use fixture_guard::sqlx::*;

#[destructive_fixture(hosts = ["localhost"], max_rows = 1, hosts = ["127.0.0.1"])]
async fn reset_0(conn: &mut PgConnection) {}

fn main() {}
