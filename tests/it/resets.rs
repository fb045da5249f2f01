//! The ready-made reset, against the rows that another session counts.

use std::sync::Arc;
use std::time::Duration;

use fixture_guard::reset::{self, Means, ResetReport};
use fixture_guard::{
    Code, Count, Environment, Error, GuardedTransaction, Policy, Refusal, Stage, destructive_fixture,
};
use sqlx::{AssertSqlSafe, Executor, PgConnection};

use crate::support::{self, Database, PRODUCTION, STAGING};

/// A policy that lets fixtures reach what the tables of this page have beside them: the reset itself must be right
/// about them.
fn disposable(database: &Database) -> Arc<Policy> {
    let host = database.server().address().to_string();
    let reached = ["rule:keep", "trigger:soften", "foreign:far_orders", "foreign:orders_far"];
    let tests = Environment::destructive("tests").host(&host).unwrap();
    let tests = reached.iter().fold(tests, |tests, reached| tests.reach(reached));
    Arc::new(Policy::new().environment(tests).unwrap())
}

#[destructive_fixture]
async fn reset_all(tx: &mut GuardedTransaction) -> Result<ResetReport, Error> {
    reset::all_tables(tx).await
}

#[destructive_fixture]
async fn reset_except(tx: &mut GuardedTransaction, kept: &[&str]) -> Result<ResetReport, Error> {
    reset::all_tables(tx).except(kept.iter().copied()).await
}

/// A database of its own, whose statements the application's role runs.
async fn database(seed: &str) -> Database {
    support::postgres(STAGING).await.database(seed).await
}

/// Resets it and commits.
async fn run(database: &Database) -> Result<ResetReport, Error> {
    reset_all(disposable(database).judging(database.options())).await
}

async fn run_except(database: &Database, kept: &[&str]) -> Result<ResetReport, Error> {
    reset_except(disposable(database).judging(database.options()), kept).await
}

async fn as_admin(database: &Database, statements: &str) {
    database.admin().await.execute(sqlx::raw_sql(AssertSqlSafe(statements.to_owned()))).await.unwrap();
}

fn refusal<T: std::fmt::Debug>(result: Result<T, Error>) -> Refusal {
    let refusal = result.unwrap_err().refusal().cloned().expect("a refusal");
    assert_eq!(refusal.stage(), Stage::Reset);
    refusal
}

fn means(report: &ResetReport) -> Vec<(&str, Means)> {
    report.emptied.iter().map(|table| (table.table.as_str(), table.by)).collect()
}

async fn rows(tx: &mut GuardedTransaction, table: &str) -> i64 {
    let count = AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
    sqlx::query_scalar(count).fetch_one(&mut **tx).await.unwrap()
}

#[tokio::test]
async fn empties_the_storefront() {
    let staging = support::postgres(STAGING).await.storefront().await;
    let before = staging.all_rows().await;

    let report = run(&staging).await.unwrap();

    assert!(staging.all_rows().await.values().all(|rows| *rows == 0));
    assert_eq!((report.emptied.len(), report.looked_at), (23, 23));
    for table in &report.emptied {
        assert_eq!(table.rows, Count::Exact(before[&table.table].try_into().unwrap()), "{}", table.table);
    }
    let again = run(&staging).await.unwrap();
    assert_eq!(again.to_string(), "emptied 0 of 23 tables");
}

#[tokio::test]
async fn leaves_every_row_when_the_transaction_is_rolled_back() {
    let staging = support::postgres(STAGING).await.storefront().await;
    let before = staging.all_rows().await;
    let policy = disposable(&staging);
    let mut tx = fixture_guard::begin(policy.judging(staging.options())).await.unwrap();

    let report = reset::all_tables(&mut tx).restart_identity().await.unwrap();

    assert_eq!(report.emptied.len(), 23);
    for table in support::STOREFRONT_TABLES {
        assert_eq!(rows(&mut tx, table).await, 0, "{table}");
    }
    tx.rollback().await.unwrap();
    assert_eq!(staging.all_rows().await, before);
}

