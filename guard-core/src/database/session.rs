//! A connection of the guard's own that is clean or gone.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgDatabaseError, PgSeverity};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Postgres, Row, SqlSafeStr};
use sqlx_core::transaction::TransactionManager;

use super::background::{Background, Connections, at_home};
use crate::error::describe;
use crate::postgres::{Answers, LOOK, holders};

/// A message of the guard's own that takes longer than this has failed. The server's `statement_timeout` and
/// `lock_timeout` of five seconds end it there; this is for a network or a server that says nothing at all.
pub(super) const LIMIT: Duration = Duration::from_secs(9);

/// Dialing takes a few milliseconds; a host that drops packets never answers.
const DIAL_LIMIT: Duration = Duration::from_secs(8);

/// A server that is gone does not acknowledge that a connection is closed.
const GOODBYE_LIMIT: Duration = Duration::from_millis(500);

/// A connection that is used by one run. Unless it is [released](Session::release) it is closed when dropped, so that
/// whatever a run leaves behind (an open or aborted transaction, a statement in flight) reaches no other run: the server
/// rolls back when the socket closes.
pub(super) struct Session {
    held: Option<Held>,
}

/// sqlx's own bookkeeping of transactions. It is in `sqlx-core`, and only a `Transaction` that owns its connection
/// could be had without it: one that cannot be taken apart when the connection must be closed.
type Transactions = <Postgres as sqlx::Database>::TransactionManager;

enum Held {
    Kept(PoolConnection<Postgres>, Arc<Connections>),
    Own(Box<PgConnection>),
}

/// Why a statement of the guard has no answer.
#[derive(Debug)]
pub(super) enum Failure {
    Driver(sqlx::Error),
    TimedOut(Duration),
}

impl Failure {
    /// The server's error code and message, if the server itself answered.
    pub(super) fn answer(&self) -> Option<(String, &str)> {
        match self {
            Self::Driver(sqlx::Error::Database(error)) => Some((error.code()?.into_owned(), error.message())),
            _ => None,
        }
    }

    /// The server's error code, if the server itself answered.
    pub(super) fn sqlstate(&self) -> Option<String> {
        self.answer().map(|(code, _)| code)
    }

    /// Whether client and server did not agree on encryption, or on who the server is.
    pub(super) fn is_tls(&self) -> bool {
        matches!(self, Self::Driver(sqlx::Error::Tls(_)))
    }

    /// Whether the connection was closed at the other end.
    pub(super) fn is_broken_connection(&self) -> bool {
        match self {
            Self::Driver(sqlx::Error::Database(_)) => !self.is_answer(),
            Self::Driver(error) => matches!(error, sqlx::Error::Io(_) | sqlx::Error::Protocol(_)),
            Self::TimedOut(_) => false,
        }
    }

    /// Whether the server answered with an error, so that its state is known. A FATAL error does
    /// not count as an answer: the reply to our statement may have been lost before it.
    pub(super) fn is_answer(&self) -> bool {
        match self {
            Self::Driver(sqlx::Error::Database(error)) => error
                .try_downcast_ref::<PgDatabaseError>()
                .is_some_and(|error| error.severity() == PgSeverity::Error),
            Self::Driver(_) | Self::TimedOut(_) => false,
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Driver(error) => f.write_str(&describe(error)),
            Self::TimedOut(limit) => write!(f, "no answer within {limit:?}"),
        }
    }
}

/// Waits for an answer, and not longer than `limit`.
pub(super) async fn bounded<T>(
    limit: Duration,
    answer: impl Future<Output = sqlx::Result<T>>,
) -> Result<T, Failure> {
    // the caller's executor need not have timers, or be tokio at all
    let bounded = {
        let _entered = Background::of_process().enter();
        tokio::time::timeout(limit, answer)
    };
    match bounded.await {
        Ok(answer) => answer.map_err(Failure::Driver),
        Err(_) => Err(Failure::TimedOut(limit)),
    }
}

impl Session {
    /// Takes one of the guard's connections.
    pub(super) async fn acquire(connections: &Arc<Connections>) -> Result<Self, Failure> {
        let connection = at_home(connections.acquire()).await?;
        Ok(Self { held: Some(Held::Kept(connection, Arc::clone(connections))) })
    }

    /// Opens a connection with exactly these options, which is not kept.
    pub(super) async fn dial(options: &PgConnectOptions) -> Result<Self, Failure> {
        let connection = at_home(bounded(DIAL_LIMIT, PgConnection::connect_with(options))).await?;
        Ok(Self { held: Some(Held::Own(Box::new(connection))) })
    }

    pub(super) fn connection(&self) -> &PgConnection {
        match self.held.as_ref().expect("a session is held until it is released") {
            Held::Kept(connection, _) => connection,
            Held::Own(connection) => connection,
        }
    }

    pub(super) fn connection_mut(&mut self) -> &mut PgConnection {
        match self.held.as_mut().expect("a session is held until it is released") {
            Held::Kept(connection, _) => connection,
            Held::Own(connection) => connection,
        }
    }

