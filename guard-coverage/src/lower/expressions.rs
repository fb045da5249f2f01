//! Expressions and statements: what text each of them is.

use std::sync::Arc;

use syn::visit::Visit;
use syn::{BinOp, Block, Expr, ExprClosure, Item, Lit, Member, Pat, Stmt};

use super::items::Outside;
use super::places::Ends;
use super::{Lower, types};
use crate::facts::{Call, CallPlace, Callee, Sink};
use crate::value::{V, Value};

impl Lower {
    pub(super) fn block(&mut self, block: &Block) -> V {
        self.statements(&block.stmts)
    }

    pub(super) fn statements(&mut self, statements: &[Stmt]) -> V {
        let depth = self.environment.len();
        let outside = (self.statement, self.chain.take());
        let mut last = Value::unknown();
        // a function's own constants hide others of the same name, also above their line
        for statement in statements {
            let (ident, expression) = match statement {
                Stmt::Item(Item::Const(constant)) => (&constant.ident, &constant.expr),
                Stmt::Item(Item::Static(constant)) => (&constant.ident, &constant.expr),
                _ => continue,
            };
            let value = self.alone(expression);
            self.declare(ident.to_string(), value);
        }
        for (at, statement) in statements.iter().enumerate() {
            self.statement = Some(Ends::statement(statement));
            let value = self.one_statement(statement);
            if at + 1 == statements.len() {
                last = value;
            }
        }
        (self.statement, self.chain) = outside;
        self.finish_builders_after(depth);
        self.environment.truncate(depth);
        last
    }

    fn one_statement(&mut self, statement: &Stmt) -> V {
        match statement {
            Stmt::Local(local) => {
                let mut value = Value::unknown();
                if let Some(init) = &local.init {
                    value = self.evaluate(&init.expr);
                    if let Some((_, diverge)) = &init.diverge {
                        self.branches(vec![diverge], |lower, diverge| lower.evaluate(diverge));
                    }
                }
                if let (Value::Unknown, Pat::Type(typed)) = (&*value, &local.pat)
                    && let Some(name) = types::name(&typed.ty)
                {
                    value = Value::Object(name).into();
                }
                self.bind(&local.pat, &value);
                Value::unknown()
            }
            Stmt::Item(Item::Const(_) | Item::Static(_)) => Value::unknown(),
            Stmt::Item(item) => {
                self.item(item);
                Value::unknown()
            }
            Stmt::Expr(expression, semicolon) => {
                let value = self.evaluate(expression);
                if semicolon.is_some() { Value::unknown() } else { value }
            }
            Stmt::Macro(statement) => {
                let value = self.macro_call(&statement.mac);
                if statement.semi_token.is_some() { Value::unknown() } else { value }
            }
        }
    }

    /// Gives the names of a pattern their values.
    pub(super) fn bind(&mut self, pattern: &Pat, value: &V) {
        match pattern {
            Pat::Ident(ident) => {
                self.declare(ident.ident.to_string(), Arc::clone(value));
                if let Some((_, inner)) = &ident.subpat {
                    self.bind(inner, value);
                }
            }
            Pat::Reference(reference) => self.bind(&reference.pat, value),
            Pat::Paren(paren) => self.bind(&paren.pat, value),
            Pat::Type(typed) => self.bind(&typed.pat, value),
            Pat::Guard(guarded) => self.bind(&guarded.pat, value),
            Pat::Or(or) => or.cases.iter().take(1).for_each(|case| self.bind(case, value)),
            Pat::Tuple(tuple) => {
                for (at, element) in tuple.elems.iter().enumerate() {
                    self.bind(element, &Value::field(value, &at.to_string()));
                }
            }
            Pat::TupleStruct(tuple) if tuple.elems.len() == 1 => self.bind(&tuple.elems[0], value),
            Pat::TupleStruct(tuple) => {
                for (at, element) in tuple.elems.iter().enumerate() {
                    self.bind(element, &Value::field(value, &at.to_string()));
                }
            }
            Pat::Struct(fields) => {
                for field in &fields.fields {
                    self.bind(&field.pat, &Value::field(value, &member(&field.member)));
                }
            }
            Pat::Slice(slice) => slice.elems.iter().for_each(|element| self.bind(element, value)),
            _ => {}
        }
    }

