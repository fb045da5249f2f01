//! The server, its databases, and the rows in them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use fixture_guard::{Environment, Policy};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection, Row};
use tokio::sync::mpsc;

use super::bodies::{Body, Shape};
use crate::support::{self, Bouncer, PoolMode, Server};

/// A server that no other test uses: the transactions that others abort turn exact numbers into bounds.
const HOST: &str = "random-bodies.internal";

/// What the tables reach.
const REACH: [&str; 9] = [
    "cascade:child",
    "cascade:kid",
    "cascade:late",
    "inherits:derived",
    "trigger:keep",
    "trigger:hide",
    "rule:gone_too",
    "view:plain",
    "rule:_RETURN",
];

/// Asks a server session of PgBouncer what it has.
pub(super) const SERVER_LINES: &str = include_str!("server_session.sql");

/// Server sessions of PgBouncer.
const SERVER_SESSIONS: usize = 2;

pub(super) struct World {
    server: &'static Server,
    shape: Shape,
    bouncer: Option<Bouncer>,
    fresh: mpsc::Receiver<String>,
    used: mpsc::UnboundedSender<String>,
    /// Every database begins with this.
    pub(super) before: Snapshot,
    place: Option<Place>,
}

/// A database, and the sessions in it.
pub(super) struct Place {
    name: String,
    pub(super) pool: PgPool,
    pub(super) admin: PgConnection,
    /// Other clients of PgBouncer, one for each of its server sessions.
    pub(super) neighbors: Vec<PgConnection>,
    /// What a session of the pool has before a run.
    pub(super) session: Vec<String>,
    pub(super) warm: bool,
}

impl World {
    pub(super) async fn new(shape: Shape) -> Self {
        let server = support::postgres(HOST).await;
        let template = server.database(include_str!("schema.sql")).await;
        let mut admin = template.admin().await;
        admin.execute(include_str!("roles.sql")).await.expect("the roles are made");
        let before = Snapshot::take(&mut admin).await;
        admin.close().await.expect("a session ends");
        let bouncer = if shape.pooled {
            let conninfo = format!("host={HOST} port={} pool_size={SERVER_SESSIONS}", server.port());
            Some(support::pgbouncer(&[("*", &conninfo)], PoolMode::Transaction).await)
        } else {
            None
        };
        let (used, to_drop) = mpsc::unbounded_channel();
        let (ready, fresh) = mpsc::channel(2);
        tokio::spawn(copy(server, template.name().to_owned(), ready, to_drop));
        Self { server, shape, bouncer, fresh, used, before, place: None }
    }

    /// The policy under which a body runs.
    pub(super) fn policy(&self, body: &Body) -> Arc<Policy> {
        let host = match &self.bouncer {
            Some(bouncer) => bouncer.address(),
            None => self.server.address(),
        };
        let cluster = self.server.system_identifier().parse().expect("a number");
        let mut tests = Environment::destructive("tests")
            .host(&host.to_string())
            .expect("a pattern")
            .system_identifier(cluster);
        if let Some(rows) = body.max_rows {
            tests = tests.max_rows(rows);
        }
        if body.reach {
            tests = REACH.iter().fold(tests, |tests, reached| tests.reach(reached));
        }
        Arc::new(Policy::new().environment(tests).expect("a policy"))
    }

    /// A database with the template's contents.
    pub(super) async fn place(&mut self) -> &mut Place {
        if self.place.is_none() {
            let name = self.fresh.recv().await.expect("databases are made");
            self.place = Some(self.enter(name).await);
        }
        self.place.as_mut().expect("it was made")
    }

    /// The next body gets another database.
    pub(super) async fn leave(&mut self) {
        let Some(place) = self.place.take() else { return };
        drop(place.neighbors);
        let _ = place.admin.close().await;
        let _ = tokio::time::timeout(Duration::from_secs(2), place.pool.close()).await;
        let _ = self.used.send(place.name);
    }

    async fn enter(&self, name: String) -> Place {
        let admin = self.server.admin_options(&name).connect().await.expect("the superuser logs in");
        let pool = PgPoolOptions::new().acquire_timeout(Duration::from_secs(15));
        let (pool, neighbors) = match &self.bouncer {
            None => {
                let prepared = pool.max_connections(1).after_connect(|conn, _| {
                    Box::pin(async move {
                        let setting = "SET work_mem = '5MB'; SET app.tenant = 'one'; LISTEN news; \
                                       PREPARE tenant AS SELECT 'a'";
                        conn.execute(sqlx::raw_sql(setting)).await.map(drop)
                    })
                });
                (prepared.connect_with(self.server.options(&name)).await, Vec::new())
            }
            Some(bouncer) => {
                let options = bouncer.options(&name).statement_cache_capacity(0);
                let neighbors = neighbors(&options).await;
                (pool.max_connections(1).connect_with(options).await, neighbors)
            }
        };
        let pool = pool.expect("the application logs in");
        let session = if self.shape.pooled { Vec::new() } else { session(&pool).await.expect("it answers") };
        Place { name, pool, admin, neighbors, session, warm: false }
    }
}

