//! One file: read it, parse it, keep its facts.

use std::fs;
use std::path::Path;

use crate::facts::Facts;
use crate::lower::lower;
use crate::outline::{AllowComment, outline};

/// Files that are larger are not read: 2 MiB is forty thousand lines, and a syntax tree takes fifty times its text.
const LARGEST: u64 = 2 * 1024 * 1024;

/// How deep a file may nest, as [`outline`] counts. [`STACK`] is enough for it, also in a debug build.
const DEEPEST: usize = 8_000;

/// The stack of a thread that parses. The system gives only as much memory as is used.
pub(crate) const STACK: usize = 512 * 1024 * 1024;

/// What is kept of a file.
#[derive(Debug, Default)]
pub(crate) struct Parsed {
    pub(crate) facts: Facts,
    pub(crate) comments: Vec<AllowComment>,
    pub(crate) lines: usize,
}

/// Why a file is left out.
#[derive(Debug)]
pub(crate) struct Unusable {
    pub(crate) line: Option<usize>,
    pub(crate) reason: String,
}

impl From<String> for Unusable {
    fn from(reason: String) -> Self {
        Self { line: None, reason }
    }
}

pub(crate) fn parse(path: &Path, number: u32) -> Result<Parsed, Unusable> {
    let text = read(path)?;
    let seen = outline(&text);
    if seen.depth > DEEPEST {
        return Err(Unusable {
            line: Some(seen.deepest),
            reason: "is nested too deeply to be parsed".to_owned(),
        });
    }
    let parsed = syn::parse_file(&text).map_err(|error| Unusable {
        line: Some(error.span().start().line),
        reason: format!("does not parse: {error}"),
    });
    let parsed = parsed.map(|syntax| Parsed {
        facts: lower(number, &syntax),
        comments: seen.comments,
        lines: text.lines().count(),
    });
    // the texts of all files that this thread has parsed stay in memory otherwise; no span is left here
    proc_macro2::extra::invalidate_current_thread_spans();
    parsed
}

/// The text, with a byte order mark and an interpreter's line blanked out, so that every byte keeps its place.
pub(crate) fn read(path: &Path) -> Result<String, Unusable> {
    let cannot = |error| Unusable::from(format!("cannot be read: {error}"));
    let metadata = fs::metadata(path).map_err(cannot)?;
    if !metadata.is_file() {
        return Err("is no regular file".to_owned().into());
    }
    if metadata.len() > LARGEST {
        let megabytes = metadata.len().div_ceil(1024 * 1024);
        return Err(format!("is too large: {megabytes} MiB, where 2 MiB are read").into());
    }
    let bytes = fs::read(path).map_err(cannot)?;
    let mut text = String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = String::from_utf8_lossy(valid).matches('\n').count() + 1;
        Unusable { line: Some(line), reason: "is not UTF-8".to_owned() }
    })?;
    if text.starts_with('\u{feff}') {
        text.replace_range(..3, "   ");
    }
    if text.starts_with("#!") && !text[2..].trim_start().starts_with('[') {
        let end = text.find('\n').unwrap_or(text.len());
        text.replace_range(..end, &" ".repeat(end));
    }
    Ok(text)
}
