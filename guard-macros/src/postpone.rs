//! Other attribute macros go first: they must see the function that the user wrote.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::quote;

use crate::options::{self, Options};
use crate::parse::{Argument, Function};

/// The item with our attribute moved below the others, and told that it has been.
///
/// A macro that drops the attributes it does not know would leave the fixture unguarded. Its body therefore does
/// not compile until our second turn has taken the reminder out.
pub(crate) fn item(
    options: &Options,
    arguments: &[Argument],
    function: &Function,
    body: &Group,
) -> TokenStream {
    let Function { attributes, visibility, signature, .. } = function;
    let library = &options.library;
    let last = Ident::new(options::LAST, Span::call_site());
    let name = &signature.ident;
    let reminder = format!(
        "`{name}` would not be guarded: another attribute macro on it has dropped `#[destructive_fixture]`\n\n\
         help: {REMINDER}"
    );
    let statements = body.stream();
    let mut block = Group::new(Delimiter::Brace, quote!(::core::compile_error! { #reminder } #statements));
    block.set_span(body.span());
    quote! {
        #(#attributes)*
        #[#library::destructive_fixture(#(#arguments,)* #last)]
        #visibility #signature #block
    }
}

/// By which we know the reminder again.
const REMINDER: &str = "put the other macro on a function of its own, which calls the guarded one";

/// Takes out what [`item`] has put in, however deep another macro has wrapped the body.
pub(crate) fn without_reminder(tokens: TokenStream) -> TokenStream {
    let mut kept: Vec<TokenTree> = Vec::new();
    for token in tokens {
        let TokenTree::Group(group) = token else {
            kept.push(token);
            continue;
        };
        if is_reminder(&kept, &group) {
            // `::core::compile_error!`
            kept.truncate(kept.len() - 7);
            continue;
        }
        let mut inner = Group::new(group.delimiter(), without_reminder(group.stream()));
        inner.set_span(group.span());
        kept.push(inner.into());
    }
    kept.into_iter().collect()
}

/// Whether `group` is the message of a `::core::compile_error!` of ours.
fn is_reminder(before: &[TokenTree], group: &Group) -> bool {
    let path: String = before[before.len().saturating_sub(7)..].iter().map(ToString::to_string).collect();
    path == "::core::compile_error!" && group.stream().to_string().contains(REMINDER)
}
