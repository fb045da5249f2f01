//! What programs read: JSON and SARIF keep to their schemas, GitHub's commands are escaped, and no secret is in any of them.

use std::path::Path;

use fixture_guard_coverage::{Colour, Format, Report, Scan};
use serde_json::Value;

fn written(report: &Report, format: Format) -> String {
    let mut out = Vec::new();
    report.write(format, Colour::Plain, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn tree() -> Report {
    Scan::of(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tree")).run().unwrap()
}

/// A package with one test file.
fn of(source: &str) -> Report {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("tests")).unwrap();
    std::fs::write(folder.path().join("tests/a, 100%.rs"), source).unwrap();
    std::fs::write(folder.path().join("tests/broken.rs"), "fn (").unwrap();
    Scan::of(folder.path()).run().unwrap()
}

fn assert_valid(text: &str, schema: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas").join(schema);
    // The published text has a bracket too many in a language's pattern, which no strict reader takes; errata 01 mends it.
    let text_of_schema = std::fs::read_to_string(path).unwrap();
    let mended =
        text_of_schema.replace("^[a-zA-Z]{2}|^[a-zA-Z]{2}-[a-zA-Z]{2}]?$", "^[a-zA-Z]{2}(-[a-zA-Z]{2})?$");
    let schema: Value = serde_json::from_str(&mended).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let document: Value = serde_json::from_str(text).unwrap();
    let errors: Vec<_> =
        validator.iter_errors(&document).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:#?}");
}

const SECRETS: &str = r#"
async fn wipe() {
    sqlx::Postgres::drop_database("postgres://app:hunter2@db.internal/shop").await.unwrap();
    conn("host=db password=hunter2").execute("ALTER TABLE a DROP COLUMN b; DELETE FROM c WHERE dsn = 'postgres://a:hunter2@b'").await.unwrap();
    // fixture-guard: allow()
    sqlx::query("TRUNCATE d").execute(&pool).await.unwrap();
    sqlx::query("DELETE FROM e").execute(&pool).await.unwrap(); // fixture-guard: allow(because: 100 %)
}
"#;

#[test]
fn json_keeps_to_its_schema() {
    for report in [tree(), of(SECRETS), of("")] {
        assert_valid(&written(&report, Format::Json), "coverage.schema.json");
    }
}

#[test]
fn sarif_keeps_to_the_schema_of_2_1_0() {
    for report in [tree(), of(SECRETS), of("")] {
        assert_valid(&written(&report, Format::Sarif), "sarif-2.1.0.schema.json");
    }
}

#[test]
fn every_statement_is_in_every_format() {
    let report = tree();
    let count = report.findings.len();
    let json: Value = serde_json::from_str(&written(&report, Format::Json)).unwrap();
    assert_eq!(json["findings"].as_array().unwrap().len(), count);
    let sarif: Value = serde_json::from_str(&written(&report, Format::Sarif)).unwrap();
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    assert_eq!(
        results
            .iter()
            .filter(|result| result["level"] == "error" && result.get("suppressions").is_none())
            .count(),
        count
    );
    let github = written(&report, Format::Github);
    assert_eq!(github.lines().filter(|line| line.starts_with("::error ")).count(), count);
    let human = written(&report, Format::Human);
    assert_eq!(human.lines().filter(|line| line.starts_with("error[")).count(), count);
}

#[test]
fn commands_for_github_are_escaped() {
    let page = written(&of(SECRETS), Format::Github);
    let truncate = page.lines().find(|line| line.contains("TRUNCATE")).unwrap();
    assert!(
        truncate.starts_with(
            "::error file=tests/a%2C 100%25.rs,line=6,endLine=6,col=18,endColumn=27,title=unguarded TRUNCATE of d::TRUNCATE d in `wipe`%0A"
        ),
        "{truncate}"
    );
    assert!(
        page.contains(
            "::notice file=tests/a%2C 100%25.rs,line=7,title=allowed DELETE of e::because: 100 %25\n"
        ),
        "{page}"
    );
    assert!(page.contains("::warning file=tests/broken.rs,line=1,title=skipped::does not parse"), "{page}");
}

#[test]
fn no_format_shows_a_secret() {
    let report = of(SECRETS);
    assert_eq!(report.findings.len(), 4, "{report:#?}");
    for format in [Format::Human, Format::Json, Format::Sarif, Format::Github] {
        let page = written(&report, format);
        assert!(!page.contains("hunter2"), "{page}");
    }
    assert!(!format!("{report:?}").contains("hunter2"));
}

#[test]
fn the_page_shows_the_code() {
    insta::assert_snapshot!(written(&of(SECRETS), Format::Human));
    let mut coloured = Vec::new();
    of(SECRETS).write(Format::Human, Colour::Ansi, &mut coloured).unwrap();
    assert!(coloured.contains(&0x1b));
}
