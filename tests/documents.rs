//! What the documents claim about the workspace.

use std::{fs, path::Path};

use toml::Table;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn manifest(member: &str) -> Table {
    let path = Path::new(ROOT).join(member).join("Cargo.toml");
    fs::read_to_string(&path).unwrap().parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn every_dependency_has_its_reason_in_contributing() {
    let root = manifest("");
    let members = root["workspace"]["members"].as_array().unwrap();
    let members = members.iter().map(|member| manifest(member.as_str().unwrap()));
    let documented = fs::read_to_string(Path::new(ROOT).join("CONTRIBUTING.md")).unwrap();
    let rows: Vec<_> = documented.lines().filter(|line| line.starts_with("| `")).collect();

    let mut missing = Vec::new();
    for package in [root.clone()].into_iter().chain(members) {
        for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
            for (name, source) in package.get(kind).and_then(toml::Value::as_table).into_iter().flatten() {
                let ours =
                    name.replace('_', "-").starts_with("fixture-guard") || source.get("path").is_some();
                if !ours && !rows.iter().any(|row| row.contains(&format!("`{name}`"))) {
                    missing.push(format!("{name} of {}", package["package"]["name"].as_str().unwrap()));
                }
            }
        }
    }

    assert!(missing.is_empty(), "these need a row in CONTRIBUTING.md: {}", missing.join(", "));
}

#[test]
fn every_link_between_the_documents_leads_somewhere() {
    let root = Path::new(ROOT);
    let pages = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let documents =
        ["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md", "CHANGELOG.md"].map(|name| root.join(name));
    for document in documents.into_iter().chain(pages) {
        let text = fs::read_to_string(&document).unwrap();
        let links = text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link);
        for link in links.filter(|link| !link.starts_with("https://")) {
            let file = link.split_once('#').map_or(link, |(file, _)| file);
            assert!(
                document.with_file_name(file).exists(),
                "{} links to {link}, which is not there",
                document.display()
            );
        }
    }
}
