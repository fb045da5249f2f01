//! Runs on connections of the guard's own: what the pool's connections are left with by their users is neither met nor
//! changed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fixture_guard::{Code, Environment, Error, Policy, destructive_fixture};
use futures_util::StreamExt;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection, Row};
use support::{APP_USER, Database, Rerun};

use crate::disposable;
use crate::support::{self, STAGING};

/// What nobody waits for longer, on a loaded machine too.
const SOON: Duration = Duration::from_secs(10);

const ORDERS: &str = "CREATE TABLE orders (id int PRIMARY KEY, n int DEFAULT 0); \
    INSERT INTO orders SELECT generate_series(1, 1000); \
    CREATE TABLE categories (id int PRIMARY KEY); INSERT INTO categories SELECT generate_series(1, 5);";

async fn with_orders() -> Database {
    support::postgres(STAGING).await.database(ORDERS).await
}

async fn admin(database: &Database, statements: &str) {
    database.admin().await.execute(sqlx::raw_sql(AssertSqlSafe(statements.to_owned()))).await.unwrap();
}

/// At most this many connections, and a caller that waits for one is told so soon.
fn pool_of(connections: u32) -> PgPoolOptions {
    PgPoolOptions::new().max_connections(connections).acquire_timeout(Duration::from_secs(5))
}

async fn single(database: &Database) -> PgPool {
    pool_of(1).connect_with(database.options()).await.unwrap()
}

/// The first value of the last row, or the SQLSTATE, without a prepared statement.
async fn ask(conn: &mut PgConnection, question: &str) -> String {
    match conn.fetch_one(sqlx::raw_sql(AssertSqlSafe(question.to_owned()))).await {
        Ok(row) => row.try_get(0).unwrap_or_else(|error| error.to_string()),
        Err(error) => {
            let code = error.as_database_error().and_then(|error| error.code().map(Into::into));
            code.unwrap_or_else(|| error.to_string())
        }
    }
}

async fn session(pool: &PgPool) -> String {
    ask(&mut pool.acquire().await.unwrap(), "SELECT pg_backend_pid()::text").await
}

