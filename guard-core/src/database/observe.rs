//! Sees what the runs inside a future did.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use serde::Serialize;

use crate::damage::Damage;
use crate::error::Error;

/// Runs `future`, and reports on every guarded run that ended inside it.
///
/// ```no_run
/// # use fixture_guard_core as fixture_guard;
/// # async fn reset_db(_: &sqlx::PgPool) -> sqlx::Result<()> { Ok(()) }
/// # async fn example(pool: sqlx::PgPool) -> sqlx::Result<()> {
/// let observed = fixture_guard::observe(reset_db(&pool)).await;
/// for run in &observed.runs {
///     println!("{run}"); // reset_db committed: removed 2,847 rows from categories (truncated)
/// }
/// observed.returned
/// # }
/// ```
///
/// A run that goes on in a task of its own (`tokio::spawn`) ends outside.
pub fn observe<F: Future>(future: F) -> Observe<F> {
    Observe { future: Box::pin(future), runs: Vec::new() }
}

/// The future of [`observe`].
///
/// ```
/// # use fixture_guard_core as fixture_guard;
/// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
/// # runtime.block_on(async {
/// let observed = fixture_guard::observe(async { 7 }).await;
/// assert_eq!((observed.returned, observed.runs.len()), (7, 0));
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
#[must_use = "futures do nothing unless they are awaited"]
pub struct Observe<F> {
    future: Pin<Box<F>>,
    runs: Vec<RunReport>,
}

impl<F> fmt::Debug for Observe<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observe").field("runs", &self.runs).finish_non_exhaustive()
    }
}

/// What a future returned, and what the guarded runs inside it did.
///
/// ```
/// # use fixture_guard_core as fixture_guard;
/// fn first_error<R>(observed: &fixture_guard::Observed<R>) -> Option<&fixture_guard::Error> {
///     observed.runs.iter().find_map(|run| run.error.as_ref())
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Observed<R> {
    /// What the future returned.
    pub returned: R,
    /// The runs, in the order in which they ended.
    pub runs: Vec<RunReport>,
}

/// One guarded run that ended.
///
/// ```
/// # use fixture_guard_core as fixture_guard;
/// fn say(run: &fixture_guard::RunReport) {
///     println!("{run}"); // reset_db committed: removed 2,847 rows from categories (truncated)
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunReport {
    /// The fixture's name.
    pub fixture: &'static str,
    /// What became of the body's work.
    pub ending: RunEnding,
    /// What the body did, whether it was kept or not; `None` if that is unknown: the body did not run, the connection was
    /// lost, or the body ended the transaction.
    pub damage: Option<Damage>,
    /// Why the guard ended the run, if it did.
    pub error: Option<Error>,
}

/// `reset_db committed: removed 2,847 rows from categories (truncated)`; damage that is not known is called unknown.
impl fmt::Display for RunReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: ", self.fixture, self.ending.as_str().replace('_', " "))?;
        match &self.damage {
            Some(damage) => damage.fmt(f),
            None if self.ending == RunEnding::Refused => f.write_str("the body did not run"),
            None => f.write_str("damage unknown"),
        }
    }
}

/// What became of a body's work.
///
/// ```
/// # use fixture_guard_core as fixture_guard;
/// use fixture_guard::{RunEnding, RunReport};
///
/// fn has_changed_rows(run: &RunReport) -> bool {
///     matches!(run.ending, RunEnding::Committed | RunEnding::Escaped | RunEnding::Unknown)
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RunEnding {
    /// The body did not run.
    Refused,
    /// The server committed it.
    Committed,
    /// It is part of an outer guarded transaction now.
    Nested,
    /// It was rolled back.
    RolledBack,
    /// The body ended the transaction itself.
    Escaped,
    /// The answer to `COMMIT` was lost.
    Unknown,
}

impl RunEnding {
    /// As the journal says it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Committed => "committed",
            Self::Nested => "nested",
            Self::RolledBack => "rolled_back",
            Self::Escaped => "escaped",
            Self::Unknown => "unknown",
        }
    }
}

thread_local! {
    /// The runs that ended while the innermost [`Observe`] on this thread is being polled.
    static ENDED: RefCell<Option<Vec<RunReport>>> = const { RefCell::new(None) };
}

/// Reports to whoever observes.
pub(super) fn report(run: impl FnOnce() -> RunReport) {
    ENDED.with_borrow_mut(|ended| {
        if let Some(ended) = ended {
            ended.push(run());
        }
    });
}

/// Puts an outer observer back, also when a poll panics.
struct Outer(Option<Vec<RunReport>>);

impl Drop for Outer {
    fn drop(&mut self) {
        let outer = self.0.take();
        ENDED.with_borrow_mut(|ended| {
            let inner = std::mem::replace(ended, outer);
            // what an inner observer sees happened inside the outer one too
            if let (Some(outer), Some(inner)) = (ended, inner) {
                outer.extend(inner);
            }
        });
    }
}

impl<F: Future> Future for Observe<F> {
    type Output = Observed<F::Output>;

    #[track_caller]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let outer = Outer(ENDED.replace(Some(Vec::new())));
        let polled = self.future.as_mut().poll(context);
        let ended = ENDED.with_borrow(Clone::clone).unwrap_or_default();
        drop(outer);
        self.runs.extend(ended);
        match polled {
            Poll::Ready(returned) => Poll::Ready(Observed { returned, runs: std::mem::take(&mut self.runs) }),
            Poll::Pending => Poll::Pending,
        }
    }
}
