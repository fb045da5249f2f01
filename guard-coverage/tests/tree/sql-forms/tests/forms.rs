//! Forms of statements: first those that destroy nothing.
async fn a(pool: &PgPool) {
    sqlx::query("select 1; -- delete from x").execute(pool).await; //~ NONE destroys nothing
}
async fn b(pool: &PgPool) {
    let msg = format!("DELETE FROM {} failed", t); return Err(sqlx::Error::Protocol(msg)); //~ NONE destroys nothing
}
async fn c(pool: &PgPool) {
    sqlx::query("INSERT INTO t SELECT * FROM (VALUES ('TRUNCATE x')) v").execute(pool).await; //~ NONE destroys nothing
}
#[test]
fn d() {
    let v = vec!["DELETE FROM x"]; for s in v { assert!(Parser::new(s).parse().is_ok()); } //~ NONE destroys nothing
}
fn e() {
    let stmt = parse("DROP TABLE x").unwrap(); executor.execute(stmt); //~ NONE destroys nothing
}
fn f() {
    let plan = planner.plan_query("DELETE FROM x"); engine.run(plan); //~ NONE destroys nothing
}
fn g() {
    insta::assert_snapshot!(builder.to_sql(), @"DELETE FROM x"); //~ NONE destroys nothing
}
fn h() {
    let q = diesel::delete(users::table); assert_eq!(debug_query::<Pg, _>(&q).to_string(), "DELETE"); //~ NONE destroys nothing
}
fn i() {
    let sql = Query::delete().from_table(T::Table).to_owned().to_string(PostgresQueryBuilder); println!("{sql}"); //~ NONE destroys nothing
}
async fn j(c: &reqwest::Client) { c.delete("http://x/delete from y").send().await; //~ NONE destroys nothing
    c.execute(c.delete("x").build()).await; } //~ NONE destroys nothing
async fn k(pool: &PgPool) {
    sqlx::query("CREATE TABLE IF NOT EXISTS x (a int, CONSTRAINT fk FOREIGN KEY (a) REFERENCES b(c) ON DELETE SET NULL)").execute(pool).await; //~ NONE destroys nothing
}
async fn l(pool: &PgPool) {
    sqlx::query("CREATE OR REPLACE TRIGGER t AFTER INSERT OR UPDATE OR DELETE ON x FOR EACH ROW EXECUTE PROCEDURE f()").execute(pool).await; //~ NONE destroys nothing
}
async fn m(pool: &PgPool) { sqlx::query("ALTER TABLE x ADD CONSTRAINT y FOREIGN KEY (a) REFERENCES b ON DELETE CASCADE").execute(pool).await; //~ NONE destroys nothing
    sqlx::query("ALTER TABLE x RENAME COLUMN delete TO drop").execute(pool).await; //~ NONE destroys nothing
    sqlx::query("ALTER TABLE x ALTER COLUMN a DROP NOT NULL, ALTER COLUMN b DROP DEFAULT").execute(pool).await; } //~ NONE destroys nothing
async fn n(pool: &PgPool) { sqlx::query("INSERT INTO x (a) VALUES ($1) ON DUPLICATE KEY UPDATE a = 1").execute(pool).await; //~ NONE destroys nothing
    sqlx::query("SELECT a FROM x FOR NO KEY UPDATE SKIP LOCKED").execute(pool).await; //~ NONE destroys nothing
    sqlx::query("DEALLOCATE ALL; RESET ALL; DISCARD TEMP").execute(pool).await; } //~ NONE destroys nothing
async fn o(pool: &PgPool) { sqlx::query("CREATE TEMP TABLE a ON COMMIT DROP AS SELECT 1").execute(pool).await; //~ NONE destroys nothing
    sqlx::query("UPDATE a SET x = 1").execute(pool).await; } //~ NONE destroys nothing
