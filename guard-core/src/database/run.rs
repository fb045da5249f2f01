//! What an expanded attribute calls.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use once_cell::sync::OnceCell;
use tracing::Span;

use super::guard::{Guard, Held, Nested};
use super::observe::{RunEnding, RunReport, report};
use super::record::{Record, Rehearsal, span};
use super::target::{Destination, IntoTarget, Kind};
use super::transaction::GuardedTransaction;
use crate::error::{Error, FixtureError};
use crate::fixture::{Fixture, Place};
use crate::identity::Identity;
use crate::refusal::Subject;

/// Begins a run of `fixture`: judged, connected, asked, judged again, ready for the body.
///
/// # Errors
///
/// [`Error::Refused`] with every reason.
pub async fn begin_fixture<'t, C: ?Sized>(
    fixture: &'static Fixture,
    target: impl IntoTarget<C> + 't,
) -> Result<Guard<'t>, Error> {
    let call = CALL.take();
    let called = call.as_ref().map(|(called, _)| *called);
    let subject = fixture.subject(called);
    let mut record = Record::new(subject, call.map_or_else(|| span(subject), |(_, span)| span));
    let Destination { kind, policy } = target.into_destination();
    let held = match kind {
        Kind::Nested(outer) => {
            outer.record_nested(&mut record);
            let savepoint = outer.nest(subject, fixture).await;
            savepoint.map(|savepoint| Held::Nested(Nested::new(outer, savepoint)))
        }
        kind => {
            // boxed, because this future stands in every caller's own
            let opened =
                Box::pin(GuardedTransaction::open(subject, Some(fixture), kind, policy, &mut record)).await;
            opened.map(|transaction| Held::Own(Box::new(transaction)))
        }
    };
    match held {
        Ok(held) => {
            let environment = match &held {
                Held::Own(transaction) => transaction.clearance().environment(),
                Held::Nested(nested) => nested.environment(),
            };
            record.cleared(environment, Rehearsal::of(fixture.on_success));
            Ok(Guard { subject, fixture, record, held })
        }
        Err(error) => {
            record.refused(&error);
            report(|| RunReport {
                fixture: fixture.name,
                ending: RunEnding::Refused,
                damage: None,
                error: Some(error.clone()),
            });
            Err(error)
        }
    }
}

/// The whole of a marked function's work, which remembers where it was called.
#[track_caller]
pub fn run<R, F>(fixture: &'static Fixture, answer: Answer<R>, future: F) -> Run<R, F>
where
    F: Future<Output = Result<R, Error>>,
{
    let scope = Scope::default();
    Run { fixture, answer, called: Location::caller(), span: None, scope, future: Box::pin(future) }
}

thread_local! {
    /// The call whose future is polled for the first time now: its begin is in that poll.
    static CALL: RefCell<Option<(Place, Span)>> = const { RefCell::new(None) };
    /// The runs whose futures are polled now, the innermost last.
    static SCOPES: RefCell<Vec<Scope>> = const { RefCell::new(Vec::new()) };
}

/// A run that is polled: a run that begins inside its poll is in its body. It knows its database once it is at its turn.
#[derive(Debug, Clone, Default)]
pub(super) struct Scope(Arc<OnceCell<(String, Turn)>>);

/// A database, as far as runs that take turns tell databases apart.
type Turn = (String, Option<u64>, Option<SocketAddr>);

fn turn(identity: &Identity) -> Turn {
    let address = identity.server_address.zip(identity.server_port).map(SocketAddr::from);
    (identity.database.clone(), identity.system_identifier, address)
}

impl Scope {
    /// Says that the innermost run is at its turn.
    pub(super) fn enter(subject: Subject, identity: &Identity) {
        SCOPES.with_borrow(|scopes| {
            if let Some(Scope(innermost)) = scopes.last() {
                drop(innermost.set((subject.to_string(), turn(identity))));
            }
        });
    }

    /// The run in whose body another one begins, if it is at its turn on the same database.
    pub(super) fn around(identity: &Identity) -> Option<String> {
        SCOPES.with_borrow(|scopes| {
            let mut others = scopes.iter().filter_map(|Scope(scope)| scope.get());
            others.find(|(_, known)| *known == turn(identity)).map(|(subject, _)| subject.clone())
        })
    }

    /// Is the innermost run until the guard is dropped.
    fn poll(&self) -> Polled {
        SCOPES.with_borrow_mut(|scopes| scopes.push(self.clone()));
        Polled
    }
}

/// A poll of the innermost run.
struct Polled;

impl Drop for Polled {
    fn drop(&mut self) {
        SCOPES.with_borrow_mut(Vec::pop);
    }
}

/// Forgets a call that began nothing, also when its poll panics.
struct Call;

impl Drop for Call {
    fn drop(&mut self) {
        CALL.take();
    }
}

/// Types a body's block: it stands in a branch that is never taken.
///
/// # Panics
///
/// Always.
#[must_use]
pub fn returned<R>() -> R {
    unreachable!("this branch is never taken")
}

/// The future of a marked function.
///
/// A function that returns no `Result` panics when it is refused. The panic points at the `.await` of the call,
/// because that is what polls this future, and the message names the call itself.
#[must_use = "futures do nothing unless they are awaited"]
pub struct Run<R, F> {
    fixture: &'static Fixture,
    answer: Answer<R>,
    called: &'static Location<'static>,
    /// Once it was polled.
    span: Option<Span>,
    scope: Scope,
    future: Pin<Box<F>>,
}

impl<R, F> fmt::Debug for Run<R, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").field("fixture", &self.fixture.name).finish_non_exhaustive()
    }
}

