//! Where expressions begin and end, without writing them out as tokens.

use proc_macro2::Span as Token;
use syn::spanned::Spanned;
use syn::{Expr, Macro, MacroDelimiter, Stmt};

use crate::value::Span;

/// The first and the last token.
#[derive(Clone, Copy)]
pub(super) struct Ends {
    pub(super) first: Token,
    pub(super) last: Token,
}

impl Ends {
    pub(super) fn of(first: Token, last: Token) -> Self {
        Self { first, last }
    }

    pub(super) fn expression(expression: &Expr) -> Self {
        Self { first: first(expression), last: last(expression) }
    }

    pub(super) fn statement(statement: &Stmt) -> Self {
        match statement {
            Stmt::Local(local) => Self::of(local.let_token.span, local.semi_token.span),
            Stmt::Expr(expression, semicolon) => {
                Self::of(first(expression), semicolon.map_or_else(|| last(expression), |token| token.span))
            }
            Stmt::Macro(statement) => {
                let ends = Self::macro_call(&statement.mac);
                Self::of(ends.first, statement.semi_token.map_or(ends.last, |token| token.span))
            }
            Stmt::Item(item) => {
                let span = item.span();
                Self::of(span, span)
            }
        }
    }

    pub(super) fn macro_call(call: &Macro) -> Self {
        let first = call.path.segments[0].ident.span();
        Self::of(first, closing(&call.delimiter))
    }

    pub(super) fn span(&self, file: u32) -> Span {
        let (first, last) = (self.first.byte_range(), self.last.byte_range());
        Span { file, start: offset(first.start), end: offset(last.end.max(first.end)) }
    }
}

fn offset(byte: usize) -> u32 {
    u32::try_from(byte).unwrap_or(u32::MAX)
}

fn closing(delimiter: &MacroDelimiter) -> Token {
    match delimiter {
        MacroDelimiter::Paren(token) => token.span.close(),
        MacroDelimiter::Brace(token) => token.span.close(),
        MacroDelimiter::Bracket(token) => token.span.close(),
    }
}

fn first(mut expression: &Expr) -> Token {
    loop {
        expression = match expression {
            Expr::MethodCall(call) => &call.receiver,
            Expr::Call(call) => &call.func,
            Expr::Await(awaited) => &awaited.base,
            Expr::Try(tried) => &tried.expr,
            Expr::Field(field) => &field.base,
            Expr::Binary(binary) => &binary.left,
            Expr::Assign(assign) => &assign.left,
            Expr::Index(index) => &index.expr,
            Expr::Cast(cast) => &cast.expr,
            Expr::Path(path) => {
                let leading = path.path.leading_colon.map(|token| token.spans[0]);
                let qualified = path.qself.as_ref().map(|qself| qself.lt_token.span);
                return qualified.or(leading).unwrap_or_else(|| path.path.segments[0].ident.span());
            }
            Expr::Lit(literal) => return literal.lit.span(),
            Expr::Reference(reference) => return reference.and_token.span,
            Expr::Paren(paren) => return paren.paren_token.span.open(),
            Expr::Macro(call) => return Ends::macro_call(&call.mac).first,
            Expr::If(branch) => return branch.if_token.span,
            Expr::Match(branch) => return branch.match_token.span,
            Expr::ForLoop(each) => return each.for_token.span,
            Expr::Block(block) => return block.block.brace_token.span.open(),
            Expr::Async(block) => return block.async_token.span,
            _ => return expression.span(),
        };
    }
}

fn last(mut expression: &Expr) -> Token {
    loop {
        expression = match expression {
            Expr::MethodCall(call) => return call.paren_token.span.close(),
            Expr::Call(call) => return call.paren_token.span.close(),
            Expr::Await(awaited) => return awaited.await_token.span,
            Expr::Try(tried) => return tried.question_token.span,
            Expr::Binary(binary) => &binary.right,
            Expr::Assign(assign) => &assign.right,
            Expr::Reference(reference) => &reference.expr,
            Expr::Paren(paren) => return paren.paren_token.span.close(),
            Expr::Lit(literal) => return literal.lit.span(),
            Expr::Macro(call) => return closing(&call.mac.delimiter),
            Expr::Match(branch) => return branch.brace_token.span.close(),
            Expr::ForLoop(each) => return each.body.brace_token.span.close(),
            Expr::Block(block) => return block.block.brace_token.span.close(),
            Expr::Async(block) => return block.block.brace_token.span.close(),
            Expr::If(branch) => match &branch.else_branch {
                Some((_, other)) => other,
                None => return branch.then_branch.brace_token.span.close(),
            },
            _ => return expression.span(),
        };
    }
}
