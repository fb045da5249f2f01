//! Bodies that fail, panic, are dropped, or do what they should.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use fixture_guard::{Error, OnSuccess, RunEnding, destructive_fixture, observe};
use futures_util::FutureExt;
use sqlx::{AssertSqlSafe, Executor, PgConnection, PgPool};

use crate::disposable;
use crate::support::{self, STAGING, STOREFRONT_TABLES};

/// How a reset ends at its twelfth table.
#[derive(Clone, Copy)]
enum At12 {
    Fails,
    Panics,
    Hangs,
    GoesOn,
}

#[destructive_fixture]
async fn reset_db(conn: &mut PgConnection, at_12: At12) -> sqlx::Result<()> {
    for (position, table) in STOREFRONT_TABLES.iter().enumerate() {
        if position == 11 {
            match at_12 {
                At12::Fails => {
                    conn.execute("SELECT 1 / 0").await?;
                }
                At12::Panics => panic!("at table 12"),
                At12::Hangs => std::future::pending().await,
                At12::GoesOn => {}
            }
        }
        conn.execute(AssertSqlSafe(format!("TRUNCATE {table} CASCADE"))).await?;
    }
    Ok(())
}

/// The pool's next user is in no transaction, and what it writes stays.
async fn assert_clean(pool: &PgPool) {
    pool.execute("CREATE TABLE innocent (id int)").await.unwrap();
    pool.execute("INSERT INTO innocent VALUES (1)").await.unwrap();
    let mut others = Vec::new();
    for _ in 0..5 {
        others.push(pool.acquire().await.unwrap());
    }
    for connection in &mut others {
        let rows: i64 =
            sqlx::query_scalar("SELECT count(*) FROM innocent").fetch_one(&mut **connection).await.unwrap();
        assert_eq!(rows, 1);
        let settings: (String, String, String) = sqlx::query_as(
            "SELECT current_setting('role'), current_setting('default_transaction_read_only'), current_setting('application_name')",
        )
        .fetch_one(&mut **connection)
        .await
        .unwrap();
        assert_eq!(settings, ("none".into(), "off".into(), String::new()));
    }
}

#[tokio::test]
async fn leaves_every_row_when_the_body_fails_at_table_12() {
    let staging = support::postgres(STAGING).await.storefront().await;
    let (pool, before) = (staging.pool().await, staging.all_rows().await);

    let error = reset_db(disposable(&staging).judging(&pool), At12::Fails).await.unwrap_err();

    assert!(error.to_string().contains("division by zero"), "the body's own error comes back: {error}");
    assert_eq!(staging.all_rows().await, before);
    assert_clean(&pool).await;
}

#[tokio::test]
async fn leaves_every_row_when_the_body_panics_at_table_12() {
    let staging = support::postgres(STAGING).await.storefront().await;
    let (pool, before) = (staging.pool().await, staging.all_rows().await);

    let run = AssertUnwindSafe(reset_db(disposable(&staging).judging(&pool), At12::Panics));
    run.catch_unwind().await.unwrap_err();

    assert_eq!(staging.all_rows().await, before);
    assert_clean(&pool).await;
}

#[tokio::test]
async fn leaves_every_row_when_the_future_is_dropped_at_table_12() {
    let staging = support::postgres(STAGING).await.storefront().await;
    let (pool, before) = (staging.pool().await, staging.all_rows().await);

    let run = reset_db(disposable(&staging).judging(&pool), At12::Hangs);
    tokio::time::timeout(Duration::from_secs(2), run).await.unwrap_err();

    assert_eq!(staging.all_rows().await, before);
    assert_clean(&pool).await;
}

#[tokio::test]
async fn commits_what_a_good_body_did_and_gives_the_connection_back() {
    let staging = support::postgres(STAGING).await.storefront().await;
    let pool = staging.pool().await;
    let backend = backends(&pool).await;

    reset_db(disposable(&staging).judging(&pool), At12::GoesOn).await.unwrap();

    assert!(staging.all_rows().await.values().all(|rows| *rows == 0));
    assert_eq!(backends(&pool).await, backend, "the pool has the same connection as before");
    assert_clean(&pool).await;
}

async fn backends(pool: &PgPool) -> i32 {
    sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(pool).await.unwrap()
}

#[destructive_fixture(on_success = "rollback")]
async fn rehearse_reset(conn: &mut PgConnection) -> sqlx::Result<u64> {
    Ok(conn.execute("DELETE FROM cms_blocks").await?.rows_affected())
}

