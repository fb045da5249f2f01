//! Only tests depend on this package, so all of it is code for tests.

pub async fn reset(pool: &PgPool) {
    sqlx::query("TRUNCATE kit").execute(pool).await.unwrap(); //~ FINDING truncate kit
}
