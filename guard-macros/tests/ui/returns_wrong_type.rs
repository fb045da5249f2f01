#![allow(unused)]

use fixture_guard::destructive_fixture;
use fixture_guard::sqlx::*;

#[destructive_fixture]
async fn reset_db(conn: &mut PgConnection) -> u32 {
    if conn.execute("DELETE").await == () {
        return "a";
    }
    "b"
}

#[destructive_fixture]
async fn returns_nothing(conn: &mut PgConnection) -> Result<()> {
    conn.execute("DELETE").await;
}

fn main() {}
