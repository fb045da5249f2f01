#![allow(unused)]

use fixture_guard::destructive_fixture;
use fixture_guard::sqlx::*;

#[destructive_fixture]
async fn reset_db(database_url: &str) {}

#[destructive_fixture]
async fn owned(dsn: String) {}

struct Url;

#[destructive_fixture]
async fn parsed(target: &Url) {}

fn main() {}
