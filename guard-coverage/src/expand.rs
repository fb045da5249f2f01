//! Every text that a value can be, with where each part of it is written.

use std::path::PathBuf;
use std::sync::Arc;

use crate::facts::Callee;
use crate::modules::plain;
use crate::sql::{self, HOLE, HOLE_END};
use crate::value::{FunctionId, PARTS, Span, V, Value};
use crate::workspace::Workspace;

/// How many texts one call is judged with. Loops over more tables than this say the same again.
const ALTERNATIVES: usize = 256;
/// How many of a part's alternatives are combined with those of the other parts.
const COMBINED: usize = 64;
/// How far a value is followed through constants and functions.
const DEPTH: usize = 12;
/// Text that is longer is cut.
const LONGEST: usize = 512 * 1024;
/// SQL files that are larger are dumps, and hold rows.
const LARGEST: u64 = 1024 * 1024;

/// Where a part of a text is written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Origin {
    /// A literal, from this byte of its value on.
    Literal { span: Span, offset: u32, function: FunctionId },
    /// A file, from this byte on.
    File { path: Arc<PathBuf>, offset: usize },
    /// Not written anywhere: a query's rows.
    Built,
}

/// One text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Expanded {
    pub(crate) text: String,
    /// Where parts begin.
    marks: Vec<(usize, Option<Origin>)>,
}

impl Expanded {
    fn of(text: &str, origin: Option<Origin>) -> Self {
        Self { text: text.to_owned(), marks: vec![(0, origin)] }
    }

    fn hole(name: &str) -> Self {
        Self::of(&format!("{HOLE}{}{HOLE_END}", name.replace([HOLE, HOLE_END], "")), None)
    }

    /// Nothing is known of it.
    fn is_hole(&self) -> bool {
        self.marks.iter().all(|(_, origin)| origin.is_none())
    }

    fn push(&mut self, other: &Self) {
        let base = self.text.len();
        self.text.push_str(&other.text);
        self.marks.extend(other.marks.iter().map(|(at, origin)| (base + at, origin.clone())));
    }

    /// Where a byte of the text is written.
    pub(crate) fn origin(&self, at: usize) -> Option<Origin> {
        let (start, origin) = self.marks.iter().rev().find(|(start, _)| *start <= at)?;
        let inside = at - start;
        match origin.clone()? {
            Origin::Literal { span, offset, function } => {
                Some(Origin::Literal { span, offset: offset + u32::try_from(inside).unwrap_or(0), function })
            }
            Origin::File { path, offset } => Some(Origin::File { path, offset: offset + inside }),
            Origin::Built => Some(Origin::Built),
        }
    }
}

