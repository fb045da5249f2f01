#![allow(unused)]

use fixture_guard::destructive_fixture;
use fixture_guard::sqlx::*;

#[destructive_fixture(reach = ["audit_log"])]
async fn reset_0(conn: &mut PgConnection) {}

fn main() {}
