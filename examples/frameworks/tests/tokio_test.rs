//! `#[tokio::test]`: fixtures are functions, and the test calls them with what it has, here a pool.

use fixture_guard::{Code, Error};
use fixture_guard_examples_frameworks::{
    count_products_and_tax_rates, list_categories, reset_shop, seed_shop, shop,
};
use fixture_guard_test_support as support;

#[tokio::test]
async fn lists_what_was_seeded_and_nothing_of_yesterday() -> sqlx::Result<()> {
    let pool = shop().await;

    reset_shop(&pool).await?;
    seed_shop(&pool).await?;

    assert_eq!(list_categories(&pool).await?, ["hats", "shoes"]);
    assert_eq!(count_products_and_tax_rates(&pool).await?, (0, 2));
    Ok(())
}

/// Several tests that share a database take a transaction that nobody commits.
#[tokio::test]
async fn a_transaction_that_is_dropped_leaves_no_trace() -> sqlx::Result<()> {
    let pool = shop().await;

    let mut tx = fixture_guard::begin(&pool).await?;
    reset_shop(&mut tx).await?;
    seed_shop(&mut tx).await?;
    assert_eq!(list_categories(&mut *tx).await?, ["hats", "shoes"]);
    drop(tx);

    assert_eq!(list_categories(&pool).await?, ["left over from yesterday"]);
    assert_eq!(count_products_and_tax_rates(&pool).await?, (1, 2));
    Ok(())
}

#[tokio::test]
async fn production_keeps_its_rows() {
    let production = support::postgres(support::PRODUCTION).await.shared_storefront();

    let error = reset_shop(support::INCIDENT_DSN).await.unwrap_err();

    let refusal = Error::in_sqlx(&error).and_then(Error::refusal).unwrap();
    assert!(refusal.reasons().iter().any(|reason| reason.code() == Code::ProductionWord));
    assert_eq!(production.rows("categories").await, 2_847);
}
