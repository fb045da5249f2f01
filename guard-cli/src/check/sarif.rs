//! SARIF 2.1.0, for code scanning.

use std::path::Path;

use fixture_guard_core::{Code, Reason, Rule};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::report::Report;

/// What stands in a path as it is (RFC 3986, `unreserved` and `/`).
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

pub(super) fn render(report: &Report) -> String {
    let mut codes: Vec<Code> = report.reasons().iter().map(Reason::code).collect();
    codes.dedup();
    let rules: Vec<Value> = codes.iter().map(|code| json!({ "id": code.as_str() })).collect();
    let policy = report.policy.as_ref().and_then(|policy| policy.file.as_deref());
    let sentence = report.sentence();
    let results: Vec<Value> = report
        .reasons()
        .iter()
        .map(|reason| {
            let file = match reason.rule() {
                Rule::Policy { file: Some(file), .. } => Some(&**file),
                // a rule that is built in has no file; code scanning shows nothing without a place
                _ => policy,
            };
            let target = report.target.as_deref().unwrap_or("no target");
            let text = format!("{sentence} ({target}): {}. {}", reason.found(), reason.help());
            json!({
                "ruleId": reason.code().as_str(),
                "level": "error",
                "message": { "text": text },
                "locations": file.map(location).into_iter().collect::<Vec<_>>(),
            })
        })
        .collect();
    let log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "fixture-guard",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            } },
            "invocations": [{
                // a check that could not tell has failed as a tool; a refusal is a result
                "executionSuccessful": report.ending() != crate::ending::Ending::Unknown,
            }],
            "results": results,
        }],
    });
    serde_json::to_string_pretty(&log).expect("texts become JSON") + "\n"
}

fn location(file: &Path) -> Value {
    json!({ "physicalLocation": { "artifactLocation": { "uri": uri(file) } } })
}

/// Relative to the working directory, as code scanning wants it, where the file is below that.
fn uri(file: &Path) -> String {
    let relative = relative(file);
    let path = relative.to_string_lossy().replace('\\', "/");
    let encoded = utf8_percent_encode(&path, PATH);
    if relative.is_absolute() { format!("file://{encoded}") } else { encoded.to_string() }
}

pub(super) fn relative(file: &Path) -> &Path {
    let directory = std::env::current_dir().unwrap_or_default();
    file.strip_prefix(directory).unwrap_or(file)
}
