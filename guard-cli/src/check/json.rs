//! For programs: `schemas/check.schema.json`.

use fixture_guard_core::{Fact, Reason};
use serde::Serialize;

use super::report::{Report, Verdict};

#[derive(Serialize)]
struct Check<'a> {
    version: &'static str,
    question: &'static str,
    expected: Option<&'a str>,
    verdict: &'static str,
    environment: Option<&'a str>,
    target: Option<&'a str>,
    policy: Option<&'a str>,
    server: &'static str,
    facts: Vec<Known<'a>>,
    reasons: Vec<Against<'a>>,
}

#[derive(Serialize)]
struct Known<'a> {
    source: &'static str,
    name: &'a str,
    value: &'a str,
}

#[derive(Serialize)]
struct Against<'a> {
    code: &'static str,
    found: &'a str,
    rule: String,
    help: &'a str,
}

pub(super) fn render(report: &Report) -> String {
    let (verdict, environment) = match &report.verdict {
        Verdict::Yes(environment) => ("yes", Some(environment.as_str())),
        Verdict::No(_) => ("no", None),
        Verdict::Unknown(_) => ("unknown", None),
    };
    let known = |fact| {
        let fact: &Fact = fact;
        Known { source: fact.source().as_str(), name: fact.name(), value: fact.value() }
    };
    let against = |reason| {
        let reason: &Reason = reason;
        let rule = reason.rule().to_string();
        Against { code: reason.code().as_str(), found: reason.found(), rule, help: reason.help() }
    };
    let check = Check {
        version: env!("CARGO_PKG_VERSION"),
        question: if report.expected.is_some() { "expect" } else { "destroy" },
        expected: report.expected.as_deref(),
        verdict,
        environment,
        target: report.target.as_deref(),
        policy: report.policy.as_ref().map(|policy| policy.shown.as_str()),
        server: report.asked.meaning(),
        facts: report.facts.iter().map(known).collect(),
        reasons: report.reasons().iter().map(against).collect(),
    };
    serde_json::to_string_pretty(&check).expect("texts become JSON") + "\n"
}
