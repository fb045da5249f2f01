//! A database of a test's own, and what is in it.

use std::{collections::BTreeMap, time::Duration};

use sqlx::{
    AssertSqlSafe, PgConnection, Row,
    postgres::{PgConnectOptions, PgPool, PgPoolOptions},
};

use crate::{APP_PASSWORD, APP_USER, server::Server};

/// A database on a real server. What it tells about rows, it tells from a session of its own: what another session has
/// committed, and nothing else.
#[derive(Clone, Debug)]
pub struct Database {
    server: &'static Server,
    name: String,
}

impl Database {
    pub(crate) fn new(server: &'static Server, name: String) -> Self {
        Self { server, name }
    }

    /// The server that it is on.
    #[must_use]
    pub fn server(&self) -> &'static Server {
        self.server
    }

    /// Its name. It carries no word that marks production or staging.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How the application logs in: by address, as the plain role that owns the database.
    #[must_use]
    pub fn options(&self) -> PgConnectOptions {
        self.server.options(&self.name)
    }

    /// [`options`](Self::options) as a string, password included.
    #[must_use]
    pub fn dsn(&self) -> String {
        self.dsn_at(&self.server.address().to_string())
    }

    /// The same by the server's name, as the incident's DSN had it. The name resolves inside a [`Rerun`](crate::Rerun)
    /// only.
    #[must_use]
    pub fn dsn_by_name(&self) -> String {
        self.dsn_at(self.server.host())
    }

    fn dsn_at(&self, host: &str) -> String {
        format!("postgresql://{APP_USER}:{APP_PASSWORD}@{host}:{}/{}", self.server.port(), self.name)
    }

    /// A pool of the application's, of at most five connections.
    ///
    /// # Panics
    ///
    /// If the server does not let it in.
    pub async fn pool(&self) -> PgPool {
        let pool = PgPoolOptions::new()
            .max_connections(5)
            // A test that leaks its connections should say so soon.
            .acquire_timeout(Duration::from_secs(10))
            .connect_with(self.options());
        pool.await.unwrap_or_else(|error| panic!("cannot log in to {}: {error}", self.name))
    }

    /// The superuser's session in this database.
    ///
    /// # Panics
    ///
    /// If the server does not let it in.
    pub async fn admin(&self) -> PgConnection {
        self.server.admin_in(&self.name).await
    }

    /// How many sessions this database has ever seen: see [`Server::sessions_of`].
    ///
    /// # Panics
    ///
    /// If the server does not answer.
    pub async fn sessions(&self) -> i64 {
        self.server.sessions_of(&self.name).await
    }

    /// How many rows a table holds.
    ///
    /// # Panics
    ///
    /// If there is no such table, or another session holds a lock that keeps even readers out.
    pub async fn rows(&self, table: &str) -> i64 {
        let count = format!("SET lock_timeout = '10s'; SELECT count(*) FROM {table}");
        let row = sqlx::raw_sql(AssertSqlSafe(count)).fetch_one(&mut self.admin().await).await;
        let rows = row.and_then(|row| row.try_get(0));
        rows.unwrap_or_else(|error| panic!("cannot count the rows of {table}: {error}"))
    }

    /// How many rows each table of the schema `public` holds, of one instant.
    ///
    /// # Panics
    ///
    /// As [`rows`](Self::rows).
    pub async fn all_rows(&self) -> BTreeMap<String, i64> {
        let rows =
            sqlx::raw_sql(include_str!("../sql/all_rows.sql")).fetch_all(&mut self.admin().await).await;
        let rows = rows.unwrap_or_else(|error| panic!("cannot count the rows of {}: {error}", self.name));
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }
}
