//! A transaction that only the guard ends.

use std::fmt;
use std::future::Future;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::PgConnection;
use sqlx::postgres::PgConnectOptions;

use super::inspect::{identify, look_up};
use super::observe::RunEnding;
use super::record::{Journal, Record, span};
use super::session::{Failure, Session};
use super::target::{Destination, IntoTarget, Kind};
use crate::addresses::Addresses;
use crate::damage::{Damage, Declared, Survey, within};
use crate::error::{Broken, Error, Outcome};
use crate::fixture::{Fixture, Narrowing, Place};
use crate::identity::Identity;
use crate::judge::{Clearance, Facts, judge, standby};
use crate::policy::Policy;
use crate::postgres::{self, Arm, Counters, Functions, Lift, Turn, sqlstate};
use crate::reason::{Code, Reason, Rule};
use crate::refusal::{Refusal, Stage, Subject};
use crate::surroundings::Surroundings;
use crate::target::Target;

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
    judged: Judged,
    stamp: Stamp,
    /// How many runs are nested in this one now.
    level: u32,
    /// Why this transaction can only be rolled back.
    broken: Option<String>,
    /// When the body got it.
    armed: Instant,
    /// Of a transaction that was begun without a fixture; a fixture's run has its own.
    record: Option<Record>,
    /// Who held locks when a body had failed after a long time.
    holders: Option<String>,
}

/// What the verdict was given on; a nested fixture is judged on the same facts.
struct Judged {
    subject: Subject,
    policy: Arc<Policy>,
    target: Target,
    addresses: Option<Addresses>,
    identity: Identity,
    clearance: Clearance,
    journal: Option<Arc<Journal>>,
}

/// What tells this transaction from every other one.
struct Stamp {
    secret: String,
    /// What the session's counters held when it began.
    counters: Counters,
}

impl Stamp {
    /// A secret that a body does not set by accident.
    fn new(counters: Counters) -> Self {
        Self { secret: format!("{:016x}", RandomState::new().build_hasher().finish()), counters }
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

    /// Judges, connects, asks the server, judges again, and makes the transaction ready for a body.
    pub(super) async fn open(
        subject: Subject,
        fixture: Option<&'static Fixture>,
        kind: Kind<'_>,
        policy: Option<Arc<Policy>>,
        record: &mut Record,
    ) -> Result<Self, Error> {
        let narrowing = narrowing(subject, fixture)?;
        let policy = match policy {
            Some(policy) => policy,
            None => of_process(subject)?,
        };
        let journal = record.under(&policy);
        let (target, dialled) = resolve(subject, kind)?;
        record.target(&target);
        let addresses = look_up(&policy, &target).await;
        let facts = Facts {
            target: &target,
            surroundings: Surroundings::of_process(),
            narrowing,
            addresses: addresses.as_ref(),
            identity: None,
        };
        let journal = match (judge(&policy, &facts), journal) {
            (Ok(_), Ok(journal)) => journal,
            (verdict, journal) => {
                let mut reasons = verdict.err().unwrap_or_default();
                reasons.extend(journal.err());
                return Err(refuse(subject, Some(target), Stage::BeforeConnecting, reasons));
            }
        };
        let asking = Asking { subject, policy, target, addresses, narrowing };
        let mut session = match dialled.connect().await {
            Ok(session) => session,
            Err(failure) => return Err(asking.refuse(Stage::Connecting, vec![no_connection(&failure)])),
        };
        let commits = fixture.is_some_and(|fixture| !fixture.test);
        let turn = if commits { Turn::Taken } else { Turn::NotNeeded };
        match asking.enter(&mut session, fixture, turn, record).await {
            Ok((identity, clearance, stamp)) => {
                let Asking { subject, policy, target, addresses, .. } = asking;
                let judged = Judged { subject, policy, target, addresses, identity, clearance, journal };
                let armed = Instant::now();
                Ok(Self {
                    session,
                    judged,
                    stamp,
                    level: 0,
                    broken: None,
                    armed,
                    record: None,
                    holders: None,
                })
            }
            Err(reasons) => {
                session.close().await;
                Err(asking.refuse(Stage::Connected, reasons))
            }
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
            turn: Turn::NotNeeded,
            counters: self.stamp.counters,
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
                let reasons = not_armed(Some(fixture), &failure);
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
        let damage = surveyed.as_ref().ok().map(Survey::damage);
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
                self.broken = Some(found.clone());
                if verdict.is_ok() {
                    let ended = Stop::Ended(Ended::Escaped(found));
                    return (damage, Err(self.stopped(subject, ended)));
                }
            }
        }
        (damage, verdict.map_err(|stop| self.stopped(subject, stop)))
    }

