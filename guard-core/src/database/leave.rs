//! The way out: what the body did, whether it was declared, and `COMMIT` or `ROLLBACK`.

use std::time::Duration;

use futures_util::FutureExt as _;

use super::observe::RunEnding;
use super::record::Record;
use super::refusals::broken;
use super::session::{Failure, LIMIT, bounded};
use super::transaction::{GuardedTransaction, declared};
use crate::damage::{Damage, Survey, within};
use crate::error::{Error, Outcome};
use crate::fixture::Fixture;
use crate::postgres::{self, Answers, Lift, sqlstate};
use crate::reason::Reason;

/// Why a body's work is not kept.
pub(super) enum Stop {
    Reasons(Vec<Reason>),
    Ended(Ended),
}

/// Why a transaction cannot be committed.
#[derive(Debug, Clone)]
pub(super) enum Ended {
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

/// The body left a COPY or another exchange unfinished, so that no answer can be trusted.
fn out_of_step(found: &str) -> Ended {
    Ended::Lost(format!(
        "the body left a statement unfinished, so that the connection is out of step: {found}"
    ))
}

/// Why the server did not go back to a savepoint of the guard's.
pub(super) fn not_back(failure: &Failure) -> Ended {
    match failure.sqlstate().as_deref() {
        Some(state) if sqlstate::NOT_THERE.contains(&state) => escaped(),
        _ => out_of_step(&failure.to_string()),
    }
}

impl GuardedTransaction {
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
            Err(ended) => return self.give_up(ended).await,
        };
        let damage = survey.damage();
        if let Err(reasons) = within(&damage, &declared(fixture, &self.judged.clearance)) {
            let undone = self.session.undo().await;
            self.leave(undone.is_ok() && survey.clean).await;
            return (Some(damage), Err(self.stopped(self.judged.subject, Stop::Reasons(reasons))));
        }
        record.committing(Some(self.stamp.number()));
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
                    let transaction = self.stamp.number().to_owned();
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
            return self.give_up(ended).await;
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

