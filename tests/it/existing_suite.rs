//! A reset as suites have it today, before and after: `docs/existing-suite.md` shows the difference as a diff.

use std::path::Path;

use fixture_guard::{Code, Error};

use crate::disposable;
use crate::support::{self, PRODUCTION, STAGING};

// fixture-guard: allow(the suite as it was)
mod before {
    use sqlx::{AssertSqlSafe, Executor, PgPool, Row};

    pub(super) async fn truncate_all_tables(db: &PgPool) -> sqlx::Result<()> {
        let tables = db
            .fetch_all(
                "SELECT table_name FROM information_schema.tables
                 WHERE table_schema = 'public' AND table_type = 'BASE TABLE'
                   AND table_name <> '_sqlx_migrations'",
            )
            .await?;
        let names: Vec<String> = tables.iter().map(|table| table.get("table_name")).collect();
        let truncate = format!("TRUNCATE TABLE {} RESTART IDENTITY CASCADE", names.join(", "));
        db.execute(AssertSqlSafe(truncate)).await?;
        Ok(())
    }
}

mod after {
    use fixture_guard::destructive_fixture;
    use sqlx::{AssertSqlSafe, Executor, PgConnection, Row};

    #[destructive_fixture]
    pub(super) async fn truncate_all_tables(db: &mut PgConnection) -> sqlx::Result<()> {
        let tables = db
            .fetch_all(
                "SELECT table_name FROM information_schema.tables
                 WHERE table_schema = 'public' AND table_type = 'BASE TABLE'
                   AND table_name <> '_sqlx_migrations'",
            )
            .await?;
        let names: Vec<String> = tables.iter().map(|table| table.get("table_name")).collect();
        let truncate = format!("TRUNCATE TABLE {} RESTART IDENTITY CASCADE", names.join(", "));
        db.execute(AssertSqlSafe(truncate)).await?;
        Ok(())
    }
}

#[tokio::test]
async fn empties_what_it_is_given_without_the_guard() {
    let copy = support::postgres(PRODUCTION).await.storefront().await;

    before::truncate_all_tables(&copy.pool().await).await.unwrap();

    assert_eq!(copy.all_rows().await.values().sum::<i64>(), 0, "all of production's rows");
}

#[tokio::test]
async fn leaves_every_row_of_production_with_the_guard() {
    support::rerun!(support::Rerun::with([PRODUCTION]));
    let production = support::postgres(PRODUCTION).await.shared_storefront();
    let (rows, sessions) = (production.all_rows().await, production.sessions().await);

    let error = after::truncate_all_tables(support::INCIDENT_DSN).await.unwrap_err();

    let refusal = Error::in_sqlx(&error).and_then(Error::refusal).unwrap();
    assert!(refusal.reasons().iter().any(|reason| reason.code() == Code::ProductionWord), "{refusal}");
    assert_eq!(production.sessions().await, sessions, "no connection was opened");
    assert_eq!(production.all_rows().await, rows);
}

#[tokio::test]
async fn does_the_same_as_before_where_it_may() {
    let staging = support::postgres(STAGING).await.storefront().await;
    let pool = staging.pool().await;

    after::truncate_all_tables(disposable(&staging).judging(&pool)).await.unwrap();

    assert_eq!(staging.all_rows().await.values().sum::<i64>(), 0);
    let first: i32 = sqlx::query_scalar("INSERT INTO brands (name) VALUES ('new') RETURNING id")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(first, 1, "identities begin anew");
}

/// The lines of a module here, as they stand in the margin.
fn module(name: &str) -> String {
    let this = include_str!("existing_suite.rs");
    let (_, module) = this.split_once(&format!("\nmod {name} {{\n")).unwrap();
    let (module, _) = module.split_once("\n}\n").unwrap();
    let lines = module.lines().map(|line| line.strip_prefix("    ").unwrap_or(line));
    lines.collect::<Vec<_>>().join("\n").replace("pub(super) ", "pub ")
}

#[test]
fn the_diff_in_the_docs_is_the_one_between_these_two() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/existing-suite.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, diff) = page.split_once("```diff\n").unwrap();
    let (diff, _) = diff.split_once("\n```").unwrap();
    let side = |ours: char| {
        let lines = diff.lines().filter(|line| line.is_empty() || line.starts_with([' ', ours]));
        lines.map(|line| line.get(1..).unwrap_or("")).collect::<Vec<_>>().join("\n")
    };

    assert_eq!(side('-'), module("before"));
    assert_eq!(side('+'), module("after"));
}