    /// Commits, if this is still the transaction that was judged and its damage is within what was declared.
    pub(super) async fn commit(
        mut self,
        fixture: &'static Fixture,
        record: &mut Record,
    ) -> (Option<Damage>, Result<(), Error>) {
        if let Some(found) = self.broken.take() {
            return self.break_off(found).await;
        }
        let survey = match self.survey(Lift::Commit).await {
            Ok(survey) => survey,
            Err(ended) => {
                let (damage, _) = self.surveyed_and_undone(Lift::No).await;
                return (damage, Err(self.stopped(self.judged.subject, Stop::Ended(ended))));
            }
        };
        let damage = survey.damage();
        if let Err(reasons) = within(&damage, &declared(fixture, &self.judged.clearance)) {
            let undone = self.session.undo().await;
            self.leave(undone.is_ok() && survey.clean).await;
            return (Some(damage), Err(self.stopped(self.judged.subject, Stop::Reasons(reasons))));
        }
        record.committing(survey.transaction.as_deref());
        let committed = match self.session.commit().await {
            Ok(()) => {
                record.settled(RunEnding::Committed);
                self.leave(survey.clean).await;
                Ok(())
            }
            Err(failure) => {
                let (outcome, found) = if failure.is_answer() {
                    (Outcome::RolledBack, format!("the server refused COMMIT: {failure}"))
                } else {
                    let transaction = survey.transaction.unwrap_or_default();
                    (Outcome::Unknown { transaction }, format!("COMMIT was not answered: {failure}"))
                };
                Err(broken(self.judged.subject, self.judged.target.clone(), outcome, found))
            }
        };
        (Some(damage), committed)
    }

    /// Does all that a commit would do, and rolls back.
    pub(super) async fn rehearse(mut self, fixture: &'static Fixture) -> (Option<Damage>, Result<(), Error>) {
        if let Some(found) = self.broken.take() {
            return self.break_off(found).await;
        }
        if let Err(ended) = self.only_ours() {
            let (damage, _) = self.surveyed_and_undone(Lift::No).await;
            return (damage, Err(self.stopped(self.judged.subject, Stop::Ended(ended))));
        }
        let (damage, undone) = match self.surveyed_and_undone(Lift::Rehearse).await {
            (damage, Err(Stop::Ended(ended))) => {
                return (damage, Err(self.stopped(self.judged.subject, Stop::Ended(ended))));
            }
            (damage, undone) => (damage, undone),
        };
        let checked =
            within(damage.as_ref().unwrap_or(&Damage::default()), &declared(fixture, &self.judged.clearance));
        let stop = checked.map_err(Stop::Reasons).and(undone);
        (damage, stop.map_err(|stop| self.stopped(self.judged.subject, stop)))
    }

    /// Undoes what a body did that failed.
    pub(super) async fn undo(mut self, record: Option<&mut Record>) -> (Option<Damage>, Result<(), Error>) {
        let (damage, undone) = self.surveyed_and_undone(Lift::No).await;
        if let (Some(record), Some(holders)) = (record, self.holders.take()) {
            record.held_up(holders);
        }
        match undone {
            // an error that the body returned has aborted the transaction; it says more than we could
            Ok(()) | Err(Stop::Ended(Ended::Aborted(_))) => (damage, Ok(())),
            Err(stop) => (damage, Err(self.stopped(self.judged.subject, stop))),
        }
    }