/// Waits until the pool has its connections back, which happens in a task of sqlx's.
async fn until_idle(pool: &PgPool) {
    let idle = async {
        while pool.num_idle() < pool.size() as usize {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, idle).await.expect("the pool has its connections back");
}

/// What a former user of the pool's only connection did; its session.
async fn leave(pool: &PgPool, statements: &str) -> String {
    let mut conn = pool.acquire().await.unwrap();
    let session = ask(&mut conn, "SELECT pg_backend_pid()::text").await;
    let _ = conn.execute(sqlx::raw_sql(AssertSqlSafe(statements.to_owned()))).await;
    drop(conn);
    until_idle(pool).await;
    session
}

/// What the server knows of a session from outside. As long as nobody says anything on it, not one of these changes.
async fn seen(database: &Database, session: &str) -> String {
    let question = format!(
        "SELECT concat_ws(' ', state, query_start, state_change, xact_start, backend_xid, query, \
           (SELECT string_agg(concat_ws(':', locktype, relation, objid, mode), ' ' ORDER BY locktype, relation, objid, mode) \
              FROM pg_locks AS l WHERE l.pid = a.pid)) \
         FROM pg_stat_activity AS a WHERE pid = {session}"
    );
    ask(&mut database.admin().await, &question).await
}

#[destructive_fixture]
async fn anything(conn: &mut PgConnection, statements: &str) -> sqlx::Result<()> {
    conn.execute(sqlx::raw_sql(AssertSqlSafe(statements.to_owned()))).await?;
    Ok(())
}

#[destructive_fixture(tables = ["misspelt"])]
async fn is_refused(conn: &mut PgConnection) -> sqlx::Result<()> {
    conn.execute("DELETE FROM categories").await?;
    Ok(())
}

#[destructive_fixture(tables = ["categories"])]
async fn fails(conn: &mut PgConnection) -> sqlx::Result<()> {
    conn.execute("DELETE FROM categories; SELECT 1 / 0").await?;
    Ok(())
}

#[destructive_fixture(on_success = "rollback", tables = ["categories"])]
async fn rehearses(conn: &mut PgConnection) -> sqlx::Result<()> {
    conn.execute("DELETE FROM categories").await?;
    Ok(())
}

#[destructive_fixture(tables = ["orders"])]
async fn truncates_orders(conn: &mut PgConnection) -> sqlx::Result<()> {
    conn.execute("TRUNCATE orders").await?;
    Ok(())
}

fn codes(error: &sqlx::Error) -> Vec<Code> {
    let refusal = Error::in_sqlx(error).and_then(Error::refusal);
    refusal
        .map(|refusal| refusal.reasons().iter().map(fixture_guard::Reason::code).collect())
        .unwrap_or_default()
}

// A transaction that a former user of the pool left open.

#[derive(Debug, Clone, Copy)]
enum Run {
    Refused,
    Failed,
    Rehearsed,
    RolledBack,
    Committed,
}

async fn run_on(pool: &PgPool, policy: &Arc<Policy>, run: Run) {
    match run {
        Run::Refused => drop(is_refused(policy.judging(pool)).await.unwrap_err()),
        Run::Failed => drop(fails(policy.judging(pool)).await.unwrap_err()),
        Run::Rehearsed => rehearses(policy.judging(pool)).await.unwrap(),
        Run::RolledBack => {
            let mut tx = fixture_guard::begin(policy.judging(pool)).await.unwrap();
            anything(&mut tx, "DELETE FROM categories").await.unwrap();
            tx.rollback().await.unwrap();
        }
        Run::Committed => anything(policy.judging(pool), "DELETE FROM categories").await.unwrap(),
    }
}

#[tokio::test]
async fn leaves_the_transaction_open_that_a_former_user_of_the_pool_left_open() {
    let mut lost = Vec::new();
    for run in [Run::Refused, Run::Failed, Run::Rehearsed, Run::RolledBack, Run::Committed] {
        let database = with_orders().await;
        let (pool, policy) = (single(&database).await, disposable(&database));
        anything(policy.judging(&pool), "SELECT 1").await.unwrap();
        // fixture-guard: allow(the test's own set-up)
        let left = leave(&pool, "BEGIN; DELETE FROM orders").await;
        let before = seen(&database, &left).await;

        let done = tokio::spawn({
            let (pool, policy) = (pool.clone(), Arc::clone(&policy));
            async move { run_on(&pool, &policy, run).await }
        });
        let done = done.await;

        let rows = database.rows("orders").await;
        if rows != 1_000 || done.is_err() || seen(&database, &left).await != before {
            lost.push(format!("{run:?}: {rows} rows left"));
            continue;
        }
        let mut next = pool.acquire().await.unwrap();
        assert_eq!(ask(&mut next, "SELECT pg_backend_pid()::text").await, left, "{run:?}");
        assert_eq!(
            ask(&mut next, "SELECT count(*)::text FROM orders").await,
            "0",
            "{run:?}: its transaction is open"
        );
        next.execute("ROLLBACK").await.unwrap();
        assert_eq!(database.rows("orders").await, 1_000, "{run:?}");
        let kept = if matches!(run, Run::Committed) { 0 } else { 5 };
        assert_eq!(database.rows("categories").await, kept, "{run:?}");
    }
    assert_eq!(lost, Vec::<String>::new());
}

// What else a former user left.

/// What is left; a question of the next user of the pool, and its answer.
const LEFT: &[(&str, &str, &str)] = &[
    ("SELECT 1", "SELECT 'nothing'", "nothing"),
    ("SET work_mem = '7MB'", "SHOW work_mem", "7MB"),
    ("SET app.tenant = 'seven'", "SHOW app.tenant", "seven"),
    ("SET search_path = pg_catalog", "SHOW search_path", "pg_catalog"),
    ("SET statement_timeout = '1h'", "SHOW statement_timeout", "1h"),
    (
        "SET default_transaction_isolation = serializable",
        "SHOW default_transaction_isolation",
        "serializable",
    ),
    ("SET default_transaction_read_only = on", "SHOW default_transaction_read_only", "on"),
    ("SET row_security = off", "SHOW row_security", "off"),
    ("SET standard_conforming_strings = off", "SHOW standard_conforming_strings", "off"),
    ("PREPARE tenant AS SELECT 'a'", "EXECUTE tenant", "a"),
    ("SELECT pg_advisory_lock(7)", "SELECT pg_advisory_unlock(7)::text", "true"),
    (
        "SELECT pg_advisory_lock(7), pg_advisory_lock(7)",
        "SELECT (pg_advisory_unlock(7) AND pg_advisory_unlock(7))::text",
        "true",
    ),
    ("LISTEN news", "SELECT string_agg(c, ' ') FROM pg_listening_channels() AS c", "news"),
    ("CREATE TEMPORARY TABLE scratch AS SELECT 1 AS id", "SELECT count(*)::text FROM scratch", "1"),
    // it hides the table that the fixture means
    ("CREATE TEMPORARY TABLE categories (id int)", "SELECT count(*)::text FROM categories", "0"),
    ("CREATE TEMPORARY VIEW categories AS SELECT 1 AS id", "SELECT count(*)::text FROM categories", "1"),
    ("CREATE TYPE pg_temp.mood AS ENUM ('sad')", "SELECT 'sad'::pg_temp.mood::text", "sad"),
    (
        "CREATE FUNCTION pg_temp.seven() RETURNS text LANGUAGE sql AS $$ SELECT 'seven' $$",
        "SELECT pg_temp.seven()",
        "seven",
    ),
    ("DECLARE c CURSOR WITH HOLD FOR SELECT 'held'", "FETCH c", "held"),
    ("BEGIN; DELETE FROM orders", "SELECT count(*)::text FROM orders", "0"),
    ("BEGIN; SET LOCAL work_mem = '7MB'", "SHOW work_mem", "7MB"),
    ("BEGIN READ ONLY; SELECT 1", "SHOW transaction_read_only", "on"),
    ("BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT 1", "SHOW transaction_isolation", "serializable"),
    ("BEGIN; SAVEPOINT a; DELETE FROM orders", "ROLLBACK TO a; SELECT count(*)::text FROM orders", "1000"),
    ("BEGIN; SELECT 1 / 0", "SELECT 'not aborted any more'", "25P02"),
];

/// What a session may have that a transaction does not take with it; without what the guard makes on its own.
const STATE: &str = "SELECT concat_ws(' | ', \
    (SELECT string_agg(name || '=' || setting, ' ' ORDER BY name) FROM pg_settings \
      WHERE source = 'session' AND name NOT LIKE 'fixture_guard.%'), \
    current_user, session_user, current_setting('app.tenant', true), \
    (SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory'), \
    (SELECT string_agg(c, ' ') FROM pg_listening_channels() AS c), \
    (SELECT string_agg(name, ' ' ORDER BY name) FROM pg_cursors WHERE is_holdable AND name NOT LIKE 'fixture_guard%'), \
    (SELECT string_agg(name, ' ' ORDER BY name) FROM pg_prepared_statements \
      WHERE from_sql AND name NOT LIKE 'fixture_guard%'), \
    (SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class WHERE relnamespace = pg_my_temp_schema() \
      AND relkind IN ('r', 'v') AND relname NOT LIKE 'fixture_guard%'), \
    (SELECT string_agg(typname, ' ' ORDER BY typname) FROM pg_type WHERE typnamespace = pg_my_temp_schema() \
      AND typtype = 'e'), \
    (SELECT string_agg(proname, ' ' ORDER BY proname) FROM pg_proc WHERE pronamespace = pg_my_temp_schema() \
      AND proname NOT LIKE 'fixture_guard%'))";

/// Looks about, and removes one row.
#[destructive_fixture]
async fn looks(conn: &mut PgConnection) -> sqlx::Result<String> {
    let state = ask(conn, STATE).await;
    conn.execute("DELETE FROM categories WHERE id = 1").await?;
    Ok(state)
}

/// What the fixture finds on a pool that nobody has used.
async fn fresh() -> (Database, String) {
    let database = with_orders().await;
    let (pool, policy) = (single(&database).await, disposable(&database));
    looks(policy.judging(&pool)).await.unwrap();
    let fresh = looks(policy.judging(&pool)).await.unwrap();
    (database, fresh)
}

#[tokio::test]
async fn behaves_as_on_a_fresh_pool_whatever_a_former_user_left_and_leaves_it_there() {
    let (database, fresh) = fresh().await;
    let policy = disposable(&database);
    let mut wrong = Vec::new();
    // a run before, so that the connection may be one that a guard knows, or none
    for known in [false, true] {
        for (left, question, answer) in LEFT {
            admin(&database, "INSERT INTO categories VALUES (1) ON CONFLICT DO NOTHING").await;
            let pool = single(&database).await;
            if known {
                anything(policy.judging(&pool), "SELECT 1").await.unwrap();
            }
            // fixture-guard: allow(the test's own set-up)
            let session = leave(&pool, left).await;
            let before = seen(&database, &session).await;

            let returned = looks(policy.judging(&pool)).await;

            match returned {
                Ok(state) if state == fresh => {}
                Ok(state) => wrong.push(format!("{left} ({known}): the fixture finds {state}")),
                Err(error) => wrong.push(format!("{left} ({known}): {error}")),
            }
            if database.rows("categories").await != 4 {
                wrong.push(format!("{left} ({known}): the row is still there"));
            }
            if seen(&database, &session).await != before {
                wrong.push(format!("{left} ({known}): somebody spoke on the pool's connection"));
            }
            let mut next = pool.acquire().await.unwrap();
            if ask(&mut next, question).await != *answer {
                wrong.push(format!("{left} ({known}): the next user does not find it"));
            }
            next.close().await.unwrap();
            pool.close().await;
        }
    }
    assert!(wrong.is_empty(), "fresh: {fresh}\n{}", wrong.join("\n"));
}

/// What a former user began to read and dropped; the server is still sending it, or has sent it to nobody.
#[tokio::test]
async fn behaves_as_on_a_fresh_pool_when_a_former_user_dropped_a_copy() {
    let (database, fresh) = fresh().await;
    let (pool, policy) = (single(&database).await, disposable(&database));
    let mut conn = pool.acquire().await.unwrap();
    let session = ask(&mut conn, "SELECT pg_backend_pid()::text").await;
    {
        let mut copy = conn.copy_out_raw("COPY (SELECT generate_series(1, 100000)) TO STDOUT").await.unwrap();
        copy.next().await.unwrap().unwrap();
    }
    drop(conn);
    admin(&database, "INSERT INTO categories VALUES (1)").await;
    let before = seen(&database, &session).await;

    let state = tokio::time::timeout(SOON, looks(policy.judging(&pool))).await.expect("in time").unwrap();

    assert_eq!(state, fresh);
    assert_eq!(database.rows("categories").await, 4);
    // the server may have finished the COPY meanwhile: that its client said nothing new is what counts
    let query = |seen: &str| seen.contains("COPY (SELECT generate_series");
    assert_eq!(query(&before), query(&seen(&database, &session).await));
}

#[destructive_fixture]
async fn drops_a_copy(conn: &mut PgConnection) -> sqlx::Result<()> {
    let mut copy = conn.copy_out_raw("COPY (SELECT generate_series(1, 100000)) TO STDOUT").await?;
    copy.next().await.unwrap()?;
    Ok(())
}

#[destructive_fixture]
async fn says(conn: &mut PgConnection, what: &str) -> sqlx::Result<String> {
    sqlx::query_scalar("SELECT $1").bind(what).fetch_one(conn).await
}

#[tokio::test]
async fn the_next_user_reads_their_own_answers_after_a_body_dropped_a_copy() {
    let database = with_orders().await;
    let (pool, policy) = (single(&database).await, disposable(&database));
    let before = session(&pool).await;

    // whether it can be kept is the guard's to say
    let _ = tokio::time::timeout(SOON, drops_a_copy(policy.judging(&pool))).await.expect("in time");

    for n in 1..=3 {
        let answer =
            sqlx::query_scalar::<_, String>("SELECT $1").bind(format!("answer {n}")).fetch_all(&pool).await;
        assert_eq!(answer.unwrap(), [format!("answer {n}")]);
    }
    for what in ["run 1", "run 2", "run 3"] {
        assert_eq!(says(policy.judging(&pool), what).await.unwrap(), what);
    }
    assert_eq!(session(&pool).await, before, "it is the pool's own connection still");
}

/// What a body may leave that a rollback does not take, or a commit keeps. (No question of the server's lists a setting that
/// neither it nor an extension defines, as `app.tenant`: docs/limits.md.)
const LEAVES: &[&str] = &[
    "SELECT 1",
    "PREPARE tenant AS SELECT 'b'",
    "DEALLOCATE ALL",
    "SELECT pg_advisory_lock(7), pg_advisory_lock(7)",
    "LISTEN other",
    "UNLISTEN *; LISTEN other",
    "SET work_mem = '7MB'",
    "SET search_path = pg_catalog",
    "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
    "RESET ALL",
    "CREATE TEMPORARY TABLE scratch (id int)",
    "CREATE TEMPORARY TABLE categories (id int)",
    "CREATE TYPE pg_temp.mood AS ENUM ('happy')",
    "CREATE FUNCTION pg_temp.seven() RETURNS int LANGUAGE sql AS 'SELECT 7'",
    "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
    "DISCARD SEQUENCES",
    "DISCARD PLANS",
];

#[tokio::test]
async fn nothing_that_a_body_leaves_is_found_in_the_pool_or_by_the_next_run() {
    let (database, fresh) = fresh().await;
    let policy = disposable(&database);
    let mut wrong = Vec::new();
    for leaves in LEAVES {
        for end in ["", "; SELECT 1 / 0"] {
            let pool = single(&database).await;
            let body = format!("{leaves}{end}");
            let before = (session(&pool).await, ask(&mut pool.acquire().await.unwrap(), STATE).await);

            let _ = anything(policy.judging(&pool), &body).await;

            let after = (session(&pool).await, ask(&mut pool.acquire().await.unwrap(), STATE).await);
            if after != before {
                wrong.push(format!("{body}: the pool had {before:?} and has {after:?}"));
            }
            match looks(policy.judging(&pool)).await {
                Ok(state) if state == fresh => {}
                Ok(state) => wrong.push(format!("{body}: the next run finds {state}")),
                Err(error) => wrong.push(format!("{body}: the next run: {error}")),
            }
            pool.close().await;
        }
    }
    assert!(wrong.is_empty(), "fresh: {fresh}\n{}", wrong.join("\n"));
}

/// By statements that sqlx keeps, so that it knows their columns and types.
#[destructive_fixture]
async fn reshapes_and_fails(conn: &mut PgConnection) -> sqlx::Result<()> {
    conn.execute("CREATE TYPE mood AS ENUM ('sad'); ALTER TABLE categories ADD COLUMN mood mood").await?;
    sqlx::query("SELECT * FROM categories").fetch_all(&mut *conn).await?;
    sqlx::query("SELECT typname::text, 'sad'::mood FROM pg_type LIMIT 1").fetch_all(&mut *conn).await?;
    Err(sqlx::Error::RowNotFound)
}

#[destructive_fixture]
async fn reads(conn: &mut PgConnection) -> sqlx::Result<usize> {
    Ok(sqlx::query("SELECT * FROM categories").fetch_all(conn).await?.len())
}

#[tokio::test]
async fn the_next_user_reads_a_table_whose_change_was_rolled_back() {
    let database = with_orders().await;
    let (pool, policy) = (single(&database).await, disposable(&database));
    let error = reshapes_and_fails(policy.judging(&pool)).await.unwrap_err();
    assert!(matches!(error, sqlx::Error::RowNotFound), "{error}");

    for _ in 0..3 {
        let rows = sqlx::query("SELECT * FROM categories").fetch_all(&pool).await;
        assert_eq!(rows.map(|rows| rows.len()).map_err(|error| error.to_string()), Ok(5));
        let rows = reads(policy.judging(&pool)).await;
        assert_eq!(rows.map_err(|error| error.to_string()), Ok(5));
    }
}

// Sessions that may only read.

#[derive(Debug, Clone, Copy)]
enum ReadOnly {
    Options,
    Parameter,
    Characteristics,
    Hook,
    BeforeAcquire,
    Database,
    Role,
}

const PARAMETER: &str = "options=-c%20default_transaction_read_only%3Don";

async fn read_only(database: &Database, how: ReadOnly) -> PgPool {
    let (name, options) = (database.name(), database.options());
    let hook = |statement: &'static str| {
        pool_of(2).after_connect(move |connection, _| {
            Box::pin(async move { connection.execute(statement).await.map(drop) })
        })
    };
    let pool = match how {
        ReadOnly::Options => {
            pool_of(2).connect_with(options.options([("default_transaction_read_only", "on")])).await
        }
        ReadOnly::Parameter => pool_of(2).connect(&format!("{}?{PARAMETER}", database.dsn())).await,
        ReadOnly::Characteristics => {
            hook("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY").connect_with(options).await
        }
        ReadOnly::Hook => hook("SET default_transaction_read_only = on").connect_with(options).await,
        ReadOnly::BeforeAcquire => {
            let each = pool_of(2).before_acquire(|connection, _| {
                Box::pin(async move {
                    connection.execute("SET default_transaction_read_only = on").await?;
                    Ok(true)
                })
            });
            let pool = each.connect_with(options).await.unwrap();
            // sqlx asks the hook about connections that have been in the pool; the guard has to about new ones too
            drop(pool.acquire().await.unwrap());
            until_idle(&pool).await;
            Ok(pool)
        }
        ReadOnly::Database => {
            admin(database, &format!("ALTER DATABASE {name} SET default_transaction_read_only = on")).await;
            pool_of(2).connect_with(options).await
        }
        ReadOnly::Role => {
            let role =
                format!("ALTER ROLE {APP_USER} IN DATABASE {name} SET default_transaction_read_only = on");
            admin(database, &role).await;
            pool_of(2).connect_with(options).await
        }
    };
    pool.unwrap()
}

