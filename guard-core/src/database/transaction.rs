//! A transaction that only the guard ends.

use std::fmt;
use std::future::Future;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::sync::Arc;
use std::time::Instant;

use sqlx::PgConnection;

use super::enter::narrowing;
use super::leave::{Ended, Stop, not_back};
use super::observe::RunEnding;
use super::record::{Journal, Record, span};
use super::refusals::{broken, not_armed, refuse};
use super::session::{Failure, Session};
use super::target::{Destination, IntoTarget, Kind};
use super::watch::Watch;
use crate::addresses::Addresses;
use crate::damage::{Damage, Declared, within};
use crate::error::{Error, Outcome};
use crate::fixture::{Fixture, Place};
use crate::identity::Identity;
use crate::judge::{Clearance, Facts, judge};
use crate::policy::Policy;
use crate::postgres::{self, Arm, Counters, Lasting, Lift, Turn};
use crate::reason::{Code, Reason, Rule};
use crate::refusal::{Stage, Subject};
use crate::surroundings::Surroundings;
use crate::target::Target;
use crate::time_limits::TimeLimits;

/// A transaction on a database that was judged disposable. Only the guard ends it.
///
/// It is the proof that functions can demand which must not run anywhere else: there is no other way to make one
/// than [`begin`] and a marked fixture. It derefs to the connection. Dropped, it is rolled back: the connection is
/// closed, so that nothing it left behind reaches the pool's next user.
///
/// ```
/// # use fixture_guard_core as fixture_guard;
/// use fixture_guard::GuardedTransaction;
///
/// /// Cannot be called without a guard.
/// async fn delete_orders(tx: &mut GuardedTransaction) -> sqlx::Result<()> {
///     sqlx::query("DELETE FROM orders").execute(&mut **tx).await?;
///     Ok(())
/// }
/// ```
pub struct GuardedTransaction {
    pub(super) session: Session,
    pub(super) judged: Judged,
    pub(super) stamp: Stamp,
    pub(super) limits: TimeLimits,
    /// How many runs are nested in this one now.
    pub(super) level: u32,
    /// Why this transaction can only be rolled back.
    pub(super) broken: Option<String>,
    /// When the body got it.
    pub(super) armed: Instant,
    /// Notices a body that waits for itself.
    pub(super) watch: Watch,
    /// Of a transaction that was begun without a fixture; a fixture's run has its own.
    record: Option<Record>,
    /// The sessions that held locks when a body had failed after a long time.
    pub(super) holders: Option<String>,
}

/// What the verdict was given on; a nested fixture is judged on the same facts.
pub(super) struct Judged {
    pub(super) subject: Subject,
    pub(super) policy: Arc<Policy>,
    pub(super) target: Target,
    pub(super) addresses: Option<Addresses>,
    pub(super) identity: Identity,
    pub(super) clearance: Clearance,
    pub(super) journal: Option<Arc<Journal>>,
}

/// What tells this transaction from every other one.
pub(super) struct Stamp {
    pub(super) secret: String,
    /// The server process and the transaction's number, as the server names them.
    pub(super) transaction: String,
    pub(super) lasting: Lasting,
    /// The rows that the session's counters had when it began.
    pub(super) counters: Counters,
}

impl Stamp {
    /// A secret that a body does not set by accident.
    pub(super) fn new(transaction: String, lasting: Lasting, counters: Counters) -> Self {
        let secret = format!("{:016x}", RandomState::new().build_hasher().finish());
        Self { secret, transaction, lasting, counters }
    }

    /// The transaction's number, for `pg_xact_status`.
    pub(super) fn number(&self) -> &str {
        self.transaction.rsplit_once('/').map_or("", |(_, number)| number)
    }
}

/// Begins a guarded transaction that nobody ever commits: several fixtures and the test itself can share it.
///
/// ```no_run
/// # async fn example(pool: sqlx::PgPool) -> Result<(), fixture_guard_core::Error> {
/// let mut tx = fixture_guard_core::begin(&pool).await?; // judged once
/// sqlx::query("TRUNCATE categories").execute(&mut *tx).await.expect("a row less");
/// tx.rollback().await?; // or drop it
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// [`Error::Refused`] with every reason, if any fact speaks against the target or cannot be learned.
#[track_caller]
pub fn begin<'t>(
    target: impl IntoTarget + 't,
) -> impl Future<Output = Result<GuardedTransaction, Error>> + Send + 't {
    let called = Place::from(Location::caller());
    let Destination { kind, policy } = target.into_destination();
    async move {
        let subject = Subject { fixture: None, test: false, called: Some(called) };
        match kind {
            Kind::Nested(_) => Err(refuse(
                subject,
                None,
                Stage::BeforeConnecting,
                vec![Reason::new(
                    Code::InvalidDsn,
                    Rule::built_in("a guarded transaction is begun on a database"),
                    "the target is a guarded transaction already",
                    "use it as it is; a marked fixture nests in it by itself",
                )],
            )),
            kind => GuardedTransaction::open_uncommitted(subject, None, kind, policy).await,
        }
    }
}

