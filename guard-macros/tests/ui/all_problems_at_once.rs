#![allow(unused)]

use fixture_guard::destructive_fixture;
use fixture_guard::sqlx::*;

#[destructive_fixture(hosts = ["*"], table = ["categories"])]
fn reset_db(pool: &PgPool) -> impl Sized {}

fn main() {}
