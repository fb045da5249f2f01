//! `check` on real servers.

use fixture_guard_core::marker;
use fixture_guard_test_support::{
    self as support, APP_PASSWORD, Database, INCIDENT_DSN, PRODUCTION, Proxy, Rerun, STAGING, rerun,
};

use crate::program::{POLICY, Said, directory, run};

fn check(policy: &str, arguments: &[&str]) -> Said {
    let said = run(directory(policy).path(), ["check"].iter().chain(arguments));
    assert!(!said.out.contains(APP_PASSWORD) && !said.err.contains(APP_PASSWORD), "{said:?}");
    said
}

/// A policy in which the server that a test reaches by its address is staging.
fn staging_at(database: &Database, more: &str) -> String {
    format!(
        "[environments.staging]\ndestructive = true\nhosts = [\"{}\"]\n{more}",
        database.server().address()
    )
}

#[tokio::test]
async fn opens_no_connection_to_a_target_that_is_refused_by_its_name() {
    rerun!(Rerun::with([PRODUCTION]));
    let server = support::postgres(PRODUCTION).await;
    let before = server.sessions_of("storefront").await;

    let said = check(POLICY, &["--database-url", INCIDENT_DSN]);

    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.out.contains("no connection was opened"), "{}", said.out);
    assert_eq!(server.sessions_of("storefront").await, before);
}

#[tokio::test]
async fn each_job_gets_its_own_environment_also_by_the_servers_word() {
    rerun!(Rerun::with([PRODUCTION, STAGING]));
    let [production, staging] = support::servers([PRODUCTION, STAGING]).await;
    // by a name that hides what it is: only the cluster tells
    let policy = format!(
        "[environments.staging]\ndestructive = true\nhosts = [\"*-staging*\"]\nsystem_identifiers = [\"{}\"]\n\
         [environments.production]\nhosts = [\"prod-*\"]\nsystem_identifiers = [\"{}\"]\n",
        staging.system_identifier(),
        production.system_identifier()
    );
    let (production, staging) = (production.shared_storefront(), staging.shared_storefront());
    for (database, expected, code) in [
        (&production, "production", 0),
        (&production, "staging", 1),
        (&staging, "staging", 0),
        (&staging, "production", 1),
    ] {
        let said = check(&policy, &["--expect", expected, "--database-url", &database.dsn_by_name()]);
        assert_eq!(said.code, code, "{expected}: {said:?}");
    }
    let said = check(&policy, &["--database-url", &staging.dsn_by_name()]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.contains("system identifier"), "{}", said.out);
}

/// The tunnel needs a thread of its own while the test waits for the program.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tunnel_to_production_is_not_staging() {
    let server = support::postgres(PRODUCTION).await;
    let production = server.storefront().await;
    let tunnel = Proxy::to(server).await;
    let dsn = format!(
        "postgres://{}:{APP_PASSWORD}@localhost:{}/{}",
        support::APP_USER,
        tunnel.port(),
        production.name()
    );
    let policy = format!(
        "[environments.staging]\ndestructive = true\nhosts = [\"localhost\"]\n\
         [environments.production]\nsystem_identifiers = [\"{}\"]\n",
        server.system_identifier()
    );

    assert_eq!(check(&policy, &["--offline", "--database-url", &dsn]).code, 0, "its name says nothing");
    let said = check(&policy, &["--database-url", &dsn]);
    assert!(said.code == 1 && said.out.contains("FG003: the cluster "), "{said:?}");
    assert_eq!(check(&policy, &["--expect", "staging", "--database-url", &dsn]).code, 1);
    let said = check(&policy, &["--expect", "production", "--offline", "--database-url", &dsn]);
    assert!(said.code == 2 && said.out.contains("known by its cluster alone"), "{said:?}");
    assert_eq!(production.rows("categories").await, 2_847);
}

#[tokio::test]
async fn a_marker_that_the_policy_requires_is_asked_for() {
    let staging = support::postgres(STAGING).await.storefront().await;
    let policy = staging_at(&staging, "marker = \"required\"\n");
    let dsn = staging.dsn();

    let said = check(&policy, &["--database-url", &dsn]);
    assert!(said.code == 1 && said.out.contains("FG025"), "{said:?}");
    let expected = check(&policy, &["--expect", "staging", "--database-url", &dsn]);
    assert!(expected.code == 1 && expected.out.contains("FG025"), "{expected:?}");

    let written = marker::write(&mut staging.admin().await, "staging").await.unwrap();
    let said = check(&policy, &["--database-url", &dsn]);
    assert!(said.code == 0 && said.out.contains(&written.to_string()), "{said:?}");
    assert_eq!(check(&policy, &["--expect", "staging", "--database-url", &dsn]).code, 0);
}

#[tokio::test]
async fn a_database_that_says_production_is_refused_whatever_its_name_says() {
    let database = support::postgres(STAGING).await.storefront().await;
    let policy = staging_at(&database, "");
    marker::write(&mut database.admin().await, "production").await.unwrap();

    let said = check(&policy, &["--format", "json", "--database-url", &database.dsn()]);

    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.out.contains("FG026"), "{}", said.out);
    let json: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    let schema = serde_json::from_str(include_str!("../../../schemas/check.schema.json")).unwrap();
    assert!(jsonschema::validator_for(&schema).unwrap().is_valid(&json), "{json:#}");
    assert_eq!(json["server"], "asked");
}

#[tokio::test]
async fn a_login_that_is_refused_and_a_database_that_is_missing_are_no_verdict() {
    let staging = support::postgres(STAGING).await.empty_database().await;
    let policy = staging_at(&staging, "");
    let wrong = staging.dsn().replace(APP_PASSWORD, "another");
    let missing = format!("{}_gone", staging.dsn());
    for (dsn, message) in [(&wrong, "check the user and the password"), (&missing, "create the database")] {
        let said = check(&policy, &["--database-url", dsn]);
        assert_eq!(said.code, 2, "{said:?}");
        assert!(said.out.contains("FG014") && said.out.contains(message), "{said:?}");
    }
}

#[tokio::test]
async fn a_server_that_must_speak_tls_is_asked_to() {
    let staging = support::postgres(STAGING).await.empty_database().await;
    let dsn = format!("{}?sslmode=require", staging.dsn());
    let said = check(&staging_at(&staging, ""), &["--database-url", &dsn]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.out.contains("server does not support TLS"), "the program itself can: {said:?}");
    assert!(said.out.contains("check `sslmode`"), "{said:?}");
}

#[tokio::test]
async fn a_standby_can_be_asked_and_may_not_be_destroyed() {
    let staging = support::postgres(STAGING).await;
    let standby = support::standby(staging, "replica-staging-db.internal").await;
    let dsn = standby.shared_storefront().dsn();
    let policy = staging_at(&standby.shared_storefront(), "");

    let said = check(&policy, &["--database-url", &dsn]);

    assert!(said.code == 1 && said.out.contains("FG023"), "{said:?}");
    assert_eq!(check(&policy, &["--expect", "staging", "--database-url", &dsn]).code, 0);
}
