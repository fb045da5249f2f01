#![allow(unused)]

use fixture_guard::destructive_fixture;
use fixture_guard::sqlx::*;

#[derive(Debug)]
struct ShopError;

#[destructive_fixture]
async fn reset_db(conn: &mut PgConnection) -> std::result::Result<(), ShopError> {
    Ok(())
}

#[destructive_fixture]
async fn without_an_error(conn: &mut PgConnection) -> std::result::Result<(), String> {
    Ok(())
}

fn main() {}
