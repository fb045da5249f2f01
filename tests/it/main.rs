//! The guard on real PostgreSQL.

mod bodies;
mod damage;
mod error_types;
mod escapes;
mod existing_suite;
mod faults;
mod guarded;
mod harmless;
mod identity;
mod incident;
mod input;
mod instrumented;
mod journal;
mod leftovers;
mod neighbours;
mod nested;
mod own_connections;
mod poolers;
mod random_bodies;
mod reach;
mod rehearsal;
mod resets;
mod send;
mod shapes;
mod shared_staging;
mod unknown;
mod ways_out;

use std::sync::Arc;

use fixture_guard::{Environment, Policy};
use support::Database;

/// A policy that knows this database's server as disposable, and nothing else.
fn disposable(database: &Database) -> Arc<Policy> {
    let host = database.server().address().to_string();
    let tests = Environment::destructive("tests").host(&host).unwrap();
    Arc::new(Policy::new().environment(tests).unwrap())
}

/// A policy that knows this database by its cluster, whatever stands between.
fn known_by_cluster(database: &Database) -> Arc<Policy> {
    let cluster = database.server().system_identifier().parse().unwrap();
    let tests = Environment::destructive("tests").host("127.0.0.1").unwrap().system_identifier(cluster);
    Arc::new(Policy::new().environment(tests).unwrap())
}

/// Waits until a superuser's question is answered with true, in a database of the test's own.
async fn until(database: &Database, question: &'static str) {
    let mut admin = database.admin().await;
    let ask =
        async { while !sqlx::query_scalar::<_, bool>(question).fetch_one(&mut admin).await.unwrap() {} };
    let limit = std::time::Duration::from_secs(30);
    tokio::time::timeout(limit, ask).await.unwrap_or_else(|_| panic!("not so after {limit:?}: {question}"));
}

/// Nobody but the superuser is in the database any more, so that nothing can change and no lock is held.
async fn until_all_have_left(database: &Database) {
    until(
        database,
        "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND usename = 'storefront_app')",
    )
    .await;
}

use fixture_guard_test_support as support;
