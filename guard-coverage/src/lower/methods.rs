//! Calls of methods: of connections, of statements, and of text.

use std::sync::Arc;

use syn::{Expr, ExprMethodCall};

use super::builders::{SEA, reverts};
use super::expressions::{name_of, short};
use super::places::Ends;
use super::{Lower, is_guarded};
use crate::Kind;
use crate::facts::Callee;
use crate::names;
use crate::value::{Typed, V, Value};

impl Lower {
    pub(super) fn method_call(&mut self, call: &ExprMethodCall) -> V {
        let receiver = self.evaluate(&call.receiver);
        let method = call.method.to_string();
        let ends = Ends::of(call.method.span(), call.paren_token.span.close());

        // a closure over elements that are known
        let maps = receiver.is_text() && !call.args.is_empty();
        let mut arguments = Vec::with_capacity(call.args.len());
        for argument in &call.args {
            let value = match argument {
                Expr::Closure(closure) if maps => {
                    let value = self.closure(closure, Some(&receiver));
                    if matches!(&*method, "map" | "flat_map" | "and_then" | "filter_map" | "then") {
                        self.call_known(&receiver, &method, &[], ends);
                        return value;
                    }
                    Value::unknown()
                }
                _ => self.alone(argument),
            };
            arguments.push(value);
        }
        self.escapes(&call.args);
        let guarded = arguments.iter().any(is_guarded);

        if is_guarded(&receiver) || method == "judging" {
            let same = [
                "as_mut",
                "deref_mut",
                "deref",
                "borrow_mut",
                "begin",
                "acquire",
                "connection",
                "judging",
                "by_ref",
            ];
            if same.contains(&&*method) || names::SAME.contains(&&*method) {
                return Value::Guarded.into();
            }
        }
        if let Some(value) = self.text_method(call, &receiver, &method, &arguments) {
            return value;
        }
        match &*receiver {
            Value::Query(sinks) => {
                return self.query_method(
                    &receiver,
                    &sinks.clone(),
                    call,
                    &method,
                    guarded,
                    &arguments,
                    ends,
                );
            }
            Value::Builder(text, span) => {
                let (text, span) = (Arc::clone(text), *span);
                if method.starts_with("build") || method == "sql" || method == "into_sql" {
                    let mut place = self.place(ends);
                    place.call = span;
                    if let Some(name) = name_of(&call.receiver) {
                        // sent: nothing is left to say of it where it ends
                        self.assign(&name, Arc::clone(&text));
                    }
                    return if method.starts_with("build") { self.builder_sink(text, place) } else { text };
                }
            }
            _ => {}
        }
        let typed = receiver.typed();
        if !typed.is_empty() {
            return self.typed_method(call, &receiver, &typed, &method, guarded, ends);
        }
        if let Some(sent) = self.sends(call, &receiver, &method, &arguments, guarded, ends) {
            return sent;
        }
        // a builder's own builder: `builder.build(&statement)`
        if let Some(typed) = arguments.iter().find(|argument| !argument.typed().is_empty())
            && matches!(&*method, "build" | "to_string" | "build_any")
        {
            return Arc::clone(typed);
        }
        if names::SAME.contains(&&*method) {
            return match (&*receiver, method.as_str()) {
                (_, "unwrap_or" | "unwrap_or_else" | "chain" | "unwrap_or_default") => {
                    Value::one_of([receiver].into_iter().chain(arguments))
                }
                _ => receiver,
            };
        }
        self.call_known(&receiver, &method, &arguments, ends);
        Value::ReturnedByMethod(receiver, method.into(), arguments).into()
    }

    fn call_known(&mut self, receiver: &V, method: &str, arguments: &[V], ends: Ends) {
        if names::SAME.contains(&method) && !arguments.iter().any(|argument| argument.is_text()) {
            return;
        }
        let callee = Callee::Method { name: method.into(), receiver: Arc::clone(receiver) };
        self.call(callee, arguments.to_vec(), ends);
    }

