//! Items: functions, modules, constants, and what `use` calls things.

use std::collections::{HashMap, HashSet};

use proc_macro2::TokenStream;
use syn::visit::Visit;
use syn::{
    Attribute, Block, Expr, Fields, FnArg, ImplItem, Item, Lit, Meta, Pat, ReturnType, Signature, Token,
    TraitItem, UseTree, punctuated::Punctuated, spanned::Spanned,
};

use super::places::Ends;
use super::{Lower, types};
use crate::facts::{Constant, Facts, Function, Module, Path, Struct};
use crate::names::{self, PROOF};
use crate::value::{FunctionId, Span, V, Value};

/// The attributes that put the guard in front of a function.
const GUARDS: [&str; 2] = ["destructive_fixture", "guarded_test"];

/// The facts of one file.
pub(crate) fn lower(file: u32, syntax: &syn::File) -> Facts {
    let mut names = Uses::default();
    names.visit_file(syntax);
    let mut lower = Lower {
        file,
        facts: Facts::default(),
        uses: names.uses,
        globs: names.globs,
        modules: Vec::new(),
        owner: None,
        implements: None,
        is_test_code: is_test_only(&syntax.attrs),
        function: 0,
        returns: Vec::new(),
        environment: Vec::new(),
        statement: None,
        chain: None,
    };
    // what stands outside of functions belongs to one without a name
    lower.facts.functions.push(Function {
        id: FunctionId { file, index: 0 },
        name: "".into(),
        owner: None,
        implements: None,
        parent: None,
        is_closure: false,
        is_macro: false,
        has_receiver: false,
        is_test_code: lower.is_test_code,
        is_entry: true,
        is_guarded: false,
        returns: Value::unknown(),
        returned_type: None,
        head: Span::default(),
    });
    lower.items(&syntax.items);
    lower.facts.globs = lower.globs.into_iter().collect();
    lower.facts
}

/// What every `use` of the file calls things, wherever it stands.
#[derive(Default)]
struct Uses {
    uses: HashMap<Box<str>, Path>,
    globs: HashSet<Box<str>>,
}

impl Uses {
    fn tree(&mut self, tree: &UseTree, before: &mut Vec<Box<str>>) {
        match tree {
            UseTree::Path(path) => {
                before.push(path.ident.to_string().into());
                self.tree(&path.tree, before);
                before.pop();
            }
            UseTree::Group(group) => group.items.iter().for_each(|item| self.tree(item, before)),
            UseTree::Glob(_) => self.globs.extend(before.first().cloned()),
            UseTree::Name(name) => {
                let name: Box<str> = name.ident.to_string().into();
                let real = if *name == *"self" { before.last().cloned() } else { Some(name.clone()) };
                let path = before.iter().cloned().chain((*name != *"self").then_some(name)).collect();
                self.uses.extend(real.map(|real| (real, path)));
            }
            UseTree::Rename(rename) => {
                let name: Box<str> = rename.ident.to_string().into();
                let path = before.iter().cloned().chain((*name != *"self").then_some(name)).collect();
                self.uses.insert(rename.rename.to_string().into(), path);
            }
        }
    }
}

impl<'ast> Visit<'ast> for Uses {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.tree(&item.tree, &mut Vec::new());
    }
}

/// Whether a predicate of `cfg` holds in tests only: `test`, `any(test, feature = "…")`, `all(test, …)`, or a feature that
/// is called so, as `test-support`.
fn says_test(predicate: &Meta) -> bool {
    match predicate {
        Meta::Path(path) => path.is_ident("test"),
        Meta::List(list) if list.path.is_ident("any") || list.path.is_ident("all") => {
            nested(&list.tokens).iter().any(says_test)
        }
        Meta::NameValue(pair) if pair.path.is_ident("feature") => {
            let Expr::Lit(literal) = &pair.value else { return false };
            let Lit::Str(name) = &literal.lit else { return false };
            name.value().split(['-', '_']).any(|word| ["test", "tests", "testing"].contains(&word))
        }
        _ => false,
    }
}