async fn p(pool: &PgPool) {
    sqlx::query("WITH u AS (UPDATE x SET a = 1 WHERE b RETURNING *) SELECT * FROM u").execute(pool).await; //~ NONE destroys nothing
}
async fn q(pool: &PgPool) {
    sqlx::query("SELECT deleted, dropped FROM truncated WHERE action IN ('DELETE', 'DROP TABLE x')").execute(pool).await; //~ NONE destroys nothing
}
async fn r(pool: &PgPool) {
    sqlx::query(r#"UPDATE x SET a = $1, updated_at = now()
    WHERE id = $2"#).execute(pool).await; } //~ NONE destroys nothing
async fn s(pool: &PgPool) {
    let mut sql = "UPDATE x SET a = 1".to_string(); sql.push_str(" WHERE id = 1"); sqlx::query(&sql).execute(pool).await; //~ NONE destroys nothing
}
async fn t(pool: &PgPool) {
    let mut sql = "UPDATE x SET a = 1".to_string(); if let Some(c) = cond { sql += &format!(" WHERE {c}"); } sqlx::query(&sql).execute(pool).await; //~ FINDING update x
}
async fn u(pool: &PgPool) { let w = build_where(); sqlx::query(&format!("UPDATE x SET a = 1 WHERE {w}")).execute(pool).await; //~ NONE destroys nothing
    sqlx::query(&["UPDATE x SET a = 1", "WHERE id = 2"].join(" ")).execute(pool).await; } //~ NONE destroys nothing
// and those that do
async fn v(pool: &PgPool) {
    sqlx::query("WITH u AS (UPDATE x SET a = 1 RETURNING *) SELECT * FROM u").execute(pool).await; //~ FINDING update x
}
async fn w(pool: &PgPool) { sqlx::query("/* clean */ delete from x").execute(pool).await; //~ FINDING delete x
    sqlx::query("  \n\t(DELETE FROM y)").execute(pool).await; } //~ FINDING delete y
async fn x(pool: &PgPool) {
    sqlx::query("BEGIN TRANSACTION; DROP TABLE IF EXISTS a, b CASCADE; COMMIT;").execute(pool).await; //~ FINDING drop a,b
}
async fn y(c: &mysql::Conn) { c.query_drop("SET FOREIGN_KEY_CHECKS=0; TRUNCATE `a`; SET FOREIGN_KEY_CHECKS=1").unwrap(); //~ FINDING truncate `a`
    c.query_drop(format!("ALTER TABLE `{}` DROP FOREIGN KEY `fk`", t)).unwrap(); //~ FINDING alter `{t}`
    c.query_drop("DELETE LOW_PRIORITY FROM b LIMIT 3").unwrap(); //~ FINDING delete b
    c.query_drop("UPDATE c JOIN d ON c.i = d.i SET c.x = 1").unwrap(); } //~ FINDING update c
async fn z(c: &rusqlite::Connection) { c.execute("DELETE FROM sqlite_sequence", []).unwrap(); //~ FINDING delete sqlite_sequence
    c.execute_batch(r#"PRAGMA foreign_keys = OFF; DROP TABLE "ab"; UPDATE OR IGNORE c SET x = 1;"#).unwrap(); //~ FINDING drop "ab" //~ FINDING update c
    c.execute("INSERT INTO a DEFAULT VALUES; DELETE FROM [b]", []).unwrap(); } //~ FINDING delete [b]
async fn aa(c: &PgPool) { sqlx::query("DROP MATERIALIZED VIEW mv").execute(c).await; //~ FINDING drop mv
    sqlx::query("DROP TABLE ONLY_ME").execute(c).await; //~ FINDING drop ONLY_ME
    sqlx::query("TRUNCATE ONLY a*, b RESTART IDENTITY").execute(c).await;  sqlx::query("DROP EXTENSION x; DROP ROLE y; DROP POLICY p ON t; DROP FUNCTION f(int); DROP TRIGGER g ON t; DROP SEQUENCE q").execute(c).await; } //~ FINDING truncate a,b //~ FINDING drop x //~ FINDING drop y //~ FINDING drop t //~ FINDING drop f //~ FINDING drop g //~ FINDING drop q
async fn bb(c: &PgPool) { sqlx::query("DO 'BEGIN IF true THEN DELETE FROM dd; ELSE DROP TABLE de; END IF; END'").execute(c).await; //~ FINDING delete dd //~ FINDING drop de
    sqlx::query("CREATE OR REPLACE FUNCTION f() RETURNS void AS $fn$ DELETE FROM fn; $fn$ LANGUAGE sql").execute(c).await; //~ FINDING delete fn
    sqlx::query("DO $$ DECLARE t text; BEGIN FOR t IN SELECT table_name FROM information_schema.tables LOOP EXECUTE format('TRUNCATE TABLE %I.%I CASCADE', s, t); END LOOP; END $$").execute(c).await; } //~ FINDING truncate {I}.{I}
async fn cc(c: &PgPool) {
    sqlx::query("MERGE INTO t USING s ON t.i = s.i WHEN NOT MATCHED BY SOURCE THEN DELETE WHEN MATCHED THEN UPDATE SET a = 1").execute(c).await; //~ FINDING merge t
}
