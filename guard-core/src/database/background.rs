//! Connections of the guard's own, and the runtime that they belong to.
//!
//! A connection from the user's pool arrives in a state that cannot be known (an open transaction, another role, settings,
//! prepared statements), and there is no proof that it leaves as it came. So a run never uses one. The guard dials with the
//! options that were judged and with the pool's own hooks, keeps the connection for the next run, and gives it to no other
//! code.
//!
//! Each `#[tokio::test]` has a runtime of its own, and a connection that belongs to it ends with it. These belong to a
//! runtime in the background that lives as long as the process. Futures are polled where they are awaited, inside the
//! caller's task, and only register their sockets and timers there: that costs no change of threads, and works under any
//! executor.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::{Either, select};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{Connection, PgConnection, Postgres};
use tokio::runtime::{Builder, EnterGuard, Handle};
use tokio::task::JoinHandle;

use super::session::Failure;

/// How many connections there may be to a target that no pool names. The real limit is the number of runs at a time, each
/// of which has one. For a pool it is as many as the pool may have.
const CONNECTIONS: u32 = 1_000;

/// Dialing takes a few milliseconds; a host that drops packets never answers.
const DIAL_LIMIT: Duration = Duration::from_secs(8);

/// How long an idle connection is kept, at most twice. `DROP DATABASE` waits 5 seconds for other sessions to leave
/// (`CountOtherDBBackends`), so that one of ours never keeps a database from being dropped; and tests that follow each
/// other reset more often than this.
const IDLE_LIMIT: Duration = Duration::from_secs(2);

/// How long a run waits for a connection on its way back before it dials another one.
const RETURN_LIMIT: Duration = Duration::from_secs(1);

/// When a connection that is not there yet is dialed once more by hand: sqlx's pool tries again for as long as nothing
/// listens, and says in the end only that the time is over.
const REFUSED_AFTER: Duration = Duration::from_millis(250);

/// The runtime of one process.
pub(super) struct Background {
    /// A child that was forked has neither the thread nor a right to the connections.
    process: u32,
    runtime: Handle,
    kept: Mutex<HashMap<Key, Arc<Connections>>>,
    hasher: (RandomState, RandomState),
}

/// Which connections a run may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    /// Those of a pool with these options, by their address; they are kept alive as long as the entry is.
    Pool(usize),
    /// Those with options that say the same. A hash, because the text holds the password.
    Options(u64, u64),
}

/// Connections to one target.
pub(super) struct Connections {
    pool: PgPool,
    key: Key,
    options: Arc<PgConnectOptions>,
    /// Whether nothing that listens is waited for, as sqlx's pools do.
    patient: bool,
    /// Whether other clients may use the server's sessions: then every run brings its functions along.
    shared: AtomicBool,
    /// Connections on their way back: a run that follows at once waits for one of them rather than dial.
    returning: Mutex<Vec<JoinHandle<()>>>,
}

impl Background {
    /// The runtime of this process, started when it is first needed.
    pub(super) fn of_process() -> &'static Self {
        static PROCESS: Mutex<Option<&'static Background>> = Mutex::new(None);
        let mut background = PROCESS.lock().unwrap_or_else(PoisonError::into_inner);
        match *background {
            Some(known) if known.process == std::process::id() => known,
            // what a parent left is never dropped: its sockets are the parent's
            _ => background.insert(Box::leak(Box::new(Self::start()))),
        }
    }

    fn start() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime for the guard's connections");
        let handle = runtime.handle().clone();
        std::thread::Builder::new()
            .name("fixture-guard".to_owned())
            .spawn(move || runtime.block_on(std::future::pending::<()>()))
            .expect("a thread for the guard's connections");
        Self {
            process: std::process::id(),
            runtime: handle,
            kept: Mutex::default(),
            hasher: (RandomState::new(), RandomState::new()),
        }
    }

    /// Makes this the current runtime.
    pub(super) fn enter(&self) -> EnterGuard<'_> {
        self.runtime.enter()
    }

    /// Runs a future here, whatever becomes of the caller.
    pub(super) fn spawn<F: Future<Output = ()> + Send + 'static>(&self, future: F) -> JoinHandle<()> {
        self.runtime.spawn(future)
    }

    /// Connections with the options that a pool has now, opened by its own hooks. They are closed with the pool.
    pub(super) fn of_pool(&'static self, pool: &PgPool, judged: Arc<PgConnectOptions>) -> Arc<Connections> {
        let key = Key::Pool(Arc::as_ptr(&judged).addr());
        self.get(key, || {
            let closed = pool.close_event();
            self.spawn(async move {
                closed.await;
                self.forget(key);
            });
            // a pool of `#[sqlx::test]` has a parent, which bounds its number
            Connections::new(key, pool.options().clone(), judged, true)
        })
    }

    /// Connections with these options.
    pub(super) fn of_options(&'static self, judged: PgConnectOptions) -> Arc<Connections> {
        // all that the options say is in their `Debug`, and nowhere else
        let text = format!("{judged:?}");
        let key = Key::Options(self.hasher.0.hash_one(&text), self.hasher.1.hash_one(&text));
        self.get(key, || {
            Connections::new(
                key,
                PgPoolOptions::new().max_connections(CONNECTIONS).max_lifetime(None),
                Arc::new(judged),
                false,
            )
        })
    }

    fn get(&self, key: Key, make: impl FnOnce() -> Connections) -> Arc<Connections> {
        let _entered = self.enter();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(kept.entry(key).or_insert_with(|| Arc::new(make())))
    }

    /// Closes these connections, each as soon as its run has ended.
    fn forget(&self, key: Key) {
        let forgotten = self.kept.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
        if let Some(connections) = forgotten {
            self.spawn(async move { connections.pool.close().await });
        }
    }
}

