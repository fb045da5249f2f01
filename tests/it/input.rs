//! Bad input: nothing runs, nothing is lost, nothing hangs, and the message says what to mend.

use std::time::Instant;

use fixture_guard::{Code, Environment, Error, Policy, Refusal, Stage, destructive_fixture};
use sqlx::{Executor, PgConnection};

use crate::disposable;
use crate::support::{self, STAGING};

#[destructive_fixture]
async fn reset_db(conn: &mut PgConnection) -> Result<(), Error> {
    conn.execute("TRUNCATE categories CASCADE").await.expect("the body runs in no test of this page");
    Ok(())
}

fn refusal(result: Result<(), Error>) -> Refusal {
    result.unwrap_err().refusal().cloned().expect("a refusal")
}

fn codes(refusal: &Refusal) -> Vec<Code> {
    refusal.reasons().iter().map(fixture_guard::Reason::code).collect()
}

#[tokio::test]
async fn refuses_a_dsn_that_the_driver_cannot_parse_and_shows_nothing_of_it() {
    for dsn in ["postgres://app:hunter2@host:99999/app", "hunter2", "", "host=localhost password=hunter2"] {
        let refusal = refusal(reset_db(dsn).await);
        assert_eq!(codes(&refusal), [Code::InvalidDsn], "{dsn}");
        assert_eq!(refusal.stage(), Stage::BeforeConnecting);
        assert!(!format!("{refusal:?}").contains("hunter2"));
    }
}

#[tokio::test]
async fn refuses_when_nobody_listens() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);

    let refusal = refusal(reset_db(format!("postgres://app@127.0.0.1:{port}/app")).await);

    assert_eq!(codes(&refusal), [Code::NoConnection]);
    assert_eq!(refusal.stage(), Stage::Connecting);
}

#[tokio::test]
async fn gives_up_on_a_server_that_never_answers() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let since = Instant::now();

    let refusal = refusal(reset_db(format!("postgres://app@127.0.0.1:{port}/app")).await);

    assert_eq!(codes(&refusal), [Code::NoConnection]);
    assert!(since.elapsed().as_secs() < 20, "connecting is bounded");
}

#[tokio::test]
async fn refuses_a_wrong_password_without_showing_it() {
    let staging = support::postgres(STAGING).await.storefront().await;
    let options = staging.options().password("not-the-hunter2");

    let refusal = refusal(reset_db(disposable(&staging).judging(options)).await);

    assert_eq!(codes(&refusal), [Code::NoConnection]);
    assert!(refusal.to_string().contains("check the user and the password"), "{refusal}");
    assert!(!format!("{refusal:?}").contains("not-the-hunter2"));
}

#[tokio::test]
async fn refuses_a_database_that_does_not_exist() {
    let staging = support::postgres(STAGING).await.storefront().await;
    let options = staging.options().database("nowhere");

    let refusal = refusal(reset_db(disposable(&staging).judging(options)).await);

    assert_eq!(codes(&refusal), [Code::NoConnection]);
    assert!(refusal.to_string().contains("create the database"), "{refusal}");
}

#[tokio::test]
async fn says_every_reason_at_once() {
    let environment =
        Environment::destructive("staging").host("*-staging*").unwrap().database("shop").unwrap();
    let protected = Environment::protected("production").host("prod-*").unwrap();
    let policy = Policy::new().environment(environment).unwrap().environment(protected).unwrap();

    let refusal = refusal(
        reset_db(std::sync::Arc::new(policy).judging("postgres://app:pw@prod-db.internal/store_live")).await,
    );

    assert_eq!(
        codes(&refusal),
        [
            Code::PlaceNotAllowed,
            Code::PlaceNotAllowed,
            Code::ProductionWord,
            Code::ProductionWord,
            Code::ProtectedEnvironment
        ]
    );
}

#[tokio::test]
async fn refuses_in_a_process_that_says_production() {
    support::rerun!(support::Rerun::new().env("APP_ENV", "production"));
    let staging = support::postgres(STAGING).await.storefront().await;
    let (pool, before) = (staging.pool().await, staging.all_rows().await);

    let refusal = refusal(reset_db(disposable(&staging).judging(&pool)).await);

    assert_eq!(codes(&refusal), [Code::ProcessInProduction]);
    assert_eq!(staging.all_rows().await, before);
}
