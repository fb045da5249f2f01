#![allow(unused)]

use fixture_guard::destructive_fixture;
use fixture_guard::sqlx::*;

#[destructive_fixture]
async fn reset_db(conn: &mut PgConnection) -> impl Sized {}

#[destructive_fixture]
async fn nested(conn: &mut PgConnection) -> Result<Vec<impl Sized>> {
    Ok(vec![1])
}

fn main() {}
