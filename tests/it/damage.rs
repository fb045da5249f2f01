//! What a body did, against what another session counts.

use std::collections::BTreeMap;
use std::sync::Arc;

use fixture_guard::Change::{self, Altered, Created, Dropped, Refreshed, Restarted, Truncated};
use fixture_guard::Count::{self, AtMost, Exact, Unknown};
use fixture_guard::{Code, Environment, Error, Policy, RunEnding, destructive_fixture, observe};
use sqlx::{AssertSqlSafe, ConnectOptions, Executor, PgConnection};

use crate::disposable;
use crate::support::{self, Database, STAGING};

#[destructive_fixture(tables = ["categories", "product_categories", "discounts", "cms_blocks"], max_rows = 100_000)]
async fn declared(conn: &mut PgConnection, statements: &str) -> sqlx::Result<()> {
    conn.execute(sqlx::raw_sql(AssertSqlSafe(statements.to_owned()))).await?;
    Ok(())
}

#[tokio::test]
async fn tells_what_a_body_removed() {
    let staging = support::postgres(STAGING).await.storefront().await;
    let (pool, before) = (staging.pool().await, staging.all_rows().await);
    let policy = disposable(&staging);

    let statements = "DELETE FROM cms_blocks; TRUNCATE categories CASCADE";
    let observed = observe(declared(policy.judging(&pool), statements)).await;

    observed.returned.unwrap();
    let damage = observed.runs[0].damage.as_ref().unwrap();
    for table in ["cms_blocks", "categories", "discounts", "product_categories"] {
        let lost = u64::try_from(before[table] - staging.rows(table).await).unwrap();
        assert_eq!(damage.table(table).unwrap().removed().at_most(), Some(lost), "{table}: {damage}");
    }
}

#[tokio::test]
async fn leaves_every_row_when_a_table_was_not_declared() {
    let staging = support::postgres(STAGING).await.storefront().await;
    let (pool, before) = (staging.pool().await, staging.all_rows().await);

    let statements = "DELETE FROM cms_blocks; DELETE FROM coupons";
    let observed = observe(declared(disposable(&staging).judging(&pool), statements)).await;

    let error = observed.returned.unwrap_err();
    let refusal = Error::in_sqlx(&error).and_then(Error::refusal).unwrap();
    assert_eq!(refusal.reasons()[0].code(), Code::UndeclaredTable);
    assert!(refusal.to_string().contains("coupons"), "{refusal}");
    assert_eq!(observed.runs[0].ending, RunEnding::RolledBack);
    assert_eq!(staging.all_rows().await, before);
}

#[destructive_fixture(tables = ["items"], max_rows = 10)]
async fn at_most_ten(conn: &mut PgConnection) -> sqlx::Result<()> {
    conn.execute("TRUNCATE items").await?;
    Ok(())
}

#[tokio::test]
async fn a_budget_is_exact_at_its_boundary() {
    let server = support::postgres(STAGING).await;
    for (rows, kept) in [(10, 0), (11, 11)] {
        let seed =
            format!("CREATE TABLE items (id int); INSERT INTO items SELECT generate_series(1, {rows})");
        let database = server.database(&seed).await;
        let pool = database.pool().await;

        let observed = observe(at_most_ten(disposable(&database).judging(&pool))).await;

        assert_eq!(database.rows("items").await, kept, "{rows} rows: {:?}", observed.returned);
        assert_eq!(observed.returned.is_ok(), kept == 0);
        if kept == 0 {
            assert_eq!(
                observed.runs[0].damage.as_ref().unwrap().table("items").unwrap().removed().at_most(),
                Some(10)
            );
        }
    }
}

#[tokio::test]
async fn names_the_declared_tables_that_do_not_exist() {
    let database = support::postgres(STAGING).await.empty_database().await;
    let pool = database.pool().await;

    let error = at_most_ten(disposable(&database).judging(&pool)).await.unwrap_err();

    assert!(error.to_string().contains("these declared tables do not exist: items"), "{error}");
}

#[destructive_fixture]
async fn anything(conn: &mut PgConnection, statements: &str) -> Result<(), sqlx::Error> {
    conn.execute(sqlx::raw_sql(AssertSqlSafe(statements.to_owned()))).await?;
    Ok(())
}

