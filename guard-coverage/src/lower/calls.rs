//! Calls: which of them send something to a database, and what the others do with text.

use std::sync::Arc;

use syn::{Expr, ExprCall, ExprMethodCall};

use super::expressions::{name_of, short};
use super::places::Ends;
use super::{Lower, is_guarded};
use crate::Kind;
use crate::facts::{Callee, Path, Sink};
use crate::names;
use crate::value::{Typed, V, Value};

const SEA: [&str; 4] = ["sea_orm", "sea_query", "sea_orm_migration", "sea_schema"];

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

        if name == "begin" && *path[0] == *"fixture_guard" || qualifier == "GuardedTransaction" {
            return Value::Guarded.into();
        }
        if qualifier == "QueryBuilder" && matches!(&*name, "new" | "with_arguments") {
            let text = arguments.first().map_or_else(Value::unknown, Arc::clone);
            return Value::Builder(text, ends.span(self.file)).into();
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
        if names::is_function(&name) && !is_a_type_of_the_workspace(qualifier) {
            let text = arguments.iter().find(|argument| argument.is_text());
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

    /// Text that is lent out to be written to may have grown by anything.
    fn escapes<'e>(&mut self, arguments: impl IntoIterator<Item = &'e Expr>) {
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
            place,
        })
    }

    fn send_typed(&mut self, typed: Typed, guarded: bool, unless: Option<Callee>, ends: Ends) -> V {
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
            place,
        })
    }

    /// What was only made to be looked at is not sent.
    fn take_back(&mut self, values: &[V]) {
        for value in values {
            if let Value::Query(sinks) = &**value {
                for &sink in sinks {
                    self.facts.sinks[sink as usize].guarded = true;
                }
            }
        }
    }

    /// `diesel::delete(users)`, `diesel::update(users)`.
    fn diesel(&mut self, path: &Path, name: &str, call: &ExprCall, ends: Ends) -> Option<V> {
        let kind = match name {
            "delete" => Kind::Delete,
            "update" => Kind::Update,
            _ => return None,
        };
        let ours = matches!(&*path[0], "diesel" | "diesel_async")
            || (path.len() == 1 && self.globs.contains("diesel"))
            || (path.len() == 2 && *path[0] == *"dsl" && self.mentions(&["diesel"]));
        if !ours || call.args.len() != 1 {
            return None;
        }
        let target = &call.args[0];
        let whole = self.is_whole_table(target);
        let typed = Typed {
            kind,
            table: table_of(target),
            filtered: !whole,
            pending: false,
            call: format!("diesel::{name}").into(),
            span: ends.span(self.file),
        };
        Some(self.send_typed(typed, false, None, ends))
    }

    /// A table, and neither a query on it nor one of its rows.
    fn is_whole_table(&self, target: &Expr) -> bool {
        match target {
            Expr::Path(path) => {
                path.path.get_ident().is_none_or(|name| self.lookup(&name.to_string()).is_none())
            }
            Expr::MethodCall(call) => {
                !names::FILTERS.contains(&&*call.method.to_string()) && self.is_whole_table(&call.receiver)
            }
            _ => false,
        }
    }

    /// Builders of `sea_query` and `sea_orm`, which send nothing by themselves.
    fn builder_of_types(&self, path: &Path, name: &str, qualifier: &str, ends: Ends) -> Option<Typed> {
        let sea = || self.mentions(&SEA) || SEA.contains(&&*path[0]);
        let of = |kind, pending, table: Option<&str>| {
            Some(Typed {
                kind,
                table: table.map(Into::into),
                filtered: false,
                pending,
                call: path.join("::").into(),
                span: ends.span(self.file),
            })
        };
        let entity = match qualifier {
            "Entity" if path.len() > 2 => &*path[path.len() - 3],
            other => other,
        };
        match (qualifier, name) {
            ("Query", "delete") | ("Delete", "many" | "one") if sea() => of(Kind::Delete, false, None),
            ("Query", "update") | ("Update", "many") if sea() => of(Kind::Update, false, None),
            ("Table" | "Index" | "Type" | "ForeignKey" | "View", "drop") if sea() => {
                of(Kind::Drop, false, None)
            }
            ("Table", "truncate") if sea() => of(Kind::Truncate, false, None),
            ("Table", "alter") if sea() => of(Kind::Alter, true, None),
            (_, "delete_many" | "delete_by_id") if !qualifier.is_empty() => {
                of(Kind::Delete, false, Some(entity))
            }
            (_, "update_many") if !qualifier.is_empty() => of(Kind::Update, false, Some(entity)),
            (_, "delete")
                if qualifier == "Entity" || (sea() && qualifier.starts_with(char::is_uppercase)) =>
            {
                of(Kind::Delete, false, Some(entity))
            }
            _ => None,
        }
    }

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
                let between = arguments.first().map_or_else(|| Value::hole(""), Arc::clone);
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
        if names::SENDS.contains(&method) && guarded {
            for &sink in sinks {
                self.facts.sinks[sink as usize].guarded = true;
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
        let text = arguments.first().filter(|first| first.is_text() && names::is_method(method));
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
        self.call(callee, arguments.to_vec(), ends);
        let rows = method.starts_with("fetch") || method.starts_with("query") || method.starts_with("exec_");
        Some(if rows { Value::Rows(Arc::clone(text)).into() } else { sent })
    }
}

/// What destroys as soon as it is called.
fn at_once(name: &str, qualifier: &str) -> Option<Kind> {
    match name {
        "drop_database" => Some(Kind::Drop),
        "fresh" | "refresh" | "reset" | "down" if qualifier.contains("Migrator") => Some(Kind::Revert),
        _ => None,
    }
}

fn reverts(method: &str, receiver: &V) -> Option<Kind> {
    match method {
        "drop_database" | "force_drop_database" => Some(Kind::Drop),
        "revert_all_migrations" | "revert_last_migration" | "revert_migration" => Some(Kind::Revert),
        "undo"
            if receiver.any(&mut |value| match value {
                Value::Constant(path, _) => path.last().is_some_and(|last| last.contains("MIGRAT")),
                Value::Object(name) => name.contains("Migrat"),
                _ => false,
            }) =>
        {
            Some(Kind::Revert)
        }
        _ => None,
    }
}

fn plain(kind: Kind, path: &Path, span: crate::value::Span) -> Typed {
    Typed { kind, table: None, filtered: false, pending: false, call: path.join("::").into(), span }
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

fn is_standard(name: &str) -> bool {
    [
        "String",
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
fn is_a_type_of_the_workspace(qualifier: &str) -> bool {
    ["Parser", "Lexer", "Tokenizer", "Formatter"].iter().any(|word| qualifier.contains(word))
}

/// The table that an expression of diesel begins with.
fn table_of(target: &Expr) -> Option<Box<str>> {
    match target {
        Expr::Path(path) => {
            let names: Vec<_> = path.path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            let table = names.iter().rev().find(|name| !["table", "dsl"].contains(&name.as_str()))?;
            Some(table.as_str().into())
        }
        Expr::MethodCall(call) => table_of(&call.receiver),
        _ => None,
    }
}
