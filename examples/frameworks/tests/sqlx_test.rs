//! `#[sqlx::test]`: sqlx makes a database for each test, out of the migrations, and names it `_sqlx_test_…`. The guard
//! judges that database as any other.
//!
//! What sqlx does before the test begins, nobody judges: it creates databases, and a schema `_sqlx_test`, on whatever
//! server `DATABASE_URL` names.

use fixture_guard_examples_frameworks::{
    count_products_and_tax_rates, database_url, list_categories, reset_shop, seed_shop,
};
use fixture_guard_test_support::Rerun;
use sqlx::PgPool;

#[sqlx::test]
#[ignore = "needs DATABASE_URL: the test below sets it"]
async fn lists_what_was_seeded_and_nothing_of_yesterday(pool: PgPool) -> sqlx::Result<()> {
    reset_shop(&pool).await?;
    seed_shop(&pool).await?;

    assert_eq!(list_categories(&pool).await?, ["hats", "shoes"]);
    assert_eq!(count_products_and_tax_rates(&pool).await?, (0, 2));
    Ok(())
}

/// Only here, because these examples start the server themselves: in your suite `DATABASE_URL` is set, and a test like
/// the one above is all there is.
#[tokio::test]
async fn passes_in_a_process_that_has_a_database_url() {
    let child = Rerun::new().env("DATABASE_URL", &database_url().await);
    let child = child.spawn("lists_what_was_seeded_and_nothing_of_yesterday").await;

    let output = child.wait_with_output().await.unwrap();

    let written = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && written.contains("1 passed"), "{written}");
}