#[tokio::test]
async fn touches_only_tables_that_hold_rows() {
    let database =
        database("CREATE TABLE a (id int); CREATE TABLE b (id int); INSERT INTO b VALUES (1)").await;
    let file = "SELECT pg_relation_filepath('a')";
    let before: String = sqlx::query_scalar(file).fetch_one(&mut database.admin().await).await.unwrap();

    let observed = fixture_guard::observe(run(&database)).await;

    assert_eq!(means(&observed.returned.unwrap()), [("b", Means::Delete)]);
    let damage = observed.runs[0].damage.as_ref().unwrap();
    assert!(damage.table("a").is_none() && damage.table("b").is_some(), "{damage}");
    let after: String = sqlx::query_scalar(file).fetch_one(&mut database.admin().await).await.unwrap();
    assert_eq!(after, before);
}

#[tokio::test]
async fn has_nothing_to_do_in_an_empty_database() {
    let database = support::postgres(STAGING).await.empty_database().await;

    let report = run(&database).await.unwrap();

    assert_eq!(report.to_string(), "emptied 0 of 0 tables");
}

#[tokio::test]
async fn follows_foreign_keys_of_every_action_and_in_circles() {
    for action in ["NO ACTION", "RESTRICT", "CASCADE", "SET NULL", "SET DEFAULT"] {
        for deferrable in
            ["NOT DEFERRABLE", "DEFERRABLE INITIALLY IMMEDIATE", "DEFERRABLE INITIALLY DEFERRED"]
        {
            for count in [3, 3_000] {
                let key = format!("ON DELETE {action} {deferrable}");
                let database = database(&format!(
                    "CREATE TABLE a (id int PRIMARY KEY, b_id int, a_id int REFERENCES a {key});
                     CREATE TABLE b (id int PRIMARY KEY, c_id int);
                     CREATE TABLE c (id int PRIMARY KEY, a_id int REFERENCES a {key});
                     CREATE TABLE leaf (id int PRIMARY KEY REFERENCES b {key}, a_id int REFERENCES a {key});
                     INSERT INTO a SELECT n, n, n FROM generate_series(1, {count}) n;
                     INSERT INTO c SELECT n, n FROM generate_series(1, 3) n;
                     INSERT INTO b SELECT n, 1 + n % 3 FROM generate_series(1, {count}) n;
                     INSERT INTO leaf VALUES (1, 1), (2, 2);
                     SET CONSTRAINTS ALL IMMEDIATE;
                     ALTER TABLE a ADD FOREIGN KEY (b_id) REFERENCES b {key};
                     ALTER TABLE b ADD FOREIGN KEY (c_id) REFERENCES c {key};"
                ))
                .await;

                let report = run(&database).await.unwrap_or_else(|error| panic!("{key}: {error}"));

                assert!(database.all_rows().await.values().all(|rows| *rows == 0), "{key}");
                let expected = if count > 3 { Means::Truncate } else { Means::Delete };
                assert!(report.emptied.iter().all(|table| table.by == expected), "{key}: {report}");
            }
        }
    }
}

#[tokio::test]
async fn empties_again_what_was_seeded_after_the_first_time() {
    let database = database(
        "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (a_id int REFERENCES a DEFERRABLE INITIALLY DEFERRED)",
    )
    .await;
    let mut tx = fixture_guard::begin(disposable(&database).judging(database.options())).await.unwrap();
    // checks of both are due at the end of the transaction, and TRUNCATE refuses tables with checks that are due
    let seed = "INSERT INTO b SELECT n FROM generate_series(1, 3000) n; INSERT INTO a SELECT n FROM generate_series(1, 3000) n";
    tx.execute(seed).await.unwrap();

    let report = reset::all_tables(&mut tx).await.unwrap();

    assert_eq!(means(&report), [("a", Means::Delete), ("b", Means::Delete)]);
    assert_eq!((rows(&mut tx, "a").await, rows(&mut tx, "b").await), (0, 0));
    let timeout: String = sqlx::query_scalar("SHOW lock_timeout").fetch_one(&mut *tx).await.unwrap();
    assert_eq!(timeout, "5s", "as before");
}

