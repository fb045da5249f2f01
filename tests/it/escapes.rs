//! Bodies that try to end the guarded transaction.

use fixture_guard::{Error, RunEnding, destructive_fixture, observe};
use futures_util::TryStreamExt;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::disposable;
use crate::support::{self, Database, STAGING};

/// Runs each statement by itself, swallows its error, and goes on: the worst that a body can do with them.
#[destructive_fixture]
async fn swallows_every_error(conn: &mut PgConnection, statements: &[&str]) -> Result<(), Error> {
    for statement in statements {
        let run = sqlx::raw_sql(AssertSqlSafe((*statement).to_owned()));
        let _ = run.fetch(&mut *conn).try_for_each(|_| std::future::ready(Ok(()))).await;
    }
    Ok(())
}

/// What other sessions see after a body, and what the guard said.
struct Row {
    statements: &'static [&'static str],
    as_plain_role: After,
    with_powerless_role: After,
    as_superuser: After,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    /// Every row is there, and the guard ended the run.
    Kept,
    /// Every row is there, and the guard committed what little there was.
    Harmless,
    /// A statement that ran after the body had ended the transaction, or had taken the seal off by its name, has
    /// destroyed rows. The run reports it.
    DetectedOnly,
}
use After::{DetectedOnly, Harmless, Kept};

const fn row(
    statements: &'static [&'static str],
    as_plain_role: After,
    with_powerless_role: After,
    as_superuser: After,
) -> Row {
    Row { statements, as_plain_role, with_powerless_role, as_superuser }
}

const DELETE: &str = "DELETE FROM cms_blocks";

