//! The scan as a test of the workspace that it is in.

use std::path::{Path, PathBuf};

use crate::{Colour, Format, Scan};

/// Fails the test that calls it, with the page of all findings, if the workspace has an unguarded destructive statement.
///
/// One test in one package of the workspace is enough: the whole workspace is read, from the folder of the outermost
/// `Cargo.toml` with `[workspace]` around the calling package; without one, the package itself.
///
/// ```
/// # // a package of its own, where there is nothing to find
/// fixture_guard_coverage::assert_guarded!(concat!(env!("CARGO_MANIFEST_DIR"), "/src"));
/// ```
///
/// In a test it takes no argument:
///
/// ```no_run
/// #[test]
/// fn every_destructive_statement_is_guarded() {
///     fixture_guard_coverage::assert_guarded!();
/// }
/// ```
///
/// # Panics
///
/// If there is a finding, or a comment that allows nothing; or if the folder cannot be read.
#[macro_export]
macro_rules! assert_guarded {
    () => {
        $crate::__private::assert_workspace(::core::env!("CARGO_MANIFEST_DIR"))
    };
    ($folder:expr) => {
        $crate::__private::assert_folder($folder)
    };
}

/// Of the workspace around a package.
///
/// # Panics
///
/// As [`assert_guarded!`](crate::assert_guarded!).
#[track_caller]
pub fn assert_workspace(package: &str) {
    assert_folder(workspace_of(Path::new(package)));
}

/// Of one folder.
///
/// # Panics
///
/// As [`assert_guarded!`](crate::assert_guarded!).
#[track_caller]
pub fn assert_folder(folder: impl Into<PathBuf>) {
    let report = match Scan::of(folder).run() {
        Ok(report) => report,
        Err(error) => panic!("{error}"),
    };
    if report.is_clean() {
        return;
    }
    let mut page = Vec::new();
    // a vector takes everything
    let _ = report.write(Format::Human, Colour::Plain, &mut page);
    panic!("{}", String::from_utf8_lossy(&page));
}

fn workspace_of(package: &Path) -> PathBuf {
    let is_workspace = |folder: &&Path| {
        let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap_or_default();
        manifest.parse::<toml::Table>().is_ok_and(|table| table.contains_key("workspace"))
    };
    package.ancestors().filter(is_workspace).last().unwrap_or(package).to_owned()
}