impl GuardedTransaction {
    /// Opens a transaction that nobody commits, and writes down what becomes of it.
    pub(super) async fn open_uncommitted(
        subject: Subject,
        fixture: Option<&'static Fixture>,
        kind: Kind<'_>,
        policy: Option<Arc<Policy>>,
    ) -> Result<Self, Error> {
        let mut record = Record::new(subject, span(subject));
        match Self::open(subject, fixture, kind, policy, &mut record).await {
            Ok(mut transaction) => {
                record.cleared(transaction.clearance().environment(), None);
                record.settled(RunEnding::RolledBack);
                transaction.record = Some(record);
                Ok(transaction)
            }
            Err(error) => {
                record.refused(&error);
                Err(error)
            }
        }
    }

    pub(super) fn new(
        session: Session,
        judged: Judged,
        stamp: Stamp,
        limits: TimeLimits,
        watch: Watch,
    ) -> Self {
        let armed = Instant::now();
        Self {
            session,
            judged,
            stamp,
            limits,
            level: 0,
            broken: None,
            armed,
            watch,
            record: None,
            holders: None,
        }
    }

    /// The environment that the target was recognised as.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// fn environment(tx: &fixture_guard::GuardedTransaction) -> &str {
    ///     tx.clearance().environment()
    /// }
    /// ```
    #[must_use]
    pub fn clearance(&self) -> &Clearance {
        &self.judged.clearance
    }

    /// Where this transaction is.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// fn say(tx: &fixture_guard::GuardedTransaction) {
    ///     println!("in {}", tx.target()); // shop at localhost:5432 as app
    /// }
    /// ```
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.judged.target
    }

    /// What the server said about itself.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// fn is_superuser(tx: &fixture_guard::GuardedTransaction) -> bool {
    ///     tx.identity().superuser
    /// }
    /// ```
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.judged.identity
    }

    /// Rolls back and gives the connection back to its pool. Dropping rolls back as well, and closes it.
    ///
    /// ```no_run
    /// # use fixture_guard_core as fixture_guard;
    /// # async fn example(pool: sqlx::PgPool) -> Result<(), fixture_guard::Error> {
    /// let tx = fixture_guard::begin(&pool).await?;
    /// tx.rollback().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Broken`] if this was no longer the transaction that the guard began, or if the server did not answer
    /// (it rolls back when the connection closes).
    pub async fn rollback(mut self) -> Result<(), Error> {
        let record = self.record.take();
        let (damage, undone) = self.undo(None).await;
        if let Some(record) = record {
            let outcome = undone.as_ref().map_or_else(Error::ending, |()| RunEnding::RolledBack);
            // nothing was kept, so that nothing is lost with the line
            drop(record.ended(outcome, damage.as_ref(), undone.as_ref().err()));
        }
        undone
    }

    /// What a nested run writes down is written where this one's is.
    pub(super) fn record_nested(&self, record: &mut Record) {
        record.within(self.judged.journal.clone(), &self.judged.policy);
        record.target(&self.judged.target);
        record.identity(&self.judged.identity);
    }

    /// Refuses if this transaction can only be rolled back.
    pub(super) fn usable(&self) -> Result<(), Error> {
        match &self.broken {
            Some(found) => {
                let (subject, target) = (self.judged.subject, self.judged.target.clone());
                Err(broken(subject, target, Outcome::RolledBack, found.clone()))
            }
            None => Ok(()),
        }
    }

    /// A reset that emptied nothing.
    pub(super) fn refuse_reset(&self, reasons: Vec<Reason>) -> Error {
        refuse(self.judged.subject, Some(self.judged.target.clone()), Stage::Reset, reasons)
    }

    /// A reset that the server stopped.
    pub(super) fn reset_failed(&self, failure: &Failure) -> Error {
        let found = format!("the tables could not be emptied: {failure}");
        broken(self.judged.subject, self.judged.target.clone(), Outcome::RolledBack, found)
    }

    /// Judges a nested fixture on what is known, sets a savepoint, and makes it ready.
    pub(super) async fn nest(
        &mut self,
        subject: Subject,
        fixture: &'static Fixture,
    ) -> Result<Savepoint, Error> {
        if let Some(found) = &self.broken {
            let (target, found) = (self.judged.target.clone(), found.clone());
            return Err(broken(subject, target, Outcome::RolledBack, found));
        }
        let facts = Facts {
            target: &self.judged.target,
            surroundings: Surroundings::of_process(),
            narrowing: narrowing(subject, Some(fixture))?,
            addresses: self.judged.addresses.as_ref(),
            identity: Some(&self.judged.identity),
        };
        let clearance = judge(&self.judged.policy, &facts).map_err(|reasons| {
            refuse(subject, Some(self.judged.target.clone()), Stage::Connected, reasons)
        })?;
        let savepoint = Savepoint(self.level + 1);
        // until the server has answered
        self.interrupted();
        let arm = postgres::arm(&Arm {
            secret: &self.stamp.secret,
            tables: fixture.tables,
            budget: budget(fixture, &clearance),
            level: savepoint.0,
            reach: &reach(Some(fixture), &clearance),
            counters: self.stamp.counters,
            turn: Turn::NotNeeded,
            lasting: self.stamp.lasting,
            limits: self.limits,
        });
        match self.session.execute(format!("SAVEPOINT {savepoint}; {arm}")).await {
            Ok(()) => {
                self.level += 1;
                self.broken = None;
                Ok(savepoint)
            }
            Err(failure) => {
                if self.session.execute(undo_to(savepoint)).await.is_ok() {
                    self.broken = None;
                }
                let reasons = not_armed(Some(fixture), &failure, self.limits);
                Err(refuse(subject, Some(self.judged.target.clone()), Stage::Connected, reasons))
            }
        }
    }

    /// A nested run ended in the middle: its statements are still here, so nothing can be kept.
    pub(super) fn interrupted(&mut self) {
        self.spoil("a nested fixture was cancelled or panicked".to_owned());
    }

    /// From now on this transaction can only be rolled back.
    pub(super) fn spoil(&mut self, found: String) {
        self.broken = Some(found);
    }

    /// Ends a nested fixture: keeps what it did, or undoes it.
    pub(super) async fn end_nested(
        &mut self,
        subject: Subject,
        fixture: &'static Fixture,
        savepoint: Savepoint,
        ending: Ending,
    ) -> (Option<Damage>, Result<(), Error>) {
        self.interrupted();
        let surveyed = self.survey(Lift::No).await;
        let damage = surveyed.as_ref().ok().map(crate::damage::Survey::damage);
        let verdict = match surveyed {
            // the body's own error has aborted it, and says more
            Ok(_) | Err(Ended::Aborted(_)) if ending == Ending::Undo => Ok(()),
            Ok(survey) => {
                within(&survey.damage(), &declared(fixture, &self.judged.clearance)).map_err(Stop::Reasons)
            }
            Err(ended) => Err(Stop::Ended(ended)),
        };
        let statements = match (ending, &verdict) {
            (Ending::Keep, Ok(())) => format!("RELEASE SAVEPOINT {savepoint}"),
            _ => undo_to(savepoint),
        };
        match self.session.execute(statements).await {
            Ok(()) => {
                self.level -= 1;
                self.broken = None;
            }
            Err(failure) => {
                let found = format!("a savepoint of the guard could not be ended: {failure}");
                self.broken = Some(found);
                let ended = not_back(&failure);
                if verdict.is_ok() || matches!(ended, Ended::Escaped(_)) {
                    return (None, Err(self.stopped(subject, Stop::Ended(ended))));
                }
            }
        }
        (damage, verdict.map_err(|stop| self.stopped(subject, stop)))
    }

    pub(super) fn stopped(&self, subject: Subject, stop: Stop) -> Error {
        let target = self.judged.target.clone();
        match stop {
            Stop::Reasons(reasons) => refuse(subject, Some(target), Stage::RolledBack, reasons),
            Stop::Ended(Ended::Aborted(found) | Ended::Lost(found)) => {
                broken(subject, target, Outcome::RolledBack, found)
            }
            Stop::Ended(Ended::Escaped(found)) => broken(subject, target, Outcome::Escaped, found),
        }
    }
}

