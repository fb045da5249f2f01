//! `docs/shared-staging.md`, with its statements executed and its policy read.

use std::sync::Arc;

use fixture_guard::{Code, Error, Policy, destructive_fixture};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Executor, PgConnection, Row};

use crate::support::{self, Database, Rerun};

/// A server of this page's own: the role that it makes would be every other test's too.
const SHARED: &str = "storefront-shared-staging.internal";

const PAGE: &str = include_str!("../../docs/shared-staging.md");

/// The page's blocks of one language, in their order.
fn blocks(language: &str) -> Vec<&'static str> {
    let begin = format!("```{language}\n");
    PAGE.split(&begin).skip(1).map(|rest| rest.split_once("```").unwrap().0).collect()
}

/// A staging as the page sets it up, with names of its own in the place of the page's.
struct Staging {
    database: Database,
    role: String,
    policy: Arc<Policy>,
    /// The page's statements, in their order.
    statements: Vec<String>,
    _journal: tempfile::TempDir,
}

impl Staging {
    async fn new() -> Self {
        let database = support::postgres(SHARED).await.storefront().await;
        let (name, role) = (database.name(), format!("tests_of_{}", database.name()));
        let identifier = database.server().system_identifier();
        let statements = blocks("sql")
            .into_iter()
            .map(|block| {
                block
                    .replace("storefront_tests", &role)
                    .replace("DATABASE storefront ", &format!("DATABASE {name} "))
                    .replace("'storefront'", &format!("'{name}'"))
                    .replace("7610790977204075300", identifier)
            })
            .collect();
        let directory = tempfile::tempdir().unwrap();
        let [policy] = blocks("toml")[..] else { panic!("one policy") };
        let policy = policy
            .replace("*-staging*", &database.server().address().to_string())
            .replace("\"storefront\"", &format!("{name:?}"))
            .replace("storefront_tests", &role)
            .replace("target/", "");
        let policy = Policy::parse(&policy, &directory.path().join("fixture-guard.toml")).unwrap();
        let staging = Self { database, role, policy: Arc::new(policy), statements, _journal: directory };
        let powerless = "fixture_guard_powerless";
        let mut admin = staging.database.admin().await;
        // all databases of a server share it: another test of this page may have made it already
        let made = format!(
            "DO $$ BEGIN CREATE ROLE {powerless}; EXCEPTION WHEN duplicate_object OR unique_violation THEN END $$;"
        );
        for statement in &staging.statements[..3] {
            let statement = statement.replace(&format!("CREATE ROLE {powerless};"), &made);
            admin.execute(sqlx::raw_sql(AssertSqlSafe(statement))).await.unwrap();
        }
        // what was there before belongs to the application; the suites' role may empty it
        let grant = format!(
            "GRANT SELECT, INSERT, DELETE, TRUNCATE ON ALL TABLES IN SCHEMA public TO {}",
            staging.role
        );
        admin.execute(AssertSqlSafe(grant)).await.unwrap();
        staging
    }

    fn options(&self) -> PgConnectOptions {
        self.database.options().username(&self.role).password("of your secret store")
    }
}

#[destructive_fixture(tables = ["cms_blocks"])]
async fn empty_blocks(conn: &mut PgConnection) -> sqlx::Result<()> {
    conn.execute("TRUNCATE cms_blocks").await?;
    Ok(())
}

/// What only the role without rights prevents.
#[destructive_fixture]
async fn begins_anew(conn: &mut PgConnection) -> sqlx::Result<()> {
    conn.execute(sqlx::raw_sql("ROLLBACK; BEGIN READ WRITE; DELETE FROM banners; COMMIT")).await?;
    Ok(())
}

fn codes(result: Result<(), sqlx::Error>) -> Vec<Code> {
    let error = result.unwrap_err();
    let refusal = Error::in_sqlx(&error).and_then(Error::refusal).unwrap_or_else(|| panic!("{error}"));
    refusal.reasons().iter().map(fixture_guard::Reason::code).collect()
}

#[tokio::test]
async fn lets_a_suite_run_and_keeps_what_it_did_not_declare() {
    support::rerun!(Rerun::new().env("APP_ENV", "staging"));
    let staging = Staging::new().await;

    empty_blocks(staging.policy.judging(staging.options())).await.unwrap();
    assert_eq!(staging.database.rows("cms_blocks").await, 0);

    let banners = staging.database.rows("banners").await;
    begins_anew(staging.policy.judging(staging.options())).await.unwrap_err();
    assert_eq!(staging.database.rows("banners").await, banners);
    assert_ne!(banners, 0);
}

#[tokio::test]
async fn refuses_a_process_that_does_not_say_staging() {
    support::rerun!(Rerun::new().without("APP_ENV"));
    let staging = Staging::new().await;
    let before = staging.database.all_rows().await;

    let refused = empty_blocks(staging.policy.judging(staging.options())).await;

    assert_eq!(codes(refused), [Code::ProcessElsewhere]);
    assert_eq!(staging.database.all_rows().await, before);
}

#[tokio::test]
async fn shows_the_administrator_who_is_at_it_and_lets_them_stop_everybody() {
    support::rerun!(Rerun::new().env("APP_ENV", "staging"));
    let staging = Staging::new().await;
    let blocks = staging.database.rows("cms_blocks").await;
    let [_, _, _, who, closing] = &staging.statements[..] else { panic!("{:?}", staging.statements) };

    let tx = fixture_guard::begin(staging.policy.judging(staging.options())).await.unwrap();
    let seen = staging.database.admin().await.fetch_all(AssertSqlSafe(who.clone())).await.unwrap();
    // the test's own questions call themselves after us, too
    let seen = seen.iter().filter(|run| run.get::<&str, _>("usename") == staging.role);
    let seen: Vec<(&str, bool)> = seen.map(|run| (run.get("application_name"), run.get("waits"))).collect();
    assert_eq!(seen, [("fixture-guard transaction", false)]);
    drop(tx);

    let (close, open) = closing.split_once('\n').unwrap();
    staging.database.admin().await.execute(AssertSqlSafe(close.to_owned())).await.unwrap();
    let refused = empty_blocks(staging.policy.judging(staging.options())).await;
    assert_eq!(codes(refused), [Code::ReadOnly]);
    assert_eq!(staging.database.rows("cms_blocks").await, blocks);
    staging.database.admin().await.execute(AssertSqlSafe(open.to_owned())).await.unwrap();
    empty_blocks(staging.policy.judging(staging.options())).await.unwrap();
}