#[tokio::test]
async fn leaves_every_row_where_the_pools_sessions_may_only_read() {
    let mut lost = Vec::new();
    for how in [
        ReadOnly::Options,
        ReadOnly::Parameter,
        ReadOnly::Characteristics,
        ReadOnly::Hook,
        ReadOnly::BeforeAcquire,
        ReadOnly::Database,
        ReadOnly::Role,
    ] {
        let database = with_orders().await;
        let (pool, policy) = (read_only(&database, how).await, disposable(&database));
        for time in ["first", "second"] {
            let result = truncates_orders(policy.judging(&pool)).await;

            let rows = database.rows("orders").await;
            match result {
                Err(error) if rows == 1_000 && codes(&error) == [Code::ReadOnly] => {}
                result => lost.push(format!("{how:?}, {time}: {rows} rows left, {result:?}")),
            }
        }
    }
    assert!(lost.is_empty(), "{}", lost.join("\n"));
}

#[tokio::test]
async fn leaves_every_row_where_a_dsn_or_options_say_that_the_session_may_only_read() {
    let database = with_orders().await;
    let policy = disposable(&database);

    let by_dsn = truncates_orders(policy.judging(format!("{}?{PARAMETER}", database.dsn()))).await;
    assert_eq!(database.rows("orders").await, 1_000, "{by_dsn:?}");
    assert_eq!(codes(&by_dsn.unwrap_err()), [Code::ReadOnly]);

    let options = database.options().options([("default_transaction_read_only", "on")]);
    let by_options = truncates_orders(policy.judging(options)).await;
    assert_eq!(database.rows("orders").await, 1_000, "{by_options:?}");
    assert_eq!(codes(&by_options.unwrap_err()), [Code::ReadOnly]);
}