#[tokio::test]
async fn takes_partitioned_tables_as_a_whole_and_inheritance_one_by_one() {
    let database = database(
        "CREATE TABLE events (id int, day int, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
         CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (1) TO (2);
         CREATE TABLE events_2 PARTITION OF events FOR VALUES FROM (2) TO (3) PARTITION BY RANGE (id);
         CREATE TABLE events_2_low PARTITION OF events_2 FOR VALUES FROM (0) TO (2000);
         CREATE TABLE events_2_high PARTITION OF events_2 DEFAULT;
         CREATE TABLE notes (id int, event int, day int, FOREIGN KEY (event, day) REFERENCES events);
         CREATE TABLE parent (id int); CREATE TABLE child () INHERITS (parent); CREATE TABLE kept () INHERITS (parent);
         INSERT INTO events SELECT n, 1 + n % 2 FROM generate_series(1, 3000) n;
         INSERT INTO notes VALUES (1, 2, 1);
         INSERT INTO parent VALUES (1); INSERT INTO child VALUES (2); INSERT INTO kept VALUES (3);",
    )
    .await;

    let report = run_except(&database, &["kept"]).await.unwrap();

    let expected = [
        ("events", Means::Truncate),
        ("notes", Means::Truncate),
        ("parent", Means::Delete),
        ("child", Means::Delete),
    ];
    assert_eq!(means(&report), expected);
    assert_eq!((database.rows("events").await, database.rows("notes").await), (0, 0));
    assert_eq!((database.rows("ONLY parent").await, database.rows("child").await), (0, 0));
    assert_eq!(database.rows("kept").await, 1);

    as_admin(&database, "INSERT INTO events VALUES (1, 1)").await;
    let refused = refusal(run_except(&database, &["events_2_low"]).await);
    assert_eq!(refused.reasons()[0].code(), Code::KeptTable);
    assert_eq!(database.rows("events").await, 1);
}

#[tokio::test]
async fn keeps_what_migration_tools_wrote_and_what_it_is_told_to() {
    let database = database(
        "CREATE TABLE _sqlx_migrations (version int); INSERT INTO _sqlx_migrations VALUES (1);
         CREATE SCHEMA billing; CREATE TABLE billing.tax_rates (id int); INSERT INTO billing.tax_rates VALUES (1);
         CREATE TABLE tax_rates (id int); INSERT INTO tax_rates VALUES (1);
         CREATE TABLE countries (id int); INSERT INTO countries VALUES (1);
         CREATE TABLE orders (country int); INSERT INTO orders VALUES (1);",
    )
    .await;

    let report = run_except(&database, &["billing.tax_rates", "COUNTRIES"]).await.unwrap();

    assert_eq!(means(&report), [("tax_rates", Means::Delete), ("orders", Means::Delete)]);
    assert_eq!(report.kept, ["_sqlx_migrations", "billing.tax_rates", "countries"]);
    for (table, rows) in
        [("_sqlx_migrations", 1), ("billing.tax_rates", 1), ("countries", 1), ("tax_rates", 0), ("orders", 0)]
    {
        assert_eq!(database.rows(table).await, rows, "{table}");
    }
}

#[tokio::test]
async fn leaves_every_row_when_a_kept_table_refers_to_some_of_them() {
    for (action, count) in [("CASCADE", 1), ("SET NULL", 1), ("NO ACTION", 1), ("CASCADE", 3_000)] {
        let database = database(&format!(
            "CREATE TABLE users (id int PRIMARY KEY);
             CREATE TABLE audit (user_id int CONSTRAINT audit_by REFERENCES users ON DELETE {action});
             INSERT INTO users SELECT generate_series(1, {count}); INSERT INTO audit VALUES (1);"
        ))
        .await;

        let refused = refusal(run_except(&database, &["audit"]).await);

        assert_eq!(refused.reasons()[0].code(), Code::KeptTable);
        assert!(
            refused.to_string().contains("audit is kept, and its rows refer to users by audit_by"),
            "{refused}"
        );
        assert_eq!((database.rows("users").await, database.rows("audit").await), (count, 1));
        let referring = "audit WHERE user_id = 1";
        assert_eq!(database.rows(referring).await, 1);

        // rows that refer to nothing do not stand in the way
        as_admin(&database, "UPDATE audit SET user_id = NULL").await; // fixture-guard: allow(set-up)
        run_except(&database, &["audit"]).await.unwrap();
        assert_eq!((database.rows("users").await, database.rows("audit").await), (0, 1));
    }
}

