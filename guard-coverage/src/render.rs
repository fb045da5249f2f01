//! Reports for people and for programs.

mod github;
mod human;
mod json;
mod sarif;

use std::io;

use crate::Report;

/// How a report is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// Pages with code frames.
    #[default]
    Human,
    /// One JSON document, of `schemas/coverage.schema.json`.
    Json,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
    /// Workflow commands that GitHub shows as annotations.
    Github,
}

/// Whether a report for people has colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Colour {
    /// ANSI escapes, for a terminal.
    Ansi,
    /// Plain text.
    #[default]
    Plain,
}

impl Report {
    /// Writes the report. Colours are only in [`Format::Human`].
    ///
    /// ```
    /// use fixture_guard_coverage::{Colour, Format, Scan};
    ///
    /// let empty = tempfile::tempdir()?;
    /// let mut page = Vec::new();
    /// Scan::of(empty.path()).run()?.write(Format::Human, Colour::Plain, &mut page)?;
    /// assert!(String::from_utf8(page)?.starts_with("no unguarded destructive statement in 0 files"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub fn write(&self, format: Format, colour: Colour, out: &mut dyn io::Write) -> io::Result<()> {
        match format {
            Format::Human => human::write(self, colour, out),
            Format::Json => json::write(self, out),
            Format::Sarif => sarif::write(self, out),
            Format::Github => github::write(self, out),
        }
    }
}

/// A path with `/` on every system.
fn slashed(path: &std::path::Path) -> String {
    path.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}

/// What a finding is about, in a few words: `TRUNCATE of users, orders`.
fn title(finding: &crate::Finding) -> String {
    match finding.tables.as_slice() {
        [] => finding.kind.to_string(),
        tables => format!("{} of {}", finding.kind, tables.join(", ")),
    }
}

/// What to do about a finding.
const HELP: &str = "mark the function with #[destructive_fixture], take a GuardedTransaction, or write `// fixture-guard: allow(reason)` above";
