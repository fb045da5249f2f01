//! A module in which nothing is in scope that was not imported.
#![no_implicit_prelude]

use ::fixture_guard::{Error, PgConnection, PgPool, destructive_fixture};
use ::std::assert_eq;
use ::std::result::Result;

#[destructive_fixture(hosts = ["*-staging*"], on_success = "commit")]
async fn reset(conn: &mut PgConnection, (a, _): (u8, u8), _: u8) -> Result<u8, Error> {
    conn.execute("DELETE").await;
    Result::Ok(a)
}

#[destructive_fixture]
async fn silent(conn: &mut PgConnection) {
    conn.execute("DELETE").await;
}

#[test]
fn needs_no_prelude() {
    let pool = PgPool::disposable();

    crate::run(silent(&pool));

    assert_eq!(crate::run(reset(&pool, (1, 2), 3)).unwrap(), 1);
}
