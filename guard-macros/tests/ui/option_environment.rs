#![allow(unused)]

use fixture_guard::destructive_fixture;
use fixture_guard::sqlx::*;

#[destructive_fixture(environment = "my staging")]
async fn reset_0(conn: &mut PgConnection) {}

fn main() {}
