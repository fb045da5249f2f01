//! What is written down about a run: one line in the journal, one span for `tracing`.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tracing::Span;
use tracing::field::{Empty, display};

use super::observe::RunEnding;
use crate::damage::Damage;
use crate::error::{Broken, Error, Outcome};
use crate::fixture::OnSuccess;
use crate::identity::Identity;
use crate::journal::{Body, Facts, Rehearsed};
use crate::policy::{JournalRule, Policy};
use crate::reason::{Code, Reason};
use crate::refusal::{Stage, Subject};
use crate::surroundings::{Mode, Surroundings};
use crate::target::Target;

/// The journal's file, open for the time of a run.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    rule: JournalRule,
    file: File,
}

/// How long a line waits for others that are being written. One takes microseconds; a process that was stopped in the
/// middle of it must not stop all others.
const LOCK_LIMIT: Duration = Duration::from_secs(1);

impl Journal {
    /// Opens what the policy names.
    fn open(path: &Path, rule: JournalRule) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        Ok(Self { path: path.to_owned(), rule, file })
    }

    /// Writes one line, whole or not at all, after those of all other processes.
    ///
    /// On a local disk a single write in append mode is atomic whatever its length; the lock makes it so on file systems
    /// where it is not, and lets a line be taken back that the disk had no room for.
    fn append(&self, line: &str) -> io::Result<()> {
        let since = Instant::now();
        let locked = loop {
            match self.file.try_lock() {
                Ok(()) => break true,
                Err(TryLockError::WouldBlock) if since.elapsed() < LOCK_LIMIT => {
                    std::thread::sleep(Duration::from_micros(200));
                }
                // a file system without locks, or somebody who was stopped
                Err(_) => break false,
            }
        };
        let length = self.file.metadata().map(|file| file.len());
        let written = (&self.file).write_all(format!("{line}\n").as_bytes());
        if let (Err(_), Ok(length), true) = (&written, length, locked) {
            // as far as that works on a file that could not be written
            let _ = self.file.set_len(length);
        }
        if locked {
            let _ = self.file.unlock();
        }
        written
    }
}

/// A run that has begun. Dropped before its end, it is written down as one whose body did not finish.
pub(super) struct Record(Option<Box<Pending>>);

struct Pending {
    since: Instant,
    began: SystemTime,
    subject: Subject,
    span: Span,
    journal: Option<Arc<Journal>>,
    target: Option<Target>,
    environment: Option<String>,
    identity: Option<Identity>,
    loosenings: Vec<String>,
    rehearsal: Option<Rehearsal>,
    body: Body,
    /// Set while `COMMIT` is under way.
    committing: Option<String>,
    /// What is certain already, though the run is not over.
    settled: Option<RunEnding>,
    /// Who held locks when the body failed.
    holders: Option<String>,
}

/// Why nothing is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rehearsal {
    /// The process says `FIXTURE_GUARD=rehearse`.
    Process,
    /// The attribute says `on_success = "rollback"`.
    Attribute,
}

impl Rehearsal {
    pub(super) fn of(on_success: OnSuccess) -> Option<Self> {
        match (Surroundings::of_process().mode(), on_success) {
            (Ok(Mode::Rehearse), _) => Some(Self::Process),
            (_, OnSuccess::Rollback) => Some(Self::Attribute),
            _ => None,
        }
    }
}

/// The span of a run.
pub(super) fn span(subject: Subject) -> Span {
    let span = tracing::info_span!(
        "fixture_guard",
        fixture = subject.fixture.map(|(name, _)| name),
        place = Empty,
        called = Empty,
        target = Empty,
        environment = Empty,
        identity = Empty,
        verdict = Empty,
        reasons = Empty,
        outcome = Empty,
        damage = Empty,
        rehearsal = Empty,
        milliseconds = Empty,
    );
    if let Some((_, place)) = subject.fixture {
        span.record("place", display(place));
    }
    if let Some(called) = subject.called {
        span.record("called", display(called));
    }
    span
}

impl Record {
    pub(super) fn new(subject: Subject, span: Span) -> Self {
        Self(Some(Box::new(Pending {
            since: Instant::now(),
            began: SystemTime::now(),
            subject,
            span,
            journal: None,
            target: None,
            environment: None,
            identity: None,
            loosenings: Vec::new(),
            rehearsal: None,
            body: Body::NotRun,
            committing: None,
            settled: None,
            holders: None,
        })))
    }

    fn edit(&mut self, edit: impl FnOnce(&mut Pending)) {
        if let Some(pending) = &mut self.0 {
            edit(pending);
        }
    }

