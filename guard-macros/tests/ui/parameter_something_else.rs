#![allow(unused)]

use fixture_guard::destructive_fixture;
use fixture_guard::sqlx::*;

#[destructive_fixture]
async fn reset_db(limit: u32) {}

#[destructive_fixture]
async fn table(name: &str) {}

#[destructive_fixture]
async fn generic<T>(value: T) {}

fn main() {}
