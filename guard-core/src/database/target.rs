//! What a caller may hand to a guarded fixture.

use std::fmt;
use std::sync::Arc;

use sqlx::PgConnection;
use sqlx::postgres::{PgConnectOptions, PgPool};

use super::GuardedTransaction;
use crate::policy::Policy;

/// A connection type that a fixture may name as its first parameter.
///
/// ```
/// # use fixture_guard_core as fixture_guard;
/// fn fits<C: fixture_guard::GuardedConnection>() {}
/// fits::<sqlx::PgConnection>();
/// fits::<fixture_guard::GuardedTransaction>();
/// ```
#[diagnostic::on_unimplemented(
    message = "the guard cannot hand out a `{Self}`",
    label = "a fixture's first parameter is `&mut` one of the guard's connections",
    note = "write `conn: &mut PgConnection`, or `conn: &mut GuardedTransaction` to call functions that demand that proof"
)]
pub trait GuardedConnection: Send {
    #[doc(hidden)]
    fn lend(transaction: &mut GuardedTransaction) -> &mut Self;
}

impl GuardedConnection for PgConnection {
    fn lend(transaction: &mut GuardedTransaction) -> &mut Self {
        transaction
    }
}

impl GuardedConnection for GuardedTransaction {
    fn lend(transaction: &mut GuardedTransaction) -> &mut Self {
        transaction
    }
}

/// What a caller may hand to a guarded fixture: a pool, connect options, a DSN, or a guarded transaction.
///
/// A bare connection is not among them: it does not say where it goes, so nothing could be judged before it is used.
///
/// ```
/// # use fixture_guard_core as fixture_guard;
/// use fixture_guard::IntoTarget;
///
/// // what `#[destructive_fixture]` makes of a method that a trait declares
/// trait Wipe {
///     async fn wipe(&self, conn: impl IntoTarget) -> sqlx::Result<()>;
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say where it goes, so the guard cannot judge it",
    label = "hand over `&pool`, connect options, a DSN, or `&mut` a guarded transaction",
    note = "for a connection or transaction of your own, begin with `fixture_guard::begin(&pool)` and pass `&mut tx`"
)]
pub trait IntoTarget<C: ?Sized = PgConnection>: Send + Sized {
    #[doc(hidden)]
    fn into_destination<'t>(self) -> Destination<'t>
    where
        Self: 't;
}

/// Where a caller wants a fixture to run.
#[doc(hidden)]
#[derive(Debug)]
pub struct Destination<'t> {
    pub(super) kind: Kind<'t>,
    pub(super) policy: Option<Arc<Policy>>,
}

pub(super) enum Kind<'t> {
    Pool(PgPool),
    Options(Box<PgConnectOptions>),
    Dsn(String),
    Nested(&'t mut GuardedTransaction),
    /// `DATABASE_URL` was to say where, and is not set.
    Unset,
}

/// Without the options, whose `Debug` holds the password.
impl std::fmt::Debug for Kind<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Pool(_) => "Pool",
            Self::Options(_) => "Options",
            Self::Dsn(_) => "Dsn",
            Self::Nested(_) => "Nested",
            Self::Unset => "Unset",
        })
    }
}

macro_rules! into_target {
    ($($(#[$doc:meta])* $from:ty => |$value:ident| $kind:expr;)*) => {$(
        $(#[$doc])*
        impl<C: ?Sized> IntoTarget<C> for $from {
            fn into_destination<'t>(self) -> Destination<'t>
            where
                Self: 't,
            {
                let $value = self;
                Destination { kind: $kind, policy: None }
            }
        }
    )*};
}

into_target! {
    &PgPool => |pool| Kind::Pool(pool.clone());
    &&PgPool => |pool| Kind::Pool((*pool).clone());
    PgPool => |pool| Kind::Pool(pool);
    &PgConnectOptions => |options| Kind::Options(Box::new(options.clone()));
    PgConnectOptions => |options| Kind::Options(Box::new(options));
    &str => |dsn| Kind::Dsn(dsn.to_owned());
    &String => |dsn| Kind::Dsn(dsn.clone());
    String => |dsn| Kind::Dsn(dsn);
    /// Nests: the fixture runs in a savepoint of this transaction.
    &mut GuardedTransaction => |outer| Kind::Nested(outer);
}

/// As `&mut GuardedTransaction`: `reset_db(&mut tx)` also where `tx` is a reference already.
#[expect(clippy::mut_mut, reason = "this is what such a call passes")]
impl<C: ?Sized> IntoTarget<C> for &mut &mut GuardedTransaction {
    fn into_destination<'t>(self) -> Destination<'t>
    where
        Self: 't,
    {
        Destination { kind: Kind::Nested(self), policy: None }
    }
}

/// A target with a policy of its own, made by [`Policy::judging`].
///
/// ```
/// # use fixture_guard_core as fixture_guard;
/// use std::sync::Arc;
///
/// use fixture_guard::{Judging, Policy};
///
/// fn locally<'d>(dsn: &'d str) -> Judging<&'d str> {
///     Arc::new(Policy::built_in()).judging(dsn)
/// }
/// ```
pub struct Judging<T> {
    policy: Arc<Policy>,
    target: T,
}

/// Without the target, which may be a DSN with its password.
impl<T> fmt::Debug for Judging<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Judging").field("policy", &self.policy.file()).finish_non_exhaustive()
    }
}

impl Policy {
    /// Puts this policy in the place of the process's own for one call: `reset_db(policy.judging(&pool))`.
    ///
    /// A transaction that is nested in keeps the policy that it was begun under.
    ///
    /// ```no_run
    /// # use fixture_guard_core as fixture_guard;
    /// # async fn example(pool: sqlx::PgPool) -> Result<(), Box<dyn std::error::Error>> {
    /// let ci = fixture_guard::Environment::destructive("ci").host("postgres")?;
    /// let policy = std::sync::Arc::new(fixture_guard::Policy::new().environment(ci)?);
    /// let tx = fixture_guard::begin(policy.judging(&pool)).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn judging<T>(self: &Arc<Self>, target: T) -> Judging<T> {
        Judging { policy: Arc::clone(self), target }
    }
}

impl<C: ?Sized, T: IntoTarget<C>> IntoTarget<C> for Judging<T> {
    fn into_destination<'t>(self) -> Destination<'t>
    where
        Self: 't,
    {
        Destination { policy: Some(self.policy), ..self.target.into_destination() }
    }
}