#[destructive_fixture(tables = ["items"], max_rows = 1_000)]
async fn with_items(conn: &mut PgConnection, statements: &str) -> Result<(), sqlx::Error> {
    conn.execute(sqlx::raw_sql(AssertSqlSafe(statements.to_owned()))).await?;
    Ok(())
}

/// A line of the table: what is there, what a body does, and what a fixture that declared `items`, and one that declared
/// nothing, tell of it.
struct Line {
    seed: &'static str,
    body: &'static str,
    with_items: &'static [Told<'static>],
    anything: &'static [Told<'static>],
}

/// Table; rows removed, inserted, updated; what happened to it as a whole.
type Told<'a> = (&'a str, Count, Count, Count, &'a [Change]);

const fn line(
    seed: &'static str,
    body: &'static str,
    with_items: &'static [Told<'static>],
    anything: &'static [Told<'static>],
) -> Line {
    Line { seed, body, with_items, anything }
}

const fn same(seed: &'static str, body: &'static str, told: &'static [Told<'static>]) -> Line {
    line(seed, body, told, told)
}

const NONE: Count = Exact(0);
const ITEMS: &str = "CREATE TABLE items (id int PRIMARY KEY, n int DEFAULT 0); INSERT INTO items SELECT generate_series(1, 9);";
/// `9 Mondays` and the like: what a generator of names makes.
const NOTES: &str = "CREATE TABLE items (id int PRIMARY KEY); INSERT INTO items SELECT generate_series(1, 9); \
    CREATE TABLE notes (id serial PRIMARY KEY, item int REFERENCES items ON DELETE CASCADE); \
    INSERT INTO notes (item) SELECT 1 + n % 9 FROM generate_series(1, 20) n;";
const PARTITIONS: &str = "CREATE TABLE items (id int, n int DEFAULT 0) PARTITION BY RANGE (id); \
    CREATE TABLE low PARTITION OF items FOR VALUES FROM (0) TO (5); \
    CREATE TABLE high PARTITION OF items FOR VALUES FROM (5) TO (100); \
    INSERT INTO items SELECT generate_series(1, 9);";
const AUDITED: &str = "CREATE TABLE items (id int PRIMARY KEY, n int DEFAULT 0); INSERT INTO items SELECT generate_series(1, 9); \
    CREATE TABLE audit (id int); CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS \
    'BEGIN INSERT INTO audit VALUES (OLD.id); RETURN NULL; END';";