impl Workspace<'_> {
    /// Every text that the value can be. What is only known at run time is a hole.
    pub(crate) fn expand(&self, value: &V) -> Vec<Expanded> {
        let mut texts = self.expanded(value, DEPTH);
        texts.truncate(ALTERNATIVES);
        texts
    }

    fn expanded(&self, value: &V, depth: usize) -> Vec<Expanded> {
        let unknown = || vec![Expanded::hole("…")];
        let Some(depth) = depth.checked_sub(1) else { return unknown() };
        match &**value {
            Value::Text { text, offset, span, function } => {
                vec![Expanded::of(
                    text,
                    Some(Origin::Literal { span: *span, offset: *offset, function: *function }),
                )]
            }
            Value::Hole(name) | Value::Parameter { name, .. } => vec![Expanded::hole(name)],
            Value::Concat(parts) => {
                let mut texts = vec![Expanded::default()];
                // a long sum is as deep as it is long: its parts are gathered first
                for part in flat(parts) {
                    if texts.iter().any(|text| text.text.len() > LONGEST) {
                        break;
                    }
                    let mut more = self.expanded(part, depth);
                    more.truncate((COMBINED / texts.len()).max(1));
                    texts = texts
                        .iter()
                        .flat_map(|before| {
                            more.iter().map(|after| {
                                let mut text = before.clone();
                                text.push(after);
                                text
                            })
                        })
                        .collect();
                }
                texts
            }
            Value::Named(value, name) => {
                let mut texts = self.expanded(value, depth);
                for text in &mut texts {
                    if text.is_hole() {
                        *text = Expanded::hole(name);
                    }
                }
                texts
            }
            Value::OneOf(values) => {
                let mut texts = Vec::new();
                for value in values {
                    texts.extend(self.expanded(value, depth));
                    if texts.len() >= ALTERNATIVES {
                        break;
                    }
                }
                texts
            }
            Value::Record(fields) => fields
                .iter()
                .filter(|(_, value)| value.is_text())
                .flat_map(|(_, value)| self.expanded(value, depth))
                .collect(),
            Value::Field(..) | Value::Constant(..) | Value::Returned(..) | Value::ReturnedByMethod(..) => {
                let reduced = self.reduce(value, depth);
                let same = Arc::ptr_eq(&reduced, value);
                if same || matches!(*reduced, Value::Unknown) {
                    return vec![Expanded::hole(&name_of(value))];
                }
                self.expanded(&reduced, depth)
            }
            Value::Join(list, between) => {
                let reduced = self.reduce(list, depth);
                let mut between = self.expanded(between, depth);
                let between = between.swap_remove(0);
                let elements = match &*reduced {
                    Value::OneOf(values) => values
                        .iter()
                        .filter_map(|value| self.expanded(value, depth).into_iter().next())
                        .collect(),
                    _ => self.expanded(&reduced, depth),
                };
                let mut joined = Expanded::default();
                for (at, element) in elements.iter().take(ALTERNATIVES).enumerate() {
                    if at > 0 {
                        joined.push(&between);
                    }
                    joined.push(element);
                }
                vec![joined]
            }
            Value::File { path, beside, span } => {
                self.file(path, *beside, *span, depth).map_or_else(unknown, |text| vec![text])
            }
            Value::PackageFolder => vec![Expanded::hole("package")],
            Value::Rows(query) => {
                let built = self.expanded(query, depth);
                let built = built.iter().filter_map(|text| sql::rows_as_text(&text.text));
                let built: Vec<_> = built.map(|text| Expanded::of(&text, Some(Origin::Built))).collect();
                if built.is_empty() { unknown() } else { built }
            }
            Value::Builder(text, _) => self.expanded(text, depth),
            _ => unknown(),
        }
    }

    /// What a name stands for, one step after the other.
    fn reduce(&self, value: &V, depth: usize) -> V {
        let Some(depth) = depth.checked_sub(1) else { return Value::unknown() };
        match &**value {
            Value::Constant(path, file) => self.reduce(&self.constant(path, *file), depth),
            Value::Field(base, name) => {
                let base = self.reduce(base, depth);
                match &*base {
                    Value::Record(_) | Value::OneOf(_) => self.reduce(&Value::field(&base, name), depth),
                    _ => Value::unknown(),
                }
            }
            Value::Returned(path, arguments, caller) => {
                let found = self.callees(&Callee::Path(Arc::clone(path)), caller.file);
                self.returned(&found, arguments, path.len() > 1, depth)
            }
            Value::ReturnedByMethod(receiver, name, arguments) => {
                let Some(file) = self.file_of(receiver) else { return Value::unknown() };
                let callee = Callee::Method { name: name.clone(), receiver: V::clone(receiver) };
                if !self.is_own(&callee, file) {
                    return Value::unknown();
                }
                self.returned(&self.callees(&callee, file), arguments, false, depth)
            }
            _ => V::clone(value),
        }
    }

    fn returned(&self, found: &[FunctionId], arguments: &[V], by_path: bool, depth: usize) -> V {
        let [id] = found else { return Value::unknown() };
        let function = self.function(*id);
        let shift = usize::from(by_path && function.has_receiver);
        let value = substituted(&function.returns, *id, arguments.get(shift..).unwrap_or_default(), depth);
        self.reduce(&value, depth)
    }

    /// Some file that knows the receiver; only a known type is looked up, wherever that is.
    fn file_of(&self, receiver: &V) -> Option<u32> {
        let mut file = None;
        receiver.any(&mut |value| {
            if let Value::Parameter { function, .. } | Value::Returned(_, _, function) = value {
                file = Some(function.file);
            }
            file.is_some()
        });
        file.or((!self.files.is_empty()).then_some(0))
    }

    fn file(&self, path: &V, beside: bool, span: Span, depth: usize) -> Option<Expanded> {
        let file = &self.files[span.file as usize];
        let named = self.expanded(path, depth).into_iter().next()?.text;
        let package = format!("{HOLE}package{HOLE_END}");
        let path = if let Some(rest) = named.strip_prefix(&package) {
            file.package.join(rest.trim_start_matches('/'))
        } else if named.contains(HOLE) {
            return None;
        } else if beside {
            file.path.parent()?.join(&named)
        } else {
            file.package.join(&named)
        };
        let path = plain(&path);
        let metadata = std::fs::metadata(&path).ok()?;
        if !metadata.is_file() || metadata.len() > LARGEST {
            return None;
        }
        let text = std::fs::read_to_string(&path).ok()?;
        Some(Expanded::of(&text, Some(Origin::File { path: Arc::new(path), offset: 0 })))
    }
}

