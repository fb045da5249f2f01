//! The static facts of one marked function.

use std::fmt;
use std::time::Duration;

use once_cell::sync::OnceCell;

use crate::pattern::{Pattern, PatternError};
use crate::refusal::Subject;

/// What an attribute says about its function: name, place, what it narrows, what it declares.
///
/// The attribute makes one `static` of these for each marked function. An attribute can only narrow what the policy
/// allows, never widen it.
///
/// ```
/// # use fixture_guard_core as fixture_guard;
/// use fixture_guard::{Fixture, OnSuccess, Place};
///
/// // what `#[destructive_fixture(hosts = ["*-staging*"], tables = ["categories"], max_rows = 100)]` says
/// static RESET: Fixture = Fixture::new("reset_db", Place::new(file!(), line!(), column!(), None))
///     .hosts(&["*-staging*"])
///     .tables(&["categories"])
///     .max_rows(100)
///     .on_success(OnSuccess::Commit);
/// assert_eq!(RESET.name(), "reset_db");
/// ```
#[derive(Debug)]
pub struct Fixture {
    pub(crate) name: &'static str,
    pub(crate) place: Place,
    pub(crate) hosts: &'static [&'static str],
    pub(crate) databases: &'static [&'static str],
    pub(crate) environment: Option<&'static str>,
    pub(crate) tables: &'static [&'static str],
    pub(crate) max_rows: Option<u64>,
    pub(crate) reach: &'static [&'static str],
    pub(crate) statement_timeout: Option<Duration>,
    pub(crate) lock_timeout: Option<Duration>,
    pub(crate) on_success: OnSuccess,
    /// Whether this is a guarded test, which never commits.
    pub(crate) test: bool,
    narrowing: OnceCell<Narrowing>,
}

/// What happens after a body that succeeded.
///
/// ```
/// # use fixture_guard_core as fixture_guard;
/// // `#[destructive_fixture(on_success = "rollback")]` says the other
/// assert_eq!(fixture_guard::OnSuccess::default(), fixture_guard::OnSuccess::Commit);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OnSuccess {
    /// The guard commits.
    #[default]
    Commit,
    /// The guard rolls back: the fixture runs, is checked, and leaves nothing.
    Rollback,
}

/// Where an attribute or a call stands in the user's code.
///
/// ```
/// # use fixture_guard_core as fixture_guard;
/// assert_eq!(fixture_guard::Place::new("tests/cart.rs", 40, 5, None).to_string(), "tests/cart.rs:40:5");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub(crate) file: &'static str,
    pub(crate) line: u32,
    pub(crate) column: u32,
    /// The directory of the crate's `Cargo.toml` at compile time; after a NUL, the policy file that was there then.
    pub(crate) manifest_dir: Option<&'static str>,
}

impl Place {
    /// A place as `file!()`, `line!()` and `column!()` give it, and `option_env!("CARGO_MANIFEST_DIR")`.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// let here = fixture_guard::Place::new(file!(), line!(), column!(), option_env!("CARGO_MANIFEST_DIR"));
    /// # let _ = here;
    /// ```
    #[must_use]
    pub const fn new(file: &'static str, line: u32, column: u32, manifest_dir: Option<&'static str>) -> Self {
        Self { file, line, column, manifest_dir }
    }
}

impl From<&'static std::panic::Location<'static>> for Place {
    fn from(location: &'static std::panic::Location<'static>) -> Self {
        Self::new(location.file(), location.line(), location.column(), None)
    }
}

/// `tests/fixtures.rs:12:1`.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

