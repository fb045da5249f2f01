//! What cannot be known is called unknown, and refuses where a rule needs it.

use std::sync::Arc;
use std::time::Duration;

use fixture_guard::Change::{Created, Dropped};
use fixture_guard::Count::{self, AtMost, Exact, Unknown};
use fixture_guard::{
    Code, Damage, Environment, Error, Policy, RunEnding, RunReport, SuperuserRule, destructive_fixture,
    observe,
};
use futures_util::TryStreamExt;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Executor, PgConnection};
use support::{APP_USER, Database};

use crate::disposable;
use crate::support::{self, STAGING};

/// More than any run of these takes on a loaded machine, and less than a person waits.
const SECONDS: Duration = Duration::from_secs(30);

/// What a run tells of its damage, whether the report may lack it or not.
trait Told {
    fn told(&self) -> Option<&Damage>;
}

impl Told for Damage {
    fn told(&self) -> Option<&Damage> {
        Some(self)
    }
}

impl Told for Option<Damage> {
    fn told(&self) -> Option<&Damage> {
        self.as_ref()
    }
}

fn damage(run: &RunReport) -> Option<&Damage> {
    run.damage.told()
}

/// Whether a reader would take it that no row was touched.
fn says_that_nothing_was_written(run: &RunReport) -> bool {
    damage(run).is_some_and(Damage::is_none)
}

/// What is told to be gone from a table: a report without a damage does not know, a damage without the table says none.
fn removed(run: &RunReport, table: &str) -> Count {
    let Some(damage) = damage(run) else { return Unknown };
    damage.table(table).map_or(Exact(0), fixture_guard::TableDamage::removed)
}

async fn admin(database: &Database, statements: &str) {
    database.admin().await.execute(sqlx::raw_sql(AssertSqlSafe(statements.to_owned()))).await.unwrap();
}

async fn run(conn: &mut PgConnection, statements: &str) -> sqlx::Result<()> {
    // `raw_sql` takes several, and the attribute's fixtures here differ only in what they declare
    conn.execute(sqlx::raw_sql(AssertSqlSafe(statements.to_owned()))).await?;
    Ok(())
}

#[destructive_fixture(tables = ["orders"], max_rows = 10)]
async fn ten_orders(conn: &mut PgConnection, statements: &str) -> sqlx::Result<()> {
    run(conn, statements).await
}

#[destructive_fixture(tables = ["orders"])]
async fn orders(conn: &mut PgConnection, statements: &str) -> sqlx::Result<()> {
    run(conn, statements).await
}

#[destructive_fixture(max_rows = 10)]
async fn ten_of_anything(conn: &mut PgConnection, statements: &str) -> sqlx::Result<()> {
    run(conn, statements).await
}

#[destructive_fixture(tables = ["categories"])]
async fn categories(conn: &mut PgConnection, statements: &str) -> sqlx::Result<()> {
    run(conn, statements).await
}

#[destructive_fixture]
async fn anything(conn: &mut PgConnection, statements: &str) -> sqlx::Result<()> {
    run(conn, statements).await
}

fn codes(error: &sqlx::Error) -> Vec<Code> {
    let refusal = Error::in_sqlx(error).and_then(Error::refusal);
    refusal
        .map(|refusal| refusal.reasons().iter().map(fixture_guard::Reason::code).collect())
        .unwrap_or_default()
}

// Row security: the role sees 5 of 1,000 rows.

/// The table is somebody else's, or the application's own.
const TENANTS: &str = "CREATE TABLE orders (id bigserial PRIMARY KEY, tenant int); \
    INSERT INTO orders (tenant) SELECT CASE WHEN g <= 5 THEN 1 ELSE 2 END FROM generate_series(1, 1000) g; \
    ALTER TABLE orders ENABLE ROW LEVEL SECURITY;";

/// Who is hindered from seeing, and what empties the table nevertheless.
const HIDDEN: &[(&str, &str, &str)] = &[
    (
        "owner, FORCE",
        "ALTER TABLE orders OWNER TO storefront_app; ALTER TABLE orders FORCE ROW LEVEL SECURITY; \
         CREATE POLICY mine ON orders USING (tenant = 1)",
        "TRUNCATE orders",
    ),
    (
        "owner, FORCE, without a policy",
        "ALTER TABLE orders OWNER TO storefront_app; ALTER TABLE orders FORCE ROW LEVEL SECURITY",
        "TRUNCATE orders",
    ),
    (
        "owner, FORCE, and the body switches it off",
        "ALTER TABLE orders OWNER TO storefront_app; ALTER TABLE orders FORCE ROW LEVEL SECURITY; \
         CREATE POLICY mine ON orders USING (tenant = 1)",
        "ALTER TABLE orders DISABLE ROW LEVEL SECURITY; TRUNCATE orders",
    ),
    (
        "grant of TRUNCATE, a policy",
        "GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON orders TO storefront_app; \
         CREATE POLICY mine ON orders USING (tenant = 1)",
        "TRUNCATE orders",
    ),
    (
        "grant of TRUNCATE, no policy",
        "GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON orders TO storefront_app",
        "TRUNCATE orders",
    ),
    (
        "SECURITY DEFINER",
        "GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON orders TO storefront_app; \
         CREATE POLICY mine ON orders USING (tenant = 1); \
         CREATE FUNCTION wipe() RETURNS void LANGUAGE sql SECURITY DEFINER AS 'TRUNCATE orders'",
        "SELECT wipe()",
    ),
    (
        "owner, FORCE, dropped",
        "ALTER TABLE orders OWNER TO storefront_app; ALTER TABLE orders FORCE ROW LEVEL SECURITY; \
         CREATE POLICY mine ON orders USING (tenant = 1)",
        "DROP TABLE orders",
    ),
];

