//! Writes the guarded function. Nothing here can fail, and nothing here decides: `begin`, `run` and `finish` do.

use std::path::Path;

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::{GenericArgument, Ident, Pat, PatType, PathArguments, Type};

use crate::attributes;
use crate::model::{Fixture, Parameter};
use crate::options::{Limit, OnSuccess, Options};

/// The guarded function.
///
/// Whatever it names itself has the hygiene of this macro: the body sees its parameters and nothing else of ours,
/// and may call its own variables `guard` or `answer`. The static is an item, which has no hygiene, and so stands
/// in a block of its own.
pub(crate) fn fixture(fixture: &Fixture) -> TokenStream {
    let Fixture { attributes, visibility, name, generics, receiver, connection, returns, body, .. } = fixture;
    let library = &fixture.options.library;
    let private = quote!(#library::__private);
    let where_clause = &generics.where_clause;

    let receiver = receiver.iter();
    let target = &connection.target;
    let conn = &connection.parameter.name;
    let into_target = placed(at(target), quote!(#library::IntoTarget<#target>));
    let conn_attributes =
        connection.parameter.written.attrs.iter().filter(|other| !attributes::is_lint_level(other));
    let parameters = fixture.parameters.iter().map(declared);

    let title = name.unraw().to_string();
    let narrowed = narrowed(&fixture.options);
    let place = place(&private);
    let answer = Ident::new("answer", at(error_type(returns)));
    let owned = fixture.owned_receiver().map(|owned| quote_spanned!(Span::mixed_site()=> let _ = &#owned;));
    let moved = fixture.parameters.iter().map(moved);
    // A block cannot say what it returns. Without this line the body's `Box<dyn Error>` would not coerce, and
    // what the compiler says about its type it would say about ours.
    let typed = placed(at(returns), quote!(return #private::returned::<#returns>();));
    let lent = lent(&connection.parameter.written);

    quote_spanned! {Span::mixed_site()=>
        #(#attributes)*
        #[track_caller]
        #visibility fn #name #generics(
            #(#receiver,)*
            #(#conn_attributes)* #conn: impl #into_target,
            #(#parameters,)*
        ) -> impl ::core::future::Future<Output = #returns>
        #where_clause
        {
            let fixture = {
                static FIXTURE: #library::Fixture =
                    #library::Fixture::new(#title, #place) #(#narrowed)*;
                &FIXTURE
            };
            let answer = {
                use #private::{AnswerByPanic as _, AnswerByResult as _};
                (&#private::Returns::<#returns>::TYPE).#answer()
            };
            #private::run(fixture, answer, async move {
                let mut guard = #private::begin(fixture, #conn).await?;
                let returned = {
                    #owned
                    #(#moved)*
                    #lent
                    async move {
                        if false {
                            #typed
                        }
                        #body
                    }
                    .await
                };
                guard.finish(returned, answer).await
            })
        }
    }
}

/// The calls that narrow and declare: `.hosts(&["*-staging*"]).max_rows(10_000)`.
fn narrowed(options: &Options) -> Vec<TokenStream> {
    let Options {
        hosts,
        databases,
        environment,
        tables,
        max_rows,
        reach,
        statement_timeout,
        lock_timeout,
        on_success,
        library,
        last: _,
    } = options;
    let lists = [("hosts", hosts), ("databases", databases), ("tables", tables), ("reach", reach)];
    let lists = lists.into_iter().filter(|(_, values)| !values.is_empty()).map(|(name, values)| {
        let name = Ident::new(name, Span::mixed_site());
        quote_spanned!(Span::mixed_site()=> .#name(&[#(#values),*]))
    });
    let environment = environment.iter().map(|name| quote!(.environment(#name)));
    let max_rows = max_rows.iter().map(|rows| quote!(.max_rows(#rows)));
    let on_success = on_success.iter().map(|end| match end {
        OnSuccess::Commit => quote!(.on_success(#library::OnSuccess::Commit)),
        OnSuccess::Rollback => quote!(.on_success(#library::OnSuccess::Rollback)),
    });
    let limits = limits(*statement_timeout, *lock_timeout);
    lists.chain(environment).chain(max_rows).chain(limits).chain(on_success).collect()
}

pub(crate) fn limits(statement: Option<Limit>, lock: Option<Limit>) -> Vec<TokenStream> {
    let statement = statement.map(|limit| quote!(.statement_timeout(#limit)));
    statement.into_iter().chain(lock.map(|limit| quote!(.lock_timeout(#limit)))).collect()
}

/// The place of the attribute, with the policy file that counts for the crate now: at run time its loss is an error.
#[expect(clippy::disallowed_methods, reason = "cargo tells the compiler of a crate where it is")]
pub(crate) fn place(private: &TokenStream) -> TokenStream {
    let policy =
        std::env::var_os("CARGO_MANIFEST_DIR").and_then(|directory| policy_above(Path::new(&directory)));
    let policy = policy.iter();
    quote_spanned!(Span::mixed_site()=> #private::place!(#(#policy)*))
}

fn policy_above(directory: &Path) -> Option<String> {
    let directory = directory.canonicalize().ok()?;
    let mut files = directory.ancestors().map(|directory| directory.join("fixture-guard.toml"));
    files.find(|file| file.symlink_metadata().is_ok())?.into_os_string().into_string().ok()
}

/// A parameter in the signature. Its pattern waits for the body.
fn declared(Parameter { name, written }: &Parameter) -> TokenStream {
    let PatType { attrs, colon_token, ty, .. } = written;
    let attributes = attrs.iter().filter(|attribute| !attributes::is_lint_level(attribute));
    quote!(#(#attributes)* #name #colon_token #ty)
}

/// A parameter on its way into the body. As in any async function, also one that the body never mentions, such as
/// the guard of a lock, lives until the body has ended.
fn moved(Parameter { name, written }: &Parameter) -> TokenStream {
    let PatType { attrs, pat, .. } = written;
    let conditions = attrs.iter().filter(|attribute| attributes::is_condition(attribute));
    let lint_levels = attrs.iter().filter(|attribute| attributes::is_lint_level(attribute));
    let (before, allowed) = match &**pat {
        Pat::Ident(pattern) if pattern.ident.to_string().starts_with('_') => {
            (None, Some(quote!(#[allow(clippy::no_effect_underscore_binding)])))
        }
        Pat::Ident(_) => (None, None),
        // A pattern may take parts and leave the rest behind.
        _ => {
            let conditions = conditions.clone();
            (Some(quote_spanned!(Span::mixed_site()=> #(#conditions)* let #name = #name;)), None)
        }
    };
    quote_spanned!(Span::mixed_site()=> #before #allowed #(#conditions)* #(#lint_levels)* let #pat = #name;)
}

/// The connection, under the name and the type that the user gave it.
fn lent(PatType { attrs, pat, colon_token, ty }: &PatType) -> TokenStream {
    let attributes = attrs
        .iter()
        .filter(|attribute| attributes::is_condition(attribute) || attributes::is_lint_level(attribute));
    let lend = Ident::new("lend", at(ty));
    quote_spanned!(Span::mixed_site()=> #(#attributes)* let #pat #colon_token #ty = guard.#lend();)
}

/// The `E` of `Result<T, E>`, where a message about a missing `FixtureError` belongs; else the type as it is.
fn error_type(returns: &Type) -> &Type {
    let Type::Path(path) = returns else { return returns };
    let Some(PathArguments::AngleBracketed(arguments)) =
        path.path.segments.last().map(|last| &last.arguments)
    else {
        return returns;
    };
    match arguments.args.last() {
        Some(GenericArgument::Type(error)) if arguments.args.len() == 2 => error,
        _ => returns,
    }
}

/// The same tokens, as if they all stood at `place`.
fn placed(place: Span, tokens: TokenStream) -> TokenStream {
    let placed = tokens.into_iter().map(|mut token| {
        token.set_span(token.span().located_at(place));
        token
    });
    placed.collect()
}

/// Our hygiene, at the place of the user's tokens: what the compiler has to say about them it says there.
pub(crate) fn at(tokens: &impl ToTokens) -> Span {
    let first = tokens.to_token_stream().into_iter().next();
    Span::mixed_site().located_at(first.map_or_else(Span::call_site, |token| token.span()))
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use crate::destructive_fixture_tokens;

    macro_rules! assert_snapshot {
        ($expansion:expr) => {
            insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!($expansion) })
        };
    }

    fn expanded(arguments: proc_macro2::TokenStream, item: &proc_macro2::TokenStream) -> String {
        let file = destructive_fixture_tokens(arguments, item);
        prettyplease::unparse(&syn::parse2(file).unwrap())
    }

    #[test]
    fn sees_the_policy_file_that_counts_for_a_crate() {
        let root = std::env::temp_dir().join(format!("fixture-guard-macros-{}", std::process::id()));
        let below = root.join("crates/shop");
        std::fs::create_dir_all(&below).unwrap();
        let before = super::policy_above(&below);
        std::fs::write(root.join("fixture-guard.toml"), "").unwrap();
        let after = super::policy_above(&below);
        std::fs::remove_dir_all(&root).unwrap();
        assert_eq!(before, None);
        assert!(after.is_some_and(|file| file.ends_with("fixture-guard.toml")));
    }

    #[test]
    fn writes_what_a_person_would_have_written() {
        assert_snapshot!(expanded(
            quote!(hosts = ["*-staging*"], tables = ["categories"], max_rows = 10_000),
            &quote! {
                /// Empties the catalogue.
                pub(crate) async fn reset_db<T: Clone>(conn: &mut PgConnection, keep: T) -> sqlx::Result<()>
                where
                    T: Send,
                {
                    sqlx::query("TRUNCATE categories CASCADE").execute(conn).await?;
                    Ok(())
                }
            },
        ));
    }

    #[test]
    fn writes_a_method_that_returns_nothing() {
        assert_snapshot!(expanded(
            quote!(environment = "staging", on_success = "rollback", crate = guard),
            &quote! {
                #[must_use]
                async fn reset(mut self, _: &mut GuardedTransaction, (from, _): Range, _lock: Lock<'_>, #[cfg(test)] mut n: u8) {
                    #![allow(unused)]
                    self.resets += 1;
                }
            },
        ));
    }

    #[test]
    fn lets_another_macro_go_first() {
        assert_snapshot!(expanded(
            quote!(hosts = ["*-staging*"],),
            &quote! {
                #[inline]
                #[tracing::instrument(skip(name))]
                async fn reset_db(conn: &mut PgConnection, name: &str) -> sqlx::Result<()> {
                    Ok(())
                }
            },
        ));
    }

    #[test]
    fn compiles_after_another_macro_only_where_that_kept_our_attribute() {
        let first = quote! {
            #[tracing::instrument]
            async fn reset_db(conn: &mut PgConnection) {}
        };
        let postponed = destructive_fixture_tokens(quote!(), &first);
        let wrapped = quote! {
            async fn reset_db(conn: &mut PgConnection) {
                span.enter(async move { ::core::compile_error! { "not ours" } #postponed }).await
            }
        };

        let second = destructive_fixture_tokens(quote!(__last), &wrapped).to_string();

        assert!(postponed.to_string().contains("compile_error"));
        assert!(second.contains("not ours") && !second.contains("would not be guarded"), "{second}");
    }
}
