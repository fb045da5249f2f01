//! What the pages say is what the code has.

use std::{fs, path::Path};

use fixture_guard::{Code, Policy};
use toml::Table;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The README and everything under `docs`: its text, and its name.
fn pages() -> Vec<(String, String)> {
    let docs = fs::read_dir(Path::new(ROOT).join("docs")).unwrap();
    let docs = docs.map(|entry| format!("docs/{}", entry.unwrap().file_name().into_string().unwrap()));
    let pages = ["README.md".to_owned()].into_iter().chain(docs);
    let read = |name: String| (fs::read_to_string(Path::new(ROOT).join(&name)).unwrap(), name);
    pages.map(read).collect()
}

/// The blocks of a page, each with what stands behind its opening fence.
fn blocks(page: &str) -> Vec<(&str, String)> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            blocks.push((language, block.join("\n")));
        }
    }
    blocks
}

#[test]
fn every_code_of_a_refusal_is_explained() {
    let page = include_str!("../docs/refusals.md");
    let missing: Vec<_> = Code::ALL.iter().filter(|code| !page.contains(code.as_str())).collect();
    assert!(missing.is_empty(), "docs/refusals.md does not explain {missing:?}");
}

#[test]
fn every_policy_on_a_page_is_one() {
    let mut policies = 0;
    for (page, name) in pages() {
        for (language, block) in blocks(&page) {
            if language != "toml" {
                continue;
            }
            let table: Table = block.parse().unwrap_or_else(|error| panic!("{name}: {error}\n{block}"));
            let keys = ["environments", "markers", "process", "journal"];
            if table.keys().all(|key| keys.contains(&key.as_str())) {
                Policy::parse(&block, Path::new("fixture-guard.toml"))
                    .unwrap_or_else(|error| panic!("{name}: {error}"));
                policies += 1;
            }
        }
    }
    assert!(policies >= 4, "{policies} policies found");
}

#[test]
fn every_page_with_rust_on_it_is_compiled() {
    let library = include_str!("../src/lib.rs");
    for (page, name) in pages() {
        let rust = blocks(&page).iter().any(|(language, _)| language.starts_with("rust"));
        let compiled = library.contains(&format!("include_str!(\"../{name}\")"));
        assert!(!rust || compiled, "src/lib.rs does not include {name}");
    }
}
