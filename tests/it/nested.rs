//! Fixtures that share one transaction.

use fixture_guard::{Error, GuardedTransaction, destructive_fixture};
use sqlx::{Executor, PgConnection};

use crate::disposable;
use crate::support::{self, STAGING};

#[destructive_fixture]
async fn empty_categories(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    conn.execute("TRUNCATE categories CASCADE").await?;
    Ok(())
}

#[destructive_fixture]
async fn fails_half_way(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    conn.execute("DELETE FROM cms_blocks").await?;
    conn.execute("SELECT 1 / 0").await?;
    Ok(())
}

#[destructive_fixture]
async fn resets_all(tx: &mut GuardedTransaction) -> Result<(), sqlx::Error> {
    empty_categories(&mut *tx).await?;
    tx.execute("DELETE FROM cms_blocks").await?;
    Ok(())
}

#[destructive_fixture(databases = ["another_*"])]
async fn for_another_database(conn: &mut PgConnection) -> Result<(), Error> {
    conn.execute("DELETE FROM cms_blocks").await.expect("not run");
    Ok(())
}

#[destructive_fixture(tables = ["cms_blocks"])]
async fn deletes_blocks(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    conn.execute("DELETE FROM cms_blocks").await?;
    Ok(())
}

async fn rows(tx: &mut GuardedTransaction, table: &'static str) -> i64 {
    let count = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
    sqlx::query_scalar(count).fetch_one(&mut **tx).await.unwrap()
}

#[tokio::test]
async fn leaves_every_row_when_the_shared_transaction_is_dropped() {
    let staging = support::postgres(STAGING).await.storefront().await;
    let (pool, before) = (staging.pool().await, staging.all_rows().await);
    let mut tx = fixture_guard::begin(disposable(&staging).judging(&pool)).await.unwrap();

    empty_categories(&mut tx).await.unwrap();
    assert_eq!(rows(&mut tx, "categories").await, 0);
    fails_half_way(&mut tx).await.unwrap_err();
    assert_eq!(
        rows(&mut tx, "cms_blocks").await,
        before["cms_blocks"],
        "a failed nested fixture is undone by itself"
    );
    resets_all(&mut tx).await.unwrap();
    assert_eq!(rows(&mut tx, "cms_blocks").await, 0);
    drop(tx);

    assert_eq!(staging.all_rows().await, before);
}

#[tokio::test]
async fn gives_the_connection_back_when_the_shared_transaction_is_rolled_back() {
    let staging = support::postgres(STAGING).await.storefront().await;
    let (pool, before) = (staging.pool().await, staging.all_rows().await);
    let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&pool).await.unwrap();

    let mut tx = fixture_guard::begin(disposable(&staging).judging(&pool)).await.unwrap();
    empty_categories(&mut tx).await.unwrap();
    tx.rollback().await.unwrap();

    assert_eq!(staging.all_rows().await, before);
    let after: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&pool).await.unwrap();
    assert_eq!(after, pid);
}

#[tokio::test]
async fn commits_a_fixture_that_calls_a_fixture() {
    let staging = support::postgres(STAGING).await.storefront().await;
    let pool = staging.pool().await;

    resets_all(disposable(&staging).judging(&pool)).await.unwrap();

    assert_eq!(staging.rows("categories").await, 0);
    assert_eq!(staging.rows("cms_blocks").await, 0);
}

#[tokio::test]
async fn judges_a_nested_fixture_by_its_own_attribute() {
    let staging = support::postgres(STAGING).await.storefront().await;
    let pool = staging.pool().await;
    let mut tx = fixture_guard::begin(disposable(&staging).judging(&pool)).await.unwrap();

    let error = for_another_database(&mut tx).await.unwrap_err();

    assert!(error.refusal().is_some());
    assert_ne!(rows(&mut tx, "cms_blocks").await, 0);
}

#[destructive_fixture]
async fn hangs(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    conn.execute("DELETE FROM cms_blocks").await?;
    std::future::pending().await
}

#[destructive_fixture]
async fn cancels_a_nested_fixture(tx: &mut GuardedTransaction) -> Result<(), sqlx::Error> {
    let _ = tokio::time::timeout(std::time::Duration::from_millis(300), hangs(&mut *tx)).await;
    Ok(())
}

#[tokio::test]
async fn leaves_every_row_when_a_nested_fixture_was_cancelled() {
    let staging = support::postgres(STAGING).await.storefront().await;
    let (pool, before) = (staging.pool().await, staging.all_rows().await);

    let error = cancels_a_nested_fixture(disposable(&staging).judging(&pool)).await.unwrap_err();

    assert!(error.to_string().contains("cancelled"), "{error}");
    assert_eq!(staging.all_rows().await, before);
}

/// What was done before a nested fixture began is not its damage, whatever it still holds locked.
#[tokio::test]
async fn does_not_count_what_was_dropped_before_it() {
    let staging = support::postgres(STAGING).await.storefront().await;
    let (pool, before) = (staging.pool().await, staging.all_rows().await);
    let mut tx = fixture_guard::begin(disposable(&staging).judging(&pool)).await.unwrap();
    tx.execute("DROP TABLE wishlists; CREATE TABLE scratch (id serial PRIMARY KEY); DROP TABLE scratch")
        .await
        .unwrap();
    tx.execute("TRUNCATE banners; CLOSE ALL").await.unwrap();

    deletes_blocks(&mut tx).await.unwrap();

    assert_eq!(rows(&mut tx, "cms_blocks").await, 0);
    tx.rollback().await.unwrap();
    assert_eq!(staging.all_rows().await, before);
}