    /// Opens the journal that the policy asks for.
    ///
    /// # Errors
    ///
    /// If it cannot be written, and must be.
    pub(super) fn under(&mut self, policy: &Policy) -> Result<Option<Arc<Journal>>, Reason> {
        let mut journal = None;
        if let Some((path, rule)) = policy.journal_file() {
            match Journal::open(path, rule) {
                Ok(open) => journal = Some(Arc::new(open)),
                Err(error) if rule == JournalRule::Required => {
                    return Err(Reason::new(
                        Code::Journal,
                        policy.rule_at("journal.required"),
                        format!("the journal {} cannot be written: {error}", path.display()),
                        "let this user write it, create its directory, or remove `required`",
                    ));
                }
                Err(error) => {
                    tracing::warn!(journal = %path.display(), %error, "the journal cannot be written");
                }
            }
        }
        self.edit(|pending| {
            pending.journal.clone_from(&journal);
            pending.loosenings = policy.loosenings();
        });
        Ok(journal)
    }

    /// Writes to the journal of the run around this one.
    pub(super) fn within(&mut self, journal: Option<Arc<Journal>>, policy: &Policy) {
        self.edit(|pending| {
            pending.journal = journal;
            pending.loosenings = policy.loosenings();
        });
    }

    pub(super) fn target(&mut self, target: &Target) {
        self.edit(|pending| {
            pending.span.record("target", display(target));
            pending.target = Some(target.clone());
        });
    }

    pub(super) fn identity(&mut self, identity: &Identity) {
        self.edit(|pending| {
            pending.span.record("identity", display(Cluster(identity)));
            pending.identity = Some(identity.clone());
        });
    }

    /// The body begins.
    pub(super) fn cleared(&mut self, environment: &str, rehearsal: Option<Rehearsal>) {
        self.edit(|pending| {
            pending.span.record("environment", environment);
            pending.environment = Some(environment.to_owned());
            pending.rehearsal = rehearsal;
            pending.body = Body::Unfinished;
        });
    }

    pub(super) fn returned(&mut self, succeeded: bool) {
        self.edit(|pending| pending.body = if succeeded { Body::Succeeded } else { Body::Failed });
    }

    /// `COMMIT` is on its way: if this is dropped now, nobody knows.
    pub(super) fn committing(&mut self, transaction: Option<&str>) {
        self.edit(|pending| pending.committing = transaction.map(str::to_owned));
    }

    /// However this ends from now on, the rows are there or gone.
    pub(super) fn settled(&mut self, outcome: RunEnding) {
        self.edit(|pending| pending.settled = Some(outcome));
    }

    /// The body failed after a time in which it may have waited for these.
    pub(super) fn held_up(&mut self, holders: String) {
        self.edit(|pending| pending.holders = Some(holders));
    }

    pub(super) fn refused(self, error: &Error) {
        // it is refused, and whether that could be written down changes nothing
        drop(self.ended(RunEnding::Refused, None, Some(error)));
    }

    /// Writes the run down.
    ///
    /// # Errors
    ///
    /// If the journal must be written and cannot be any more.
    pub(super) fn ended(
        mut self,
        outcome: RunEnding,
        damage: Option<&Damage>,
        error: Option<&Error>,
    ) -> Result<(), String> {
        match self.0.take() {
            Some(pending) => pending.write(outcome, damage, error),
            None => Ok(()),
        }
    }
}

impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Record")
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if let Some(pending) = self.0.take() {
            let outcome = pending.settled.unwrap_or(match (&pending.committing, pending.body) {
                (Some(_), _) => RunEnding::Unknown,
                (None, Body::NotRun) => RunEnding::Refused,
                (None, _) => RunEnding::RolledBack,
            });
            // whoever waited for it is gone
            drop(pending.write(outcome, None, None));
        }
    }
}

impl Pending {
    fn write(
        &self,
        outcome: RunEnding,
        damage: Option<&Damage>,
        error: Option<&Error>,
    ) -> Result<(), String> {
        let facts = Facts {
            began: self.began,
            took: self.since.elapsed(),
            subject: self.subject,
            target: self.target.as_ref(),
            environment: self.environment.as_deref(),
            identity: self.identity.as_ref(),
            loosenings: &self.loosenings,
            rehearsal: self.rehearsal.is_some(),
            body: self.body,
            outcome,
            damage,
            error,
            holders: self.holders.as_deref(),
            committing: self.committing.as_deref().filter(|_| outcome == RunEnding::Unknown),
        };
        self.trace(&facts);
        self.print(&facts);
        let Some(journal) = &self.journal else { return Ok(()) };
        let Err(error) = journal.append(&facts.line()) else { return Ok(()) };
        let found = format!("the journal {} could not be written: {error}", journal.path.display());
        match journal.rule {
            JournalRule::Required => {
                self.span.in_scope(|| tracing::error!("{found}"));
                Err(found)
            }
            JournalRule::Optional => {
                self.span.in_scope(|| tracing::warn!("{found}"));
                Ok(())
            }
        }
    }

