use sqlx::{AssertSqlSafe, Executor, PgConnection, PgPool, Postgres, QueryBuilder};

#[tokio::test]
async fn formats(pool: PgPool) {
    let tables = names(&pool).await.join(", ");
    sqlx::query(&format!("TRUNCATE {} RESTART IDENTITY CASCADE", tables)).execute(&pool).await.unwrap(); //~ FINDING truncate {tables}
    let sql = format!("DELETE FROM {table} WHERE ", table = "users") + &condition(); //~ FINDING delete users
    sqlx::query(&sql).execute(&pool).await.unwrap(); //~ NONE reported where it is written
    let mut text = String::from("DROP TABLE "); //~ FINDING drop {name}
    text.push_str(&name);
    pool.execute(text.as_str()).await.unwrap();
    sqlx::query(AssertSqlSafe(format!(r#"TRUNCATE TABLE "{}" CASCADE"#, name))).execute(&pool).await.unwrap(); //~ FINDING truncate "{name}"
}

#[tokio::test]
async fn loops(pool: PgPool) {
    for sql in ["TRUNCATE a", "DELETE FROM b"] { //~ FINDING truncate a //~ FINDING delete b
        pool.execute(sql).await.unwrap();
    }
    for statement in "DELETE FROM c; SELECT 1".split(';') { //~ FINDING delete c
        sqlx::query(statement).execute(&pool).await.unwrap();
    }
    let all = vec!["users", "orders"].iter().map(|table| format!("DELETE FROM {table}")).collect::<Vec<_>>().join("; "); //~ FINDING delete users,orders
    sqlx::raw_sql(&all).execute(&pool).await.unwrap();
    let cases = [("drops", "DROP TABLE d"), ("reads", "SELECT 1")]; //~ FINDING drop d
    for (name, sql) in cases {
        println!("{name}");
        sqlx::query(sql).execute(&pool).await.unwrap();
    }
    ["x", "y"].iter().for_each(|table| block_on(pool.execute(format!("TRUNCATE {table}").as_str()))); //~ FINDING truncate x,y
}

#[tokio::test]
async fn from_the_catalogue(pool: PgPool) {
    let tables: Vec<(String,)> = sqlx::query_as("SELECT table_name FROM information_schema.tables").fetch_all(&pool).await.unwrap(); //~ NONE reads
    for (table,) in tables {
        let statement = format!("TRUNCATE TABLE {} CASCADE", table); //~ FINDING truncate {table}
        sqlx::query(&statement).execute(&pool).await.unwrap();
    }
    let drops: Vec<String> = sqlx::query_scalar("SELECT 'DROP TABLE ' || tablename || ' CASCADE' FROM pg_tables").fetch_all(&pool).await.unwrap(); //~ NONE only built
    for drop in &drops {
        sqlx::query(drop).execute(&pool).await.unwrap(); //~ FINDING drop {tablename}
    }
}

#[tokio::test]
async fn builders(pool: PgPool) {
    let mut query: QueryBuilder<Postgres> = QueryBuilder::new("DELETE FROM users WHERE id IN ("); //~ FINDING delete users
    let mut separated = query.separated(", ");
    separated.push_bind(1);
    query.push(")").build().execute(&pool).await.unwrap();

    let mut update = QueryBuilder::new("UPDATE users SET name = "); //~ NONE has a WHERE
    update.push_bind("x");
    update.push(" WHERE id = ").push_bind(1);
    update.build().execute(&pool).await.unwrap();

    let mut every = QueryBuilder::new("UPDATE users SET name = "); //~ FINDING update users
    every.push_bind("x");
    every.build().execute(&pool).await.unwrap();
}

#[tokio::test]
async fn updates(pool: PgPool) {
    let column = pick();
    pool.execute(format!("UPDATE users SET {column} = NULL").as_str()).await.unwrap(); //~ FINDING update users
    pool.execute(format!("UPDATE users SET {column} = NULL WHERE id = {id}").as_str()).await.unwrap(); //~ NONE has a WHERE
    pool.execute(format!("UPDATE users SET a = 1 {clause}").as_str()).await.unwrap(); //~ NONE the clause may be a WHERE
    pool.execute("UPDATE users SET a = (SELECT max(b) FROM c WHERE d)").await.unwrap(); //~ FINDING update users
    pool.execute("UPDATE users u SET a = o.a FROM orders o WHERE o.id = u.id").await.unwrap(); //~ NONE has a WHERE
    pool.execute("INSERT INTO users VALUES (1) ON CONFLICT (id) DO UPDATE SET a = 1").await.unwrap(); //~ NONE an insert
    pool.execute("SELECT * FROM users FOR UPDATE").await.unwrap(); //~ NONE a lock
}

#[tokio::test]
async fn branches(pool: PgPool, hard: bool) {
    let sql = if hard { "DROP TABLE users" } else { "SELECT 1" }; //~ FINDING drop users
    sqlx::query(sql).execute(&pool).await.unwrap();
    let verb = match hard {
        true => "TRUNCATE users", //~ FINDING truncate users
        false => "ANALYZE users",
    };
    pool.execute(verb).await.unwrap();
    let run = |sql: &'static str| pool.execute(sql);
    run("DELETE FROM closures").await.unwrap(); //~ FINDING delete closures
    run("SELECT 1").await.unwrap(); //~ NONE reads
    tokio::select! {
        _ = sqlx::query("DELETE FROM selected").execute(&pool) => {} //~ FINDING delete selected
        _ = tokio::signal::ctrl_c() => {}
    }
    assert_eq!(sqlx::query("DELETE FROM asserted").execute(&pool).await.unwrap().rows_affected(), 1); //~ FINDING delete asserted
    let _guard = scopeguard::guard((), |()| block_on(async { sqlx::query("DROP TABLE scoped").execute(&pool).await })); //~ FINDING drop scoped
}

struct Fixture {
    sql: &'static str,
}

#[tokio::test]
async fn structs(pool: PgPool) {
    let fixture = Fixture { sql: "TRUNCATE fields" }; //~ FINDING truncate fields
    sqlx::query(fixture.sql).execute(&pool).await.unwrap();
}

impl Drop for Fixture {
    fn drop(&mut self) {
        block_on(async { sqlx::query("DELETE FROM dropped").execute(&pool()).await.unwrap() }); //~ FINDING delete dropped
    }
}

#[tokio::test]
async fn constants_of_their_own(pool: PgPool) {
    const SQL: &str = "DELETE FROM own"; //~ FINDING delete own
    sqlx::query(SQL).execute(&pool).await.unwrap();
}

#[tokio::test]
async fn another_constant(pool: PgPool) {
    sqlx::query(SQL).execute(&pool).await.unwrap(); //~ NONE its own constant reads
    const SQL: &str = "SELECT 1";
}

#[derive(Clone, Copy)]
enum Mode {
    Soft,
    Hard,
}

impl Mode {
    fn statement(self, table: &str) -> String {
        match self {
            Self::Soft => format!("SELECT 1 FROM {table}"),
            Self::Hard => format!("DELETE FROM {table}"), //~ NONE sent elsewhere
        }
    }
}

#[tokio::test]
async fn statements_of_an_enum(pool: PgPool) {
    for mode in [Mode::Soft, Mode::Hard] {
        pool.execute(mode.statement("modes").as_str()).await.unwrap(); //~ FINDING delete modes
    }
}

static LAZY: LazyLock<String> = LazyLock::new(|| format!("TRUNCATE {}", "lazily"));
// fixture-guard: allow(every use of it is in a container)
const CONTAINED: &str = "DROP TABLE contained";

#[tokio::test]
async fn other_ways_to_build(pool: PgPool) {
    pool.execute(LAZY.as_str()).await.unwrap(); //~ FINDING truncate lazily
    pool.execute(["DELETE ", "FROM ", "pieces"].concat().as_str()).await.unwrap(); //~ FINDING delete pieces
    pool.execute("TRUNCATE {table}".replace("{table}", name).as_str()).await.unwrap(); //~ FINDING truncate {table}
    let mut statements = Vec::new();
    statements.push("DROP TABLE pushed"); //~ FINDING drop pushed
    statements.push("SELECT 1");
    for statement in &statements {
        pool.execute(*statement).await.unwrap();
    }
    let mut written = String::new();
    write!(&mut written, "DELETE FROM {}", "written").unwrap(); //~ FINDING delete written
    sqlx::Executor::execute(&pool, written.as_str()).await.unwrap();
    let make = |table: &str| format!("TRUNCATE {table}"); //~ FINDING truncate {table}
    pool.execute(make("made").as_str()).await.unwrap();
    pool.execute(CONTAINED).await.unwrap(); //~ ALLOWED
    tokio::spawn(async move { pool.execute("DELETE FROM spawned").await }); //~ FINDING delete spawned
    http.get("/").query(&[("sql", "DROP TABLE users")]).send().await.unwrap(); //~ NONE a request's parameter
    mock.with_query("DELETE FROM users"); //~ NONE an expectation
    http.post("/graphql").body("DELETE FROM users").send().await.unwrap(); //~ NONE a request's body
}

#[tokio::test]
async fn migrations(pool: PgPool) {
    sqlx::migrate!("./migrations").undo(&pool, 0).await.unwrap(); //~ FINDING revert
    sqlx::migrate!("./migrations").run(&pool).await.unwrap(); //~ NONE goes on
    MIGRATOR.undo(&pool, 3).await.unwrap(); //~ FINDING revert
    <Postgres as MigrateDatabase>::drop_database(&url).await.unwrap(); //~ FINDING drop
}

#[tokio::test]
async fn maps(pool: PgPool) {
    let statements = HashMap::from([("drop", "DROP TABLE mapped"), ("read", "SELECT 1")]); //~ FINDING drop mapped
    pool.execute(statements["drop"]).await.unwrap();
}

mod mysql {
    pub const CLEAN: &[&str] = &["SELECT 1"];
}

mod postgres {
    pub const CLEAN: &[&str] = &["TRUNCATE by_module"];
}

#[tokio::test]
async fn constants_of_modules(pool: PgPool) {
    for statement in mysql::CLEAN {
        pool.execute(*statement).await.unwrap(); //~ NONE the other module's constant
    }
    for statement in postgres::CLEAN {
        pool.execute(*statement).await.unwrap(); //~ FINDING truncate by_module
    }
}
