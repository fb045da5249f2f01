//! Guarded tests, against the rows that another session counts.
//!
//! Tests that are ignored are run by the others here, as functions or in a child.

use std::collections::BTreeMap;
use std::panic::catch_unwind;
use std::path::Path;
use std::sync::Barrier;

use fixture_guard::reset::{self, Means};
use fixture_guard::{GuardedTransaction, Judging, destructive_fixture, guarded_test};
use sqlx::{AssertSqlSafe, Executor, PgConnection, PgPool};
use tokio::sync::OnceCell;

use crate::disposable;
use crate::support::{self, Database, PRODUCTION, Rerun, STAGING};

/// The database of all tests on this page.
async fn storefront() -> &'static Database {
    static STOREFRONT: OnceCell<Database> = OnceCell::const_new();
    STOREFRONT.get_or_init(async || support::postgres(STAGING).await.storefront().await).await
}

async fn target() -> Judging<String> {
    let storefront = storefront().await;
    disposable(storefront).judging(storefront.dsn())
}

/// For the tests that run others: those have a runtime of their own.
fn block_on<R>(future: impl Future<Output = R>) -> R {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn all_rows() -> BTreeMap<String, i64> {
    block_on(async { storefront().await.all_rows().await })
}

async fn rows(tx: &mut GuardedTransaction, table: &str) -> i64 {
    sqlx::query_scalar(AssertSqlSafe(format!("SELECT count(*) FROM {table}")))
        .fetch_one(&mut **tx)
        .await
        .unwrap()
}

#[destructive_fixture]
async fn reset_db(tx: &mut GuardedTransaction) -> sqlx::Result<()> {
    reset::all_tables(tx).except(["stores"]).await?;
    Ok(())
}

#[destructive_fixture]
async fn seed_stores(conn: &mut PgConnection, count: i32) -> sqlx::Result<()> {
    sqlx::query("INSERT INTO stores (name) SELECT 'seeded' FROM generate_series(1, $1)")
        .bind(count)
        .execute(conn)
        .await?;
    Ok(())
}

#[guarded_test(target = target().await)]
#[ignore = "run by another"]
async fn passes(tx: &mut GuardedTransaction) -> sqlx::Result<()> {
    reset_db(&mut *tx).await?;
    seed_stores(&mut *tx, 3).await?;
    assert_eq!(rows(tx, "categories").await, 0);
    assert_eq!(rows(tx, "stores WHERE name = 'seeded'").await, 3);
    Ok(())
}

#[guarded_test(target = target().await)]
#[ignore = "run by another"]
async fn fails(tx: &mut GuardedTransaction) -> sqlx::Result<()> {
    reset_db(&mut *tx).await?;
    tx.execute("SELECT 1 / 0").await?;
    Ok(())
}

#[guarded_test(target = target().await)]
#[ignore = "run by another"]
#[should_panic(expected = "half way")]
async fn panics(tx: &mut GuardedTransaction) {
    reset_db(&mut *tx).await.unwrap();
    panic!("half way");
}

#[guarded_test(target = target().await)]
#[ignore = "run by another"]
async fn commits(conn: &mut PgConnection) {
    conn.execute("DELETE FROM cms_blocks").await.unwrap();
    conn.execute("COMMIT").await.unwrap_err();
}

#[test]
fn leaves_every_row_however_the_test_ends() {
    let before = all_rows();

    passes().unwrap();
    fails().unwrap_err();
    catch_unwind(panics).unwrap_err();
    // a body that swallows the error of its COMMIT must not pass
    let message = catch_unwind(commits).unwrap_err();
    let message = message.downcast_ref::<String>().unwrap();
    assert!(message.contains("ended the guarded transaction"), "{message}");

    assert_eq!(all_rows(), before);
}

#[guarded_test(target = target().await)]
#[ignore = "run by another"]
async fn backend(tx: &mut GuardedTransaction) -> Result<(), std::num::TryFromIntError> {
    let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut **tx).await.unwrap();
    BACKENDS.lock().unwrap().push(pid.try_into()?);
    Ok(())
}
static BACKENDS: std::sync::Mutex<Vec<u32>> = std::sync::Mutex::new(Vec::new());

#[test]
fn uses_a_connection_again_though_each_test_has_a_runtime_of_its_own() {
    for _ in 0..20 {
        backend().unwrap();
    }
    let mut backends = BACKENDS.lock().unwrap().clone();
    backends.sort_unstable();
    backends.dedup();
    // other tests on this page take some of them meanwhile
    assert!(backends.len() <= 10, "{backends:?}");
}

static BOTH: Barrier = Barrier::new(2);

#[guarded_test(target = target().await)]
#[ignore = "run by another"]
async fn meets_another(tx: &mut GuardedTransaction) {
    let before = rows(tx, "brands").await;
    let insert = sqlx::query("INSERT INTO brands (name) VALUES ($1)");
    insert.bind(format!("{:?}", std::thread::current().id())).execute(&mut **tx).await.unwrap();
    BOTH.wait();
    assert_eq!(rows(tx, "brands").await, before + 1);
    BOTH.wait();
}

