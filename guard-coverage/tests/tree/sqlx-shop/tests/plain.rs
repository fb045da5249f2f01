use sqlx::{Executor, PgPool, Row};

const CLEAN: &str = "TRUNCATE users";
static TABLES: &[&str] = &["users", "orders"];
const HARMLESS: &str = "SELECT 'TRUNCATE users'";

#[sqlx::test]
async fn query_function(pool: PgPool) {
    sqlx::query("DELETE FROM users").execute(&pool).await.unwrap(); //~ FINDING delete users
    sqlx::query("DELETE FROM users WHERE id = $1").bind(1).execute(&pool).await.unwrap(); //~ FINDING delete users
    sqlx::query("delete from only shop.users as u using orders o where o.id = u.id").execute(&pool).await.unwrap(); //~ FINDING delete shop.users
}

#[tokio::test]
async fn query_macro() {
    let pool = connect().await;
    sqlx::query!("DROP TABLE users").execute(&pool).await.unwrap(); //~ FINDING drop users
    sqlx::query_as!(User, "DELETE FROM users RETURNING id, name").fetch_all(&pool).await.unwrap(); //~ FINDING delete users
    sqlx::query_scalar!("DELETE FROM orders WHERE id = $1 RETURNING id", 3).fetch_one(&pool).await.unwrap(); //~ FINDING delete orders
    let gone: Vec<(i64,)> = sqlx::query_as("DELETE FROM users RETURNING id").fetch_all(&pool).await.unwrap(); //~ FINDING delete users
    sqlx::query_scalar::<_, i64>("WITH gone AS (DELETE FROM users RETURNING 1) SELECT count(*) FROM gone") //~ FINDING delete users
        .fetch_one(&pool)
        .await
        .unwrap();
}

#[tokio::test]
async fn raw_and_executor() {
    let pool = connect().await;
    sqlx::raw_sql("TRUNCATE users; TRUNCATE orders").execute(&pool).await.unwrap(); //~ FINDING truncate users //~ FINDING truncate orders
    pool.execute("TRUNCATE TABLE ONLY users RESTART IDENTITY CASCADE").await.unwrap(); //~ FINDING truncate users
    let mut conn = pool.acquire().await.unwrap();
    conn.execute(sqlx::query("DROP SCHEMA shop CASCADE")).await.unwrap(); //~ FINDING drop shop
    (&mut *conn).fetch_all("DELETE FROM users RETURNING *").await.unwrap(); //~ FINDING delete users
    "DROP VIEW report".execute(&pool).await.unwrap(); //~ FINDING drop report
    pool.execute_many("UPDATE users SET name = 'x'; SELECT 1"); //~ FINDING update users
}

#[tokio::test]
async fn several_lines() {
    let pool = connect().await;
    sqlx::query(
        r#"
        -- DELETE FROM comments
        UPDATE users --~ FINDING update users
        SET name = 'x',
            deleted = true
        "#,
    )
    .execute(&pool)
    .await
    .unwrap();
    sqlx::raw_sql(
        "BEGIN; \
         /*~ FINDING delete carts */ DELETE FROM carts; \
         COMMIT",
    )
    .execute(&pool)
    .await
    .unwrap();
}

#[tokio::test]
async fn constants() {
    let pool = connect().await;
    sqlx::query(CLEAN).execute(&pool).await.unwrap(); //~ FINDING truncate users
    sqlx::query(HARMLESS).execute(&pool).await.unwrap(); //~ NONE a literal that is selected
    sqlx::query(concat!("DELETE ", "FROM ", "users")).execute(&pool).await.unwrap(); //~ FINDING delete users
    for table in TABLES {
        sqlx::query(&format!("TRUNCATE {table}")).execute(&pool).await.unwrap(); //~ FINDING truncate users,orders
    }
    sqlx::query(Queries::WIPE).execute(&pool).await.unwrap(); //~ FINDING delete orders
    sqlx::query(statements::DROP_ALL).execute(&pool).await.unwrap(); //~ FINDING drop public
}

struct Queries;
impl Queries {
    const WIPE: &'static str = "DELETE FROM orders";
}