#[tokio::test]
async fn leaves_every_row_where_a_variable_says_that_the_session_may_only_read() {
    support::rerun!(Rerun::new().env("PGOPTIONS", "-c default_transaction_read_only=on"));
    // made by the superuser, who says for each session that it may write
    let database = support::postgres(STAGING).await.empty_database().await;
    admin(&database, &format!("{ORDERS} ALTER TABLE orders OWNER TO {APP_USER}")).await;

    let result = truncates_orders(disposable(&database).judging(database.options())).await;

    assert_eq!(database.rows("orders").await, 1_000, "{result:?}");
    assert_eq!(codes(&result.unwrap_err()), [Code::ReadOnly]);
}

/// On a server of its own, because it is the whole server that is read-only.
#[tokio::test]
async fn leaves_every_row_of_a_server_that_may_only_be_read() {
    let server = support::postgres("read-only-staging.internal").await;
    let options = server.admin_options("postgres").options([("default_transaction_read_only", "off")]);
    let mut superuser = options.connect().await.unwrap();
    let writable = "ALTER SYSTEM RESET default_transaction_read_only";
    let reload = "SELECT pg_reload_conf()";
    superuser.execute(writable).await.unwrap();
    superuser.execute(reload).await.unwrap();
    until_server_says(server, "off").await;
    let database = server.database(ORDERS).await;
    superuser.execute("ALTER SYSTEM SET default_transaction_read_only = on").await.unwrap();
    superuser.execute(reload).await.unwrap();
    until_server_says(server, "on").await;

    let result = truncates_orders(disposable(&database).judging(database.options())).await;

    superuser.execute(writable).await.unwrap();
    superuser.execute(reload).await.unwrap();
    assert_eq!(database.rows("orders").await, 1_000, "{result:?}");
    assert_eq!(codes(&result.unwrap_err()), [Code::ReadOnly]);
}

