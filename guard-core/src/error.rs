//! What a guarded run can end with besides its own result.

use std::fmt;

use crate::database::RunEnding;
use crate::fixture::Place;
use crate::refusal::{Refusal, Subject};
use crate::target::Target;

/// What a guarded run can end with besides its own result.
///
/// A fixture's error type takes it through `From`: `sqlx::Error`, `anyhow::Error` and `Box<dyn Error>` do so already.
///
/// ```
/// # use fixture_guard_core as fixture_guard;
/// use fixture_guard::Error;
///
/// fn exit_code(error: &Error) -> u8 {
///     match error {
///         Error::Refused(_) => 3, // nothing has changed
///         Error::Broken(_) => 4,  // its `outcome` says what that means for the rows
///         _ => 1,
///     }
/// }
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The run was refused, and nothing has changed.
    Refused(Box<Refusal>),
    /// The run broke off after it had begun.
    Broken(Box<Broken>),
}

/// A run that broke off after it had begun, and what that means for the rows.
///
/// ```
/// # use fixture_guard_core as fixture_guard;
/// fn say(broken: &fixture_guard::Broken) {
///     println!("{} at {}: {:?}", broken.found(), broken.target(), broken.outcome());
/// }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Broken {
    pub(crate) subject: Subject,
    pub(crate) target: Target,
    pub(crate) outcome: Outcome,
    pub(crate) found: String,
}

/// What a run that broke off means for the rows.
///
/// ```
/// # use fixture_guard_core as fixture_guard;
/// use fixture_guard::Outcome;
///
/// fn is_as_before(outcome: &Outcome) -> bool {
///     *outcome == Outcome::RolledBack
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The server rolled everything back.
    RolledBack,
    /// The body ended the guarded transaction itself, by a raw `COMMIT` or `ROLLBACK` or in another way that the
    /// guard could not prevent. What ran after that ran unguarded.
    Escaped,
    /// The server committed, and the journal that the policy requires could not be written any more.
    Committed,
    /// The answer to `COMMIT` was lost.
    #[non_exhaustive]
    Unknown {
        /// The transaction's id: `SELECT pg_xact_status('…')` tells how it ended.
        transaction: String,
    },
}

impl Broken {
    /// What it means for the rows.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// use fixture_guard::{Broken, Outcome};
    ///
    /// fn how_to_find_out(broken: &Broken) -> Option<String> {
    ///     match broken.outcome() {
    ///         Outcome::Unknown { transaction, .. } => Some(format!("SELECT pg_xact_status('{transaction}')")),
    ///         _ => None,
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    pub(crate) fn escaped(&self) -> bool {
        self.outcome == Outcome::Escaped
    }

    /// What happened.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// fn log(broken: &fixture_guard::Broken) {
    ///     eprintln!("{}", broken.found());
    /// }
    /// ```
    #[must_use]
    pub fn found(&self) -> &str {
        &self.found
    }

    /// Where the run took place.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// fn database(broken: &fixture_guard::Broken) -> &str {
    ///     broken.target().database()
    /// }
    /// ```
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    fn meaning(&self) -> String {
        match &self.outcome {
            Outcome::RolledBack => {
                "everything that the body did in the guarded transaction was rolled back".to_owned()
            }
            Outcome::Escaped => {
                "the body ended the guarded transaction; what it did before was not committed by the guard, and what \
                 it did after ran unguarded"
                    .to_owned()
            }
            Outcome::Committed => "committed: what the body did is kept, and nobody wrote it down".to_owned(),
            Outcome::Unknown { transaction } => format!(
                "unknown: the answer to COMMIT was lost; `SELECT pg_xact_status('{transaction}')` on the server tells \
                 `committed` or `aborted`"
            ),
        }
    }

    fn help(&self) -> &'static str {
        match &self.outcome {
            Outcome::RolledBack => "fix the cause and run it again",
            Outcome::Escaped => {
                "remove COMMIT, ROLLBACK and the like from the body: the guard ends the transaction"
            }
            Outcome::Committed => "make room for the journal; this run is not in it",
            Outcome::Unknown { .. } => "ask the server before you rely on the rows",
        }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "fixture-guard broke off {}: {}", self.subject, self.found)?;
        if let Some(called) = self.subject.called {
            writeln!(f, "  called at {called}")?;
        }
        write!(
            f,
            "  target:   {}\n  outcome:  {}\n  help:     {}\n",
            self.target,
            self.meaning(),
            self.help()
        )
    }
}