const ROWS: &[Line] = &[
    same(ITEMS, "DELETE FROM items WHERE id <= 4", &[("items", Exact(4), NONE, NONE, &[])]),
    same(ITEMS, "INSERT INTO items SELECT generate_series(10, 12)", &[("items", NONE, Exact(3), NONE, &[])]),
    same(ITEMS, "UPDATE items SET n = 1 WHERE id <= 4", &[("items", NONE, NONE, Exact(4), &[])]),
    same(
        ITEMS,
        "INSERT INTO items VALUES (1, 5), (10, 5) ON CONFLICT (id) DO UPDATE SET n = 5; DELETE FROM items WHERE n = 0",
        // the deleted rows may be among the inserted ones
        &[("items", AtMost(8), Exact(1), Exact(1), &[])],
    ),
    line(
        ITEMS,
        "TRUNCATE items",
        &[("items", Exact(9), NONE, NONE, &[Truncated])],
        &[("items", Unknown, NONE, NONE, &[Truncated])],
    ),
    line(
        ITEMS,
        "DELETE FROM items WHERE id < 4; TRUNCATE items; INSERT INTO items VALUES (1), (2); DELETE FROM items WHERE id = 1",
        &[("items", Exact(9), Exact(2), NONE, &[Truncated])],
        &[("items", Unknown, Exact(2), NONE, &[Truncated])],
    ),
    // foreign keys
    same(
        NOTES,
        "DELETE FROM items",
        &[("items", Exact(9), NONE, NONE, &[]), ("notes", Exact(20), NONE, NONE, &[])],
    ),
    line(
        NOTES,
        "TRUNCATE items CASCADE",
        &[("items", Exact(9), NONE, NONE, &[Truncated]), ("notes", Unknown, NONE, NONE, &[Truncated])],
        &[("items", Unknown, NONE, NONE, &[Truncated]), ("notes", Unknown, NONE, NONE, &[Truncated])],
    ),
    same(
        "CREATE TABLE items (id int PRIMARY KEY); INSERT INTO items SELECT generate_series(1, 9); \
         CREATE TABLE notes (item int REFERENCES items ON DELETE SET NULL); INSERT INTO notes SELECT generate_series(1, 9)",
        "DELETE FROM items WHERE id < 4",
        &[("items", Exact(3), NONE, NONE, &[]), ("notes", NONE, NONE, Exact(3), &[])],
    ),
    // partitions count as their table
    same(PARTITIONS, "DELETE FROM items", &[("items", Exact(9), NONE, NONE, &[])]),
    same(PARTITIONS, "DELETE FROM low", &[("items", Exact(4), NONE, NONE, &[])]),
    same(
        PARTITIONS,
        "UPDATE items SET id = id + 10 WHERE id = 1",
        &[("items", Exact(1), Exact(1), NONE, &[])],
    ),
    line(
        PARTITIONS,
        "TRUNCATE items",
        &[("items", Exact(9), NONE, NONE, &[Truncated])],
        &[("items", Unknown, NONE, NONE, &[Truncated])],
    ),
    line(
        PARTITIONS,
        "DROP TABLE low",
        &[("items", Exact(4), NONE, NONE, &[Dropped])],
        &[("items", NONE, NONE, NONE, &[]), ("low", Unknown, NONE, NONE, &[Dropped])],
    ),
    line(
        PARTITIONS,
        "DROP TABLE items",
        &[("items", Exact(9), NONE, NONE, &[Dropped])],
        &[
            ("high", Unknown, NONE, NONE, &[Dropped]),
            ("items", Unknown, NONE, NONE, &[Dropped]),
            ("low", Unknown, NONE, NONE, &[Dropped]),
        ],
    ),
    line(
        PARTITIONS,
        "ALTER TABLE items DETACH PARTITION low; DELETE FROM low",
        &[("items", Exact(4), NONE, NONE, &[Altered])],
        &[("items", NONE, NONE, NONE, &[]), ("low", Exact(4), NONE, NONE, &[Altered])],
    ),
    same(
        PARTITIONS,
        "CREATE TABLE middle PARTITION OF items FOR VALUES FROM (100) TO (200); INSERT INTO items VALUES (150)",
        &[("items", NONE, Exact(1), NONE, &[Created])],
    ),
    // tables that inherit are tables of their own
    same(
        "CREATE TABLE items (id int); INSERT INTO items SELECT generate_series(1, 9); \
         CREATE TABLE more () INHERITS (items); INSERT INTO more SELECT generate_series(1, 5)",
        "DELETE FROM items",
        &[("items", Exact(9), NONE, NONE, &[]), ("more", Exact(5), NONE, NONE, &[])],
    ),
    // triggers
    same(
        "CREATE TRIGGER keep AFTER DELETE ON items FOR EACH ROW EXECUTE FUNCTION keep()",
        "DELETE FROM items",
        &[("audit", NONE, Exact(9), NONE, &[]), ("items", Exact(9), NONE, NONE, &[])],
    ),
    same(
        "CREATE CONSTRAINT TRIGGER keep AFTER DELETE ON items DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION keep()",
        "DELETE FROM items WHERE id < 3",
        &[("audit", NONE, Exact(2), NONE, &[]), ("items", Exact(2), NONE, NONE, &[])],
    ),
    // savepoints
    same(
        ITEMS,
        "SAVEPOINT a; DELETE FROM items WHERE id < 4; RELEASE a",
        &[("items", Exact(3), NONE, NONE, &[])],
    ),
    same(
        ITEMS,
        "SAVEPOINT a; DELETE FROM items; ROLLBACK TO a; DELETE FROM items WHERE id < 4",
        &[("items", AtMost(12), NONE, NONE, &[])],
    ),
    same(
        ITEMS,
        "DO $$ BEGIN BEGIN DELETE FROM items; RAISE 'no'; EXCEPTION WHEN OTHERS THEN NULL; END; END $$; \
         DELETE FROM items WHERE id < 4",
        &[("items", AtMost(12), NONE, NONE, &[])],
    ),
    same(ITEMS, "SAVEPOINT a; TRUNCATE items; ROLLBACK TO a", &[]),
    line(
        ITEMS,
        "SAVEPOINT a; SAVEPOINT b; TRUNCATE items; RELEASE b; RELEASE a",
        &[("items", Exact(9), NONE, NONE, &[Truncated])],
        &[("items", Unknown, NONE, NONE, &[Truncated])],
    ),
    // sequences
    line(
        "CREATE TABLE items (id int GENERATED ALWAYS AS IDENTITY, k serial); INSERT INTO items (k) SELECT generate_series(1, 9)",
        "TRUNCATE items RESTART IDENTITY; INSERT INTO items DEFAULT VALUES",
        &[("items", Exact(9), Exact(1), NONE, &[Truncated, Restarted])],
        &[("items", Unknown, Exact(1), NONE, &[Truncated, Restarted])],
    ),
    same(
        "CREATE TABLE items (id serial)",
        "ALTER SEQUENCE items_id_seq RESTART; SELECT nextval('items_id_seq')",
        &[("items", NONE, NONE, NONE, &[Restarted])],
    ),
    same(
        "CREATE TABLE items (id serial)",
        "INSERT INTO items DEFAULT VALUES; SELECT setval('items_id_seq', 50)",
        &[("items", NONE, Exact(1), NONE, &[])],
    ),
    // dropped tables keep their names
    line(
        "CREATE TABLE items (id serial PRIMARY KEY, text text); INSERT INTO items (text) SELECT 'a' FROM generate_series(1, 9)",
        "DROP TABLE items",
        &[("items", Exact(9), NONE, NONE, &[Dropped])],
        &[("items", Unknown, NONE, NONE, &[Dropped])],
    ),
    same(
        "CREATE TABLE items (id int); CREATE SCHEMA shop; CREATE TABLE shop.\"Odd \"\"Name\" (id serial)",
        "DROP SCHEMA shop CASCADE",
        &[("shop.\"Odd \"\"Name\"", Unknown, NONE, NONE, &[Dropped])],
    ),
    same(
        "CREATE TABLE items (id int); CREATE VIEW seen AS SELECT * FROM items",
        "DROP VIEW seen",
        &[("seen", NONE, NONE, NONE, &[Dropped])],
    ),
    same("CREATE TABLE items (id int)", "CREATE TABLE brief (id serial PRIMARY KEY); DROP TABLE brief", &[]),
    same(
        "CREATE TABLE items (id int)",
        "CREATE TABLE fresh AS SELECT n FROM generate_series(1, 3) n; CREATE TABLE bare (id serial PRIMARY KEY)",
        &[("bare", NONE, NONE, NONE, &[Created]), ("fresh", NONE, Exact(3), NONE, &[Created])],
    ),
    // ALTER TABLE
    same(ITEMS, "ALTER TABLE items ADD COLUMN note text", &[("items", NONE, NONE, NONE, &[Altered])]),
    same(ITEMS, "ALTER TABLE items ALTER COLUMN n TYPE bigint", &[("items", NONE, NONE, NONE, &[Altered])]),
    line(
        ITEMS,
        "ALTER TABLE items ALTER COLUMN n TYPE bigint; INSERT INTO items VALUES (10)",
        &[("items", AtMost(9), Exact(1), NONE, &[Truncated, Altered])],
        &[("items", Unknown, Exact(1), NONE, &[Truncated, Altered])],
    ),
    line(
        ITEMS,
        "DELETE FROM items; ALTER TABLE items ALTER COLUMN n TYPE bigint",
        &[("items", Exact(9), NONE, NONE, &[Truncated, Altered])],
        &[("items", Unknown, NONE, NONE, &[Truncated, Altered])],
    ),
    same(ITEMS, "CLUSTER items USING items_pkey", &[("items", NONE, NONE, NONE, &[Altered])]),
    // rewritten with the columns that it had
    same(ITEMS, "ALTER TABLE items SET UNLOGGED", &[("items", NONE, NONE, NONE, &[Altered])]),
    line(
        ITEMS,
        "TRUNCATE items; ALTER TABLE items SET UNLOGGED",
        &[("items", Exact(9), NONE, NONE, &[Truncated])],
        &[("items", Unknown, NONE, NONE, &[Truncated])],
    ),
    // locks
    line(ITEMS, "LOCK TABLE items IN ACCESS EXCLUSIVE MODE", &[], &[("items", NONE, NONE, NONE, &[Altered])]),
    same(ITEMS, "LOCK TABLE items IN ROW SHARE MODE; SELECT * FROM items FOR UPDATE", &[]),
    line(ITEMS, "DELETE FROM items WHERE false", &[], &[("items", NONE, NONE, NONE, &[])]),
    same(ITEMS, "ANALYZE items", &[]),
    // materialised views hold what can be had again
    same(
        "CREATE TABLE items (id int); INSERT INTO items SELECT generate_series(1, 9); \
         CREATE MATERIALIZED VIEW seen AS SELECT * FROM items WHERE id < 5",
        "REFRESH MATERIALIZED VIEW seen",
        &[("seen", NONE, Exact(4), NONE, &[Refreshed])],
    ),
    // a body that closes every cursor takes the names of dropped tables away, and nothing else
    line(
        "CREATE TABLE items (id int); INSERT INTO items SELECT generate_series(1, 9)",
        "CLOSE ALL; DROP TABLE items",
        &[("items", Exact(9), NONE, NONE, &[Dropped])],
        &[("<oid>", Unknown, NONE, NONE, &[Dropped])],
    ),
];

