//! One file's syntax tree becomes facts: an interpreter that knows nothing but text.

mod builders;
mod calls;
mod expressions;
mod items;
mod macros;
mod methods;
mod places;
mod types;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::facts::{Call, CallPlace, Callee, Facts, Path, Sink};
use crate::value::{FunctionId, V, Value};

pub(crate) use items::lower;

/// One name with its value; later ones hide earlier ones.
type Environment = Vec<(Box<str>, V)>;

/// The state of the walk through one file.
struct Lower {
    file: u32,
    facts: Facts,
    /// What the file's `use` calls its names.
    uses: HashMap<Box<str>, Path>,
    /// The first names of `use name::…::*`.
    globs: HashSet<Box<str>>,
    modules: Vec<Box<str>>,
    owner: Option<Box<str>>,
    implements: Option<Box<str>>,
    is_test_code: bool,
    function: u32,
    returns: Vec<V>,
    environment: Environment,
    statement: Option<places::Ends>,
    chain: Option<places::Ends>,
}

impl Lower {
    fn id(&self) -> FunctionId {
        FunctionId { file: self.file, index: self.function }
    }

    fn lookup(&self, name: &str) -> Option<V> {
        self.environment.iter().rev().find(|(known, _)| **known == *name).map(|(_, value)| Arc::clone(value))
    }

    fn assign(&mut self, name: &str, value: V) {
        if let Some((_, old)) = self.environment.iter_mut().rev().find(|(known, _)| **known == *name) {
            *old = value;
        }
    }

    fn declare(&mut self, name: impl Into<Box<str>>, value: V) {
        self.environment.push((name.into(), value));
    }

    /// Runs several ways to go on; afterwards a name is what one of them made of it.
    fn branches<T>(&mut self, ways: Vec<T>, mut walk: impl FnMut(&mut Self, T) -> V) -> V {
        let before = self.environment.clone();
        let mut ends: Vec<Environment> = Vec::new();
        let mut values = Vec::new();
        for way in ways {
            self.environment.clone_from(&before);
            values.push(walk(self, way));
            self.environment.truncate(before.len());
            ends.push(std::mem::take(&mut self.environment));
        }
        self.environment = before;
        for (at, (_, value)) in self.environment.iter_mut().enumerate() {
            let changed = ends.iter().any(|end| !Arc::ptr_eq(&end[at].1, value));
            if changed {
                *value = Value::one_of(ends.iter().map(|end| Arc::clone(&end[at].1)));
            }
        }
        Value::one_of(values)
    }

    fn place(&self, call: places::Ends) -> CallPlace {
        let call = call.span(self.file);
        let chain = self.chain.as_ref().map_or(call, |chain| chain.span(self.file));
        let statement = self.statement.as_ref().map_or(chain, |statement| statement.span(self.file));
        CallPlace { call, chain, statement }
    }

    fn sink(&mut self, sink: Sink) -> V {
        self.facts.sinks.push(sink);
        Arc::new(Value::Query(vec![u32::try_from(self.facts.sinks.len() - 1).unwrap_or(u32::MAX)]))
    }

    fn call(&mut self, callee: Callee, arguments: Vec<V>, ends: places::Ends) {
        let guarded = arguments.iter().any(is_guarded)
            || matches!(&callee, Callee::Method { receiver, .. } if is_guarded(receiver));
        let matters = arguments.iter().any(|argument| {
            argument.any(&mut |value| matches!(value, Value::Closure(_) | Value::Typed(_)))
                || argument.is_text()
        });
        let place = if matters { self.place(ends) } else { CallPlace::default() };
        let arguments = if matters { arguments } else { Vec::new() };
        self.facts.calls.push(Call {
            function: self.function,
            callee,
            arguments,
            guarded,
            is_reference: false,
            place,
        });
    }

    /// The path with the file's `use` applied.
    fn resolved(&self, path: &syn::Path) -> Path {
        let mut names: Vec<Box<str>> = Vec::with_capacity(path.segments.len());
        for (at, segment) in path.segments.iter().enumerate() {
            let name: Box<str> = segment.ident.to_string().into();
            match self.uses.get(&name) {
                Some(used) if at == 0 => names.extend(used.iter().cloned()),
                _ => names.push(name),
            }
        }
        if *names[0] == *"Self"
            && let Some(owner) = &self.owner
        {
            names[0] = owner.clone();
        }
        names.into()
    }

    /// Whether the file names this crate in a `use`.
    fn mentions(&self, crates: &[&str]) -> bool {
        self.globs.iter().any(|first| crates.contains(&&**first))
            || self.uses.values().any(|path| crates.contains(&&*path[0]))
    }
}

fn is_guarded(value: &V) -> bool {
    value.any(&mut |value| matches!(value, Value::Guarded))
}
