//! Runs beside other runs, and beside other people's sessions.

use std::path::Path;
use std::sync::Arc;

use fixture_guard::{Code, Environment, Error, JournalRule, Policy, destructive_fixture};
use futures_util::future::join_all;
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection};
use support::{Database, Rerun};

use crate::support::{self, STAGING};

const PROCESSES: usize = 4;
const RUNS_OF_EACH: usize = 50;

/// Takes the tables in this order or in the other: without turns, pairs of these deadlock.
#[destructive_fixture]
async fn reset_in_order(conn: &mut PgConnection, backwards: bool) -> sqlx::Result<()> {
    let mut tables = ["banners", "cms_blocks", "coupons", "tax_rates"];
    if backwards {
        tables.reverse();
    }
    for table in tables {
        conn.execute(AssertSqlSafe(format!("DELETE FROM {table}"))).await?;
        conn.execute("INSERT INTO ran DEFAULT VALUES").await?;
    }
    Ok(())
}

fn journalling(host: &str, journal: &str) -> Arc<Policy> {
    let tests = Environment::destructive("tests").host(host).unwrap();
    Arc::new(Policy::new().environment(tests).unwrap().journal(journal, JournalRule::Required))
}

/// What each process does.
async fn reset_many_times(database: &str, journal: &str) {
    let server = support::postgres(STAGING).await;
    let pool = PgPoolOptions::new().max_connections(10).acquire_timeout(std::time::Duration::from_mins(2));
    let pool = pool.connect_with(server.options(database)).await.unwrap();
    let policy = journalling(&server.address().to_string(), journal);

    let runs = (0..RUNS_OF_EACH).map(|run| reset_in_order(policy.judging(&pool), run % 2 == 0));

    for result in join_all(runs).await {
        result.unwrap();
    }
}

#[tokio::test]
async fn loses_none_of_200_resets_from_4_processes() {
    const DATABASE: &str = "FIXTURE_GUARD_TEST_DATABASE";
    const JOURNAL: &str = "FIXTURE_GUARD_TEST_JOURNAL";
    let test = support::test_path!();
    if support::inside(&test) {
        let (database, journal) = (support::variable(DATABASE).unwrap(), support::variable(JOURNAL).unwrap());
        return reset_many_times(&database, &journal).await;
    }
    let staging = support::postgres(STAGING).await.storefront().await;
    staging.pool().await.execute("CREATE TABLE ran (id bigint GENERATED ALWAYS AS IDENTITY)").await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let journal = directory.path().join("runs.jsonl");

    let mut children = Vec::new();
    for _ in 0..PROCESSES {
        let rerun = Rerun::new().env(DATABASE, staging.name()).env(JOURNAL, journal.to_str().unwrap());
        children.push(rerun.spawn(&test).await);
    }
    for child in children {
        let output = child.wait_with_output().await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }

    let runs = crate::journal::lines(Path::new(&journal));
    assert_eq!(runs.len(), PROCESSES * RUNS_OF_EACH);
    assert!(runs.iter().all(|run| run["outcome"] == "committed"));
    assert_eq!(staging.rows("ran").await, i64::try_from(4 * PROCESSES * RUNS_OF_EACH).unwrap());
    assert_eq!(staging.rows("coupons").await, 0);
}

/// Somebody who looks at a table, and takes their time.
async fn reader(database: &Database) -> (PgConnection, i32) {
    let mut reader = database.options().application_name("reports of Ms. Lock").connect().await.unwrap();
    reader.execute("BEGIN; SELECT count(*) FROM cms_blocks").await.unwrap();
    let pid = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut reader).await.unwrap();
    (reader, pid)
}

#[destructive_fixture(tables = ["cms_blocks"])]
async fn truncates_declared(conn: &mut PgConnection) -> sqlx::Result<()> {
    conn.execute("TRUNCATE cms_blocks").await?;
    Ok(())
}

#[destructive_fixture]
async fn truncates_undeclared(conn: &mut PgConnection) -> sqlx::Result<()> {
    conn.execute("TRUNCATE cms_blocks").await?;
    Ok(())
}

#[tokio::test]
async fn gives_up_behind_a_live_session_and_names_it() {
    let staging = support::postgres(STAGING).await.storefront().await;
    let before = staging.all_rows().await;
    let (reader, pid) = reader(&staging).await;

    let error = truncates_declared(crate::disposable(&staging).judging(staging.options())).await.unwrap_err();

    let refusal = Error::in_sqlx(&error).and_then(Error::refusal).expect("a refusal");
    assert_eq!(refusal.reasons()[0].code(), Code::Locked);
    let found = refusal.reasons()[0].found();
    for part in [&format!("pid {pid}"), "reports of Ms. Lock", support::APP_USER, "since"] {
        assert!(found.contains(part), "`{part}` is not in: {found}");
    }
    assert_eq!(staging.all_rows().await, before);
    reader.close().await.unwrap();
}

/// The body's own error says only that there was a lock; which one it was nobody knows any more once the transaction is
/// aborted. The journal says who it may have been.
#[tokio::test]
async fn writes_down_who_held_locks_when_a_body_without_tables_gave_up() {
    let staging = support::postgres(STAGING).await.storefront().await;
    let before = staging.all_rows().await;
    let (reader, pid) = reader(&staging).await;
    let directory = tempfile::tempdir().unwrap();
    let journal = directory.path().join("runs.jsonl");
    let policy = journalling(&staging.server().address().to_string(), journal.to_str().unwrap());

    let error = truncates_undeclared(policy.judging(staging.options())).await.unwrap_err();

    assert_eq!(
        error.as_database_error().and_then(sqlx::error::DatabaseError::code).as_deref(),
        Some("55P03"),
        "{error}"
    );
    let run = &crate::journal::lines(&journal)[0];
    assert!(run["holders"].as_str().unwrap().contains(&format!("pid {pid} (reports of Ms. Lock")), "{run}");
    assert_eq!((&run["body"], &run["outcome"]), (&"failed".into(), &"rolled_back".into()));
    assert_eq!(staging.all_rows().await, before);
    reader.close().await.unwrap();
}

#[destructive_fixture(tables = ["cms_blocks"], max_rows = 100)]
async fn at_most_a_hundred(conn: &mut PgConnection) -> Result<(), Error> {
    conn.execute("TRUNCATE cms_blocks").await.expect("the body does not run");
    Ok(())
}

/// What is counted is what is there once the lock is held, also for a session whose transactions keep a snapshot.
#[tokio::test]
async fn counts_what_others_commit_while_it_waits_for_their_lock() {
    let staging = support::postgres(STAGING).await.storefront().await;
    let mut writer = staging.options().connect().await.unwrap();
    writer
        .execute(
            "BEGIN; LOCK cms_blocks; INSERT INTO cms_blocks (identifier, content) \
             SELECT 'more ' || n, '' FROM generate_series(1, 1000) n",
        )
        .await
        .unwrap();
    let options = staging.options().options([("default_transaction_isolation", "repeatable read")]);
    let run = tokio::spawn(at_most_a_hundred(crate::disposable(&staging).judging(options)));
    crate::until(
        &staging,
        "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'cms_blocks'::regclass)",
    )
    .await;

    writer.execute("COMMIT").await.unwrap();

    let error = run.await.unwrap().unwrap_err();
    assert_eq!(error.refusal().expect("a refusal").reasons()[0].code(), Code::TooManyRows);
    assert!(staging.rows("cms_blocks").await > 1_000);
}
