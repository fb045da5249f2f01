#![allow(unused)]

use fixture_guard::destructive_fixture;
use fixture_guard::sqlx::*;

#[destructive_fixture]
async fn reset_db(conn: &mut PoolConnection<Postgres>) {}

#[destructive_fixture]
async fn by_value(mut conn: PoolConnection<Postgres>) {}

fn main() {}
