//! All the reasons against a run, at once.

use std::fmt;

use crate::fixture::Place;
use crate::reason::Reason;
use crate::target::Target;

/// A run that did not take place, with every reason against it. It has changed nothing.
///
/// `Display` is what a person reads in a test's output; the same facts stand in the accessors for programs. Neither
/// holds a password.
///
/// ```
/// # use fixture_guard_core as fixture_guard;
/// use fixture_guard::{Error, Stage};
///
/// fn never_connected(error: &sqlx::Error) -> bool {
///     let refusal = Error::in_sqlx(error).and_then(Error::refusal);
///     refusal.is_some_and(|refusal| refusal.stage() == Stage::BeforeConnecting)
/// }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Refusal {
    pub(crate) subject: Subject,
    pub(crate) target: Option<Target>,
    pub(crate) stage: Stage,
    pub(crate) reasons: Vec<Reason>,
}

/// Who asked for a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subject {
    pub(crate) fixture: Option<(&'static str, Place)>,
    /// Whether that is a guarded test.
    pub(crate) test: bool,
    pub(crate) called: Option<Place>,
}

/// How far a run came.
///
/// ```
/// # use fixture_guard_core as fixture_guard;
/// use fixture_guard::Stage;
///
/// assert_eq!(Stage::BeforeConnecting.meaning(), "no connection was opened and nothing was executed");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// No connection was opened.
    BeforeConnecting,
    /// The driver was connecting; no statement was sent.
    Connecting,
    /// The server was asked who it is; the body did not run.
    Connected,
    /// The body was running and asked for a [reset](crate::reset), which emptied nothing.
    Reset,
    /// The body ran, and what it did was rolled back.
    RolledBack,
}

impl Stage {
    /// What this means for the rows.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// assert_eq!(fixture_guard::Stage::RolledBack.meaning(), "everything that the body did was rolled back");
    /// ```
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::BeforeConnecting => "no connection was opened and nothing was executed",
            Self::Connecting => "nothing was executed",
            Self::Connected => "the body did not run and nothing was changed",
            Self::Reset => "the reset emptied nothing",
            Self::RolledBack => "everything that the body did was rolled back",
        }
    }
}

impl Refusal {
    /// The fixture's name, unless a transaction was asked for by itself.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// fn who(refusal: &fixture_guard::Refusal) -> &str {
    ///     refusal.fixture().unwrap_or("a transaction")
    /// }
    /// ```
    #[must_use]
    pub fn fixture(&self) -> Option<&'static str> {
        self.subject.fixture.map(|(name, _)| name)
    }

    /// Where the call stands, if it is known.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// fn whence(refusal: &fixture_guard::Refusal) -> Option<String> {
    ///     refusal.called().map(|place| place.to_string()) // tests/cart.rs:40:5
    /// }
    /// ```
    #[must_use]
    pub fn called(&self) -> Option<Place> {
        self.subject.called
    }

    /// The target, unless the DSN could not be read.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// fn database(refusal: &fixture_guard::Refusal) -> Option<&str> {
    ///     refusal.target().map(fixture_guard::Target::database)
    /// }
    /// ```
    #[must_use]
    pub fn target(&self) -> Option<&Target> {
        self.target.as_ref()
    }

    /// How far the run came.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// fn meaning(refusal: &fixture_guard::Refusal) -> &str {
    ///     refusal.stage().meaning()
    /// }
    /// ```
    #[must_use]
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// Every reason; never empty.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// fn codes(refusal: &fixture_guard::Refusal) -> Vec<fixture_guard::Code> {
    ///     refusal.reasons().iter().map(fixture_guard::Reason::code).collect()
    /// }
    /// ```
    #[must_use]
    pub fn reasons(&self) -> &[Reason] {
        &self.reasons
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.fixture {
            Some((name, place)) if self.test => write!(f, "the test `{name}` ({place})"),
            Some((name, place)) => write!(f, "the fixture `{name}` ({place})"),
            None => f.write_str("a guarded transaction"),
        }
    }
}

/// A page for a person: the fixture, the target, each reason with its rule and help, and what it means.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "fixture-guard refused {}", self.subject)?;
        if let Some(called) = self.subject.called {
            writeln!(f, "  called at {called}")?;
        }
        if let Some(target) = &self.target {
            writeln!(f, "  target:   {target}")?;
        }
        writeln!(f, "  outcome:  {}", self.stage.meaning())?;
        for reason in &self.reasons {
            write!(f, "\n  {reason}\n        rule: {}\n        help: {}\n", reason.rule(), reason.help())?;
        }
        Ok(())
    }
}

/// As `Display`, because `unwrap()` shows the `Debug` of an error, and a test's reader wants the page.
impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
