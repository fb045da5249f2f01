//! A real PgBouncer in front of real servers.

use std::{
    fmt::Write as _,
    fs,
    net::{IpAddr, SocketAddr},
};

use sqlx::{ConnectOptions, postgres::PgConnectOptions};
use testcontainers::ImageExt;

use crate::{
    APP_PASSWORD, APP_USER,
    backend::{Backend, backend},
    docker, environment,
    error::Unavailable,
    image::{self, Script},
    launch::Launched,
    local,
    server::known_servers,
};

const SCRIPT: &str = concat!(include_str!("../scripts/idle.sh"), include_str!("../scripts/pgbouncer.sh"));
const PORT: u16 = 6432;

/// When PgBouncer gives a server connection back to its pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolMode {
    /// When the client disconnects.
    Session,
    /// After every transaction: two transactions of one client may run on two connections, and on two servers.
    ///
    /// PgBouncer 1.18 knows no prepared statements: what runs there goes through [`sqlx::raw_sql`].
    Transaction,
}

/// A PgBouncer of the caller's own. It ends when it is dropped.
#[must_use]
pub struct Bouncer {
    address: SocketAddr,
    launched: Launched,
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        // A container is removed when it is dropped.
        if let Launched::Process(process) = &mut self.launched {
            process.kill();
        }
    }
}

/// A PgBouncer with these databases: the alias that clients say, and the conninfo of the server behind it, such as
/// `host=prod-pg-cluster.internal dbname=storefront`. The name of a server that this process has asked for stands for its
/// address; a list of hosts is taken in turn by the connections of a pool.
///
/// # Panics
///
/// If it cannot be started. The message says what to install.
pub async fn pgbouncer(databases: &[(&str, &str)], mode: PoolMode) -> Bouncer {
    Bouncer::start(databases, mode).await.unwrap_or_else(|error| panic!("no PgBouncer: {error}"))
}

impl Bouncer {
    async fn start(databases: &[(&str, &str)], mode: PoolMode) -> Result<Self, Unavailable> {
        let users = format!("\"{APP_USER}\" \"{APP_PASSWORD}\"\n");
        let seconds = environment::idle_seconds().to_string();
        let mut launched = match backend().await? {
            Backend::Docker { .. } => {
                let directory = "/tmp/bouncer";
                let ini = ini(databases, mode, directory, "*", PORT);
                let arguments =
                    ["pgbouncer", directory, &format!(":{PORT:04X}"), &seconds].map(str::to_owned);
                let script = Script::new(&image::with_pgbouncer().await?, PORT, SCRIPT, &arguments)
                    .with_copy_to(format!("{directory}/pgbouncer.ini"), ini.into_bytes())
                    .with_copy_to(format!("{directory}/users"), users.into_bytes());
                Launched::Container(Box::new(docker::start(script, PORT).await?))
            }
            Backend::Local { .. } => {
                let program = local::program("pgbouncer", "pgbouncer")?;
                let address = local::free_address(PORT)?;
                let path = local::directory("pgbouncer")?;
                let directory = path.to_string_lossy().into_owned();
                let ini = ini(databases, mode, &directory, &address.ip().to_string(), address.port());
                let write = fs::write(path.join("pgbouncer.ini"), ini)
                    .and_then(|()| fs::write(path.join("users"), users));
                write.map_err(|error| {
                    Unavailable::because("cannot write PgBouncer's configuration", &error)
                })?;
                let socket = local::socket(address);
                let arguments =
                    [&program.to_string_lossy(), directory.as_str(), &socket, &seconds].map(str::to_owned);
                Launched::Process(local::start(SCRIPT, &arguments, &[], path, address)?)
            }
        };
        // That there is no such database is an answer.
        let login = |address| async move {
            match options(address, "no such database").connect().await {
                Ok(_) | Err(sqlx::Error::Database(_)) => Ok(()),
                Err(error) => Err(error),
            }
        };
        let (address, ()) = launched.answers(login).await?;
        Ok(Self { address, launched })
    }

    /// The address at which this process reaches it.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.address.ip()
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// How the application logs in to the database behind an alias.
    #[must_use]
    pub fn options(&self, alias: &str) -> PgConnectOptions {
        options(self.address, alias)
    }

    /// [`options`](Self::options) as a string, password included.
    #[must_use]
    pub fn dsn(&self, alias: &str) -> String {
        format!("postgresql://{APP_USER}:{APP_PASSWORD}@{}:{}/{alias}", self.address(), self.port())
    }
}

fn options(address: SocketAddr, alias: &str) -> PgConnectOptions {
    PgConnectOptions::new_without_pgpass()
        .host(&address.ip().to_string())
        .port(address.port())
        .username(APP_USER)
        .password(APP_PASSWORD)
        .database(alias)
}

/// The whole configuration.
fn ini(databases: &[(&str, &str)], mode: PoolMode, directory: &str, listen: &str, port: u16) -> String {
    let mut ini = "[databases]\n".to_owned();
    for (alias, conninfo) in databases {
        let mut conninfo = (*conninfo).to_owned();
        for server in known_servers() {
            conninfo = conninfo.replace(server.host(), &server.address().to_string());
        }
        let _ = writeln!(ini, "{alias} = {conninfo}");
    }
    let mode = match mode {
        PoolMode::Session => "session",
        PoolMode::Transaction => "transaction",
    };
    // `extra_float_digits` is what drivers say at start-up and PgBouncer does not know. In round robin, one transaction
    // after another goes to the servers of a host list by turns, and not only under load.
    let _ = write!(
        ini,
        "[pgbouncer]\nlisten_addr = {listen}\nlisten_port = {port}\nunix_socket_dir =\nauth_type = scram-sha-256\n\
         auth_file = {directory}/users\npool_mode = {mode}\nserver_round_robin = 1\n\
         ignore_startup_parameters = extra_float_digits\nmax_client_conn = 400\ndefault_pool_size = 20\n"
    );
    ini
}
