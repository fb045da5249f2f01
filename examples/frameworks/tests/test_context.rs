//! test-context: the fixtures run in `setup`. Its future is `Send`, and so are guarded ones.

use fixture_guard_examples_frameworks::{
    count_products_and_tax_rates, list_categories, reset_shop, seed_shop, shop,
};
use sqlx::PgPool;
use test_context::{AsyncTestContext, test_context};

struct SeededShop {
    pool: PgPool,
}

impl AsyncTestContext for SeededShop {
    async fn setup() -> Self {
        let pool = shop().await;
        reset_shop(&pool).await.unwrap();
        seed_shop(&pool).await.unwrap();
        Self { pool }
    }

    async fn teardown(self) {
        self.pool.close().await;
    }
}

#[test_context(SeededShop)]
#[tokio::test]
async fn lists_what_was_seeded_and_nothing_of_yesterday(shop: &SeededShop) {
    assert_eq!(list_categories(&shop.pool).await.unwrap(), ["hats", "shoes"]);
    assert_eq!(count_products_and_tax_rates(&shop.pool).await.unwrap(), (0, 2));
}