async fn with_tenants(prepare: &str) -> Database {
    let database = support::postgres(STAGING).await.empty_database().await;
    admin(&database, &format!("{TENANTS} {prepare}")).await;
    database
}

#[tokio::test]
async fn leaves_every_row_when_row_security_hides_rows_from_max_rows() {
    for (who, prepare, body) in HIDDEN {
        // fixture-guard: allow(the test's own set-up)
        let database = with_tenants(prepare).await;

        let observed = observe(ten_orders(disposable(&database).judging(database.options()), body)).await;

        let run = &observed.runs[0];
        assert!(observed.returned.is_err(), "{who}: {:?}, {:?} removed", run.ending, removed(run, "orders"));
        assert_eq!(database.rows("orders").await, 1_000, "{who}");
        let error = observed.returned.unwrap_err();
        assert_eq!(codes(&error), [Code::TooManyRows], "{who}: {error}");
    }
}

#[tokio::test]
async fn tells_an_unknown_number_when_row_security_hides_rows() {
    for (who, prepare, body) in HIDDEN {
        // fixture-guard: allow(the test's own set-up)
        let database = with_tenants(prepare).await;

        let observed = observe(orders(disposable(&database).judging(database.options()), body)).await;

        let run = &observed.runs[0];
        assert_eq!(run.ending, RunEnding::Committed, "{who}: {:?}", observed.returned);
        assert_eq!(removed(run, "orders"), Unknown, "{who}");
        assert_eq!(damage(run).unwrap().removed(), Unknown, "{who}");
    }
}

/// An owner without FORCE sees every row, and so may have a budget.
#[tokio::test]
async fn counts_exactly_where_row_security_hides_nothing() {
    let database =
        // fixture-guard: allow(the test's own set-up)
        with_tenants("DELETE FROM orders WHERE tenant = 2; ALTER TABLE orders OWNER TO storefront_app").await;

    let observed =
        observe(ten_orders(disposable(&database).judging(database.options()), "TRUNCATE orders")).await;

    observed.returned.unwrap();
    assert_eq!(removed(&observed.runs[0], "orders"), Exact(5));
    assert_eq!(database.rows("orders").await, 0);
}

// track_counts = off: the server counts no row that is written.

const ORDERS: &str = "CREATE TABLE orders (id int PRIMARY KEY, n int DEFAULT 0); \
    INSERT INTO orders SELECT generate_series(1, 1000); \
    CREATE TABLE categories (id int PRIMARY KEY); INSERT INTO categories SELECT generate_series(1, 5);";

/// A database whose server counts nothing for the application's role, by the word of a superuser.
async fn uncounted() -> [Database; 2] {
    let server = support::postgres(STAGING).await;
    let [of_database, of_role] = [server.database(ORDERS).await, server.database(ORDERS).await];
    admin(&of_database, &format!("ALTER DATABASE {} SET track_counts = off", of_database.name())).await;
    let of_role_here = format!("ALTER ROLE {APP_USER} IN DATABASE {} SET track_counts = off", of_role.name());
    admin(&of_role, &of_role_here).await;
    [of_database, of_role]
}

/// Within the budget as far as the rows that were there go, and beyond it with those that the body makes.
const MANY_OF_FIVE: &str = "INSERT INTO orders SELECT generate_series(2001, 2100); DELETE FROM orders";

#[tokio::test]
async fn leaves_every_row_when_the_server_counts_none_and_max_rows_is_declared() {
    for database in uncounted().await {
        let policy = disposable(&database);

        let result = ten_of_anything(policy.judging(database.options()), "DELETE FROM orders").await;
        assert_eq!(database.rows("orders").await, 1_000, "{result:?}");
        let error = result.unwrap_err();
        assert_eq!(codes(&error), [Code::TooManyRows], "{error}");

        // fixture-guard: allow(the test's own set-up)
        admin(&database, "DELETE FROM orders WHERE id > 5").await;
        let result = ten_orders(policy.judging(database.options()), MANY_OF_FIVE).await;
        assert_eq!(database.rows("orders").await, 5, "{result:?}");
        let error = result.unwrap_err();
        assert_eq!(codes(&error), [Code::TooManyRows], "{error}");
    }
}

