//! What one file says, without its syntax tree: small enough to keep for a whole workspace.

use std::sync::Arc;

use crate::value::{FunctionId, Span, Typed, V};

/// A path as it is written, with the file's `use` applied to its first name.
pub(crate) type Path = Arc<[Box<str>]>;

#[derive(Debug, Default)]
pub(crate) struct Facts {
    pub(crate) functions: Vec<Function>,
    pub(crate) sinks: Vec<Sink>,
    pub(crate) calls: Vec<Call>,
    pub(crate) constants: Vec<Constant>,
    pub(crate) modules: Vec<Module>,
    pub(crate) structs: Vec<Struct>,
    pub(crate) traits: Vec<Box<str>>,
    /// Modules and `impl` blocks: a comment above them speaks for all that is inside.
    pub(crate) blocks: Vec<Span>,
    /// The first names of `use name::…::*`.
    pub(crate) globs: Vec<Box<str>>,
}

#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "facts that do not exclude each other")]
pub(crate) struct Function {
    pub(crate) id: FunctionId,
    pub(crate) name: Box<str>,
    /// The type or trait that it belongs to.
    pub(crate) owner: Option<Box<str>>,
    /// The trait that is implemented here.
    pub(crate) implements: Option<Box<str>>,
    /// For a closure or a function in a function: the one around it.
    pub(crate) parent: Option<u32>,
    pub(crate) is_closure: bool,
    pub(crate) is_macro: bool,
    pub(crate) has_receiver: bool,
    /// In `#[cfg(test)]`, or with an attribute of a test.
    pub(crate) is_test_code: bool,
    /// A test, or `main`: somebody calls it whom we cannot see.
    pub(crate) is_entry: bool,
    /// By an attribute, or because it takes the proof.
    pub(crate) is_guarded: bool,
    pub(crate) returns: V,
    pub(crate) returned_type: Option<Box<str>>,
    /// From its attributes to where its body begins.
    pub(crate) head: Span,
}

/// A call that sends something to a database.
#[derive(Debug)]
pub(crate) struct Sink {
    pub(crate) function: u32,
    /// As people know it: `sqlx::query`, `.execute`.
    pub(crate) name: Box<str>,
    pub(crate) text: Option<V>,
    pub(crate) typed: Option<Typed>,
    /// It holds only if these are not the workspace's own: then what they do inside counts.
    pub(crate) unless: Option<Callee>,
    /// It holds only if this macro of the workspace sends what it is given.
    pub(crate) only_if: Option<Box<str>>,
    pub(crate) guarded: bool,
    /// What it is sent to, where that is a value whose type may be the proof.
    pub(crate) executor: Option<V>,
    pub(crate) place: CallPlace,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CallPlace {
    /// The name and its arguments.
    pub(crate) call: Span,
    /// With everything that is chained to it.
    pub(crate) chain: Span,
    pub(crate) statement: Span,
}

#[derive(Clone, Debug)]
pub(crate) enum Callee {
    Path(Path),
    Method { name: Box<str>, receiver: V },
    Closure(u32),
    Macro(Box<str>),
}

/// Who calls whom, and with what.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) function: u32,
    pub(crate) callee: Callee,
    pub(crate) arguments: Vec<V>,
    /// A connection that the guard made is among the arguments.
    pub(crate) guarded: bool,
    /// The function is named, and somebody else calls it.
    pub(crate) is_reference: bool,
    pub(crate) place: CallPlace,
}

#[derive(Debug)]
pub(crate) struct Constant {
    pub(crate) name: Box<str>,
    pub(crate) owner: Option<Box<str>>,
    /// The module of its file that it stands in.
    pub(crate) module: Option<Box<str>>,
    pub(crate) value: V,
}

/// `mod name;`
#[derive(Debug)]
pub(crate) struct Module {
    pub(crate) name: Box<str>,
    /// The modules of this file around it.
    pub(crate) inside: Vec<Box<str>>,
    pub(crate) path: Option<Box<str>>,
    pub(crate) is_test_code: bool,
}

#[derive(Debug)]
pub(crate) struct Struct {
    pub(crate) name: Box<str>,
    /// Each field with the name of its type.
    pub(crate) fields: Vec<(Box<str>, Box<str>)>,
}
