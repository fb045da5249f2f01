//! `coverage`, wired to its library, whose own tests say what it finds.

use std::{fs, path::Path};

use crate::program::{run, said};

fn package(test: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir_all(directory.path().join("tests")).unwrap();
    fs::create_dir(directory.path().join("src")).unwrap();
    fs::write(directory.path().join("Cargo.toml"), "[package]\nname = \"shop\"\nedition = \"2024\"\n")
        .unwrap();
    fs::write(directory.path().join("src/lib.rs"), "").unwrap();
    fs::write(directory.path().join("tests/reset.rs"), test).unwrap();
    directory
}

const UNGUARDED: &str = "async fn reset(pool: &sqlx::PgPool) {\n    sqlx::query(\"TRUNCATE categories\").execute(pool).await.unwrap();\n}\n";

#[test]
fn findings_fail_only_where_they_are_denied() {
    let package = package(UNGUARDED);
    let said = run(package.path(), ["coverage"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.contains("tests/reset.rs") && said.out.contains("TRUNCATE categories"), "{said:?}");
    assert!(!said.out.contains('\x1b'), "a pipe gets no colour: {said:?}");
    assert_eq!(run(package.path(), ["coverage", "--deny"]).code, 1);
    let elsewhere =
        run(Path::new("."), ["coverage", package.path().to_str().unwrap(), "--deny", "--format", "github"]);
    assert!(elsewhere.code == 1 && elsewhere.out.starts_with("::"), "{elsewhere:?}");
}

#[test]
fn a_guarded_workspace_is_fine_and_a_missing_one_is_no_verdict() {
    let guarded = package(&format!("#[fixture_guard::destructive_fixture]\n{UNGUARDED}"));
    let said = run(guarded.path(), ["coverage", "--deny"]);
    assert_eq!(said.code, 0, "{said:?}");
    let said = run(guarded.path(), ["coverage", "nowhere"]);
    assert!(said.code == 2 && said.err.contains("nowhere cannot be read"), "{said:?}");
}

/// A step of CI that runs in the wrong directory.
#[test]
fn a_gate_before_nothing_is_no_verdict() {
    let empty = tempfile::tempdir().unwrap();
    let said = run(empty.path(), ["coverage", "--deny"]);
    assert!(said.code == 2 && said.err.contains("no Rust file below ."), "{said:?}");
    assert_eq!(run(empty.path(), ["coverage"]).code, 0);
}

#[cfg(unix)]
#[test]
fn a_working_directory_that_is_gone_is_no_verdict() {
    let above = tempfile::tempdir().unwrap();
    for command in ["coverage", "init", "check --database-url postgres://localhost/shop"] {
        let gone = above.path().join("gone");
        std::fs::create_dir(&gone).unwrap();
        let script = format!("rmdir ../gone && exec {} {command}", env!("CARGO_BIN_EXE_fixture-guard"));
        let output = std::process::Command::new("/bin/sh")
            .args(["-c", &script])
            .env_clear()
            .current_dir(&gone)
            .env("PATH", "/usr/bin:/bin")
            .output()
            .unwrap();
        let said = said(&output);
        assert!(said.code == 2 && said.err.contains("cannot be read"), "{command}: {said:?}");
    }
}

#[test]
fn every_format_for_programs_is_one() {
    let package = package(UNGUARDED);
    for format in ["json", "sarif"] {
        let said = run(package.path(), ["coverage", "--format", format]);
        let parsed: Result<serde_json::Value, _> = serde_json::from_str(&said.out);
        assert!(said.code == 0 && parsed.is_ok(), "{said:?}");
    }
}
