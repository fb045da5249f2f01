//! Calls of functions: which of them send something to a database, and what the others do with text.

use std::sync::Arc;

use syn::{Expr, ExprCall};

use super::builders::{at_once, plain};
use super::expressions::name_of;
use super::places::Ends;
use super::{Lower, is_guarded};
use crate::facts::{Callee, Path, Sink};
use crate::names;
use crate::value::{Typed, V, Value};

impl Lower {
    fn arguments<'e>(&mut self, arguments: impl Iterator<Item = &'e Expr>) -> Vec<V> {
        arguments.map(|argument| self.alone(argument)).collect()
    }

    pub(super) fn function_call(&mut self, call: &ExprCall) -> V {
        let Expr::Path(function) = &*call.func else {
            let function = self.evaluate(&call.func);
            let arguments = self.arguments(call.args.iter());
            let ends = Ends::of(call.paren_token.span.open(), call.paren_token.span.close());
            if let Value::Closure(index) = *function {
                self.call(Callee::Closure(index), arguments, ends);
            }
            return Value::unknown();
        };
        let last_segment = &function.path.segments[function.path.segments.len() - 1];
        let ends = Ends::of(function.path.segments[0].ident.span(), call.paren_token.span.close());
        let arguments = self.arguments(call.args.iter());
        self.escapes(&call.args);
        if let Some(name) = function.path.get_ident()
            && let Some(value) = self.lookup(&name.to_string())
        {
            if let Value::Closure(index) = *value {
                self.call(Callee::Closure(index), arguments.clone(), ends);
                return Arc::clone(&self.facts.functions[index as usize].returns);
            }
            return Value::unknown();
        }
        let path = self.resolved(&function.path);
        let name = last_segment.ident.to_string();
        let name = if path.len() == 1 && *path[0] != *name {
            path[0].to_string()
        } else {
            path[path.len() - 1].to_string()
        };
        let qualifier = if path.len() > 1 { &*path[path.len() - 2] } else { "" };

        if let Some(made) = self.made(&path, &name, qualifier, &arguments, ends) {
            return made;
        }
        if let Some(sent) = self.diesel(&path, &name, call, ends) {
            return sent;
        }
        if let Some(typed) = self.builder_of_types(&path, &name, qualifier, ends) {
            return Value::Typed(Arc::new(typed)).into();
        }
        if let Some(kind) = at_once(&name, qualifier) {
            let guarded = arguments.iter().any(is_guarded);
            let callee = Callee::Path(Arc::clone(&path));
            self.call(callee.clone(), arguments.clone(), ends);
            return self.send_typed(plain(kind, &path, ends.span(self.file)), guarded, Some(callee), ends);
        }
        if name == "debug_query" {
            self.take_back(&arguments);
            return Value::unknown();
        }
        if (name == "read_to_string" || name == "read") && path.iter().any(|part| **part == *"fs") {
            let path = arguments.first().map_or_else(Value::unknown, Arc::clone);
            return Value::File { path, beside: false, span: ends.span(self.file) }.into();
        }
        if name.starts_with(char::is_uppercase) && !names::WRAPS.contains(&&*name) {
            // a struct or a variant in brackets
            let fields = arguments.into_iter().enumerate().map(|(at, value)| (at.to_string().into(), value));
            let own = [("".into(), Value::Object(name.into()).into())];
            return Value::Record(fields.chain(own).collect()).into();
        }
        if names::WRAPS.contains(&&*name) {
            let texts = arguments.iter().filter(|value| {
                value.is_text()
                    || !value.typed().is_empty()
                    || matches!(***value, Value::Guarded | Value::Query(_))
            });
            let own = path.len() > 1 && qualifier.starts_with(char::is_uppercase) && !is_standard(qualifier);
            if !(own && name == "from") {
                return Value::one_of(texts.map(Arc::clone));
            }
        }
        let callee = Callee::Path(Arc::clone(&path));
        if names::is_function(&name) && !is_parser(qualifier) {
            let is_other = |value: &V| matches!(&**value, Value::Parameter { type_name: Some(_), .. });
            let text = arguments.iter().find(|argument| argument.is_text() && !is_other(argument));
            let text = text.or_else(|| arguments.iter().find(|argument| argument.is_text()));
            let driver = names::DRIVERS.contains(&&*path[0]);
            if let Some(text) = text {
                let unless = (!driver).then(|| callee.clone());
                let guarded = arguments.iter().any(is_guarded);
                let shown = path.join("::").into();
                let sent = self.send_text(shown, Arc::clone(text), guarded, unless, ends);
                if driver {
                    return sent;
                }
                self.call(callee, arguments, ends);
                return sent;
            }
        }
        self.call(callee, arguments.clone(), ends);
        if qualifier.starts_with(char::is_uppercase)
            && matches!(&*name, "new" | "default" | "connect" | "open" | "start" | "setup")
        {
            return Value::Object(qualifier.into()).into();
        }
        Value::Returned(path, arguments, self.id()).into()
    }

    /// What only makes something: the guard's transaction, text, a builder.
    fn made(&self, path: &Path, name: &str, qualifier: &str, arguments: &[V], ends: Ends) -> Option<V> {
        if name == "begin" && *path[0] == *"fixture_guard" || qualifier == "GuardedTransaction" {
            return Some(Value::Guarded.into());
        }
        if qualifier == "String" && matches!(name, "new" | "with_capacity" | "default") {
            return Some(Value::concat(Vec::new()));
        }
        if matches!(qualifier, "Lazy" | "LazyLock" | "LazyCell")
            && let Some(Value::Closure(index)) = arguments.first().map(|argument| &**argument)
        {
            return Some(Arc::clone(&self.facts.functions[*index as usize].returns));
        }
        if qualifier == "QueryBuilder" && matches!(name, "new" | "with_arguments") {
            let text = arguments.first().map_or_else(Value::unknown, Arc::clone);
            return Some(Value::Builder(text, ends.span(self.file)).into());
        }
        None
    }

    /// Text that is lent out to be written to may have grown by anything.
    pub(super) fn escapes<'e>(&mut self, arguments: impl IntoIterator<Item = &'e Expr>) {
        for argument in arguments {
            if let Expr::Reference(reference) = argument
                && reference.mutability.is_some()
                && let Some(name) = name_of(&reference.expr)
                && let Some(value) = self.lookup(&name)
                && matches!(
                    *value,
                    Value::Text { .. } | Value::Concat(_) | Value::Builder(..) | Value::OneOf(_)
                )
            {
                self.append(&name, Value::hole("…"));
            }
        }
    }

    pub(super) fn send_text(
        &mut self,
        name: Box<str>,
        text: V,
        guarded: bool,
        unless: Option<Callee>,
        ends: Ends,
    ) -> V {
        let place = self.place(ends);
        let typed = text.typed();
        for typed in typed.iter().filter(|typed| typed.destroys()) {
            let typed = Some(Typed::clone(typed));
            let unless = unless.clone();
            self.sink(Sink {
                function: self.function,
                name: name.clone(),
                text: None,
                typed,
                unless,
                only_if: None,
                guarded,
                executor: None,
                place,
            });
        }
        self.sink(Sink {
            function: self.function,
            name,
            text: Some(text),
            typed: None,
            unless,
            only_if: None,
            guarded,
            executor: None,
            place,
        })
    }

    pub(super) fn send_typed(
        &mut self,
        typed: Typed,
        guarded: bool,
        unless: Option<Callee>,
        ends: Ends,
    ) -> V {
        let place = self.place(ends);
        let name = typed.call.clone();
        self.sink(Sink {
            function: self.function,
            name,
            text: None,
            typed: Some(typed),
            unless,
            only_if: None,
            guarded,
            executor: None,
            place,
        })
    }

    /// What was only made to be looked at is not sent.
    pub(super) fn take_back(&mut self, values: &[V]) {
        for value in values {
            if let Value::Query(sinks) = &**value {
                for &sink in sinks {
                    self.facts.sinks[sink as usize].guarded = true;
                }
            }
        }
    }
}

fn is_standard(name: &str) -> bool {
    [
        "String",
        "HashMap",
        "BTreeMap",
        "IndexMap",
        "Cow",
        "Box",
        "Arc",
        "Rc",
        "Some",
        "Ok",
        "SqlStr",
        "Statement",
        "Vec",
        "From",
        "Into",
        "ToString",
        "ToOwned",
    ]
    .contains(&name)
}

/// Parsers and printers, by the name of their type: what they are given, they only read.
fn is_parser(qualifier: &str) -> bool {
    ["Parser", "Lexer", "Tokenizer", "Formatter"].iter().any(|word| qualifier.contains(word))
}
