//! The guard does no harm of its own, and refuses no database that it could guard.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use fixture_guard::{
    Code, Environment, Error, GuardedTransaction, Policy, RunEnding, destructive_fixture, observe,
};
use futures_util::FutureExt;
use futures_util::future::join_all;
use sqlx::postgres::{PgConnectOptions, PgPool};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection, Row};
use support::{Bouncer, Database, PoolMode};

use crate::disposable;
use crate::support::{self, STAGING};

const ORDERS: &str =
    "CREATE TABLE orders (id int PRIMARY KEY); INSERT INTO orders SELECT generate_series(1, 1000)";

async fn orders() -> Database {
    support::postgres(STAGING).await.database(ORDERS).await
}

#[destructive_fixture]
async fn runs(conn: &mut PgConnection, statements: &str) -> sqlx::Result<()> {
    conn.execute(sqlx::raw_sql(AssertSqlSafe(statements.to_owned()))).await.map(drop)
}

#[destructive_fixture(on_success = "rollback")]
async fn rehearses(conn: &mut PgConnection, statements: &str) -> sqlx::Result<()> {
    conn.execute(sqlx::raw_sql(AssertSqlSafe(statements.to_owned()))).await.map(drop)
}

#[destructive_fixture(tables = ["misspelt"])]
async fn misspelt(_: &mut PgConnection) -> Result<(), Error> {
    Ok(())
}

#[destructive_fixture]
async fn panics(conn: &mut PgConnection) -> sqlx::Result<()> {
    conn.execute("DELETE FROM orders").await?;
    std::panic::resume_unwind(Box::new("the body panics"))
}

/// PgBouncer in transaction pooling, which logs in at the server as `login`.
async fn behind(database: &Database, login: &str) -> (Bouncer, PgConnectOptions, Arc<Policy>) {
    let conninfo = format!("host={STAGING} port=5432 dbname={}{login}", database.name());
    let bouncer = support::pgbouncer(&[(database.name(), &conninfo)], PoolMode::Transaction).await;
    let options = bouncer.options(database.name()).statement_cache_capacity(0);
    let cluster = database.server().system_identifier().parse().unwrap();
    let tests = Environment::destructive("tests")
        .host(&bouncer.address().to_string())
        .unwrap()
        .system_identifier(cluster)
        .server_user("storefront_careless")
        .unwrap();
    (bouncer, options, Arc::new(Policy::new().environment(tests).unwrap()))
}

/// The state of each server session that the pooler has, all at once.
async fn server_sessions(options: &PgConnectOptions) -> Vec<String> {
    let clients = join_all((0..5).map(|_| options.connect())).await;
    let mut clients: Vec<PgConnection> = clients.into_iter().collect::<Result<_, _>>().unwrap();
    let mut states = Vec::new();
    for client in &mut clients {
        let state = sqlx::raw_sql(
            "BEGIN; SELECT concat_ws(' ', current_setting('role'), current_setting('default_transaction_read_only'), \
             current_setting('statement_timeout'), \
             (SELECT count(*) FROM pg_proc WHERE proname LIKE 'fixture_guard%' AND pronamespace = pg_my_temp_schema()), \
             (SELECT count(*) FROM pg_class WHERE relname LIKE 'fixture_guard%' AND relnamespace = pg_my_temp_schema()), \
             (SELECT count(*) FROM pg_prepared_statements), \
             (SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory'))",
        );
        states.push(client.fetch_one(state).await.unwrap().get(0));
    }
    states
}

#[tokio::test]
async fn leaves_no_trace_on_a_poolers_sessions_however_a_run_ends() {
    let server = support::postgres(STAGING).await;
    let role = "DO $$ BEGIN CREATE ROLE storefront_careless SUPERUSER LOGIN PASSWORD 'careless'; \
                EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$";
    server.admin().await.execute(role).await.unwrap();
    for login in ["", " user=storefront_careless password=careless"] {
        let database = orders().await;
        let (_bouncer, options, policy) = behind(&database, login).await;
        let target = || policy.judging(options.clone());
        assert_eq!(server_sessions(&options).await, ["none off 0 0 0 0 0"; 5]);

        misspelt(target()).await.unwrap_err();
        runs(target(), "DELETE FROM orders; SELECT 1 / 0").await.unwrap_err();
        rehearses(target(), "DELETE FROM orders").await.unwrap();
        AssertUnwindSafe(panics(target())).catch_unwind().await.unwrap_err();
        runs(target(), "DELETE FROM orders; COMMIT").await.unwrap_err();
        runs(target(), "DELETE FROM orders; ROLLBACK").await.unwrap_err();
        assert_eq!(database.rows("orders").await, 1_000);
        runs(target(), "DELETE FROM orders WHERE id > 900").await.unwrap();
        drop(fixture_guard::begin(target()).await.unwrap());

        assert_eq!(server_sessions(&options).await, ["none off 0 0 0 0 0"; 5], "{login}");
        assert_eq!(database.rows("orders").await, 900);
    }
}

