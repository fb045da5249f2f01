//! Annotations of GitHub Actions, as its manual has them ("Workflow commands for GitHub Actions").

use fixture_guard_core::{Reason, Rule};

use super::report::{Report, Verdict};

pub(super) fn render(report: &Report) -> String {
    let target = report.target.as_deref().unwrap_or("no target");
    let sentence = report.sentence();
    if let Verdict::Yes(_) = report.verdict {
        return annotation("notice", "fixture-guard", None, &format!("{target}: {sentence}"));
    }
    let mut text = String::new();
    for reason in report.reasons() {
        text.push_str(&annotation(
            "error",
            &format!("{} {sentence}", reason.code()),
            file(reason),
            &format!("{}\n{target}\nrule: {}\nhelp: {}", reason.found(), reason.rule(), reason.help()),
        ));
    }
    if text.is_empty() {
        let found = format!("{target}\nserver {}", report.asked.meaning());
        text = annotation("error", &sentence, None, &found);
    }
    text
}

/// The policy's file, where the rule stands in one.
fn file(reason: &Reason) -> Option<String> {
    match reason.rule() {
        Rule::Policy { file: Some(file), .. } => Some(super::sarif::relative(file).display().to_string()),
        _ => None,
    }
}

fn annotation(level: &str, title: &str, file: Option<String>, message: &str) -> String {
    let file = file.map(|file| format!("file={},", property(&file))).unwrap_or_default();
    format!("::{level} {file}title={}::{}\n", property(title), data(message))
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
