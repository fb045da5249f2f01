#![allow(unused)]

use fixture_guard::destructive_fixture;
use fixture_guard::sqlx::*;

#[destructive_fixture]
async fn reset_db(conn: &mut PgConnection) {}

async fn reset_all(conn: &mut PgConnection) {
    reset_db(conn).await;
}

fn main() {}
