//! A network that fails at every point of a run: no table is ever partly emptied, and nobody waits for ever.
//!
//! The suite cuts after every message of the protocol, in both directions, and stalls after a sample of them.
//! `FIXTURE_GUARD_TEST_FAULTS=bytes` cuts after every byte and stalls after every message, which takes minutes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use fixture_guard::{Error, Outcome, Policy, RunEnding, RunReport, destructive_fixture, observe};
use futures_util::future::join_all;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Executor, PgConnection, Row};
use support::{After, Database, Direction, Fault, Proxy};

use crate::support::{self, STAGING};

const DIRECTIONS: [Direction; 2] = [Direction::ToServer, Direction::ToClient];
/// The guard gives up on its own messages after nine seconds. This finds a run that never would, on a busy machine too.
const HANGS: Duration = Duration::from_secs(25);
/// Runs at once: they mostly wait.
const WORKERS: usize = 12;

/// Says where it is, because a statement of the body's own waits as long as the body lets it.
#[destructive_fixture(tables = ["items"], max_rows = 100)]
async fn empty(conn: &mut PgConnection, in_the_body: &AtomicBool) -> sqlx::Result<()> {
    in_the_body.store(true, Ordering::SeqCst);
    conn.execute("DELETE FROM items WHERE id < 5").await?;
    conn.execute("DELETE FROM items").await?;
    in_the_body.store(false, Ordering::SeqCst);
    Ok(())
}

/// One database behind one proxy.
struct Worker {
    database: Database,
    proxy: Proxy,
    policy: Arc<Policy>,
}

/// How a run gets its connection: it dials, or a pool has one on which a run has been before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Dialled,
    Pooled,
}

/// A table that is emptied in two statements, so that it could be found half empty.
const ITEMS: &str = "CREATE TABLE items (id int)";
const FILL: &str = "INSERT INTO items SELECT generate_series(1, 9)";

impl Worker {
    async fn new() -> Self {
        let server = support::postgres(STAGING).await;
        let database = server.database(ITEMS).await;
        Self { proxy: Proxy::to(server).await, policy: crate::known_by_cluster(&database), database }
    }

    fn options(&self) -> PgConnectOptions {
        self.database.options().host(&self.proxy.address().to_string()).port(self.proxy.port())
    }

    async fn pool(&self) -> PgPool {
        let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(Duration::from_secs(9));
        let pool = pool.connect_with(self.options()).await.unwrap();
        empty(self.policy.judging(&pool), &AtomicBool::new(false)).await.unwrap();
        pool
    }

    /// How many messages and bytes a run without a fault is.
    async fn measure(&self, way: Way) -> [(usize, usize); 2] {
        let pool = if way == Way::Pooled { Some(self.pool().await) } else { None };
        self.proxy.fail(Direction::ToServer, After::Bytes(usize::MAX), Fault::Cut);
        self.run(pool.as_ref()).await.unwrap();
        DIRECTIONS.map(|direction| (self.proxy.messages(direction), self.proxy.bytes(direction)))
    }

    /// What was reported, or nothing if the body itself still waits.
    async fn run(&self, pool: Option<&PgPool>) -> Option<RunReport> {
        let in_the_body = AtomicBool::new(false);
        let run = async {
            match pool {
                Some(pool) => observe(empty(self.policy.judging(pool), &in_the_body)).await,
                None => observe(empty(self.policy.judging(self.options()), &in_the_body)).await,
            }
        };
        match tokio::time::timeout(HANGS, run).await {
            Ok(observed) => {
                let [report] = &observed.runs[..] else { panic!("one run: {:?}", observed.runs) };
                assert_eq!(observed.returned.is_ok(), report.ending == RunEnding::Committed, "{report:?}");
                Some(report.clone())
            }
            Err(_) if in_the_body.load(Ordering::SeqCst) => None,
            Err(elapsed) => panic!("the guard hangs: {elapsed}"),
        }
    }

