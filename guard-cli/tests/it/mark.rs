//! `mark` on real servers: what it stores, told from another session, and that it stores nothing when it refuses.

use std::process::Command;

use fixture_guard_core::marker;
use fixture_guard_test_support::{self as support, APP_PASSWORD, APP_USER, Database, PRODUCTION, STAGING};
use sqlx::{AssertSqlSafe, ConnectOptions, Executor};

use crate::program::{Said, directory, program, said};

/// A policy in which the server is known by its address.
fn policy(database: &Database) -> String {
    format!(
        "[environments.staging]\ndestructive = true\nhosts = [\"{}\"]\n[environments.production]\nhosts = [\"prod-*\"]\n",
        database.server().address()
    )
}

/// How the superuser logs in, as a string.
fn admin(database: &Database) -> String {
    database.server().admin_options(database.name()).to_url_lossy().to_string()
}

fn mark(policy: &str, dsn: &str, arguments: &[&str]) -> Said {
    let directory = directory(policy);
    let mut command = program(directory.path());
    command.arg("mark").args(arguments).env("DATABASE_URL", dsn);
    run(&mut command)
}

fn run(command: &mut Command) -> Said {
    let said = said(&command.output().unwrap());
    assert!(!said.out.contains(APP_PASSWORD) && !said.err.contains(APP_PASSWORD), "{said:?}");
    said
}

/// What is stored, read by a session of the test's own.
async fn stored(database: &Database) -> Option<String> {
    marker::read(&mut database.admin().await).await.unwrap().map(|marker| marker.to_string())
}

#[tokio::test]
async fn writes_the_environment_and_the_cluster_after_showing_both() {
    let database = support::postgres(STAGING).await.empty_database().await;
    let cluster = database.server().system_identifier();
    let (policy, dsn) = (policy(&database), admin(&database));

    let said = mark(&policy, &dsn, &["staging", "--yes"]);

    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(stored(&database).await, Some(format!("staging@{cluster}")));
    let statement =
        format!("ALTER DATABASE \"{}\" SET fixture_guard.environment = 'staging@{cluster}'", database.name());
    for shown in [&statement, cluster, APP_USER, database.name()] {
        assert!(said.err.contains(shown), "{shown} is not in {}", said.err);
    }
    let shown = mark(&policy, &dsn, &["--show"]);
    assert!(shown.code == 0 && shown.out.contains(&format!("staging@{cluster}")), "{shown:?}");
    let again = mark(&policy, &dsn, &["staging", "--yes"]);
    assert!(again.code == 0 && again.out.contains("nothing to do"), "{again:?}");

    let removed = mark(&policy, &dsn, &["--remove", "--yes"]);
    assert_eq!(removed.code, 0, "{removed:?}");
    assert_eq!(stored(&database).await, None);
}

