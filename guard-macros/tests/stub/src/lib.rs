//! Everything that an expanded `#[destructive_fixture]` calls, without a database behind it.
//!
//! The names and the signatures are those of fixture-guard, so what compiles against this crate compiles against
//! that one. A [`PgPool`] here allows or refuses, and remembers what was done with it.

pub mod sqlx;

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

pub use fixture_guard_macros::{destructive_fixture, guarded_test};

pub use crate::sqlx::{PgConnection, PgPool};

/// Why a fixture did not run.
#[derive(Debug)]
#[non_exhaustive]
pub struct Error;

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("refused: the target is not disposable")
    }
}

impl std::error::Error for Error {}

/// The static facts of one marked function.
#[derive(Debug)]
pub struct Fixture {
    /// The function's name.
    pub name: &'static str,
    /// Where its attribute stands.
    pub place: __private::Place,
    /// `hosts = […]`
    pub hosts: &'static [&'static str],
    /// `databases = […]`
    pub databases: &'static [&'static str],
    /// `environment = "…"`
    pub environment: Option<&'static str>,
    /// `tables = […]`
    pub tables: &'static [&'static str],
    /// `max_rows = …`
    pub max_rows: Option<u64>,
    /// `reach = […]`
    pub reach: &'static [&'static str],
    /// `statement_timeout = "…"`
    pub statement_timeout: Option<Duration>,
    /// `lock_timeout = "…"`
    pub lock_timeout: Option<Duration>,
    /// `on_success = "…"`
    pub on_success: OnSuccess,
}

/// What happens to a transaction whose body succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnSuccess {
    /// It is committed.
    Commit,
    /// It is rolled back.
    Rollback,
}

impl Fixture {
    /// A fixture that narrows nothing.
    #[must_use]
    pub const fn new(name: &'static str, place: __private::Place) -> Self {
        Self {
            name,
            place,
            hosts: &[],
            databases: &[],
            environment: None,
            tables: &[],
            max_rows: None,
            reach: &[],
            statement_timeout: None,
            lock_timeout: None,
            on_success: OnSuccess::Commit,
        }
    }

    /// Narrows to hosts.
    #[must_use]
    pub const fn hosts(self, hosts: &'static [&'static str]) -> Self {
        Self { hosts, ..self }
    }

    /// Narrows to databases.
    #[must_use]
    pub const fn databases(self, databases: &'static [&'static str]) -> Self {
        Self { databases, ..self }
    }

    /// Narrows to one environment.
    #[must_use]
    pub const fn environment(self, environment: &'static str) -> Self {
        Self { environment: Some(environment), ..self }
    }

    /// Declares the tables that it writes.
    #[must_use]
    pub const fn tables(self, tables: &'static [&'static str]) -> Self {
        Self { tables, ..self }
    }

    /// Declares how many rows it removes at most.
    #[must_use]
    pub const fn max_rows(self, max_rows: u64) -> Self {
        Self { max_rows: Some(max_rows), ..self }
    }

    /// Declares what reaches out of the database.
    #[must_use]
    pub const fn reach(self, reach: &'static [&'static str]) -> Self {
        Self { reach, ..self }
    }

    /// Limits its statements.
    #[must_use]
    pub const fn statement_timeout(self, limit: Duration) -> Self {
        Self { statement_timeout: Some(limit), ..self }
    }

    /// Limits how long it waits for locks.
    #[must_use]
    pub const fn lock_timeout(self, limit: Duration) -> Self {
        Self { lock_timeout: Some(limit), ..self }
    }

    /// Says that it is a guarded test.
    #[must_use]
    pub const fn test(self) -> Self {
        Self { on_success: OnSuccess::Rollback, ..self }
    }

    /// Declares how a transaction ends whose body succeeded.
    #[must_use]
    pub const fn on_success(self, on_success: OnSuccess) -> Self {
        Self { on_success, ..self }
    }
}

/// A connection that the guard can lend to a body.
#[diagnostic::on_unimplemented(
    message = "a fixture cannot take `&mut {Self}`",
    label = "not a connection that the guard can lend",
    note = "write `conn: &mut PgConnection`, or `&mut GuardedTransaction`"
)]
pub trait GuardedConnection: Send + 'static {
    #[doc(hidden)]
    fn lent(transaction: &mut GuardedTransaction) -> &mut Self;
}

