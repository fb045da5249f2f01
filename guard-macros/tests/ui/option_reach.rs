#![allow(unused)]

use fixture_guard::destructive_fixture;
use fixture_guard::sqlx::*;

#[destructive_fixture(reach = ["audit_log"])]
async fn reset_0(conn: &mut PgConnection) {}

#[destructive_fixture(reach = ["triger:audit_log", "inherits:internal._hyper_1_7_chunk", "rule: keep"])]
async fn reset_1(conn: &mut PgConnection) {}

fn main() {}
