//! Ways out of a body that are nobody's intention: the server ends the session, the process is killed, the pool closes.

use std::time::Duration;

use fixture_guard::{Error, Outcome, destructive_fixture};
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, PgPool};
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

/// Whether a COMMIT after these statements would wait for the disk. The guard's own functions are asked, as a run asks
/// them: what they set ends with the COMMIT, and a body never sees it.
async fn waits_for_the_disk(conn: &mut PgConnection, statements: &str) -> bool {
    let statements = format!(
        "BEGIN; SELECT pg_temp.\"fixture_guard_hold {}\"(); COMMIT; BEGIN READ WRITE; SELECT pg_temp.fixture_guard_enter('test'); \
         SELECT pg_temp.fixture_guard_arm('secret', '{{cms_blocks}}', NULL, 0, '{{}}', true, NULL, 'auto'); {statements}; \
         SELECT pg_temp.fixture_guard_end('secret', '0', 'commit')",
        env!("CARGO_PKG_VERSION")
    );
    conn.execute(AssertSqlSafe(statements)).await.unwrap();
    let waits: String = sqlx::query_scalar("SHOW synchronous_commit").fetch_one(&mut *conn).await.unwrap();
    conn.execute("ROLLBACK; SELECT pg_temp.fixture_guard_let_go()").await.unwrap();
    waits == "on"
}

#[destructive_fixture]
async fn makes_the_functions(_: &mut PgConnection) -> Result<(), Error> {
    Ok(())
}

// fixture-guard: allow(what a body would do, and rolled back)
/// What a COMMIT that does not wait has written is lost when the server crashes right after it.
#[tokio::test]
async fn waits_for_the_disk_unless_nothing_was_written() {
    let staging = support::postgres(STAGING).await.storefront().await;
    let options = staging.options().options([("synchronous_commit", "on")]);
    let pool = PgPoolOptions::new().max_connections(1).connect_with(options).await.unwrap();
    makes_the_functions(disposable(&staging).judging(&pool)).await.unwrap();
    let mut connection = pool.acquire().await.unwrap();

    for writes in [
        "DELETE FROM cms_blocks WHERE id = 1",
        "TRUNCATE cms_blocks",
        "CREATE TABLE written (id int)",
        "COMMENT ON TABLE cms_blocks IS 'written'",
        "SELECT lo_create(0)",
        "SAVEPOINT s; DELETE FROM cms_blocks; ROLLBACK TO s",
    ] {
        assert!(waits_for_the_disk(&mut connection, writes).await, "{writes}");
    }
    // neighbours on the same server write too, so that not every one finds that nothing was written
    let mut tries = 1;
    while waits_for_the_disk(&mut connection, "DELETE FROM cms_blocks WHERE id < 0").await {
        assert!(tries < 2_000, "an empty body waits for the disk");
        tries += 1;
    }
}