    async fn break_off(&mut self, found: String) -> (Option<Damage>, Result<(), Error>) {
        let (damage, _) = self.surveyed_and_undone(Lift::No).await;
        let (subject, target) = (self.judged.subject, self.judged.target.clone());
        (damage, Err(broken(subject, target, Outcome::RolledBack, found)))
    }

    /// Asks what the body did and rolls back, in one message where that works, and leaves the connection.
    async fn surveyed_and_undone(&mut self, lift: Lift) -> (Option<Damage>, Result<(), Stop>) {
        let (texts, answered) = self.session.ask(postgres::survey_and_undo(&self.stamp.secret, lift)).await;
        let surveyed = match answered {
            Ok(()) => {
                let surveyed = self.read(&texts);
                let undone = self.session.rolled_back().await;
                surveyed
                    .and_then(|survey| undone.map(|()| survey).map_err(|failure| lost("ROLLBACK", &failure)))
            }
            Err(failure) => {
                let ended = self.why(&failure);
                if failure.is_answer() {
                    // a body that took so long may have waited for a lock
                    self.holders = if self.armed.elapsed() >= postgres::LOCK_TIMEOUT {
                        self.session.undo_and_look_around().await.unwrap_or_default()
                    } else {
                        self.session.undo().await.map(|()| None).unwrap_or_default()
                    };
                }
                Err(ended)
            }
        };
        self.leave(surveyed.as_ref().is_ok_and(|survey| survey.clean)).await;
        match surveyed {
            Ok(survey) => (Some(survey.damage()), Ok(())),
            Err(ended) => (None, Err(Stop::Ended(ended))),
        }
    }

    /// Gives a clean connection back, and closes any other.
    async fn leave(&mut self, clean: bool) {
        let session = self.session.take();
        if clean { session.release().await } else { session.close().await }
    }

    /// Whether this is still the transaction that was judged, in a state that can be committed, and what it did.
    async fn survey(&mut self, lift: Lift) -> Result<Survey, Ended> {
        self.only_ours()?;
        let (texts, answered) =
            self.session.ask(postgres::survey(&self.stamp.secret, self.level, lift)).await;
        match answered {
            Ok(()) => self.read(&texts),
            Err(failure) => Err(self.why(&failure)),
        }
    }

    /// Whether nothing of the body's is nested in this transaction.
    fn only_ours(&self) -> Result<(), Ended> {
        if self.session.depth() > 1 {
            return Err(Ended::Aborted("the body began a nested transaction and never ended it".to_owned()));
        }
        Ok(())
    }

    /// The survey among the answers.
    fn read(&self, texts: &[Option<String>]) -> Result<Survey, Ended> {
        let answer = texts.iter().rev().flatten().find(|text| text.starts_with('{'));
        let survey = Survey::read(answer.map_or("", String::as_str)).map_err(Ended::Aborted)?;
        if survey.stamped && self.session.depth() > 0 { Ok(survey) } else { Err(escaped()) }
    }

    /// Why a survey has no answer.
    fn why(&self, failure: &Failure) -> Ended {
        match failure.sqlstate().as_deref() {
            Some(sqlstate::ABORTED) if self.session.depth() > 0 => Ended::Aborted(
                "a statement of the body had failed, and its error was not returned".to_owned(),
            ),
            // outside of the guarded transaction the session is read-only and its role powerless
            Some(sqlstate::ABORTED | sqlstate::READ_ONLY | sqlstate::DENIED) => escaped(),
            _ if failure.is_answer() => {
                Ended::Aborted(format!("what the body did cannot be kept: {failure}"))
            }
            _ => lost("the guard's question", failure),
        }
    }

