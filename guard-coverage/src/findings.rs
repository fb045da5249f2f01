//! From what is sent to what is reported: places, code frames, and what comments allow.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use crate::expand::Origin;
use crate::follow::{Sent, Statement};
use crate::literal::source_offset;
use crate::outline::AllowComment;
use crate::redact::redacted;
use crate::report::Frame;
use crate::source::read;
use crate::value::Span;
use crate::workspace::Workspace;
use crate::{AllowFlaw, Allowed, Finding, Place, Report, Stray};

/// A source that is shown, read once.
struct Text {
    text: String,
    /// Where lines begin.
    lines: Vec<usize>,
}

impl Text {
    fn new(text: String) -> Self {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { text, lines }
    }

    /// From 1.
    fn line(&self, at: usize) -> usize {
        self.lines.partition_point(|start| *start <= at)
    }

    /// From 1, in characters.
    fn column(&self, at: usize) -> usize {
        let start = self.lines[self.line(at) - 1];
        self.text.get(start..at).map_or(1, |before| before.chars().count() + 1)
    }

    fn line_end(&self, at: usize) -> usize {
        self.text[at..].find('\n').map_or(self.text.len(), |end| at + end)
    }

    /// The bytes of some lines.
    fn range(&self, first: usize, last: usize) -> Range<usize> {
        let end = self.lines.get(last).map_or(self.text.len(), |next| next - 1);
        self.lines[first - 1]..end.max(self.lines[first - 1])
    }
}

/// Fills the report with what is found, allowed and stray.
pub(crate) fn report(
    workspace: &Workspace<'_>,
    comments: &[Vec<AllowComment>],
    sent: &[Sent],
    is_test_file: &[bool],
    everywhere: bool,
    report: &mut Report,
) {
    let mut builder = Builder { workspace, root: Path::new(""), texts: HashMap::new() };
    let mut groups: BTreeMap<(u32, usize, crate::Kind), Found> = BTreeMap::new();
    for sent in sent.iter().filter(|sent| !sent.is_guarded) {
        let (file, marked, text) = builder.place(sent);
        let found = groups.entry((file, marked.start, sent.kind)).or_insert_with(|| Found {
            sent: sent.clone(),
            marked,
            text,
            tables: Vec::new(),
        });
        for table in &sent.tables {
            if !found.tables.contains(table) {
                found.tables.push(table.clone());
            }
        }
    }
    let mut used: Vec<Vec<bool>> = comments.iter().map(|comments| vec![false; comments.len()]).collect();
    for ((file, ..), found) in groups {
        let function = workspace.function(found.sent.function);
        let in_scope = everywhere || is_test_file[file as usize] || function.is_test_code;
        let anchors = builder.anchors(file, &found);
        let silencing = comments[file as usize].iter().enumerate().find(|(_, comment)| {
            !comment.reason.is_empty() && anchors.iter().any(|lines| lines.contains(&comment.target))
        });
        if let Some((number, _)) = silencing {
            used[file as usize][number] = true;
        }
        if !in_scope {
            continue;
        }
        let finding = builder.finding(file, &found);
        match silencing {
            Some((_, comment)) => {
                report.allowed.push(Allowed { finding, reason: comment.reason.clone(), line: comment.line });
            }
            None => report.findings.push(finding),
        }
    }
    for (file, comments) in comments.iter().enumerate() {
        for (number, comment) in comments.iter().enumerate() {
            let flaw = match (comment.reason.is_empty(), used[file][number]) {
                (true, _) => AllowFlaw::NoReason,
                (false, false) => AllowFlaw::SilencesNothing,
                (false, true) => continue,
            };
            report.stray.push(Stray { file: workspace.files[file].shown.clone(), line: comment.line, flaw });
        }
    }
    report.findings.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
}

/// One place with everything that it sends.
struct Found {
    sent: Sent,
    marked: Range<usize>,
    text: Option<Place>,
    tables: Vec<String>,
}

struct Builder<'w, 'f> {
    workspace: &'w Workspace<'f>,
    root: &'w Path,
    texts: HashMap<u32, Text>,
}

impl Builder<'_, '_> {
    fn text(&mut self, file: u32) -> &Text {
        let path = &self.workspace.files[file as usize].path;
        self.texts.entry(file).or_insert_with(|| Text::new(read(path).unwrap_or_default()))
    }

    /// What to point at: the statement if it is written in the function that sends it, else the call.
    fn place(&mut self, sent: &Sent) -> (u32, Range<usize>, Option<Place>) {
        let call = sent.place.call;
        let at_call = |span: Span| (span.file, span.start as usize..span.end as usize);
        let (file, range) = at_call(call);
        let origin = match &sent.statement {
            Statement::Text { origin, .. } => origin,
            Statement::Typed => return (file, range, None),
        };
        match origin {
            Origin::Literal { span, offset, function } => {
                let here = self.workspace.root(*function) == sent.function && span.file == call.file;
                let text = self.text(span.file);
                let token = text.text.get(span.start as usize..span.end as usize).unwrap_or_default();
                let start = span.start as usize + source_offset(token, *offset as usize);
                if here {
                    let end = text.line_end(start).min((span.end as usize).saturating_sub(1)).max(start + 1);
                    let end = start + text.text.get(start..end).map_or(1, statement_length);
                    return (span.file, start..end, None);
                }
                let line = text.line(start);
                let place = Place { file: self.workspace.files[span.file as usize].shown.clone(), line };
                (file, range, Some(place))
            }
            Origin::File { path, offset } => {
                let text = std::fs::read_to_string(&**path).unwrap_or_default();
                let line = text.get(..*offset).map_or(1, |before| before.matches('\n').count() + 1);
                let shown = self.shown(path);
                (file, range, Some(Place { file: shown, line }))
            }
            Origin::Built => (file, range, None),
        }
    }