    /// Runs statements in the transaction that is open already, and has sqlx count it as its own, so that a nested
    /// `begin` in the body makes a savepoint.
    ///
    /// The statements may wait for a lock as long as `lock` says.
    ///
    /// When this fails or is cancelled sqlx believes that nothing began (launchbadge/sqlx#4385); the caller must then
    /// undo or close.
    pub(super) async fn begin(&mut self, statements: String, lock: Duration) -> Result<(), Failure> {
        let statements = AssertSqlSafe(statements).into_sql_str();
        bounded(LIMIT + lock, Transactions::begin(self.connection_mut(), Some(statements))).await
    }

    /// Runs statements without parameters in one message; rows are discarded.
    pub(super) async fn execute(&mut self, statements: String) -> Result<(), Failure> {
        let query = sqlx::raw_sql(AssertSqlSafe(statements));
        bounded(LIMIT, self.connection_mut().execute(query)).await.map(drop)
    }

    /// Runs statements without parameters in one message, and gives the rows until one fails.
    ///
    /// It goes through the simple protocol, which also works behind a pooler that hands out another server session
    /// for each transaction.
    pub(super) async fn ask(&mut self, statements: String) -> (Answers, Result<(), Failure>) {
        self.ask_within(LIMIT, statements).await
    }

    /// [`ask`](Self::ask), for statements that may take longer than a question of the guard's.
    pub(super) async fn ask_within(
        &mut self,
        limit: Duration,
        statements: String,
    ) -> (Answers, Result<(), Failure>) {
        let mut texts: Vec<Option<String>> = Vec::new();
        let query = sqlx::raw_sql(AssertSqlSafe(statements));
        let answer = async {
            let mut rows = self.connection_mut().fetch(query);
            while let Some(row) = rows.try_next().await? {
                texts.push(row.try_get_unchecked(0)?);
            }
            Ok(())
        };
        let result = bounded(limit, answer).await;
        (texts.into_iter().collect(), result)
    }

    /// How many transactions sqlx believes to be nested here.
    pub(super) fn depth(&self) -> usize {
        Transactions::get_transaction_depth(self.connection())
    }

    /// Commits, and tells sqlx so.
    pub(super) async fn commit(&mut self) -> Result<(), Failure> {
        bounded(LIMIT, Transactions::commit(self.connection_mut())).await
    }

    /// Takes the connection out; this session is over.
    pub(super) fn take(&mut self) -> Self {
        Self { held: self.held.take() }
    }

    /// Rolls back a transaction that sqlx does not count.
    pub(super) async fn undo_open(&mut self) -> Result<(), Failure> {
        self.execute("ROLLBACK".to_owned()).await
    }

    /// Rolls back.
    pub(super) async fn undo(&mut self) -> Result<(), Failure> {
        // sqlx counts one transaction: it gets one to end
        self.execute("ROLLBACK; BEGIN".to_owned()).await?;
        self.rolled_back().await
    }

    /// As [`undo`](Self::undo), and names the sessions that hold locks on tables of this database.
    pub(super) async fn undo_and_look_around(&mut self) -> Result<Option<String>, Failure> {
        let (answers, undone) = self.ask(format!("ROLLBACK; {LOOK}; {}", holders())).await;
        undone?;
        self.rolled_back().await?;
        Ok(answers.get("holders").map(str::to_owned))
    }

    /// Tells sqlx that its transaction is over, after the server has rolled back and begun an empty one for it: what ends
    /// that one goes along with the next message, and nobody waits for it.
    pub(super) async fn rolled_back(&mut self) -> Result<(), Failure> {
        if self.depth() == 1 {
            Transactions::start_rollback(self.connection_mut());
            return Ok(());
        }
        self.roll_back().await
    }

    /// Has sqlx end every transaction that it counts, the innermost first.
    pub(super) async fn roll_back(&mut self) -> Result<(), Failure> {
        while self.depth() > 0 {
            bounded(LIMIT, Transactions::rollback(self.connection_mut())).await?;
        }
        Ok(())
    }

    /// Closes the connection; the server rolls back.
    pub(super) async fn close(mut self) {
        let closed = match self.held.take() {
            Some(Held::Kept(connection, _)) => bounded(GOODBYE_LIMIT, connection.detach().close()).await,
            Some(Held::Own(connection)) => bounded(GOODBYE_LIMIT, connection.close()).await,
            None => Ok(()),
        };
        // a server that is gone has nothing to roll back
        drop(closed);
    }

    /// Keeps the connection for the next run: it is idle and clean.
    pub(super) async fn release(mut self) {
        match self.held.take() {
            Some(Held::Kept(connection, connections)) => connections.give_back(connection),
            held => Self { held }.close().await,
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        match self.held.take() {
            // detached, because a pool takes back whatever is dropped
            Some(Held::Kept(connection, _)) => drop(connection.detach()),
            Some(Held::Own(_)) | None => {}
        }
    }
}