/// New sessions have what the server read last.
async fn until_server_says(server: &'static support::Server, value: &str) {
    let says = async {
        // not the superuser's, who says for each session that it may write
        loop {
            let mut conn = server.options("postgres").connect().await.unwrap();
            if ask(&mut conn, "SHOW default_transaction_read_only").await == value {
                break;
            }
        }
    };
    tokio::time::timeout(SOON, says).await.expect("the server reads its configuration");
}

// The pool is the caller's.

#[tokio::test]
async fn runs_while_the_test_holds_the_only_connection_of_the_pool() {
    let database = with_orders().await;
    let (pool, policy) = (single(&database).await, disposable(&database));
    for _ in 0..2 {
        let held = pool.acquire().await.unwrap();

        let run = tokio::time::timeout(SOON, anything(policy.judging(&pool), "DELETE FROM orders")).await;

        run.expect("in time").unwrap();
        assert_eq!(database.rows("orders").await, 0);
        drop(held);
        admin(&database, "INSERT INTO orders SELECT generate_series(1, 1000)").await;
    }
}

#[tokio::test]
async fn runs_while_the_test_holds_a_transaction_on_the_only_connection_of_the_pool() {
    let database = with_orders().await;
    let (pool, policy) = (single(&database).await, disposable(&database));
    let mut tx = pool.begin().await.unwrap();
    sqlx::query("INSERT INTO categories VALUES (77)").execute(&mut *tx).await.unwrap();

    let run = tokio::time::timeout(SOON, anything(policy.judging(&pool), "DELETE FROM orders")).await;

    run.expect("in time").unwrap();
    assert_eq!(database.rows("orders").await, 0);
    tx.commit().await.unwrap();
    assert_eq!(database.rows("categories").await, 6);
}

