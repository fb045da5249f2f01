//! A running server, and what tests ask of it.

use std::{
    collections::HashMap,
    fmt,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, LazyLock, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use sqlx::{AssertSqlSafe, ConnectOptions, Executor, PgConnection, postgres::PgConnectOptions};
use tokio::sync::OnceCell;

use crate::{
    APP_PASSWORD, APP_USER,
    database::Database,
    error::Unavailable,
    start::{self, TEMPLATE, process_token},
    state::Note,
};

/// A real PostgreSQL server with a cluster, and so a system identifier, of its own. It is shared by all test processes of
/// this checkout; the databases that it hands out are not.
pub struct Server {
    host: String,
    note: Note,
    system_identifier: String,
    /// Never used again: as long as it is open, the server does not end. Its runtime may be gone; the socket is not.
    _lease: Mutex<PgConnection>,
}

/// Where a server's cluster comes from.
#[derive(Clone, Copy)]
pub(crate) enum Origin {
    /// `initdb`: nobody else has its system identifier.
    Own,
    /// A physical copy of this server, with the same system identifier.
    Copy(&'static Server),
    /// A physical copy that goes on following this server, and can only be read.
    Standby(&'static Server),
}

impl Origin {
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Own => None,
            Self::Copy(of) | Self::Standby(of) => Some(of.note.address),
        }
    }

    pub(crate) fn password(&self) -> Option<String> {
        match self {
            Self::Own => None,
            Self::Copy(of) | Self::Standby(of) => Some(of.note.password.clone()),
        }
    }
}

/// The PostgreSQL known as `host`: [`PRODUCTION`](crate::PRODUCTION) holds the incident's production, every other name a
/// staging copy of it. The first caller starts it, in about a second; every other one, in this process or another, gets
/// the same.
///
/// # Panics
///
/// If there is no server to be had: a test without one must fail. The message says what to install.
pub async fn postgres(host: &str) -> &'static Server {
    try_postgres(host).await.unwrap_or_else(|error| panic!("no PostgreSQL known as {host}: {error}"))
}

/// [`postgres`], for programs that have a way of their own to report a failure.
///
/// # Errors
///
/// If there is no server to be had, with what to install.
pub async fn try_postgres(host: &str) -> Result<&'static Server, Unavailable> {
    server(host, Origin::Own).await
}

