//! All files' facts together: whom a name means.

use std::collections::{HashMap, HashSet};

use crate::facts::{Callee, Constant, Facts, Function, Sink};
use crate::names;
use crate::value::{FunctionId, V, Value};
use crate::walk::SourceFile;

/// A method with more namesakes than this means nothing without its receiver's type.
const NAMESAKES: usize = 64;

/// Facts of all files, and indices into them.
pub(crate) struct Workspace<'f> {
    pub(crate) files: &'f [SourceFile],
    pub(crate) facts: &'f [Facts],
    functions: HashMap<&'f str, Vec<FunctionId>>,
    /// Structs, enums and traits.
    types: HashSet<&'f str>,
    fields: HashMap<(&'f str, &'f str), &'f str>,
    constants: HashMap<&'f str, Vec<(u32, &'f Constant)>>,
}

impl<'f> Workspace<'f> {
    pub(crate) fn new(files: &'f [SourceFile], facts: &'f [Facts]) -> Self {
        let mut workspace = Self {
            files,
            facts,
            functions: HashMap::new(),
            types: HashSet::new(),
            fields: HashMap::new(),
            constants: HashMap::new(),
        };
        for (number, facts) in (0_u32..).zip(facts) {
            for function in facts.functions.iter().filter(|function| !function.name.is_empty()) {
                workspace.functions.entry(&function.name).or_default().push(function.id);
            }
            for definition in &facts.structs {
                workspace.types.insert(&definition.name);
                let fields = definition.fields.iter();
                workspace.fields.extend(fields.map(|(field, name)| ((&*definition.name, &**field), &**name)));
            }
            workspace.types.extend(facts.traits.iter().map(|name| &**name));
            for constant in &facts.constants {
                workspace.constants.entry(&constant.name).or_default().push((number, constant));
            }
        }
        workspace
    }