impl GuardedConnection for PgConnection {
    fn lent(transaction: &mut GuardedTransaction) -> &mut Self {
        transaction
    }
}

impl GuardedConnection for GuardedTransaction {
    fn lent(transaction: &mut GuardedTransaction) -> &mut Self {
        transaction
    }
}

/// What a caller may hand to a fixture that takes `&mut C`.
///
/// `C` has its bound where the guard lends it, so that a wrong one is one error and not three.
/// `Send`, so that the future of a fixture is `Send` whatever the caller passes.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a target that can be guarded",
    label = "expected `&PgPool`, connect options, a DSN, or a guarded transaction"
)]
pub trait IntoTarget<C>: Send {
    #[doc(hidden)]
    fn into_transaction(self) -> Result<GuardedTransaction, Error>;
}

impl<C> IntoTarget<C> for &PgPool {
    fn into_transaction(self) -> Result<GuardedTransaction, Error> {
        self.note("begin");
        let connection = PgConnection::of(self);
        if self.is_disposable() { Ok(GuardedTransaction { connection, fixture: None }) } else { Err(Error) }
    }
}

impl<C> IntoTarget<C> for PgPool {
    fn into_transaction(self) -> Result<GuardedTransaction, Error> {
        IntoTarget::<C>::into_transaction(&self)
    }
}

impl<C> IntoTarget<C> for &mut GuardedTransaction {
    fn into_transaction(self) -> Result<GuardedTransaction, Error> {
        IntoTarget::<C>::into_transaction(&self.connection.pool)
    }
}

impl<C> IntoTarget<C> for &str {
    fn into_transaction(self) -> Result<GuardedTransaction, Error> {
        Err(Error)
    }
}

/// A transaction that only the guard can commit.
#[derive(Debug)]
pub struct GuardedTransaction {
    connection: PgConnection,
    fixture: Option<&'static Fixture>,
}

impl GuardedTransaction {
    /// The fixture that it runs for.
    #[must_use]
    pub const fn fixture(&self) -> Option<&'static Fixture> {
        self.fixture
    }
}

impl Deref for GuardedTransaction {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for GuardedTransaction {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}

/// Begins a transaction that nobody commits.
///
/// # Errors
///
/// When the pool is not disposable.
#[expect(clippy::unused_async, reason = "as in the real library")]
pub async fn begin(pool: &PgPool) -> Result<GuardedTransaction, Error> {
    IntoTarget::<PgConnection>::into_transaction(pool)
}

/// The error type of a fixture: one that a refusal turns into.
#[diagnostic::on_unimplemented(
    message = "a refusal cannot become `{Self}`, the error type of this fixture",
    label = "does not implement `From<fixture_guard::Error>`",
    note = "write `impl From<fixture_guard::Error> for {Self}`, or return a `Result` with another error type"
)]
pub trait FixtureError {
    #[doc(hidden)]
    fn from_refusal(error: Error) -> Self;
}

#[diagnostic::do_not_recommend]
impl<E: From<Error>> FixtureError for E {
    fn from_refusal(error: Error) -> Self {
        error.into()
    }
}

#[doc(hidden)]
pub mod __private {
    use std::marker::PhantomData;
    use std::panic::Location;

    use super::{Error, Fixture, FixtureError, GuardedConnection, GuardedTransaction, IntoTarget};

    pub use crate::__place as place;

    /// Where an attribute stands.
    #[derive(Debug)]
    pub struct Place {
        pub file: &'static str,
        pub line: u32,
        pub column: u32,
        pub module_path: &'static str,
        pub manifest_dir: Option<&'static str>,
    }

    #[macro_export]
    #[doc(hidden)]
    macro_rules! __place {
        ($($policy:literal)?) => {
            $crate::__private::Place {
                file: ::core::file!(),
                line: ::core::line!(),
                column: ::core::column!(),
                module_path: ::core::module_path!(),
                manifest_dir: ::core::option_env!("CARGO_MANIFEST_DIR"),
            }
        };
    }

    /// Chooses how a fixture that returns `R` answers a refusal, by method resolution on a reference to it.
    pub struct Returns<R>(PhantomData<fn() -> R>);

    impl<R> Returns<R> {
        pub const TYPE: Self = Self(PhantomData);
    }

