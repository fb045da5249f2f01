//! One scan: which files, and what becomes of them.

use std::io;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::source::{Parsed, STACK, parse};
use crate::workspace::Workspace;
use crate::{Report, Skipped, findings, follow, modules, walk};

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
    /// No threads to read with.
    #[error("no threads could be started")]
    Threads(#[source] Box<dyn std::error::Error + Send + Sync>),
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
        let unreadable = |source| ScanError::Root { path: self.root.clone(), source };
        // a working directory that was removed still lists: as empty
        std::fs::canonicalize(&self.root).map_err(unreadable)?;
        if Path::new(&self.root).metadata().map_err(unreadable)?.is_dir() {
            std::fs::read_dir(&self.root).map_err(unreadable)?;
        }
        // recursive parsers want deep stacks; what is not used of them is never allocated
        let pool = rayon::ThreadPoolBuilder::new().stack_size(STACK).build();
        let pool = pool.map_err(|error| ScanError::Threads(error.into()))?;
        Ok(pool.install(|| self.report()))
    }

    fn report(&self) -> Report {
        let walk::Found { files, skipped } = walk::walk(&self.root);
        let parsed: Vec<_> = (0_u32..)
            .zip(&files)
            .collect::<Vec<_>>()
            .into_par_iter()
            .map(|(number, file)| parse(&file.path, number))
            .collect();

        let mut report = Report { skipped, ..Report::default() };
        let (mut facts, mut comments) = (Vec::new(), Vec::new());
        for (file, parsed) in files.iter().zip(parsed) {
            let parsed = parsed.unwrap_or_else(|unusable| {
                let (line, reason) = (unusable.line, unusable.reason);
                report.skipped.push(Skipped { file: file.shown.clone(), line, reason });
                Parsed::default()
            });
            report.files += usize::from(parsed.lines > 0);
            report.lines += parsed.lines;
            facts.push(parsed.facts);
            comments.push(parsed.comments);
        }
        let is_test_file = modules::test_files(&files, &facts);
        let workspace = Workspace::new(&files, &facts);
        let sent = follow::sent(&workspace);
        findings::report(&workspace, &comments, &sent, &is_test_file, self.everywhere, &mut report);
        report
    }
}
