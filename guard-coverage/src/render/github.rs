//! Workflow commands of GitHub Actions, which it shows beside the code.

use std::io;

use super::{HELP, slashed, title};
use crate::Report;

pub(super) fn write(report: &Report, out: &mut dyn io::Write) -> io::Result<()> {
    for finding in &report.findings {
        let within = finding.function.as_ref().map_or_else(String::new, |name| format!(" in `{name}`"));
        let end = if finding.line == finding.end_line {
            // GitHub's columns count from 1, and the last one is marked too
            format!(",endColumn={}", finding.end_column.saturating_sub(1).max(finding.column))
        } else {
            String::new()
        };
        writeln!(
            out,
            "::error file={},line={},endLine={},col={}{end},title={}::{}",
            property(&slashed(&finding.file)),
            finding.line,
            finding.end_line,
            finding.column,
            property(&format!("unguarded {}", title(finding))),
            message(&format!("{}{within}\n{HELP}", finding.statement)),
        )?;
    }
    for stray in &report.stray {
        let file = property(&slashed(&stray.file));
        let text = message(&stray.flaw.to_string());
        writeln!(out, "::warning file={file},line={},title=stray allow::{text}", stray.line)?;
    }
    for allowed in &report.allowed {
        let finding = &allowed.finding;
        let file = property(&slashed(&finding.file));
        let name = property(&format!("allowed {}", title(finding)));
        writeln!(
            out,
            "::notice file={file},line={},title={name}::{}",
            finding.line,
            message(&allowed.reason)
        )?;
    }
    for skipped in &report.skipped {
        let file = property(&slashed(&skipped.file));
        let line = skipped.line.map_or_else(String::new, |line| format!(",line={line}"));
        writeln!(out, "::warning file={file}{line},title=skipped::{}", message(&skipped.reason))?;
    }
    Ok(())
}

/// <https://docs.github.com/actions/reference/workflow-commands-for-github-actions>: data and properties are escaped apart.
fn message(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    message(text).replace(':', "%3A").replace(',', "%2C")
}