#[tokio::test]
async fn leaves_every_row_when_a_name_is_misspelt() {
    let staging = support::postgres(STAGING).await.storefront().await;
    let before = staging.all_rows().await;

    let refused = refusal(run_except(&staging, &["categoires", "public.bannners"]).await);
    assert_eq!(
        refused.reasons().iter().map(fixture_guard::Reason::code).collect::<Vec<_>>(),
        [Code::MissingTable; 2]
    );
    let refused = refusal(run_except(&staging, &["a b; DROP TABLE categories"]).await);
    assert_eq!(refused.reasons()[0].code(), Code::MissingTable);

    let mut tx = fixture_guard::begin(disposable(&staging).judging(staging.options())).await.unwrap();
    let only = reset::all_tables(&mut tx).only(reset::schemas(["public", "shopp"])).await;
    assert!(refusal(only).to_string().contains("the schema shopp does not exist"));
    // a refused reset leaves the transaction as it was
    assert_eq!(rows(&mut tx, "categories").await, before["categories"]);
    drop(tx);
    assert_eq!(staging.all_rows().await, before);
}

#[tokio::test]
async fn empties_only_the_schemas_that_were_named() {
    let database = database(
        "CREATE SCHEMA \"Other Shop\"; CREATE TABLE \"Other Shop\".users (id int PRIMARY KEY); CREATE TABLE users (id int PRIMARY KEY);
         CREATE SCHEMA third; CREATE TABLE third.users (id int);
         INSERT INTO users VALUES (1); INSERT INTO \"Other Shop\".users VALUES (1); INSERT INTO third.users VALUES (1)",
    )
    .await;
    let mut tx = fixture_guard::begin(disposable(&database).judging(database.options())).await.unwrap();

    let report =
        reset::all_tables(&mut tx).only(reset::schema("public")).only(reset::schema("Other Shop")).await;

    assert_eq!(report.unwrap().emptied.len(), 2);
    assert_eq!(rows(&mut tx, "third.users").await, 1);
    assert_eq!(rows(&mut tx, "\"Other Shop\".users").await + rows(&mut tx, "users").await, 0);
}

#[tokio::test]
async fn quotes_names() {
    let names = [
        "\"Weird Name\"",
        "\"select\"",
        "\"a.b\"",
        "\"quo\"\"te\"",
        "\"it's\"",
        "\"größe\"",
        "\"; DROP TABLE x; --\"",
    ];
    let tables = names.map(|name| {
        format!(
            "CREATE TABLE {name} (\"Id\" serial PRIMARY KEY); INSERT INTO {name} VALUES (DEFAULT); \
             INSERT INTO {name} SELECT n FROM generate_series(10, 2500) n;"
        )
    });
    let seed =
        "CREATE SCHEMA \"S p\"; CREATE TABLE \"S p\".\"$1\" (id int); INSERT INTO \"S p\".\"$1\" VALUES (1);";
    let seed = format!("{seed} {}", tables.concat());
    let database = database(&seed).await;
    let mut tx = fixture_guard::begin(disposable(&database).judging(database.options())).await.unwrap();

    let report = reset::all_tables(&mut tx).except([names[0]]).restart_identity().await.unwrap();

    assert_eq!((report.emptied.len(), report.restarted), (names.len(), names.len() - 1));
    for name in &names[1..] {
        assert_eq!(rows(&mut tx, name).await, 0, "{name}");
    }
    assert_eq!(rows(&mut tx, names[0]).await, 2_492);
    assert_eq!(rows(&mut tx, "\"S p\".\"$1\"").await, 0);
}

#[destructive_fixture]
async fn restart(tx: &mut GuardedTransaction) -> Result<ResetReport, Error> {
    reset::all_tables(tx).restart_identity().await
}

