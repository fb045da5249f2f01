#![doc = include_str!("../README.md")]

// The expansion of our own attribute says `::fixture_guard`, also in this package's tests and examples.
extern crate self as fixture_guard;

pub use fixture_guard_core::{
    Addresses, Broken, Change, Clearance, Code, Count, Damage, Destruction, Endpoint, Environment, Error,
    Fact, FactSource, Facts, Fixture, FixtureError, GuardedConnection, GuardedTransaction, Host, HostFlaw,
    Identity, IntoTarget, InvalidDsn, JournalRule, Judging, Marker, MarkerRule, Observe, Observed, OnSuccess,
    Outcome, Pattern, PatternError, Place, Policy, PolicyError, Reason, Refusal, Rule, RunEnding, RunReport,
    Stage, StoredSetting, SuperuserRule, Surroundings, TableDamage, Target, Words, begin, expect, judge,
    marker, observe, reset,
};
pub use fixture_guard_macros::{destructive_fixture, guarded_test};

/// Finds the destructive database calls of a workspace that no guard stands before; with the feature `coverage`.
///
/// ```no_run
/// #[test]
/// fn every_destructive_statement_is_guarded() {
///     fixture_guard::coverage::assert_guarded!();
/// }
/// ```
#[cfg(feature = "coverage")]
pub use fixture_guard_coverage as coverage;

#[doc(hidden)]
pub use fixture_guard_core::__private;

/// The pages under `docs`: what they show compiles.
#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../docs/existing-suite.md")]
    struct ExistingSuite;
}
