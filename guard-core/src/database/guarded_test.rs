//! What an expanded `#[guarded_test]` calls.
//!
//! A test runs on a runtime of its own, as under `#[tokio::test]`: what it spawned ends with it. Its connection is one of
//! the guard's own, which stay for the next test.

use tokio::runtime::Builder;

use super::refusals::refuse;
use super::target::{Destination, GuardedConnection, IntoTarget, Kind};
use super::transaction::GuardedTransaction;
use crate::error::Error;
use crate::fixture::Fixture;
use crate::reason::{Code, Reason, Rule};
use crate::refusal::Stage;
use crate::surroundings::Surroundings;

/// Where a guarded test goes that does not say where: `DATABASE_URL`.
#[derive(Debug)]
pub struct DatabaseUrl;

impl<C: ?Sized> IntoTarget<C> for DatabaseUrl {
    fn into_destination<'t>(self) -> Destination<'t>
    where
        Self: 't,
    {
        let dsn = Surroundings::of_process().get(VARIABLE);
        Destination { kind: dsn.map_or(Kind::Unset, |dsn| Kind::Dsn(dsn.to_owned())), policy: None }
    }
}

const VARIABLE: &str = "DATABASE_URL";

/// Runs a guarded test: begins, lends, rolls back.
///
/// # Panics
///
/// With the refusal, if the transaction cannot be begun; with what was found, if the body has ended it itself.
#[track_caller]
pub fn test<C, T, R>(
    fixture: &'static Fixture,
    target: impl AsyncFnOnce() -> T,
    body: impl AsyncFnOnce(&mut C) -> R,
) -> R
where
    C: GuardedConnection + ?Sized,
    T: IntoTarget<C>,
{
    match run(fixture, target, body) {
        Ok(returned) => returned,
        Err(error) => panic!("{error}"), // at the attribute, which is our caller
    }
}

/// As [`test`], for a test that should panic. A refusal must not pass for that panic, so that here it is printed, and
/// the test fails because it did not panic.
///
/// # Panics
///
/// With the body.
pub fn test_that_should_panic<C, T, R>(
    fixture: &'static Fixture,
    target: impl AsyncFnOnce() -> T,
    body: impl AsyncFnOnce(&mut C) -> R,
) where
    C: GuardedConnection + ?Sized,
    T: IntoTarget<C>,
{
    if let Err(error) = run(fixture, target, body) {
        eprintln!("{error}");
    }
}

fn run<C, T, R>(
    fixture: &'static Fixture,
    target: impl AsyncFnOnce() -> T,
    body: impl AsyncFnOnce(&mut C) -> R,
) -> Result<R, Error>
where
    C: GuardedConnection + ?Sized,
    T: IntoTarget<C>,
{
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime for the test");
    runtime.block_on(async {
        let destination = target().await.into_destination();
        let mut transaction = begin(fixture, destination).await?;
        let returned = body(C::lend(&mut transaction)).await;
        transaction.rollback().await.map(|()| returned)
    })
}

async fn begin(
    fixture: &'static Fixture,
    Destination { kind, policy }: Destination<'_>,
) -> Result<GuardedTransaction, Error> {
    let subject = fixture.subject(None);
    let refused = |rule, found: &str, help: &'static str| {
        let reasons = vec![Reason::new(Code::InvalidDsn, Rule::built_in(rule), found, help)];
        Err(refuse(subject, None, Stage::BeforeConnecting, reasons))
    };
    match kind {
        Kind::Nested(_) => refused(
            "a guarded test is begun on a database",
            "the target is a guarded transaction already",
            "write a target that is not one, such as a DSN",
        ),
        Kind::Unset => refused(
            "a guarded test must know its database",
            "DATABASE_URL is not set, and the test names no other target (a `.env` file is not read)",
            "set DATABASE_URL, or write `#[guarded_test(target = …)]` with a DSN, connect options or a pool",
        ),
        kind => GuardedTransaction::open_uncommitted(subject, Some(fixture), kind, policy).await,
    }
}
