//! PostgreSQL clusters as people run them: with `fsync`, on disk or in memory.

use std::error::Error;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use fixture_guard::{Environment, Policy};
use fixture_guard_test_support::Proxy;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Executor, PgConnection, PgPool};

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// `initdb` and `postgres` refuse to run as root. `nobody` always exists.
const NOBODY: u32 = 65534;

/// A cluster with the server's own defaults, but for the worker that would come in between.
pub(crate) struct Cluster {
    pub(crate) medium: &'static str,
    directory: PathBuf,
    port: u16,
    server: Child,
    system_identifier: u64,
}

/// How a client reaches it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line {
    Socket,
    Tcp,
    /// A millisecond each way.
    Far,
}

impl Line {
    pub(crate) const ALL: [Self; 3] = [Self::Socket, Self::Tcp, Self::Far];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Socket => "unix socket",
            Self::Tcp => "loopback",
            Self::Far => "loopback + 1 ms each way",
        }
    }
}

/// A way to a database, as long as it lives.
pub(crate) struct Way {
    pub(crate) options: PgConnectOptions,
    _proxy: Option<Proxy>,
}

impl Cluster {
    /// In a new directory below `parent`.
    pub(crate) async fn start(medium: &'static str, parent: &Path) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("fixture-guard-bench-").tempdir_in(parent)?.keep();
        let root = fs::metadata(&directory).is_ok_and(|_| is_root());
        if root {
            chown(&directory, Some(NOBODY), Some(NOBODY))?;
        }
        let programs = programs()?;
        let run = |program: &str| {
            let mut command = Command::new(programs.join(program));
            command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            if root {
                command.uid(NOBODY).gid(NOBODY);
            }
            command
        };
        let data = directory.join("data");
        let made = run("initdb").args(["-A", "trust", "-U", "postgres", "-D"]).arg(&data).status()?;
        if !made.success() {
            return Err(format!("initdb ended with {made}").into());
        }
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let server = run("postgres")
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(&directory)
            .args(["-h", "127.0.0.1", "-p", &port.to_string()])
            .args(["-c", "autovacuum=off"])
            .process_group(0)
            .spawn()?;
        let mut cluster = Self { medium, directory, port, server, system_identifier: 0 };
        let mut admin = cluster.first_session().await?;
        admin.execute("CREATE ROLE app LOGIN CREATEDB").await?;
        let identifier: String =
            sqlx::query_scalar("SELECT system_identifier::text FROM pg_control_system()")
                .fetch_one(&mut admin)
                .await?;
        cluster.system_identifier = identifier.parse()?;
        Ok(cluster)
    }

    async fn first_session(&mut self) -> Result<PgConnection> {
        loop {
            match self.superuser("postgres").connect().await {
                Ok(session) => return Ok(session),
                Err(error) => {
                    if let Some(status) = self.server.try_wait()? {
                        return Err(format!("the server ended with {status}: {error}").into());
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        }
    }

    pub(crate) fn superuser(&self, database: &str) -> PgConnectOptions {
        self.options(Line::Socket, database).username("postgres")
    }

    fn options(&self, line: Line, database: &str) -> PgConnectOptions {
        let options =
            PgConnectOptions::new_without_pgpass().port(self.port).username("app").database(database);
        match line {
            Line::Socket => options.socket(&self.directory),
            Line::Tcp | Line::Far => options.host("127.0.0.1"),
        }
    }

    /// For what reads `DATABASE_URL`.
    pub(crate) fn dsn(&self, database: &str) -> String {
        format!("postgres://app@127.0.0.1:{}/{database}", self.port)
    }

    pub(crate) async fn way(&self, line: Line, database: &str) -> Way {
        let options = self.options(line, database);
        if line != Line::Far {
            return Way { options, _proxy: None };
        }
        let proxy = Proxy::to_address(([127, 0, 0, 1], self.port).into()).await;
        proxy.delay(Duration::from_millis(1));
        Way { options: options.port(proxy.port()), _proxy: Some(proxy) }
    }

    /// A new database, seeded by the role that owns it.
    pub(crate) async fn database(&self, name: &str, seed: &str) -> Result<PgConnection> {
        let create = format!("CREATE DATABASE {name} OWNER app");
        self.superuser("postgres").connect().await?.execute(AssertSqlSafe(create)).await?;
        let mut owner = self.options(Line::Socket, name).connect().await?;
        owner.execute(sqlx::raw_sql(AssertSqlSafe(seed.to_owned()))).await?;
        Ok(owner)
    }

    /// Knows this cluster, however it is reached.
    pub(crate) fn policy(&self) -> Arc<Policy> {
        let tests = Environment::destructive("bench")
            .host("127.0.0.1")
            .and_then(|tests| tests.socket(&self.directory.to_string_lossy()))
            .expect("patterns")
            .system_identifier(self.system_identifier);
        Arc::new(Policy::new().environment(tests).expect("a policy"))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // the server ends by itself when its directory goes, but not at once
        let _ = self.server.kill();
        let _ = self.server.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// A pool of this size, filled before anything is measured.
pub(crate) async fn pool(options: &PgConnectOptions, connections: u32) -> Result<PgPool> {
    let pool = PgPoolOptions::new()
        .min_connections(connections)
        .max_connections(connections)
        .acquire_timeout(Duration::from_mins(2))
        .connect_with(options.clone())
        .await?;
    Ok(pool)
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.starts_with(b"0"))
}

fn programs() -> Result<PathBuf> {
    let mut versions: Vec<_> = fs::read_dir("/usr/lib/postgresql")?.flatten().collect();
    versions.sort_by_key(|version| version.file_name().to_str().and_then(|name| name.parse::<u32>().ok()));
    let newest = versions.last().ok_or("no PostgreSQL here: install it with `apt-get install postgresql`")?;
    Ok(newest.path().join("bin"))
}