#[tokio::test]
async fn writes_nothing_where_nobody_can_be_asked() {
    let database = support::postgres(STAGING).await.empty_database().await;
    let said = mark(&policy(&database), &admin(&database), &["staging"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.err.contains("there is nobody to ask"), "{}", said.err);
    assert_eq!(stored(&database).await, None);
}

/// `script` gives the program a terminal, as a person has one.
#[tokio::test]
async fn asks_at_a_terminal_and_takes_a_yes_for_a_yes() {
    let database = support::postgres(STAGING).await.empty_database().await;
    let directory = directory(&policy(&database));
    let at_a_terminal = |answer: &str| {
        let mut command = Command::new("script");
        command.args(["--quiet", "--return", "--command"]);
        command.arg(format!("'{}' mark staging", env!("CARGO_BIN_EXE_fixture-guard"))).arg("/dev/null");
        command.env_clear().env("PATH", "/usr/bin:/bin").env("DATABASE_URL", admin(&database));
        crate::program::run_with_input(command.current_dir(directory.path()), answer.as_bytes())
    };

    let no = at_a_terminal("n\n");
    assert_eq!(no.code, 1, "{no:?}");
    assert!(no.out.contains("Write it? [y/N]") && no.out.contains("nothing was written"), "{no:?}");
    assert_eq!(stored(&database).await, None);

    let yes = at_a_terminal("y\n");
    assert_eq!(yes.code, 0, "{yes:?}");
    assert!(stored(&database).await.is_some_and(|stored| stored.starts_with("staging@")));
}

#[tokio::test]
async fn marks_nothing_that_looks_like_production_unless_it_is_spelled_out() {
    // the cluster's own name says production
    let database = support::postgres(PRODUCTION).await.empty_database().await;
    let (policy, dsn) = (policy(&database), admin(&database));
    let wrong_host = format!("prod-pg-cluster.internal/{}", database.name());
    let wrong_database = format!("{}/storefront", database.server().address());
    let prefix = format!("{}/", database.server().address());

    for spelled in [None, Some(&wrong_host), Some(&wrong_database), Some(&prefix), Some(&String::new())] {
        let mut arguments = vec!["staging", "--yes"];
        if let Some(spelled) = spelled {
            arguments.extend(["--i-know-this-is", spelled]);
        }
        let said = mark(&policy, &dsn, &arguments);
        assert_eq!(said.code, 1, "{spelled:?}: {said:?}");
        assert!(said.err.contains("nothing was written"), "{said:?}");
        assert_eq!(stored(&database).await, None, "{spelled:?}");
    }

    let right = format!("{}/{}", database.server().address(), database.name());
    let said = mark(&policy, &dsn, &["staging", "--yes", "--i-know-this-is", &right]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(stored(&database).await.is_some_and(|stored| stored.starts_with("staging@")));
}

#[tokio::test]
async fn a_wrong_name_stops_it_also_where_none_is_needed() {
    let database = support::postgres(STAGING).await.empty_database().await;
    let said = mark(
        &policy(&database),
        &admin(&database),
        &["staging", "--yes", "--i-know-this-is", "elsewhere/app"],
    );
    assert_eq!(said.code, 1, "{said:?}");
    assert_eq!(stored(&database).await, None);
}

#[tokio::test]
async fn what_says_production_loses_that_only_when_it_is_spelled_out() {
    let database = support::postgres(STAGING).await.empty_database().await;
    let (policy, dsn) = (policy(&database), admin(&database));
    let protected = mark(&policy, &dsn, &["production", "--yes"]);
    assert_eq!(protected.code, 0, "to protect more needs no ceremony: {protected:?}");
    let production = stored(&database).await;
    assert!(production.as_ref().is_some_and(|stored| stored.starts_with("production@")));

    for arguments in [&["staging", "--yes"][..], &["--remove", "--yes"]] {
        let said = mark(&policy, &dsn, arguments);
        assert!(said.code == 1 && said.err.contains("FG026"), "{said:?}");
        assert_eq!(stored(&database).await, production);
    }
    let right = format!("{}/{}", database.server().address(), database.name());
    assert_eq!(mark(&policy, &dsn, &["--remove", "--yes", "--i-know-this-is", &right]).code, 0);
    assert_eq!(stored(&database).await, None);
}

#[tokio::test]
async fn a_role_that_may_not_store_it_is_told_what_it_needs() {
    let server = support::postgres(STAGING).await;
    let database = server.empty_database().await;
    let said = mark(&policy(&database), &database.dsn(), &["staging", "--yes"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(
        said.err.contains("GRANT SET ON PARAMETER fixture_guard.environment TO storefront_app"),
        "{}",
        said.err
    );
    assert_eq!(stored(&database).await, None);
}

#[tokio::test]
async fn an_unknown_environment_and_a_missing_policy_write_nothing() {
    let database = support::postgres(STAGING).await.empty_database().await;
    let said = mark(&policy(&database), &admin(&database), &["stagign", "--yes"]);
    assert!(said.code == 2 && said.err.contains("did you mean `staging`?"), "{said:?}");
    let nowhere = tempfile::tempdir().unwrap();
    let mut command = program(nowhere.path());
    let said = run(command.args(["mark", "staging", "--yes"]).env("DATABASE_URL", admin(&database)));
    assert!(said.code == 2 && said.err.contains("no policy says what `staging` is"), "{said:?}");
    assert_eq!(stored(&database).await, None);
}

#[tokio::test]
async fn an_ambiguous_dsn_is_not_dialled() {
    let database = support::postgres(STAGING).await.empty_database().await;
    let dsn = format!("{}&service=production", admin(&database));
    let before = database.sessions().await;
    let said = mark(&policy(&database), &dsn, &["staging", "--yes"]);
    assert!(said.code == 1 && said.err.contains("FG007"), "{said:?}");
    assert_eq!(database.sessions().await, before);
    let mysql = mark(&policy(&database), "mysql://app@db-staging.internal/app", &["staging", "--yes"]);
    assert!(mysql.code == 2 && mysql.err.contains("only PostgreSQL"), "{mysql:?}");
}

/// A name that has to be quoted, and another database beside it with the plain one.
#[tokio::test]
async fn marks_the_connected_database_and_no_other() {
    let server = support::postgres(STAGING).await;
    let beside = server.empty_database().await;
    let name = format!("{} \"of\" Them", beside.name());
    let quoted = format!("\"{}\"", name.replace('"', "\"\""));
    let mut session = server.admin().await;
    session.execute(AssertSqlSafe(format!("CREATE DATABASE {quoted}"))).await.unwrap();
    let options = server.admin_options(&name);

    let said = mark(&policy(&beside), options.to_url_lossy().as_str(), &["staging", "--yes"]);

    let stored_there = marker::read(&mut options.connect().await.unwrap()).await.unwrap();
    // fixture-guard: allow(the test's own database)
    session.execute(AssertSqlSafe(format!("DROP DATABASE {quoted}"))).await.unwrap();
    assert_eq!(said.code, 0, "{said:?}");
    assert!(stored_there.is_some_and(|marker| marker.environment() == "staging"), "{said:?}");
    assert_eq!(stored(&beside).await, None);
}