#[tokio::test]
async fn lets_sequences_begin_anew_only_when_asked_to() {
    let seed = "CREATE TABLE serials (id serial, n int); CREATE TABLE identities (id int GENERATED ALWAYS AS IDENTITY (START 100), n int);
         CREATE TABLE emptied (id bigserial, n int); CREATE TABLE untouched (id serial, n int);
         CREATE TABLE parts (id serial, n int) PARTITION BY LIST (n); CREATE TABLE part PARTITION OF parts DEFAULT;
         CREATE SEQUENCE free; SELECT nextval('free');";
    let insert = "INSERT INTO serials (n) VALUES (1), (2); INSERT INTO identities (n) VALUES (1); INSERT INTO emptied (n) VALUES (1);
         INSERT INTO parts (n) VALUES (1)";
    let database = database(&format!("{seed} {insert}; DELETE FROM emptied")).await;
    let next = async || {
        let ids = "SELECT array_to_string(ARRAY[(SELECT max(id) FROM serials), (SELECT max(id) FROM identities), \
                   (SELECT max(id) FROM emptied), (SELECT max(id) FROM parts), nextval('free')], ' ')";
        let mut admin = database.admin().await;
        admin.execute(insert).await.unwrap();
        sqlx::query_scalar::<_, String>(ids).fetch_one(&mut admin).await.unwrap()
    };

    run(&database).await.unwrap();
    assert_eq!(next().await, "4 101 2 2 2");

    let report = restart(disposable(&database).judging(database.options())).await.unwrap();
    assert_eq!(report.restarted, 4);
    assert_eq!(next().await, "2 100 1 1 3");

    let mut tx = fixture_guard::begin(disposable(&database).judging(database.options())).await.unwrap();
    reset::all_tables(&mut tx).restart_identity().await.unwrap();
    drop(tx);
    assert_eq!(next().await, "4 101 2 2 4", "a rollback undoes it");
}

#[tokio::test]
async fn does_what_the_role_may_do_and_names_what_it_may_not() {
    let database = support::postgres(STAGING).await.empty_database().await;
    as_admin(
        &database,
        "CREATE TABLE no_truncate (id int); GRANT SELECT, DELETE ON no_truncate TO storefront_app;
         CREATE TABLE no_delete (id int); GRANT SELECT, TRUNCATE ON no_delete TO storefront_app;
         CREATE TABLE no_select (id int); GRANT TRUNCATE ON no_select TO storefront_app;
         CREATE TABLE nothing (id int);
         INSERT INTO no_truncate SELECT generate_series(1, 3000); INSERT INTO no_delete VALUES (1); INSERT INTO no_select VALUES (1);",
    )
    .await;

    let report = run(&database).await.unwrap();

    let expected =
        [("no_truncate", Means::Delete), ("no_delete", Means::Truncate), ("no_select", Means::Truncate)];
    assert_eq!(means(&report), expected);
    assert!(database.all_rows().await.values().all(|rows| *rows == 0));

    as_admin(&database, "INSERT INTO nothing VALUES (1); INSERT INTO no_delete VALUES (1)").await;
    let refused = refusal(run(&database).await);
    assert_eq!(refused.reasons().len(), 1);
    assert_eq!(refused.reasons()[0].code(), Code::NotPermitted);
    assert!(refused.reasons()[0].help().contains("GRANT TRUNCATE ON nothing"), "{refused}");
    assert_eq!((database.rows("nothing").await, database.rows("no_delete").await), (1, 1));
}

#[tokio::test]
async fn leaves_no_row_behind_where_delete_would() {
    let database = database(
        "CREATE TABLE soft (id int, gone bool DEFAULT false);
         CREATE FUNCTION soften() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN UPDATE soft SET gone = true; RETURN NULL; END';
         CREATE TRIGGER soften BEFORE DELETE ON soft FOR EACH ROW EXECUTE FUNCTION soften();
         CREATE TABLE ruled (id int); CREATE RULE keep AS ON DELETE TO ruled DO INSTEAD NOTHING;
         CREATE TABLE hidden (id int); ALTER TABLE hidden ENABLE ROW LEVEL SECURITY; ALTER TABLE hidden FORCE ROW LEVEL SECURITY;
         CREATE POLICY a ON hidden USING (id < 0); CREATE POLICY b ON hidden FOR INSERT WITH CHECK (true);
         INSERT INTO soft VALUES (1); INSERT INTO ruled VALUES (1); INSERT INTO hidden VALUES (1);",
    )
    .await;
    assert_eq!(database.rows("hidden").await, 1);

    let report = run(&database).await.unwrap();

    let expected = [("soft", Means::Truncate), ("ruled", Means::Truncate), ("hidden", Means::Truncate)];
    assert_eq!(means(&report), expected);
    assert!(database.all_rows().await.values().all(|rows| *rows == 0));
}

