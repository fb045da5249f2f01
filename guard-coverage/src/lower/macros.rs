//! Macros: those that make text, those of SQL, and all others, of which only the expressions inside count.

use std::sync::Arc;

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::parse::{Parse, ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::{Block, Expr, ItemMacro, Macro, Token};

use super::Lower;
use super::expressions::{name_of, short};
use super::items::{Outside, ends_of};
use super::places::Ends;
use crate::facts::{Callee, Sink};
use crate::names;
use crate::value::{V, Value};

/// Macros that format their arguments into a text of the first.
const FORMATS: [&str; 6] = ["format", "format_args", "formatdoc", "formatcp", "formatc", "aformat"];
/// Macros whose only argument is the text.
const TEXTS: [&str; 5] = ["indoc", "include_str_", "trim_margin", "dedent", "cstr"];
const JOINS: [&str; 5] = ["concat", "concatcp", "concatc", "const_concat", "str_concat"];

/// An argument of a macro: `value` or `name = value`.
struct Argument {
    name: Option<String>,
    value: Expr,
}

impl Parse for Argument {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let named = input.peek(syn::Ident) && input.peek2(Token![=]) && !input.peek2(Token![==]);
        let name = if named {
            let name: syn::Ident = input.parse()?;
            input.parse::<Token![=]>()?;
            Some(name.to_string())
        } else {
            None
        };
        Ok(Self { name, value: input.parse()? })
    }
}

fn arguments(tokens: &TokenStream) -> Option<Vec<Argument>> {
    let parser = Punctuated::<Argument, Token![,]>::parse_terminated;
    parser.parse2(tokens.clone()).ok().map(|arguments| arguments.into_iter().collect())
}

impl Lower {
    pub(super) fn macro_call(&mut self, call: &Macro) -> V {
        let path = self.resolved(&call.path);
        let name = path[path.len() - 1].to_string();
        let ends = Ends::macro_call(call);
        match &*name {
            "include_str" | "include_bytes" => {
                let values = self.values(&call.tokens);
                let path = values.first().map_or_else(Value::unknown, Arc::clone);
                return Value::File { path, beside: true, span: ends.span(self.file) }.into();
            }
            "env" if call.tokens.to_string().contains("CARGO_MANIFEST_DIR") => {
                return Value::PackageFolder.into();
            }
            "migrate" | "embed_migrations" => return Value::Object("Migrations".into()).into(),
            "write" | "writeln" => return self.write(&call.tokens),
            // tokens that are not run here
            "stringify" | "quote" | "quote_spanned" | "parse_quote" | "parse_quote_spanned" => {
                return Value::unknown();
            }
            _ => {}
        }
        if FORMATS.contains(&&*name) {
            return self.format(&call.tokens);
        }
        if JOINS.contains(&&*name) {
            return Value::concat(self.values(&call.tokens));
        }
        if TEXTS.contains(&&*name) {
            return self.values(&call.tokens).first().map_or_else(Value::unknown, Arc::clone);
        }
        if let Some((at, is_file)) = names::sql_macro(&name) {
            // a macro that is not a driver's may be the workspace's own
            let own = (path.len() == 1 || !names::DRIVERS.contains(&&*path[0]))
                .then(|| Callee::Macro(name.as_str().into()));
            return self.sql_macro(&name, at, is_file, call, own, ends);
        }
        self.other_macro(&name, call, ends)
    }

    fn values(&mut self, tokens: &TokenStream) -> Vec<V> {
        let Some(arguments) = arguments(tokens) else {
            self.loose_tokens(tokens);
            return Vec::new();
        };
        arguments.iter().map(|argument| self.alone(&argument.value)).collect()
    }

