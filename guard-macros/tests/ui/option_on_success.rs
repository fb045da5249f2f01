#![allow(unused)]

use fixture_guard::destructive_fixture;
use fixture_guard::sqlx::*;

#[destructive_fixture(on_success = "roll_back")]
async fn reset_0(conn: &mut PgConnection) {}

fn main() {}
