//! Finds the destructive database calls of a Rust workspace that no guard of `fixture-guard` stands before.

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