    /// Lets one thing go wrong in a run, and looks at the rows.
    async fn check(&mut self, way: Way, direction: Direction, after: After, fault: Fault) -> RunEnding {
        let context = format!("{way:?}, {fault:?} after {after:?} {direction:?}");
        let pool = if way == Way::Pooled { Some(self.pool().await) } else { None };
        let mut admin = self.database.admin().await;
        admin.execute("TRUNCATE items").await.unwrap(); // fixture-guard: allow(the test's own set-up)
        admin.execute(FILL).await.unwrap();

        self.proxy.fail(direction, after, fault);
        let report = self.run(pool.as_ref()).await;

        // whoever still waits for an answer, on either side, finds the connection closed
        self.proxy = Proxy::to(self.database.server()).await;
        if let Some(pool) = pool {
            pool.close().await;
        }
        crate::until_all_have_left(&self.database).await;
        let rows = self.database.rows("items").await;
        let ending = report.as_ref().map_or(RunEnding::RolledBack, |report| report.ending);
        let committed = match ending {
            RunEnding::Committed => true,
            RunEnding::Refused | RunEnding::RolledBack => false,
            RunEnding::Unknown => {
                let error = report.and_then(|report| report.error).unwrap();
                let Some(Outcome::Unknown { transaction, .. }) =
                    error.broken().map(fixture_guard::Broken::outcome)
                else {
                    panic!("{context}: {error}")
                };
                assert!(error.to_string().contains(&format!("pg_xact_status('{transaction}')")), "{error}");
                // as the message says
                let status = AssertSqlSafe(format!("SELECT pg_xact_status('{transaction}')"));
                let status: String = admin.fetch_one(sqlx::raw_sql(status)).await.unwrap().get(0);
                status == "committed"
            }
            other => panic!("{context}: {other:?}"),
        };
        assert_eq!(rows, if committed { 0 } else { 9 }, "{context}: {ending:?}");
        ending
    }
}

/// Takes the points one after the other, with several workers at once; gives what became of them.
async fn check_all(way: Way, points: Vec<(Direction, After, Fault)>) -> Vec<RunEnding> {
    let next = AtomicUsize::new(0);
    let work = || async {
        let mut worker = Worker::new().await;
        let mut endings = Vec::new();
        while let Some((direction, after, fault)) = points.get(next.fetch_add(1, Ordering::SeqCst)) {
            endings.push(worker.check(way, *direction, *after, *fault).await);
        }
        endings
    };
    let workers = join_all((0..WORKERS.min(points.len())).map(|_| work())).await;
    workers.into_iter().flatten().collect()
}

fn long() -> bool {
    support::variable("FIXTURE_GUARD_TEST_FAULTS").as_deref() == Some("bytes")
}

async fn cuts(way: Way) {
    let [to_server, to_client] = Worker::new().await.measure(way).await;
    let mut points = Vec::new();
    for (direction, (messages, bytes)) in DIRECTIONS.into_iter().zip([to_server, to_client]) {
        assert!(messages > 3, "{messages} messages {direction:?}");
        points.extend((0..=messages).map(|n| (direction, After::Messages(n), Fault::Cut)));
        if long() {
            points.extend((0..=bytes).map(|n| (direction, After::Bytes(n), Fault::Cut)));
        }
    }

    let endings = check_all(way, points).await;

    for ending in [RunEnding::Committed, RunEnding::RolledBack, RunEnding::Unknown] {
        assert!(endings.contains(&ending), "a cut in no place made it end {ending:?}");
    }
}

#[tokio::test]
async fn leaves_all_rows_or_none_wherever_a_new_connection_is_cut() {
    cuts(Way::Dialled).await;
}

#[tokio::test]
async fn leaves_all_rows_or_none_wherever_a_pooled_connection_is_cut() {
    cuts(Way::Pooled).await;
}

#[tokio::test]
async fn leaves_all_rows_or_none_and_gives_up_wherever_a_connection_stalls() {
    let [(to_server, _), (to_client, _)] = Worker::new().await.measure(Way::Dialled).await;
    let mut points = Vec::new();
    for (direction, messages) in DIRECTIONS.into_iter().zip([to_server, to_client]) {
        // the first and the last ones, and some in between: each costs seconds
        let sample = if long() { 1 } else { (messages / 5).max(1) };
        let ends = [0, 1, messages.saturating_sub(3), messages - 2, messages - 1];
        let wanted = (0..messages).filter(|n| n % sample == 0 || ends.contains(n));
        points.extend(wanted.map(|n| (direction, After::Messages(n), Fault::Stall)));
    }

    let endings = check_all(Way::Dialled, points).await;

    assert!(endings.contains(&RunEnding::Unknown), "the answer to COMMIT stalled in no case: {endings:?}");
}

#[tokio::test]
async fn says_how_to_find_out_when_the_answer_to_commit_is_lost() {
    let mut worker = Worker::new().await;
    let [_, (to_client, _)] = worker.measure(Way::Pooled).await;
    let mut lost = Vec::new();
    for n in (0..to_client).rev() {
        let ending = worker.check(Way::Pooled, Direction::ToClient, After::Messages(n), Fault::Cut).await;
        lost.push(ending);
        if ending == RunEnding::Unknown {
            return;
        }
    }
    panic!("{lost:?}");
}

/// [`Error`] is what a caller matches on.
#[tokio::test]
async fn a_refused_connection_is_a_refusal() {
    let worker = Worker::new().await;
    worker.proxy.fail(Direction::ToServer, After::Messages(0), Fault::Cut);

    let error = empty(worker.policy.judging(worker.options()), &AtomicBool::new(false)).await.unwrap_err();

    assert!(Error::in_sqlx(&error).and_then(Error::refusal).is_some(), "{error}");
    assert_eq!(worker.database.rows("items").await, 0);
}