impl<R, F: Future<Output = Result<R, Error>>> Future for Run<R, F> {
    type Output = R;

    #[track_caller]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<R> {
        let this = &mut *self;
        let called = Place::from(this.called);
        let span = this.span.get_or_insert_with(|| {
            let span = span(this.fixture.subject(Some(called)));
            CALL.set(Some((called, span.clone())));
            span
        });
        let polled = {
            let _call = Call;
            let _polled = this.scope.poll();
            let _entered = span.enter();
            this.future.as_mut().poll(context)
        };
        let Poll::Ready(result) = polled else { return Poll::Pending };
        let error = match result {
            Ok(returned) => return Poll::Ready(returned),
            Err(error) => error.called_at(called),
        };
        match self.answer.refused(error) {
            Ok(returned) => Poll::Ready(returned),
            Err(error) => panic!("{error}"),
        }
    }
}

/// What a return type makes of success and of a refusal.
pub struct Answer<R> {
    succeeded: fn(&R) -> bool,
    refused: fn(Error) -> Result<R, Error>,
}

impl<R> Answer<R> {
    pub(super) fn succeeded(&self, returned: &R) -> bool {
        (self.succeeded)(returned)
    }

    fn refused(&self, error: Error) -> Result<R, Error> {
        (self.refused)(error)
    }
}

impl<R> Clone for Answer<R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> Copy for Answer<R> {}

impl<R> fmt::Debug for Answer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answer")
    }
}

/// A return type, as a value that method lookup can choose by: [`AnswerByResult`] where it is a `Result`, else, one
/// reference further, [`AnswerByPanic`].
pub struct Returns<R>(PhantomData<fn() -> R>);

impl<R> fmt::Debug for Returns<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Returns")
    }
}

impl<R> Returns<R> {
    /// The value.
    pub const TYPE: Self = Self(PhantomData);
}

/// For functions that return a `Result`: `Err` undoes, and a refusal is an `Err`.
pub trait AnswerByResult {
    /// The success type.
    type Success;
    /// The error type.
    type Failure;

    /// What this type makes of success and of a refusal.
    fn answer(&self) -> Answer<Result<Self::Success, Self::Failure>>
    where
        Self::Failure: FixtureError;
}

impl<T, E> AnswerByResult for Returns<Result<T, E>> {
    type Success = T;
    type Failure = E;

    fn answer(&self) -> Answer<Result<T, E>>
    where
        E: FixtureError,
    {
        Answer { succeeded: Result::is_ok, refused: |error| Ok(Err(E::from(error))) }
    }
}

/// For functions that return anything else: whatever they return is a success, and a refusal is a panic.
pub trait AnswerByPanic {
    /// The return type.
    type Return;

    /// What this type makes of success and of a refusal.
    fn answer(&self) -> Answer<Self::Return>;
}

impl<R> AnswerByPanic for &Returns<R> {
    type Return = R;

    fn answer(&self) -> Answer<R> {
        Answer { succeeded: |_| true, refused: Err }
    }
}