    fn stopped(&self, subject: Subject, stop: Stop) -> Error {
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

/// Why a body's work is not kept.
enum Stop {
    Reasons(Vec<Reason>),
    Ended(Ended),
}

/// Why a transaction cannot be committed.
#[derive(Debug, Clone)]
enum Ended {
    /// It is the guard's own, and nothing of it can stay.
    Aborted(String),
    /// The connection is gone, and the server rolls back.
    Lost(String),
    /// It is not the guard's own any more.
    Escaped(String),
}

fn escaped() -> Ended {
    Ended::Escaped("the body ended the guarded transaction".to_owned())
}

fn lost(what: &str, failure: &Failure) -> Ended {
    Ended::Lost(format!("{what} was not answered: {failure}"))
}

fn undo_to(savepoint: Savepoint) -> String {
    format!("ROLLBACK TO SAVEPOINT {savepoint}; RELEASE SAVEPOINT {savepoint}")
}

fn budget(fixture: &Fixture, clearance: &Clearance) -> Option<u64> {
    [fixture.max_rows, clearance.max_rows()].into_iter().flatten().min()
}

fn reach<'a>(fixture: Option<&'static Fixture>, clearance: &'a Clearance) -> Vec<&'a str> {
    let declared = fixture.map_or(&[][..], |fixture| fixture.reach);
    declared.iter().copied().chain(clearance.reach()).collect()
}

fn declared<'a>(fixture: &'a Fixture, clearance: &Clearance) -> Declared<'a> {
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

/// Where to get the connection that was judged.
enum Dialled {
    Pool(sqlx::PgPool, Arc<PgConnectOptions>),
    Options(Box<PgConnectOptions>),
}

impl Dialled {
    async fn connect(&self) -> Result<Session, Failure> {
        match self {
            Self::Options(options) => Session::dial(options).await,
            Self::Pool(pool, judged) => {
                let session = Session::acquire(pool).await?;
                // Somebody may have swapped the pool's options while we waited. The connection may also have been
                // opened with older ones: that is what the server is asked for next.
                if Target::from(&*pool.connect_options()) != Target::from(&**judged) {
                    let changed = "the pool's options changed while the guard waited for a connection";
                    return Err(Failure::Driver(sqlx::Error::Protocol(changed.to_owned())));
                }
                Ok(session)
            }
        }
    }
}

fn resolve(subject: Subject, kind: Kind<'_>) -> Result<(Target, Dialled), Error> {
    match kind {
        Kind::Pool(pool) => {
            let options = pool.connect_options();
            Ok((Target::from(&*options), Dialled::Pool(pool, options)))
        }
        Kind::Options(options) => Ok((Target::from(&*options), Dialled::Options(options))),
        Kind::Dsn(dsn) => match Target::from_postgres_dsn(&dsn) {
            Ok((target, options)) => Ok((target, Dialled::Options(Box::new(options)))),
            Err(invalid) => {
                let reason = Reason::from(&invalid);
                Err(refuse(subject, None, Stage::BeforeConnecting, vec![reason]))
            }
        },
        Kind::Nested(_) | Kind::Unset => unreachable!("there is nothing to open"),
    }
}

fn of_process(subject: Subject) -> Result<Arc<Policy>, Error> {
    let compiled_in = subject.fixture.and_then(|(_, place)| place.manifest_dir);
    Policy::of_process(compiled_in).map_err(|error| {
        let reason = Reason::from(&error);
        refuse(subject, None, Stage::BeforeConnecting, vec![reason])
    })
}

fn narrowing(
    subject: Subject,
    fixture: Option<&'static Fixture>,
) -> Result<Option<&'static Narrowing>, Error> {
    fixture.map(Fixture::narrowing).transpose().map_err(|error| {
        let place = fixture.map_or(Place::new("", 0, 0, None), Fixture::place);
        let reason = Reason::new(
            Code::InvalidPolicy,
            Rule::attribute(place, "hosts"),
            error.to_string(),
            "write patterns that name the disposable databases, as in `*-staging*`",
        );
        refuse(subject, None, Stage::BeforeConnecting, vec![reason])
    })
}