impl Error {
    /// The refusal, if the run was refused.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// fn was_refused(error: &fixture_guard::Error) -> bool {
    ///     error.refusal().is_some()
    /// }
    /// ```
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            Self::Broken(_) => None,
        }
    }

    /// The run that broke off, if it did.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// use fixture_guard::{Error, Outcome};
    ///
    /// fn has_changed_nothing(error: &Error) -> bool {
    ///     error.broken().is_none_or(|broken| *broken.outcome() == Outcome::RolledBack)
    /// }
    /// ```
    #[must_use]
    pub fn broken(&self) -> Option<&Broken> {
        match self {
            Self::Broken(broken) => Some(broken),
            Self::Refused(_) => None,
        }
    }

    /// Finds a guard's error in the `sqlx::Error` that a fixture returned.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// let error = sqlx::Error::RowNotFound;
    /// assert!(fixture_guard::Error::in_sqlx(&error).is_none(), "the body's own");
    /// ```
    #[must_use]
    pub fn in_sqlx(error: &sqlx::Error) -> Option<&Self> {
        match error {
            sqlx::Error::Configuration(source) => source.downcast_ref(),
            _ => None,
        }
    }

    /// What this means for a body that ran.
    pub(crate) fn ending(&self) -> RunEnding {
        match self {
            Self::Refused(_) => RunEnding::RolledBack,
            Self::Broken(broken) => match broken.outcome {
                Outcome::RolledBack => RunEnding::RolledBack,
                Outcome::Escaped => RunEnding::Escaped,
                Outcome::Committed => RunEnding::Committed,
                Outcome::Unknown { .. } => RunEnding::Unknown,
            },
        }
    }

    pub(crate) fn called_at(mut self, place: Place) -> Self {
        let subject = match &mut self {
            Self::Refused(refusal) => &mut refusal.subject,
            Self::Broken(broken) => &mut broken.subject,
        };
        subject.called.get_or_insert(place);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => fmt::Display::fmt(refusal, f),
            Self::Broken(broken) => fmt::Display::fmt(broken, f),
        }
    }
}

/// As `Display`, because `unwrap()` shows the `Debug` of an error, and a test's reader wants the page.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// As `Display`.
impl fmt::Debug for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Error {}

/// So that a fixture which returns `sqlx::Result` can be marked. [`Error::in_sqlx`] finds it again.
impl From<Error> for sqlx::Error {
    fn from(error: Error) -> Self {
        Self::Configuration(Box::new(error))
    }
}

/// An error type that can carry a refusal.
///
/// It is implemented for every `E: From<fixture_guard::Error>`.
///
/// ```
/// # use fixture_guard_core as fixture_guard;
/// #[derive(Debug, thiserror::Error)]
/// enum ShopError {
///     #[error(transparent)]
///     Guard(#[from] fixture_guard::Error),
///     #[error(transparent)]
///     Database(#[from] sqlx::Error),
/// }
///
/// fn fits<E: fixture_guard::FixtureError>() {}
/// fits::<ShopError>();
/// fits::<sqlx::Error>();
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot carry a refusal of the guard",
    label = "a `#[destructive_fixture]` returns this error type",
    note = "with thiserror, add a variant: `#[error(transparent)] Guard(#[from] fixture_guard::Error)`",
    note = "or implement `From<fixture_guard::Error>` for it; `sqlx::Error`, `anyhow::Error` and `Box<dyn Error>` have it"
)]
pub trait FixtureError: From<Error> {}

#[diagnostic::do_not_recommend]
impl<E: From<Error>> FixtureError for E {}

/// What went wrong in the driver, without the raw values that some of its errors echo.
#[doc(hidden)]
#[must_use]
pub fn describe(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(error) => match error.code() {
            Some(code) => format!("{} (SQLSTATE {code})", error.message()),
            None => error.message().to_owned(),
        },
        sqlx::Error::Io(error) => error.to_string(),
        sqlx::Error::Tls(error) => format!("TLS: {error}"),
        sqlx::Error::PoolTimedOut => "no connection of the pool became free in time".to_owned(),
        sqlx::Error::PoolClosed => "the pool is closed".to_owned(),
        sqlx::Error::Protocol(message) => format!("unexpected answer: {message}"),
        sqlx::Error::BeginFailed => "BEGIN did not open a transaction".to_owned(),
        sqlx::Error::RowNotFound => "the server answered without a row".to_owned(),
        _ => "the driver could not use its options".to_owned(),
    }
}
