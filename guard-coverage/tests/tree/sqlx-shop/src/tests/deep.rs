async fn clean(pool: &PgPool) {
    sqlx::query("DELETE FROM deep").execute(pool).await.unwrap(); //~ FINDING delete deep
}
