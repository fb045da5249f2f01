//! The syntax of the attribute's arguments and of the item below it. Nothing is judged here.

use proc_macro2::{Group, TokenStream, TokenTree};
use quote::{ToTokens, TokenStreamExt, quote};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::{AttrStyle, Attribute, Ident, Signature, Token, Visibility};

use crate::problem::{Problem, Problems};

/// One `name = value` as it was written: the value keeps its tokens until its option is known.
pub(crate) struct Argument {
    pub(crate) name: Ident,
    /// Empty where nothing followed the name.
    pub(crate) value: TokenStream,
}

/// Splits the attribute's arguments at their commas. One that cannot be read does not hide the others.
pub(crate) fn arguments(tokens: TokenStream, problems: &mut Problems) -> Vec<Argument> {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let pieces = tokens.split(|token| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ','));
    let mut arguments = Vec::new();
    for piece in pieces.filter(|piece| !piece.is_empty()) {
        match syn::parse2(piece.iter().cloned().collect()) {
            Ok(argument) => arguments.push(argument),
            Err(error) => problems.push(error),
        }
    }
    arguments
}

impl Parse for Argument {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        // `crate` is a keyword and the name of an option.
        let example = "expected an option, such as `hosts = [\"*-staging*\"]`";
        let name = input.call(Ident::parse_any).map_err(|error| syn::Error::new(error.span(), example))?;
        let value = if input.parse::<Option<Token![=]>>()?.is_some() {
            input.parse()?
        } else if input.is_empty() {
            TokenStream::new()
        } else {
            return Err(input.error(format!("expected `{name} = …`")));
        };
        Ok(Self { name, value })
    }
}

impl ToTokens for Argument {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let Self { name, value } = self;
        tokens.append_all(if value.is_empty() { quote!(#name) } else { quote!(#name = #value) });
    }
}

/// A function as it was written. Its body stays a bag of tokens: it is not ours to understand.
pub(crate) struct Function {
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) visibility: Visibility,
    pub(crate) signature: Signature,
    /// `None` for a method that a trait only declares.
    pub(crate) body: Option<Group>,
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut attributes = input.call(Attribute::parse_outer)?;
        let visibility = input.parse()?;
        let signature = input.parse()?;
        let body = if input.parse::<Option<Token![;]>>()?.is_some() {
            None
        } else {
            Some(body(input, &mut attributes)?)
        };
        Ok(Self { attributes, visibility, signature, body })
    }
}

/// Reads the block and moves its `#![…]` up to the function: the block of a future cannot carry them.
fn body(input: ParseStream<'_>, attributes: &mut Vec<Attribute>) -> syn::Result<Group> {
    let group: Group = input.parse()?;
    if group.delimiter() != proc_macro2::Delimiter::Brace {
        return Err(syn::Error::new(group.span_open(), "expected the function's body"));
    }
    let split =
        |input: ParseStream<'_>| Ok((input.call(Attribute::parse_inner)?, input.parse::<TokenStream>()?));
    let (inner, statements) = syn::parse::Parser::parse2(split, group.stream())?;
    attributes.extend(inner.into_iter().map(|attribute| Attribute { style: AttrStyle::Outer, ..attribute }));
    let mut body = Group::new(group.delimiter(), statements);
    body.set_span(group.span());
    Ok(body)
}

/// Reads the item, or says what it is instead of a function.
pub(crate) fn function(item: &TokenStream) -> Result<Function, Problem> {
    syn::parse2(item.clone()).map_err(|error| match keyword_of_another_item(item) {
        Some(keyword) => {
            let which = match keyword.to_string().as_str() {
                "mod" => "each function of it that destroys",
                "impl" | "trait" => "each method of it that destroys",
                _ => "the function that destroys",
            };
            Problem::new(
                &keyword,
                format!("`#[destructive_fixture]` guards a function, and this is `{keyword}`"),
                format!("put it on {which}: `async fn reset_db(conn: &mut PgConnection)`"),
            )
        }
        None => error.into(),
    })
}

/// The keyword of an item that is not a function, such as `struct`.
fn keyword_of_another_item(item: &TokenStream) -> Option<Ident> {
    const KEYWORDS: [&str; 12] = [
        "struct",
        "enum",
        "union",
        "trait",
        "impl",
        "mod",
        "static",
        "const",
        "type",
        "use",
        "extern",
        "macro_rules",
    ];
    let is_head = |token: &TokenTree| !matches!(token, TokenTree::Group(group) if group.delimiter() == proc_macro2::Delimiter::Brace);
    let mut words = item.clone().into_iter().take_while(is_head).filter_map(|token| match token {
        TokenTree::Ident(ident) => Some(ident),
        _ => None,
    });
    let keyword = words.find(|word| KEYWORDS.iter().any(|keyword| word == keyword) || word == "fn")?;
    // `const fn` and `extern "C" fn` are functions; the `fn` of `type F = fn()` stands behind an `=`.
    let is_function =
        keyword == "fn" || ((keyword == "const" || keyword == "extern") && words.any(|word| word == "fn"));
    (!is_function).then_some(keyword)
}
