//! Files that nobody wrote by hand: each ends in a clear line, and none ends the scan.

use std::fs::{self, File};
use std::path::Path;

use fixture_guard_coverage::{Report, Scan};

/// A test file with one finding, so that it shows that the scan went on.
const STATEMENT: &str =
    "async fn wipe() { sqlx::query(\"TRUNCATE users\").execute(&pool).await.unwrap(); }\n";

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write("tests/good.rs", STATEMENT);
        folder
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, file: &str, text: impl AsRef<[u8]>) {
        let path = self.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// The lines about what was skipped; the good file is always found.
    fn skipped(&self) -> Vec<String> {
        let report = self.scan();
        assert_eq!(report.findings.len(), 1, "{:?}", report.findings);
        let line = |line: Option<usize>| line.map_or_else(String::new, |line| format!(":{line}"));
        report
            .skipped
            .iter()
            .map(|skipped| format!("{}{}: {}", skipped.file.display(), line(skipped.line), skipped.reason))
            .collect()
    }

    fn scan(&self) -> Report {
        Scan::of(self.path()).run().unwrap()
    }
}

#[test]
fn a_file_that_does_not_parse_is_skipped_with_its_line() {
    let folder = Folder::new();
    folder.write("tests/broken.rs", "fn a() {}\nfn (");
    let skipped = folder.skipped();
    assert!(skipped[0].starts_with("tests/broken.rs:2: does not parse: "), "{skipped:?}");
}

#[test]
fn a_file_that_is_not_utf_8_is_skipped_with_its_line() {
    let folder = Folder::new();
    folder.write("tests/latin.rs", b"// a\n// caf\xe9\n");
    assert_eq!(folder.skipped(), ["tests/latin.rs:2: is not UTF-8"]);
}

#[test]
fn fifty_megabytes_are_not_read() {
    let folder = Folder::new();
    File::create(folder.path().join("tests/large.rs")).unwrap().set_len(50 * 1024 * 1024).unwrap();
    assert_eq!(folder.skipped(), ["tests/large.rs: is too large: 50 MiB, where 2 MiB are read"]);
}

#[test]
fn nesting_overflows_no_stack() {
    let folder = Folder::new();
    let deep = |open: &str, close: &str, times| {
        format!("fn a() {{ {}1{}; }}", open.repeat(times), close.repeat(times))
    };
    let files = [
        ("brackets", deep("(", ")", 100_000)),
        ("blocks", deep("{", "}", 100_000)),
        ("lists", deep("[", "]", 100_000)),
        ("macros", deep("vec![", "]", 50_000)),
        ("signs", deep("!", "", 1_000_000)),
        ("references", deep("&", "", 1_000_000)),
        ("sums", deep("1+", "", 500_000)),
        ("methods", deep("", ".a()", 300_000)),
        ("types", format!("type A = {}u8{};", "Vec<".repeat(100_000), ">".repeat(100_000))),
    ];
    for (name, text) in &files {
        folder.write(&format!("tests/{name}.rs"), text);
    }
    let skipped = folder.skipped();
    assert_eq!(skipped.len(), files.len(), "{skipped:?}");
    assert!(skipped.iter().all(|line| line.ends_with("is nested too deeply to be parsed")), "{skipped:?}");
}

#[test]
fn nesting_up_to_the_limit_is_parsed() {
    let folder = Folder::new();
    let deep = |open: &str, close: &str, times| {
        format!("fn a() {{ {}1{}; }}", open.repeat(times), close.repeat(times))
    };
    folder.write("tests/brackets.rs", deep("(", ")", 790));
    folder.write("tests/blocks.rs", deep("{", "}", 790));
    folder.write("tests/macros.rs", deep("vec![", "]", 400));
    folder.write("tests/signs.rs", deep("!", "", 7_900));
    folder.write("tests/sums.rs", deep("1+", "", 7_900));
    folder.write("tests/methods.rs", deep("", ".a()", 7_900));
    folder.write("tests/else.rs", format!("fn a() {{ {} {{}} }}", "if b {} else ".repeat(2_000)));
    assert_eq!(folder.skipped(), [""; 0]);
}