/// A run on its way in: what was judged before there was a connection.
struct Asking {
    subject: Subject,
    policy: Arc<Policy>,
    target: Target,
    addresses: Option<Addresses>,
    narrowing: Option<&'static Narrowing>,
}

/// How long a run waits for its turn before it gives up.
const TURN_LIMIT: Duration = Duration::from_mins(1);

impl Asking {
    fn refuse(&self, stage: Stage, reasons: Vec<Reason>) -> Error {
        refuse(self.subject, Some(self.target.clone()), stage, reasons)
    }

    /// Opens the transaction, asks, judges again, and makes it ready for the body.
    ///
    /// The first run on a connection finds neither functions nor seal there; it makes them, after it was cleared, and
    /// begins anew.
    async fn enter(
        &self,
        session: &mut Session,
        fixture: Option<&'static Fixture>,
        turn: Turn,
        record: &mut Record,
    ) -> Result<(Identity, Clearance, Stamp), Vec<Reason>> {
        let since = Instant::now();
        let mut functions = Functions::Assumed;
        loop {
            let identity = match self.ask(session, functions).await {
                Ok(identity) => identity,
                Err(failure) => match (failure.sqlstate().as_deref(), functions) {
                    (Some(state), Functions::Assumed) if sqlstate::NOT_MADE.contains(&state) => {
                        session.undo_open().await.map_err(|failure| vec![unknown(&failure)])?;
                        functions = Functions::Missing;
                        continue;
                    }
                    (Some(sqlstate::STANDBY), _) => return Err(vec![standby()]),
                    (Some(_), Functions::MadeFirst) => return Err(vec![not_sealed(&failure)]),
                    _ => return Err(vec![unknown(&failure)]),
                },
            };
            record.identity(&identity);
            let clearance = judge(&self.policy, &self.facts(&identity))?;
            if functions == Functions::Missing {
                functions = Functions::MadeFirst;
                continue;
            }
            let counters = match functions {
                Functions::MadeFirst if session.is_own() => Counters::Zero,
                _ => Counters::Pending,
            };
            let stamp = Stamp::new(counters);
            let arm = postgres::arm(&Arm {
                secret: &stamp.secret,
                tables: fixture.map_or(&[], |fixture| fixture.tables),
                budget: fixture.and_then(|fixture| budget(fixture, &clearance)),
                level: 0,
                reach: &reach(fixture, &clearance),
                turn,
                counters,
            });
            let Err(failure) = session.begin(arm).await else { return Ok((identity, clearance, stamp)) };
            functions = match (failure.sqlstate().as_deref(), functions) {
                // some are here, and others are not
                (Some(state), Functions::Assumed) if sqlstate::NOT_MADE.contains(&state) => {
                    Functions::Missing
                }
                (Some(sqlstate::LOCKED | sqlstate::TIMED_OUT), _)
                    if turn == Turn::Taken && since.elapsed() < TURN_LIMIT =>
                {
                    Functions::Assumed
                }
                _ => return Err(not_armed(fixture, &failure)),
            };
            session.undo_open().await.map_err(|failure| vec![unknown(&failure)])?;
        }
    }

    /// Opens the transaction and asks the server who it is.
    async fn ask(&self, session: &mut Session, functions: Functions) -> Result<Identity, Failure> {
        let name = self.subject.fixture.map_or("transaction", |(name, _)| name);
        identify(session, postgres::open(name, functions)).await
    }

    fn facts<'a>(&'a self, identity: &'a Identity) -> Facts<'a> {
        Facts {
            target: &self.target,
            surroundings: Surroundings::of_process(),
            narrowing: self.narrowing,
            addresses: self.addresses.as_ref(),
            identity: Some(identity),
        }
    }
}

