//! rstest: its `#[fixture]` calls ours. The two attributes do not stand on one function.

use fixture_guard::GuardedTransaction;
use fixture_guard_examples_frameworks::{
    count_products_and_tax_rates, list_categories, reset_shop, seed_shop, shop,
};
use rstest::{fixture, rstest};
use sqlx::PgPool;

/// A shop that was reset and seeded, and stays so.
#[fixture]
async fn seeded_shop() -> PgPool {
    let pool = shop().await;
    reset_shop(&pool).await.unwrap();
    seed_shop(&pool).await.unwrap();
    pool
}

/// The same in a transaction that nobody commits: tests may share the database.
#[fixture]
async fn seeded_transaction() -> GuardedTransaction {
    let mut tx = fixture_guard::begin(shop().await).await.unwrap();
    reset_shop(&mut tx).await.unwrap();
    seed_shop(&mut tx).await.unwrap();
    tx
}

#[rstest]
#[tokio::test]
async fn lists_what_was_seeded_and_nothing_of_yesterday(#[future(awt)] seeded_shop: PgPool) {
    assert_eq!(list_categories(&seeded_shop).await.unwrap(), ["hats", "shoes"]);
    assert_eq!(count_products_and_tax_rates(&seeded_shop).await.unwrap(), (0, 2));
}

#[rstest]
#[case::one("gloves", ["gloves", "hats", "shoes"])]
#[case::another("ties", ["hats", "shoes", "ties"])]
#[tokio::test]
async fn lists_a_new_category(
    #[future(awt)] seeded_transaction: GuardedTransaction,
    #[case] name: &str,
    #[case] listed: [&str; 3],
) {
    let mut tx = seeded_transaction;

    sqlx::query("INSERT INTO categories (name) VALUES ($1)").bind(name).execute(&mut *tx).await.unwrap();

    assert_eq!(list_categories(&mut *tx).await.unwrap(), listed);
}
