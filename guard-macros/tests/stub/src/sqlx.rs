//! The names that a fixture knows from sqlx.

use std::marker::PhantomData;
use std::sync::{Arc, Mutex};

/// The error of a statement.
#[derive(Debug)]
#[non_exhaustive]
pub struct Error;

impl From<crate::Error> for Error {
    fn from(_: crate::Error) -> Self {
        Self
    }
}

/// What a statement answers.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A database driver.
pub trait Database {
    /// Its connections.
    type Connection;
}

/// The driver of `PostgreSQL`.
#[derive(Debug)]
#[non_exhaustive]
pub struct Postgres;

impl Database for Postgres {
    type Connection = PgConnection;
}

/// The driver of `MySQL`.
#[derive(Debug)]
#[non_exhaustive]
pub struct MySql;

/// A pool of any driver's connections.
#[derive(Debug)]
pub struct Pool<DB>(PhantomData<DB>);

/// A connection that goes back to its pool.
#[derive(Debug)]
pub struct PoolConnection<DB>(PhantomData<DB>);

/// A transaction that its holder can commit.
#[derive(Debug)]
pub struct Transaction<'c, DB>(PhantomData<&'c mut DB>);

/// Where to connect.
#[derive(Debug)]
#[non_exhaustive]
pub struct PgConnectOptions;

/// Whatever executes statements.
pub trait Executor<'c> {
    /// Its driver.
    type Database;
}

/// Whatever executes the statements of `PostgreSQL`.
pub trait PgExecutor<'c>: Executor<'c, Database = Postgres> {}

/// Whatever has connections.
pub trait Acquire<'c> {
    /// Its driver.
    type Database;
}

/// Stands in for sqlx's pool.
#[derive(Clone, Debug)]
pub struct PgPool {
    disposable: bool,
    journal: Arc<Mutex<Vec<&'static str>>>,
}

impl PgPool {
    /// A pool that every fixture may reset.
    #[must_use]
    pub fn disposable() -> Self {
        Self { disposable: true, journal: Arc::default() }
    }

    /// A pool that no fixture may touch.
    #[must_use]
    pub fn production() -> Self {
        Self { disposable: false, journal: Arc::default() }
    }

    pub(crate) fn is_disposable(&self) -> bool {
        self.disposable
    }

    /// Adds to what was done.
    ///
    /// # Panics
    ///
    /// When another thread has panicked while it did.
    pub fn note(&self, what: &'static str) {
        self.journal.lock().unwrap().push(what);
    }

    /// What was done, in order.
    ///
    /// # Panics
    ///
    /// When another thread has panicked while it noted something.
    #[must_use]
    pub fn journal(&self) -> Vec<&'static str> {
        self.journal.lock().unwrap().clone()
    }
}

/// Stands in for sqlx's connection.
#[derive(Debug)]
pub struct PgConnection {
    pub(crate) pool: PgPool,
}

impl PgConnection {
    pub(crate) fn of(pool: &PgPool) -> Self {
        Self { pool: pool.clone() }
    }

    /// Notes a statement.
    #[expect(clippy::unused_async, reason = "as in sqlx")]
    pub async fn execute(&mut self, statement: &'static str) {
        self.pool.note(statement);
    }
}

/// A statement.
#[derive(Debug)]
pub struct Query(&'static str);

/// Prepares a statement.
#[must_use]
pub fn query(statement: &'static str) -> Query {
    Query(statement)
}

impl Query {
    /// Notes the statement.
    ///
    /// # Errors
    ///
    /// Never.
    pub async fn execute(self, connection: &mut PgConnection) -> Result<()> {
        connection.execute(self.0).await;
        Ok(())
    }
}