#[destructive_fixture]
async fn swaps(conn: &mut PgConnection, other: &mut PgConnection) -> sqlx::Result<()> {
    std::mem::swap(conn, other);
    conn.execute("DELETE FROM orders").await.map(drop)
}

/// Its rows are gone: that is what the report has to say.
#[tokio::test]
async fn reports_a_body_that_works_on_another_connection_as_escaped() {
    let database = orders().await;
    let mut other = database.options().connect().await.unwrap();

    let observed = observe(swaps(disposable(&database).judging(database.options()), &mut other)).await;

    observed.returned.unwrap_err();
    assert_eq!(database.rows("orders").await, 0);
    assert_eq!(observed.runs[0].ending, RunEnding::Escaped);
    assert!(observed.runs[0].damage.is_none());
}

/// Sends each statement by itself, swallows its error, and forgets a nested transaction if it is told to.
async fn swallows(conn: &mut PgConnection, statements: &[&str]) {
    for statement in statements {
        if *statement == "forget" {
            std::mem::forget(conn.begin().await.unwrap());
        } else {
            let _ = conn.execute(sqlx::raw_sql(AssertSqlSafe((*statement).to_owned()))).await;
        }
    }
}

#[destructive_fixture]
async fn goes_on(conn: &mut PgConnection, statements: &[&str]) -> Result<(), Error> {
    swallows(conn, statements).await;
    Ok(())
}

#[destructive_fixture]
async fn around(tx: &mut GuardedTransaction, statements: &[&str]) -> Result<(), Error> {
    goes_on(tx, statements).await
}

/// Whatever else is wrong at the end: rows that went outside of the transaction are not called rolled back.
#[tokio::test]
async fn reports_an_escape_also_where_the_end_fails_for_another_reason() {
    for nested in [false, true] {
        for rest in [&["forget"][..], &["SELECT 1 / 0"]] {
            let database = orders().await;
            let (_bouncer, options, policy) = behind(&database, "").await;
            let statements = [&["ROLLBACK", "DELETE FROM orders", "BEGIN"][..], rest].concat();

            let observed = if nested {
                observe(around(policy.judging(options), &statements)).await
            } else {
                observe(goes_on(policy.judging(options), &statements)).await
            };

            assert_eq!(database.rows("orders").await, 0, "{statements:?}");
            observed.returned.unwrap_err();
            for run in observed.runs {
                assert_eq!(run.ending, RunEnding::Escaped, "{nested} {statements:?}: {:?}", run.error);
                assert!(run.damage.is_none(), "{statements:?}");
            }
        }
    }
}

#[destructive_fixture(statement_timeout = "1s")]
async fn leaves_the_session(
    conn: &mut PgConnection,
    other: &PgConnectOptions,
    rows: &PgConnectOptions,
) -> Result<(), Error> {
    let ours = backend(conn).await;
    conn.execute(sqlx::raw_sql("ROLLBACK")).await.unwrap();
    let mut client = other.connect().await.unwrap();
    client.execute(sqlx::raw_sql("BEGIN; LOCK TABLE orders")).await.unwrap();
    assert_eq!(backend(&mut client).await, ours, "the pooler gave the session to its next client");
    // the lock's limit is the wait: the watch asks three times meanwhile
    let mut waits = rows.connect().await.unwrap();
    waits.execute("SET lock_timeout = '7s'").await.unwrap();
    waits.execute("SELECT count(*) FROM orders").await.unwrap_err();
    client
        .execute(sqlx::raw_sql("SELECT 1; COMMIT"))
        .await
        .expect("the other client's transaction is as it was");
    Ok(())
}

async fn backend(conn: &mut PgConnection) -> i32 {
    conn.fetch_one(sqlx::raw_sql("SELECT pg_backend_pid()")).await.unwrap().get(0)
}

