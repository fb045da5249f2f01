//! A small shop and its fixtures, as a team keeps them in one place. Each file under `tests/` uses them in another test
//! framework; copy the one that is yours.
//!
//! Where the tests may destroy stands in `fixture-guard.toml`, beside `Cargo.toml`.

use fixture_guard::{GuardedTransaction, destructive_fixture, reset};
use fixture_guard_test_support as support;
use sqlx::{AssertSqlSafe, Executor, PgConnection, PgExecutor, PgPool};

/// Empties every table but the tax rates, and what sqlx keeps about migrations. It takes the guard's own transaction, because the ready-made reset demands it.
///
/// # Errors
///
/// The refusal, with every reason, if the database is not one that tests may destroy.
#[destructive_fixture]
pub async fn reset_shop(tx: &mut GuardedTransaction) -> sqlx::Result<()> {
    reset::all_tables(tx).except(["tax_rates"]).await?;
    Ok(())
}

/// Puts two categories in. A seed destroys nothing, and is guarded all the same: it writes.
///
/// # Errors
///
/// As [`reset_shop`].
#[destructive_fixture(tables = ["categories"])]
pub async fn seed_shop(conn: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query("INSERT INTO categories (name) VALUES ('hats'), ('shoes')").execute(conn).await?;
    Ok(())
}

/// What is tested: an ordinary function of the shop.
///
/// # Errors
///
/// If the database does not answer.
pub async fn list_categories(db: impl PgExecutor<'_>) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar("SELECT name FROM categories ORDER BY name").fetch_all(db).await
}

/// How many rows the products and the tax rates hold.
///
/// # Errors
///
/// If the database does not answer.
pub async fn count_products_and_tax_rates(db: impl PgExecutor<'_>) -> sqlx::Result<(i64, i64)> {
    let counts = "SELECT (SELECT count(*) FROM products), (SELECT count(*) FROM tax_rates)";
    sqlx::query_as(counts).fetch_one(db).await
}

/// A shop with yesterday's rows, in a database of the test's own.
///
/// Here it is made on a server that the test starts. A suite that has a server connects to it instead, as in
/// `PgPool::connect(&std::env::var("DATABASE_URL")?)`.
///
/// # Panics
///
/// If there is neither Docker nor a PostgreSQL on this machine.
pub async fn shop() -> PgPool {
    let pool = support::postgres(support::STAGING).await.empty_database().await.pool().await;
    sqlx::migrate!().run(&pool).await.expect("the migrations run");
    pool
}

/// A `DATABASE_URL` whose role may create databases, as `#[sqlx::test]` wants it.
///
/// # Panics
///
/// As [`shop`].
pub async fn database_url() -> String {
    let server = support::postgres(support::STAGING).await;
    let database = server.empty_database().await;
    let name = database.name();
    // a role of its own, and none that somebody uses elsewhere
    let role = format!("sqlx_tests_of_{name}");
    let (role_sql, owner_sql) = (
        format!("CREATE ROLE {role} LOGIN CREATEDB PASSWORD 'sqlx'"),
        format!("ALTER DATABASE {name} OWNER TO {role}"),
    );
    let mut admin = server.admin().await;
    admin.execute(AssertSqlSafe(role_sql)).await.expect("a role");
    admin.execute(AssertSqlSafe(owner_sql)).await.expect("its database");
    format!("postgres://{role}:sqlx@{}:{}/{name}", server.address(), server.port())
}