fn nested(tokens: &TokenStream) -> Vec<Meta> {
    let parser = Punctuated::<Meta, Token![,]>::parse_terminated;
    syn::parse::Parser::parse2(parser, tokens.clone()).into_iter().flatten().collect()
}

/// Whether `#[cfg(test)]` or one like it is among them.
fn is_test_only(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) if list.path.is_ident("cfg") => nested(&list.tokens).iter().any(says_test),
        _ => false,
    })
}

impl Lower {
    pub(super) fn items(&mut self, items: &[Item]) {
        for item in items {
            self.item(item);
        }
    }

    /// Runs a part with `#[cfg(test)]` and other surroundings as they are there, and restores them.
    fn within(&mut self, attributes: &[Attribute], walk: impl FnOnce(&mut Self)) {
        let before = self.is_test_code;
        self.is_test_code |= is_test_only(attributes);
        walk(self);
        self.is_test_code = before;
    }

    pub(super) fn item(&mut self, item: &Item) {
        match item {
            Item::Fn(function) => self.function(&function.attrs, &function.sig, &function.block),
            Item::Mod(module) => self.within(&module.attrs, |lower| lower.module(module)),
            Item::Impl(block) => self.within(&block.attrs, |lower| {
                let span = Ends::of(block.impl_token.span, block.brace_token.span.close()).span(lower.file);
                lower.facts.blocks.push(span);
                let name = types::name(&block.self_ty);
                let implements = block.trait_.as_ref().and_then(|(path, _)| path.segments.last());
                let implements = implements.map(|segment| segment.ident.to_string().into());
                let outside = (lower.owner.take(), lower.implements.take());
                (lower.owner, lower.implements) = (name, implements);
                for item in &block.items {
                    match item {
                        ImplItem::Fn(method) => lower.function(&method.attrs, &method.sig, &method.block),
                        ImplItem::Const(constant) => {
                            lower.constant(&constant.ident.to_string(), &constant.expr);
                        }
                        ImplItem::Macro(call) => lower.loose_tokens(&call.mac.tokens),
                        _ => {}
                    }
                }
                (lower.owner, lower.implements) = outside;
            }),
            Item::Trait(definition) => self.within(&definition.attrs, |lower| {
                let name: Box<str> = definition.ident.to_string().into();
                lower.facts.traits.push(name.clone());
                let outside = lower.owner.replace(name);
                for item in &definition.items {
                    match item {
                        TraitItem::Fn(method) => {
                            if let Some(block) = &method.default {
                                lower.function(&method.attrs, &method.sig, block);
                            }
                        }
                        TraitItem::Const(constant) => {
                            if let Some((_, value)) = &constant.default {
                                lower.constant(&constant.ident.to_string(), value);
                            }
                        }
                        _ => {}
                    }
                }
                lower.owner = outside;
            }),
            Item::Const(constant) => {
                self.within(&constant.attrs, |lower| {
                    lower.constant(&constant.ident.to_string(), &constant.expr);
                });
            }
            Item::Static(constant) => {
                self.within(&constant.attrs, |lower| {
                    lower.constant(&constant.ident.to_string(), &constant.expr);
                });
            }
            Item::Struct(definition) => {
                if let Fields::Named(fields) = &definition.fields {
                    let named = fields.named.iter();
                    let fields = named.filter_map(|field| {
                        Some((field.ident.as_ref()?.to_string().into(), types::name(&field.ty)?))
                    });
                    let fields = fields.collect();
                    self.facts.structs.push(Struct { name: definition.ident.to_string().into(), fields });
                } else {
                    self.facts
                        .structs
                        .push(Struct { name: definition.ident.to_string().into(), fields: Vec::new() });
                }
            }
            Item::Enum(definition) => {
                self.facts
                    .structs
                    .push(Struct { name: definition.ident.to_string().into(), fields: Vec::new() });
            }
            Item::Macro(definition) => self.within(&definition.attrs, |lower| lower.macro_item(definition)),
            Item::Verbatim(tokens) => self.descend(tokens),
            _ => {}
        }
    }

