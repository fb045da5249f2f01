pub async fn truncate_all(pool: &PgPool) {
    sqlx::query("TRUNCATE a, b, c").execute(pool).await.unwrap(); //~ FINDING truncate a,b,c
}