    /// What is known of an expression. Everything inside of it is walked exactly once.
    #[expect(clippy::too_many_lines, reason = "one arm for each kind of expression")]
    pub(super) fn evaluate(&mut self, expression: &Expr) -> V {
        match expression {
            Expr::Lit(literal) => self.literal(&literal.lit),
            Expr::Path(path) => self.path(path),
            Expr::Paren(paren) => self.evaluate(&paren.expr),
            Expr::Group(group) => self.evaluate(&group.expr),
            Expr::Reference(reference) => self.evaluate(&reference.expr),
            Expr::Unary(unary) => self.evaluate(&unary.expr),
            Expr::Cast(cast) => self.evaluate(&cast.expr),
            Expr::Await(awaited) => self.chained(expression, |lower| lower.evaluate(&awaited.base)),
            Expr::Try(tried) => self.chained(expression, |lower| lower.evaluate(&tried.expr)),
            Expr::Field(field) => {
                let base = self.evaluate(&field.base);
                Value::field(&base, &member(&field.member))
            }
            Expr::Index(index) => {
                let value = self.evaluate(&index.expr);
                self.evaluate(&index.index);
                // of a map it is the value that is wanted
                match Value::field(&value, "1") {
                    second if matches!(*value, Value::OneOf(_) | Value::Record(_)) && second.is_text() => {
                        second
                    }
                    _ => value,
                }
            }
            Expr::MethodCall(call) => self.chained(expression, |lower| lower.method_call(call)),
            Expr::Call(call) => self.chained(expression, |lower| lower.function_call(call)),
            Expr::Macro(call) => self.chained(expression, |lower| lower.macro_call(&call.mac)),
            Expr::Binary(binary) => self.binary(binary),
            Expr::Assign(assign) => {
                let value = self.evaluate(&assign.right);
                match name_of(&assign.left) {
                    Some(name) => self.assign(&name, value),
                    None => {
                        self.evaluate(&assign.left);
                    }
                }
                Value::unknown()
            }
            Expr::Array(array) => {
                let elements: Vec<_> = array.elems.iter().map(|element| self.alone(element)).collect();
                Value::one_of(elements)
            }
            Expr::Repeat(repeat) => self.alone(&repeat.expr),
            Expr::Tuple(tuple) => {
                let fields = tuple.elems.iter().enumerate();
                let fields =
                    fields.map(|(at, element)| (at.to_string().into(), self.alone(element))).collect();
                Value::Record(fields).into()
            }
            Expr::Struct(literal) => {
                let fields = literal.fields.iter();
                let mut fields: Vec<(Box<str>, V)> =
                    fields.map(|field| (member(&field.member).into(), self.alone(&field.expr))).collect();
                if let Some(rest) = &literal.rest {
                    self.alone(rest);
                }
                if let Some(last) = self.resolved(&literal.path).last() {
                    fields.push(("".into(), Value::Object(last.clone()).into()));
                }
                Value::Record(fields).into()
            }
            Expr::Block(block) => self.block(&block.block),
            Expr::Async(block) => self.block(&block.block),
            Expr::Unsafe(block) => self.block(&block.block),
            Expr::Const(block) => self.block(&block.block),
            Expr::TryBlock(block) => self.block(&block.block),
            Expr::Closure(closure) => self.closure(closure, None),
            Expr::Let(condition) => {
                let value = self.alone(&condition.expr);
                self.bind(&condition.pat, &value);
                Value::unknown()
            }
            Expr::If(branch) => self.if_else(branch),
            Expr::Match(branch) => {
                let value = self.alone(&branch.expr);
                self.branches(branch.arms.iter().collect(), |lower, arm| {
                    lower.bind(&arm.pat, &value);
                    if let Pat::Guard(guarded) = &arm.pat {
                        lower.alone(&guarded.guard);
                    }
                    lower.alone(&arm.body)
                })
            }
            Expr::ForLoop(each) => {
                let list = self.alone(&each.expr);
                let depth = self.environment.len();
                self.bind(&each.pat, &list);
                self.block(&each.body);
                self.environment.truncate(depth);
                Value::unknown()
            }
            Expr::While(each) => {
                let depth = self.environment.len();
                self.alone(&each.cond);
                self.block(&each.body);
                self.environment.truncate(depth);
                Value::unknown()
            }
            Expr::Loop(each) => {
                self.block(&each.body);
                Value::unknown()
            }
            Expr::Return(returned) => {
                if let Some(value) = &returned.expr {
                    let value = self.alone(value);
                    self.returns.push(value);
                }
                Value::unknown()
            }
            Expr::Break(broken) => {
                broken.expr.as_ref().map_or_else(Value::unknown, |value| self.alone(value))
            }
            Expr::Verbatim(tokens) => {
                self.descend(tokens);
                Value::unknown()
            }
            other => {
                syn::visit::visit_expr(&mut Inside(self), other);
                Value::unknown()
            }
        }
    }