#[tokio::test]
async fn never_touches_foreign_tables() {
    let [near, far] = support::servers([STAGING, PRODUCTION]).await;
    let far = far.database("CREATE TABLE orders (id int, day int); INSERT INTO orders VALUES (1, 1)").await;
    let near = near.empty_database().await;
    as_admin(
        &near,
        &format!(
            "CREATE EXTENSION postgres_fdw; GRANT USAGE ON FOREIGN DATA WRAPPER postgres_fdw TO storefront_app; SET ROLE storefront_app;
             CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '{}', port '{}', dbname '{}');
             CREATE USER MAPPING FOR storefront_app SERVER far OPTIONS (user '{}', password '{}');
             CREATE FOREIGN TABLE far_orders (id int, day int) SERVER far OPTIONS (table_name 'orders');
             CREATE TABLE near_orders (id int, day int); INSERT INTO near_orders VALUES (2, 2);",
            far.server().address(),
            far.server().port(),
            far.name(),
            support::APP_USER,
            support::APP_PASSWORD,
        ),
    )
    .await;

    let report = run(&near).await.unwrap();
    assert_eq!(means(&report), [("near_orders", Means::Delete)]);
    assert_eq!((far.rows("orders").await, near.rows("near_orders").await), (1, 0));

    as_admin(
        &near,
        "SET ROLE storefront_app; CREATE TABLE orders (id int, day int) PARTITION BY LIST (day);
         CREATE TABLE orders_near PARTITION OF orders DEFAULT; INSERT INTO orders VALUES (3, 3); INSERT INTO near_orders VALUES (2, 2);
         CREATE FOREIGN TABLE orders_far PARTITION OF orders FOR VALUES IN (1) SERVER far OPTIONS (table_name 'orders')",
    )
    .await;
    let refused = refusal(run(&near).await);
    assert_eq!(refused.reasons()[0].code(), Code::ForeignTable);
    assert!(refused.to_string().contains("orders has partitions on another server: orders_far"), "{refused}");
    assert_eq!((near.rows("near_orders").await, near.rows("orders_near").await), (1, 1));

    run_except(&near, &["orders"]).await.unwrap();
    assert_eq!((near.rows("near_orders").await, near.rows("orders_near").await), (0, 1));
    assert_eq!(far.rows("orders").await, 1);
}

#[tokio::test]
async fn leaves_the_tables_of_extensions_and_temporary_ones() {
    let database = database("CREATE TABLE orders (id int); INSERT INTO orders VALUES (1)").await;
    as_admin(
        &database,
        "CREATE EXTENSION postgres_fdw; CREATE TABLE spatial_ref_sys (id int); INSERT INTO spatial_ref_sys VALUES (1);
         ALTER EXTENSION postgres_fdw ADD TABLE spatial_ref_sys; GRANT ALL ON spatial_ref_sys TO storefront_app",
    )
    .await;
    let mut tx = fixture_guard::begin(disposable(&database).judging(database.options())).await.unwrap();
    tx.execute("CREATE TEMPORARY TABLE mine AS SELECT 1 AS id").await.unwrap();

    let report = reset::all_tables(&mut tx).await.unwrap();

    assert_eq!(means(&report), [("orders", Means::Delete)]);
    assert_eq!((rows(&mut tx, "mine").await, rows(&mut tx, "spatial_ref_sys").await), (1, 1));
}

#[tokio::test]
async fn truncates_ten_thousand_rows_and_what_refers_to_them() {
    let database = database(
        "CREATE TABLE brands (id serial PRIMARY KEY); CREATE TABLE products (id serial PRIMARY KEY, brand int REFERENCES brands);
         CREATE TABLE reviews (product int REFERENCES products); CREATE TABLE stores (id int);
         INSERT INTO brands DEFAULT VALUES; INSERT INTO stores VALUES (1);
         INSERT INTO products (brand) SELECT 1 FROM generate_series(1, 10000); INSERT INTO reviews SELECT 1 FROM generate_series(1, 10000)",
    )
    .await;

    let report = run(&database).await.unwrap();

    let expected = [
        ("brands", Means::Delete),
        ("products", Means::Truncate),
        ("reviews", Means::Truncate),
        ("stores", Means::Delete),
    ];
    assert_eq!(means(&report), expected);
    assert_eq!(report.emptied[1].rows, Count::Unknown);
    assert!(database.all_rows().await.values().all(|rows| *rows == 0));
}