/// Whatever these tables reach is declared: here it is the damage that counts.
fn reaching(database: &Database) -> Arc<Policy> {
    let host = database.server().address().to_string();
    let tests = ["cascade:notes", "inherits:more", "trigger:keep"]
        .iter()
        .fold(Environment::destructive("tests").host(&host).unwrap(), |tests, reached| tests.reach(reached));
    Arc::new(Policy::new().environment(tests).unwrap())
}

/// A transaction of somebody else that was aborted meanwhile looks like a savepoint that was rolled back, and other
/// tests abort many. The same number is then told as a bound; without such a neighbour it is exact.
fn is_bound_of(found: &[Told<'_>], told: &[Told<'_>]) -> bool {
    let bound = |found: Count, told: Count| found == told || found.at_most() == told.at_most();
    found.len() == told.len()
        && found.iter().zip(told).all(|(found, told)| {
            (found.0, found.4) == (told.0, told.4)
                && bound(found.1, told.1)
                && bound(found.2, told.2)
                && bound(found.3, told.3)
        })
}

/// How often neighbours may disturb one row.
const ATTEMPTS: usize = 50;

async fn check(row: &Line) {
    let server = support::postgres(STAGING).await;
    let seed = if row.seed.starts_with("CREATE TABLE") {
        row.seed.to_owned()
    } else {
        format!("{AUDITED} {}", row.seed)
    };
    for (declares, told) in [(true, row.with_items), (false, row.anything)] {
        let mut exact = false;
        for _ in 0..ATTEMPTS {
            exact = tells(&server.database(&seed).await, row, declares, told).await;
            if exact {
                break;
            }
        }
        assert!(exact, "{} ({declares}): never without a neighbor: {told:?}", row.body);
    }
}

