//! TRUNCATE users in documentation is no statement.
use sqlx::PgPool;

/// `DROP TABLE users`
#[tokio::test]
async fn texts(pool: PgPool) {
    // TRUNCATE users
    println!("TRUNCATE users"); //~ NONE printed
    tracing::info!("DELETE FROM users took {:?}", took); //~ NONE logged
    assert_eq!(rows, 0, "DELETE FROM users left rows"); //~ NONE a message
    panic!("DROP TABLE users failed"); //~ NONE a message
    let error = anyhow!("cannot TRUNCATE users"); //~ NONE an error's text
    return Err("DELETE FROM users is forbidden".into()); //~ NONE an error's text
}

#[tokio::test]
async fn names(pool: PgPool) {
    sqlx::query("SELECT \"delete\", truncate_at FROM \"drop\"").fetch_all(&pool).await.unwrap(); //~ NONE names of columns
    sqlx::query("INSERT INTO audit (action) VALUES ('DROP TABLE users')").execute(&pool).await.unwrap(); //~ NONE a value
    sqlx::query("INSERT INTO audit (action) VALUES ('it''s; DELETE FROM users')").execute(&pool).await.unwrap(); //~ NONE a value
    sqlx::query("SELECT 1 -- ; DROP TABLE users").fetch_one(&pool).await.unwrap(); //~ NONE a comment
    sqlx::query("SELECT /* DELETE FROM users */ 1").fetch_one(&pool).await.unwrap(); //~ NONE a comment
    sqlx::query("CREATE TABLE a (b int REFERENCES c ON DELETE CASCADE ON UPDATE SET NULL)").execute(&pool).await.unwrap(); //~ NONE a foreign key
    sqlx::query("GRANT DELETE, TRUNCATE ON users TO app").execute(&pool).await.unwrap(); //~ NONE a right
    sqlx::query("CREATE TRIGGER t BEFORE DELETE ON users FOR EACH ROW EXECUTE FUNCTION f()").execute(&pool).await.unwrap(); //~ NONE an event
    sqlx::query("CREATE RULE r AS ON DELETE TO users DO INSTEAD NOTHING").execute(&pool).await.unwrap(); //~ NONE a rule
    sqlx::query("SELECT 'DELETE FROM ' || name FROM t").fetch_all(&pool).await.unwrap(); //~ NONE a literal that is selected
    sqlx::query("COMMENT ON TABLE users IS 'TRUNCATE me; DELETE FROM me'").execute(&pool).await.unwrap(); //~ NONE a comment
    sqlx::query("SELECT count(*) FROM events WHERE kind = $1").bind("DELETE FROM users").fetch_one(&pool).await.unwrap(); //~ NONE a parameter
    sqlx::query!("SELECT id FROM events WHERE kind = $1", "DROP TABLE users").fetch_one(&pool).await.unwrap(); //~ NONE a parameter
}

#[tokio::test]
async fn temporary(pool: PgPool) {
    sqlx::query("CREATE TEMP TABLE scratch (id int)").execute(&pool).await.unwrap(); //~ NONE makes one
    sqlx::query("DELETE FROM scratch").execute(&pool).await.unwrap(); //~ NONE temporary
    sqlx::query("TRUNCATE scratch").execute(&pool).await.unwrap(); //~ NONE temporary
    sqlx::query("DROP TABLE IF EXISTS scratch").execute(&pool).await.unwrap(); //~ NONE temporary
    sqlx::query("DROP TABLE pg_temp.other").execute(&pool).await.unwrap(); //~ NONE temporary
    sqlx::raw_sql("CREATE TEMPORARY TABLE t2 (id int); DROP TABLE t2; DROP TABLE lasting").execute(&pool).await.unwrap(); //~ FINDING drop lasting
}

#[tokio::test]
async fn other_things() {
    let mut names = vec!["a"];
    names.truncate(0); //~ NONE a vector
    text.truncate(3); //~ NONE a string
    map.remove("DELETE FROM users"); //~ NONE a map
    client.delete("https://example.org/users").send().await.unwrap(); //~ NONE HTTP
    client.request(Method::DELETE, "/users").send().await.unwrap(); //~ NONE HTTP
    let app = Router::new().route("/DELETE FROM users", delete(handler)); //~ NONE a route
    server.mock("DELETE", "/users/1"); //~ NONE HTTP
    std::fs::remove_file("drop table.txt").unwrap(); //~ NONE a file
    Command::new("echo").arg("DROP TABLE users").status().unwrap(); //~ NONE a program
    let unused = "TRUNCATE users"; //~ NONE goes nowhere
    drop(conn); //~ NONE drops a value
    Arg::new("mode").help("DELETE FROM users first"); //~ NONE help
}

#[test]
fn parsers() {
    let ast = Parser::parse_sql(&PostgreSqlDialect {}, "DROP TABLE users").unwrap(); //~ NONE parsed
    assert_eq!(format_query("delete from a"), "DELETE FROM a"); //~ NONE printed
    let tokens = tokenize_sql("TRUNCATE users"); //~ NONE cut into tokens
    assert!(is_destructive_sql("DROP TABLE users")); //~ NONE judged
    let fingerprint = normalize_query("DELETE FROM users WHERE id = 1"); //~ NONE compared
}

struct FakeDatabase(Vec<String>);
impl FakeDatabase {
    fn execute(&mut self, sql: &str) {
        self.0.push(sql.to_owned());
    }
}

#[test]
fn fakes() {
    let mut fake = FakeDatabase(Vec::new());
    fake.execute("DELETE FROM users"); //~ NONE never sent
    assert_eq!(fake.0, ["DELETE FROM users"]); //~ NONE compared
    mock.expect_execute().with(eq("DROP TABLE users")); //~ NONE an expectation
}

fn query(sql: &str) -> usize {
    sql.len()
}

#[test]
fn a_function_of_our_own() {
    assert_eq!(query("DROP TABLE users"), 16); //~ NONE never sent
}

#[derive(Deserialize)]
struct Request {
    #[serde(rename = "DELETE FROM users")]
    method: String,
}
