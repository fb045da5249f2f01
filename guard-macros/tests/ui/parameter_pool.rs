#![allow(unused)]

use fixture_guard::destructive_fixture;
use fixture_guard::sqlx::*;

#[destructive_fixture]
async fn reset_db(pool: &PgPool) {}

#[destructive_fixture]
async fn by_value(pool: fixture_guard::PgPool) {}

#[destructive_fixture]
async fn generic(pool: &Pool<Postgres>) {}

#[destructive_fixture]
async fn of_another_database(pool: &Pool<MySql>) {}

#[destructive_fixture]
async fn counted(pool: std::sync::Arc<PgPool>) {}

fn main() {}