#[tokio::test]
async fn ends_no_session_that_a_pooler_gave_to_another_client() {
    let database = orders().await;
    let (_bouncer, options, policy) = behind(&database, "").await;

    let observed =
        observe(leaves_the_session(policy.judging(options.clone()), &options, &database.options())).await;

    assert_eq!(observed.runs[0].ending, RunEnding::Escaped, "{:?}", observed.runs[0].error);
}

/// A hook that replaces the connection, which was judged by its options, with one to another server.
#[tokio::test]
async fn leaves_every_row_when_a_hook_replaces_the_connection() {
    let production = support::postgres(support::PRODUCTION).await.database(ORDERS).await;
    let staging = orders().await;
    let same_name = format!("CREATE DATABASE {} OWNER storefront_app", production.name());
    staging.server().admin().await.execute(AssertSqlSafe(same_name)).await.unwrap();
    let elsewhere = production.options();
    let pool = sqlx::postgres::PgPoolOptions::new()
        .after_connect(move |conn, _| {
            let elsewhere = elsewhere.clone();
            Box::pin(async move {
                *conn = elsewhere.connect().await?;
                Ok(())
            })
        })
        .connect_lazy_with(staging.options().database(production.name()));

    let error = runs(disposable(&staging).judging(&pool), "DELETE FROM orders").await.unwrap_err();

    let refusal = Error::in_sqlx(&error).and_then(Error::refusal).expect("a refusal");
    assert!(refusal.reasons().iter().any(|reason| reason.code() == Code::Forwarded), "{refusal}");
    assert_eq!(production.rows("orders").await, 1_000);
}

#[tokio::test]
async fn leaves_the_log_of_an_event_trigger_as_it_was_unless_a_run_commits() {
    let database = orders().await;
    let log = "CREATE TABLE ddl_log (tag text); GRANT ALL ON ddl_log TO PUBLIC;
        CREATE FUNCTION logs() RETURNS event_trigger LANGUAGE plpgsql AS
          $$ BEGIN INSERT INTO ddl_log VALUES (tg_tag); END $$;
        CREATE EVENT TRIGGER logs ON ddl_command_end EXECUTE FUNCTION logs()";
    let mut admin = database.admin().await;
    admin.execute(log).await.unwrap();
    admin.execute("DELETE FROM ddl_log").await.unwrap(); // fixture-guard: allow(the test's own set-up)
    let policy = disposable(&database);

    misspelt(policy.judging(database.options())).await.unwrap_err();
    runs(policy.judging(database.options()), "DELETE FROM orders; SELECT 1 / 0").await.unwrap_err();
    rehearses(policy.judging(database.options()), "DELETE FROM orders").await.unwrap();

    assert_eq!((database.rows("ddl_log").await, database.rows("orders").await), (0, 1_000));
    runs(policy.judging(database.options()), "DELETE FROM orders").await.unwrap();
    assert_eq!(database.rows("orders").await, 0);
}

#[tokio::test]
async fn guards_databases_in_every_encoding() {
    let server = support::postgres(STAGING).await;
    let mut admin = server.admin().await;
    for encoding in ["LATIN1", "LATIN2", "LATIN9", "KOI8R", "SQL_ASCII", "EUC_JP"] {
        let name = format!("storefront_in_{}_{}", encoding.to_lowercase(), std::process::id());
        let create = format!(
            "CREATE DATABASE {name} OWNER storefront_app ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
        );
        admin.execute(AssertSqlSafe(create)).await.unwrap();
        let options = server.options(&name);
        let mut owner = options.connect().await.unwrap();
        owner.execute(ORDERS).await.unwrap();
        let tests = Environment::destructive("tests").host(&server.address().to_string()).unwrap();
        let policy = Arc::new(Policy::new().environment(tests).unwrap());

        runs(policy.judging(options), "DELETE FROM orders")
            .await
            .unwrap_or_else(|error| panic!("{encoding}: {error}"));

        let left: i64 =
            sqlx::query_scalar("SELECT count(*) FROM orders").fetch_one(&mut owner).await.unwrap();
        assert_eq!(left, 0, "{encoding}");
        owner.close().await.unwrap();
        let drop = format!("DROP DATABASE {name} WITH (FORCE)"); // fixture-guard: allow(the test's own database)
        admin.execute(AssertSqlSafe(drop)).await.unwrap();
    }
}

