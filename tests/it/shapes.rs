//! Functions of every shape, with sqlx's own types and on a real server: each does what it did before the attribute.
//!
//! `guard-macros/tests/pass` has more of them, on a stand-in that compiles in seconds. No clippy lint may fire in any of
//! them, the strict groups included.
#![warn(clippy::pedantic, clippy::nursery, unused)]

use std::fmt::Display;
use std::sync::Arc;

use fixture_guard::{Error, IntoTarget, Judging, destructive_fixture};
use sqlx::{AssertSqlSafe, Executor, PgConnection, PgPool};

use crate::disposable;
use crate::support::{self, Database, STAGING};

async fn storefront() -> Database {
    support::postgres(STAGING).await.storefront().await
}

async fn target(database: &Database) -> Judging<PgPool> {
    disposable(database).judging(database.pool().await)
}

async fn delete(conn: &mut PgConnection, table: &str) -> sqlx::Result<u64> {
    Ok(conn.execute(AssertSqlSafe(format!("DELETE FROM {table}"))).await?.rows_affected())
}

struct Shop {
    blocks: String,
}

/// As a caller sees it, who wants to spawn.
trait Wipe {
    fn wipe(&self, conn: impl IntoTarget<PgConnection>) -> impl Future<Output = sqlx::Result<u64>> + Send;
}

impl Wipe for Shop {
    #[destructive_fixture]
    async fn wipe(&self, conn: &mut PgConnection) -> sqlx::Result<u64> {
        delete(conn, &self.blocks).await
    }
}

impl Shop {
    #[destructive_fixture]
    pub(crate) async fn wipe_and_say(&self, conn: &mut PgConnection) -> sqlx::Result<&str> {
        delete(conn, &self.blocks).await?;
        Ok(&self.blocks)
    }

    #[destructive_fixture]
    async fn wipe_twice(self: Arc<Self>, conn: &mut PgConnection) -> sqlx::Result<u64> {
        Ok(delete(&mut *conn, &self.blocks).await? + delete(conn, &self.blocks).await?)
    }
}

#[tokio::test]
async fn methods_run_with_their_receiver() {
    let database = storefront().await;
    let (shop, blocks) = (Shop { blocks: "cms_blocks".into() }, database.rows("cms_blocks").await);

    let deleted = tokio::spawn({
        let target = target(&database).await;
        async move { (shop.wipe(target).await, shop) }
    });
    let (deleted, shop) = deleted.await.unwrap();

    assert_eq!(deleted.unwrap(), blocks.unsigned_abs());
    assert_eq!(database.rows("cms_blocks").await, 0);
    assert_eq!(shop.wipe_and_say(target(&database).await).await.unwrap(), "cms_blocks");
    assert_eq!(Arc::new(shop).wipe_twice(target(&database).await).await.unwrap(), 0);
}

#[destructive_fixture]
async fn generic<'a, T, E, const N: usize>(
    conn: &mut PgConnection,
    table: &'a str,
    keep: T,
) -> Result<(&'a str, [T; N]), E>
where
    T: Copy + Send,
    E: From<Error> + From<sqlx::Error>,
{
    delete(conn, table).await?;
    Ok((table, [keep; N]))
}

#[destructive_fixture]
async fn with_impl_trait(
    conn: &mut PgConnection,
    tables: impl IntoIterator<Item = impl Display + Send, IntoIter: Send> + Send,
    sum: impl Fn(u64, u64) -> u64 + Send + Sync,
) -> sqlx::Result<u64> {
    let mut all = 0;
    for table in tables {
        all = sum(all, delete(conn, &table.to_string()).await?);
    }
    Ok(all)
}

struct Tables {
    first: &'static str,
    second: &'static str,
}

#[destructive_fixture]
async fn with_patterns(
    conn: &mut PgConnection,
    Tables { first, second }: Tables,
    (mut count, _): (u64, &str),
    _: u8,
) -> sqlx::Result<u64> {
    count += delete(conn, first).await?;
    count += delete(conn, second).await?;
    Ok(count)
}

#[tokio::test]
async fn generics_and_patterns_reach_the_body() {
    let database = storefront().await;
    let rows = database.all_rows().await;

    let (table, kept) = generic::<_, sqlx::Error, 2>(target(&database).await, "cms_blocks", 7).await.unwrap();
    assert_eq!((table, kept), ("cms_blocks", [7, 7]));

    let sum = with_impl_trait(target(&database).await, ["banners", "coupons"], |a, b| a + b).await.unwrap();
    assert_eq!(sum, (rows["banners"] + rows["coupons"]).unsigned_abs());

    let tables = Tables { first: "tax_rates", second: "stores" };
    let count = with_patterns(target(&database).await, tables, (1, ""), 0).await.unwrap();
    assert_eq!(count, 1 + (rows["tax_rates"] + rows["stores"]).unsigned_abs());

    for emptied in ["cms_blocks", "banners", "coupons", "tax_rates", "stores"] {
        assert_eq!(database.rows(emptied).await, 0, "{emptied}");
    }
}

#[destructive_fixture]
#[cfg(true)]
#[must_use = "it says how many"]
async fn configured(
    conn: &mut PgConnection,
    #[cfg(true)] table: &str,
    #[cfg(false)] table: Missing,
) -> sqlx::Result<u64> {
    delete(conn, table).await
}

#[destructive_fixture]
#[cfg(false)]
async fn gone(conn: &mut Missing) -> Missing {}

#[tokio::test]
async fn what_is_configured_out_is_out() {
    let database = storefront().await;

    configured(target(&database).await, "cms_blocks").await.unwrap();

    assert_eq!(database.rows("cms_blocks").await, 0);
}

mod under_another_name {
    use fixture_guard as guard;

    #[guard::destructive_fixture(crate = guard)]
    pub(super) async fn reset(conn: &mut sqlx::PgConnection) -> sqlx::Result<()> {
        super::delete(conn, "cms_blocks").await.map(drop)
    }
}

mod without_prelude {
    #![no_implicit_prelude]

    use ::fixture_guard::destructive_fixture;
    use ::sqlx::{PgConnection, Result, query};

    #[destructive_fixture(tables = ["cms_blocks"], max_rows = 100)]
    pub(super) async fn reset(conn: &mut PgConnection) -> Result<()> {
        query("DELETE FROM cms_blocks").execute(conn).await?;
        Result::Ok(())
    }
}

mod with_names_of_its_own {
    use fixture_guard::destructive_fixture;
    use sqlx::PgConnection;

    /// The user's own, where the prelude's would be.
    pub(super) type Result = std::result::Result<(), sqlx::Error>;
    #[expect(dead_code)]
    struct Option;

    #[destructive_fixture]
    pub(super) async fn reset(conn: &mut PgConnection) -> Result {
        super::delete(conn, "cms_blocks").await.map(drop)
    }
}

#[tokio::test]
async fn names_of_the_users_do_not_meet_ours() {
    let database = storefront().await;

    under_another_name::reset(target(&database).await).await.unwrap();
    without_prelude::reset(target(&database).await).await.unwrap();
    with_names_of_its_own::reset(target(&database).await).await.unwrap();

    assert_eq!(database.rows("cms_blocks").await, 0);
}