impl Connections {
    fn new(key: Key, pool: PgPoolOptions, options: Arc<PgConnectOptions>, patient: bool) -> Self {
        let pool = pool
            .min_connections(0)
            .acquire_timeout(DIAL_LIMIT)
            .idle_timeout(IDLE_LIMIT)
            // the first message of a run is as good a question
            .test_before_acquire(false)
            .connect_lazy_with((*options).clone());
        Self { pool, key, options, patient, shared: AtomicBool::new(false), returning: Mutex::default() }
    }

    /// The options that were judged.
    pub(super) fn options(&self) -> Arc<PgConnectOptions> {
        Arc::clone(&self.options)
    }

    /// Whether a run learned that other clients may use the server's sessions.
    pub(super) fn is_shared(&self) -> bool {
        self.shared.load(Ordering::Relaxed)
    }

    /// Notes that other clients may use the server's sessions.
    pub(super) fn share(&self) {
        self.shared.store(true, Ordering::Relaxed);
    }

    /// Takes a connection.
    pub(super) async fn acquire(&self) -> Result<PoolConnection<Postgres>, Failure> {
        let returning = self.returning.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(returning) = returning {
            // it is back in the pool, or closed; a hook or a network that hangs keeps no other run waiting
            let _ = tokio::time::timeout(RETURN_LIMIT, returning).await;
        }
        if self.patient && self.pool.num_idle() == 0 {
            // sqlx calls `before_acquire` for connections that wait in the pool only, and this one will be used like these
            let connection = self.dialed().await?.return_to_pool();
            let _ = tokio::time::timeout(RETURN_LIMIT, connection).await;
        }
        self.dialed().await
    }

    async fn dialed(&self) -> Result<PoolConnection<Postgres>, Failure> {
        let refused = Box::pin(self.refused());
        let acquired = match select(Box::pin(self.pool.acquire()), refused).await {
            Either::Left((acquired, _)) => acquired,
            Either::Right((refused, _)) => return Err(Failure::Driver(refused)),
        };
        match acquired {
            Ok(connection) => Ok(connection),
            // its time is over; a dial by hand says why
            Err(sqlx::Error::PoolTimedOut) => Err(match self.dial().await {
                Err(failure) => failure,
                Ok(_) => Failure::Driver(sqlx::Error::PoolTimedOut),
            }),
            Err(error) => Err(Failure::Driver(error)),
        }
    }

    /// Ends if nothing listens where a DSN says.
    async fn refused(&self) -> sqlx::Error {
        if !self.patient {
            tokio::time::sleep(REFUSED_AFTER).await;
            if let Err(Failure::Driver(sqlx::Error::Io(error))) = self.dial().await {
                return sqlx::Error::Io(error);
            }
        }
        std::future::pending().await
    }

    async fn dial(&self) -> Result<PgConnection, Failure> {
        let limit = Duration::from_secs(1);
        match tokio::time::timeout(limit, PgConnection::connect_with(&self.options)).await {
            Ok(dialed) => dialed.map_err(Failure::Driver),
            Err(_) => Err(Failure::TimedOut(DIAL_LIMIT)),
        }
    }

    /// Takes back a connection that is idle and clean.
    pub(super) fn give_back(&self, mut connection: PoolConnection<Postgres>) {
        let background = Background::of_process();
        let _entered = background.enter();
        let returned = background.spawn(connection.return_to_pool());
        let mut returning = self.returning.lock().unwrap_or_else(PoisonError::into_inner);
        returning.retain(|earlier| !earlier.is_finished());
        returning.push(returned);
    }

    /// Closes all of them: one turned out to be dead.
    pub(super) fn renew(self: &Arc<Self>) {
        let background = Background::of_process();
        let mut kept = background.kept.lock().unwrap_or_else(PoisonError::into_inner);
        // another run may have renewed them already
        if kept.get(&self.key).is_some_and(|known| Arc::ptr_eq(known, self)) {
            kept.remove(&self.key);
        }
        let dead = Arc::clone(self);
        background.spawn(async move { dead.pool.close().await });
    }
}

/// A future that is polled where the guard's connections are at home.
pub(super) struct AtHome<F>(Pin<Box<F>>);

/// Polls `future` inside the runtime in the background.
pub(super) fn at_home<F: Future>(future: F) -> AtHome<F> {
    AtHome(Box::pin(future))
}

impl<F: Future> Future for AtHome<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let _entered = Background::of_process().enter();
        self.0.as_mut().poll(context)
    }
}