#[test]
fn text_that_grows_by_itself_ends() {
    let folder = Folder::new();
    let doubled = "sql = format!(\"{sql}{sql}\");\n".repeat(60);
    let branched = "if a() { sql.push_str(\" x\"); }\n".repeat(60);
    let source = format!(
        "fn a() {{ let mut sql = String::from(\"SELECT 1 \");\n{doubled}{branched} conn.execute(&sql); }}"
    );
    folder.write("tests/doubled.rs", source);
    folder.write(
        "tests/circle.rs",
        "fn a(s: &str) { b(s); }\nfn b(s: &str) { a(s); conn.execute(s); }\nfn c() { a(\"SELECT 1\"); }",
    );
    folder.write("tests/constants.rs", "const A: &str = B;\nconst B: &str = A;\nfn a() { conn.execute(A); }");
    assert_eq!(folder.skipped(), [""; 0]);
}

#[test]
fn an_empty_file_a_byte_order_mark_and_a_shebang_are_fine() {
    let folder = Folder::new();
    folder.write("tests/empty.rs", "");
    folder.write("src/mark.rs", format!("\u{feff}#![cfg(test)]\n{STATEMENT}"));
    folder.write("tests/script.rs", format!("#!/usr/bin/env cargo\n{STATEMENT}"));
    let report = folder.scan();
    assert!(report.skipped.is_empty(), "{:?}", report.skipped);
    let places: Vec<_> = report.findings.iter().map(|finding| (finding.line, finding.column)).collect();
    assert_eq!(places, [(2, 32), (1, 32), (2, 32)]);
}

#[test]
fn what_git_ignores_and_what_cargo_builds_is_not_read() {
    let folder = Folder::new();
    folder.write("Cargo.toml", "[package]\nname = \"a\"");
    folder.write("target/debug/build/a/tests/out.rs", STATEMENT);
    folder.write(".gitignore", "/generated\n");
    folder.write("generated/tests/a.rs", STATEMENT);
    folder.write(".fixture-guard-ignore", "tests/planted/\n");
    folder.write("tests/planted/a.rs", STATEMENT);
    folder.write("tests/target/a.rs", "fn a() {}"); // only called so
    assert_eq!(folder.scan().files, 2);
    assert_eq!(folder.skipped(), [""; 0]);
}

#[test]
fn a_root_that_is_not_there_is_an_error() {
    let error = Scan::of("/no/such/folder").run().unwrap_err();
    assert_eq!(error.to_string(), "/no/such/folder cannot be read");
}

#[test]
fn one_file_can_be_the_root() {
    let folder = Folder::new();
    let report = Scan::of(folder.path().join("tests/good.rs")).everywhere(true).run().unwrap();
    assert_eq!(report.findings[0].file, Path::new("good.rs"));
}

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn links_are_not_followed() {
        let folder = Folder::new();
        let elsewhere = tempfile::tempdir().unwrap();
        symlink("..", folder.path().join("tests/loop")).unwrap();
        symlink("self.rs", folder.path().join("tests/self.rs")).unwrap();
        symlink(elsewhere.path(), folder.path().join("tests/elsewhere")).unwrap();
        symlink("nowhere.rs", folder.path().join("tests/dangling.rs")).unwrap();
        symlink("good.rs", folder.path().join("tests/again.rs")).unwrap();
        let skipped = folder.skipped();
        assert_eq!(skipped.len(), 3, "{skipped:?}");
        assert_eq!(skipped[0], "tests/dangling.rs: is a symbolic link that leads nowhere");
        assert_eq!(skipped[1], "tests/elsewhere: is a symbolic link that leads out of the scanned folder");
        assert!(
            skipped[2].starts_with("tests/self.rs: is a symbolic link that cannot be followed: "),
            "{skipped:?}"
        );
    }

    #[test]
    fn a_file_that_may_not_be_read_is_skipped() {
        let folder = Folder::new();
        folder.write("tests/secret.rs", STATEMENT);
        let path = folder.path().join("tests/secret.rs");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
        if File::open(&path).is_ok() {
            // root reads everything: then there is nothing to skip
            assert_eq!(folder.scan().findings.len(), 2);
            return;
        }
        let skipped = folder.skipped();
        assert!(skipped[0].starts_with("tests/secret.rs: cannot be read: "), "{skipped:?}");
    }
}
