//! `#[guarded_test]`: a test in a transaction that nobody commits. Its options, its signature, and what it becomes.

use proc_macro2::{Group, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::{Attribute, Expr, FnArg, Ident, LitStr, Path, Signature, Type, parse_quote};

use crate::attributes::{self, Role};
use crate::expand;
use crate::options;
use crate::parse::{self, Argument, Function};
use crate::problem::{Problem, Problems};

const ATTRIBUTE: &str = "#[guarded_test]";
const SIGNATURE: &str = "tx: &mut GuardedTransaction";

/// In the order of the table in the attribute's documentation.
const NAMES: [&str; 7] =
    ["target", "hosts", "databases", "environment", "statement_timeout", "lock_timeout", "crate"];

/// The test, or all that is wrong with it and the item as it was.
pub(crate) fn tokens(arguments: TokenStream, item: &TokenStream) -> TokenStream {
    let mut problems = Problems::default();
    let arguments = parse::arguments(arguments, &mut problems);
    let options = Options::read(&arguments, &mut problems);
    let function = match syn::parse2::<Function>(item.clone()) {
        Ok(function) => function,
        Err(error) => {
            problems.push(unread(item, error));
            let report = problems.report(&[]);
            return quote!(#report #item);
        }
    };
    let parts = parts(&function, &mut problems);
    let Some((connection, body)) = parts.filter(|_| !problems.found()) else {
        let report = problems.report(&function.attributes);
        let item = without_tests(&function);
        return quote!(#report #item);
    };
    expand(&options, &function, connection, body)
}

/// Options of which every value can be expanded.
struct Options {
    target: Option<Expr>,
    hosts: Vec<LitStr>,
    databases: Vec<LitStr>,
    environment: Option<LitStr>,
    statement_timeout: Option<options::Limit>,
    lock_timeout: Option<options::Limit>,
    library: Path,
}

impl Options {
    fn read(arguments: &[Argument], problems: &mut Problems) -> Self {
        let mut read = Self {
            target: None,
            hosts: Vec::new(),
            databases: Vec::new(),
            environment: None,
            statement_timeout: None,
            lock_timeout: None,
            library: parse_quote!(::fixture_guard),
        };
        options::each(arguments, problems, |argument| read.take(argument));
        read
    }

    fn take(&mut self, argument: &Argument) -> Result<(), Vec<Problem>> {
        let Argument { name, value } = argument;
        match name.to_string().as_str() {
            "target" => self.target = Some(target(name, value)?),
            "hosts" => self.hosts = options::hosts(argument)?,
            "databases" => self.databases = options::databases(argument)?,
            "environment" => self.environment = Some(options::environment(name, value)?),
            "statement_timeout" => self.statement_timeout = Some(options::limit(argument)?),
            "lock_timeout" => self.lock_timeout = Some(options::limit(argument)?),
            "crate" => self.library = options::library(name, value)?,
            _ => return Err(vec![options::unknown(name, ATTRIBUTE, &NAMES)]),
        }
        Ok(())
    }
}

fn target(name: &Ident, value: &TokenStream) -> Result<Expr, Vec<Problem>> {
    syn::parse2(value.clone()).map_err(|_| {
        let at = if value.is_empty() { name.to_token_stream() } else { value.clone() };
        let help =
            "write an expression, such as `target = support::dsn()` or `target = support::pool().await`";
        vec![Problem::new(at, "`target` takes what a fixture takes: a DSN, connect options or a pool", help)]
    })
}

fn unread(item: &TokenStream, error: syn::Error) -> Problem {
    let is_function = item.clone().into_iter().any(|token| token.to_string() == "fn");
    if is_function {
        return error.into();
    }
    let first = item.clone().into_iter().next();
    let help = format!("write `async fn orders_are_listed({SIGNATURE})`");
    Problem::new(first, format!("`{ATTRIBUTE}` makes a test of a function, and this is none"), help)
}

/// The type that the body wants to be lent, and the body.
fn parts<'a>(function: &'a Function, problems: &mut Problems) -> Option<(&'a Type, &'a Group)> {
    let Function { attributes, signature, body, .. } = function;
    let name = &signature.ident;
    if let Some(problem) = attributes.iter().find_map(|attribute| misplaced(name, attribute)) {
        problems.push(problem);
        return None;
    }
    let Some(body) = body else {
        let message = format!("`{name}` is only declared here, so there is nothing to test");
        problems.push(Problem::new(name, message, "give it a body"));
        return None;
    };
    if signature.asyncness.is_none() {
        problems.push(Problem::new(
            signature.fn_token,
            format!("`{name}` is not async, and its transaction is"),
            format!("write `async fn {name}({SIGNATURE})`"),
        ));
    }
    if !signature.generics.params.is_empty() {
        let message = format!("`{name}` is generic, and nobody calls a test with types");
        problems.push(Problem::new(&signature.generics, message, "name the types"));
    }
    let connection = connection(signature, problems)?;
    Some((connection, body))
}

fn misplaced(name: &Ident, attribute: &Attribute) -> Option<Problem> {
    let (path, other) = (attribute.path(), attributes::name(attribute));
    match attributes::role(attribute) {
        Role::Test if other == "guarded_test" => {
            let message = format!("`{name}` is marked `{ATTRIBUTE}` twice");
            Some(Problem::new(path, message, "merge the options of both into one"))
        }
        Role::Test => Some(Problem::new(
            path,
            format!("`{ATTRIBUTE}` makes the test and its runtime itself, and so does `#[{other}]`"),
            format!(
                "remove `#[{other}]`; or keep it, remove `{ATTRIBUTE}`, and write \
                 `let mut tx = fixture_guard::begin(&pool).await?;` in the test"
            ),
        )),
        Role::Fixture => Some(Problem::new(
            path,
            format!("`#[{other}]` makes a fixture, and `{ATTRIBUTE}` a test"),
            "remove one of the two",
        )),
        Role::Ours => Some(Problem::new(
            path,
            format!("`{name}` is a test, and what `#[{other}]` guards is the fixture that it calls"),
            format!("remove `#[{other}]`: nothing of a guarded test is ever committed"),
        )),
        Role::Inert | Role::Macro => None,
    }
}

/// The `GuardedTransaction` in `tx: &mut GuardedTransaction`.
fn connection<'a>(signature: &'a Signature, problems: &mut Problems) -> Option<&'a Type> {
    let name = &signature.ident;
    let mut parameters = signature.inputs.iter();
    let Some(first) = parameters.next() else {
        let message = format!("`{name}` takes no transaction, so nothing that it does would be rolled back");
        problems.push(Problem::new(name, message, format!("write `async fn {name}({SIGNATURE})`")));
        return None;
    };
    let FnArg::Typed(typed) = first else {
        let message = format!("`{name}` is a method, and a test is a function");
        problems.push(Problem::new(first, message, "put it outside of the `impl`"));
        return None;
    };
    for other in parameters {
        let message =
            format!("`{name}` takes more than its transaction, and nobody calls a test with arguments");
        problems.push(Problem::new(other, message, "make the value in the body"));
    }
    if let Type::Reference(reference) = &*typed.ty
        && reference.mutability.is_some()
        && let connection @ Type::Path(_) = &*reference.elem
    {
        return Some(connection);
    }
    let message = format!("`{name}` is handed a guarded transaction, and not this");
    let help = format!(
        "write `{SIGNATURE}`; it is also a `&mut PgConnection`, and `reset_db(&mut *tx)` nests in it"
    );
    problems.push(Problem::new(&typed.ty, message, help));
    None
}

