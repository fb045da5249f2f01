//! Finds the server that another test process of this checkout has started, or starts it.

use std::{net::SocketAddr, sync::LazyLock};

use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection,
    postgres::{PgConnectOptions, PgSslMode},
};
use testcontainers::{ImageExt, ReuseDirective};
use tokio::time::timeout;

use crate::{
    APP_PASSWORD, APP_USER, PRODUCTION,
    backend::{Backend, backend},
    docker, environment,
    error::Unavailable,
    image::Script,
    launch::{LOGIN, Launched},
    local,
    server::{Origin, Server},
    state::{Note, State, random},
};

const SCRIPT: &str = concat!(include_str!("../scripts/idle.sh"), include_str!("../scripts/postgres.sh"));
const SCHEMA: &str = include_str!("../sql/schema.sql");
const ROWS: &str = include_str!("../sql/rows.sql");
const PRODUCTION_SIZE: &str = include_str!("../sql/production.sql");
const STAGING_SIZE: &str = include_str!("../sql/staging.sql");
/// Runs as the application, so that it owns what it makes; the database is cloned for every test.
pub(crate) const TEMPLATE: &str = "storefront_template";

/// The one in the incident's DSN.
const PORT: u16 = 5432;
/// Databases of processes that have ended are kept up to this number: dropping them takes 13 ms each.
const KEPT_DATABASES: usize = 32;

const SETTINGS: [&str; 13] = [
    // nothing here survives the server
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    // hundreds of test processes, each with a lease, a pool and a count of its own
    "max_connections=400",
    // for tests with publications, copies and two-phase commits
    "wal_level=logical",
    "max_wal_senders=50",
    "wal_keep_size=1GB",
    "max_replication_slots=50",
    "max_prepared_transactions=50",
    // tests assert statistics and locks, and must not find those of a worker
    "track_counts=on",
    "autovacuum=off",
    "ssl=off",
    "timezone=UTC",
];

/// Distinguishes the leases and databases of this process from those of all others.
pub(crate) fn process_token() -> &'static str {
    static TOKEN: LazyLock<String> = LazyLock::new(|| random()[..8].to_owned());
    &TOKEN
}

/// How support code itself logs in, immune to the `PG*` variables that a test sets for its child.
pub(crate) fn superuser(address: SocketAddr, password: &str, database: &str) -> PgConnectOptions {
    PgConnectOptions::new_without_pgpass()
        .host(&address.ip().to_string())
        .port(address.port())
        .username("postgres")
        .password(password)
        .database(database)
        .ssl_mode(PgSslMode::Disable)
        .application_name("fixture-guard tests")
        .options([
            ("search_path", "public"),
            ("default_transaction_read_only", "off"),
            ("statement_timeout", "0"),
        ])
        .disable_statement_logging()
}

/// The server known as `host`, leased: it does not end as long as the process holds what this returns.
pub(crate) async fn find_or_start(host: &str, origin: &Origin) -> Result<Server, Unavailable> {
    let backend = backend().await?;
    let (copied, name) = (origin.address(), host.split('.').next().unwrap_or(host));
    let key = (host, backend.word(), copied, environment::forced_major(), environment::idle_seconds());
    let state = State::of(name, (key, SCRIPT, SCHEMA, ROWS, SETTINGS, (PRODUCTION_SIZE, STAGING_SIZE)))?;
    let _lock = state.lock().await?;
    if let Some(note) = state.read()
        && let Some(lease) = lease(&note).await
    {
        return Server::new(host, note, lease).await;
    }
    let password = origin.password().unwrap_or_else(|| random() + &random());
    let mut launched = launch(backend, &state, name, origin, &password).await?;
    let login = |address| {
        let options = lease_options(address, &password);
        async move { options.connect().await }
    };
    let (address, mut lease) = launched.answers(login).await?;
    if copied.is_none() {
        fill(host, address, &password, &mut lease).await.map_err(|error| {
            Unavailable::because(&format!("cannot fill the server known as {host}"), &error)
        })?;
    }
    let note = Note { address, password };
    state.write(&note)?;
    Server::new(host, note, lease).await
}

