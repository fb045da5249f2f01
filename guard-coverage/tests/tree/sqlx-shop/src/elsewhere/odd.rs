async fn clean(pool: &PgPool) {
    sqlx::query("DROP TABLE odd").execute(pool).await.unwrap(); //~ FINDING drop odd
}