    /// With its own chain, and nothing of the one around.
    pub(super) fn alone(&mut self, expression: &Expr) -> V {
        let chain = self.chain.take();
        let value = self.evaluate(expression);
        self.chain = chain;
        value
    }

    fn chained(&mut self, expression: &Expr, walk: impl FnOnce(&mut Self) -> V) -> V {
        if self.chain.is_some() {
            return walk(self);
        }
        self.chain = Some(Ends::expression(expression));
        let value = walk(self);
        self.chain = None;
        value
    }

    /// Iterative on the left side, where long sums are deep.
    fn binary(&mut self, binary: &syn::ExprBinary) -> V {
        let mut rights = Vec::new();
        let mut left: &Expr = &binary.left;
        let mut operator = &binary.op;
        let mut right: &Expr = &binary.right;
        loop {
            rights.push((operator, right));
            let Expr::Binary(inner) = left else { break };
            (left, operator, right) = (&inner.left, &inner.op, &inner.right);
        }
        let mut value = self.alone(left);
        let target = name_of(left);
        for (operator, right) in rights.into_iter().rev() {
            let right = self.alone(right);
            match operator {
                BinOp::Add(_) if value.is_text() || right.is_text() => {
                    value = Value::concat(vec![value, right]);
                }
                BinOp::AddAssign(_) => {
                    if let Some(name) = &target {
                        self.append(name, right);
                    }
                    value = Value::unknown();
                }
                _ => value = Value::unknown(),
            }
        }
        value
    }

    /// Writes more text behind a variable's.
    pub(super) fn append(&mut self, name: &str, more: V) {
        if let Some(before) = self.lookup(name) {
            let value = match &*before {
                Value::Builder(text, span) => {
                    Value::Builder(Value::concat(vec![Arc::clone(text), more]), *span).into()
                }
                _ if before.is_text() || more.is_text() => Value::concat(vec![before, more]),
                _ => return,
            };
            self.assign(name, value);
        }
    }

    fn if_else(&mut self, branch: &syn::ExprIf) -> V {
        let depth = self.environment.len();
        self.alone(&branch.cond);
        let ways = vec![Some(&branch.then_branch), None];
        let value = self.branches(ways, |lower, way| match (way, &branch.else_branch) {
            (Some(then), _) => lower.block(then),
            (None, Some((_, otherwise))) => lower.alone(otherwise),
            (None, None) => Value::unknown(),
        });
        self.environment.truncate(depth);
        value
    }

    fn literal(&mut self, literal: &Lit) -> V {
        let text: Box<str> = match literal {
            Lit::Str(text) => text.value().into(),
            Lit::ByteStr(bytes) => match String::from_utf8(bytes.value()) {
                Ok(text) => text.into(),
                Err(_) => return Value::unknown(),
            },
            Lit::CStr(text) => match text.value().into_string() {
                Ok(text) => text.into(),
                Err(_) => return Value::unknown(),
            },
            Lit::Char(character) => character.value().to_string().into(),
            _ => return Value::unknown(),
        };
        let span = Ends::of(literal.span(), literal.span()).span(self.file);
        Value::Text { text, offset: 0, span, function: self.id() }.into()
    }

    fn path(&mut self, path: &syn::ExprPath) -> V {
        if let Some(ident) = path.path.get_ident() {
            let name = ident.to_string();
            if let Some(value) = self.lookup(&name) {
                return value;
            }
        }
        let resolved = self.resolved(&path.path);
        let last = &resolved[resolved.len() - 1];
        if !last.contains(char::is_lowercase) {
            return Value::Constant(resolved, self.file).into();
        }
        if last.starts_with(char::is_uppercase) {
            // a variant, or a unit struct, as a migrator is
            let owner = resolved.iter().rev().nth(1).filter(|owner| owner.starts_with(char::is_uppercase));
            return Value::Object(owner.unwrap_or(last).clone()).into();
        }
        let name = last.clone();
        // a function that somebody else will call
        self.facts.calls.push(Call {
            function: self.function,
            callee: Callee::Path(resolved),
            arguments: Vec::new(),
            guarded: false,
            is_reference: true,
            place: CallPlace::default(),
        });
        Value::hole(name)
    }