const ROWS: &[Row] = &[
    row(&[DELETE, "COMMIT"], Kept, Kept, Kept),
    row(&[DELETE, "commit work"], Kept, Kept, Kept),
    row(&[DELETE, "END"], Kept, Kept, Kept),
    row(&[DELETE, "END TRANSACTION"], Kept, Kept, Kept),
    row(&[DELETE, "/* x */ CoMmIt -- y"], Kept, Kept, Kept),
    row(&[DELETE, "COMMIT AND CHAIN"], Kept, Kept, Kept),
    row(&[DELETE, "COMMIT AND CHAIN", DELETE, "COMMIT"], Kept, Kept, Kept),
    row(&[DELETE, "COMMIT AND NO CHAIN"], Kept, Kept, Kept),
    row(&[DELETE, "PREPARE TRANSACTION 'fixture_guard_test'"], Kept, Kept, Kept),
    row(&["DELETE FROM cms_blocks; COMMIT"], Kept, Kept, Kept),
    row(&["DELETE FROM cms_blocks; COMMIT; BEGIN"], Kept, Kept, Kept),
    row(&["DELETE FROM cms_blocks; COMMIT; DELETE FROM coupons"], Kept, Kept, Kept),
    row(&[DELETE, "COMMIT", DELETE], Kept, Kept, Kept),
    row(&[DELETE, "COMMIT", "BEGIN", DELETE, "COMMIT"], Kept, Kept, Kept),
    row(&["SAVEPOINT a", DELETE, "RELEASE a", "COMMIT"], Kept, Kept, Kept),
    row(&["SAVEPOINT a", "COMMIT", "ROLLBACK TO a", DELETE, "COMMIT"], Kept, Kept, Kept),
    row(&["DO $$ BEGIN DELETE FROM cms_blocks; COMMIT; END $$"], Kept, Kept, Kept),
    row(
        &[
            "CREATE PROCEDURE p() LANGUAGE plpgsql AS 'BEGIN DELETE FROM cms_blocks; COMMIT; END'",
            "CALL p()",
            "COMMIT",
        ],
        Kept,
        Kept,
        Kept,
    ),
    row(&[DELETE, "SET CONSTRAINTS ALL IMMEDIATE", "COMMIT"], Kept, Kept, Kept),
    row(
        &["SAVEPOINT a", "SET CONSTRAINTS ALL IMMEDIATE", "ROLLBACK TO a", DELETE, "COMMIT"],
        Kept,
        Kept,
        Kept,
    ),
    row(&["SET CONSTRAINTS pg_temp.fixture_guard_seal IMMEDIATE", DELETE, "COMMIT"], Kept, Kept, Kept),
    row(&[DELETE, "DISCARD ALL", "COMMIT"], Kept, Kept, Kept),
    row(&[DELETE, "DISCARD TEMP", "COMMIT"], Kept, Kept, Kept),
    row(&[DELETE, "DROP TABLE pg_temp.fixture_guard_seal CASCADE", "COMMIT"], Kept, Kept, Kept),
    row(&[DELETE, "TRUNCATE pg_temp.fixture_guard_seal", "COMMIT"], Kept, Kept, Kept),
    row(&[DELETE, "DELETE FROM pg_temp.fixture_guard_seal", "COMMIT"], Kept, Kept, Kept),
    row(&[DELETE, "ALTER TABLE pg_temp.fixture_guard_seal DISABLE TRIGGER ALL", "COMMIT"], Kept, Kept, Kept),
    row(&[DELETE, "SET session_replication_role = replica", "COMMIT"], Kept, Kept, Kept),
    row(&[DELETE, "SET fixture_guard.lifted = 'yes'", "COMMIT"], Kept, Kept, Kept),
    row(&["ROLLBACK", DELETE], Kept, Kept, Kept),
    row(&["ABORT", DELETE], Kept, Kept, Kept),
    row(&["ROLLBACK; DELETE FROM cms_blocks"], Kept, Kept, Kept),
    row(&["ROLLBACK", "BEGIN", DELETE, "COMMIT"], Kept, Kept, Kept),
    row(&["ROLLBACK", "START TRANSACTION", DELETE, "COMMIT"], Kept, Kept, Kept),
    row(&["ROLLBACK", "BEGIN READ WRITE", DELETE], Kept, Kept, Kept),
    row(&["SELECT 1 / 0", "ROLLBACK", DELETE], Kept, Kept, Kept),
    row(&["SELECT 1 / 0", "COMMIT", DELETE], Kept, Kept, Kept),
    row(&["ROLLBACK", "SET ROLE NONE", DELETE], Kept, Kept, Kept),
    // Asking for a transaction that writes, or naming the guard's own function, is no accident any more. Against the
    // first, a superuser falls back to a role without rights; a plain role needs `fixture_guard_powerless`.
    row(&["ROLLBACK", "BEGIN READ WRITE", DELETE, "COMMIT"], DetectedOnly, Kept, Kept),
    row(&["ROLLBACK AND CHAIN", DELETE, "COMMIT"], DetectedOnly, Kept, Kept),
    row(&["ROLLBACK", "SET default_transaction_read_only = off", DELETE], DetectedOnly, Kept, Kept),
    row(&["ROLLBACK", "RESET ALL", DELETE], DetectedOnly, Kept, Kept),
    row(&["ROLLBACK; BEGIN READ WRITE; DELETE FROM cms_blocks; COMMIT; BEGIN"], DetectedOnly, Kept, Kept),
    row(&["SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE", "ROLLBACK", DELETE], Kept, Kept, Kept),
    row(
        &[DELETE, "DROP TRIGGER fixture_guard_seal ON pg_temp.fixture_guard_seal", "COMMIT"],
        DetectedOnly,
        DetectedOnly,
        DetectedOnly,
    ),
    row(
        &[DELETE, "DROP FUNCTION pg_temp.fixture_guard_seal() CASCADE", "COMMIT"],
        DetectedOnly,
        DetectedOnly,
        DetectedOnly,
    ),
    // these do nothing that needs stopping
    row(&["SAVEPOINT a", DELETE, "ROLLBACK TO a"], Harmless, Harmless, Harmless),
    row(&["SAVEPOINT a", "SAVEPOINT a", "RELEASE a"], Harmless, Harmless, Harmless),
    row(&["SELECT 1"], Harmless, Harmless, Harmless),
];

