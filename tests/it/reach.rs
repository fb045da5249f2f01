//! What a destructive statement can touch beyond its tables, on real servers.

use fixture_guard::{Code, Error, Reason, destructive_fixture};
use sqlx::{AssertSqlSafe, ConnectOptions, Executor, PgConnection};
use support::{APP_PASSWORD, APP_USER, Database, PRODUCTION, STAGING};

use crate::{disposable, support};

#[destructive_fixture(tables = ["items"])]
async fn empties_items(conn: &mut PgConnection) -> Result<(), Error> {
    conn.execute("DELETE FROM items").await.expect("the body runs");
    Ok(())
}

#[destructive_fixture]
async fn empties_items_undeclared(conn: &mut PgConnection) -> Result<(), Error> {
    conn.execute("DELETE FROM items").await.expect("the body runs");
    Ok(())
}

#[destructive_fixture(tables = ["items"], reach = ["trigger:keep_audit"])]
async fn empties_items_with_their_trigger(conn: &mut PgConnection) -> Result<(), Error> {
    conn.execute("DELETE FROM items").await.expect("the body runs");
    Ok(())
}

async fn findings(database: &Database) -> Vec<String> {
    let pool = database.pool().await;
    let mut found = Vec::new();
    for result in [
        empties_items(disposable(database).judging(&pool)).await,
        empties_items_undeclared(disposable(database).judging(&pool)).await,
    ] {
        let error = result.unwrap_err();
        let refusal = error.refusal().expect("a refusal");
        assert!(refusal.reasons().iter().all(|reason| reason.code() == Code::Reach), "{refusal}");
        found.extend(
            refusal
                .reasons()
                .iter()
                .map(Reason::help)
                .map(|help| help.split('"').nth(1).expect("the help names the finding").to_owned()),
        );
    }
    found
}

const ITEMS: &str = "CREATE TABLE items (id int PRIMARY KEY); INSERT INTO items SELECT generate_series(1, 9)";

/// Production, as another server that a foreign table of staging's reaches.
async fn with_foreign_server() -> (Database, Database) {
    let production = support::postgres(PRODUCTION).await.database(ITEMS).await;
    let staging = support::postgres(STAGING).await.empty_database().await;
    let server = production.server();
    let statements = format!(
        "CREATE EXTENSION postgres_fdw; \
         CREATE SERVER elsewhere FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '{}', port '{}', dbname '{}'); \
         GRANT USAGE ON FOREIGN SERVER elsewhere TO {APP_USER}; \
         CREATE USER MAPPING FOR {APP_USER} SERVER elsewhere OPTIONS (user '{APP_USER}', password '{APP_PASSWORD}')",
        server.address(),
        server.port(),
        production.name()
    );
    staging.admin().await.execute(AssertSqlSafe(statements)).await.unwrap();
    (production, staging)
}

async fn execute(database: &Database, statements: &str) {
    let mut owner = database.options().connect().await.unwrap();
    owner.execute(AssertSqlSafe(statements.to_owned())).await.unwrap();
}

#[tokio::test]
async fn leaves_every_row_of_a_foreign_table() {
    let (production, staging) = with_foreign_server().await;
    execute(&staging, "CREATE FOREIGN TABLE items (id int) SERVER elsewhere").await;

    assert_eq!(findings(&staging).await, ["foreign:items", "foreign:items"]);

    assert_eq!(production.rows("items").await, 9);
}

#[tokio::test]
async fn leaves_every_row_of_a_partition_that_lives_elsewhere() {
    let (production, staging) = with_foreign_server().await;
    execute(
        &staging,
        "CREATE TABLE items (id int) PARTITION BY RANGE (id); \
         CREATE FOREIGN TABLE items_old PARTITION OF items FOR VALUES FROM (0) TO (100) SERVER elsewhere \
         OPTIONS (table_name 'items')",
    )
    .await;

    assert_eq!(findings(&staging).await, ["foreign:items_old", "foreign:items_old"]);

    assert_eq!(production.rows("items").await, 9);
}

