//! Ways out of a body that are nobody's intention: the server ends the session, the process is killed, the pool closes.

use std::time::Duration;

use fixture_guard::{Error, Outcome, destructive_fixture};
use sqlx::{Connection, Executor, PgConnection, PgPool};
use support::{Database, Proxy, Rerun};

use crate::disposable;
use crate::support::{self, STAGING};

/// Nobody holds a lock, and nobody's transaction is open.
async fn assert_free(database: &Database) {
    crate::until(
        database,
        "SELECT NOT EXISTS (SELECT FROM pg_locks WHERE pid <> pg_backend_pid() AND (locktype = 'advisory' OR mode IN \
         ('RowExclusiveLock', 'AccessExclusiveLock')) AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))",
    )
    .await;
    database
        .admin()
        .await
        .execute("BEGIN; SET lock_timeout = '5s'; LOCK TABLE cms_blocks; ROLLBACK")
        .await
        .unwrap();
}

/// The server ends the session in the middle, as an administrator or a failover does.
#[destructive_fixture]
async fn is_terminated(
    conn: &mut PgConnection,
    database: &Database,
    swallows: bool,
) -> Result<(), sqlx::Error> {
    conn.execute("DELETE FROM cms_blocks").await?;
    let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut *conn).await?;
    sqlx::query("SELECT pg_terminate_backend($1)").bind(pid).execute(&mut database.admin().await).await?;
    let next = conn.execute("DELETE FROM coupons").await;
    if swallows { Ok(()) } else { next.map(drop) }
}

#[tokio::test]
async fn leaves_every_row_when_the_server_ends_the_session() {
    let staging = support::postgres(STAGING).await.storefront().await;
    let (pool, before) = (staging.pool().await, staging.all_rows().await);

    for swallows in [false, true] {
        let error = is_terminated(disposable(&staging).judging(&pool), &staging, swallows).await.unwrap_err();

        if swallows {
            let broken = Error::in_sqlx(&error).and_then(Error::broken).expect("the run broke off");
            assert_eq!(*broken.outcome(), Outcome::RolledBack, "{broken}");
        }
        assert_free(&staging).await;
        assert_eq!(staging.all_rows().await, before);
        pool.execute("SELECT 1").await.expect("the pool has no dead connection");
    }
}

/// The server is gone, and its port with it.
#[destructive_fixture]
async fn loses_its_server(
    conn: &mut PgConnection,
    proxy: std::sync::Mutex<Option<Proxy>>,
) -> Result<(), sqlx::Error> {
    conn.execute("DELETE FROM cms_blocks").await?;
    drop(proxy.lock().unwrap().take());
    conn.execute("DELETE FROM coupons").await?;
    Ok(())
}

#[tokio::test]
async fn leaves_every_row_when_the_server_is_gone() {
    let staging = support::postgres(STAGING).await.storefront().await;
    let before = staging.all_rows().await;
    let proxy = Proxy::to(staging.server()).await;
    let options = staging.options().host(&proxy.address().to_string()).port(proxy.port());

    let policy = crate::known_by_cluster(&staging);
    loses_its_server(policy.judging(options), std::sync::Mutex::new(Some(proxy))).await.unwrap_err();

    assert_free(&staging).await;
    assert_eq!(staging.all_rows().await, before);
}

#[destructive_fixture]
async fn sleeps(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    conn.execute("DELETE FROM cms_blocks; SELECT pg_sleep(300)").await?;
    Ok(())
}

#[tokio::test]
async fn leaves_every_row_when_the_caller_stops_waiting_for_a_statement() {
    let staging = support::postgres(STAGING).await.storefront().await;
    let (pool, before) = (staging.pool().await, staging.all_rows().await);

    let run = tokio::spawn(sleeps(disposable(&staging).judging(pool)));
    crate::until(&staging, SLEEPING).await;
    run.abort();
    assert!(run.await.unwrap_err().is_cancelled());

    assert_free(&staging).await;
    assert_eq!(staging.all_rows().await, before);
}

const SLEEPING: &str = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database())";

#[tokio::test]
async fn leaves_every_row_when_the_process_is_killed() {
    const DATABASE: &str = "FIXTURE_GUARD_TEST_DATABASE";
    let test = support::test_path!();
    if support::inside(&test) {
        let server = support::postgres(STAGING).await;
        let host = server.address().to_string();
        let tests = fixture_guard::Environment::destructive("tests").host(&host).unwrap();
        let policy = std::sync::Arc::new(fixture_guard::Policy::new().environment(tests).unwrap());
        let options = server.options(&support::variable(DATABASE).unwrap());
        return sleeps(policy.judging(options)).await.unwrap();
    }
    let staging = support::postgres(STAGING).await.storefront().await;
    let before = staging.all_rows().await;

    let mut child = Rerun::new().env(DATABASE, staging.name()).spawn(&test).await;
    crate::until(&staging, SLEEPING).await;
    child.kill().await.unwrap();

    assert_free(&staging).await;
    assert_eq!(staging.all_rows().await, before);
}