#[test]
fn does_not_see_the_rows_of_a_test_that_runs_at_the_same_time() {
    let before = all_rows();
    // threads of our own, because a harness with one thread would wait for ever
    let both = [std::thread::spawn(meets_another), std::thread::spawn(meets_another)];
    for test in both {
        test.join().unwrap();
    }
    assert_eq!(all_rows(), before);
}

#[guarded_test(target = target().await, databases = ["another_*"])]
#[ignore = "run by another"]
async fn is_for_another_database(_: &mut GuardedTransaction) {
    unreachable!("the body does not run");
}

#[guarded_test(target = target().await, databases = ["another_*"])]
#[ignore = "run by another"]
#[should_panic] // any message would do
#[expect(clippy::should_panic_without_expect, reason = "that is the case in which a refusal could pass")]
async fn is_for_another_database_and_should_panic(_: &mut GuardedTransaction) {
    panic!("the body does not run");
}

#[guarded_test(target = async { "postgres://app:hunter2@prod-db.internal/storefront" }.await)]
#[ignore = "run by another"]
async fn is_for_production(_: &mut GuardedTransaction) {
    unreachable!("the body does not run");
}

#[test]
fn panics_with_the_refusal() {
    for (test, expected) in
        [(is_for_another_database as fn(), "FG013"), (is_for_production as fn(), "no connection was opened")]
    {
        let message = catch_unwind(test).unwrap_err();
        let message = message.downcast_ref::<String>().unwrap();
        assert!(message.contains("fixture-guard refused the test `is_for_"), "{message}");
        assert!(message.contains(expected), "{message}");
        assert!(!message.contains("hunter2"), "{message}");
    }
}

#[test]
fn does_not_take_a_refusal_for_the_panic_that_is_wanted() {
    // libtest fails a test that should panic and does not
    is_for_another_database_and_should_panic();
}

async fn pool() -> PgPool {
    storefront().await.pool().await
}

#[guarded_test(target = disposable(storefront().await).judging(pool().await))]
async fn takes_a_pool_of_the_tests_own_runtime(tx: &mut GuardedTransaction) {
    tx.execute("DELETE FROM cms_blocks").await.unwrap();
}

#[guarded_test(target = disposable(storefront().await).judging(storefront().await.options()))]
async fn empties_what_holds_rows(tx: &mut GuardedTransaction) -> Result<(), fixture_guard::Error> {
    tx.execute("INSERT INTO banners (title, link) SELECT n, n FROM generate_series(1, 10000) n")
        .await
        .unwrap();

    let report = reset::all_tables(tx).await?;

    let banners = report.emptied.iter().find(|table| table.table == "banners").unwrap();
    assert_eq!(banners.by, Means::Truncate);
    Ok(())
}

#[guarded_test]
#[ignore = "run in a child, where DATABASE_URL says where"]
async fn reads_database_url(tx: &mut GuardedTransaction) {
    tx.execute("TRUNCATE categories CASCADE").await.unwrap();
    println!("in {}", tx.target().database());
}

/// Runs it in a child whose policy names `host` as disposable.
async fn in_child(rerun: Rerun, host: &str) -> (bool, String) {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("guarded-{host}"));
    std::fs::create_dir_all(&directory).unwrap();
    let policy = format!("[environments.tests]\ndestructive = true\nhosts = [{host:?}]\n");
    std::fs::write(directory.join("fixture-guard.toml"), policy).unwrap();
    let rerun = rerun.env("CARGO_MANIFEST_DIR", directory.to_str().unwrap());
    let child = rerun.spawn("guarded::reads_database_url").await;
    let output = child.wait_with_output().await.unwrap();
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

#[tokio::test]
async fn goes_where_database_url_says() {
    let staging = support::postgres(STAGING).await.storefront().await;
    let before = staging.all_rows().await;
    let host = staging.server().address().to_string();

    let (passed, output) = in_child(Rerun::new().env("DATABASE_URL", &staging.dsn()), &host).await;

    assert!(passed && output.contains(&format!("in {}", staging.name())), "{output}");
    assert_eq!(staging.all_rows().await, before);
}

#[tokio::test]
async fn fails_without_database_url_and_in_production() {
    let (passed, _) = in_child(Rerun::new().without("DATABASE_URL"), "localhost").await;
    assert!(!passed);

    let production = support::postgres(PRODUCTION).await.shared_storefront();
    let before = production.sessions().await;
    let rerun = Rerun::with([PRODUCTION]).env("DATABASE_URL", support::INCIDENT_DSN);
    let (passed, output) = in_child(rerun, "localhost").await;
    assert!(!passed && !output.contains(support::APP_PASSWORD));
    assert_eq!(production.sessions().await, before);
    assert_eq!(production.rows("categories").await, 2_847);
}