async fn check(row: &Row, expected: After, database: &Database, options: sqlx::postgres::PgConnectOptions) {
    let before = database.all_rows().await;
    let pool = sqlx::postgres::PgPoolOptions::new().max_connections(2).connect_with(options).await.unwrap();
    let policy = disposable(database);

    let observed = observe(swallows_every_error(policy.judging(&pool), row.statements)).await;

    let run = &observed.runs[0];
    let after = database.all_rows().await;
    let statements = row.statements;
    match expected {
        Kept => {
            assert_eq!(after, before, "{statements:?}");
            assert!(observed.returned.is_err(), "{statements:?} passed for good");
        }
        Harmless => {
            assert_eq!(after, before, "{statements:?}");
            assert_eq!(run.ending, RunEnding::Committed, "{statements:?}: {:?}", run.error);
        }
        DetectedOnly => {
            assert_eq!(after["cms_blocks"], 0, "{statements:?} is prevented now: say so in the table");
            assert_eq!(run.ending, RunEnding::Escaped, "{statements:?}: {:?}", run.error);
        }
    }
    let mut next = pool.acquire().await.unwrap();
    let state: (String, String) =
        sqlx::query_as("SELECT current_setting('role'), current_setting('default_transaction_read_only')")
            .fetch_one(&mut *next)
            .await
            .unwrap_or_else(|error| panic!("{statements:?} left a connection in the pool: {error}"));
    assert_eq!(state, ("none".into(), "off".into()), "{statements:?}");
    drop(next);
    pool.close().await;
}

/// Checks every row in one column, with a new database after each that loses its rows.
async fn check_all(
    expected: impl Fn(&Row) -> After,
    options: impl Fn(&Database) -> sqlx::postgres::PgConnectOptions,
) {
    let server = support::postgres(STAGING).await;
    let mut database = server.storefront().await;
    for row in ROWS {
        check(row, expected(row), &database, options(&database)).await;
        if expected(row) == DetectedOnly {
            database = server.storefront().await;
        }
    }
}

#[tokio::test]
async fn leaves_every_row_of_a_plain_role_whatever_the_body_says() {
    check_all(|row| row.as_plain_role, Database::options).await;
}

/// A login of its own, because the application's serves every other test.
#[tokio::test]
async fn leaves_every_row_of_a_role_that_can_fall_back_to_a_powerless_one_whatever_the_body_says() {
    let roles = "DO $$ BEGIN
        CREATE ROLE fixture_guard_powerless;
        CREATE ROLE storefront_careful LOGIN PASSWORD 'careful';
        GRANT storefront_app, fixture_guard_powerless TO storefront_careful;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$";
    support::postgres(STAGING).await.admin().await.execute(roles).await.unwrap();
    check_all(
        |row| row.with_powerless_role,
        |database| database.options().username("storefront_careful").password("careful"),
    )
    .await;
}

#[tokio::test]
async fn leaves_every_row_of_a_superuser_whatever_the_body_says() {
    check_all(|row| row.as_superuser, |database| database.server().admin_options(database.name())).await;
}

/// What a row does behind PgBouncer in transaction pooling: nothing of the guard's is set for a session there, so that a
/// statement after the end of the transaction runs, and is reported.
fn behind_a_pooler(row: &Row) -> After {
    let mut failed = false;
    let (mut ended, mut begun) = (false, false);
    for statement in
        row.statements.iter().flat_map(|statements| statements.split("; ").map(move |one| (statements, one)))
    {
        let (message, one) = statement;
        let one = one.to_ascii_uppercase();
        if ended && one.starts_with("DELETE") {
            // in a transaction of its own it stays only with a COMMIT
            let commits = row.statements.last().is_some_and(|last| last.contains("COMMIT"));
            return if begun && !commits { row.as_plain_role } else { DetectedOnly };
        }
        begun |= ended && (one.starts_with("BEGIN") || one.starts_with("START"));
        failed |= one == "SELECT 1 / 0";
        let rolls_back = one.starts_with("ROLLBACK") && !one.starts_with("ROLLBACK TO") || one == "ABORT";
        // a COMMIT that the seal refuses ends the transaction too, and the message with it
        let commits = one.contains("COMMIT") && !one.starts_with("CREATE") && !one.starts_with("DO ")
            || one.starts_with("END")
            || one.starts_with("PREPARE");
        let alone = !message.contains("; ");
        ended |= rolls_back || (commits && (alone || failed));
    }
    row.as_plain_role
}