    fn module(&mut self, module: &syn::ItemMod) {
        let name: Box<str> = module.ident.to_string().into();
        let Some((brace, items)) = &module.content else {
            let path = module.attrs.iter().find_map(|attribute| match &attribute.meta {
                Meta::NameValue(pair) if pair.path.is_ident("path") => match &pair.value {
                    Expr::Lit(syn::ExprLit { lit: Lit::Str(path), .. }) => Some(path.value().into()),
                    _ => None,
                },
                _ => None,
            });
            let inside = self.modules.clone();
            self.facts.modules.push(Module { name, inside, path, is_test_code: self.is_test_code });
            return;
        };
        let span = Ends::of(module.mod_token.span, brace.span.close()).span(self.file);
        self.facts.blocks.push(span);
        self.modules.push(name);
        self.items(items);
        self.modules.pop();
    }

    fn constant(&mut self, name: &str, expression: &Expr) {
        let function = std::mem::replace(&mut self.function, 0);
        let environment = std::mem::take(&mut self.environment);
        let value = self.evaluate(expression);
        self.function = function;
        self.environment = environment;
        if value.is_text() {
            let (owner, module) = (self.owner.clone(), self.modules.last().cloned());
            self.facts.constants.push(Constant { name: name.into(), owner, module, value });
        }
    }

    fn names_guard(&self, path: &syn::Path) -> bool {
        let path = self.resolved(path);
        path.last().is_some_and(|last| GUARDS.contains(&&**last))
    }

    /// Whether an attribute puts the guard in front; one under `cfg_attr` only where it is sure to hold.
    fn has_guard(&self, attributes: &[Attribute]) -> bool {
        attributes.iter().any(|attribute| match &attribute.meta {
            Meta::List(list) if list.path.is_ident("cfg_attr") => {
                let parts = nested(&list.tokens);
                let sure = matches!(parts.first(), Some(Meta::Path(path)) if path.is_ident("test"));
                sure && parts[1..].iter().any(|part| self.names_guard(part.path()))
            }
            meta => self.names_guard(meta.path()),
        })
    }

    fn is_proof(&self, name: &str) -> bool {
        name == PROOF
            || self.uses.get(name).is_some_and(|path| path.last().is_some_and(|last| **last == *PROOF))
    }

    fn function(&mut self, attributes: &[Attribute], signature: &Signature, block: &Block) {
        let typed = |argument: &FnArg| match argument {
            FnArg::Typed(typed) => Some(typed.clone()),
            FnArg::Receiver(_) => None,
        };
        let is_test = attributes.iter().any(|attribute| {
            attribute
                .path()
                .segments
                .last()
                .is_some_and(|last| names::is_test_attribute(&last.ident.to_string()))
        });
        let proof = |name: &str| self.is_proof(name);
        let takes_proof =
            signature.inputs.iter().filter_map(typed).any(|argument| types::says(&argument.ty, &proof));
        let is_guarded = takes_proof || self.has_guard(attributes);
        let name = signature.ident.to_string();
        let first = attributes
            .first()
            .map_or_else(|| signature.fn_token.span, |attribute| attribute.pound_token.span);
        let nested = !self.is_outside();
        let index = u32::try_from(self.facts.functions.len()).unwrap_or(u32::MAX);
        let returned_type = match &signature.output {
            ReturnType::Type(_, returned) => types::name(returned).map(|name| match (&*name, &self.owner) {
                ("Self", Some(owner)) => owner.clone(),
                _ => name,
            }),
            ReturnType::Default => None,
        };
        self.facts.functions.push(Function {
            id: FunctionId { file: self.file, index },
            is_entry: is_test || name == "main",
            name: name.into(),
            owner: if nested { None } else { self.owner.clone() },
            implements: if nested { None } else { self.implements.clone() },
            parent: None,
            is_closure: false,
            is_macro: false,
            has_receiver: signature.inputs.first().is_some_and(|first| matches!(first, FnArg::Receiver(_))),
            is_test_code: self.is_test_code || is_test || is_test_only(attributes),
            is_guarded,
            returns: Value::unknown(),
            returned_type,
            head: Ends::of(first, block.brace_token.span.open()).span(self.file),
        });

        let outside = Outside::enter(self, index);
        self.is_test_code |= is_test || is_test_only(attributes);
        let mut position = 0;
        for argument in &signature.inputs {
            match argument {
                FnArg::Receiver(_) => {
                    let value =
                        self.owner.clone().map_or_else(Value::unknown, |owner| Value::Object(owner).into());
                    self.declare("self", value);
                }
                FnArg::Typed(typed) => {
                    let value: V = if types::says(&typed.ty, &|name| self.is_proof(name)) {
                        Value::Guarded.into()
                    } else {
                        self.parameter(index, position, &typed.pat, types::name(&typed.ty))
                    };
                    self.bind(&typed.pat, &value);
                    position += 1;
                }
            }
        }
        let last = self.block(block);
        self.finish_builders();
        let mut returns = std::mem::take(&mut self.returns);
        returns.push(last);
        self.facts.functions[index as usize].returns = Value::one_of(returns);
        outside.leave(self);
    }