    /// Undoes the work of a body that failed.
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
        self.give_up(Ended::Aborted(found)).await
    }

    /// Rolls back a transaction that cannot be kept. The server's last answer may be that it was not the guard's own any
    /// more, which counts whatever else is wrong: rows may be gone.
    async fn give_up(&mut self, ended: Ended) -> (Option<Damage>, Result<(), Error>) {
        let (damage, ended) = match ended {
            Ended::Aborted(_) => match self.surveyed_and_undone(Lift::No).await {
                (_, Err(Stop::Ended(escaped @ Ended::Escaped(_)))) => (None, escaped),
                (damage, _) => (damage, ended),
            },
            // no answer on this connection can be trusted, or what it says is not what the body did
            Ended::Lost(_) | Ended::Escaped(_) => {
                self.leave(false).await;
                (None, ended)
            }
        };
        (damage, Err(self.stopped(self.judged.subject, Stop::Ended(ended))))
    }

    /// Asks what the body did and rolls back, in one message where that works, and leaves the connection.
    async fn surveyed_and_undone(&mut self, lift: Lift) -> (Option<Damage>, Result<(), Stop>) {
        // a nested run that could not end its savepoint left its level
        self.level = 0;
        let question = postgres::survey_and_undo(&self.stamp.secret, lift);
        let (answers, answered) = self.ask(question).await;
        let surveyed = match answered {
            Ok(()) => {
                let surveyed = self.read(&answers);
                let undone = self.session.rolled_back().await;
                surveyed.and_then(|survey| {
                    undone.map(|()| survey).map_err(|failure| self.lost("ROLLBACK", &failure))
                })
            }
            Err(failure) => {
                let ended = self.why(&answers, &failure).await;
                // a connection that is out of step is closed without another word
                if failure.is_answer() && !matches!(ended, Ended::Lost(_)) {
                    // a body that took so long may have waited for a lock
                    self.holders = if self.armed.elapsed() >= self.limits.lock {
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

    /// Keeps a clean connection, and closes any other.
    async fn leave(&mut self, clean: bool) {
        let session = self.session.take();
        if clean { session.release().await } else { session.close().await }
    }

    /// Whether this is still the transaction that was judged, in a state that can be committed, and what it did.
    pub(super) async fn survey(&mut self, lift: Lift) -> Result<Survey, Ended> {
        self.only_ours()?;
        let question = match lift {
            Lift::Commit => postgres::survey_and_clear(&self.stamp.secret, self.stamp.lasting),
            Lift::Rehearse | Lift::No => postgres::survey(&self.stamp.secret, self.level, lift),
        };
        let (answers, answered) = self.ask(question).await;
        match answered {
            Ok(()) => self.read(&answers),
            Err(failure) => Err(self.why(&answers, &failure).await),
        }
    }

    /// Asks the last question. Deferred checks may take as long as a statement of the body may, which the server bounds:
    /// when there is no answer in the usual time, another session is asked whether the server is still at it.
    async fn ask(&mut self, question: String) -> (Answers, Result<(), Failure>) {
        let mut answer = Box::pin(self.session.ask_within(Duration::MAX, question));
        loop {
            let answered = bounded(LIMIT, answer.as_mut().map(Ok)).await;
            match answered {
                Ok(answered) => return answered,
                Err(_) if self.watch.works().await => {}
                // it may have answered while the other session was asked
                Err(failure) => {
                    return answer.as_mut().now_or_never().unwrap_or((Answers::default(), Err(failure)));
                }
            }
        }
    }

    /// Whether nothing of the body's is nested in this transaction.
    fn only_ours(&self) -> Result<(), Ended> {
        if self.session.depth() > 1 {
            return Err(Ended::Aborted("the body began a nested transaction and never ended it".to_owned()));
        }
        Ok(())
    }

    /// Whether the server named the transaction that the body was given.
    fn is_ours(&self, answers: &Answers) -> bool {
        answers.get("transaction").is_some_and(|named| named == self.stamp.transaction)
            && self.session.depth() > 0
    }

    /// The survey among the answers.
    fn read(&self, answers: &Answers) -> Result<Survey, Ended> {
        if answers.get("transaction").is_none() {
            return Err(out_of_step("the guard's question got the answer to another one"));
        }
        if !self.is_ours(answers) {
            return Err(escaped());
        }
        let survey = Survey::read(answers.get("survey").unwrap_or_default()).map_err(Ended::Aborted)?;
        if survey.known {
            return Ok(survey);
        }
        let found = "the body ran RESET ALL and CLOSE ALL, so that its damage is unknown";
        Err(Ended::Aborted(found.to_owned()))
    }

    /// Why a survey has no answer.
    async fn why(&mut self, answers: &Answers, failure: &Failure) -> Ended {
        if answers.get("transaction").is_some() {
            // the first question was answered, and the second was not
            return if !self.is_ours(answers) {
                escaped()
            } else if failure.is_answer() {
                Ended::Aborted(format!("what the body did cannot be kept: {failure}"))
            } else {
                self.lost("the guard's question", failure)
            };
        }
        if !failure.is_answer() {
            return self.lost("the guard's question", failure);
        }
        if failure.sqlstate().as_deref() != Some(sqlstate::ABORTED) {
            // the first question is harmless: the error is an earlier statement's
            return out_of_step(&failure.to_string());
        }
        if self.session.depth() == 0 {
            return escaped();
        }
        let found = "a statement of the body had failed, and its error was not returned";
        if self.level > 0 {
            // its own savepoint is gone back to next, which fails if this is another transaction
            return Ended::Aborted(found.to_owned());
        }
        // An aborted transaction does not say which one it is; but only the guarded one can go back to its savepoint.
        let (answers, result) = self.session.ask(postgres::back_to_the_body()).await;
        match result {
            Ok(()) if self.is_ours(&answers) => Ended::Aborted(found.to_owned()),
            Ok(()) if answers.get("transaction").is_some() => escaped(),
            Ok(()) => out_of_step("the guard's question got the answer to another one"),
            Err(failure) => not_back(&failure),
        }
    }

    fn lost(&self, what: &str, failure: &Failure) -> Ended {
        Ended::Lost(match self.watch.ended() {
            Some(found) => found,
            None => format!("{what} was not answered: {failure}"),
        })
    }
}
