//! Tests that run themselves again, with names or an environment of their own.

use std::{
    net::{IpAddr, Ipv4Addr, ToSocketAddrs},
    process::ExitCode,
};

use fixture_guard_test_support::{
    self as support, Rerun,
    names::{self, Entered},
};
use sqlx::{Connection, PgConnection};

#[tokio::test]
async fn both_servers_answer_to_the_names_of_the_incident() {
    support::rerun!(Rerun::with([support::PRODUCTION, support::STAGING]));

    let [production, staging] = support::servers([support::PRODUCTION, support::STAGING]).await;
    for server in [production, staging] {
        let dsn = server.shared_storefront().dsn_by_name();
        let mut connection = PgConnection::connect(&dsn).await.unwrap();
        let identifier = "SELECT system_identifier::text FROM pg_control_system()";
        let identifier: String = sqlx::query_scalar(identifier).fetch_one(&mut connection).await.unwrap();
        assert_eq!(identifier, server.system_identifier());
    }
    if production.port() == 5432 {
        assert_eq!(production.shared_storefront().dsn_by_name(), support::INCIDENT_DSN);
    }
}

#[tokio::test]
async fn a_name_has_every_address_that_it_was_given() {
    let dead = Ipv4Addr::new(127, 9, 9, 9);
    let alias = |address: Ipv4Addr| move |rerun: Rerun| rerun.name("alias.internal", IpAddr::V4(address));
    support::rerun!(alias(Ipv4Addr::LOCALHOST)(alias(dead)(Rerun::new())));

    let resolved = ("alias.internal", 0).to_socket_addrs().unwrap().map(|address| address.ip());

    let mut resolved: Vec<_> = resolved.collect();
    resolved.sort();
    assert_eq!(resolved, [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V4(dead)]);
    assert!(("localhost", 0).to_socket_addrs().is_ok(), "other names resolve as before");
}

mod nested {
    use super::*;

    #[tokio::test]
    async fn an_environment_is_the_childs_own() {
        support::rerun!(Rerun::new().env("APP_ENV", "production").without("HOME"));

        assert_eq!(support::variable("APP_ENV").as_deref(), Some("production"));
        assert_eq!(support::variable("HOME"), None);
    }
}

#[tokio::test]
async fn variables_of_the_child_do_not_mislead_the_support_code() {
    support::rerun!(
        Rerun::with([support::STAGING])
            .env("PGHOST", "/nowhere")
            .env("PGDATABASE", "nowhere")
            .env("PGOPTIONS", "-c default_transaction_read_only=on -c search_path=nowhere")
    );

    let database = support::postgres(support::STAGING).await.storefront().await;
    assert_eq!(database.rows("categories").await, 12);
}

#[tokio::test]
async fn a_program_enters_the_names_by_itself() {
    // The program is this test binary, for this test.
    support::rerun!(Rerun::new());

    match names::enter(&[("entered.internal", IpAddr::V4(Ipv4Addr::LOCALHOST))]).unwrap() {
        Entered::Outside(code) => assert_eq!(code, ExitCode::SUCCESS),
        Entered::Inside => assert!(("entered.internal", 0).to_socket_addrs().is_ok()),
    }
}

#[tokio::test]
#[should_panic(expected = "fails in a child")]
async fn a_failure_in_the_child_fails_the_test() {
    support::rerun!(Rerun::new().env("APP_ENV", "production"));

    // The child's own `should_panic` would take a panic for a success.
    std::process::exit(1);
}