    /// What a method makes of text.
    fn text_method(
        &mut self,
        call: &ExprMethodCall,
        receiver: &V,
        method: &str,
        arguments: &[V],
    ) -> Option<V> {
        let argument = || arguments.first().map_or_else(Value::unknown, Arc::clone);
        match method {
            "push" | "push_str" | "push_sql" if name_of(&call.receiver).is_some() => {
                let name = name_of(&call.receiver)?;
                let old = self.lookup(&name)?;
                let more = argument();
                let more = if more.is_text() {
                    more
                } else {
                    Value::hole(call.args.first().map_or_else(String::new, short))
                };
                if method == "push" && !matches!(&*old, Value::Builder(..)) && !Self::is_character(call) {
                    // a list
                    self.assign(&name, Value::one_of([old, argument()]));
                } else {
                    self.append(&name, more);
                }
                self.lookup(&name)
            }
            "push_bind"
            | "push_bind_unseparated"
            | "push_unseparated"
            | "push_values"
            | "push_tuples"
            | "separated" => {
                let name = name_of(&call.receiver);
                let more = if method == "push_bind" { "?" } else { "…" };
                match (&**receiver, name) {
                    (_, Some(name)) => {
                        self.append(&name, Value::hole(more));
                        self.lookup(&name)
                    }
                    (Value::Builder(text, span), None) => Some(
                        Value::Builder(Value::concat(vec![Arc::clone(text), Value::hole(more)]), *span)
                            .into(),
                    ),
                    _ => None,
                }
            }
            "push" if matches!(&**receiver, Value::Builder(..)) => {
                let Value::Builder(text, span) = &**receiver else { return None };
                Some(Value::Builder(Value::concat(vec![Arc::clone(text), argument()]), *span).into())
            }
            "join" | "concat" if receiver.is_text() => {
                let between = arguments.first().map_or_else(|| Value::concat(Vec::new()), Arc::clone);
                Some(Value::Join(Arc::clone(receiver), between).into())
            }
            "replace" | "replacen" | "repeat" | "to_lowercase" | "to_uppercase" | "strip_prefix"
            | "strip_suffix" | "trim_end_matches" | "trim_matches" | "trim_start_matches"
                if receiver.is_text() =>
            {
                Some(Arc::clone(receiver))
            }
            _ => None,
        }
    }

    fn is_character(call: &ExprMethodCall) -> bool {
        matches!(call.args.first(), Some(Expr::Lit(literal)) if matches!(literal.lit, syn::Lit::Char(_)))
    }

    /// A method of a query that is written and not sent yet.
    #[expect(clippy::too_many_arguments, reason = "the parts of one call")]
    fn query_method(
        &mut self,
        receiver: &V,
        sinks: &[u32],
        call: &ExprMethodCall,
        method: &str,
        guarded: bool,
        arguments: &[V],
        ends: Ends,
    ) -> V {
        if names::FILTERS.contains(&method) {
            for &sink in sinks {
                if let Some(typed) = &mut self.facts.sinks[sink as usize].typed {
                    typed.filtered = true;
                }
            }
        }
        if names::SENDS.contains(&method) {
            for &sink in sinks {
                let sink = &mut self.facts.sinks[sink as usize];
                sink.guarded |= guarded;
                sink.executor = arguments.first().cloned();
            }
        }
        if method == "to_string" || method == "sql" && call.args.is_empty() {
            self.take_back(&[Arc::clone(receiver)]);
        }
        if method.starts_with("fetch")
            || matches!(method, "load" | "get_results" | "get_result" | "query_map")
        {
            let texts = sinks.iter().filter_map(|&sink| self.facts.sinks[sink as usize].text.clone());
            return Value::Rows(Value::one_of(texts)).into();
        }
        self.call_known(&Value::unknown(), method, arguments, ends);
        Arc::clone(receiver)
    }

    /// A method of a statement that is not text.
    fn typed_method(
        &mut self,
        call: &ExprMethodCall,
        receiver: &V,
        typed: &[Arc<Typed>],
        method: &str,
        guarded: bool,
        ends: Ends,
    ) -> V {
        if names::SENDS.contains(&method) && !call.args.is_empty() {
            let mut sent = Vec::new();
            for typed in typed.iter().filter(|typed| typed.destroys()) {
                sent.push(self.send_typed(Typed::clone(typed), guarded, None, ends));
            }
            return Value::one_of(sent);
        }
        let change: &dyn Fn(&mut Typed) = match method {
            filter if names::FILTERS.contains(&filter) => &|typed| typed.filtered = true,
            "table" | "from_table" => {
                &|typed| typed.table = call.args.first().map(|table| short(table).into())
            }
            "drop_column" | "drop_foreign_key" => &|typed| typed.pending = false,
            _ => return Arc::clone(receiver),
        };
        let changed = typed.iter().map(|typed| {
            let mut typed = Typed::clone(typed);
            change(&mut typed);
            V::from(Value::Typed(Arc::new(typed)))
        });
        let value = Value::one_of(changed.collect::<Vec<_>>());
        if let Some(name) = name_of(&call.receiver) {
            self.assign(&name, Arc::clone(&value));
        }
        value
    }

