//! What is wrong with an item: every problem of it, each at its token and with its remedy.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::Attribute;

/// One thing that keeps a fixture from being guarded.
pub(crate) struct Problem {
    start: Span,
    end: Span,
    message: String,
}

impl Problem {
    /// A problem that underlines `tokens`, says `message` and ends with what to do.
    pub(crate) fn new(tokens: impl ToTokens, message: impl AsRef<str>, help: impl AsRef<str>) -> Self {
        let mut tokens = tokens.into_token_stream().into_iter().map(|token| token.span());
        let start = tokens.next().unwrap_or_else(Span::call_site);
        // A stable compiler has no notes for macros: the help line is part of the message.
        let message = format!("{}\n\nhelp: {}", message.as_ref(), help.as_ref());
        Self { start, end: tokens.last().unwrap_or(start), message }
    }
}

impl From<syn::Error> for Problem {
    fn from(error: syn::Error) -> Self {
        Self { start: error.span(), end: error.span(), message: error.to_string() }
    }
}

/// Every problem found so far, so that a user mends an item once and not line by line.
#[derive(Default)]
pub(crate) struct Problems(Vec<Problem>);

impl Problems {
    pub(crate) fn push(&mut self, problem: impl Into<Problem>) {
        self.0.push(problem.into());
    }

    pub(crate) fn extend(&mut self, problems: Vec<Problem>) {
        self.0.extend(problems);
    }

    pub(crate) fn found(&self) -> bool {
        !self.0.is_empty()
    }

    /// Reports all of them, unless the item's own `#[cfg]` removes it.
    pub(crate) fn report(&self, attributes: &[Attribute]) -> TokenStream {
        let cfgs = attributes.iter().filter(|attribute| attribute.path().is_ident("cfg"));
        let cfgs = quote!(#(#cfgs)*);
        let errors = self.0.iter().map(|Problem { start, end, message }| {
            // The compiler underlines from the first token of an invocation to its last.
            let path = quote_spanned!(*start=> ::core::compile_error!);
            let message = quote_spanned!(*end=> { #message });
            quote!(#cfgs #path #message)
        });
        errors.collect()
    }
}