// fixture-guard: allow(a trigger on staging, which the guard refuses)
#[tokio::test]
async fn leaves_every_row_that_a_trigger_would_delete_over_dblink() {
    let (production, staging) = with_foreign_server().await;
    staging.admin().await.execute("CREATE EXTENSION dblink").await.unwrap();
    let server = production.server();
    execute(
        &staging,
        &format!(
            "{ITEMS}; CREATE FUNCTION elsewhere() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             PERFORM dblink_exec('host={} port={} dbname={} user={APP_USER} password={APP_PASSWORD}', 'DELETE FROM items'); \
             RETURN NULL; END $$; \
             CREATE TRIGGER mirror AFTER DELETE ON items EXECUTE FUNCTION elsewhere()",
            server.address(),
            server.port(),
            production.name()
        ),
    )
    .await;

    let found = findings(&staging).await;

    assert_eq!(found, ["extension:dblink", "trigger:mirror", "extension:dblink", "trigger:mirror"]);
    assert_eq!(production.rows("items").await, 9);
    assert_eq!(staging.rows("items").await, 9);
}

#[tokio::test]
async fn leaves_every_row_of_a_subscriber() {
    let staging = support::postgres(STAGING).await.database(ITEMS).await;
    execute(&staging, "CREATE PUBLICATION to_production FOR TABLE items").await;

    assert_eq!(findings(&staging).await, ["publication:to_production", "publication:to_production"]);

    assert_eq!(staging.rows("items").await, 9);
}

#[tokio::test]
async fn finds_cascades_inheritance_rules_and_views() {
    let server = support::postgres(STAGING).await;
    for (seed, expected) in [
        ("CREATE TABLE parts (item int REFERENCES items ON DELETE CASCADE)", vec!["cascade:parts"]),
        (
            "CREATE SCHEMA other; CREATE TABLE other.parts (item int REFERENCES items ON DELETE SET NULL)",
            vec!["cascade:parts", "cascade:parts"],
        ),
        ("CREATE TABLE parts (item int REFERENCES items)", vec![]),
        ("CREATE TABLE special_items () INHERITS (items)", vec!["inherits:special_items"]),
        (
            "CREATE TABLE log (id int); CREATE RULE log_it AS ON DELETE TO items DO ALSO INSERT INTO log VALUES (old.id)",
            vec!["rule:log_it", "rule:log_it"],
        ),
        (
            "ALTER TABLE items RENAME TO real_items; CREATE VIEW items AS SELECT * FROM real_items",
            vec!["view:real_items"],
        ),
    ] {
        let database = server.database(&format!("{ITEMS}; {seed}")).await;
        let pool = database.pool().await;
        let mut found = Vec::new();
        for result in [
            empties_items(disposable(&database).judging(&pool)).await,
            empties_items_undeclared(disposable(&database).judging(&pool)).await,
        ] {
            for reason in
                result.err().iter().filter_map(Error::refusal).flat_map(fixture_guard::Refusal::reasons)
            {
                found.push(reason.help().split('"').nth(1).unwrap_or(reason.found()).to_owned());
            }
        }
        assert_eq!(found, expected, "{seed}");
    }
}

#[tokio::test]
async fn runs_when_what_it_reaches_was_declared() {
    let seed = format!(
        "{ITEMS}; CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$; \
         CREATE TRIGGER keep_audit AFTER DELETE ON items EXECUTE FUNCTION nothing()"
    );
    let database = support::postgres(STAGING).await.database(&seed).await;
    let pool = database.pool().await;
    assert_eq!(findings(&database).await, ["trigger:keep_audit", "trigger:keep_audit"]);
    assert_eq!(database.rows("items").await, 9);

    empties_items_with_their_trigger(disposable(&database).judging(&pool)).await.unwrap();

    assert_eq!(database.rows("items").await, 0);
}
