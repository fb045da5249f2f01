//! What a body leaves behind in its session reaches no later user of the pool.

use fixture_guard::{Error, destructive_fixture};
use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Executor, PgConnection};

use crate::disposable;
use crate::support::{self, STAGING};

#[destructive_fixture]
async fn leaves(conn: &mut PgConnection, statements: &'static str) -> Result<(), Error> {
    conn.execute("DELETE FROM cms_blocks WHERE id = 1").await.expect("the body runs");
    conn.execute(statements).await.expect("the body runs");
    Ok(())
}

/// What a session may have that a transaction does not take with it.
async fn state(pool: &PgPool) -> Vec<String> {
    let questions = [
        "SELECT coalesce(string_agg(name || '=' || setting, ' ' ORDER BY name), '') FROM pg_settings \
         WHERE source = 'session' AND name NOT LIKE 'fixture_guard.%' \
         AND name NOT IN ('role', 'default_transaction_read_only')",
        "SELECT current_user || ' ' || session_user || ' ' || current_setting('role') || ' ' || \
         current_setting('default_transaction_read_only')",
        "SELECT coalesce(string_agg(relname, ' ' ORDER BY relname), '') FROM pg_class \
         WHERE relpersistence = 't' AND relkind = 'r' AND relnamespace = pg_my_temp_schema()",
        "SELECT count(*)::text FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory'",
        "SELECT count(*)::text FROM pg_listening_channels()",
        "SELECT coalesce(string_agg(name, ' '), '') FROM pg_cursors WHERE is_holdable",
        "SELECT coalesce(string_agg(name, ' '), '') FROM pg_prepared_statements \
         WHERE from_sql AND name NOT LIKE 'fixture_guard_%'",
    ];
    let mut connection = pool.acquire().await.unwrap();
    let mut answers = Vec::new();
    for question in questions {
        let answer =
            sqlx::query_scalar(AssertSqlSafe(question)).persistent(false).fetch_one(&mut *connection);
        answers.push(answer.await.unwrap());
    }
    // made again for each connection
    answers[2] = String::clone(&answers[2]).replace("fixture_guard_seal", "");
    answers
}

async fn session(pool: &PgPool) -> i32 {
    sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(pool).await.unwrap()
}

/// What the pool does with the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    /// It is used again.
    Used,
    /// It is closed: what was left there cannot be told or taken away.
    Closed,
}
use Then::{Closed, Used};

const ROWS: &[(&str, Then)] = &[
    ("SELECT 1", Used),
    // COMMIT would have run it
    ("DECLARE c CURSOR WITH HOLD FOR SELECT 1", Used),
    ("SAVEPOINT a; RELEASE a", Used),
    // the guard gives these back
    ("SET ROLE pg_monitor", Used),
    ("SET default_transaction_read_only = off", Used),
    ("LISTEN somebody", Used),
    ("CREATE TABLE made (id int); DROP TABLE made", Used),
    ("DECLARE c CURSOR FOR SELECT 1", Used),
    // PostgreSQL lists no setting that neither it nor an extension has defined: this one nobody can find
    ("SET app.tenant = 'seven'", Used),
    // a setting that the guard has never heard of
    ("SET work_mem = '7MB'", Closed),
    ("SET search_path = pg_catalog", Closed),
    ("SET statement_timeout = '1h'", Closed),
    ("SET application_name = 'somebody'", Closed),
    ("SET session_replication_role = replica", Closed),
    ("SET SESSION AUTHORIZATION storefront_app", Closed),
    // it is gone, but cannot be told from one that is not
    ("SET LOCAL work_mem = '7MB'", Closed),
    ("CREATE TEMPORARY TABLE scratch (id int)", Closed),
    ("CREATE TEMPORARY TABLE scratch (id int) ON COMMIT DROP", Closed),
    ("SELECT pg_advisory_lock(42)", Closed),
    ("SELECT pg_advisory_lock(1718188135, 1)", Closed),
    ("PREPARE something AS SELECT 1", Closed),
    // the next run on it would have no seal
    ("DROP TRIGGER fixture_guard_seal ON pg_temp.fixture_guard_seal", Closed),
    ("DROP FUNCTION pg_temp.fixture_guard_seal() CASCADE", Closed),
    // also the statements that sqlx believes to be there
    ("DEALLOCATE ALL", Closed),
];

/// As a superuser, who may do all of it.
#[tokio::test]
async fn the_pool_gets_a_clean_connection_or_none() {
    let staging = support::postgres(STAGING).await.storefront().await;
    let policy = disposable(&staging);
    for (statements, then) in ROWS {
        let options = staging.server().admin_options(staging.name());
        let pool = PgPoolOptions::new().max_connections(1).connect_with(options).await.unwrap();
        leaves(policy.judging(&pool), "SELECT 1").await.unwrap();
        let (before, used) = (state(&pool).await, session(&pool).await);

        leaves(policy.judging(&pool), statements).await.unwrap();

        assert_eq!(state(&pool).await, before, "{statements}");
        let now = if session(&pool).await == used { Used } else { Closed };
        assert_eq!(now, *then, "{statements}");
        pool.close().await;
    }
}