/// The parts of a sum of sums.
fn flat(parts: &[V]) -> Vec<&V> {
    let mut found = Vec::new();
    let mut waiting: Vec<&V> = parts.iter().rev().collect();
    while let Some(part) = waiting.pop().filter(|_| found.len() < PARTS) {
        match &**part {
            Value::Concat(inner) => waiting.extend(inner.iter().rev()),
            Value::Builder(inner, _) => waiting.push(inner),
            _ => found.push(part),
        }
    }
    found
}

fn name_of(value: &V) -> String {
    match &**value {
        Value::Field(_, name) | Value::ReturnedByMethod(_, name, _) => name.to_string(),
        Value::Constant(path, _) | Value::Returned(path, ..) => {
            path.last().map_or_else(String::new, ToString::to_string)
        }
        _ => "…".to_owned(),
    }
}

/// The value with a function's parameters replaced by what a call gives.
pub(crate) fn substituted(value: &V, of: FunctionId, arguments: &[V], depth: usize) -> V {
    let Some(depth) = depth.checked_sub(1) else { return Value::unknown() };
    let all = |values: &[V]| -> Vec<V> {
        values.iter().map(|value| substituted(value, of, arguments, depth)).collect()
    };
    let one = |value: &V| substituted(value, of, arguments, depth);
    let replaced = match &**value {
        Value::Parameter { function, index, name, .. } if *function == of => {
            return match arguments.get(*index as usize) {
                Some(argument) if !matches!(**argument, Value::Unknown) => V::clone(argument),
                _ => Value::hole(name.clone()),
            };
        }
        Value::Concat(parts) => Value::Concat(all(&flat(parts).into_iter().cloned().collect::<Vec<_>>())),
        Value::OneOf(values) => Value::OneOf(all(values)),
        Value::Record(fields) => {
            Value::Record(fields.iter().map(|(name, value)| (name.clone(), one(value))).collect())
        }
        Value::Field(base, name) => return Value::field(&one(base), name),
        Value::Named(value, name) => Value::Named(one(value), name.clone()),
        Value::Join(list, between) => Value::Join(one(list), one(between)),
        Value::Rows(query) => Value::Rows(one(query)),
        Value::Builder(text, span) => Value::Builder(one(text), *span),
        Value::File { path, beside, span } => Value::File { path: one(path), beside: *beside, span: *span },
        Value::Returned(path, values, caller) => Value::Returned(Arc::clone(path), all(values), *caller),
        Value::ReturnedByMethod(receiver, name, values) => {
            Value::ReturnedByMethod(one(receiver), name.clone(), all(values))
        }
        _ => return V::clone(value),
    };
    replaced.into()
}