async fn neighbors(options: &PgConnectOptions) -> Vec<PgConnection> {
    let mut clients = Vec::new();
    for _ in 0..SERVER_SESSIONS {
        clients.push(options.connect().await.expect("a client logs in"));
    }
    clients
}

/// The copies of this process, which several campaigns make at a time.
static NUMBER: AtomicU32 = AtomicU32::new(1_000_000);

/// Keeps fresh databases ready, and drops the used ones.
async fn copy(
    server: &'static Server,
    template: String,
    ready: mpsc::Sender<String>,
    mut used: mpsc::UnboundedReceiver<String>,
) {
    let mut admin = server.admin().await;
    let (prefix, _) = template.rsplit_once('_').expect("a name with a number");
    loop {
        while let Ok(name) = used.try_recv() {
            let drop = format!("DROP DATABASE {name} WITH (FORCE)");
            let _ = admin.execute(AssertSqlSafe(drop)).await; // fixture-guard: allow(the campaign's own copy)
        }
        let name = format!("{prefix}_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let create = format!("CREATE DATABASE {name} OWNER storefront_app TEMPLATE {template}");
        admin.execute(AssertSqlSafe(create)).await.expect("a copy is made");
        if ready.send(name).await.is_err() {
            return;
        }
    }
}

/// What a session of the pool has that a transaction does not end.
pub(super) async fn session(pool: &PgPool) -> sqlx::Result<Vec<String>> {
    let mut conn = pool.acquire().await?;
    lines(&mut conn, include_str!("session.sql")).await
}

pub(super) async fn lines(conn: &mut PgConnection, sql: &'static str) -> sqlx::Result<Vec<String>> {
    let rows = conn.fetch_all(sqlx::raw_sql(sql)).await?;
    rows.iter().map(|row| row.try_get(0)).collect()
}

/// Every row of every table, and what else is in the catalog.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Snapshot {
    pub(super) relations: BTreeMap<i64, Relation>,
    pub(super) catalog: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Relation {
    /// With its schema, unless that is `public`.
    pub(super) name: String,
    pub(super) kind: String,
    /// The table that it counts as.
    pub(super) root: String,
    /// A sequence that is restarted gets another one.
    pub(super) file: i64,
    /// A hash of each row, by its identity.
    pub(super) rows: BTreeMap<String, String>,
}

impl Snapshot {
    /// Reads all of it as a superuser.
    pub(super) async fn take(admin: &mut PgConnection) -> Self {
        let mut relations = BTreeMap::new();
        let mut all = String::new();
        for row in admin.fetch_all(sqlx::raw_sql(include_str!("relations.sql"))).await.expect("a catalog") {
            let (oid, schema, name): (i64, String, String) = (row.get(0), row.get(1), row.get(2));
            let (kind, root, identified): (String, String, bool) = (row.get(3), row.get(4), row.get(5));
            if kind == "r" || kind == "m" {
                let separator = if all.is_empty() { "" } else { " UNION ALL " };
                let identity = if identified {
                    "uid::text"
                } else {
                    "md5(t::text) || row_number() OVER (PARTITION BY t::text)"
                };
                let (schema, name) = (schema.replace('"', "\"\""), name.replace('"', "\"\""));
                write!(
                    all,
                    "{separator}SELECT {oid}::int8, {identity}, md5(t::text) FROM ONLY \"{schema}\".\"{name}\" AS t"
                )
                .expect("a string grows");
            }
            let name = if schema == "public" { name } else { format!("{schema}.{name}") };
            let root = if root == row.get::<String, _>(2) { name.clone() } else { root };
            relations.insert(oid, Relation { name, kind, root, file: row.get(6), rows: BTreeMap::new() });
        }
        if !all.is_empty() {
            for row in admin.fetch_all(sqlx::raw_sql(AssertSqlSafe(all))).await.expect("rows") {
                let relation = relations.get_mut(&row.get::<i64, _>(0)).expect("it was listed");
                let identity: Option<String> = row.get(1);
                relation.rows.insert(identity.unwrap_or_default(), row.get(2));
            }
        }
        let catalog = lines(admin, include_str!("catalog.sql")).await.expect("a catalog");
        Self { relations, catalog }
    }
}

/// Waits until no other session of the database is in a transaction. `false` if one stays.
pub(super) async fn settled(admin: &mut PgConnection) -> bool {
    const BUSY: &str = "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() \
                        AND pid <> pg_backend_pid() AND backend_type = 'client backend' AND state <> 'idle')";
    let wait = async {
        while !sqlx::query_scalar::<_, bool>(BUSY).fetch_one(&mut *admin).await.expect("the server answers") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.is_ok()
}