/// Runs the row's body. `false` if what is told is right and not exact.
async fn tells(database: &Database, row: &Line, declares: bool, told: &[Told<'_>]) -> bool {
    let policy = reaching(database);
    let before = database.all_rows().await;

    let observed = if declares {
        observe(with_items(policy.judging(database.options()), row.body)).await
    } else {
        observe(anything(policy.judging(database.options()), row.body)).await
    };

    let context = format!("{} ({declares}): {:?}", row.body, observed.returned);
    let run = &observed.runs[0];
    let found: Vec<_> = run
        .damage
        .as_ref()
        .unwrap()
        .tables()
        .iter()
        .map(|table| {
            let name =
                if table.table.starts_with("an unknown table") { "<oid>" } else { table.table.as_str() };
            (name, table.removed(), table.inserted, table.updated, table.changes.as_slice())
        })
        .collect();
    let exact = found == told;
    assert!(exact || is_bound_of(&found, told), "{context}\n found {found:?}\n told  {told:?}");
    let after = database.all_rows().await;
    if run.ending == RunEnding::Committed {
        assert_arithmetic(&before, &after, told, &context);
    } else {
        let undeclared = told.iter().any(|(table, ..)| *table != "items");
        assert!(declares && undeclared, "{context}");
        assert_eq!(after, before, "{context}");
    }
    exact
}

/// Where every count is exact, they are what another session sees to have changed.
fn assert_arithmetic(
    before: &BTreeMap<String, i64>,
    after: &BTreeMap<String, i64>,
    told: &[Told<'_>],
    context: &str,
) {
    let rows = |counts: &BTreeMap<String, i64>, table: &str| counts.get(table).copied();
    // a table's count holds the rows of those that inherit from it
    if told.iter().any(|(table, removed, ..)| !matches!(removed, Exact(_)) || *table == "more") {
        return;
    }
    for (table, removed, inserted, ..) in told {
        let (Exact(removed), Exact(inserted)) = (removed, inserted) else { continue };
        let (Some(before), Some(after)) = (rows(before, table), rows(after, table)) else { continue };
        // rows that came and went inside the body are in neither session's count
        let net = i64::try_from(*inserted).unwrap() - i64::try_from(*removed).unwrap();
        assert!(after - before <= net && after >= 0, "{table}: {context}");
        if !context.starts_with("DELETE FROM items WHERE id < 4; TRUNCATE") && !context.contains("DETACH") {
            assert_eq!(after - before, net, "{table}: {context}");
        }
    }
}

/// In parts, which the test harness runs at once.
macro_rules! parts {
    ($($name:ident: $range:expr;)*) => {$(
        #[tokio::test]
        async fn $name() {
            let rows = &ROWS[$range];
            assert!(!rows.is_empty());
            for row in rows {
                check(row).await;
            }
        }
    )*};
}

parts! {
    tells_exactly_what_deletes_truncates_and_foreign_keys_did: ..9;
    tells_exactly_what_happened_to_partitions_and_children: 9..18;
    tells_exactly_what_triggers_savepoints_and_sequences_did: 18..28;
    tells_exactly_what_was_dropped_created_altered_or_locked: 28..;
}

#[destructive_fixture(tables = ["items", "public.items", "\"Odd \"\"Name\"", "shop.things"], max_rows = 100)]
async fn with_odd_names(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    conn.execute("DELETE FROM items; TRUNCATE \"Odd \"\"Name\"; DELETE FROM shop.things").await?;
    Ok(())
}

#[tokio::test]
async fn knows_a_table_by_whatever_name_it_was_declared() {
    let seed = format!(
        "{ITEMS} CREATE TABLE \"Odd \"\"Name\" (id int); INSERT INTO \"Odd \"\"Name\" SELECT generate_series(1, 3); \
         CREATE SCHEMA shop; CREATE TABLE shop.things (id int); INSERT INTO shop.things SELECT generate_series(1, 2)"
    );
    let database = support::postgres(STAGING).await.database(&seed).await;

    let observed = observe(with_odd_names(disposable(&database).judging(database.options()))).await;

    observed.returned.unwrap();
    let told: Vec<_> = observed.runs[0]
        .damage
        .as_ref()
        .unwrap()
        .tables()
        .iter()
        .map(|table| (table.table.as_str(), table.removed().at_most()))
        .collect();
    assert_eq!(told, [("\"Odd \"\"Name\"", Some(3)), ("items", Some(9)), ("shop.things", Some(2))]);
    assert!(database.all_rows().await.values().all(|rows| *rows == 0));
}

#[destructive_fixture(tables = ["items", "low"], max_rows = 100)]
async fn with_a_partition(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    conn.execute("DELETE FROM items").await?;
    Ok(())
}

#[destructive_fixture(tables = ["low"], max_rows = 100)]
async fn with_a_partition_alone(conn: &mut PgConnection, statement: &'static str) -> Result<(), sqlx::Error> {
    conn.execute(statement).await?;
    Ok(())
}

#[tokio::test]
async fn a_declared_partition_counts_as_itself() {
    let server = support::postgres(STAGING).await;
    let database = server.database(PARTITIONS).await;
    let observed = observe(with_a_partition(disposable(&database).judging(database.options()))).await;
    observed.returned.unwrap();
    let told: Vec<_> = observed.runs[0]
        .damage
        .as_ref()
        .unwrap()
        .tables()
        .iter()
        .map(|table| (table.table.as_str(), table.removed().at_most()))
        .collect();
    assert_eq!(told, [("items", Some(5)), ("low", Some(4))]);

    let database = server.database(PARTITIONS).await;
    let policy = disposable(&database);
    with_a_partition_alone(policy.judging(database.options()), "DELETE FROM low").await.unwrap();
    assert_eq!((database.rows("low").await, database.rows("high").await), (0, 5));
    with_a_partition_alone(policy.judging(database.options()), "DELETE FROM items").await.unwrap_err();
    assert_eq!(database.rows("high").await, 5);
}

#[destructive_fixture(tables = ["items", "seen"], max_rows = 100, reach = ["view:items"])]
async fn with_a_materialised_view(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    conn.execute("DELETE FROM items; REFRESH MATERIALIZED VIEW seen").await?;
    Ok(())
}

#[tokio::test]
async fn a_materialised_view_can_be_declared() {
    let seed = format!("{ITEMS} CREATE MATERIALIZED VIEW seen AS SELECT * FROM items");
    let database = support::postgres(STAGING).await.database(&seed).await;

    with_a_materialised_view(disposable(&database).judging(database.options())).await.unwrap();

    assert_eq!((database.rows("items").await, database.rows("seen").await), (0, 0));
}

/// What the session did before is still in the server's counters, because it has not been idle for long enough.
#[tokio::test]
async fn does_not_count_what_the_connection_did_before() {
    let database = support::postgres(STAGING).await.database(ITEMS).await;
    let pool = sqlx::postgres::PgPoolOptions::new()
        .max_connections(1)
        .connect_with(database.options())
        .await
        .unwrap();
    let policy = disposable(&database);
    for statement in ["DELETE FROM items WHERE id = 9", "DELETE FROM items WHERE id = 8"] {
        pool.execute("INSERT INTO items SELECT generate_series(100, 199)").await.unwrap();
        pool.execute("DELETE FROM items WHERE id >= 100").await.unwrap(); // fixture-guard: allow(a neighbour)

        let observed = observe(anything(policy.judging(&pool), statement)).await;

        observed.returned.unwrap();
        let items = observed.runs[0].damage.as_ref().unwrap().table("items").unwrap();
        assert_eq!((items.removed().at_most(), items.inserted), (Some(1), NONE), "{statement}");
    }
    assert_eq!(database.rows("items").await, 7);
}

/// Other sessions take transaction ids too, so that a gap in ours proves nothing; that none of them was aborted does.
#[tokio::test]
async fn counts_exactly_while_others_write() {
    let database = support::postgres(STAGING).await.database(ITEMS).await;
    let pool = database.pool().await;
    let busy = tokio::spawn({
        let mut other = database.options().connect().await.unwrap();
        async move {
            loop {
                other.execute("CREATE TABLE busy (); DROP TABLE busy").await.unwrap(); // fixture-guard: allow(a neighbour)
            }
        }
    });

    let body = "DELETE FROM items WHERE id = 1; SELECT pg_sleep(0.05); SAVEPOINT a; DELETE FROM items WHERE id = 2; RELEASE a";
    let mut exact = false;
    for _ in 0..ATTEMPTS {
        pool.execute("INSERT INTO items VALUES (1), (2) ON CONFLICT DO NOTHING").await.unwrap();
        let observed = observe(anything(disposable(&database).judging(&pool), body)).await;
        observed.returned.unwrap();
        let removed = observed.runs[0].damage.as_ref().unwrap().table("items").unwrap().removed();
        assert_eq!(removed.at_most(), Some(2));
        exact = removed == Exact(2);
        if exact {
            break;
        }
    }

    busy.abort();
    assert!(exact, "never without a neighbour that was aborted");
    assert_eq!(database.rows("items").await, 7);
}

/// In a database with 9 items, and with a function and a chain of deferred triggers that would empty that table at COMMIT.
const AT_COMMIT: &str = "
    CREATE TABLE items (id int); INSERT INTO items SELECT generate_series(1, 9);
    CREATE FUNCTION wipe() RETURNS int LANGUAGE plpgsql AS 'BEGIN DELETE FROM items; RETURN 1; END';
    CREATE TABLE first (id int); CREATE TABLE second (id int);
    CREATE FUNCTION from_first() RETURNS trigger LANGUAGE plpgsql AS
      'BEGIN SET CONSTRAINTS on_second DEFERRED; INSERT INTO second VALUES (1); RETURN NULL; END';
    CREATE FUNCTION from_second() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN DELETE FROM items; RETURN NULL; END';
    CREATE CONSTRAINT TRIGGER on_first AFTER INSERT ON first DEFERRABLE INITIALLY DEFERRED
      FOR EACH ROW EXECUTE FUNCTION from_first();
    CREATE CONSTRAINT TRIGGER on_second AFTER INSERT ON second DEFERRABLE INITIALLY DEFERRED
      FOR EACH ROW EXECUTE FUNCTION from_second();
    CREATE TABLE third (id int);
    CREATE FUNCTION from_third() RETURNS trigger LANGUAGE plpgsql AS
      'BEGIN EXECUTE ''DECLARE c CURSOR WITH HOLD FOR SELECT wipe()''; RETURN NULL; END';
    CREATE CONSTRAINT TRIGGER on_third AFTER INSERT ON third DEFERRABLE INITIALLY DEFERRED
      FOR EACH ROW EXECUTE FUNCTION from_third()";

#[destructive_fixture(tables = ["first", "second", "third"])]
async fn writes_late(conn: &mut PgConnection, statements: &'static str) -> sqlx::Result<()> {
    conn.execute(statements).await?;
    Ok(())
}

/// COMMIT runs what a new cursor WITH HOLD has not fetched, also one that a deferred trigger declared.
#[tokio::test]
async fn leaves_every_row_that_a_cursor_would_remove_at_commit() {
    for statements in ["DECLARE c CURSOR WITH HOLD FOR SELECT wipe()", "INSERT INTO third VALUES (1)"] {
        let database = support::postgres(STAGING).await.database(AT_COMMIT).await;
        let pool = database.pool().await;
        let mut bare = pool.begin().await.unwrap();
        bare.execute(statements).await.unwrap();
        bare.commit().await.unwrap();
        assert_eq!(database.rows("items").await, 0, "what is feared: {statements}");
        pool.execute("INSERT INTO items SELECT generate_series(1, 9)").await.unwrap();

        writes_late(disposable(&database).judging(&pool), statements).await.unwrap();

        assert_eq!(database.rows("items").await, 9, "{statements}");
    }
}

#[tokio::test]
async fn leaves_every_row_that_a_trigger_would_remove_which_another_one_deferred() {
    let database = support::postgres(STAGING).await.database(AT_COMMIT).await;
    let pool = database.pool().await;

    let observed =
        observe(writes_late(disposable(&database).judging(&pool), "INSERT INTO first VALUES (1)")).await;

    let error = observed.returned.unwrap_err();
    let refusal = Error::in_sqlx(&error).and_then(Error::refusal).unwrap();
    assert!(refusal.to_string().contains("items"), "{refusal}");
    assert_eq!(database.rows("items").await, 9);
    assert_eq!(database.rows("first").await, 0);
}

/// Not every service lets a test ask for its log's position; where it does not, a COMMIT waits as ever.
#[tokio::test]
async fn needs_no_right_to_ask_for_the_position_of_the_log() {
    let database = support::postgres(STAGING).await.database(ITEMS).await;
    let revoke = "REVOKE EXECUTE ON FUNCTION pg_catalog.pg_current_wal_insert_lsn() FROM public";
    database.admin().await.execute(revoke).await.unwrap();
    let pool = database.pool().await;
    let asked = sqlx::query("SELECT pg_current_wal_insert_lsn()").execute(&pool).await;
    assert!(asked.is_err());

    anything(disposable(&database).judging(&pool), "DELETE FROM items WHERE id = 1").await.unwrap();

    assert_eq!(database.rows("items").await, 8);
}
