//! Finds the destructive database calls of a Rust workspace that no guard of `fixture-guard` stands before.

mod render;
mod report;
mod scan;

pub use render::{Colour, Format};
pub use report::{AllowFlaw, Allowed, Finding, Kind, Place, Report, Skipped, Stray};
pub use scan::{Scan, ScanError};
