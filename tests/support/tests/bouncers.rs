//! A pooler between a client and the servers.

use std::collections::BTreeSet;

use fixture_guard_test_support::{self as support, PoolMode};
use sqlx::{ConnectOptions, Connection, PgConnection, Row};

/// Prepares nothing: a pooler in transaction pooling has no place to keep it.
async fn identifier(connection: &mut PgConnection) -> String {
    let identifier = sqlx::raw_sql("SELECT system_identifier::text FROM pg_control_system()");
    identifier.fetch_one(connection).await.unwrap().get(0)
}

#[tokio::test]
async fn an_alias_of_staging_is_production() {
    let production = support::postgres(support::PRODUCTION).await;
    let alias = ("storefront_staging", "host=prod-pg-cluster.internal port=5432 dbname=storefront");
    let bouncer = support::pgbouncer(&[alias], PoolMode::Session).await;

    let mut connection = bouncer.options("storefront_staging").connect().await.unwrap();

    assert_eq!(identifier(&mut connection).await, production.system_identifier());
    let rows: i64 =
        sqlx::query_scalar("SELECT count(*) FROM categories").fetch_one(&mut connection).await.unwrap();
    assert_eq!(rows, 2_847);
}

#[tokio::test]
async fn one_client_of_a_host_list_reaches_both_servers() {
    let [production, staging] = support::servers([support::PRODUCTION, support::STAGING]).await;
    let hosts = format!("host={},{} port=5432 dbname=storefront", support::STAGING, support::PRODUCTION);
    let bouncer = support::pgbouncer(&[("storefront", &hosts)], PoolMode::Transaction).await;

    // Two transactions at once make the pool open two connections; from then on a third client may be given either.
    let mut clients = Vec::new();
    for _ in 0..2 {
        let mut client = PgConnection::connect(&bouncer.dsn("storefront")).await.unwrap();
        sqlx::raw_sql("BEGIN").execute(&mut client).await.unwrap();
        clients.push(client);
    }
    for client in &mut clients {
        sqlx::raw_sql("ROLLBACK").execute(client).await.unwrap();
    }
    let mut seen = BTreeSet::new();
    for _ in 0..4 {
        seen.insert(identifier(&mut clients[0]).await);
    }

    let both = [production.system_identifier(), staging.system_identifier()];
    assert_eq!(seen, BTreeSet::from(both.map(str::to_owned)));
}
