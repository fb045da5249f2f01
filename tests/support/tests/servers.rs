//! The servers that tests get.

use std::collections::BTreeMap;

use fixture_guard_test_support as support;
use sqlx::{ConnectOptions, Connection};

#[tokio::test]
async fn two_roles_are_two_clusters_with_rows_of_their_own() {
    let [production, staging] = support::servers([support::PRODUCTION, support::STAGING]).await;
    let (shop, copy) = tokio::join!(production.storefront(), staging.storefront());

    assert_ne!(production.system_identifier(), staging.system_identifier());
    let (shop_rows, copy_rows) = (shop.all_rows().await, copy.all_rows().await);
    assert_eq!(shop_rows.keys().collect::<Vec<_>>(), support::STOREFRONT_TABLES.iter().collect::<Vec<_>>());
    assert_eq!(copy_rows.keys().collect::<Vec<_>>(), shop_rows.keys().collect::<Vec<_>>());
    assert_eq!((shop_rows["categories"], shop_rows["cms_blocks"]), (2_847, 412));
    assert_eq!((copy_rows["categories"], copy_rows["cms_blocks"]), (12, 5));
    assert!(
        shop_rows.values().chain(copy_rows.values()).all(|&rows| rows > 0),
        "{shop_rows:?}\n{copy_rows:?}"
    );
    assert_eq!(production.shared_storefront().all_rows().await, shop_rows);
}

#[tokio::test]
async fn a_database_is_the_callers_own() {
    let server = support::postgres(support::STAGING).await;
    let (mine, other) = (server.storefront().await, server.storefront().await);

    sqlx::query("DELETE FROM wishlists").execute(&mine.pool().await).await.unwrap(); // fixture-guard: allow(its own)

    assert_eq!(mine.rows("wishlists").await, 0);
    assert_eq!(other.rows("wishlists").await, server.shared_storefront().rows("wishlists").await);
    assert_eq!(server.empty_database().await.all_rows().await, BTreeMap::new());
    let seeded = server.database("CREATE TABLE t (n int); INSERT INTO t VALUES (1), (2)").await;
    assert_eq!(seeded.all_rows().await, BTreeMap::from([("t".to_owned(), 2)]));
}

#[tokio::test]
async fn the_application_is_no_superuser_and_needs_its_password() {
    let server = support::postgres(support::STAGING).await;
    let database = server.empty_database().await;

    let superuser = sqlx::query_scalar("SELECT rolsuper FROM pg_roles WHERE rolname = session_user");
    let superuser: bool = superuser.fetch_one(&database.pool().await).await.unwrap();
    let refused = database.options().password("wrong").connect().await.unwrap_err();

    assert!(!superuser);
    assert!(refused.to_string().contains("password authentication failed"), "{refused}");
}

#[tokio::test]
async fn every_session_is_counted_when_it_begins() {
    let server = support::postgres(support::STAGING).await;
    let database = server.empty_database().await;

    for sessions in 1..=10 {
        let connection = database.options().connect().await.unwrap();
        assert_eq!(database.sessions().await, sessions);
        connection.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_physical_copy_has_the_identifier_of_its_original() {
    let original = support::postgres(support::STAGING).await;
    let (copy, standby) = tokio::join!(
        support::physical_copy(original, "copy-pg.internal"),
        support::standby(original, "standby-pg.internal")
    );

    let recovers = |server: &'static support::Server| async {
        let recovers = sqlx::query_scalar("SELECT pg_is_in_recovery()");
        recovers.fetch_one(&mut server.admin().await).await.unwrap()
    };
    assert_eq!([copy.system_identifier(), standby.system_identifier()], [original.system_identifier(); 2]);
    assert_ne!(copy.address(), original.address());
    assert_eq!((recovers(copy).await, recovers(standby).await), (false, true));
    assert_eq!(copy.storefront().await.rows("categories").await, 12);
}

/// More databases than are kept of processes that have ended: if a new process took this one for one of those, it would
/// drop them all.
#[tokio::test]
async fn a_new_process_drops_no_database_of_one_that_lives() {
    const DATABASE: &str = "FIXTURE_GUARD_TEST_DATABASE";
    let test = support::test_path!();
    let server = support::postgres("many-pg.internal").await;
    if support::inside(&test) {
        let name = support::variable(DATABASE).unwrap();
        server.options(&name).connect().await.unwrap();
        return;
    }
    let first = server.empty_database().await;
    for _ in 0..33 {
        server.empty_database().await;
    }

    let output = support::Rerun::new().env(DATABASE, first.name()).output(&test).await;

    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
