//! The fixtures that are measured, guarded and bare.

use std::sync::Arc;
use std::time::{Duration, Instant};

use fixture_guard::{Error, Fixture, GuardedTransaction, Judging, Policy, begin, destructive_fixture, reset};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Executor, PgConnection, PgPool};

use crate::cluster::Result;

/// The incident's 23 tables.
pub(crate) const SCHEMA: &str = include_str!("../../tests/support/sql/schema.sql");

/// Five without foreign keys between them.
pub(crate) const TRUNCATE_5: &str = "TRUNCATE banners, cms_blocks, coupons, tax_rates, wishlists";
pub(crate) const TRUNCATE_23: &str = "TRUNCATE addresses, attributes, banners, brands, cart_items, carts, categories, \
    cms_blocks, coupons, customers, discounts, order_items, orders, payments, product_attributes, product_categories, \
    products, reviews, shipments, stock_levels, stores, tax_rates, wishlists";
/// One statement after the other, as a fixture of sqlx's does it.
pub(crate) const DELETE_5: [&str; 5] = [
    "DELETE FROM banners",
    "DELETE FROM cms_blocks",
    "DELETE FROM coupons",
    "DELETE FROM tax_rates",
    "DELETE FROM stores",
];
pub(crate) const SEED_5: &str = "INSERT INTO banners (title, link) SELECT 'banner', '/' FROM generate_series(1, 10); \
    INSERT INTO cms_blocks (identifier, content) SELECT n, 'text' FROM generate_series(1, 10) n; \
    INSERT INTO coupons (code, percent, created_at) SELECT n, 10, now() FROM generate_series(1, 10) n; \
    INSERT INTO tax_rates (country, percent) SELECT n, 19 FROM generate_series(1, 10) n; \
    INSERT INTO stores (name) SELECT n FROM generate_series(1, 10) n";
/// All 23, whatever refers before what it refers to.
pub(crate) const DELETE_23: &str = "DELETE FROM wishlists; DELETE FROM tax_rates; DELETE FROM stores; \
    DELETE FROM stock_levels; DELETE FROM shipments; DELETE FROM reviews; DELETE FROM product_categories; \
    DELETE FROM product_attributes; DELETE FROM payments; DELETE FROM order_items; DELETE FROM orders; \
    DELETE FROM discounts; DELETE FROM cart_items; DELETE FROM carts; DELETE FROM products; DELETE FROM addresses; \
    DELETE FROM customers; DELETE FROM coupons; DELETE FROM cms_blocks; DELETE FROM categories; DELETE FROM brands; \
    DELETE FROM banners; DELETE FROM attributes";

#[destructive_fixture(tables = ["banners", "cms_blocks", "coupons", "tax_rates", "wishlists"])]
pub(crate) async fn truncate_5(conn: &mut PgConnection) -> sqlx::Result<()> {
    conn.execute(TRUNCATE_5).await?;
    Ok(())
}

#[destructive_fixture(tables = [
    "addresses", "attributes", "banners", "brands", "cart_items", "carts", "categories", "cms_blocks", "coupons",
    "customers", "discounts", "order_items", "orders", "payments", "product_attributes", "product_categories",
    "products", "reviews", "shipments", "stock_levels", "stores", "tax_rates", "wishlists",
])]
pub(crate) async fn truncate_23(conn: &mut PgConnection) -> sqlx::Result<()> {
    conn.execute(TRUNCATE_23).await?;
    Ok(())
}

#[destructive_fixture(tables = ["banners", "cms_blocks", "coupons", "tax_rates", "stores"])]
pub(crate) async fn delete_5(conn: &mut PgConnection) -> sqlx::Result<()> {
    for statement in DELETE_5 {
        conn.execute(statement).await?;
    }
    Ok(())
}

#[destructive_fixture(tables = ["banners", "cms_blocks", "coupons", "tax_rates", "stores"])]
pub(crate) async fn nothing(_conn: &mut PgConnection) -> sqlx::Result<()> {
    Ok(())
}

#[destructive_fixture]
pub(crate) async fn reset_all(tx: &mut GuardedTransaction) -> std::result::Result<(), Error> {
    reset::all_tables(tx).await?;
    Ok(())
}

/// How long the reset itself takes, without the run around it.
#[destructive_fixture]
pub(crate) async fn reset_itself(tx: &mut GuardedTransaction) -> std::result::Result<Duration, Error> {
    let began = Instant::now();
    reset::all_tables(tx).await?;
    Ok(began.elapsed())
}

#[destructive_fixture(tables = ["large"], max_rows = 1_000)]
pub(crate) async fn at_most_1000(conn: &mut PgConnection) -> sqlx::Result<()> {
    conn.execute("DELETE FROM large").await?;
    Ok(())
}

/// The same statements as every project has them, in a transaction that nobody watches.
pub(crate) async fn bare(pool: &PgPool, statements: &[&'static str]) -> sqlx::Result<()> {
    let mut tx = pool.begin().await?;
    for statement in statements {
        tx.execute(*statement).await?;
    }
    tx.commit().await
}

/// How long a statement itself takes, without its transaction.
pub(crate) async fn bare_itself(pool: &PgPool, statement: &'static str) -> sqlx::Result<Duration> {
    let mut tx = pool.begin().await?;
    let began = Instant::now();
    tx.execute(statement).await?;
    let took = began.elapsed();
    tx.commit().await?;
    Ok(took)
}

pub(crate) async fn bare_rolled_back(pool: &PgPool) -> sqlx::Result<()> {
    let tx = pool.begin().await?;
    tx.rollback().await
}

/// A transaction that is never committed, and so waits for no turn.
pub(crate) async fn rolled_back(target: Judging<&PgPool>) -> std::result::Result<(), Error> {
    begin(target).await?.rollback().await
}

// fixture-guard: allow(what people do without the guard, to compare with)
/// The reset that everyone writes.
pub(crate) async fn listed(pool: &PgPool) -> sqlx::Result<()> {
    let mut tx = pool.begin().await?;
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'",
    )
    .fetch_all(&mut *tx)
    .await?;
    for table in tables {
        tx.execute(AssertSqlSafe(format!("TRUNCATE TABLE \"{table}\" RESTART IDENTITY CASCADE"))).await?;
    }
    tx.commit().await
}

/// What each test does once it has a database.
pub(crate) async fn body(conn: &mut PgConnection) -> sqlx::Result<()> {
    conn.execute("INSERT INTO stores (name) VALUES ('north')").await?;
    let stores: i64 = sqlx::query_scalar("SELECT count(*) FROM stores").fetch_one(conn).await?;
    assert_eq!(stores, 1);
    Ok(())
}

/// What `#[guarded_test]` expands to, in a thread of its own, as the test harness runs it.
pub(crate) async fn guarded_test(policy: Arc<Policy>, options: PgConnectOptions) -> Result<Duration> {
    static FIXTURE: Fixture = Fixture::new("guarded_test", fixture_guard::__private::place!()).test();
    let test = move || {
        let began = Instant::now();
        fixture_guard::__private::test::<GuardedTransaction, _, _>(
            &FIXTURE,
            async || policy.judging(options),
            async |tx: &mut GuardedTransaction| body(tx).await,
        )
        .map(|()| began.elapsed())
    };
    Ok(tokio::task::spawn_blocking(test).await??)
}