    /// A closure's body. Where it is known what it will be called with, its first parameter is that.
    pub(super) fn closure(&mut self, closure: &ExprClosure, given: Option<&V>) -> V {
        let ends = Ends::of(closure.inputs_begin.spans[0], closure.inputs_end.spans[0]);
        let index = self.nameless("".into(), true, ends);
        let environment = self.environment.clone();
        let outside = Outside::enter(self, index);
        self.environment = environment;
        for (at, input) in closure.inputs.iter().enumerate() {
            let type_name = match input {
                Pat::Type(typed) => types::name(&typed.ty),
                _ => None,
            };
            let value = match given {
                Some(value) if at == 0 => Arc::clone(value),
                _ => self.parameter(index, u32::try_from(at).unwrap_or(u32::MAX), input, type_name),
            };
            self.bind(input, &value);
        }
        let value = self.evaluate(&closure.body);
        let mut returns = std::mem::take(&mut self.returns);
        returns.push(value);
        let value = Value::one_of(returns);
        self.facts.functions[index as usize].returns = Arc::clone(&value);
        outside.leave(self);
        if given.is_some() { value } else { Value::Closure(index).into() }
    }

    /// Builders that end here without having been sent: somebody else does.
    pub(super) fn finish_builders(&mut self) {
        self.finish_builders_after(0);
        self.environment.clear();
    }

    fn finish_builders_after(&mut self, depth: usize) {
        for at in depth..self.environment.len() {
            if let Value::Builder(text, span) = &*Arc::clone(&self.environment[at].1) {
                let text = Value::concat(vec![Arc::clone(text), Value::hole("…")]);
                let place = CallPlace { call: *span, chain: *span, statement: *span };
                self.builder_sink(text, place);
            }
        }
    }

    pub(super) fn builder_sink(&mut self, text: V, place: CallPlace) -> V {
        self.sink(Sink {
            function: self.function,
            name: "QueryBuilder".into(),
            text: Some(text),
            typed: None,
            unless: None,
            only_if: None,
            guarded: false,
            executor: None,
            place,
        })
    }
}

/// Expressions that only hold others.
struct Inside<'l>(&'l mut Lower);

impl<'ast> Visit<'ast> for Inside<'_> {
    fn visit_expr(&mut self, expression: &'ast Expr) {
        self.0.alone(expression);
    }

    fn visit_block(&mut self, block: &'ast Block) {
        self.0.block(block);
    }
}

pub(super) fn member(member: &Member) -> String {
    match member {
        Member::Named(name) => name.to_string(),
        Member::Unnamed(index) => index.index.to_string(),
    }
}

/// The variable that an expression is, through references.
pub(super) fn name_of(expression: &Expr) -> Option<String> {
    match expression {
        Expr::Path(path) => path.path.get_ident().map(ToString::to_string),
        Expr::Reference(reference) => name_of(&reference.expr),
        Expr::Paren(paren) => name_of(&paren.expr),
        Expr::Unary(unary) => name_of(&unary.expr),
        _ => None,
    }
}

/// A short name for what an expression will be at run time.
pub(super) fn short(expression: &Expr) -> String {
    match expression {
        Expr::Path(path) => {
            // sea-query's names of tables are `Users::Table`
            let mut names = path.path.segments.iter().rev().map(|segment| segment.ident.to_string());
            let last = names.next().unwrap_or_default();
            if matches!(&*last, "Table" | "Entity") { names.next().unwrap_or(last) } else { last }
        }
        Expr::Reference(inner) => short(&inner.expr),
        Expr::Paren(inner) => short(&inner.expr),
        Expr::Unary(inner) => short(&inner.expr),
        Expr::Await(inner) => short(&inner.base),
        Expr::Try(inner) => short(&inner.expr),
        Expr::Field(field) => member(&field.member),
        Expr::MethodCall(call) => short(&call.receiver),
        Expr::Index(index) => short(&index.expr),
        Expr::Call(call) => short(&call.func),
        _ => "…".to_owned(),
    }
}
