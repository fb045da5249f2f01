//! What a body leaves behind in its session reaches no later run: the guard's connection is closed where that could be.
//! (The pool's connections are another module's: `own_connections`.)

use fixture_guard::{Error, destructive_fixture};
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, Executor, PgConnection};

use crate::disposable;
use crate::support::{self, STAGING};

#[destructive_fixture]
async fn leaves(conn: &mut PgConnection, statements: &'static str) -> Result<(), Error> {
    conn.execute("DELETE FROM cms_blocks WHERE id = 1").await.expect("the body runs");
    conn.execute(statements).await.expect("the body runs");
    Ok(())
}

#[destructive_fixture]
async fn session(conn: &mut PgConnection) -> sqlx::Result<(i32, Vec<String>)> {
    let questions = [
        "SELECT coalesce(string_agg(name || '=' || setting, ' ' ORDER BY name), '') FROM pg_settings \
         WHERE source = 'session' AND name NOT LIKE 'fixture_guard.%' AND name <> 'application_name'",
        "SELECT current_user || ' ' || session_user || ' ' || current_setting('role')",
        "SELECT coalesce(string_agg(relname, ' ' ORDER BY relname), '') FROM pg_class \
         WHERE relpersistence = 't' AND relkind = 'r' AND relnamespace = pg_my_temp_schema()",
        "SELECT count(*)::text FROM pg_listening_channels()",
        "SELECT coalesce(string_agg(name, ' '), '') FROM pg_prepared_statements WHERE from_sql",
    ];
    let pid = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut *conn).await?;
    let mut answers = Vec::new();
    for question in questions {
        let answer = sqlx::query_scalar(AssertSqlSafe(question)).persistent(false).fetch_one(&mut *conn);
        answers.push(answer.await?);
    }
    Ok((pid, answers))
}

/// What the guard does with its connection.
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
    // the driver may remember types and columns that are gone
    ("CREATE TABLE made (id int); DROP TABLE made", Closed),
    ("CREATE TYPE pg_temp.mood AS ENUM ('ok')", Closed),
    ("CREATE FUNCTION pg_temp.one() RETURNS int LANGUAGE sql AS 'SELECT 1'", Closed),
    ("DECLARE c CURSOR FOR SELECT 1", Used),
    // PostgreSQL lists no setting that neither it nor an extension has defined: this one no question finds
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
async fn the_next_run_gets_a_clean_connection_or_a_new_one() {
    let staging = support::postgres(STAGING).await.storefront().await;
    let policy = disposable(&staging);
    for (statements, then) in ROWS {
        let options = staging.server().admin_options(staging.name());
        let pool = PgPoolOptions::new().max_connections(1).connect_lazy_with(options);
        let (used, before) = session(policy.judging(&pool)).await.unwrap();

        leaves(policy.judging(&pool), statements).await.unwrap();

        let (now, after) = session(policy.judging(&pool)).await.unwrap();
        assert_eq!(after, before, "{statements}");
        assert_eq!(if now == used { Used } else { Closed }, *then, "{statements}");
        pool.close().await;
    }
}

/// What a pool's hook sets up for its connections is there in each run, and stays.
#[tokio::test]
async fn keeps_what_a_hook_set_up() {
    let staging = support::postgres(STAGING).await.storefront().await;
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .after_connect(|connection, _| {
            Box::pin(async move {
                connection
                    .execute("SELECT pg_advisory_lock_shared(7); LISTEN news; SET work_mem = '7MB'")
                    .await?;
                Ok(())
            })
        })
        .connect_lazy_with(staging.options());
    let first = session(disposable(&staging).judging(&pool)).await.unwrap();
    assert!(first.1[0].contains("work_mem=7168"), "{first:?}");

    for _ in 0..2 {
        leaves(disposable(&staging).judging(&pool), "SELECT 1").await.unwrap();
    }

    assert_eq!(session(disposable(&staging).judging(&pool)).await.unwrap(), first);
}

#[destructive_fixture]
async fn runs(conn: &mut PgConnection, statements: &'static str) -> sqlx::Result<()> {
    conn.execute(statements).await?;
    Ok(())
}

/// With a temporary table that a hook made, and triggers that change a setting or the role when the guard checks what is
/// due.
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
            .connect_lazy_with(database.options());
        let (used, before) = session(disposable(&database).judging(&pool)).await.unwrap();

        runs(disposable(&database).judging(&pool), statements).await.unwrap();

        let (now, after) = session(disposable(&database).judging(&pool)).await.unwrap();
        assert_eq!(if now == used { Used } else { Closed }, then, "{statements}");
        assert_eq!(after, before, "{statements}");
        pool.close().await;
    }
}
