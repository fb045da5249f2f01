//! SARIF 2.1.0, the format of code scanning services.

use std::io;

use serde_json::{Value, json};

use super::{HELP, slashed, title};
use crate::{Finding, Kind, Report, Stray};

pub(super) fn write(report: &Report, out: &mut dyn io::Write) -> io::Result<()> {
    let rules: Vec<_> =
        Kind::ALL.iter().map(|kind| rule(kind.name(), &format!("unguarded {kind}"))).collect();
    let rules: Vec<_> =
        rules.into_iter().chain([rule("stray-allow", "a comment that allows nothing")]).collect();
    let findings = report.findings.iter().map(|finding| result(finding, None));
    let allowed = report.allowed.iter().map(|allowed| result(&allowed.finding, Some(&allowed.reason)));
    let skipped = report.skipped.iter().map(|skipped| {
        json!({
            "level": "warning",
            "message": { "text": format!("skipped: {}", skipped.reason) },
            "locations": [location(&slashed(&skipped.file), &skipped.line.map_or(Value::Null, |line| json!({ "startLine": line })))],
        })
    });
    let document = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "fixture-guard",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            } },
            "columnKind": "unicodeCodePoints",
            "originalUriBaseIds": { "ROOT": { "description": { "text": "the scanned folder" } } },
            "results": findings.chain(allowed).chain(report.stray.iter().map(stray)).collect::<Vec<_>>(),
            "invocations": [{
                "executionSuccessful": true,
                "toolExecutionNotifications": skipped.collect::<Vec<_>>(),
            }],
        }],
    });
    serde_json::to_writer_pretty(&mut *out, &document)?;
    writeln!(out)
}

fn rule(name: &str, description: &str) -> Value {
    json!({ "id": name, "shortDescription": { "text": description }, "help": { "text": HELP } })
}

fn location(file: &str, region: &Value) -> Value {
    let mut place = json!({ "artifactLocation": { "uri": escaped(file), "uriBaseId": "ROOT" } });
    if !region.is_null() {
        place["region"] = region.clone();
    }
    json!({ "physicalLocation": place })
}

fn result(finding: &Finding, reason: Option<&str>) -> Value {
    let within = finding.function.as_ref().map_or_else(String::new, |name| format!(" in `{name}`"));
    let mut place = location(
        &slashed(&finding.file),
        &json!({
            "startLine": finding.line,
            "startColumn": finding.column,
            "endLine": finding.end_line,
            "endColumn": finding.end_column,
        }),
    );
    if let Some(function) = &finding.function {
        place["logicalLocations"] = json!([{ "name": function, "kind": "function" }]);
    }
    let mut result = json!({
        "ruleId": finding.kind.name(),
        "level": "error",
        "message": { "text": format!("unguarded {}{within}: {}", title(finding), finding.statement) },
        "locations": [place],
        "properties": { "tables": finding.tables, "statement": finding.statement, "call": finding.call },
    });
    if let Some(text) = &finding.text {
        let mut related = location(&slashed(&text.file), &json!({ "startLine": text.line }));
        related["message"] = json!({ "text": "the statement is written here" });
        result["relatedLocations"] = json!([related]);
    }
    if let Some(reason) = reason {
        result["suppressions"] = json!([{ "kind": "inSource", "justification": reason }]);
    }
    result
}

fn stray(stray: &Stray) -> Value {
    json!({
        "ruleId": "stray-allow",
        "level": "warning",
        "message": { "text": stray.flaw.to_string() },
        "locations": [location(&slashed(&stray.file), &json!({ "startLine": stray.line }))],
    })
}

/// A relative URI: every byte that may not stand in one is escaped.
fn escaped(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/!$&'()*+,;=@".contains(&byte);
    let escape = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    path.bytes().map(escape).collect()
}