#[tokio::test]
async fn the_pool_has_as_many_connections_after_a_run_as_before() {
    let database = with_orders().await;
    let pool = pool_of(5).connect_with(database.options()).await.unwrap();
    let before = (pool.size(), session(&pool).await);

    for _ in 0..3 {
        until_idle(&pool).await;
        anything(disposable(&database).judging(&pool), "DELETE FROM orders").await.unwrap();
    }

    until_idle(&pool).await;
    assert_eq!((pool.size(), session(&pool).await), before);
}

fn current_thread() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// As tests do, each of which has a runtime of its own: what one left idle belongs to a runtime that has ended.
#[test]
fn runs_in_one_runtime_after_another() {
    let first = current_thread();
    let database = first.block_on(with_orders());
    let policy = disposable(&database);
    let pool = first.block_on(async { pool_of(2).connect_lazy_with(database.options()) });
    let run = |statement: &'static str| {
        let (policy, pool, options) = (Arc::clone(&policy), pool.clone(), database.options());
        async move {
            anything(policy.judging(&pool), statement).await?;
            anything(policy.judging(options), statement).await
        }
    };
    first.block_on(run("DELETE FROM orders WHERE id <= 10")).unwrap();
    drop(first);

    let second = current_thread();
    let ended =
        second.block_on(async { tokio::time::timeout(SOON, run("DELETE FROM orders WHERE id <= 20")).await });
    ended.expect("in time").unwrap();

    // and beside one that goes on
    let third = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let ended =
        third.block_on(async { tokio::time::timeout(SOON, run("DELETE FROM orders WHERE id <= 30")).await });
    ended.expect("in time").unwrap();
    let ended =
        second.block_on(async { tokio::time::timeout(SOON, run("DELETE FROM orders WHERE id <= 40")).await });
    ended.expect("in time").unwrap();
    assert_eq!(second.block_on(database.rows("orders")), 960);
}

const TENANTS: &str = "CREATE SCHEMA seven; CREATE TABLE seven.notes AS SELECT generate_series(1, 7) AS id; \
    CREATE SCHEMA eight; CREATE TABLE eight.notes AS SELECT generate_series(1, 8) AS id;";

#[destructive_fixture(tables = ["notes"])]
async fn empties_notes(conn: &mut PgConnection) -> sqlx::Result<String> {
    conn.execute("DELETE FROM notes").await?;
    Ok(ask(conn, "SELECT current_user::text || ' ' || current_schema()").await)
}

/// The hook says which tenant's tables an unqualified name means.
#[tokio::test]
async fn leaves_every_row_of_another_tenant_than_the_pools_hook_names() {
    let database = support::postgres(STAGING).await.database(TENANTS).await;
    let policy = disposable(&database);
    // the options alone would mean the other one
    let options = database.options().options([("search_path", "eight")]);
    let pool = pool_of(1)
        .after_connect(|connection, _| {
            Box::pin(async move { connection.execute("SET search_path = seven").await.map(drop) })
        })
        .connect_with(options)
        .await
        .unwrap();
    let held = pool.acquire().await.unwrap();
    drop(held);

    for _ in 0..2 {
        let whose = empties_notes(policy.judging(&pool)).await.unwrap();
        assert_eq!(whose, format!("{APP_USER} seven"));
    }

    assert_eq!((database.rows("seven.notes").await, database.rows("eight.notes").await), (0, 8));
}

