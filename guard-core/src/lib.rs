//! Policy, target, identity, judge and the guarded transaction of `fixture-guard`.
//!
//! Use the facade `fixture-guard`; this crate is where its types live.

mod addresses;
mod damage;
mod database;
mod error;
mod fixture;
mod host;
mod identity;
mod journal;
mod judge;
pub mod marker;
mod pattern;
mod policy;
mod postgres;
mod reach;
mod reason;
mod refusal;
pub mod reset;
mod secrets;
mod surroundings;
mod target;
mod time_limits;
mod words;

pub use addresses::{Addresses, LookupError};
pub use damage::{Change, Count, Damage, TableDamage};
pub use database::{
    Destination, GuardedConnection, GuardedTransaction, IntoTarget, Judging, Observe, Observed, RunEnding,
    RunReport, begin, observe,
};
pub use error::{Broken, Error, FixtureError, Outcome};
pub use fixture::{Fixture, OnSuccess, Place};
pub use host::{Host, HostFlaw};
pub use identity::{Identity, StoredSetting};
#[cfg(feature = "schema")]
pub use journal::schema as journal_schema;
pub use judge::{Clearance, Fact, FactSource, Facts, expect, judge};
pub use marker::Marker;
pub use pattern::{Pattern, PatternError};
pub use policy::{
    Destruction, Environment, FILE_NAME, JournalRule, MarkerRule, Policy, PolicyError, SuperuserRule,
};
pub use reason::{Code, Reason, Rule};
pub use refusal::{Refusal, Stage, Subject};
pub use surroundings::{ENVIRONMENT_VARIABLES, Surroundings};
pub use target::{Endpoint, Flaw, InvalidDsn, Part, Target};
pub use words::{DEFAULT_WORDS, Words};

/// What expanded attributes call. Not for direct use; it may change in any release.
#[doc(hidden)]
pub mod __private {
    pub use crate::database::{
        Answer, AnswerByPanic, AnswerByResult, DatabaseUrl, Guard, Returns, Run, begin_fixture as begin,
        returned, run, test, test_that_should_panic,
    };
    pub use crate::fixture::Place;

    // what the program asks for besides
    pub use crate::database::{Inspection, inspect, look_up};
    pub use crate::error::describe;
    pub use crate::judge::{not_asked, signs_of_production};
    pub use crate::surroundings::read as read_any_dsn;

    /// The place of an attribute.
    #[doc(hidden)]
    #[macro_export]
    macro_rules! __place {
        () => {
            $crate::Place::new(
                ::core::file!(),
                ::core::line!(),
                ::core::column!(),
                ::core::option_env!("CARGO_MANIFEST_DIR"),
            )
        };
        // the policy file that was there at compile time: a run without it is refused
        ($policy:literal) => {
            $crate::Place::new(
                ::core::file!(),
                ::core::line!(),
                ::core::column!(),
                ::core::option::Option::Some(::core::concat!(
                    ::core::env!("CARGO_MANIFEST_DIR"),
                    "\0",
                    $policy
                )),
            )
        };
    }
    pub use crate::__place as place;
}
