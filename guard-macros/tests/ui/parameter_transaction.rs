#![allow(unused)]

use fixture_guard::destructive_fixture;
use fixture_guard::sqlx::*;

#[destructive_fixture]
async fn reset_db(tx: &mut Transaction<'_, Postgres>) {}

#[destructive_fixture]
async fn by_value(tx: Transaction<'static, Postgres>) {}

fn main() {}
