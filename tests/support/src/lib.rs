//! The one place that starts database servers for tests and examples.
//!
//! ```no_run
//! # async fn test() {
//! use fixture_guard_test_support as support;
//!
//! let production = support::postgres(support::PRODUCTION).await;
//! let database = production.storefront().await;
//! assert_eq!(database.rows("categories").await, 2_847);
//! # }
//! ```
//!
//! Servers are real: containers where a Docker daemon answers, else the machine's own `initdb` and `postgres`. Which one
//! it is stands on standard error, and `FIXTURE_GUARD_TEST_SERVER=docker|local` forces one. They are shared by all test
//! processes of a checkout, and end by themselves half a minute after the last of those has; nothing on the machine has
//! to clean up after a process that was killed.
//!
//! A test that needs the incident's host names, or an environment of its own, [runs itself again](rerun!) in a child.

#![allow(clippy::doc_markdown, reason = "PostgreSQL and PgBouncer are names, not code")]

mod backend;
mod bouncer;
mod database;
mod docker;
mod environment;
mod error;
mod image;
mod launch;
mod local;
pub mod names;
mod protocol;
mod proxy;
mod rerun;
mod server;
mod start;
mod state;

pub use bouncer::{Bouncer, PoolMode, pgbouncer};
pub use database::Database;
pub use environment::variable;
pub use error::Unavailable;
pub use proxy::{After, Direction, Fault, Proxy};
#[doc(hidden)]
pub use rerun::path_of;
pub use rerun::{Rerun, inside};
pub use server::{Server, physical_copy, postgres, servers, standby, try_postgres};

/// The host in the DSN that somebody pasted into the staging values.
pub const PRODUCTION: &str = "prod-pg-cluster.internal";
/// The host that should have stood there.
pub const STAGING: &str = "storefront-staging-db.internal";

/// The application's role: the same on both servers, as it was in the incident. It owns its databases and is no superuser.
pub const APP_USER: &str = "storefront_app";
/// Its password, the same on both. No output of ours may ever contain it.
pub const APP_PASSWORD: &str = "hunter2-vK9fQ1";
/// The DSN of the incident, to the letter. Its host resolves inside a [`Rerun`] only.
pub const INCIDENT_DSN: &str =
    "postgresql://storefront_app:hunter2-vK9fQ1@prod-pg-cluster.internal:5432/storefront";

/// The tables of the incident, in the order in which its reset walked them.
pub const STOREFRONT_TABLES: [&str; 23] = [
    "addresses",
    "attributes",
    "banners",
    "brands",
    "cart_items",
    "carts",
    "categories",
    "cms_blocks",
    "coupons",
    "customers",
    "discounts",
    "order_items",
    "orders",
    "payments",
    "product_attributes",
    "product_categories",
    "products",
    "reviews",
    "shipments",
    "stock_levels",
    "stores",
    "tax_rates",
    "wishlists",
];
