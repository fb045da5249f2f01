pub struct Db {
    pool: PgPool,
}

impl Db {
    pub async fn run(&self, sql: &str) -> sqlx::Result<()> {
        sqlx::query(sql).execute(&self.pool).await?;
        Ok(())
    }

    pub async fn describe(&self, sql: &str) -> String {
        sql.to_uppercase()
    }
}

pub async fn exec(pool: &PgPool, sql: String) {
    inner(pool, &sql).await;
}

async fn inner(pool: &PgPool, sql: &str) {
    pool.execute(sql).await.unwrap();
}

pub async fn empty(pool: &PgPool, table: &str) {
    pool.execute(format!("TRUNCATE {table}").as_str()).await.unwrap(); //~ NONE no code for tests
}

pub fn wipe_statement(table: &str) -> String {
    format!("DELETE FROM {table}") //~ NONE sent elsewhere
}

#[macro_export]
macro_rules! run_all {
    ($pool:expr, $($sql:expr),*) => {
        $(sqlx::query($sql).execute($pool).await.unwrap();)*
    };
}

#[macro_export]
macro_rules! show_all {
    ($($sql:expr),*) => {
        $(println!("{}", $sql);)*
    };
}
