use wrappers::{Db, empty, exec};

async fn clean(pool: &PgPool, tables: &[&str]) {
    for table in tables {
        sqlx::query(&format!("TRUNCATE {table} CASCADE")).execute(pool).await.unwrap(); //~ FINDING truncate {table}
    }
}

async fn send(pool: &PgPool, sql: &str) {
    sqlx::query(sql).execute(pool).await.unwrap();
}

#[tokio::test]
async fn through_functions() {
    let db = Db::connect().await;
    db.run("DROP TABLE one").await.unwrap(); //~ FINDING drop one
    db.run("SELECT 1").await.unwrap(); //~ NONE reads
    db.describe("DROP TABLE one").await; //~ NONE never sent
    exec(&pool, "DELETE FROM two".to_string()).await; //~ FINDING delete two
    send(&pool, "TRUNCATE three").await; //~ FINDING truncate three
    send(&pool, &format!("DROP TABLE {}", name)).await; //~ FINDING drop {name}
    clean(&pool, &["four"]).await;
    empty(&pool, "five").await; //~ NONE the statement is not written here
    sqlx::query(&wrappers::wipe_statement("six")).execute(&pool).await.unwrap(); //~ FINDING delete six
    support_kit::reset(&pool).await;
    wrappers::run_all!(&pool, "DELETE FROM seven", "SELECT 1"); //~ FINDING delete seven
    wrappers::show_all!("DELETE FROM eight"); //~ NONE printed
    unknown_crate::execute_sql(&pool, "DROP TABLE nine").await; //~ FINDING drop nine
    unknown_crate::check_sql(&pool, "DROP TABLE nine").await; //~ NONE only checked
    TestDb::new().await.exec_ddl("DROP TABLE ten").await; //~ FINDING drop ten
}
