//! Notices a body that waits for itself: a statement on another connection that waits for a lock of the run's.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnectOptions;
use tokio::task::JoinHandle;

use super::background::Background;
use super::session::Session;
use crate::postgres;
use crate::refusal::Subject;
use crate::time_limits::TimeLimits;

/// How often the server is asked. The first answer comes within five seconds of a wait's beginning.
const INTERVAL: Duration = Duration::from_secs(2);

/// Watches one run for as long as it lives.
pub(super) struct Watch {
    options: Arc<PgConnectOptions>,
    transaction: String,
    task: JoinHandle<()>,
    /// Why the watch ended the run, if it did.
    ended: Arc<Mutex<Option<String>>>,
}

impl Watch {
    /// Watches the session that is in `transaction`. It costs a timer until the run has lasted longer than most do.
    pub(super) fn start(
        subject: Subject,
        options: Arc<PgConnectOptions>,
        transaction: &str,
        limits: TimeLimits,
    ) -> Self {
        let ended = Arc::new(Mutex::new(None));
        let mut waiting = Waiting {
            subject,
            options: Arc::clone(&options),
            transaction: transaction.to_owned(),
            limits,
            ended: Arc::clone(&ended),
            asking: None,
        };
        let task = Background::of_process().spawn(async move { waiting.watch().await });
        Self { options, transaction: transaction.to_owned(), task, ended }
    }

    /// Whether the session is at a statement of the transaction, as another session sees it.
    pub(super) async fn works(&self) -> bool {
        let Ok(mut session) = Session::dial(&self.options).await else { return false };
        let (answers, _) = session.ask(postgres::is_active(&self.transaction)).await;
        session.close().await;
        answers.get("active").is_some()
    }

    /// Why the watch ended the run, if it did.
    pub(super) fn ended(&self) -> Option<String> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The task of a [`Watch`].
struct Waiting {
    subject: Subject,
    options: Arc<PgConnectOptions>,
    transaction: String,
    limits: TimeLimits,
    ended: Arc<Mutex<Option<String>>>,
    /// The connection that asks, once there was something to ask.
    asking: Option<Session>,
}

impl Waiting {
    /// Reports a wait, and ends the run when the wait has lasted as long as a statement may.
    async fn watch(&mut self) {
        let mut since: Option<(String, Instant)> = None;
        loop {
            tokio::time::sleep(INTERVAL).await;
            let Some((idle_since, sessions)) = self.ask().await else {
                since = None;
                continue;
            };
            match &since {
                // the body sent nothing in between
                Some((known, began)) if *known == idle_since => {
                    if began.elapsed() >= self.limits.statement {
                        return self.end(&sessions).await;
                    }
                }
                _ => {
                    self.report(&sessions);
                    since = Some((idle_since, Instant::now()));
                }
            }
        }
    }

    /// Since when the session sends nothing, and the sessions that wait for its locks meanwhile.
    async fn ask(&mut self) -> Option<(String, String)> {
        let mut session = match self.asking.take() {
            Some(session) => session,
            None => Session::dial(&self.options).await.ok()?,
        };
        let (answers, answered) = session.ask(postgres::waiting_for(&self.transaction)).await;
        self.asking = answered.is_ok().then_some(session);
        let (since, sessions) = answers.get("waiting")?.split_once('|')?;
        Some((since.to_owned(), sessions.to_owned()))
    }

    /// Ends the session, whose transaction the server rolls back. The login that opened it may do that.
    async fn end(&mut self, sessions: &str) {
        let found = format!(
            "for {:?} the body sent no statement while {sessions} waited for its locks; the guard ended it",
            self.limits.statement
        );
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
        if let Some(session) = &mut self.asking {
            drop(session.ask(postgres::terminate(&self.transaction)).await);
        }
    }

    /// Prints the wait now, because the test cannot end while it lasts.
    fn report(&self, sessions: &str) {
        let Self { subject, transaction, .. } = self;
        let called = subject.called.map(|place| format!(", called at {place}")).unwrap_or_default();
        let process = transaction.split('/').next().unwrap_or_default();
        let found = format!(
            "fixture-guard: {subject}{called} may be waiting for itself: {sessions} waits for a lock of its \
             transaction (pid {process}), and its body sends no statement; use the connection that the guard lends \
             instead of the pool"
        );
        tracing::warn!("{found}");
        eprintln!("{found}");
    }
}