/// The test. The function that the user wrote stands inside it, as it was.
fn expand(options: &Options, function: &Function, connection: &Type, body: &Group) -> TokenStream {
    let Options { target, hosts, databases, environment, statement_timeout, lock_timeout, library } = options;
    let limits = expand::limits(*statement_timeout, *lock_timeout);
    let Function { attributes, visibility, signature, .. } = function;
    let (name, output) = (&signature.ident, &signature.output);
    let title = name.unraw().to_string();
    let private = quote!(#library::__private);
    let (macros, ours): (Vec<_>, Vec<_>) =
        attributes.iter().partition(|attribute| attributes::role(attribute) == Role::Macro);
    let should_panic = attributes.iter().any(|attribute| attribute.path().is_ident("should_panic"));
    let run = if should_panic { "test_that_should_panic" } else { "test" };
    let run = Ident::new(run, Span::mixed_site());
    let target = if let Some(target) = target {
        // what the compiler has to say about it, it says there
        quote_spanned!(expand::at(target)=> async || #target)
    } else {
        quote_spanned!(Span::mixed_site()=> async || #private::DatabaseUrl)
    };
    let hosts = (!hosts.is_empty()).then(|| quote!(.hosts(&[#(#hosts),*])));
    let databases = (!databases.is_empty()).then(|| quote!(.databases(&[#(#databases),*])));
    let environment = environment.iter().map(|name| quote!(.environment(#name)));
    let place = expand::place(&private);

    quote_spanned! {Span::mixed_site()=>
        #(#ours)*
        #[::core::prelude::v1::test]
        #visibility fn #name() #output {
            #(#macros)*
            #signature #body

            let fixture = {
                static FIXTURE: #library::Fixture =
                    #library::Fixture::new(#title, #place) #hosts #databases #(#environment)* #(#limits)* .test();
                &FIXTURE
            };
            #private::#run::<#connection, _, _>(fixture, #target, #name)
        }
    }
}

/// The item without what would make a test of it: the compiler would add that it cannot have arguments.
fn without_tests(Function { attributes, visibility, signature, body }: &Function) -> TokenStream {
    let kept = attributes.iter().filter(|attribute| {
        !matches!(attributes::role(attribute), Role::Test | Role::Fixture | Role::Ours)
            && !["ignore", "should_panic"].iter().any(|name| attribute.path().is_ident(name))
    });
    let end = if body.is_none() { Some(quote!(;)) } else { None };
    // it is no test now, and nobody else calls it
    quote!(#(#kept)* #[allow(dead_code)] #visibility #signature #body #end)
}

#[cfg(test)]
mod tests {
    use quote::quote;

    #[test]
    fn writes_a_test_that_a_person_would_have_written() {
        let item = quote! {
            /// Nothing is left of it.
            #[ignore = "slow"]
            #[tracing::instrument(skip_all)]
            async fn lists_what_was_seeded(tx: &mut GuardedTransaction) -> anyhow::Result<()> {
                reset_db(&mut *tx).await?;
                Ok(())
            }
        };
        let options = quote!(hosts = ["*-staging*"], target = support::dsn(), environment = "staging");
        let expanded = prettyplease::unparse(&syn::parse2(super::tokens(options, &item)).unwrap());
        insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!(expanded) });
    }
}