    pub(crate) fn function(&self, id: FunctionId) -> &'f Function {
        &self.facts[id.file as usize].functions[id.index as usize]
    }

    /// The function that a closure belongs to.
    pub(crate) fn root(&self, id: FunctionId) -> FunctionId {
        let mut id = id;
        while let Some(parent) = self.function(id).parent {
            id.index = parent;
        }
        id
    }

    pub(crate) fn is_trait(&self, name: &str) -> bool {
        self.facts.iter().any(|facts| facts.traits.iter().any(|known| **known == *name))
    }

    fn named(&self, name: &str) -> impl Iterator<Item = FunctionId> {
        self.functions.get(name).into_iter().flatten().copied()
    }

    /// The functions of the workspace that a call may mean.
    pub(crate) fn callees(&self, callee: &Callee, file: u32) -> Vec<FunctionId> {
        match callee {
            Callee::Closure(index) => vec![FunctionId { file, index: *index }],
            Callee::Macro(name) => self.macros(name),
            Callee::Path(path) => self.by_path(path, file),
            Callee::Method { name, receiver } => self.by_method(name, receiver, file),
        }
    }

    fn macros(&self, name: &str) -> Vec<FunctionId> {
        self.named(&format!("{name}!")).filter(|id| self.function(*id).is_macro).collect()
    }

    fn by_path(&self, path: &[Box<str>], file: u32) -> Vec<FunctionId> {
        let Some((name, before)) = path.split_last() else { return Vec::new() };
        if path.len() > 1 && names::DRIVERS.contains(&&*path[0]) {
            return Vec::new();
        }
        let functions = self.named(name).filter(|id| !self.function(*id).is_macro);
        match before.last() {
            None => {
                let free: Vec<_> = functions.filter(|id| self.function(*id).owner.is_none()).collect();
                let here: Vec<_> = free.iter().filter(|id| id.file == file).copied().collect();
                if !here.is_empty() || !self.has_own_globs(file) {
                    return here;
                }
                self.nearest(free, file)
            }
            Some(owner) if owner.starts_with(char::is_uppercase) => {
                let own = functions.filter(|id| {
                    let function = self.function(*id);
                    [&function.owner, &function.implements].iter().any(|name| name.as_ref() == Some(owner))
                });
                self.nearest(own.collect(), file)
            }
            Some(module) => {
                let free: Vec<_> = functions.filter(|id| self.function(*id).owner.is_none()).collect();
                let within: Vec<_> = free.iter().filter(|id| self.is_module(**id, module)).copied().collect();
                if within.is_empty() { self.nearest(free, file) } else { self.nearest(within, file) }
            }
        }
    }

    /// Whether the file takes all names of another module of the workspace.
    fn has_own_globs(&self, file: u32) -> bool {
        self.facts[file as usize].globs.iter().any(|first| {
            !names::DRIVERS.contains(&&**first)
                && !["std", "tokio", "futures", "core", "anyhow"].contains(&&**first)
        })
    }

    /// Whether the function stands in a file that is called like the module.
    fn is_module(&self, id: FunctionId, module: &str) -> bool {
        let path = &self.files[id.file as usize].path;
        let stem = path.file_stem().is_some_and(|stem| stem == module);
        stem || path.parent().and_then(|folder| folder.file_name()).is_some_and(|folder| folder == module)
    }

    /// Those of the same file, else those of the same package, else all.
    fn nearest(&self, found: Vec<FunctionId>, file: u32) -> Vec<FunctionId> {
        let here: Vec<_> = found.iter().filter(|id| id.file == file).copied().collect();
        if !here.is_empty() {
            return here;
        }
        let package = &self.files[file as usize].package;
        let near: Vec<_> =
            found.iter().filter(|id| self.files[id.file as usize].package == *package).copied().collect();
        if near.is_empty() { found } else { near }
    }

    fn by_method(&self, name: &str, receiver: &V, file: u32) -> Vec<FunctionId> {
        let methods: Vec<_> = self.named(name).filter(|id| self.function(*id).has_receiver).collect();
        if methods.is_empty() {
            return methods;
        }
        match self.type_of(receiver, file, 8) {
            Some(owner) => {
                let own = methods.into_iter().filter(|id| {
                    let function = self.function(*id);
                    [&function.owner, &function.implements].iter().any(|name| name.as_deref() == Some(owner))
                });
                own.collect()
            }
            None => {
                Some(self.nearest(methods, file)).filter(|found| found.len() <= NAMESAKES).unwrap_or_default()
            }
        }
    }

    /// The name of a value's type.
    pub(crate) fn type_of<'v>(&'v self, value: &'v V, file: u32, depth: usize) -> Option<&'v str> {
        if depth == 0 {
            return None;
        }
        match &**value {
            Value::Object(name) => Some(name),
            Value::Parameter { type_name, .. } => type_name.as_deref(),
            Value::Record(fields) => fields
                .iter()
                .find(|(name, _)| name.is_empty())
                .and_then(|(_, value)| self.type_of(value, file, depth - 1)),
            Value::OneOf(values) => values.iter().find_map(|value| self.type_of(value, file, depth - 1)),
            Value::Field(base, field) => {
                let base = self.type_of(base, file, depth - 1)?;
                self.fields.get(&(base, &**field)).copied()
            }
            Value::Returned(path, ..) => {
                let found = self.by_path(path, file);
                let returned = found.iter().find_map(|id| self.function(*id).returned_type.as_deref());
                let owner = path.iter().rev().nth(1).filter(|owner| self.types.contains(&***owner));
                returned.or(owner.map(|owner| &**owner))
            }
            Value::ReturnedByMethod(receiver, name, _) => {
                let methods: Vec<_> = self.named(name).filter(|id| self.function(*id).has_receiver).collect();
                let owner = self.type_of(receiver, file, depth - 1);
                let own = methods
                    .into_iter()
                    .filter(|id| owner.is_none() || self.function(*id).owner.as_deref() == owner);
                let mut returned = own.filter_map(|id| self.function(id).returned_type.as_deref());
                returned.next()
            }
            _ => None,
        }
    }

    /// Whether the call is one of the workspace's own functions, so that what that does inside is what counts.
    pub(crate) fn is_own(&self, callee: &Callee, file: u32) -> bool {
        match callee {
            Callee::Method { name, receiver } => {
                let known = self.type_of(receiver, file, 8).is_some_and(|owner| self.types.contains(owner));
                known && !self.by_method(name, receiver, file).is_empty()
            }
            Callee::Macro(name) => !self.macros(name).is_empty(),
            other => !self.callees(other, file).is_empty(),
        }
    }

    /// Whether the sink is one at all.
    pub(crate) fn holds(&self, sink: &Sink, file: u32) -> bool {
        if let Some(callee) = &sink.unless
            && self.is_own(callee, file)
            && !self.is_own_connection(callee, file)
        {
            return false;
        }
        sink.only_if
            .as_ref()
            .is_none_or(|name| self.macros(name).iter().any(|id| self.sends_its_parameters(*id)))
    }

    /// A workspace that holds a driver, or a connection of its own.
    fn is_own_connection(&self, callee: &Callee, file: u32) -> bool {
        let Callee::Method { name, receiver } = callee else { return false };
        names::is_driver_method(name)
            && self.type_of(receiver, file, 8).is_some_and(names::is_connection_type)
    }

    fn sends_its_parameters(&self, id: FunctionId) -> bool {
        self.facts[id.file as usize].sinks.iter().any(|sink| {
            let own = self.root(FunctionId { file: id.file, index: sink.function }) == id;
            own && sink.only_if.is_none()
                && sink.text.as_ref().is_some_and(|text| {
                    text.any(
                        &mut |value| matches!(value, Value::Parameter { function, .. } if *function == id),
                    )
                })
        })
    }

    /// What a constant is; of several with that name, the nearest.
    pub(crate) fn constant(&self, path: &[Box<str>], file: u32) -> V {
        let Some((name, before)) = path.split_last() else { return Value::unknown() };
        let all = self.constants.get(&**name).map_or(&[][..], Vec::as_slice);
        let owner = before.last().filter(|owner| owner.starts_with(char::is_uppercase));
        let mut fitting: Vec<_> =
            all.iter().filter(|(_, constant)| owner.is_none() || constant.owner.as_ref() == owner).collect();
        // of namesakes, those in a module, or a file, that is called as the path says
        let module =
            before.last().filter(|name| owner.is_none() && !["crate", "self", "super"].contains(&&***name));
        let is_there = |number: u32, constant: &Constant| {
            let stem = self.files[number as usize].path.file_stem();
            constant.module.as_ref() == module
                || module.is_some_and(|module| stem.is_some_and(|stem| *stem == **module))
        };
        if module.is_some() && fitting.iter().any(|(number, constant)| is_there(*number, constant)) {
            fitting.retain(|(number, constant)| is_there(*number, constant));
        }
        let here: Vec<_> = fitting.iter().filter(|(number, _)| *number == file).collect();
        if !here.is_empty() {
            return Value::one_of(here.into_iter().map(|(_, constant)| V::clone(&constant.value)));
        }
        let package = &self.files[file as usize].package;
        let near: Vec<_> =
            fitting.iter().filter(|(number, _)| self.files[*number as usize].package == *package).collect();
        match (near.as_slice(), fitting.as_slice()) {
            ([(_, constant)], _) | ([], [(_, constant)]) => V::clone(&constant.value),
            // of one file: any of them; of several, nobody knows
            ([(first, _), rest @ ..], _) if rest.iter().all(|(number, _)| number == first) => {
                Value::one_of(near.iter().map(|(_, constant)| V::clone(&constant.value)))
            }
            _ => Value::unknown(),
        }
    }
}
