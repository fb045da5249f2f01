//! What an expanded `#[guarded_test]` calls.
//!
//! A test runs on a runtime of its own, as under `#[tokio::test]`: what it spawned ends with it. A connection would end
//! with it too, and a new one costs more than the rest of a guarded test. So connections belong to a runtime in the
//! background, which lives as long as the process, one pool for each target; a test's transaction is begun and rolled
//! back there, and used from the test's own thread in between.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use once_cell::sync::OnceCell;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use tokio::runtime::{Builder, Handle};

use super::target::{Destination, GuardedConnection, IntoTarget, Kind};
use super::transaction::{GuardedTransaction, refuse};
use crate::error::Error;
use crate::fixture::Fixture;
use crate::reason::{Code, Reason, Rule};
use crate::refusal::Stage;
use crate::surroundings::Surroundings;
use crate::target::Target;

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
        let (mut transaction, home) = begin(fixture, destination).await?;
        let returned = body(C::lend(&mut transaction)).await;
        let rolled_back = match home {
            Home::Background(background) => background.run(transaction.rollback()).await,
            Home::Here => transaction.rollback().await,
        };
        rolled_back.map(|()| returned)
    })
}

/// Which runtime a transaction's connection belongs to.
enum Home {
    /// The caller's pool belongs to the test's.
    Here,
    Background(&'static Background),
}

async fn begin(
    fixture: &'static Fixture,
    Destination { kind, policy }: Destination<'_>,
) -> Result<(GuardedTransaction, Home), Error> {
    let subject = fixture.subject(None);
    let refused = |rule, found: &str, help: &'static str| {
        let reasons = vec![Reason::new(Code::InvalidDsn, Rule::built_in(rule), found, help)];
        Err(refuse(subject, None, Stage::BeforeConnecting, reasons))
    };
    let here = async |kind| {
        let opened = GuardedTransaction::open_uncommitted(subject, Some(fixture), kind, policy.clone()).await;
        opened.map(|transaction| (transaction, Home::Here))
    };
    let options = match kind {
        Kind::Options(options) => *options,
        Kind::Dsn(dsn) => {
            // one that cannot be read is refused where all others are
            let Ok((_, options)) = Target::from_postgres_dsn(&dsn) else { return here(Kind::Dsn(dsn)).await };
            options
        }
        Kind::Pool(pool) => return here(Kind::Pool(pool)).await,
        Kind::Nested(_) => {
            return refused(
                "a guarded test is begun on a database",
                "the target is a guarded transaction already",
                "write a target that is not one, such as a DSN",
            );
        }
        Kind::Unset => {
            return refused(
                "a guarded test must know its database",
                "DATABASE_URL is not set, and the test names no other target (a `.env` file is not read)",
                "set DATABASE_URL, or write `#[guarded_test(target = …)]` with a DSN, connect options or a pool",
            );
        }
    };
    let background = Background::of_process();
    let kind = Kind::Pool(background.pool(&options));
    let opened =
        background.run(GuardedTransaction::open_uncommitted(subject, Some(fixture), kind, policy)).await;
    opened.map(|transaction| (transaction, Home::Background(background)))
}

/// The runtime that the connections of guarded tests belong to.
struct Background {
    runtime: Handle,
    /// By everything that the options say. That holds the password, as the options do; it is shown nowhere.
    pools: Mutex<HashMap<String, PgPool>>,
}

/// The real limit is the number of threads that run tests, each of which has one connection.
const CONNECTIONS: u32 = 1_000;

/// A pool tries again when it finds nobody listening; a test should fail soon.
const ACQUIRE_LIMIT: Duration = Duration::from_secs(8);

impl Background {
    fn of_process() -> &'static Self {
        static PROCESS: OnceCell<Background> = OnceCell::new();
        PROCESS.get_or_init(|| {
            let runtime = Builder::new_current_thread().enable_all().build();
            let runtime = runtime.expect("a runtime for the connections of guarded tests");
            let handle = runtime.handle().clone();
            std::thread::Builder::new()
                .name("fixture-guard".to_owned())
                .spawn(move || runtime.block_on(std::future::pending::<()>()))
                .expect("a thread for the connections of guarded tests");
            Self { runtime: handle, pools: Mutex::default() }
        })
    }

    fn pool(&self, options: &PgConnectOptions) -> PgPool {
        let _entered = self.runtime.enter();
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        let pool = || {
            let pool = PgPoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(ACQUIRE_LIMIT);
            pool.connect_lazy_with(options.clone())
        };
        pools.entry(format!("{options:?}")).or_insert_with(pool).clone()
    }

    /// Runs a future where the connections are at home.
    async fn run<R: Send + 'static>(&self, future: impl Future<Output = R> + Send + 'static) -> R {
        match self.runtime.spawn(future).await {
            Ok(returned) => returned,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => unreachable!("the runtime in the background ends with the process"),
            },
        }
    }
}
