use fixture_guard::{GuardedTransaction, GuardedTransaction as Proof, destructive_fixture, destructive_fixture as fixture, guarded_test, reset};

#[destructive_fixture(hosts = ["*-staging*"])]
async fn reset_db(conn: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query("TRUNCATE categories").execute(&mut *conn).await?; //~ NONE guarded
    for table in TABLES {
        conn.execute(AssertSqlSafe(format!("DELETE FROM {table}"))).await?; //~ NONE guarded
    }
    let wipe = async |sql| conn.execute(sql).await;
    wipe("DROP TABLE closures").await?; //~ NONE guarded
    helper(conn).await?;
    shared(conn).await
}

#[fixture_guard::destructive_fixture]
async fn by_path(conn: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query("TRUNCATE categories").execute(conn).await?; //~ NONE guarded
    Ok(())
}

#[fixture]
async fn renamed(conn: &mut PgConnection) {
    sqlx::query("TRUNCATE categories").execute(conn).await.unwrap(); //~ NONE guarded
}

#[guarded_test]
async fn a_test(tx: &mut GuardedTransaction) -> sqlx::Result<()> {
    reset::all_tables(&mut *tx).await?; //~ NONE guarded
    sqlx::query("DELETE FROM orders").execute(&mut **tx).await?; //~ NONE guarded
    Ok(())
}

async fn takes_the_proof(tx: &mut GuardedTransaction) {
    sqlx::query("DELETE FROM orders").execute(&mut **tx).await.unwrap(); //~ NONE the type is the proof
}

async fn takes_the_renamed_proof(tx: &mut Proof) {
    sqlx::query("DELETE FROM orders").execute(&mut **tx).await.unwrap(); //~ NONE the type is the proof
}

/// Only a guarded function calls it.
async fn helper(conn: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query("TRUNCATE helped").execute(conn).await?; //~ NONE behind the guard
    Ok(())
}

/// A guarded function calls it, and another one too.
async fn shared(conn: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query("TRUNCATE shared").execute(conn).await?; //~ FINDING truncate shared
    Ok(())
}

#[tokio::test]
async fn unguarded(pool: PgPool) {
    shared(&mut pool.acquire().await.unwrap()).await.unwrap();
    reset_db(&pool).await.unwrap();
    sqlx::query("TRUNCATE plain").execute(&pool).await.unwrap(); //~ FINDING truncate plain
}

#[tokio::test]
async fn begins(pool: PgPool) {
    let mut tx = fixture_guard::begin(&pool).await.unwrap();
    sqlx::query("TRUNCATE begun").execute(&mut *tx).await.unwrap(); //~ NONE sent to the guarded transaction
    tx.execute("DELETE FROM begun").await.unwrap(); //~ NONE sent to the guarded transaction
    given(&mut tx).await;
    sqlx::query("TRUNCATE begun").execute(&pool).await.unwrap(); //~ FINDING truncate begun
}

async fn given(conn: &mut PgConnection) {
    sqlx::query("TRUNCATE given").execute(conn).await.unwrap(); //~ NONE only ever given the guarded transaction
}

/// Nobody calls it yet.
async fn uncalled(conn: &mut PgConnection) {
    sqlx::query("TRUNCATE uncalled").execute(conn).await.unwrap(); //~ FINDING truncate uncalled
}

async fn circle(conn: &mut PgConnection) {
    sqlx::query("TRUNCATE circle").execute(&mut *conn).await.unwrap(); //~ FINDING truncate circle
    Box::pin(turn(conn)).await;
}

async fn turn(conn: &mut PgConnection) {
    Box::pin(circle(conn)).await;
}

#[cfg_attr(feature = "guard", destructive_fixture)]
async fn sometimes(conn: &mut PgConnection) {
    sqlx::query("TRUNCATE sometimes").execute(conn).await.unwrap(); //~ FINDING truncate sometimes
}

#[tokio::test]
async fn allowed(pool: PgPool) {
    // fixture-guard: allow(shows what happens without the guard)
    sqlx::query("DELETE FROM allowed").execute(&pool).await.unwrap(); //~ ALLOWED
    sqlx::query("DELETE FROM allowed").execute(&pool).await.unwrap(); // fixture-guard: allow(on the same line) //~ ALLOWED
    // fixture-guard: allow()
    sqlx::query("DELETE FROM reasonless").execute(&pool).await.unwrap(); //~ FINDING delete reasonless
    // fixture-guard: allow(nothing stands here)
    sqlx::query("SELECT 1").execute(&pool).await.unwrap(); //~ NONE reads
}

// fixture-guard: allow(all of this function)
#[tokio::test]
async fn allowed_as_a_whole(pool: PgPool) {
    sqlx::query("DELETE FROM allowed").execute(&pool).await.unwrap(); //~ ALLOWED
    if true {
        pool.execute("DROP TABLE allowed").await.unwrap(); //~ ALLOWED
    }
}

struct Context {
    tx: GuardedTransaction,
    pool: PgPool,
}

async fn fields(context: &mut Context) {
    sqlx::query("TRUNCATE fields").execute(&mut **context.tx).await.unwrap(); //~ NONE the field's type is the proof
    context.tx.execute("TRUNCATE fields").await.unwrap(); //~ NONE the field's type is the proof
    sqlx::query("TRUNCATE fields").execute(&context.pool).await.unwrap(); //~ FINDING truncate fields
}