    /// How a fixture that returns `R` answers a refusal.
    ///
    /// Function pointers and no trait, so that a missing [`FixtureError`] is one error, at the fixture's error type.
    pub struct Answer<R> {
        refuse: fn(Error, &'static Location<'static>) -> R,
        is_failure: fn(&R) -> bool,
    }

    impl<R> Clone for Answer<R> {
        fn clone(&self) -> Self {
            *self
        }
    }

    impl<R> Copy for Answer<R> {}

    pub trait AnswerByResult<T, E> {
        fn answer(&self) -> Answer<Result<T, E>>
        where
            E: FixtureError;
    }

    impl<T, E> AnswerByResult<T, E> for Returns<Result<T, E>> {
        fn answer(&self) -> Answer<Result<T, E>>
        where
            E: FixtureError,
        {
            Answer { refuse: |error, _| Err(E::from_refusal(error)), is_failure: Result::is_err }
        }
    }

    pub trait AnswerByPanic<R> {
        fn answer(&self) -> Answer<R>;
    }

    impl<R> AnswerByPanic<R> for &Returns<R> {
        fn answer(&self) -> Answer<R> {
            Answer { refuse: |error, caller| panic!("{error} (called at {caller})"), is_failure: |_| false }
        }
    }

    #[track_caller]
    pub fn run<R, F: Future<Output = Result<R, Error>>>(
        _fixture: &'static Fixture,
        answer: Answer<R>,
        running: F,
    ) -> impl Future<Output = R> {
        let caller = Location::caller();
        async move {
            match running.await {
                Ok(returned) => returned,
                Err(error) => (answer.refuse)(error, caller),
            }
        }
    }

    pub struct Guard(GuardedTransaction);

    #[expect(clippy::unused_async, reason = "as in the real library")]
    pub async fn begin<C>(fixture: &'static Fixture, target: impl IntoTarget<C>) -> Result<Guard, Error> {
        let transaction = target.into_transaction()?;
        Ok(Guard(GuardedTransaction { fixture: Some(fixture), ..transaction }))
    }

    impl Guard {
        pub fn lend<C: GuardedConnection>(&mut self) -> &mut C {
            C::lent(&mut self.0)
        }

        #[expect(clippy::unused_async, reason = "as in the real library")]
        pub async fn finish<R>(self, returned: R, answer: Answer<R>) -> Result<R, Error> {
            let end = if (answer.is_failure)(&returned) { "rollback" } else { "commit" };
            self.0.connection.pool.note(end);
            Ok(returned)
        }
    }

    /// Stands in for `DATABASE_URL`.
    pub struct DatabaseUrl;

    impl<C> IntoTarget<C> for DatabaseUrl {
        fn into_transaction(self) -> Result<GuardedTransaction, Error> {
            IntoTarget::<C>::into_transaction(super::PgPool::disposable())
        }
    }

    pub fn test<C: GuardedConnection, T: IntoTarget<C>, R>(
        fixture: &'static Fixture,
        target: impl AsyncFnOnce() -> T,
        body: impl AsyncFnOnce(&mut C) -> R,
    ) -> R {
        run_test(fixture, target, body).unwrap_or_else(|error| panic!("{error}"))
    }

    pub fn test_that_should_panic<C: GuardedConnection, T: IntoTarget<C>, R>(
        fixture: &'static Fixture,
        target: impl AsyncFnOnce() -> T,
        body: impl AsyncFnOnce(&mut C) -> R,
    ) {
        drop(run_test(fixture, target, body));
    }

    fn run_test<C: GuardedConnection, T: IntoTarget<C>, R>(
        fixture: &'static Fixture,
        target: impl AsyncFnOnce() -> T,
        body: impl AsyncFnOnce(&mut C) -> R,
    ) -> Result<R, Error> {
        let mut running = std::pin::pin!(async {
            let transaction = target().await.into_transaction()?;
            let mut transaction = GuardedTransaction { fixture: Some(fixture), ..transaction };
            Ok(body(C::lent(&mut transaction)).await)
        });
        match running.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
            std::task::Poll::Ready(returned) => returned,
            std::task::Poll::Pending => panic!("it waits for something"),
        }
    }

    /// Tells the compiler what a body returns, in a branch that is never taken.
    #[must_use]
    pub fn returned<R>() -> R {
        unreachable!("names a type and is never called")
    }
}