pub(super) fn no_connection(failure: &Failure) -> Reason {
    let help = match failure.sqlstate().as_deref() {
        _ if failure.is_tls() => {
            "check `sslmode` and `sslrootcert` of the DSN, and that sqlx is built with one of its `tls-*` features"
        }
        Some("28P01" | "28000") => "check the user and the password of the DSN",
        Some("3D000") => "create the database, or correct its name in the DSN",
        Some("53300") => "close other sessions, or raise the server's max_connections",
        _ => "check that the server runs and that host and port are right",
    };
    let found = format!("no connection: {failure}");
    Reason::new(Code::NoConnection, Rule::built_in("the server must be reachable"), found, help)
}

pub(super) fn unknown(failure: &Failure) -> Reason {
    Reason::new(
        Code::IdentityUnknown,
        Rule::built_in("the server must say who it is"),
        format!("the server could not be asked who it is: {failure}"),
        "mend what the server reports; what cannot be learned counts as a refusal",
    )
}

fn not_sealed(failure: &Failure) -> Reason {
    let help = match failure.sqlstate().as_deref() {
        Some(sqlstate::DENIED) => {
            "GRANT TEMPORARY ON DATABASE to the test's role: the seal is a temporary table"
        }
        _ => "mend what the server reports; without its seal a transaction is not handed to a body",
    };
    let found = format!("the transaction could not be sealed: {failure}");
    Reason::new(Code::NotSealed, Rule::built_in("only the guard commits"), found, help)
}

/// Why the server did not make a run ready.
fn not_armed(fixture: Option<&Fixture>, failure: &Failure) -> Vec<Reason> {
    let rule = |option| match fixture {
        Some(fixture) => Rule::attribute(fixture.place, option),
        None => Rule::built_in("a transaction reaches no further than its tables"),
    };
    let reason = match failure.answer() {
        Some((state, message)) if state == sqlstate::REACH => {
            let reason = |finding: postgres::Finding| {
                let help = format!(
                    "if the fixture may touch it, declare `reach = [\"{}\"]` in the attribute or the policy",
                    finding.finding
                );
                Reason::new(Code::Reach, rule("reach"), finding.what, help)
            };
            return postgres::read_reach(message).into_iter().map(reason).collect();
        }
        Some((state, message)) if state == sqlstate::OVER_BUDGET => Reason::new(
            Code::TooManyRows,
            rule("max_rows"),
            format!(
                "the declared tables hold more rows than `max_rows` allows; the count ended in {message}"
            ),
            "raise `max_rows` if that many rows are meant to go, or look whether this is the right database",
        ),
        Some((state, message)) if state == sqlstate::HELD => Reason::new(
            Code::Locked,
            rule("tables"),
            format!("another session holds a lock on a declared table: {message}"),
            "end that session's transaction, or run the fixture when it has ended",
        ),
        Some((state, message)) if state == sqlstate::MISSING => Reason::new(
            Code::MissingTable,
            rule("tables"),
            format!("these declared tables do not exist: {message}"),
            "correct the names, or run the migrations first",
        ),
        Some((state, _)) if state == sqlstate::LOCKED || state == sqlstate::TIMED_OUT => Reason::new(
            Code::Locked,
            Rule::built_in("runs on one database take turns"),
            format!(
                "another guarded run was at this database for more than {} seconds",
                TURN_LIMIT.as_secs()
            ),
            "look in pg_stat_activity for `fixture-guard …` sessions that hang",
        ),
        _ => not_sealed(failure),
    };
    vec![reason]
}

pub(super) fn refuse(subject: Subject, target: Option<Target>, stage: Stage, reasons: Vec<Reason>) -> Error {
    Error::Refused(Box::new(Refusal { subject, target, stage, reasons }))
}

fn broken(subject: Subject, target: Target, outcome: Outcome, found: String) -> Error {
    Error::Broken(Box::new(Broken { subject, target, outcome, found }))
}
