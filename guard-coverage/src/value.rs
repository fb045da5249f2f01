//! What is known of an expression without running it: enough to follow SQL from where it is written to where it is sent.

use std::sync::Arc;

use crate::Kind;

/// Values share their parts: a name that is used twice is not copied.
pub(crate) type V = Arc<Value>;

/// How many parts of a value are looked at. Text that is put together of more is not written by hand.
pub(crate) const PARTS: usize = 4096;

/// A part of a file, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Span {
    pub(crate) file: u32,
    pub(crate) start: u32,
    pub(crate) end: u32,
}

/// A function: the file's number, and the function's number in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct FunctionId {
    pub(crate) file: u32,
    pub(crate) index: u32,
}

/// What is known of an expression.
#[derive(Debug)]
pub(crate) enum Value {
    Unknown,
    /// A literal, or a part of one from this byte of its value on, with the function that it stands in.
    Text {
        text: Box<str>,
        offset: u32,
        span: Span,
        function: FunctionId,
    },
    /// Something that only the run knows, with a name to show for it.
    Hole(Box<str>),
    Concat(Vec<V>),
    /// With a name to show where it turns out to be unknown.
    Named(V, Box<str>),
    /// One of these: branches, or the elements of a list, which loops go through.
    OneOf(Vec<V>),
    /// A struct or a tuple.
    Record(Vec<(Box<str>, V)>),
    Field(V, Box<str>),
    /// The elements of a list with something between them.
    Join(V, V),
    /// A constant or a static, and the file that names it.
    Constant(Arc<[Box<str>]>, u32),
    Parameter {
        function: FunctionId,
        index: u32,
        name: Box<str>,
        type_name: Option<Box<str>>,
    },
    /// What a function of the workspace returns, if it is one.
    Returned(Arc<[Box<str>]>, Vec<V>, FunctionId),
    /// What a method of the workspace returns, if it is one: receiver, name, arguments.
    ReturnedByMethod(V, Box<str>, Vec<V>),
    /// A file's text; the path is a value itself.
    File {
        path: V,
        beside: bool,
        span: Span,
    },
    /// `CARGO_MANIFEST_DIR`.
    PackageFolder,
    /// A statement that is not made of text.
    Typed(Arc<Typed>),
    /// Statements that were written and wait to be sent: the numbers of their sinks.
    Query(Vec<u32>),
    /// The rows that a query returns.
    Rows(V),
    /// A query builder, with its text so far.
    Builder(V, Span),
    /// From `fixture_guard::begin`.
    Guarded,
    /// Something of a type with this name.
    Object(Box<str>),
    Closure(u32),
}

/// A statement of a query builder that has methods and no text.
#[derive(Clone, Debug)]
pub(crate) struct Typed {
    pub(crate) kind: Kind,
    pub(crate) table: Option<Box<str>>,
    /// Whether it has what stands for `WHERE`.
    pub(crate) filtered: bool,
    /// It destroys nothing yet: an `ALTER` that may drop something.
    pub(crate) pending: bool,
    pub(crate) call: Box<str>,
    pub(crate) span: Span,
}

impl Typed {
    /// Only an update needs a filter to be harmless.
    pub(crate) fn destroys(&self) -> bool {
        !(self.pending || (self.kind == Kind::Update && self.filtered))
    }
}

impl Value {
    pub(crate) fn unknown() -> V {
        Arc::new(Value::Unknown)
    }

    pub(crate) fn hole(name: impl Into<Box<str>>) -> V {
        Arc::new(Value::Hole(name.into()))
    }

    /// One of several, without those of which nothing is known.
    pub(crate) fn one_of(values: impl IntoIterator<Item = V>) -> V {
        let mut known: Vec<V> = Vec::new();
        for value in values {
            if !matches!(*value, Value::Unknown) && !known.iter().any(|other| Arc::ptr_eq(other, &value)) {
                known.push(value);
            }
        }
        match known.len() {
            0 => Value::unknown(),
            1 => known.swap_remove(0),
            _ => Arc::new(Value::OneOf(known)),
        }
    }

    pub(crate) fn concat(values: Vec<V>) -> V {
        Arc::new(Value::Concat(values))
    }

    /// Whether text can be in it.
    pub(crate) fn is_text(&self) -> bool {
        self.any(&mut |value| {
            !matches!(
                value,
                Value::Unknown
                    | Value::Hole(_)
                    | Value::PackageFolder
                    | Value::Typed(_)
                    | Value::Query(_)
                    | Value::Guarded
                    | Value::Object(_)
                    | Value::Closure(_)
                    | Value::Concat(_)
                    | Value::OneOf(_)
                    | Value::Record(_)
                    | Value::Named(..)
            )
        })
    }

    /// Whether anything in it answers yes. Parts that are shared are asked again, so there is an end to asking.
    pub(crate) fn any(&self, ask: &mut dyn FnMut(&Value) -> bool) -> bool {
        let mut waiting = vec![self];
        for _ in 0..PARTS {
            let Some(value) = waiting.pop() else { return false };
            if ask(value) {
                return true;
            }
            match value {
                Value::Concat(parts) | Value::OneOf(parts) => {
                    waiting.extend(parts.iter().map(|part| &**part));
                }
                Value::Record(fields) => waiting.extend(fields.iter().map(|(_, value)| &**value)),
                Value::Field(value, _)
                | Value::Named(value, _)
                | Value::Rows(value)
                | Value::Builder(value, _) => {
                    waiting.push(value);
                }
                Value::Join(list, between) => waiting.extend([&**list, &**between]),
                Value::Returned(_, arguments, _) => {
                    waiting.extend(arguments.iter().map(|argument| &**argument));
                }
                Value::ReturnedByMethod(receiver, _, arguments) => {
                    waiting.push(receiver);
                    waiting.extend(arguments.iter().map(|argument| &**argument));
                }
                _ => {}
            }
        }
        false
    }

    /// The statements that are not text.
    pub(crate) fn typed(&self) -> Vec<Arc<Typed>> {
        match self {
            Value::Typed(typed) => vec![Arc::clone(typed)],
            Value::OneOf(parts) => parts.iter().flat_map(|part| part.typed()).collect(),
            Value::Record(fields) => fields.iter().flat_map(|(_, value)| value.typed()).collect(),
            Value::Field(value, _) => value.typed(),
            _ => Vec::new(),
        }
    }

    /// A field of a struct or tuple, through alternatives.
    pub(crate) fn field(value: &V, name: &str) -> V {
        match &**value {
            Value::Record(fields) => fields
                .iter()
                .find(|(field, _)| **field == *name)
                .map_or_else(Value::unknown, |(_, value)| Arc::clone(value)),
            Value::OneOf(parts) => Value::one_of(parts.iter().map(|part| Value::field(part, name))),
            Value::Unknown | Value::Text { .. } | Value::Hole(_) | Value::Concat(_) => Value::unknown(),
            Value::Typed(_) | Value::Query(_) | Value::Rows(_) => Arc::clone(value),
            _ => Arc::new(Value::Field(Arc::clone(value), name.into())),
        }
    }
}