/// A hook that fails leaves nobody a connection that it has not set up.
#[tokio::test]
async fn leaves_every_row_when_the_pools_hook_fails() {
    let database = with_orders().await;
    let pool = pool_of(1)
        .after_connect(|connection, _| {
            Box::pin(async move {
                connection.execute("SET search_path = pg_catalog; SELECT 1 / 0").await.map(drop)
            })
        })
        .connect_lazy_with(database.options());

    let run = truncates_orders(disposable(&database).judging(&pool));

    tokio::time::timeout(SOON, run).await.expect("in time").unwrap_err();
    assert_eq!(database.rows("orders").await, 1_000);
}

/// Roles belong to the whole server, so that the tests that need them share them.
async fn with_tenant_roles() -> Database {
    let database = support::postgres(STAGING).await.database(&format!("{ORDERS} {TENANTS}")).await;
    let roles = format!(
        "DO $$ BEGIN CREATE ROLE storefront_seven; CREATE ROLE storefront_eight; \
           GRANT storefront_seven, storefront_eight TO {APP_USER}; \
           EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
    );
    // the roles' rights are in this database alone
    admin(&database, &roles).await;
    let rights = "GRANT ALL ON ALL TABLES IN SCHEMA public TO storefront_seven, storefront_eight; \
        GRANT USAGE ON SCHEMA public TO storefront_seven, storefront_eight";
    admin(&database, rights).await;
    database
}

#[destructive_fixture(tables = ["orders"])]
async fn deletes_an_order(conn: &mut PgConnection) -> sqlx::Result<String> {
    conn.execute("DELETE FROM orders WHERE id = (SELECT min(id) FROM orders)").await?;
    Ok(ask(conn, "SELECT current_user::text").await)
}

#[tokio::test]
async fn runs_as_the_role_that_the_pools_hook_sets() {
    let database = with_tenant_roles().await;
    let pool = pool_of(1)
        .after_connect(|connection, _| {
            Box::pin(async move { connection.execute("SET ROLE storefront_seven").await.map(drop) })
        })
        .connect_with(database.options())
        .await
        .unwrap();
    for _ in 0..2 {
        assert_eq!(deletes_an_order(disposable(&database).judging(&pool)).await.unwrap(), "storefront_seven");
    }
    assert_eq!(database.rows("orders").await, 998);
}

#[tokio::test]
async fn runs_as_the_role_that_the_pool_sets_at_each_acquire() {
    let database = with_tenant_roles().await;
    let turns = Arc::new(AtomicUsize::new(0));
    let pool = pool_of(1)
        .before_acquire({
            let turns = Arc::clone(&turns);
            move |connection, _| {
                let role = ["SET ROLE storefront_seven", "SET ROLE storefront_eight"]
                    [turns.fetch_add(1, Ordering::SeqCst) % 2];
                Box::pin(async move { connection.execute(role).await.map(|_| true) })
            }
        })
        .connect_with(database.options())
        .await
        .unwrap();
    drop(pool.acquire().await.unwrap());
    until_idle(&pool).await;

    let mut roles = Vec::new();
    for _ in 0..6 {
        roles.push(deletes_an_order(disposable(&database).judging(&pool)).await.unwrap());
    }

    assert_eq!(database.rows("orders").await, 994);
    // sqlx asks no such hook about a connection that is new
    let set = roles[1..].iter().all(|role| ["storefront_seven", "storefront_eight"].contains(&role.as_str()));
    assert!(set, "{roles:?}");
}

// The guard's connections go when the caller's do.

async fn has_left(database: &Database, what: &str) {
    tokio::time::timeout(SOON, crate::until_all_have_left(database))
        .await
        .unwrap_or_else(|_| panic!("{what}: a session is left"));
}

#[tokio::test]
async fn a_pool_that_is_closed_takes_the_guards_connections_along() {
    let database = with_orders().await;
    let policy = disposable(&database);
    let pool = database.pool().await;
    for result in
        futures_util::future::join_all((0..3).map(|_| anything(policy.judging(&pool), "SELECT 1"))).await
    {
        result.unwrap();
    }

    pool.close().await;

    has_left(&database, "closed").await;
}

#[tokio::test]
async fn a_database_can_be_dropped_after_its_pool_was_closed_or_dropped() {
    for way in ["pool closed", "pool dropped", "options", "DSN", "transaction"] {
        let database = with_orders().await;
        let policy = disposable(&database);
        match way {
            "options" => anything(policy.judging(database.options()), "SELECT 1").await.unwrap(),
            "DSN" => anything(policy.judging(database.dsn()), "SELECT 1").await.unwrap(),
            "transaction" => {
                let mut tx = fixture_guard::begin(policy.judging(database.options())).await.unwrap();
                anything(&mut tx, "DELETE FROM orders").await.unwrap();
                tx.rollback().await.unwrap();
            }
            _ => {
                let pool = single(&database).await;
                anything(policy.judging(&pool), "SELECT 1").await.unwrap();
                if way == "pool closed" {
                    pool.close().await;
                }
            }
        }

        let drop = AssertSqlSafe(format!("DROP DATABASE {}", database.name()));
        let dropped = database.server().admin().await.execute(drop).await; // fixture-guard: allow(its own database)

        // the server itself waits for five seconds until everybody has left
        dropped.unwrap_or_else(|error| panic!("{way}: {error}"));
    }
}