/// Several servers, started at once.
///
/// # Panics
///
/// As [`postgres`].
pub async fn servers<const N: usize>(hosts: [&'static str; N]) -> [&'static Server; N] {
    let started = futures_util::future::join_all(hosts.map(postgres)).await;
    started.try_into().unwrap_or_else(|_| unreachable!("as many servers as hosts"))
}

/// A physical copy of a server, known as `host`: the same system identifier, the same rows, another address, and a server
/// that can be written to.
///
/// # Panics
///
/// As [`postgres`].
pub async fn physical_copy(of: &'static Server, host: &str) -> &'static Server {
    let copy = server(host, Origin::Copy(of)).await;
    copy.unwrap_or_else(|error| panic!("no copy of {} known as {host}: {error}", of.host))
}

/// A standby of a server, known as `host`: it follows that server and is in recovery, so it can only be read.
///
/// # Panics
///
/// As [`postgres`].
pub async fn standby(of: &'static Server, host: &str) -> &'static Server {
    let standby = server(host, Origin::Standby(of)).await;
    standby.unwrap_or_else(|error| panic!("no standby of {} known as {host}: {error}", of.host))
}

type Started = Arc<OnceCell<Result<&'static Server, Unavailable>>>;
static SERVERS: LazyLock<Mutex<HashMap<String, Started>>> = LazyLock::new(Mutex::default);

/// Those that this process has asked for and got.
pub(crate) fn known_servers() -> Vec<&'static Server> {
    let servers = SERVERS.lock().unwrap_or_else(PoisonError::into_inner);
    servers.values().filter_map(|started| started.get()?.as_ref().ok().copied()).collect()
}

async fn server(host: &str, origin: Origin) -> Result<&'static Server, Unavailable> {
    let started = {
        let mut servers = SERVERS.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(servers.entry(host.to_owned()).or_default())
    };
    let start = || async { Ok(&*Box::leak(Box::new(start::find_or_start(host, &origin).await?))) };
    started.get_or_init(start).await.clone()
}

impl Server {
    pub(crate) async fn new(host: &str, note: Note, mut lease: PgConnection) -> Result<Self, Unavailable> {
        let identifier = "SELECT system_identifier::text FROM pg_catalog.pg_control_system()";
        let system_identifier = sqlx::query_scalar(identifier)
            .fetch_one(&mut lease)
            .await
            .map_err(|error| Unavailable::because("the server does not say which one it is", &error))?;
        Ok(Self { host: host.to_owned(), note, system_identifier, _lease: Mutex::new(lease) })
    }

    /// The name that it is known by. It resolves inside a [`Rerun`](crate::Rerun) only.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The address at which this process really reaches it.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.note.address.ip()
    }

    /// Its port: 5432, as the incident's DSN says, but where the machine leaves no address that has it free (Docker on
    /// another machine; a server that listens on every address).
    #[must_use]
    pub fn port(&self) -> u16 {
        self.note.address.port()
    }

    /// Its cluster's identifier, which no other server has but its physical copies.
    #[must_use]
    pub fn system_identifier(&self) -> &str {
        &self.system_identifier
    }

    /// How the application logs in to one of its databases: by address, as the plain role that owns them. As in any
    /// program of sqlx's, `PG*` variables fill in what is not said here.
    #[must_use]
    pub fn options(&self, database: &str) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .host(&self.address().to_string())
            .port(self.port())
            .username(APP_USER)
            .password(APP_PASSWORD)
            .database(database)
    }

    /// How the superuser `postgres` logs in.
    #[must_use]
    pub fn admin_options(&self, database: &str) -> PgConnectOptions {
        start::superuser(self.note.address, &self.note.password, database)
    }

    /// The superuser's session in the database `postgres`.
    ///
    /// # Panics
    ///
    /// If the server does not let it in.
    pub async fn admin(&self) -> PgConnection {
        self.admin_in("postgres").await
    }

    pub(crate) async fn admin_in(&self, database: &str) -> PgConnection {
        let connection = self.admin_options(database).connect().await;
        connection.unwrap_or_else(|error| panic!("cannot log in to {} as its superuser: {error}", self.host))
    }

    /// How many sessions this database has ever seen, those of now included. The server counts a session before it tells
    /// the client that it is ready, so two calls that agree prove that nobody connected in between.
    ///
    /// # Panics
    ///
    /// If the server does not answer, or is older than PostgreSQL 14.
    pub async fn sessions_of(&self, database: &str) -> i64 {
        let sessions = "SELECT sessions FROM pg_catalog.pg_stat_database WHERE datname = $1";
        let count = sqlx::query_scalar(sessions).bind(database).fetch_one(&mut self.admin().await).await;
        count.unwrap_or_else(|error| panic!("cannot count the sessions of {database}: {error}"))
    }

    /// A database of the caller's own with the incident's 23 tables and their rows.
    ///
    /// # Panics
    ///
    /// If it cannot be made.
    pub async fn storefront(&'static self) -> Database {
        self.create(&format!("TEMPLATE {TEMPLATE}")).await
    }

    /// A database of the caller's own with nothing in it.
    ///
    /// # Panics
    ///
    /// If it cannot be made.
    pub async fn empty_database(&'static self) -> Database {
        self.create("").await
    }

    /// A database of the caller's own, filled by `seed`, which the application's role runs.
    ///
    /// # Panics
    ///
    /// If it cannot be made, or the seed fails.
    pub async fn database(&'static self, seed: &str) -> Database {
        let database = self.empty_database().await;
        let connected = self.options(database.name()).connect().await;
        let mut connection =
            connected.unwrap_or_else(|error| panic!("cannot log in to a new database: {error}"));
        let seeded = sqlx::raw_sql(AssertSqlSafe(seed.to_owned())).execute(&mut connection).await;
        seeded.unwrap_or_else(|error| panic!("the seed fails: {error}\n{seed}"));
        database
    }

    /// The database `storefront`, which the incident's DSN names. All tests share it: none may change it.
    #[must_use]
    pub fn shared_storefront(&'static self) -> Database {
        Database::new(self, "storefront".to_owned())
    }

    async fn create(&'static self, template: &str) -> Database {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let name = format!("storefront_{}_{}", process_token(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let create = format!("CREATE DATABASE {name} OWNER {APP_USER} {template}");
        let created = self.admin().await.execute(AssertSqlSafe(create)).await;
        created.unwrap_or_else(|error| panic!("cannot make a database on {}: {error}", self.host));
        Database::new(self, name)
    }
}

/// Without the superuser's password.
impl fmt::Debug for Server {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut server = formatter.debug_struct("Server");
        server.field("host", &self.host).field("address", &self.note.address).finish_non_exhaustive()
    }
}