#[tokio::test]
async fn files() {
    let pool = connect().await;
    sqlx::raw_sql(include_str!("../sql/reset.sql")).execute(&pool).await.unwrap(); //~ FINDING truncate carts,orders
    sqlx::raw_sql(include_str!("../sql/harmless.sql")).execute(&pool).await.unwrap(); //~ NONE a file that selects
    sqlx::query_file!("sql/sessions.sql").execute(&pool).await.unwrap(); //~ FINDING delete sessions
    let reset = std::fs::read_to_string("sql/reset.sql").unwrap();
    pool.execute(reset.as_str()).await.unwrap(); //~ FINDING truncate carts,orders
    let there = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/sql/sessions.sql"));
    pool.execute(there).await.unwrap(); //~ FINDING delete sessions
}

#[tokio::test]
async fn ddl() {
    let pool = connect().await;
    pool.execute("ALTER TABLE users DROP COLUMN name").await.unwrap(); //~ FINDING alter users
    pool.execute("ALTER TABLE users DROP CONSTRAINT users_pkey, ADD COLUMN x int").await.unwrap(); //~ FINDING alter users
    pool.execute("ALTER TABLE users ALTER COLUMN name DROP NOT NULL").await.unwrap(); //~ NONE loses no data
    pool.execute("ALTER TABLE users ALTER name DROP DEFAULT").await.unwrap(); //~ NONE loses no data
    pool.execute("ALTER TABLE users ADD COLUMN truncate_at int").await.unwrap(); //~ NONE adds
    pool.execute("DROP DATABASE IF EXISTS shop_test WITH (FORCE)").await.unwrap(); //~ FINDING drop shop_test
    pool.execute("DROP INDEX CONCURRENTLY IF EXISTS by_name").await.unwrap(); //~ FINDING drop by_name
    pool.execute("DROP OWNED BY app").await.unwrap(); //~ FINDING drop app
    pool.execute("DROP TYPE mood").await.unwrap(); //~ FINDING drop mood
    sqlx::Postgres::drop_database("postgres://app:hunter2@localhost/shop").await.unwrap(); //~ FINDING drop
}

#[tokio::test]
async fn merges() {
    let pool = connect().await;
    pool.execute("MERGE INTO stock s USING sold ON s.id = sold.id WHEN MATCHED THEN DELETE").await.unwrap(); //~ FINDING merge stock
    pool.execute("MERGE INTO stock s USING sold ON s.id = sold.id WHEN MATCHED THEN UPDATE SET n = 0").await.unwrap(); //~ NONE removes nothing
}

#[tokio::test]
async fn blocks() {
    let pool = connect().await;
    pool.execute("DO $$ BEGIN DELETE FROM users; END $$").await.unwrap(); //~ FINDING delete users
    pool.execute(
        "DO $$ DECLARE r record; BEGIN FOR r IN SELECT tablename FROM pg_tables LOOP
           EXECUTE 'TRUNCATE TABLE ' || quote_ident(r.tablename) || ' CASCADE'; --~ FINDING truncate {r.tablename}
         END LOOP; END $$",
    )
    .await
    .unwrap();
    pool.execute("DO $$ BEGIN EXECUTE format('DROP TABLE %I', 'users'); END $$").await.unwrap(); //~ FINDING drop {I}
    pool.execute("CREATE PROCEDURE wipe() LANGUAGE plpgsql AS $body$ BEGIN TRUNCATE users; END $body$").await.unwrap(); //~ FINDING truncate users
    pool.execute("DO $$ BEGIN PERFORM 1; RAISE NOTICE 'DROP TABLE users'; END $$").await.unwrap(); //~ NONE a notice
    pool.execute("EXPLAIN DELETE FROM users").await.unwrap(); //~ NONE is only explained
    pool.execute("EXPLAIN ANALYZE DELETE FROM users").await.unwrap(); //~ FINDING delete users
    pool.execute("PREPARE gone AS DELETE FROM users WHERE id = $1").await.unwrap(); //~ FINDING delete users
}