fn undo_to(savepoint: Savepoint) -> String {
    format!("ROLLBACK TO SAVEPOINT {savepoint}; RELEASE SAVEPOINT {savepoint}")
}

pub(super) fn budget(fixture: &Fixture, clearance: &Clearance) -> Option<u64> {
    [fixture.max_rows, clearance.max_rows()].into_iter().flatten().min()
}

pub(super) fn reach<'a>(fixture: Option<&'static Fixture>, clearance: &'a Clearance) -> Vec<&'a str> {
    let declared = fixture.map_or(&[][..], |fixture| fixture.reach);
    declared.iter().copied().chain(clearance.reach()).collect()
}

pub(super) fn declared<'a>(fixture: &'a Fixture, clearance: &Clearance) -> Declared<'a> {
    Declared { tables: fixture.tables, max_rows: budget(fixture, clearance), place: Some(fixture.place) }
}

/// How a nested fixture ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Keep,
    /// Checked as if it were kept.
    Rehearse,
    Undo,
}

/// A savepoint of the guard's own. sqlx's are counted by sqlx, which queues a `ROLLBACK` of the whole transaction when
/// it fails or is cancelled while it sets one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Savepoint(u32);

impl fmt::Display for Savepoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fixture_guard_{}", self.0)
    }
}

impl Deref for GuardedTransaction {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        self.session.connection()
    }
}

impl DerefMut for GuardedTransaction {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.session.connection_mut()
    }
}

impl fmt::Debug for GuardedTransaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GuardedTransaction({})", self.judged.target)
    }
}