#[tokio::test]
async fn keeps_nothing_of_a_rehearsal_and_says_what_it_would_have_removed() {
    let staging = support::postgres(STAGING).await.storefront().await;
    let (pool, before) = (staging.pool().await, staging.all_rows().await);

    let observed = observe(rehearse_reset(disposable(&staging).judging(&pool))).await;

    let blocks = before["cms_blocks"];
    assert_eq!(observed.returned.unwrap(), u64::try_from(blocks).unwrap());
    assert_eq!(observed.runs[0].ending, RunEnding::RolledBack);
    assert_eq!(observed.runs[0].damage.as_ref().unwrap().removed().at_most(), u64::try_from(blocks).ok());
    assert_eq!(staging.all_rows().await, before);
    assert_clean(&pool).await;
    assert_eq!(OnSuccess::default(), OnSuccess::Commit);
}

#[destructive_fixture]
async fn returns_nothing(conn: &mut PgConnection) {
    conn.execute("TRUNCATE categories CASCADE").await.unwrap();
}

#[tokio::test]
async fn a_refusal_panics_at_the_callers_line_when_the_fixture_returns_nothing() {
    let hook = std::panic::take_hook();
    let (send, receive) = std::sync::mpsc::channel();
    std::panic::set_hook(Box::new(move |panic| {
        let place = panic.location().map(|place| (place.file().to_owned(), place.line()));
        let _ = send.send((place, panic.to_string()));
    }));
    let line = line!() + 2;
    let panicked = AssertUnwindSafe(async {
        returns_nothing("postgres://app@prod-pg-cluster.internal/storefront").await;
    })
    .catch_unwind()
    .await;
    std::panic::set_hook(hook);
    panicked.unwrap_err();

    let seen: Vec<_> =
        receive.try_iter().filter(|(_, message)| message.contains("fixture-guard refused")).collect();
    let [(Some((file, at)), message)] = seen.as_slice() else { panic!("{seen:?}") };
    assert!(file.ends_with("tests/it/bodies.rs") && *at == line, "{file}:{at} and not line {line}");
    assert!(message.contains(&format!("called at {file}:{line}")), "{message}");
}

/// Trap A: what sqlx does when the statement that begins fails.
#[tokio::test]
async fn sqlx_itself_hands_the_next_user_a_poisoned_connection() {
    let staging = support::postgres(STAGING).await.storefront().await;
    let pool = sqlx::postgres::PgPoolOptions::new()
        .max_connections(1)
        .connect_with(staging.options())
        .await
        .unwrap();

    pool.begin_with("BEGIN; SELECT 1 / 0").await.unwrap_err();

    let next = pool.execute("SELECT 1").await.unwrap_err();
    assert!(next.to_string().contains("aborted"), "{next}");
}

#[tokio::test]
async fn the_next_user_gets_a_clean_connection_when_a_run_is_cancelled_at_any_point() {
    let staging = support::postgres(STAGING).await.storefront().await;
    let pool = sqlx::postgres::PgPoolOptions::new()
        .max_connections(1)
        .connect_with(staging.options())
        .await
        .unwrap();
    let before = staging.all_rows().await;
    let policy = disposable(&staging);

    // cancelled after its first poll, its second, …
    for polls in 1..60 {
        let mut run = Box::pin(reset_db(policy.judging(&pool), At12::Fails));
        let mut left = polls;
        let done = std::future::poll_fn(|context| {
            if left == 0 {
                return std::task::Poll::Ready(false);
            }
            left -= 1;
            run.as_mut().poll(context).map(|_| true)
        })
        .await;
        drop(run);
        pool.execute("INSERT INTO banners (id) SELECT coalesce(max(id), 0) + 1 FROM banners").await.ok();
        let state: String =
            sqlx::query_scalar("SELECT coalesce(pg_current_xact_id_if_assigned()::text, 'none')")
                .fetch_one(&pool)
                .await
                .unwrap_or_else(|error| panic!("after {polls} polls: {error}"));
        assert_eq!(state, "none", "after {polls} polls");
        if done {
            break;
        }
    }
    for (table, rows) in staging.all_rows().await {
        assert!(rows >= before[&table], "{table}");
    }
}

#[tokio::test]
async fn says_who_it_is_in_pg_stat_activity() {
    let staging = support::postgres(STAGING).await.storefront().await;
    let pool = staging.pool().await;

    let name = shows_itself(disposable(&staging).judging(&pool)).await.unwrap();

    assert_eq!(name, "fixture-guard shows_itself");
    assert_clean(&pool).await;
}

#[destructive_fixture]
async fn shows_itself(conn: &mut PgConnection) -> Result<String, Error> {
    let name =
        sqlx::query_scalar("SELECT application_name FROM pg_stat_activity WHERE pid = pg_backend_pid()");
    Ok(name.fetch_one(conn).await.unwrap())
}