    /// Methods that send text, or a statement of a builder.
    fn sends(
        &mut self,
        call: &ExprMethodCall,
        receiver: &V,
        method: &str,
        arguments: &[V],
        guarded: bool,
        ends: Ends,
    ) -> Option<V> {
        let guarded = guarded || is_guarded(receiver);
        let callee = Callee::Method { name: method.into(), receiver: Arc::clone(receiver) };
        let shown = || format!(".{method}").into();
        if names::TEXT_SENDS.contains(&method) && !arguments.is_empty() && is_written(receiver) {
            return Some(self.send_text(shown(), Arc::clone(receiver), guarded, None, ends));
        }
        if let Some(kind) = reverts(method, receiver) {
            let typed = Typed {
                kind,
                table: None,
                filtered: false,
                pending: false,
                call: format!(".{method}").into(),
                span: ends.span(self.file),
            };
            self.call(callee.clone(), arguments.to_vec(), ends);
            return Some(self.send_typed(typed, guarded, Some(callee), ends));
        }
        if method == "delete"
            && arguments.len() == 1
            && self.mentions(&SEA)
            && is_connection(&call.args[0], &arguments[0])
        {
            let typed = Typed {
                kind: Kind::Delete,
                table: None,
                filtered: false,
                pending: false,
                call: ".delete".into(),
                span: ends.span(self.file),
            };
            self.call(callee.clone(), arguments.to_vec(), ends);
            return Some(self.send_typed(typed, guarded, Some(callee), ends));
        }
        let takes = names::is_method(method) || names::TAKES_STATEMENT.contains(&method);
        if !takes {
            return None;
        }
        let statements: Vec<_> = arguments.iter().flat_map(|argument| argument.typed()).collect();
        let text = arguments
            .first()
            .filter(|first| first.is_text() && names::is_method(method) && !is_list_of_tuples(first));
        if statements.is_empty() && text.is_none() {
            return None;
        }
        for typed in statements.iter().filter(|typed| typed.destroys()) {
            self.send_typed(Typed::clone(typed), guarded, Some(callee.clone()), ends);
        }
        let Some(text) = text else {
            self.call(callee, arguments.to_vec(), ends);
            return Some(Value::unknown());
        };
        let sent = self.send_text(shown(), Arc::clone(text), guarded, Some(callee.clone()), ends);
        if let Some(sink) = self.facts.sinks.last_mut() {
            sink.executor = Some(Arc::clone(receiver));
        }
        self.call(callee, arguments.to_vec(), ends);
        let rows = method.starts_with("fetch") || method.starts_with("query") || method.starts_with("exec_");
        Some(if rows { Value::Rows(Arc::clone(text)).into() } else { sent })
    }
}

/// Text that is written here, and not what somebody passes.
fn is_written(value: &V) -> bool {
    match &**value {
        Value::Text { .. } | Value::Constant(..) => true,
        Value::Concat(parts) | Value::OneOf(parts) => parts.iter().any(is_written),
        Value::Named(value, _) => is_written(value),
        _ => false,
    }
}

/// An argument that is called as connections are.
fn is_connection(argument: &Expr, value: &V) -> bool {
    let name = short(argument).to_lowercase();
    let known = ["db", "conn", "pool", "tx", "txn", "connection", "database", "transaction"];
    !matches!(**value, Value::Text { .. }) && name.split('_').any(|word| known.contains(&word))
}

/// Parameters of a request, and rows: `client.query(&[("key", "value")])`.
fn is_list_of_tuples(value: &V) -> bool {
    match &**value {
        Value::Record(fields) => fields.iter().all(|(name, _)| !name.is_empty()),
        Value::OneOf(values) => values.iter().all(is_list_of_tuples),
        _ => false,
    }
}