/// As test suites do: the pool is still there, and only its connections were given up.
#[tokio::test]
async fn an_idle_connection_of_the_guard_does_not_keep_a_database_from_being_dropped() {
    let database = with_orders().await;
    let (pool, policy) = (single(&database).await, disposable(&database));
    anything(policy.judging(&pool), "SELECT 1").await.unwrap();
    let own = pool.acquire().await.unwrap();
    own.close().await.unwrap();

    let drop = AssertSqlSafe(format!("DROP DATABASE {}", database.name()));
    let dropped = database.server().admin().await.execute(drop).await; // fixture-guard: allow(its own database)

    dropped.unwrap();
}

#[tokio::test]
async fn a_limit_on_other_sessions_does_not_count_the_guards_own() {
    let database = with_orders().await;
    let host = database.server().address().to_string();
    let tests = Environment::destructive("tests").host(&host).unwrap().max_other_sessions(0);
    let policy = Arc::new(Policy::new().environment(tests).unwrap());
    let pool = single(&database).await;

    for _ in 0..3 {
        anything(policy.judging(&pool), "DELETE FROM orders WHERE id <= 10").await.unwrap();
    }
    pool.close().await;
    has_left(&database, "closed").await;
    for _ in 0..2 {
        anything(policy.judging(database.options()), "DELETE FROM orders WHERE id <= 20").await.unwrap();
        anything(policy.judging(database.dsn()), "DELETE FROM orders WHERE id <= 30").await.unwrap();
    }
    assert_eq!(database.rows("orders").await, 970);

    // somebody else still counts
    let other = database.options().connect().await.unwrap();
    let error = anything(policy.judging(database.options()), "DELETE FROM orders").await.unwrap_err();
    assert_eq!(codes(&error), [Code::OtherSessions], "{error}");
    assert_eq!(database.rows("orders").await, 970);
    other.close().await.unwrap();
}

#[tokio::test]
async fn runs_after_the_server_has_ended_every_idle_session() {
    let database = with_orders().await;
    let (pool, policy) = (database.pool().await, disposable(&database));
    for n in 1..=4 {
        let delete = format!("DELETE FROM orders WHERE id = {n}");
        anything(policy.judging(&pool), &delete).await.unwrap();
        anything(policy.judging(database.options()), &delete).await.unwrap();
        until_idle(&pool).await;
        let end = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity \
            WHERE datname = current_database() AND pid <> pg_backend_pid()";
        admin(&database, end).await;
    }
    assert_eq!(database.rows("orders").await, 996);
}

/// A login of the test's own, whose password can be changed.
async fn login(database: &Database, password: &str) -> PgConnectOptions {
    let user = format!("login_of_{}", database.name());
    let role = format!(
        "CREATE ROLE {user} LOGIN PASSWORD '{password}'; GRANT ALL ON ALL TABLES IN SCHEMA public TO {user}"
    );
    admin(database, &role).await;
    database.options().username(&user).password(password)
}

async fn forget(database: &Database) {
    let user = format!("login_of_{}", database.name());
    // fixture-guard: allow(the test's own set-up)
    admin(database, &format!("DROP OWNED BY {user}; DROP ROLE {user}")).await;
}

#[destructive_fixture]
async fn who(conn: &mut PgConnection) -> sqlx::Result<String> {
    Ok(ask(conn, "SELECT session_user || ' ' || current_setting('application_name')").await)
}

#[tokio::test]
async fn a_run_uses_the_password_that_the_pool_was_given_last() {
    let database = with_orders().await;
    let options = login(&database, "first").await;
    let user = format!("login_of_{}", database.name());
    let (pool, policy) = (pool_of(2).connect_with(options.clone()).await.unwrap(), disposable(&database));
    who(policy.judging(&pool)).await.unwrap();

    admin(&database, &format!("ALTER ROLE {user} PASSWORD 'second'")).await;
    pool.set_connect_options(options.clone().password("second"));
    who(policy.judging(&pool)).await.unwrap();
    let end = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity \
        WHERE datname = current_database() AND pid <> pg_backend_pid()";
    admin(&database, end).await;
    let after = who(policy.judging(&pool)).await;

    assert!(after.as_ref().is_ok_and(|who| who.starts_with(&user)), "{after:?}");
    pool.close().await;
    forget(&database).await;
}

/// The pool's connections of before may still be there; where a run goes is what the pool says now.
#[tokio::test]
async fn a_run_goes_where_the_pool_was_last_told_to_go() {
    let database = with_orders().await;
    let options = login(&database, "first").await;
    let user = format!("login_of_{}", database.name());
    let (pool, policy) = (single(&database).await, disposable(&database));
    let before = who(policy.judging(&pool)).await.unwrap();
    assert!(before.starts_with(APP_USER), "{before}");

    pool.set_connect_options(options);
    let after = who(policy.judging(&pool)).await.unwrap();

    assert!(after.starts_with(&user), "{after}");
    pool.close().await;
    forget(&database).await;
}