#[tokio::test]
async fn tells_an_unknown_number_when_the_server_counts_none() {
    for database in uncounted().await {
        let policy = disposable(&database);
        for declared in [true, false] {
            let statements = "DELETE FROM orders WHERE id % 2 = 0";
            admin(&database, "INSERT INTO orders SELECT generate_series(2, 1000, 2) ON CONFLICT DO NOTHING")
                .await;

            let observed = if declared {
                observe(orders(policy.judging(database.options()), statements)).await
            } else {
                observe(anything(policy.judging(database.options()), statements)).await
            };

            let run = &observed.runs[0];
            assert_eq!(run.ending, RunEnding::Committed, "{:?}", observed.returned);
            assert!(!says_that_nothing_was_written(run), "declared: {declared}");
            assert_eq!(removed(run, "orders"), Unknown, "declared: {declared}");
        }
    }
}

/// A body may switch the counting off itself, if it is a superuser's. (Counting that is on again at the end looks as if it
/// had never been off: docs/limits.md.)
const SWITCHED_OFF: &[&str] =
    &["SET track_counts = off; DELETE FROM orders", "SET LOCAL track_counts = off; DELETE FROM orders"];

#[tokio::test]
async fn leaves_every_row_when_a_body_switches_the_counting_off_and_max_rows_is_declared() {
    let database = support::postgres(STAGING).await.database(ORDERS).await;
    let superuser = database.server().admin_options(database.name());
    let mut lost = Vec::new();
    for body in SWITCHED_OFF {
        let options = superuser.clone();
        let observed = observe(ten_of_anything(disposable(&database).judging(options), body)).await;

        let (run, rows) = (&observed.runs[0], database.rows("orders").await);
        if observed.returned.is_ok() || rows != 1_000 {
            lost.push(format!(
                "{body}: {:?}, {rows} rows left, {:?} told",
                run.ending,
                removed(run, "orders")
            ));
            admin(&database, "INSERT INTO orders SELECT generate_series(1, 1000) ON CONFLICT DO NOTHING")
                .await;
        }
    }
    assert_eq!(lost, Vec::<String>::new());
}

