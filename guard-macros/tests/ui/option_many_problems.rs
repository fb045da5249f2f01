#![allow(unused)]

use fixture_guard::destructive_fixture;
use fixture_guard::sqlx::*;

#[destructive_fixture(hots = ["localhost"], tables = ["a b", "c"], max_rows = "1", environment = "")]
async fn reset_0(conn: &mut PgConnection) {}

fn main() {}