    /// `query!("…", …)` and its relatives.
    fn sql_macro(
        &mut self,
        name: &str,
        at: usize,
        is_file: bool,
        call: &Macro,
        own: Option<Callee>,
        ends: Ends,
    ) -> V {
        // query_as!'s first argument is a type
        let values = match arguments(&call.tokens) {
            Some(arguments) => {
                arguments.iter().map(|argument| self.alone(&argument.value)).collect::<Vec<_>>()
            }
            None if at == 1 => {
                let parser = |input: ParseStream<'_>| {
                    input.parse::<syn::Type>()?;
                    input.parse::<Token![,]>()?;
                    Punctuated::<Expr, Token![,]>::parse_terminated(input)
                };
                let Ok(rest) = parser.parse2(call.tokens.clone()) else { return Value::unknown() };
                let mut values = vec![Value::unknown()];
                values.extend(rest.iter().map(|value| self.alone(value)).collect::<Vec<_>>());
                values
            }
            None => return Value::unknown(),
        };
        let Some(text) = values.get(at).filter(|text| text.is_text()) else { return Value::unknown() };
        let text = if is_file {
            Value::File { path: Arc::clone(text), beside: false, span: ends.span(self.file) }.into()
        } else {
            Arc::clone(text)
        };
        if let Some(own) = &own {
            self.call(own.clone(), Vec::new(), ends);
        }
        self.send_text(format!("{name}!").into(), text, false, own, ends)
    }

    /// A macro of which nothing is known but the expressions that it is given.
    fn other_macro(&mut self, name: &str, call: &Macro, ends: Ends) -> V {
        let Some(arguments) = arguments(&call.tokens) else {
            self.loose_tokens(&call.tokens);
            self.call(Callee::Macro(name.into()), Vec::new(), ends);
            return Value::unknown();
        };
        let values: Vec<_> = arguments.iter().map(|argument| self.alone(&argument.value)).collect();
        for text in values.iter().filter(|value| value.is_text()) {
            let place = self.place(ends);
            // if it is one of the workspace's that sends what it is given
            self.facts.sinks.push(Sink {
                function: self.function,
                name: format!("{name}!").into(),
                text: Some(Arc::clone(text)),
                typed: None,
                unless: None,
                only_if: Some(name.into()),
                guarded: false,
                executor: None,
                place,
            });
        }
        self.call(Callee::Macro(name.into()), values.clone(), ends);
        match name {
            "vec" | "smallvec" | "arrayvec" | "hashset" | "btreeset" => Value::one_of(values),
            _ => Value::unknown(),
        }
    }

    fn write(&mut self, tokens: &TokenStream) -> V {
        let Some(arguments) = arguments(tokens) else { return Value::unknown() };
        let Some((target, rest)) = arguments.split_first() else { return Value::unknown() };
        let text = self.formatted(rest);
        match name_of(&target.value) {
            Some(name) => self.append(&name, text),
            None => {
                self.alone(&target.value);
            }
        }
        Value::unknown()
    }

    fn format(&mut self, tokens: &TokenStream) -> V {
        match arguments(tokens) {
            Some(arguments) => self.formatted(&arguments),
            None => Value::unknown(),
        }
    }

    fn formatted(&mut self, arguments: &[Argument]) -> V {
        let Some((pattern, rest)) = arguments.split_first() else { return Value::unknown() };
        let pattern = self.alone(&pattern.value);
        let values: Vec<_> = rest.iter().map(|argument| self.alone(&argument.value)).collect();
        let Value::Text { text, span, function, .. } = &*pattern else { return pattern };
        let mut parts: Vec<V> = Vec::new();
        let mut position = 0;
        for piece in pieces(text) {
            match piece {
                Piece::Text(offset, text) => parts.push(
                    Value::Text {
                        text: text.into(),
                        offset: u32::try_from(offset).unwrap_or(u32::MAX),
                        span: *span,
                        function: *function,
                    }
                    .into(),
                ),
                Piece::Argument(name) => {
                    let index = if name.is_empty() {
                        position += 1;
                        Some(position - 1)
                    } else if let Ok(index) = name.parse() {
                        Some(index)
                    } else {
                        rest.iter().position(|argument| argument.name.as_deref() == Some(name))
                    };
                    let value = match index {
                        Some(index) => values.get(index).map(Arc::clone),
                        None if !name.contains(char::is_lowercase) && self.lookup(name).is_none() => {
                            Some(Value::Constant(Arc::from([Box::from(name)]), self.file).into())
                        }
                        None => self.lookup(name),
                    };
                    let shown = || match index {
                        Some(index) => {
                            rest.get(index).map_or_else(String::new, |argument| short(&argument.value))
                        }
                        None => name.to_owned(),
                    };
                    let value = value.filter(|value| value.is_text()).unwrap_or_else(|| Value::hole(shown()));
                    parts.push(named(value, &shown()));
                }
            }
        }
        Value::concat(parts)
    }

    /// Tokens that may be expressions, statements or items.
    pub(super) fn loose_tokens(&mut self, tokens: &TokenStream) {
        if let Ok(expression) = syn::parse2::<Expr>(tokens.clone()) {
            self.alone(&expression);
        } else if let Ok(statements) = Block::parse_within.parse2(tokens.clone()) {
            self.statements(&statements);
        } else if let Ok(file) = syn::parse2::<syn::File>(tokens.clone()) {
            self.items(&file.items);
        } else {
            self.groups(tokens);
        }
    }

    /// Parts of tokens that are no Rust together: `pattern = future => body`.
    fn groups(&mut self, tokens: &TokenStream) {
        let mut part = Vec::new();
        let mut parts = Vec::new();
        let mut arrow = false;
        for token in tokens.clone() {
            let mut ends = matches!(&token, TokenTree::Punct(punct) if [',', ';'].contains(&punct.as_char()));
            ends |= matches!(&token, TokenTree::Punct(punct) if punct.as_char() == '>') && arrow;
            arrow = matches!(&token, TokenTree::Punct(punct) if punct.as_char() == '=');
            if ends {
                if matches!(part.last(), Some(TokenTree::Punct(punct)) if punct.as_char() == '=') {
                    part.pop();
                }
                parts.push(std::mem::take(&mut part));
            } else {
                part.push(token);
            }
        }
        parts.push(part);
        for part in parts {
            // the longest end of the part that is an expression: what is before it is the macro's own
            let found = (0..part.len().min(8)).find_map(|start| {
                let tokens: TokenStream = part[start..].iter().cloned().collect();
                syn::parse2::<Expr>(tokens).ok()
            });
            if let Some(expression) = found {
                self.alone(&expression);
                continue;
            }
            self.descend(&part.into_iter().collect());
        }
    }

    /// What stands in brackets, of tokens that are no expression as a whole.
    pub(super) fn descend(&mut self, tokens: &TokenStream) {
        for token in tokens.clone() {
            if let TokenTree::Group(group) = token
                && group.delimiter() != Delimiter::Bracket
            {
                self.loose_tokens(&group.stream());
            }
        }
    }

    /// `macro_rules!`: what its arms hold runs wherever it is called.
    pub(super) fn macro_item(&mut self, definition: &ItemMacro) {
        let Some(name) = &definition.ident else {
            self.macro_call(&definition.mac);
            return;
        };
        let index = self.nameless(format!("{name}!").into(), false, ends_of(name));
        let outside = Outside::enter(self, index);
        let trees: Vec<_> = definition.mac.tokens.clone().into_iter().collect();
        for arm in trees.windows(3) {
            if let [TokenTree::Punct(equals), TokenTree::Punct(greater), TokenTree::Group(body)] = arm
                && equals.as_char() == '='
                && greater.as_char() == '>'
            {
                let body = self.with_metavariables(body.stream());
                self.loose_tokens(&body);
            }
        }
        outside.leave(self);
    }

    /// The body of an arm as plain Rust: `$name` is a parameter of the macro, a repetition stands once.
    fn with_metavariables(&mut self, tokens: TokenStream) -> TokenStream {
        let mut plain = Vec::new();
        let mut trees = tokens.into_iter().peekable();
        while let Some(tree) = trees.next() {
            match tree {
                TokenTree::Punct(punct) if punct.as_char() == '$' => match trees.next() {
                    Some(TokenTree::Ident(name)) => {
                        let text = name.to_string();
                        if text == "crate" {
                            plain.push(TokenTree::Ident(proc_macro2::Ident::new("crate", name.span())));
                            continue;
                        }
                        if self.lookup(&text).is_none() {
                            let function = self.id();
                            let value = Value::Parameter {
                                function,
                                index: u32::MAX,
                                name: text.clone().into(),
                                type_name: None,
                            };
                            self.declare(text, value.into());
                        }
                        plain.push(TokenTree::Ident(name));
                    }
                    Some(TokenTree::Group(group)) => {
                        plain.extend(self.with_metavariables(group.stream()));
                        // the separator and the sign of the repetition
                        while let Some(TokenTree::Punct(punct)) = trees.peek() {
                            let sign = ['*', '+', '?'].contains(&punct.as_char());
                            if !sign {
                                plain.push(TokenTree::Punct(punct.clone()));
                            }
                            trees.next();
                            if sign {
                                break;
                            }
                        }
                    }
                    Some(other) => plain.push(other),
                    None => {}
                },
                TokenTree::Group(group) => {
                    let mut inner =
                        proc_macro2::Group::new(group.delimiter(), self.with_metavariables(group.stream()));
                    inner.set_span(group.span());
                    plain.push(TokenTree::Group(inner));
                }
                other => plain.push(other),
            }
        }
        plain.into_iter().collect()
    }
}