#[tokio::test]
async fn never_says_that_nothing_was_written_when_a_body_switches_the_counting_off() {
    let mut wrong = Vec::new();
    for body in SWITCHED_OFF {
        let database = support::postgres(STAGING).await.database(ORDERS).await;
        let options = database.server().admin_options(database.name());

        let observed = observe(orders(disposable(&database).judging(options), body)).await;

        let run = &observed.runs[0];
        let gone = u64::try_from(1_000 - database.rows("orders").await).unwrap();
        let told = removed(run, "orders");
        if told.at_most().is_some_and(|told| told < gone) || (gone > 0 && says_that_nothing_was_written(run))
        {
            wrong.push(format!("{body}: {gone} gone, {told:?} told"));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

/// Without the cursors it is unknown which file a table had, so that a TRUNCATE of an undeclared table shows nowhere.
#[tokio::test]
async fn leaves_every_row_when_a_body_closes_the_cursors_that_would_show_a_truncate() {
    let database = support::postgres(STAGING).await.database(ORDERS).await;
    let policy = disposable(&database);
    for body in ["TRUNCATE orders; CLOSE ALL", "CLOSE ALL; TRUNCATE orders"] {
        let error = ten_of_anything(policy.judging(database.options()), body).await.unwrap_err();
        assert_eq!(codes(&error), [Code::TooManyRows], "{body}: {error}");
        assert_eq!(database.rows("orders").await, 1_000, "{body}");
    }

    let observed = observe(anything(policy.judging(database.options()), "TRUNCATE orders; CLOSE ALL")).await;
    observed.returned.unwrap();
    assert_eq!(database.rows("orders").await, 0);
    assert_eq!(removed(&observed.runs[0], "orders"), Unknown);
}

/// CLUSTER gives a table another file and keeps its rows: a new row beside them does not prove a TRUNCATE.
#[tokio::test]
async fn calls_no_table_truncated_that_was_rewritten_with_its_rows() {
    for body in [
        "INSERT INTO keyed VALUES (100); CLUSTER keyed USING keyed_pkey",
        "SAVEPOINT a; INSERT INTO keyed VALUES (100); ROLLBACK TO a; CLUSTER keyed USING keyed_pkey",
    ] {
        let seed = "CREATE TABLE keyed (id int PRIMARY KEY); INSERT INTO keyed SELECT generate_series(1, 7)";
        let database = support::postgres(STAGING).await.database(seed).await;

        let observed = observe(keyed(disposable(&database).judging(database.options()), body)).await;

        observed.returned.unwrap();
        assert!(database.rows("keyed").await >= 7);
        let told = removed(&observed.runs[0], "keyed");
        assert!(!matches!(told, Exact(1..)), "{body}: {told:?}");
    }
}

#[destructive_fixture(tables = ["keyed"], max_rows = 1_000)]
async fn keyed(conn: &mut PgConnection, statements: &str) -> sqlx::Result<()> {
    run(conn, statements).await
}

// Deferred triggers that defer again.

/// A chain of deferred triggers that deletes orders at its end; `$depth` links, each of which defers the next.
fn deferring(constraints: &str, depth: u32) -> String {
    format!(
        "{ORDERS} CREATE TABLE queue (n int); CREATE TABLE back (n int); \
         CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
           SET CONSTRAINTS {constraints} DEFERRED; \
           IF NEW.n < {depth} THEN INSERT INTO queue VALUES (NEW.n + 1); ELSE DELETE FROM orders; END IF; \
           RETURN NULL; END $$; \
         CREATE FUNCTION over() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
           SET CONSTRAINTS {constraints} DEFERRED; INSERT INTO queue VALUES (NEW.n + 1); RETURN NULL; END $$; \
         CREATE CONSTRAINT TRIGGER again AFTER INSERT ON queue DEFERRABLE INITIALLY DEFERRED \
           FOR EACH ROW EXECUTE FUNCTION again(); \
         CREATE CONSTRAINT TRIGGER over AFTER INSERT ON back DEFERRABLE INITIALLY DEFERRED \
           FOR EACH ROW EXECUTE FUNCTION over()"
    )
}

/// Two tables that hand a row to each other.
const PING_PONG: &str = "
    CREATE TABLE queue (n int); CREATE TABLE back (n int);
    CREATE FUNCTION ping() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      SET CONSTRAINTS ALL DEFERRED;
      IF NEW.n < 7 THEN INSERT INTO back VALUES (NEW.n + 1); ELSE DELETE FROM orders; END IF; RETURN NULL; END $$;
    CREATE FUNCTION pong() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      SET CONSTRAINTS ALL DEFERRED;
      IF NEW.n < 7 THEN INSERT INTO queue VALUES (NEW.n + 1); ELSE DELETE FROM orders; END IF; RETURN NULL; END $$;
    CREATE CONSTRAINT TRIGGER ping AFTER INSERT ON queue DEFERRABLE INITIALLY DEFERRED
      FOR EACH ROW EXECUTE FUNCTION ping();
    CREATE CONSTRAINT TRIGGER pong AFTER INSERT ON back DEFERRABLE INITIALLY DEFERRED
      FOR EACH ROW EXECUTE FUNCTION pong()";

#[destructive_fixture(tables = ["queue", "back"], max_rows = 0)]
async fn queues(conn: &mut PgConnection, statements: &str) -> sqlx::Result<()> {
    run(conn, statements).await
}

async fn keeps_orders_from(seed: &str, statements: &str) {
    let database = support::postgres(STAGING).await.database(seed).await;
    let policy = disposable(&database);

    let run =
        tokio::time::timeout(SECONDS, observe(queues(policy.judging(database.options()), statements))).await;

    let observed = run.expect("the run ends within seconds");
    let told = observed.runs[0].damage.told().map(ToString::to_string);
    let ending = observed.runs[0].ending;
    assert_eq!(database.rows("orders").await, 1_000, "{statements}: {ending:?}, {told:?}");
    observed.returned.unwrap_err();
    assert_eq!((database.rows("queue").await, database.rows("back").await), (0, 0));
}

#[tokio::test]
async fn leaves_every_row_that_a_trigger_would_delete_which_defers_itself_again() {
    for (constraints, depth) in [("ALL", 3), ("again", 3), ("ALL", 4), ("ALL", 12)] {
        keeps_orders_from(&deferring(constraints, depth), "INSERT INTO queue VALUES (1)").await;
    }
    keeps_orders_from(&deferring("ALL", 5), "INSERT INTO back VALUES (1)").await;
}

#[tokio::test]
async fn leaves_every_row_that_two_tables_which_defer_each_other_would_delete() {
    keeps_orders_from(&format!("{ORDERS} {PING_PONG}"), "INSERT INTO queue VALUES (1)").await;
}

#[tokio::test]
async fn ends_a_run_in_seconds_whose_triggers_defer_themselves_for_ever() {
    let seed = deferring("ALL", 3).replace("NEW.n < 3", "true");
    keeps_orders_from(&seed, "INSERT INTO queue VALUES (1)").await;
}

/// A chain that ends and that writes declared tables only is nobody's damage.
#[tokio::test]
async fn commits_what_a_chain_of_deferred_triggers_may_write() {
    let seed = deferring("ALL", 5).replace("DELETE FROM orders", "NULL");
    let database = support::postgres(STAGING).await.database(&seed).await;

    queues(disposable(&database).judging(database.options()), "INSERT INTO queue VALUES (1)").await.unwrap();

    assert_eq!(database.rows("queue").await, 5);
}

// What the body attaches was somebody else's when it began.

const EVENTS: &str = "
    CREATE TABLE events (id int, n int DEFAULT 0) PARTITION BY RANGE (id);
    CREATE TABLE recent PARTITION OF events FOR VALUES FROM (1000) TO (2000);
    INSERT INTO events SELECT generate_series(1000, 1009);";
const ARCHIVE: &str = "
    CREATE TABLE archive (id int, n int DEFAULT 0); INSERT INTO archive SELECT generate_series(1, 50);";
const ARCHIVE_OF_PARTITIONS: &str = "
    CREATE TABLE archive (id int, n int DEFAULT 0) PARTITION BY RANGE (id);
    CREATE TABLE archive_1 PARTITION OF archive FOR VALUES FROM (1) TO (30);
    CREATE TABLE archive_2 PARTITION OF archive FOR VALUES FROM (30) TO (1000);
    INSERT INTO archive SELECT generate_series(1, 50);";
const ATTACH: &str = "ALTER TABLE events ATTACH PARTITION archive FOR VALUES FROM (1) TO (1000)";

#[destructive_fixture(tables = ["events", "categories"], max_rows = 1_000)]
async fn events(conn: &mut PgConnection, statements: &str) -> sqlx::Result<()> {
    run(conn, statements).await
}

#[tokio::test]
async fn leaves_every_row_of_an_undeclared_table_that_the_body_attaches() {
    let server = support::postgres(STAGING).await;
    for archive in [ARCHIVE, ARCHIVE_OF_PARTITIONS] {
        for body in [
            "DELETE FROM events",
            "TRUNCATE events",
            "DELETE FROM archive",
            "TRUNCATE archive",
            "DROP TABLE events",
            "DELETE FROM events; ALTER TABLE events DETACH PARTITION archive",
        ] {
            let database = server.database(&format!("{ORDERS} {EVENTS} {archive}")).await;
            let body = format!("{ATTACH}; {body}");

            let observed = observe(events(disposable(&database).judging(database.options()), &body)).await;

            let told = observed.runs[0].damage.told().map(ToString::to_string);
            assert!(observed.returned.is_err(), "{body}: {told:?}");
            assert_eq!(database.rows("archive").await, 50, "{body}: {told:?}");
            let error = observed.returned.unwrap_err();
            assert!(codes(&error).contains(&Code::UndeclaredTable), "{error}");
            assert!(error.to_string().contains("archive"), "{error}");
        }
    }
}

#[tokio::test]
async fn leaves_the_number_of_a_sequence_that_the_body_gives_to_a_declared_table() {
    let server = support::postgres(STAGING).await;
    for body in [
        "ALTER SEQUENCE invoice_numbers OWNED BY categories.id; ALTER SEQUENCE invoice_numbers RESTART",
        "ALTER SEQUENCE invoice_numbers OWNED BY categories.id; TRUNCATE categories RESTART IDENTITY",
        "ALTER SEQUENCE invoice_numbers OWNED BY categories.id; ALTER SEQUENCE invoice_numbers RESTART; \
         ALTER SEQUENCE invoice_numbers OWNED BY NONE",
        "ALTER SEQUENCE invoice_numbers OWNED BY categories.id; DROP TABLE categories",
    ] {
        let numbers = "CREATE SEQUENCE invoice_numbers; SELECT setval('invoice_numbers', 5000)";
        let database = server.database(&format!("{ORDERS} {numbers}")).await;

        let observed = observe(categories(disposable(&database).judging(database.options()), body)).await;

        let told = observed.runs[0].damage.told().map(ToString::to_string);
        let last = sqlx::query_scalar::<_, i64>("SELECT last_value FROM invoice_numbers");
        let last = last.fetch_optional(&mut database.admin().await).await;
        assert_eq!(last.ok().flatten(), Some(5_000), "{body}: {:?}, {told:?}", observed.returned);
        assert_eq!(codes(&observed.returned.unwrap_err()), [Code::UndeclaredTable], "{body}");
    }
}

// A generic reset, which finds its tables in the catalog.

const DELETE_FROM_ALL: &str = "DO $$ DECLARE t record; BEGIN \
    FOR t IN SELECT schemaname, tablename FROM pg_tables \
             WHERE schemaname NOT IN ('pg_catalog', 'information_schema') LOOP \
      EXECUTE format('DELETE FROM %I.%I', t.schemaname, t.tablename); END LOOP; END $$";
const TRUNCATE_ALL: &str = "DO $$ BEGIN EXECUTE (SELECT 'TRUNCATE ' || string_agg(format('%I.%I', schemaname, tablename), ', ') \
    FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')); END $$";

#[destructive_fixture(tables = ["categories"])]
async fn says_commit(conn: &mut PgConnection) -> Result<(), Error> {
    for statement in ["DELETE FROM orders", "COMMIT"] {
        let _ = sqlx::raw_sql(statement).fetch(&mut *conn).try_for_each(|_| std::future::ready(Ok(()))).await;
    }
    Ok(())
}

#[tokio::test]
async fn leaves_every_row_when_a_body_says_commit_after_a_generic_reset_on_the_same_pool() {
    for connections in [1, 2] {
        let database = support::postgres(STAGING).await.database(ORDERS).await;
        let policy = disposable(&database);
        let pool =
            PgPoolOptions::new().max_connections(connections).connect_with(database.options()).await.unwrap();
        for _ in 0..2 {
            let returned = anything(policy.judging(&pool), DELETE_FROM_ALL).await;
            assert_eq!(database.rows("orders").await, 0, "the generic reset works: {returned:?}");
            returned.unwrap();
            admin(&database, "INSERT INTO orders SELECT generate_series(1, 1000)").await;

            let observed = observe(says_commit(policy.judging(&pool))).await;

            let ending = observed.runs[0].ending;
            assert_eq!(database.rows("orders").await, 1_000, "{ending:?}");
            assert!(observed.returned.is_err(), "{ending:?}");
        }
    }
}

/// The seal has an event that is due, and PostgreSQL truncates no such table: docs/limits.md says how to leave it out.
#[tokio::test]
async fn leaves_every_row_when_a_generic_reset_truncates_the_seal_too() {
    let database = support::postgres(STAGING).await.database(ORDERS).await;
    let policy = disposable(&database);

    let error = anything(policy.judging(database.options()), TRUNCATE_ALL).await.unwrap_err();

    assert!(error.to_string().contains("fixture_guard_seal"), "{error}");
    assert_eq!(database.rows("orders").await, 1_000);
    let without_temporary = TRUNCATE_ALL.replace("NOT IN (", "!~ '^pg_' AND schemaname NOT IN (");
    anything(policy.judging(database.options()), &without_temporary).await.unwrap();
    assert_eq!(database.rows("orders").await, 0);
}

// Reports.

#[tokio::test]
async fn a_body_that_resets_every_setting_has_not_escaped() {
    for statements in
        ["RESET ALL", "RESET ALL; SELECT 1 / 0", "DISCARD PLANS; RESET ALL", "RESET ALL; RESET ALL"]
    {
        let database = support::postgres(STAGING).await.database(ORDERS).await;
        let body = format!("DELETE FROM orders; {statements}");

        let observed = observe(anything(disposable(&database).judging(database.options()), &body)).await;

        let (run, rows) = (&observed.runs[0], database.rows("orders").await);
        match run.ending {
            RunEnding::Committed => assert_eq!(rows, 0, "{statements}"),
            RunEnding::RolledBack => assert_eq!(rows, 1_000, "{statements}"),
            ending => panic!("{statements}: {ending:?}, {rows} rows left, {:?}", observed.returned),
        }
        assert!(!says_that_nothing_was_written(run) || rows == 1_000, "{statements}");
    }
}

#[tokio::test]
async fn tells_the_name_that_a_table_had_before_the_body_renamed_it() {
    let server = support::postgres(STAGING).await;
    for (body, table) in [
        ("ALTER TABLE orders RENAME TO old_orders; DELETE FROM old_orders", "orders"),
        ("DELETE FROM orders; ALTER TABLE orders RENAME TO old_orders", "orders"),
        (
            "ALTER TABLE categories RENAME TO old; ALTER TABLE orders RENAME TO categories; DELETE FROM categories",
            "orders",
        ),
        ("CREATE SCHEMA cellar; ALTER TABLE orders SET SCHEMA cellar; DELETE FROM cellar.orders", "orders"),
    ] {
        let database = server.database(ORDERS).await;

        let observed = observe(anything(disposable(&database).judging(database.options()), body)).await;

        observed.returned.unwrap();
        let told = damage(&observed.runs[0]).unwrap();
        assert_eq!(removed(&observed.runs[0], table).at_most(), Some(1_000), "{body}: {told}");
    }
}

/// A fixture that declared `categories` refuses a table that only took the name, and says which one it was.
#[tokio::test]
async fn names_the_undeclared_table_that_took_a_declared_name() {
    let database = support::postgres(STAGING).await.database(ORDERS).await;
    let body = "ALTER TABLE categories RENAME TO old; ALTER TABLE orders RENAME TO categories; DELETE FROM categories";

    let error = categories(disposable(&database).judging(database.options()), body).await.unwrap_err();

    assert_eq!(codes(&error), [Code::UndeclaredTable], "{error}");
    assert!(error.to_string().contains("orders"), "{error}");
    assert_eq!(database.rows("orders").await, 1_000);
}

#[tokio::test]
async fn tells_a_dropped_table_by_its_name_and_never_by_a_number() {
    let server = support::postgres(STAGING).await;
    for (before, body) in [
        ("SELECT 1", "DROP TABLE orders"),
        ("DELETE FROM orders WHERE id = 1", "DROP TABLE orders"),
        ("SELECT 1", "DELETE FROM orders; DROP TABLE orders"),
        ("SELECT 1", "ALTER TABLE orders RENAME TO old_orders; DROP TABLE old_orders"),
    ] {
        let database = server.database(ORDERS).await;
        let pool = PgPoolOptions::new().max_connections(1).connect_with(database.options()).await.unwrap();
        let policy = disposable(&database);
        anything(policy.judging(&pool), before).await.unwrap();
        if before != "SELECT 1" {
            pool.execute("INSERT INTO orders VALUES (1)").await.unwrap();
        }

        let observed = observe(anything(policy.judging(&pool), body)).await;

        observed.returned.unwrap();
        let told = damage(&observed.runs[0]).unwrap();
        let orders = told.table("orders").unwrap_or_else(|| panic!("{before}; {body}: {told}"));
        assert!(orders.changes.contains(&Dropped), "{body}: {told}");
        assert_eq!(told.tables().len(), 1, "{body}: {told}");
    }
}

/// 10 come, 10 go: the server's counters do not say that they were the same ones.
#[tokio::test]
async fn tells_a_bound_where_rows_came_and_went() {
    for (body, at_most) in [
        ("INSERT INTO categories SELECT generate_series(11, 20); DELETE FROM categories WHERE id > 10", 10),
        ("INSERT INTO categories SELECT generate_series(11, 20); DELETE FROM categories WHERE id > 3", 12),
    ] {
        let database = support::postgres(STAGING).await.database(ORDERS).await;

        let observed = observe(categories(disposable(&database).judging(database.options()), body)).await;

        observed.returned.unwrap();
        let told = removed(&observed.runs[0], "categories");
        // five were there, so that `at most five` is right too
        let bounds = [AtMost(at_most), AtMost(5)];
        assert!(bounds.contains(&told), "{body}: {told:?}");
    }
}

#[tokio::test]
async fn a_declared_table_may_be_dropped_and_created_anew() {
    let server = support::postgres(STAGING).await;
    for (body, rows) in [
        ("DROP TABLE categories; CREATE TABLE categories (id int)", 0),
        ("DROP TABLE categories; CREATE TABLE categories (id serial PRIMARY KEY, name text)", 0),
        ("DROP TABLE categories; CREATE TABLE categories AS SELECT generate_series(1, 3) AS id", 3),
    ] {
        let database = server.database(ORDERS).await;

        let observed = observe(categories(disposable(&database).judging(database.options()), body)).await;

        observed.returned.unwrap_or_else(|error| panic!("{body}: {error}"));
        assert_eq!(database.rows("categories").await, rows, "{body}");
        let told = damage(&observed.runs[0]).unwrap();
        let table = told.table("categories").unwrap_or_else(|| panic!("{body}: {told}"));
        assert!(table.changes.contains(&Dropped) && table.changes.contains(&Created), "{body}: {told}");
        assert!(!matches!(table.removed(), Exact(0)), "{body}: {told}");
        assert_eq!(told.tables().len(), 1, "{body}: {told}");
    }
}

/// Asks for a transaction that writes, which nothing stops for a plain role.
#[destructive_fixture]
async fn escapes(conn: &mut PgConnection) -> Result<(), Error> {
    for statement in ["ROLLBACK", "BEGIN READ WRITE", "DELETE FROM orders", "COMMIT"] {
        let _ = sqlx::raw_sql(statement).fetch(&mut *conn).try_for_each(|_| std::future::ready(Ok(()))).await;
    }
    Ok(())
}

#[tokio::test]
async fn never_says_that_nothing_was_written_when_a_run_escaped() {
    let database = support::postgres(STAGING).await.database(ORDERS).await;

    let observed = observe(escapes(disposable(&database).judging(database.options()))).await;

    let (run, rows) = (&observed.runs[0], database.rows("orders").await);
    if rows != 1_000 {
        assert_eq!(run.ending, RunEnding::Escaped, "{rows} rows are left");
        assert!(!says_that_nothing_was_written(run), "{rows} rows are left, and `nothing was written`");
    }
    observed.returned.unwrap_err();
}

// Operators that the search path brings.

/// Operators that somebody's schema has in the place of the catalog's.
#[derive(Debug, Clone, Copy)]
struct Evil {
    types: &'static str,
    operators: &'static str,
    answer: &'static str,
}

const TYPES: &str = "text name oid integer bigint smallint \"char\" boolean xid regclass inet timestamptz";
const COMPARISONS: &str = "= <> < > <= >= ~ !~ ~* ~~ !~~ <<= <@";

const EVIL: [Evil; 5] = [
    Evil { types: "text", operators: "=", answer: "false" },
    Evil { types: "text", operators: "<>", answer: "true" },
    Evil { types: "oid integer bigint", operators: "=", answer: "false" },
    Evil { types: TYPES, operators: COMPARISONS, answer: "false" },
    Evil { types: TYPES, operators: COMPARISONS, answer: "true" },
];

impl Evil {
    fn schema(self) -> String {
        let Self { types, operators, answer } = self;
        let mut statements = vec!["CREATE SCHEMA evil; GRANT USAGE ON SCHEMA evil TO PUBLIC".to_owned()];
        for of in types.split(' ') {
            let answers =
                format!("CREATE FUNCTION evil.answer({of}, {of}) RETURNS boolean LANGUAGE sql IMMUTABLE");
            statements.push(format!("{answers} AS 'SELECT {answer}'"));
            for operator in operators.split(' ') {
                let sides = format!("LEFTARG = {of}, RIGHTARG = {of}, FUNCTION = evil.answer");
                statements.push(format!("CREATE OPERATOR evil.{operator} ({sides})"));
            }
        }
        if operators == COMPARISONS {
            let others = "CREATE FUNCTION evil.joined(text, text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'evil' $$; \
                CREATE OPERATOR evil.|| (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.joined); \
                CREATE FUNCTION evil.sum(bigint, bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT 0::bigint'; \
                CREATE OPERATOR evil.+ (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = evil.sum); \
                CREATE OPERATOR evil.- (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = evil.sum)";
            statements.push(others.to_owned());
        }
        statements.join("; ")
    }
}

const EVIL_PATH: &str = "evil, pg_catalog, public";

/// How a session comes by the path.
#[derive(Debug, Clone, Copy)]
enum By {
    Database,
    Role,
    Options,
}

const WAYS: [By; 3] = [By::Database, By::Role, By::Options];

async fn with_evil(evil: Evil, by: By, user: &str) -> Database {
    let seed = "CREATE TABLE items (id int PRIMARY KEY); INSERT INTO items SELECT generate_series(1, 9); \
        CREATE TABLE audit (id int); CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS \
        'BEGIN INSERT INTO audit VALUES (OLD.id); RETURN NULL; END'; \
        CREATE TRIGGER keep AFTER DELETE ON items FOR EACH ROW EXECUTE FUNCTION keep()";
    let database = support::postgres(STAGING).await.database(&format!("{ORDERS} {seed}")).await;
    admin(&database, &evil.schema()).await;
    let name = database.name();
    match by {
        By::Database => {
            admin(&database, &format!("ALTER DATABASE {name} SET search_path = {EVIL_PATH}")).await;
        }
        By::Role => {
            admin(&database, &format!("ALTER ROLE {user} IN DATABASE {name} SET search_path = {EVIL_PATH}"))
                .await;
        }
        By::Options => {}
    }
    database
}

/// A path that is stored for a role is refused unless it is meant.
fn meaning_the_path(database: &Database) -> Arc<Policy> {
    let host = database.server().address().to_string();
    let tests = Environment::destructive("tests").host(&host).unwrap().reach("setting:search_path");
    Arc::new(Policy::new().environment(tests).unwrap())
}

fn on_the_path(options: PgConnectOptions, by: By) -> PgConnectOptions {
    if matches!(by, By::Options) {
        options.options([("search_path", "evil,pg_catalog,public")])
    } else {
        options
    }
}

/// A superuser's login, shared because roles belong to the whole server. The support's own has a path of its own.
async fn superuser(database: &Database) -> PgConnectOptions {
    let role = "DO $$ BEGIN CREATE ROLE storefront_super SUPERUSER LOGIN PASSWORD 'super'; \
        EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$";
    admin(database, role).await;
    database.options().username("storefront_super").password("super")
}

#[tokio::test]
async fn leaves_every_row_of_a_superuser_when_the_search_path_brings_its_own_operators() {
    let mut wrong = Vec::new();
    for by in WAYS {
        for evil in EVIL {
            superuser(&support::postgres(STAGING).await.shared_storefront()).await;
            let database = with_evil(evil, by, "storefront_super").await;
            let host = database.server().address().to_string();
            let tests = Environment::destructive("tests")
                .host(&host)
                .unwrap()
                .superuser(SuperuserRule::Refused)
                .reach("setting:search_path");
            let policy = Arc::new(Policy::new().environment(tests).unwrap());
            let options = on_the_path(superuser(&database).await, by);

            let result = orders(policy.judging(options), "TRUNCATE orders").await;

            let (rows, codes) = (database.rows("orders").await, result.as_ref().err().map(codes));
            if rows != 1_000 || codes.as_deref() != Some(&[Code::Superuser]) {
                wrong.push(format!("{by:?}, {evil:?}: {rows} rows left, {codes:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn tells_the_damage_when_the_search_path_brings_its_own_operators() {
    for by in WAYS {
        for evil in EVIL {
            let database = with_evil(evil, by, APP_USER).await;
            let options = on_the_path(database.options(), by);
            let policy = meaning_the_path(&database);

            let refused = ten_orders(policy.judging(options.clone()), "TRUNCATE orders").await;
            assert_eq!(database.rows("orders").await, 1_000, "{by:?}, {evil:?}: {refused:?}");
            let error = refused.unwrap_err();
            assert_eq!(codes(&error), [Code::TooManyRows], "{by:?}, {evil:?}: {error}");

            let undeclared = orders(policy.judging(options.clone()), "DELETE FROM categories").await;
            assert_eq!(database.rows("categories").await, 5, "{by:?}, {evil:?}: {undeclared:?}");
            let error = undeclared.unwrap_err();
            assert_eq!(codes(&error), [Code::UndeclaredTable], "{by:?}, {evil:?}: {error}");

            let observed = observe(orders(policy.judging(options), "TRUNCATE orders")).await;
            observed.returned.unwrap_or_else(|error| panic!("{by:?}, {evil:?}: {error}"));
            assert_eq!(
                removed(&observed.runs[0], "orders"),
                Unknown,
                "{by:?}, {evil:?}: no `max_rows`, no count"
            );
            assert_eq!(database.rows("orders").await, 0, "{by:?}, {evil:?}");
        }
    }
}

#[destructive_fixture(tables = ["items"])]
async fn items(conn: &mut PgConnection, statements: &str) -> sqlx::Result<()> {
    run(conn, statements).await
}

#[tokio::test]
async fn sees_what_a_table_reaches_when_the_search_path_brings_its_own_operators() {
    for by in WAYS {
        for evil in EVIL {
            let database = with_evil(evil, by, APP_USER).await;
            let options = on_the_path(database.options(), by);

            let result = items(meaning_the_path(&database).judging(options), "DELETE FROM items").await;

            assert_eq!(database.rows("items").await, 9, "{by:?}, {evil:?}: {result:?}");
            let error = result.unwrap_err();
            assert_eq!(codes(&error), [Code::Reach], "{by:?}, {evil:?}: {error}");
        }
    }
}
