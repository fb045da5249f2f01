//! Plain `#[test]`: any tokio runtime drives a fixture.

use fixture_guard_examples_frameworks::{
    count_products_and_tax_rates, list_categories, reset_shop, seed_shop, shop,
};

#[test]
fn lists_what_was_seeded_and_nothing_of_yesterday() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();

    runtime.block_on(async {
        let pool = shop().await;

        reset_shop(&pool).await.unwrap();
        seed_shop(&pool).await.unwrap();

        assert_eq!(list_categories(&pool).await.unwrap(), ["hats", "shoes"]);
        assert_eq!(count_products_and_tax_rates(&pool).await.unwrap(), (0, 2));
    });
}