/// What a hole in the value will be called.
fn named(value: V, name: &str) -> V {
    match *value {
        Value::Text { .. } | Value::Constant(..) | Value::Hole(_) => value,
        _ => Value::Named(value, name.into()).into(),
    }
}

enum Piece<'t> {
    /// With its place in the pattern.
    Text(usize, &'t str),
    /// The name or number between the braces; empty for the next.
    Argument(&'t str),
}

/// A format string in pieces.
fn pieces(pattern: &str) -> Vec<Piece<'_>> {
    let mut found = Vec::new();
    let mut start = 0;
    let mut at = 0;
    let bytes = pattern.as_bytes();
    while at < bytes.len() {
        let doubled = bytes.get(at + 1) == Some(&bytes[at]);
        match bytes[at] {
            b'{' | b'}' if doubled => {
                found.push(Piece::Text(start, &pattern[start..=at]));
                at += 2;
                start = at;
            }
            b'{' => {
                if start < at {
                    found.push(Piece::Text(start, &pattern[start..at]));
                }
                let end = pattern[at..].find('}').map_or(pattern.len(), |end| at + end);
                let argument = pattern.get(at + 1..end).unwrap_or("");
                found.push(Piece::Argument(argument.split(':').next().unwrap_or("").trim()));
                at = end + 1;
                start = at.min(pattern.len());
            }
            _ => at += 1,
        }
    }
    if start < pattern.len() {
        found.push(Piece::Text(start, &pattern[start..]));
    }
    found
}
