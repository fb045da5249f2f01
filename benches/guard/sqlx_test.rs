//! `#[sqlx::test]`, in a process of its own: it reads where to go from `DATABASE_URL`.

use std::borrow::Cow;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use sqlx::PgPool;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::testing::{TestArgs, TestFn};

use crate::cluster::Result;
use crate::fixtures::{SCHEMA, body};

/// The argument by which the child knows what it is.
pub(crate) const ARGUMENT: &str = "--as-sqlx-test";

/// A process that runs one such test for each line that it reads.
pub(crate) struct SqlxTests {
    child: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl SqlxTests {
    pub(crate) fn start(dsn: &str) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(ARGUMENT)
            .env("DATABASE_URL", dsn)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (Some(ask), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("no pipes".into());
        };
        Ok(Self { child, ask, answers: BufReader::new(answers) })
    }

    pub(crate) fn run(&mut self) -> Result<Duration> {
        writeln!(self.ask)?;
        let mut nanoseconds = String::new();
        self.answers.read_line(&mut nanoseconds)?;
        Ok(Duration::from_nanos(nanoseconds.trim().parse()?))
    }
}

impl Drop for SqlxTests {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the child does.
pub(crate) fn child() -> Result<()> {
    let migrator: &'static Migrator = Box::leak(Box::new(migrator()));
    for line in std::io::stdin().lines() {
        line?;
        let mut arguments = TestArgs::new(concat!(module_path!(), "::test"));
        arguments.migrator(migrator);
        let began = Instant::now();
        (test as fn(PgPool) -> _).run_test(arguments);
        println!("{}", began.elapsed().as_nanos());
    }
    Ok(())
}

async fn test(pool: PgPool) {
    let mut connection = pool.acquire().await.expect("a connection");
    body(&mut connection).await.expect("the body");
}

/// The 23 tables, each by a migration.
fn migrator() -> Migrator {
    let (_, tables) = SCHEMA.split_once("CREATE TABLE").expect("tables");
    let migrations = tables.split("CREATE TABLE").zip(1..).map(|(table, version)| {
        let sql = sqlx::AssertSqlSafe(format!("CREATE TABLE{table}"));
        Migration::new(
            version,
            Cow::Borrowed("table"),
            MigrationType::Simple,
            sqlx::SqlSafeStr::into_sql_str(sql),
            false,
        )
    });
    Migrator { migrations: migrations.collect(), ..Migrator::DEFAULT }
}
