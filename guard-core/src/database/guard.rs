//! One run of a fixture: begun, lent to the body, finished.

use super::observe::{RunEnding, RunReport, report};
use super::record::{Record, Rehearsal, unwritten};
use super::run::Answer;
use super::target::GuardedConnection;
use super::transaction::{Ending, GuardedTransaction, Savepoint};
use crate::error::Error;
use crate::fixture::Fixture;
use crate::refusal::Subject;
use crate::target::Target;

/// One run of a fixture, between its begin and its finish.
///
/// Dropped without being finished (a panic, a cancelled future) it leaves nothing: its own transaction is rolled back
/// by closing the connection, and an outer transaction in which it was nested can only be rolled back.
#[derive(Debug)]
#[must_use = "a run that is not finished is rolled back"]
pub struct Guard<'t> {
    pub(super) subject: Subject,
    pub(super) fixture: &'static Fixture,
    pub(super) record: Record,
    pub(super) held: Held<'t>,
}

#[derive(Debug)]
pub(super) enum Held<'t> {
    Own(Box<GuardedTransaction>),
    Nested(Nested<'t>),
}

/// A run inside a savepoint of an outer transaction, which learns of it when this is dropped before its end.
#[derive(Debug)]
pub(super) struct Nested<'t> {
    outer: &'t mut GuardedTransaction,
    savepoint: Savepoint,
    ended: bool,
}

impl<'t> Nested<'t> {
    pub(super) fn new(outer: &'t mut GuardedTransaction, savepoint: Savepoint) -> Self {
        Self { outer, savepoint, ended: false }
    }

    pub(super) fn environment(&self) -> &str {
        self.outer.clearance().environment()
    }
}

impl Drop for Nested<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.outer.interrupted();
        }
    }
}

impl Guard<'_> {
    /// Lends the connection to the body, as the type that the fixture names.
    pub fn lend<C: GuardedConnection + ?Sized>(&mut self) -> &mut C {
        C::lend(match &mut self.held {
            Held::Own(transaction) => transaction,
            Held::Nested(nested) => nested.outer,
        })
    }

    /// Ends the run as its body's result says: keeps what a successful one did, and undoes what a failed one did.
    ///
    /// # Errors
    ///
    /// [`Error`] if a successful body's work could not be kept. A failed body's own error is returned as it is, unless
    /// the body ran something unguarded.
    pub async fn finish<R>(self, returned: R, answer: Answer<R>) -> Result<R, Error> {
        let Self { subject, fixture, mut record, held } = self;
        let succeeded = answer.succeeded(&returned);
        record.returned(succeeded);
        let ending = match Rehearsal::of(fixture.on_success) {
            _ if !succeeded => Ending::Undo,
            // what is nested is kept or not with the transaction around it
            Some(Rehearsal::Process) if matches!(held, Held::Nested(_)) => Ending::Keep,
            Some(_) => Ending::Rehearse,
            None => Ending::Keep,
        };
        let kept = if matches!(held, Held::Nested(_)) { RunEnding::Nested } else { RunEnding::Committed };
        let (damage, mut ended, outer) = match held {
            Held::Own(transaction) => {
                let target = transaction.target().clone();
                let (damage, ended) = match ending {
                    Ending::Keep => transaction.commit(fixture, &mut record).await,
                    Ending::Rehearse => transaction.rehearse(fixture).await,
                    Ending::Undo => transaction.undo(Some(&mut record)).await,
                };
                (damage, ended, Outer::None(target))
            }
            Held::Nested(mut nested) => {
                let savepoint = nested.savepoint;
                let (damage, ended) = nested.outer.end_nested(subject, fixture, savepoint, ending).await;
                nested.ended = true;
                (damage, ended, Outer::Some(nested))
            }
        };
        let outcome = match &ended {
            Ok(()) if ending == Ending::Keep => kept,
            Ok(()) => RunEnding::RolledBack,
            Err(error) => error.ending(),
        };
        let written = record.ended(outcome, damage.as_ref(), ended.as_ref().err());
        if let (Err(found), true) = (written, ended.is_ok() && ending == Ending::Keep) {
            match outer {
                Outer::None(target) => ended = Err(unwritten(subject, target, found)),
                Outer::Some(nested) => nested.outer.spoil(found),
            }
        }
        report(|| RunReport { fixture: fixture.name, ending: outcome, damage, error: ended.clone().err() });
        match ended {
            Err(Error::Broken(broken)) if succeeded || broken.escaped() => Err(Error::Broken(broken)),
            Err(Error::Refused(refusal)) if succeeded => Err(Error::Refused(refusal)),
            // the body's own error says why the run failed
            Ok(()) | Err(_) => Ok(returned),
        }
    }
}

/// Who has to hear that a run could not be written down.
enum Outer<'t> {
    None(Target),
    Some(Nested<'t>),
}
