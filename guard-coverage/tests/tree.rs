//! Precision and recall on labelled snippets, in the styles of many projects.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use fixture_guard_coverage::{AllowFlaw, Report, Scan};

const TREE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tree");

/// File, line, kind, tables.
type Label = (String, usize, String, String);

#[derive(Default)]
struct Labels {
    findings: BTreeSet<Label>,
    allowed: BTreeSet<(String, usize)>,
    traps: BTreeSet<(String, usize)>,
}

fn labels(folder: &Path, labels: &mut Labels) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            self::labels(&path, labels);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let file = path.strip_prefix(TREE).unwrap().to_str().unwrap().replace('\\', "/");
            for (line, text) in (1..).zip(fs::read_to_string(&path).unwrap().lines()) {
                for label in text.split("~ FINDING ").skip(1) {
                    let mut words = label.split_whitespace();
                    let kind = words.next().unwrap().to_owned();
                    let tables = words.next().filter(|word| !word.starts_with("//")).unwrap_or("").to_owned();
                    labels.findings.insert((file.clone(), line, kind, tables));
                }
                if text.contains("~ ALLOWED") {
                    labels.allowed.insert((file.clone(), line));
                }
                if text.contains("~ NONE ") {
                    labels.traps.insert((file.clone(), line));
                }
            }
        }
    }
}

fn scanned(everywhere: bool) -> Report {
    Scan::of(TREE).everywhere(everywhere).run().unwrap()
}

#[test]
fn finds_every_labelled_statement_and_nothing_else() {
    let mut expected = Labels::default();
    labels(Path::new(TREE), &mut expected);
    let report = scanned(false);
    let place = |file: &Path, line| (file.to_str().unwrap().replace('\\', "/"), line);
    let found: BTreeSet<Label> = report
        .findings
        .iter()
        .map(|finding| {
            let (file, line) = place(&finding.file, finding.line);
            (file, line, finding.kind.name().to_owned(), finding.tables.join(","))
        })
        .collect();

    let wrong: Vec<_> = found.difference(&expected.findings).collect();
    let missed: Vec<_> = expected.findings.difference(&found).collect();
    let right = found.len() - wrong.len();
    #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
    let percent = |part: usize, whole: usize| 100.0 * part as f64 / whole as f64;
    println!(
        "{} statements and {} traps: precision {:.1} %, recall {:.1} %",
        expected.findings.len(),
        expected.traps.len(),
        percent(right, found.len()),
        percent(right, expected.findings.len()),
    );
    assert!(wrong.is_empty() && missed.is_empty(), "wrong: {wrong:#?}\nmissed: {missed:#?}");

    let allowed: BTreeSet<_> =
        report.allowed.iter().map(|allowed| place(&allowed.finding.file, allowed.finding.line)).collect();
    assert_eq!(allowed, expected.allowed);
    let snippets = expected.findings.len() + expected.traps.len();
    assert!(snippets >= 100 && expected.traps.len() * 3 >= snippets, "{snippets} snippets");
    assert!(report.skipped.is_empty(), "{:?}", report.skipped);
}

#[test]
fn comments_that_allow_nothing_are_told() {
    let flaws: Vec<_> = scanned(false).stray.iter().map(|stray| stray.flaw).collect();
    assert_eq!(flaws, [AllowFlaw::NoReason, AllowFlaw::SilencesNothing]);
}

#[test]
fn everywhere_means_production_code_too() {
    let found = |report: &Report| {
        report.findings.iter().any(|finding| finding.function.as_deref() == Some("forget_user"))
    };
    assert!(!found(&scanned(false)));
    assert!(found(&scanned(true)));
}

#[test]
fn a_finding_says_where_and_in_what() {
    let report = scanned(false);
    let in_file = report.findings.iter().find(|finding| finding.tables == ["carts", "orders"]).unwrap();
    assert_eq!(in_file.statement, "TRUNCATE carts, orders CASCADE");
    assert_eq!(in_file.function.as_deref(), Some("files"));
    assert_eq!(in_file.call, "sqlx::raw_sql");
    let text = in_file.text.as_ref().unwrap();
    assert_eq!((text.file.to_str().unwrap(), text.line), ("sqlx-shop/sql/reset.sql", 3));
    let dropped = report.findings.iter().find(|finding| finding.tables == ["dropped"]).unwrap();
    assert_eq!(dropped.function.as_deref(), Some("Fixture::drop"));
}
