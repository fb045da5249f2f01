//! Finds the destructive database calls of a Rust workspace that no guard of `fixture-guard` stands before.
//!
//! A [`Scan`] reads every Rust file below a folder, follows SQL from where it is written to where it is sent, and returns
//! a [`Report`]. [`assert_guarded!`] is the same as a test.
//!
//! # What is found
//!
//! `TRUNCATE`, `DELETE`, `DROP`, `UPDATE` without `WHERE`, `ALTER … DROP` of a column, a constraint or a partition (not
//! `DROP NOT NULL` and `DROP DEFAULT`, which lose no data), `MERGE … DELETE`, and migrations that are reverted; in any
//! statement of a text, in `WITH`, in `DO` blocks and the bodies of procedures, and in SQL that those build and `EXECUTE`.
//! The text may be a literal, a constant of another file, put together by `format!`, `concat!`, `+` or `push_str`, read
//! from a file by `include_str!`, or go through functions of the workspace before it reaches a driver. The builders of
//! diesel, `SeaORM` and `SeaQuery` count as well. What never reaches a database call is not found: a comment, a log line, a
//! message, a parser's input.
//!
//! # Where
//!
//! In `tests/`, `examples/` and `benches/`; in `#[cfg(test)]` and the files that it leads to; in features named after tests,
//! as `test-support`; in functions with a test's attribute; and in packages that others have as a dev-dependency and as
//! nothing else. [`Scan::everywhere`] reports production code too.
//!
//! # What is guarded
//!
//! The body of a function with `#[destructive_fixture]` or `#[guarded_test]`; of one that takes a `GuardedTransaction`; what
//! is sent to a value of `fixture_guard::begin`; and functions that are called, but only from such places. Calls are
//! matched by name: one caller that is not guarded, or none at all, and a function is not.
//!
//! # What is passed over
//!
//! Statements on temporary tables that the same function makes; statements under `// fixture-guard: allow(reason)`, on their
//! line, above them, or above their function, `impl` or module; files that `.gitignore` or `.fixture-guard-ignore` names.

mod assert;
mod expand;
mod facts;
mod findings;
mod follow;
mod guard;
mod literal;
mod lower;
mod modules;
mod names;
mod outline;
mod redact;
mod render;
mod report;
mod scan;
mod source;
mod sql;
mod value;
mod walk;
mod workspace;

pub use render::{Colour, Format};
pub use report::{AllowFlaw, Allowed, Finding, Kind, Place, Report, Skipped, Stray};
pub use scan::{Scan, ScanError};

/// What [`assert_guarded!`] calls. Not for direct use; it may change in any release.
#[doc(hidden)]
pub mod __private {
    pub use crate::assert::{assert_folder, assert_workspace};
}
