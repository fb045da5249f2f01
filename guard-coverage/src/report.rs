//! What a scan found.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

/// Everything that one scan found.
///
/// ```
/// let empty = tempfile::tempdir()?;
/// let report = fixture_guard_coverage::Scan::of(empty.path()).run()?;
/// assert!(report.is_clean());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Report {
    /// Destructive calls that no guard stands before, by file and line.
    pub findings: Vec<Finding>,
    /// Destructive calls that a comment allows.
    pub allowed: Vec<Allowed>,
    /// Comments that allow nothing: without a reason, or with nothing to silence.
    pub stray: Vec<Stray>,
    /// Files that were not read, each with why.
    pub skipped: Vec<Skipped>,
    /// How many Rust files were read.
    pub files: usize,
    /// How many lines they have.
    pub lines: usize,
}

impl Report {
    /// Whether there is nothing to mend: no finding, and no comment that allows nothing.
    ///
    /// Skipped files do not count. Each is listed, and a build fails on its own over most of them.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty() && self.stray.is_empty()
    }
}

/// One destructive statement that can be reached without the guard.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Finding {
    /// The file, relative to the root of the scan, with `/` between its parts.
    pub file: PathBuf,
    /// The line, from 1: of the statement, if it is written in the function that sends it, else of the call.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
    /// The line where what is marked ends.
    pub end_line: usize,
    /// The column behind what is marked.
    pub end_column: usize,
    /// What the statement does.
    pub kind: Kind,
    /// The statement in one line. `{name}` stands for what is only known at run time.
    pub statement: String,
    /// The tables, or whatever else it destroys, as they are written; empty if that is only known at run time.
    pub tables: Vec<String>,
    /// The function around the call, with the type that it belongs to: `Database::reset`.
    pub function: Option<String>,
    /// The call that sends it, as `sqlx::query` or `.execute`.
    pub call: String,
    /// Where the statement is written, if that is elsewhere: a constant, or a file of SQL.
    pub text: Option<Place>,
    pub(crate) frame: Frame,
}

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Place {
    /// The file, relative to the root of the scan.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
}

/// The lines that a code frame shows.
#[derive(Clone, Default)]
pub(crate) struct Frame {
    /// Text of the frame's lines; secrets are already covered.
    pub(crate) source: Arc<str>,
    pub(crate) first_line: usize,
    /// Bytes of `source`.
    pub(crate) marked: Range<usize>,
    /// The call, where it is not what is marked.
    pub(crate) call: Option<Range<usize>>,
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frame {{ first_line: {} }}", self.first_line)
    }
}

/// What a statement does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// Empties tables.
    Truncate,
    /// Removes rows, all or some.
    Delete,
    /// Drops a table, a schema, a database, or anything else that has a name.
    Drop,
    /// Overwrites every row: an `UPDATE` without `WHERE`.
    Update,
    /// Drops a part of a table, as a column or a constraint.
    Alter,
    /// A `MERGE` that removes rows.
    Merge,
    /// Undoes migrations, which drops what they made.
    Revert,
}

impl Kind {
    /// Every kind, in the order of their variants.
    pub const ALL: [Kind; 7] =
        [Kind::Truncate, Kind::Delete, Kind::Drop, Kind::Update, Kind::Alter, Kind::Merge, Kind::Revert];

    /// The name for programs.
    ///
    /// ```
    /// assert_eq!(fixture_guard_coverage::Kind::Truncate.name(), "truncate");
    /// ```
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kind::Truncate => "truncate",
            Kind::Delete => "delete",
            Kind::Drop => "drop",
            Kind::Update => "update",
            Kind::Alter => "alter",
            Kind::Merge => "merge",
            Kind::Revert => "revert",
        }
    }
}

/// For people: `UPDATE without WHERE`.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Truncate => "TRUNCATE",
            Kind::Delete => "DELETE",
            Kind::Drop => "DROP",
            Kind::Update => "UPDATE without WHERE",
            Kind::Alter => "ALTER … DROP",
            Kind::Merge => "MERGE … DELETE",
            Kind::Revert => "reverting migrations",
        })
    }
}

/// A destructive statement that a comment allows: `// fixture-guard: allow(reason)`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Allowed {
    /// What would have been a finding.
    pub finding: Finding,
    /// The comment's reason.
    pub reason: String,
    /// The comment's line, in the same file.
    pub line: usize,
}

/// A comment that asks to allow something, and does not.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Stray {
    /// The comment's file, relative to the root of the scan.
    pub file: PathBuf,
    /// The comment's line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub flaw: AllowFlaw,
}

/// Why a comment allows nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AllowFlaw {
    /// `allow()` and `allow` say nothing about why.
    NoReason,
    /// No unguarded destructive statement stands where it points.
    SilencesNothing,
}

/// As a fragment after the comment's place.
impl fmt::Display for AllowFlaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AllowFlaw::NoReason => "this comment gives no reason, so it allows nothing",
            AllowFlaw::SilencesNothing => {
                "this comment allows nothing: there is no unguarded destructive statement"
            }
        })
    }
}

/// A file that was not read.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Skipped {
    /// The file, relative to the root of the scan.
    pub file: PathBuf,
    /// The line where reading ended, if it got that far.
    pub line: Option<usize>,
    /// Why, in lower case.
    pub reason: String,
}
