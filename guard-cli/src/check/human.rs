//! For people.

use std::fmt::Write;

use crate::output::{BAD, BOLD, DIM, GOOD, UNSURE};

use super::report::{Asked, Report, Verdict};

pub(super) fn render(report: &Report) -> String {
    let mut text = String::new();
    // writing to a String does not fail
    let _ = write(report, &mut text);
    text
}

fn write(report: &Report, text: &mut String) -> std::fmt::Result {
    if let Some(target) = &report.target {
        writeln!(text, "{BOLD}{target}{BOLD:#}")?;
    }
    if let Some(policy) = &report.policy {
        line(text, "policy", "", &policy.shown)?;
    }
    for fact in &report.facts {
        line(text, fact.source().as_str(), fact.name(), fact.value())?;
    }
    if report.asked != Asked::Yes {
        line(text, "server", "", report.asked.meaning())?;
    }
    let (style, word) = match &report.verdict {
        Verdict::Yes(_) => (GOOD, "yes"),
        Verdict::No(_) => (BAD, "no"),
        Verdict::Unknown(_) => (UNSURE, "unknown"),
    };
    writeln!(text, "\n{style}{word}:{style:#} {}", report.sentence())?;
    for reason in report.reasons() {
        writeln!(text, "\n  {BOLD}{}{BOLD:#}: {}", reason.code(), reason.found())?;
        writeln!(text, "        {DIM}rule:{DIM:#} {}", reason.rule())?;
        writeln!(text, "        {DIM}help:{DIM:#} {}", reason.help())?;
    }
    Ok(())
}

fn line(text: &mut String, source: &str, name: &str, value: &str) -> std::fmt::Result {
    writeln!(text, "  {DIM}{source:<9}{DIM:#} {name:<18} {value}")
}