#[destructive_fixture(tables = ["categories", "product_categories", "discounts"])]
async fn declares_too_little(tx: &mut GuardedTransaction) -> Result<ResetReport, Error> {
    reset::all_tables(tx).await
}

#[tokio::test]
async fn leaves_every_row_when_the_fixture_did_not_declare_what_was_emptied() {
    let staging = support::postgres(STAGING).await.storefront().await;
    let before = staging.all_rows().await;

    let error = declares_too_little(disposable(&staging).judging(staging.options())).await.unwrap_err();

    let reasons = error.refusal().unwrap().reasons().to_vec();
    assert!(reasons.iter().all(|reason| reason.code() == Code::UndeclaredTable), "{error}");
    assert_eq!(staging.all_rows().await, before);
}

#[tokio::test]
async fn resets_at_the_same_time_wait_for_each_other_and_never_for_ever() {
    let database = database(
        "CREATE TABLE a (id int); CREATE TABLE b (id int); INSERT INTO a SELECT generate_series(1, 3000); INSERT INTO b VALUES (1)",
    )
    .await;
    let policy = disposable(&database);
    let one = async |seconds: u64| {
        let mut tx = fixture_guard::begin(policy.judging(database.options())).await.unwrap();
        let report = reset::all_tables(&mut tx).await.unwrap();
        tx.execute(AssertSqlSafe(format!("SELECT pg_sleep({seconds} / 20.0)"))).await.unwrap();
        assert_eq!(means(&report), [("a", Means::Truncate), ("b", Means::Delete)]);
        tx.rollback().await.unwrap();
    };

    futures_util::future::join_all((0..8).map(|n| one(n % 3))).await;

    assert_eq!((database.rows("a").await, database.rows("b").await), (3_000, 1));
}

#[tokio::test]
async fn resets_that_find_everything_empty_do_not_wait() {
    let database = database("CREATE TABLE a (id int)").await;
    let policy = disposable(&database);
    let mut first = fixture_guard::begin(policy.judging(database.options())).await.unwrap();
    reset::all_tables(&mut first).await.unwrap();
    first.execute("INSERT INTO a VALUES (1)").await.unwrap();

    let mut second = fixture_guard::begin(policy.judging(database.options())).await.unwrap();
    let reset = tokio::time::timeout(Duration::from_secs(20), reset::all_tables(&mut second)).await;

    assert_eq!(reset.unwrap().unwrap().emptied, []);
    assert_eq!(rows(&mut first, "a").await, 1);
}

/// A helper of a team's own that nobody can call unguarded.
async fn helper(tx: &mut GuardedTransaction) -> sqlx::Result<()> {
    reset::all_tables(tx).except(["stores"]).await?;
    Ok(())
}

#[destructive_fixture]
async fn calls_a_helper(tx: &mut GuardedTransaction) -> sqlx::Result<()> {
    helper(tx).await?;
    let conn: &mut PgConnection = tx;
    conn.execute("INSERT INTO stores (name) VALUES ('second')").await?;
    Ok(())
}

#[tokio::test]
async fn goes_with_sqlx_errors_and_nested_fixtures() {
    let staging = support::postgres(STAGING).await.storefront().await;
    let mut tx = fixture_guard::begin(disposable(&staging).judging(staging.options())).await.unwrap();

    calls_a_helper(&mut tx).await.unwrap();

    assert_eq!((rows(&mut tx, "stores").await, rows(&mut tx, "orders").await), (2, 0));
    drop(tx);
    assert_eq!(staging.rows("stores").await, 1);
}

#[tokio::test]
async fn gives_the_connection_back_after_a_rollback() {
    let staging = support::postgres(STAGING).await.storefront().await;
    let one = sqlx::postgres::PgPoolOptions::new().max_connections(1);
    let pool = one.connect_with(staging.options()).await.unwrap();
    let backend =
        async || sqlx::query_scalar::<_, i32>("SELECT pg_backend_pid()").fetch_one(&pool).await.unwrap();
    let before = backend().await;
    let mut tx = fixture_guard::begin(disposable(&staging).judging(&pool)).await.unwrap();

    reset::all_tables(&mut tx).restart_identity().await.unwrap();
    tx.rollback().await.unwrap();

    assert_eq!(backend().await, before);
    assert_ne!(staging.rows("orders").await, 0);
}