/// What a pool set up for its connections is theirs, and stays.
#[tokio::test]
async fn keeps_what_the_session_had_before() {
    let staging = support::postgres(STAGING).await.storefront().await;
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .after_connect(|connection, _| {
            Box::pin(async move {
                connection
                    .execute("SET app.tenant = 'seven'; SELECT pg_advisory_lock(7); LISTEN news; SET work_mem = '7MB'")
                    .await?;
                Ok(())
            })
        })
        .connect_with(staging.options())
        .await
        .unwrap();
    let (before, used) = (state(&pool).await, session(&pool).await);

    for _ in 0..2 {
        leaves(disposable(&staging).judging(&pool), "SELECT 1").await.unwrap();
    }

    assert_eq!(state(&pool).await, before);
    assert_eq!(session(&pool).await, used);
}

#[destructive_fixture]
async fn runs(conn: &mut PgConnection, statements: &'static str) -> sqlx::Result<()> {
    conn.execute(statements).await?;
    Ok(())
}

/// With a temporary table that was there before the run, and triggers that change a setting or the role when the guard
/// checks what is due.
#[tokio::test]
async fn closes_a_connection_that_is_not_as_it_was() {
    let database = support::postgres(STAGING)
        .await
        .database(
            "CREATE TABLE notes (id int);
             CREATE FUNCTION sets() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
               PERFORM set_config('plan_cache_mode', 'force_custom_plan', false); RETURN NULL; END $$;
             CREATE CONSTRAINT TRIGGER sets AFTER INSERT ON notes DEFERRABLE INITIALLY DEFERRED
               FOR EACH ROW EXECUTE FUNCTION sets();
             CREATE TABLE roles (id int);
             CREATE FUNCTION becomes() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
               PERFORM set_config('role', session_user, false); RETURN NULL; END $$;
             CREATE CONSTRAINT TRIGGER becomes AFTER INSERT ON roles DEFERRABLE INITIALLY DEFERRED
               FOR EACH ROW EXECUTE FUNCTION becomes()",
        )
        .await;
    for (statements, then) in [
        ("INSERT INTO scratch VALUES (2)", Used),
        ("TRUNCATE scratch", Closed),
        ("ALTER TABLE scratch ADD COLUMN z int", Closed),
        ("DROP TABLE scratch", Closed),
        ("INSERT INTO notes VALUES (1)", Closed),
        ("INSERT INTO roles VALUES (1)", Used),
    ] {
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .after_connect(|connection, _| {
                Box::pin(async move {
                    let scratch = "CREATE TEMPORARY TABLE scratch (id int); INSERT INTO scratch VALUES (1)";
                    connection.execute(scratch).await.map(drop)
                })
            })
            .connect_with(database.options())
            .await
            .unwrap();
        runs(disposable(&database).judging(&pool), "SELECT 1").await.unwrap();
        let used = session(&pool).await;

        runs(disposable(&database).judging(&pool), statements).await.unwrap();

        let now = if session(&pool).await == used { Used } else { Closed };
        assert_eq!(now, then, "{statements}");
        let role: String = sqlx::query_scalar("SHOW role").fetch_one(&pool).await.unwrap();
        assert_eq!(role, "none", "{statements}");
        pool.close().await;
    }
}

/// Behind a pooler, clients with another version of the guard may use the same server session.
#[tokio::test]
async fn does_not_call_the_functions_of_another_version() {
    let staging = support::postgres(STAGING).await.storefront().await;
    let pool = PgPoolOptions::new().max_connections(1).connect_with(staging.options()).await.unwrap();
    let policy = disposable(&staging);
    leaves(policy.judging(&pool), "SELECT 1").await.unwrap();
    let used = session(&pool).await;
    let other = format!(
        "ALTER FUNCTION pg_temp.\"fixture_guard_hold {}\"() RENAME TO \"fixture_guard_hold 0.0.1\"; \
         DROP FUNCTION pg_temp.fixture_guard_enter(text); \
         CREATE FUNCTION pg_temp.fixture_guard_enter(subject text) RETURNS void LANGUAGE sql AS 'SELECT'; \
         CREATE FUNCTION pg_temp.fixture_guard_end() RETURNS void LANGUAGE sql AS 'SELECT'",
        env!("CARGO_PKG_VERSION")
    );
    pool.execute(AssertSqlSafe(other)).await.unwrap();

    for _ in 0..2 {
        leaves(policy.judging(&pool), "SELECT 1").await.unwrap();
    }

    assert_eq!(session(&pool).await, used);
    let theirs: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM pg_proc WHERE pronamespace = pg_my_temp_schema() \
         AND (proname = 'fixture_guard_hold 0.0.1' OR oid = to_regprocedure('pg_temp.fixture_guard_end()'))",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(theirs, 0);
}
