#![doc = include_str!("../README.md")]

// The expansion of our own attribute says `::fixture_guard`, also in this package's tests and examples.
extern crate self as fixture_guard;

pub use fixture_guard_core::{
    Addresses, Broken, Change, Clearance, Code, Count, Damage, Destruction, Endpoint, Environment, Error,
    Facts, Fixture, FixtureError, GuardedConnection, GuardedTransaction, Host, HostFlaw, Identity,
    IntoTarget, InvalidDsn, JournalRule, Judging, Marker, MarkerRule, Observe, Observed, OnSuccess, Outcome,
    Pattern, PatternError, Place, Policy, PolicyError, Reason, Refusal, Rule, RunEnding, RunReport, Stage,
    StoredSetting, SuperuserRule, Surroundings, TableDamage, Target, Words, begin, judge, marker, observe,
    reset,
};
pub use fixture_guard_macros::{destructive_fixture, guarded_test};

#[doc(hidden)]
pub use fixture_guard_core::__private;

/// The pages under `docs`: what they show compiles.
#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../docs/existing-suite.md")]
    struct ExistingSuite;
}