/// Each is a set-up that the guard refused for no reason, and the login that meets it.
const HARDENED: &[(&str, &str)] = &[
    ("", "ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC"),
    ("superuser", "ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC"),
    ("superuser", "ALTER DATABASE $name SET plpgsql.extra_errors = 'all'"),
    ("superuser", "ALTER DATABASE $name SET default_transaction_isolation = 'serializable'"),
    ("", "ALTER DATABASE $name SET default_transaction_deferrable = on"),
    ("", "ALTER DATABASE $name SET idle_in_transaction_session_timeout = '1s'"),
];

#[tokio::test]
async fn guards_hardened_databases() {
    for (who, set) in HARDENED {
        let database = orders().await;
        let set = set.replace("$name", database.name());
        database.admin().await.execute(AssertSqlSafe(set.clone())).await.unwrap();
        let options = if who.is_empty() {
            database.options()
        } else {
            database.server().admin_options(database.name())
        };

        let run = slow(disposable(&database).judging(options)).await;

        run.unwrap_or_else(|error| panic!("{who} {set}: {error}"));
        assert_eq!(database.rows("orders").await, 0, "{set}");
    }
}

/// The body thinks for longer than one of the set-ups lets a transaction idle.
#[destructive_fixture(tables = ["orders"], max_rows = 1_000)]
async fn slow(conn: &mut PgConnection) -> sqlx::Result<()> {
    tokio::time::sleep(std::time::Duration::from_millis(1_300)).await;
    conn.execute("DELETE FROM orders").await.map(drop)
}

#[destructive_fixture(tables = ["orders"], max_rows = 5_000)]
async fn inserts(conn: &mut PgConnection) -> sqlx::Result<()> {
    conn.execute("INSERT INTO orders VALUES (1001)").await.map(drop)
}

#[tokio::test]
async fn lets_a_role_insert_that_may_do_nothing_else() {
    let server = support::postgres(STAGING).await;
    let role = "DO $$ BEGIN CREATE ROLE storefront_inserts LOGIN PASSWORD 'inserts'; \
                EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$";
    server.admin().await.execute(role).await.unwrap();
    let database = orders().await;
    database.admin().await.execute("GRANT INSERT ON orders TO storefront_inserts").await.unwrap();
    let options = database.options().username("storefront_inserts").password("inserts");

    inserts(disposable(&database).judging(options)).await.unwrap();

    assert_eq!(database.rows("orders").await, 1_001);
}

#[destructive_fixture(tables = ["orders"])]
async fn outer(conn: &mut PgConnection, pool: &PgPool, policy: &Arc<Policy>) -> sqlx::Result<()> {
    conn.execute("DELETE FROM orders WHERE id = 1").await?;
    runs(policy.judging(pool), "SELECT 1").await
}

#[tokio::test]
async fn refuses_at_once_a_run_that_would_wait_for_the_run_around_it() {
    let database = orders().await;
    let (policy, pool) = (disposable(&database), database.pool().await);

    let error = outer(policy.judging(&pool), &pool, &policy).await.unwrap_err();

    let refusal = Error::in_sqlx(&error).and_then(Error::refusal).expect("a refusal");
    assert_eq!(refusal.reasons()[0].code(), Code::Locked, "{refusal}");
    assert!(refusal.to_string().contains("it would wait for itself"), "{refusal}");
    assert_eq!(database.rows("orders").await, 1_000);
}

#[destructive_fixture(tables = ["orders"], statement_timeout = "3s")]
async fn waits_for_itself(conn: &mut PgConnection, pool: &PgPool) -> sqlx::Result<()> {
    conn.execute("DELETE FROM orders").await?;
    pool.execute("SELECT count(*) FROM orders").await.map(drop)?;
    conn.execute("SELECT 1").await.map(drop)
}

#[tokio::test]
async fn ends_a_run_whose_body_waits_for_itself_and_names_the_session() {
    let database = orders().await;
    let pool = database.pool().await;

    let observed = observe(waits_for_itself(disposable(&database).judging(&pool), &pool)).await;

    observed.returned.unwrap_err();
    let error = observed.runs[0].error.as_ref().expect("the run is broken off").to_string();
    assert!(error.contains("waited for its locks") && error.contains("pid "), "{error}");
    assert_eq!(database.rows("orders").await, 1_000);
}