async fn launch(
    backend: &Backend,
    state: &State,
    name: &str,
    origin: &Origin,
    password: &str,
) -> Result<Launched, Unavailable> {
    let mut variables = vec![("SUPERUSER_PASSWORD", password.to_owned())];
    if let Some(of) = origin.address() {
        variables.push(("COPY_OF", format!("host={} port={}", of.ip(), of.port())));
    }
    if matches!(origin, Origin::Standby(_)) {
        variables.push(("STANDBY", "1".to_owned()));
    }
    let arguments = |programs: &str, directory: &str, listen: &str, port: u16, socket: &str| {
        let seconds = environment::idle_seconds().to_string();
        let fixed = [programs, directory, listen, &port.to_string(), socket, &seconds].map(str::to_owned);
        let settings = SETTINGS.map(str::to_owned).into_iter().chain([format!("cluster_name={name}")]);
        let settings = settings.flat_map(|setting| ["-c".to_owned(), setting]);
        fixed.into_iter().chain(settings).collect::<Vec<_>>()
    };
    match backend {
        Backend::Docker { image } => {
            let container = format!("fixture-guard-{}", state.name());
            docker::remove(&container).await?;
            // The volume that the image declares, not the container's layered file system.
            let directory = "/var/lib/postgresql/data/fixture-guard";
            let arguments = arguments("", directory, "*", PORT, &format!(":{PORT:04X}"));
            let mut script = Script::new(image, PORT, SCRIPT, &arguments)
                .with_container_name(container)
                // Not ours to remove: other processes use it.
                .with_reuse(ReuseDirective::Always);
            for (name, value) in variables {
                script = script.with_env_var(name, value);
            }
            Ok(Launched::Container(Box::new(docker::start(script, PORT).await?)))
        }
        Backend::Local { programs } => {
            let address = local::free_address(PORT)?;
            let directory = local::directory(state.name())?;
            let arguments = arguments(
                &format!("{}/", programs.display()),
                &directory.to_string_lossy(),
                &address.ip().to_string(),
                address.port(),
                &local::socket(address),
            );
            local::start(SCRIPT, &arguments, &variables, directory, address).map(Launched::Process)
        }
    }
}

fn lease_options(address: SocketAddr, password: &str) -> PgConnectOptions {
    superuser(address, password, "postgres")
        .application_name(&format!("fixture-guard lease {}", process_token()))
}

/// A connection for as long as this process lives, which keeps the server from ending; `None` if it is ending already,
/// or gone.
async fn lease(note: &Note) -> Option<PgConnection> {
    let mut connection =
        timeout(LOGIN, lease_options(note.address, &note.password).connect()).await.ok()?.ok()?;
    let closing = sqlx::query_scalar("SELECT pg_catalog.pg_stat_file('closing', true) IS NOT NULL");
    let closing: bool = closing.fetch_one(&mut connection).await.ok()?;
    if closing {
        return None;
    }
    drop_databases_of_ended_processes(&mut connection).await.ok()?;
    Some(connection)
}

async fn drop_databases_of_ended_processes(connection: &mut PgConnection) -> sqlx::Result<()> {
    let dead: Vec<String> = sqlx::query_scalar(include_str!("../sql/databases_of_ended_processes.sql"))
        .fetch_all(&mut *connection)
        .await?;
    if dead.len() > KEPT_DATABASES {
        for database in dead {
            let drop = format!("DROP DATABASE IF EXISTS {database} WITH (FORCE)"); // fixture-guard: allow(its own databases)
            connection.execute(AssertSqlSafe(drop)).await?;
        }
    }
    Ok(())
}

/// The application's role, the template that every test's database is cloned from, and `storefront` itself.
async fn fill(host: &str, address: SocketAddr, password: &str, lease: &mut PgConnection) -> sqlx::Result<()> {
    let role = format!("CREATE ROLE {APP_USER} LOGIN PASSWORD '{APP_PASSWORD}'");
    lease.execute(AssertSqlSafe(role)).await?;
    lease.execute(AssertSqlSafe(format!("CREATE DATABASE {TEMPLATE} OWNER {APP_USER}"))).await?;
    let size = if host == PRODUCTION { PRODUCTION_SIZE } else { STAGING_SIZE };
    let mut template = superuser(address, password, TEMPLATE).connect().await?;
    let seed = format!("SET ROLE {APP_USER};\n{SCHEMA}\n{size}\n{ROWS}");
    sqlx::raw_sql(AssertSqlSafe(seed)).execute(&mut template).await?;
    template.close().await?;
    lease
        .execute(AssertSqlSafe(format!("CREATE DATABASE storefront OWNER {APP_USER} TEMPLATE {TEMPLATE}")))
        .await?;
    Ok(())
}