#[tokio::test]
async fn reports_what_a_body_does_behind_a_pooler_after_it_ended_the_transaction() {
    let server = support::postgres(STAGING).await;
    let mut database = server.storefront().await;
    let mut wrong = Vec::new();
    for row in ROWS {
        let conninfo = format!("host={STAGING} port=5432 dbname={}", database.name());
        let bouncer =
            support::pgbouncer(&[(database.name(), &conninfo)], support::PoolMode::Transaction).await;
        let options = bouncer.options(database.name()).statement_cache_capacity(0);
        let cluster = server.system_identifier().parse().unwrap();
        let tests = fixture_guard::Environment::destructive("tests")
            .host(&bouncer.address().to_string())
            .unwrap()
            .system_identifier(cluster);
        let policy = std::sync::Arc::new(fixture_guard::Policy::new().environment(tests).unwrap());
        let before = database.all_rows().await;

        let observed = observe(swallows_every_error(policy.judging(options), row.statements)).await;

        let run = &observed.runs[0];
        let kept = database.all_rows().await == before;
        let found = match (kept, observed.returned.is_ok()) {
            (true, true) => Harmless,
            (true, false) => Kept,
            (false, _) => DetectedOnly,
        };
        if found != behind_a_pooler(row) || (!kept && run.ending != RunEnding::Escaped) {
            wrong.push(format!("{:?}: {found:?}, {:?}", row.statements, run.ending));
        }
        if !kept {
            database = server.storefront().await;
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

/// `docs/escapes.md` has a line for each row, between its two marks.
#[test]
fn the_page_about_escapes_is_this_table() {
    const MARK: &str = "<!-- tests/it/escapes.rs -->\n";
    let cell = |after| match after {
        Kept => "prevented",
        Harmless => "harmless",
        DetectedOnly => "**detected**",
    };
    let lines = ROWS.iter().map(|row| {
        let statements: Vec<_> = row.statements.iter().map(|statement| format!("`{statement}`")).collect();
        let [plain, powerless, superuser, pooled] =
            [row.as_plain_role, row.with_powerless_role, row.as_superuser, behind_a_pooler(row)].map(cell);
        format!("| {} | {plain} | {powerless} | {superuser} | {pooled} |\n", statements.join(" then "))
    });
    let table = lines.collect::<String>();
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/escapes.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (head, rest) = page.split_once(MARK).unwrap();
    let (body, tail) = rest.split_once(MARK).unwrap();
    let (columns, _) = body.split_once("| `").unwrap_or((body, ""));
    if support::variable("FIXTURE_GUARD_TEST_UPDATE").is_some() {
        std::fs::write(&path, format!("{head}{MARK}{columns}{table}{MARK}{tail}")).unwrap();
        return;
    }
    assert!(body.ends_with(&table), "docs/escapes.md differs; FIXTURE_GUARD_TEST_UPDATE=1 writes it");
}

/// Trap B: an error that the body swallowed makes a nested `begin` fail, and sqlx rolls the *outer* transaction back.
async fn swallows_and_nests(conn: &mut PgConnection) -> sqlx::Result<()> {
    let _ = sqlx::query("SELECT 1 / 0").execute(&mut *conn).await;
    let _ = conn.begin().await.map(drop);
    sqlx::query(DELETE).execute(conn).await?; // fixture-guard: allow(shows what is lost)
    Ok(())
}

#[destructive_fixture]
async fn guarded_swallows_and_nests(conn: &mut PgConnection) -> sqlx::Result<()> {
    swallows_and_nests(conn).await
}

#[tokio::test]
async fn sqlx_itself_loses_the_rows_of_a_rolled_back_transaction() {
    let staging = support::postgres(STAGING).await.storefront().await;
    let pool = staging.pool().await;
    let mut tx = pool.begin().await.unwrap();

    swallows_and_nests(&mut tx).await.unwrap();
    tx.rollback().await.unwrap();

    assert_eq!(staging.rows("cms_blocks").await, 0);
}

#[tokio::test]
async fn leaves_every_row_when_a_nested_begin_rolls_the_outer_transaction_back() {
    let staging = support::postgres(STAGING).await.storefront().await;
    let (pool, before) = (staging.pool().await, staging.all_rows().await);

    guarded_swallows_and_nests(disposable(&staging).judging(&pool)).await.unwrap_err();

    assert_eq!(staging.all_rows().await, before);
}

/// Trap C: sqlx's `commit` answers `Ok` for a transaction that was aborted.
#[tokio::test]
async fn sqlx_itself_says_that_an_aborted_transaction_was_committed() {
    let staging = support::postgres(STAGING).await.storefront().await;
    let mut tx = staging.pool().await.begin().await.unwrap();
    sqlx::query("INSERT INTO cms_blocks SELECT * FROM cms_blocks WHERE false")
        .execute(&mut *tx)
        .await
        .unwrap();
    sqlx::query("SELECT 1 / 0").execute(&mut *tx).await.unwrap_err();

    tx.commit().await.unwrap();
}

#[destructive_fixture]
async fn swallows_an_error(conn: &mut PgConnection) -> Result<(), Error> {
    let _ = sqlx::query(DELETE).execute(&mut *conn).await;
    let _ = sqlx::query("SELECT 1 / 0").execute(&mut *conn).await;
    Ok(())
}

#[tokio::test]
async fn says_that_an_aborted_transaction_was_not_committed() {
    let staging = support::postgres(STAGING).await.storefront().await;
    let (pool, before) = (staging.pool().await, staging.all_rows().await);

    let error = swallows_an_error(disposable(&staging).judging(&pool)).await.unwrap_err();

    assert!(error.to_string().contains("its error was not returned"), "{error}");
    assert_eq!(staging.all_rows().await, before);
}

#[destructive_fixture]
async fn forgets_a_nested_transaction(conn: &mut PgConnection) -> Result<(), Error> {
    let mut nested = conn.begin().await.unwrap();
    sqlx::query(DELETE).execute(&mut *nested).await.unwrap();
    std::mem::forget(nested);
    Ok(())
}

#[tokio::test]
async fn leaves_every_row_when_a_nested_transaction_was_forgotten() {
    let staging = support::postgres(STAGING).await.storefront().await;
    let (pool, before) = (staging.pool().await, staging.all_rows().await);

    let error = forgets_a_nested_transaction(disposable(&staging).judging(&pool)).await.unwrap_err();

    assert!(error.to_string().contains("never ended it"), "{error}");
    assert_eq!(staging.all_rows().await, before);
}

#[destructive_fixture]
async fn nests_with_sqlx(conn: &mut PgConnection) -> sqlx::Result<()> {
    let mut kept = conn.begin().await?;
    sqlx::query(DELETE).execute(&mut *kept).await?;
    kept.commit().await?;
    let mut undone = conn.begin().await?;
    sqlx::query("DELETE FROM coupons").execute(&mut *undone).await?;
    undone.rollback().await
}

#[tokio::test]
async fn a_body_may_nest_transactions_of_sqlx() {
    let staging = support::postgres(STAGING).await.storefront().await;
    let (pool, before) = (staging.pool().await, staging.all_rows().await);

    nests_with_sqlx(disposable(&staging).judging(&pool)).await.unwrap();

    assert_eq!(staging.rows("cms_blocks").await, 0);
    assert_eq!(staging.rows("coupons").await, before["coupons"]);
}
