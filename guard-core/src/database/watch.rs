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
    task: JoinHandle<()>,
    /// What ended the run, if the watch did.
    ended: Arc<Mutex<Option<String>>>,
}

impl Watch {
    /// Watches the session `backend`. It costs a timer until the run has lasted longer than most do.
    pub(super) fn start(
        subject: Subject,
        options: Arc<PgConnectOptions>,
        backend: i32,
        limits: TimeLimits,
    ) -> Self {
        let ended = Arc::new(Mutex::new(None));
        let end = Arc::clone(&ended);
        let watched = Arc::clone(&options);
        let task = Background::of_process().spawn(async move {
            let mut waited: Option<Instant> = None;
            let mut asking = None;
            loop {
                tokio::time::sleep(INTERVAL).await;
                let Some(waiting) = ask(&mut asking, &options, backend).await else {
                    waited = None;
                    continue;
                };
                let since = *waited.get_or_insert_with(|| {
                    report(subject, backend, &waiting);
                    Instant::now()
                });
                if since.elapsed() >= limits.statement {
                    let found = format!(
                        "for {:?} the body sent no statement while {waiting} waited for its locks; the guard ended it",
                        limits.statement
                    );
                    *end.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
                    terminate(&options, backend).await;
                    return;
                }
            }
        });
        Self { options: watched, task, ended }
    }

    /// Whether the session `backend` is at a statement, as another session sees it.
    pub(super) async fn works(&self, backend: i32) -> bool {
        let Ok(mut session) = Session::dial(&self.options).await else { return false };
        let (answers, _) = session.ask(postgres::is_active(backend)).await;
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

/// Which sessions wait for locks of the session `backend`, while that one sends nothing. The connection that asks stays
/// for the next time.
async fn ask(asking: &mut Option<Session>, options: &PgConnectOptions, backend: i32) -> Option<String> {
    let mut session = match asking.take() {
        Some(session) => session,
        None => Session::dial(options).await.ok()?,
    };
    let (answers, answered) = session.ask(postgres::waiting_for(backend)).await;
    *asking = answered.is_ok().then_some(session);
    answers.get("waiting").map(str::to_owned)
}

/// Ends a session, whose transaction the server rolls back.
async fn terminate(options: &PgConnectOptions, backend: i32) {
    if let Ok(mut session) = Session::dial(options).await {
        // the login that opened a session may end it
        drop(session.execute(format!("SELECT pg_catalog.pg_terminate_backend({backend})")).await);
        session.close().await;
    }
}

/// Tells whoever reads the test's output now: the test itself cannot end.
fn report(subject: Subject, backend: i32, waiting: &str) {
    let called = subject.called.map(|place| format!(", called at {place}")).unwrap_or_default();
    let found = format!(
        "fixture-guard: {subject}{called} may be waiting for itself: {waiting} waits for a lock of its transaction \
         (pid {backend}), and its body sends no statement; use the connection that the guard lends instead of the pool"
    );
    tracing::warn!("{found}");
    eprintln!("{found}");
}
