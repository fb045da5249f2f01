#![allow(unused)]

use fixture_guard::destructive_fixture;
use fixture_guard::sqlx::*;

#[destructive_fixture]
#[cfg(any())]
async fn gone(pool: &PgPool) {}

#[destructive_fixture]
#[cfg(all())]
async fn stays(pool: &PgPool) {}

fn main() {}
