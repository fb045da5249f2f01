//! PM-007, replayed: a reset that was given production's DSN.

use fixture_guard::{Error, Stage, destructive_fixture};
use fixture_guard_test_support as support;
use sqlx::{Executor, PgConnection};
use support::{INCIDENT_DSN, PRODUCTION, Rerun, STAGING};

/// The incident's reset, as it was: every table, one after the other.
async fn unguarded_reset_db(conn: &mut PgConnection) -> sqlx::Result<()> {
    for table in support::STOREFRONT_TABLES {
        conn.execute(sqlx::AssertSqlSafe(format!("TRUNCATE {table} CASCADE"))).await?; // fixture-guard: allow(as it was)
    }
    Ok(())
}

#[destructive_fixture(hosts = ["*-staging*"])]
async fn reset_db(conn: &mut PgConnection) -> sqlx::Result<()> {
    unguarded_reset_db(conn).await
}

#[tokio::test]
async fn production_loses_its_rows_without_the_guard() {
    let production = support::postgres(PRODUCTION).await.storefront().await;
    let pool = production.pool().await;

    unguarded_reset_db(&mut pool.acquire().await.unwrap()).await.unwrap();

    assert_eq!(production.rows("categories").await, 0);
    assert_eq!(production.rows("cms_blocks").await, 0);
}

#[tokio::test]
async fn leaves_every_row_and_opens_no_connection_when_the_dsn_is_production() {
    support::rerun!(Rerun::with([PRODUCTION]));
    let server = support::postgres(PRODUCTION).await;
    let production = server.shared_storefront();
    let before = production.sessions().await;

    let error = reset_db(INCIDENT_DSN).await.unwrap_err();

    let refusal = Error::in_sqlx(&error).and_then(Error::refusal).expect("a refusal");
    assert_eq!(refusal.stage(), Stage::BeforeConnecting);
    assert_eq!(production.sessions().await, before);
    assert_eq!(production.rows("categories").await, 2_847);
    assert_eq!(production.rows("cms_blocks").await, 412);
    for shown in [format!("{error}"), format!("{error:?}"), format!("{refusal}"), format!("{refusal:?}")] {
        assert!(!shown.contains(support::APP_PASSWORD), "the password is shown");
    }
}

#[tokio::test]
async fn resets_staging() {
    support::rerun!(Rerun::with([STAGING]));
    let staging = support::postgres(STAGING).await.storefront().await;
    assert_ne!(staging.rows("categories").await, 0);

    reset_db(staging.dsn_by_name()).await.unwrap();

    assert!(staging.all_rows().await.values().all(|rows| *rows == 0));
}