    /// A rehearsal of the whole process speaks past the test harness, which hides what passing tests print.
    fn print(&self, facts: &Facts<'_>) {
        let rehearsed =
            facts.outcome == RunEnding::RolledBack && facts.error.is_none() && facts.body == Body::Succeeded;
        match self.rehearsal.filter(|_| rehearsed) {
            Some(Rehearsal::Process) => {
                // one write, so that the blocks of many tests do not mix; a closed stderr has no reader
                let _ = io::stderr().lock().write_all(Rehearsed(facts).to_string().as_bytes());
            }
            Some(Rehearsal::Attribute) => eprint!("{}", Rehearsed(facts)),
            None => {}
        }
    }

    fn trace(&self, facts: &Facts<'_>) {
        let reasons = facts.reasons();
        let refused = !reasons.is_empty();
        self.span.record("verdict", if refused { "refused" } else { "cleared" });
        self.span.record("outcome", facts.outcome.as_str());
        self.span.record("rehearsal", facts.rehearsal);
        self.span.record("milliseconds", facts.milliseconds());
        let damage = facts.damage.map(|damage| damage.to_string().replace('\n', "; "));
        if let Some(damage) = &damage {
            self.span.record("damage", damage.as_str());
        }
        let reasons: Vec<String> = reasons.iter().map(ToString::to_string).collect();
        let reasons = reasons.join("; ");
        if refused {
            self.span.record("reasons", reasons.as_str());
        }
        let subject = facts.subject;
        let damage = damage.as_deref().unwrap_or("unknown");
        self.span.in_scope(|| match facts.error {
            Some(Error::Refused(refusal)) => match refusal.stage() {
                // a wrong database answered, or a fixture destroyed what it did not declare
                Stage::Connected | Stage::RolledBack => {
                    tracing::error!(%reasons, "refused {subject}: {}", refusal.stage().meaning());
                }
                _ => tracing::warn!(%reasons, "refused {subject}: {}", refusal.stage().meaning()),
            },
            Some(Error::Broken(broken)) if *broken.outcome() == Outcome::RolledBack => {
                tracing::warn!(found = broken.found(), "broke off {subject}");
            }
            Some(Error::Broken(broken)) => {
                tracing::error!(
                    found = broken.found(),
                    outcome = facts.outcome.as_str(),
                    "broke off {subject}"
                );
            }
            None => match (facts.outcome, facts.body) {
                (RunEnding::Unknown, _) => {
                    tracing::error!(
                        transaction = self.committing.as_deref(),
                        "{subject} was dropped while it committed"
                    );
                }
                (_, Body::Unfinished) => tracing::warn!("{subject} did not finish, and was rolled back"),
                (_, Body::NotRun) => tracing::warn!("{subject} was dropped before its body ran"),
                (_, Body::Failed) if facts.holders.is_some() => {
                    tracing::warn!(
                        holders = facts.holders,
                        "{subject} failed after a long wait, and was rolled back"
                    );
                }
                (_, Body::Failed) => tracing::info!(damage, "{subject} failed, and was rolled back"),
                (RunEnding::RolledBack, _) => tracing::info!(damage, "rolled back {subject}"),
                (RunEnding::Nested, _) => tracing::info!(damage, "nested {subject}"),
                _ => tracing::info!(damage, "committed {subject}"),
            },
        });
    }
}

/// The server, in a few words.
struct Cluster<'a>(&'a Identity);

impl std::fmt::Display for Cluster<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Identity { database, effective_role, system_identifier, .. } = self.0;
        write!(f, "{database} as {effective_role}")?;
        match system_identifier {
            Some(identifier) => write!(f, " on cluster {identifier}"),
            None => Ok(()),
        }
    }
}

/// The run committed, and the journal does not say so although it must.
pub(super) fn unwritten(subject: Subject, target: Target, found: String) -> Error {
    Error::Broken(Box::new(Broken { subject, target, outcome: Outcome::Committed, found }))
}