    fn shown(&self, path: &Path) -> std::path::PathBuf {
        // the scan's root is what the walk took away from every path
        let root = self.workspace.files.first().map(|file| {
            let depth = file.shown.components().count();
            file.path.ancestors().nth(depth).unwrap_or(self.root).to_owned()
        });
        root.and_then(|root| path.strip_prefix(root).ok().map(Path::to_owned))
            .unwrap_or_else(|| path.to_owned())
    }

    /// The lines that a comment can speak for: the statement, the call, the function, and what is around it.
    fn anchors(&mut self, file: u32, found: &Found) -> Vec<std::ops::RangeInclusive<usize>> {
        let function = self.workspace.function(found.sent.function);
        let place = found.sent.place;
        let blocks = &self.workspace.facts[file as usize].blocks;
        let marked = found.marked.clone();
        let text = self.text(file);
        let lines = |span: Span| text.line(span.start as usize)..=text.line(span.end as usize);
        let first = |span: Span| text.line(span.start as usize)..=text.line(span.start as usize);
        let last = |span: Span| text.line(span.end as usize)..=text.line(span.end as usize);
        let mut anchors = vec![text.line(marked.start)..=text.line(marked.start)];
        if let Statement::Text { origin: Origin::Literal { span, .. }, .. } = &found.sent.statement
            && span.file == file
        {
            // also a constant's own line
            anchors.push(first(*span));
        }
        if place.chain.file == file {
            anchors.extend([
                lines(place.call),
                lines(place.chain),
                first(place.statement),
                last(place.statement),
            ]);
        }
        if function.head.end > 0 {
            anchors.push(lines(function.head));
        }
        let around = |block: &&Span| block.start as usize <= marked.start && marked.end <= block.end as usize;
        anchors.extend(blocks.iter().filter(around).map(|block| first(*block)));
        anchors
    }

    fn finding(&mut self, file: u32, found: &Found) -> Finding {
        let workspace = self.workspace;
        let sent = &found.sent;
        let text = self.text(file);
        let function = workspace.function(sent.function);
        let marked = found.marked.clone();
        let statement = match &sent.statement {
            Statement::Text { statement, .. } => statement.clone(),
            Statement::Typed => {
                let source = text.text.get(marked.clone()).unwrap_or_default();
                source.split_whitespace().collect::<Vec<_>>().join(" ")
            }
        };
        let name = match &function.owner {
            _ if function.name.is_empty() => None,
            Some(owner) => Some(format!("{owner}::{}", function.name)),
            None => Some(function.name.to_string()),
        };
        Finding {
            file: workspace.files[file as usize].shown.clone(),
            line: text.line(marked.start),
            column: text.column(marked.start),
            end_line: text.line(marked.end),
            end_column: text.column(marked.end),
            kind: sent.kind,
            statement: redacted(&statement),
            tables: found.tables.iter().map(|table| redacted(table)).collect(),
            function: name,
            call: sent.call.to_string(),
            text: found.text.clone(),
            frame: frame(text, marked, sent.place.call, file),
        }
    }
}

/// How many lines a frame has at most between the call and the statement.
const FRAME: usize = 12;

fn frame(text: &Text, marked: Range<usize>, call: Span, file: u32) -> Frame {
    let (mut first, mut last) = (text.line(marked.start), text.line(marked.end));
    let call_line = text.line(call.start as usize);
    let near = call.file == file && call_line <= first && first - call_line < FRAME;
    // only the name of the call is marked, not its arguments
    let name_end = text.text.get(call.start as usize..call.end as usize);
    let name_end = name_end.and_then(|call| call.find('(')).map(|length| call.start as usize + length);
    let call = name_end.filter(|end| near && *end <= marked.start).map(|end| call.start as usize..end);
    if call.is_some() {
        first = call_line;
    }
    last = last.min(first + 2 * FRAME);
    let range = text.range(first, last);
    let end = marked.end.min(range.end);
    Frame {
        source: Arc::from(redacted(&text.text[range.clone()])),
        first_line: first,
        marked: marked.start - range.start..end.max(marked.start) - range.start,
        call: call.map(|call| call.start - range.start..call.end - range.start),
    }
}

/// Up to the end of the statement, without blanks.
fn statement_length(marked: &str) -> usize {
    let end = marked.find(';').unwrap_or(marked.len());
    marked[..end].trim_end().trim_end_matches('\\').trim_end().len().max(1)
}