/// Closing waits for the run that has a connection.
#[destructive_fixture]
async fn closes_the_pool(conn: &mut PgConnection, pool: &PgPool) -> Result<(), sqlx::Error> {
    tokio::spawn({
        let pool = pool.clone();
        async move { pool.close().await }
    });
    pool.close_event().await;
    conn.execute("DELETE FROM cms_blocks").await?;
    Ok(())
}

#[tokio::test]
async fn finishes_although_the_pool_is_closed() {
    let staging = support::postgres(STAGING).await.storefront().await;
    let pool = staging.pool().await;

    closes_the_pool(disposable(&staging).judging(&pool), &pool).await.unwrap();

    assert_eq!(staging.rows("cms_blocks").await, 0);
    tokio::time::timeout(Duration::from_secs(20), pool.close())
        .await
        .expect("the pool got its connection back");
    assert_free(&staging).await;
}

#[tokio::test]
async fn refuses_a_closed_pool() {
    let staging = support::postgres(STAGING).await.storefront().await;
    let (pool, before) = (staging.pool().await, staging.all_rows().await);
    pool.close().await;

    let error = sleeps(disposable(&staging).judging(&pool)).await.unwrap_err();

    assert!(Error::in_sqlx(&error).and_then(Error::refusal).is_some(), "{error}");
    assert_eq!(staging.all_rows().await, before);
}

/// A session that is being ended says so, and this may come after a commit whose answer never came.
#[tokio::test]
async fn a_terminated_session_has_no_open_transaction() {
    let staging = support::postgres(STAGING).await.storefront().await;
    let before = staging.all_rows().await;
    let mut tx = fixture_guard::begin(disposable(&staging).judging(staging.options())).await.unwrap();
    tx.execute("DELETE FROM cms_blocks").await.unwrap();
    let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut *tx).await.unwrap();
    let mut admin = staging.admin().await;
    sqlx::query("SELECT pg_terminate_backend($1)").bind(pid).execute(&mut admin).await.unwrap();
    admin.close().await.unwrap();

    let error = tx.rollback().await.unwrap_err();

    assert_eq!(*error.broken().expect("it broke off").outcome(), Outcome::RolledBack, "{error}");
    assert_free(&staging).await;
    assert_eq!(staging.all_rows().await, before);
}

/// Runs statements, and says where the server's log ended then.
#[destructive_fixture]
async fn writes(conn: &mut PgConnection, statements: &'static str) -> sqlx::Result<String> {
    conn.execute(statements).await?;
    sqlx::query_scalar("SELECT pg_current_wal_insert_lsn()::text").fetch_one(conn).await
}

/// Whether the log was on the disk up to the body's end when the run had ended.
async fn waits_for_the_disk(database: &Database, admin: &mut PgConnection, statements: &'static str) -> bool {
    let options = database.server().admin_options(database.name()).options([("synchronous_commit", "on")]);
    let end = writes(disposable(database).judging(options), statements).await.unwrap();
    let flushed = sqlx::query_scalar("SELECT pg_current_wal_flush_lsn() >= $1::pg_lsn").bind(end);
    flushed.fetch_one(admin).await.unwrap()
}

/// A COMMIT that does not wait may be lost when the server crashes right after it.
#[tokio::test]
async fn waits_for_the_disk_unless_nothing_was_written() {
    let staging = support::postgres(STAGING).await.storefront().await;
    let mut admin = staging.admin().await;
    for statements in [
        "DELETE FROM cms_blocks WHERE id = 1",
        "TRUNCATE cms_blocks",
        "DROP TABLE IF EXISTS written; CREATE TABLE written (id int)",
        "COMMENT ON TABLE cms_blocks IS 'written'",
        "SELECT lo_create(0)",
        "SAVEPOINT s; DELETE FROM cms_blocks; ROLLBACK TO s",
    ] {
        for _ in 0..5 {
            assert!(waits_for_the_disk(&staging, &mut admin, statements).await, "{statements}");
        }
    }
    // the server flushes the log by itself too, so that not every run shows that it did not wait
    for tries in 1.. {
        waits_for_the_disk(&staging, &mut admin, "DELETE FROM cms_blocks WHERE id < 0").await;
        let behind = "SELECT pg_current_wal_flush_lsn() < pg_current_wal_insert_lsn()";
        if sqlx::query_scalar::<_, bool>(behind).fetch_one(&mut admin).await.unwrap() {
            break;
        }
        assert!(tries < 2_000, "an empty body waits for the disk");
    }
}
