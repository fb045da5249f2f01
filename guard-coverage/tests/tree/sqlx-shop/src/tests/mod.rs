mod deep;

async fn clean(pool: &PgPool) {
    sqlx::query("DELETE FROM audit").execute(pool).await.unwrap(); //~ FINDING delete audit
}
