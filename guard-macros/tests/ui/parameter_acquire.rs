#![allow(unused)]

use fixture_guard::destructive_fixture;
use fixture_guard::sqlx::*;

#[destructive_fixture]
async fn reset_db(db: impl Acquire<'_, Database = Postgres>) {}

#[destructive_fixture]
async fn named<'a, A: Acquire<'a>>(db: A) {}

fn main() {}
