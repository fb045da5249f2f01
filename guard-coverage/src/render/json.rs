//! One document for programs, of `schemas/coverage.schema.json`.

use std::io;

use serde::Serialize;

use super::slashed;
use crate::{AllowFlaw, Finding, Report};

#[derive(Serialize)]
struct Document {
    version: u32,
    clean: bool,
    files: usize,
    lines: usize,
    findings: Vec<Entry>,
    allowed: Vec<AllowedEntry>,
    stray: Vec<StrayEntry>,
    skipped: Vec<SkippedEntry>,
}

#[derive(Serialize)]
struct Entry {
    file: String,
    line: usize,
    column: usize,
    end_line: usize,
    end_column: usize,
    kind: &'static str,
    statement: String,
    tables: Vec<String>,
    function: Option<String>,
    call: String,
    text: Option<PlaceEntry>,
}

#[derive(Serialize)]
struct PlaceEntry {
    file: String,
    line: usize,
}

#[derive(Serialize)]
struct AllowedEntry {
    #[serde(flatten)]
    finding: Entry,
    reason: String,
    comment_line: usize,
}

#[derive(Serialize)]
struct StrayEntry {
    file: String,
    line: usize,
    flaw: &'static str,
}

#[derive(Serialize)]
struct SkippedEntry {
    file: String,
    line: Option<usize>,
    reason: String,
}

impl From<&Finding> for Entry {
    fn from(finding: &Finding) -> Self {
        let text = finding.text.as_ref();
        Self {
            file: slashed(&finding.file),
            line: finding.line,
            column: finding.column,
            end_line: finding.end_line,
            end_column: finding.end_column,
            kind: finding.kind.name(),
            statement: finding.statement.clone(),
            tables: finding.tables.clone(),
            function: finding.function.clone(),
            call: finding.call.clone(),
            text: text.map(|text| PlaceEntry { file: slashed(&text.file), line: text.line }),
        }
    }
}

pub(super) fn write(report: &Report, out: &mut dyn io::Write) -> io::Result<()> {
    let allowed = report.allowed.iter().map(|allowed| AllowedEntry {
        finding: Entry::from(&allowed.finding),
        reason: allowed.reason.clone(),
        comment_line: allowed.line,
    });
    let stray = report.stray.iter().map(|stray| StrayEntry {
        file: slashed(&stray.file),
        line: stray.line,
        flaw: match stray.flaw {
            AllowFlaw::NoReason => "no_reason",
            AllowFlaw::SilencesNothing => "silences_nothing",
        },
    });
    let skipped = report.skipped.iter().map(|skipped| SkippedEntry {
        file: slashed(&skipped.file),
        line: skipped.line,
        reason: skipped.reason.clone(),
    });
    let document = Document {
        version: 1,
        clean: report.is_clean(),
        files: report.files,
        lines: report.lines,
        findings: report.findings.iter().map(Entry::from).collect(),
        allowed: allowed.collect(),
        stray: stray.collect(),
        skipped: skipped.collect(),
    };
    serde_json::to_writer_pretty(&mut *out, &document)?;
    writeln!(out)
}