impl Fixture {
    /// A fixture that narrows and declares nothing.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// use fixture_guard::{Fixture, Place};
    ///
    /// const RESET: Fixture = Fixture::new("reset_db", Place::new(file!(), line!(), column!(), None));
    /// assert_eq!(RESET.name(), "reset_db");
    /// ```
    #[must_use]
    pub const fn new(name: &'static str, place: Place) -> Self {
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
            test: false,
            narrowing: OnceCell::new(),
        }
    }

    /// Allows only hosts that match one of these patterns, and that the policy allows.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// # use fixture_guard::{Fixture, Place};
    /// # const RESET: Fixture = Fixture::new("reset_db", Place::new("", 1, 1, None));
    /// const STAGING: Fixture = RESET.hosts(&["*-staging*", "localhost"]);
    /// # let _ = STAGING;
    /// ```
    #[must_use]
    pub const fn hosts(mut self, patterns: &'static [&'static str]) -> Self {
        self.hosts = patterns;
        self
    }

    /// Allows only databases that match one of these patterns, and that the policy allows.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// # use fixture_guard::{Fixture, Place};
    /// # const RESET: Fixture = Fixture::new("reset_db", Place::new("", 1, 1, None));
    /// const SHOP: Fixture = RESET.databases(&["shop_test_*"]);
    /// # let _ = SHOP;
    /// ```
    #[must_use]
    pub const fn databases(mut self, patterns: &'static [&'static str]) -> Self {
        self.databases = patterns;
        self
    }

    /// Allows only this environment of the policy.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// # use fixture_guard::{Fixture, Place};
    /// # const RESET: Fixture = Fixture::new("reset_db", Place::new("", 1, 1, None));
    /// const STAGING: Fixture = RESET.environment("staging");
    /// # let _ = STAGING;
    /// ```
    #[must_use]
    pub const fn environment(mut self, name: &'static str) -> Self {
        self.environment = Some(name);
        self
    }

    /// Declares the tables that the body writes; a write to any other rolls everything back.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// # use fixture_guard::{Fixture, Place};
    /// # const RESET: Fixture = Fixture::new("reset_db", Place::new("", 1, 1, None));
    /// const ORDERS: Fixture = RESET.tables(&["orders", "billing.invoices"]);
    /// # let _ = ORDERS;
    /// ```
    #[must_use]
    pub const fn tables(mut self, names: &'static [&'static str]) -> Self {
        self.tables = names;
        self
    }

    /// Declares how many rows the body may remove at most.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// # use fixture_guard::{Fixture, Place};
    /// # const RESET: Fixture = Fixture::new("reset_db", Place::new("", 1, 1, None));
    /// const SMALL: Fixture = RESET.tables(&["orders"]).max_rows(100);
    /// # let _ = SMALL;
    /// ```
    #[must_use]
    pub const fn max_rows(mut self, rows: u64) -> Self {
        self.max_rows = Some(rows);
        self
    }

    /// Declares what the body's statements may touch beyond its tables, as in `trigger:audit_log`.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// # use fixture_guard::{Fixture, Place};
    /// # const RESET: Fixture = Fixture::new("reset_db", Place::new("", 1, 1, None));
    /// const AUDITED: Fixture = RESET.tables(&["orders"]).reach(&["trigger:audit_log"]);
    /// # let _ = AUDITED;
    /// ```
    #[must_use]
    pub const fn reach(mut self, declared: &'static [&'static str]) -> Self {
        self.reach = declared;
        self
    }

    /// Limits how long a statement of the body may take. Where the environment states a limit as well, the shorter
    /// one counts.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// # use fixture_guard::{Fixture, Place};
    /// # const RESET: Fixture = Fixture::new("reset_db", Place::new("", 1, 1, None));
    /// const SLOW: Fixture = RESET.statement_timeout(std::time::Duration::from_secs(120));
    /// # let _ = SLOW;
    /// ```
    #[must_use]
    pub const fn statement_timeout(mut self, limit: Duration) -> Self {
        self.statement_timeout = Some(limit);
        self
    }

    /// Limits how long a statement of the body may wait for a lock. Where the environment states a limit as well, the
    /// shorter one counts.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// # use fixture_guard::{Fixture, Place};
    /// # const RESET: Fixture = Fixture::new("reset_db", Place::new("", 1, 1, None));
    /// const PATIENT: Fixture = RESET.lock_timeout(std::time::Duration::from_secs(10));
    /// # let _ = PATIENT;
    /// ```
    #[must_use]
    pub const fn lock_timeout(mut self, limit: Duration) -> Self {
        self.lock_timeout = Some(limit);
        self
    }

    /// What happens after a body that succeeded.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// # use fixture_guard::{Fixture, OnSuccess, Place};
    /// # const RESET: Fixture = Fixture::new("reset_db", Place::new("", 1, 1, None));
    /// const REHEARSAL: Fixture = RESET.on_success(OnSuccess::Rollback);
    /// # let _ = REHEARSAL;
    /// ```
    #[must_use]
    pub const fn on_success(mut self, on_success: OnSuccess) -> Self {
        self.on_success = on_success;
        self
    }

    /// Says that the function is a guarded test.
    #[doc(hidden)]
    #[must_use]
    pub const fn test(mut self) -> Self {
        self.test = true;
        self
    }

    /// The function's name.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// # use fixture_guard::{Fixture, Place};
    /// assert_eq!(Fixture::new("reset_db", Place::new("", 1, 1, None)).name(), "reset_db");
    /// ```
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Where the attribute stands.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// # use fixture_guard::{Fixture, Place};
    /// let fixture = Fixture::new("reset_db", Place::new("tests/fixtures.rs", 12, 1, None));
    /// assert_eq!(fixture.place().to_string(), "tests/fixtures.rs:12:1");
    /// ```
    #[must_use]
    pub fn place(&self) -> Place {
        self.place
    }

    /// As who asks for a run.
    pub(crate) fn subject(&self, called: Option<Place>) -> Subject {
        Subject { fixture: Some((self.name, self.place)), test: self.test, called }
    }

    /// The attribute's patterns, read once.
    pub(crate) fn narrowing(&self) -> Result<&Narrowing, PatternError> {
        self.narrowing.get_or_try_init(|| {
            Ok(Narrowing {
                hosts: self.hosts.iter().map(|written| Pattern::host(written)).collect::<Result<_, _>>()?,
                databases: self
                    .databases
                    .iter()
                    .map(|written| Pattern::name(written))
                    .collect::<Result<_, _>>()?,
                environment: self.environment,
                place: self.place,
            })
        })
    }
}

/// What an attribute narrows, ready to be compared.
#[derive(Debug)]
pub struct Narrowing {
    pub(crate) hosts: Vec<Pattern>,
    pub(crate) databases: Vec<Pattern>,
    pub(crate) environment: Option<&'static str>,
    pub(crate) place: Place,
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_place_carries_the_policy_file_that_the_attribute_saw() {
        let directory = env!("CARGO_MANIFEST_DIR");
        assert_eq!(crate::__private::place!().manifest_dir, Some(directory));
        let seen = crate::__private::place!("/srv/shop/fixture-guard.toml");
        assert_eq!(seen.manifest_dir, Some(format!("{directory}\0/srv/shop/fixture-guard.toml").as_str()));
    }
}
