//! Every public item of the library has an example in its documentation.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// What expanded attributes and the program call, and nobody else.
const NOT_FOR_USERS: [&str; 4] =
    ["database/guard.rs", "database/guarded_test.rs", "database/inspect.rs", "database/run.rs"];
/// What stands inside of messages: nothing public hands one out.
const INSIDE_OF_MESSAGES: [&str; 6] = [
    "enum Flaw",
    "enum LookupError",
    "enum Part",
    "struct Narrowing",
    "struct Subject",
    "fn help(&self) -> &'static str",
];

fn sources(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] });
    files.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}

/// The public items of a file that have none.
fn without_example(source: &str) -> Vec<&str> {
    let kinds = ["const fn ", "async fn ", "fn ", "struct ", "enum ", "trait ", "const ", "type "];
    let mut found = Vec::new();
    let mut documentation = String::new();
    for line in source.lines() {
        let trimmed = line.trim_start();
        let item =
            trimmed.strip_prefix("pub ").filter(|item| kinds.iter().any(|kind| item.starts_with(kind)));
        if let Some(item) = item {
            if !documentation.contains("```") && !documentation.contains("#[doc(hidden)]") {
                found.push(item);
            }
            documentation.clear();
        } else if ["///", "#["].iter().any(|begin| trimmed.starts_with(begin)) {
            documentation.push_str(trimmed);
        } else if trimmed.is_empty() || trimmed.starts_with('}') {
            documentation.clear();
        }
    }
    found
}

#[test]
fn every_public_item_has_one() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("guard-core/src");
    let mut missing = Vec::new();
    for file in sources(&root) {
        let name = file.strip_prefix(&root).unwrap().to_str().unwrap();
        if NOT_FOR_USERS.contains(&name) {
            continue;
        }
        let source = fs::read_to_string(&file).unwrap();
        let items = without_example(&source).into_iter();
        let items = items.filter(|item| !INSIDE_OF_MESSAGES.iter().any(|inside| item.starts_with(inside)));
        missing.extend(items.map(|item| format!("{name}: {item}")));
    }
    assert!(missing.is_empty(), "these need an example:\n{}", missing.join("\n"));
}

#[test]
fn the_scan_sees_an_item_without_one() {
    let source = "/// Says.\n#[must_use]\npub fn a() {}\n\n/// ```\n/// b();\n/// ```\npub const fn b() {}\n\npub struct C;";
    assert_eq!(without_example(source), ["fn a() {}", "struct C;"]);
}
