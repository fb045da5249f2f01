//! PgBouncer between the fixture and the server.

use std::collections::BTreeSet;
use std::sync::Arc;

use fixture_guard::{Policy, destructive_fixture};
use futures_util::future::join_all;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Executor, PgConnection, Row};
use support::{Bouncer, Database, PoolMode};

use crate::support::{self, STAGING};

#[destructive_fixture(tables = ["cms_blocks"], max_rows = 1_000)]
async fn empty_blocks(conn: &mut PgConnection) -> Result<u64, sqlx::Error> {
    // Unprepared: sqlx names its first statement `sqlx_s_1` on every connection, also with the cache off, and two of its
    // clients meet in one server session here.
    let deleted = sqlx::raw_sql("DELETE FROM cms_blocks").execute(&mut *conn).await?;
    Ok(deleted.rows_affected())
}

#[destructive_fixture]
async fn fails(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    conn.execute("DELETE FROM cms_blocks; SELECT 1 / 0").await?;
    Ok(())
}

async fn behind(mode: PoolMode) -> (Database, Bouncer, PgConnectOptions, Arc<Policy>) {
    let staging = support::postgres(STAGING).await.storefront().await;
    let conninfo = format!("host={STAGING} port=5432 dbname={}", staging.name());
    let bouncer = support::pgbouncer(&[(staging.name(), &conninfo)], mode).await;
    let options = bouncer.options(staging.name()).statement_cache_capacity(0);
    let cluster = staging.server().system_identifier().parse().unwrap();
    let tests = fixture_guard::Environment::destructive("tests")
        .host(&bouncer.address().to_string())
        .unwrap()
        .system_identifier(cluster);
    let policy = Arc::new(Policy::new().environment(tests).unwrap());
    (staging, bouncer, options, policy)
}

/// What any client finds in the server sessions that the pooler has: several at once, so that each is another one.
async fn assert_nothing_leaked(options: &PgConnectOptions) {
    let clients = join_all((0..6).map(|_| options.connect())).await;
    let mut clients: Vec<PgConnection> = clients.into_iter().collect::<Result<_, _>>().unwrap();
    let mut sessions = BTreeSet::new();
    for client in &mut clients {
        let state = sqlx::raw_sql(
            "BEGIN; SELECT pg_backend_pid()::text || ' ' || current_setting('role') || ' ' || \
             current_setting('default_transaction_read_only') || ' ' || current_setting('statement_timeout') || ' ' || \
             (SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory')",
        );
        let state: String = client.fetch_one(state).await.unwrap().get(0);
        let (pid, state) = state.split_once(' ').unwrap();
        assert_eq!(state, "none off 0 0");
        sessions.insert(pid.to_owned());
    }
    assert_eq!(sessions.len(), clients.len());
}

async fn runs_behind(mode: PoolMode) {
    let (staging, _bouncer, options, policy) = behind(mode).await;
    let before = staging.all_rows().await;
    let pool = PgPoolOptions::new().max_connections(4).connect_with(options.clone()).await.unwrap();

    for run in join_all((0..4).map(|_| fails(policy.judging(&pool)))).await {
        assert!(run.unwrap_err().to_string().contains("division by zero"));
    }
    assert_eq!(staging.all_rows().await, before);
    assert_nothing_leaked(&options).await;

    // many, at once and one after the other: they meet server sessions that know the guard and others that do not
    let mut deleted = 0;
    for _ in 0..3 {
        for run in join_all((0..8).map(|_| empty_blocks(policy.judging(&pool)))).await {
            deleted += run.unwrap();
        }
    }
    assert_eq!(i64::try_from(deleted).unwrap(), before["cms_blocks"]);
    assert_eq!(staging.rows("cms_blocks").await, 0);
    assert_nothing_leaked(&options).await;
}

#[tokio::test]
async fn runs_behind_a_pooler_that_pools_sessions() {
    runs_behind(PoolMode::Session).await;
}

#[tokio::test]
async fn runs_behind_a_pooler_that_pools_transactions() {
    runs_behind(PoolMode::Transaction).await;
}

#[destructive_fixture]
async fn hangs(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    conn.execute("DELETE FROM cms_blocks").await?;
    std::future::pending().await
}

#[tokio::test]
async fn leaks_nothing_into_a_pooler_when_a_run_is_dropped() {
    for mode in [PoolMode::Session, PoolMode::Transaction] {
        let (staging, _bouncer, options, policy) = behind(mode).await;
        let before = staging.all_rows().await;

        let run = tokio::spawn(hangs(policy.judging(options.clone())));
        crate::until(
            &staging,
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'fixture-guard hangs' \
             AND state = 'idle in transaction' AND query LIKE 'DELETE%')",
        )
        .await;
        run.abort();
        assert!(run.await.unwrap_err().is_cancelled());

        assert_nothing_leaked(&options).await;
        assert_eq!(staging.all_rows().await, before);
    }
}
