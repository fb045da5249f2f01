//! Attributes beside ours: built-in ones, and macros above and below.

use fixture_guard::{Error, PgConnection, PgPool, destructive_fixture};

use crate::run;

#[must_use = "it says how many"]
#[destructive_fixture]
#[inline]
#[track_caller]
#[deprecated(note = "for a test")]
#[doc(alias = "wipe")]
#[cfg_attr(true, cold)]
#[cfg(true)]
async fn built_in(conn: &mut PgConnection) -> u32 {
    #![allow(unused_variables)]
    let unused = 1;
    conn.execute("DELETE").await;
    2
}

#[destructive_fixture]
#[must_use]
async fn must_use(conn: &mut PgConnection) -> u32 {
    conn.execute("DELETE").await;
    2
}

#[destructive_fixture]
#[cfg(false)]
async fn gone(conn: &mut Missing) -> Missing {}

#[destructive_fixture(hosts = ["*-staging*"])]
#[tracing::instrument(skip(conn), fields(name = %name))]
#[inline]
async fn instrumented_below(conn: &mut PgConnection, name: &str) -> Result<usize, Error> {
    conn.execute("DELETE").await;
    Ok(name.len())
}

#[tracing::instrument(skip_all, err(Debug))]
#[destructive_fixture(hosts = ["*-staging*"])]
async fn instrumented_above(conn: &mut PgConnection, name: &str) -> Result<usize, Error> {
    conn.execute("DELETE").await;
    Ok(name.len())
}

#[destructive_fixture]
#[cfg_attr(true, tracing::instrument)]
async fn instrumented_conditionally(conn: &mut PgConnection) {
    conn.execute("DELETE").await;
}

struct Shop;

impl Shop {
    #[destructive_fixture]
    #[tracing::instrument(skip(self))]
    async fn reset(&self, conn: &mut PgConnection, pair: (u32, u32)) -> u32 {
        conn.execute("DELETE").await;
        pair.0
    }
}

#[test]
fn stands_beside_other_attributes() {
    let pool = PgPool::disposable();

    #[expect(deprecated)]
    let two = run(built_in(&pool));
    assert_eq!(two, 2);
    assert_eq!(run(must_use(&pool)), 2);
    assert_eq!(run(instrumented_below(&pool, "ab")).unwrap(), 2);
    assert_eq!(run(instrumented_above(&pool, "ab")).unwrap(), 2);
    run(instrumented_conditionally(&pool));
    assert_eq!(run(Shop.reset(&pool, (1, 2))), 1);

    assert_eq!(pool.journal(), ["begin", "DELETE", "commit"].repeat(6));
}
