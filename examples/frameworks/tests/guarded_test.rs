//! `#[guarded_test]`, this crate's own: the test gets a transaction that nobody commits, on the database that
//! `DATABASE_URL` or its `target` names. Tests share the database and run side by side.

use fixture_guard::{GuardedTransaction, guarded_test};
use fixture_guard_examples_frameworks::{
    count_products_and_tax_rates, list_categories, reset_shop, seed_shop, shop,
};

#[guarded_test(target = shop().await)]
async fn lists_what_was_seeded_and_nothing_of_yesterday(tx: &mut GuardedTransaction) -> sqlx::Result<()> {
    reset_shop(&mut *tx).await?;
    seed_shop(&mut *tx).await?;

    assert_eq!(list_categories(&mut **tx).await?, ["hats", "shoes"]);
    assert_eq!(count_products_and_tax_rates(&mut **tx).await?, (0, 2));
    Ok(())
}

#[guarded_test(target = shop().await)]
async fn finds_yesterdays_rows_where_nobody_reset(tx: &mut GuardedTransaction) -> sqlx::Result<()> {
    seed_shop(&mut *tx).await?;

    assert_eq!(list_categories(&mut **tx).await?, ["hats", "left over from yesterday", "shoes"]);
    Ok(())
}