    fn is_outside(&self) -> bool {
        self.function == 0
    }

    pub(super) fn parameter(
        &self,
        index: u32,
        position: u32,
        pattern: &Pat,
        type_name: Option<Box<str>>,
    ) -> V {
        let function = FunctionId { file: self.file, index };
        Value::Parameter { function, index: position, name: pattern_name(pattern), type_name }.into()
    }

    /// A function for what a macro's definition holds, or for a closure's body.
    pub(super) fn nameless(&mut self, name: Box<str>, is_closure: bool, ends: Ends) -> u32 {
        let index = u32::try_from(self.facts.functions.len()).unwrap_or(u32::MAX);
        let span = ends.span(self.file);
        self.facts.functions.push(Function {
            id: FunctionId { file: self.file, index },
            name,
            owner: None,
            implements: None,
            parent: is_closure.then_some(self.function),
            is_closure,
            is_macro: !is_closure,
            has_receiver: false,
            is_test_code: self.is_test_code,
            is_entry: false,
            is_guarded: false,
            returns: Value::unknown(),
            returned_type: None,
            head: Span { end: span.start, ..span },
        });
        index
    }
}

/// What a function's body does not see of the code around it.
pub(super) struct Outside {
    function: u32,
    environment: super::Environment,
    returns: Vec<V>,
    is_test_code: bool,
    statement: Option<Ends>,
    chain: Option<Ends>,
}

impl Outside {
    pub(super) fn enter(lower: &mut Lower, index: u32) -> Self {
        Self {
            function: std::mem::replace(&mut lower.function, index),
            environment: std::mem::take(&mut lower.environment),
            returns: std::mem::take(&mut lower.returns),
            is_test_code: lower.is_test_code,
            statement: lower.statement.take(),
            chain: lower.chain.take(),
        }
    }

    pub(super) fn leave(self, lower: &mut Lower) {
        lower.function = self.function;
        lower.environment = self.environment;
        lower.returns = self.returns;
        lower.is_test_code = self.is_test_code;
        lower.statement = self.statement;
        lower.chain = self.chain;
    }
}

/// The name that a pattern gives, for people.
pub(super) fn pattern_name(pattern: &Pat) -> Box<str> {
    match pattern {
        Pat::Ident(ident) => ident.ident.to_string().into(),
        Pat::Type(typed) => pattern_name(&typed.pat),
        Pat::Reference(reference) => pattern_name(&reference.pat),
        _ => "…".into(),
    }
}

/// Spans of items are only needed where something is found.
pub(super) fn ends_of(tokens: &impl Spanned) -> Ends {
    let span = tokens.span();
    Ends::of(span, span)
}
