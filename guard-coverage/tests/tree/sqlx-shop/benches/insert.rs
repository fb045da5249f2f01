fn setup(pool: &PgPool) {
    block_on(async { sqlx::query("TRUNCATE measurements").execute(pool).await.unwrap() }); //~ FINDING truncate measurements
}
