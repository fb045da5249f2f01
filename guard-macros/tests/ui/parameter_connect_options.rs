#![allow(unused)]

use fixture_guard::destructive_fixture;
use fixture_guard::sqlx::*;

#[destructive_fixture]
async fn reset_db(options: PgConnectOptions) {}

#[destructive_fixture]
async fn borrowed(options: &PgConnectOptions) {}

fn main() {}
