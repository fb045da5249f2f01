//! What the function as a whole must be: no test, async, with a return type that has a name.

use proc_macro2::{Group, Ident, TokenTree};
use quote::ToTokens;
use syn::{Attribute, PatType, ReturnType, Safety, Signature, Type};

use crate::attributes::{self, Role};
use crate::diagnose;
use crate::parse::Function;
use crate::problem::{Problem, Problems};

/// The parts of a function that a fixture cannot be without.
pub(crate) type Parts<'a> = (&'a PatType, &'a Type, &'a Group);

/// Everything that the function as a whole must be.
pub(crate) fn check<'a>(function: &'a Function, problems: &mut Problems) -> Option<Parts<'a>> {
    // On something else than a fixture, advice about its signature would mislead.
    if let Some(problem) = misplaced(function) {
        problems.push(problem);
        return None;
    }
    let Some(body) = &function.body else {
        problems.push(only_declared(&function.signature));
        return None;
    };
    qualifiers(&function.signature, problems);
    return_type(&function.signature, problems);
    match diagnose::connection(&function.signature) {
        Ok((parameter, target)) => Some((parameter, target, body)),
        Err(problem) => {
            problems.push(problem);
            None
        }
    }
}

/// A test, a fixture of rstest, or what another macro made of a fixture.
fn misplaced(Function { attributes, signature, body, .. }: &Function) -> Option<Problem> {
    let name = &signature.ident;
    for attribute in attributes {
        let other = attributes::name(attribute);
        let path = attribute.path();
        match attributes::role(attribute) {
            Role::Inert | Role::Macro => {}
            Role::Test => {
                return Some(Problem::new(
                    path,
                    format!(
                        "`{name}` is a test (`#[{other}]`), and what is guarded is the fixture that it calls"
                    ),
                    "move what destroys into an `async fn reset_db(conn: &mut PgConnection)`, mark that one \
                     `#[destructive_fixture]`, and call it from the test",
                ));
            }
            Role::Fixture => {
                return Some(Problem::new(
                    path,
                    format!(
                        "`#[{other}]` fills in the arguments of `{name}`, and so would hand it the connection"
                    ),
                    "mark an async function of its own `#[destructive_fixture]`, and call it from the `#[fixture]`",
                ));
            }
            Role::Ours => {
                return Some(Problem::new(
                    path,
                    format!("`{name}` is marked `#[destructive_fixture]` twice"),
                    "merge the options of both into one",
                ));
            }
        }
    }
    if let Some(fixture) = called_by_rstest(attributes, signature, body.as_ref()) {
        return Some(Problem::new(
            &fixture,
            format!(
                "`#[fixture]` above `#[destructive_fixture]` makes two functions of `{fixture}`, and both would be guarded"
            ),
            "mark an async function of its own `#[destructive_fixture]`, and call it from the `#[fixture]`",
        ));
    }
    if signature.asyncness.is_none() && is_boxed_future(&signature.output) {
        return Some(Problem::new(
            name,
            format!(
                "`{name}` returns a boxed future: it was written so, or a macro such as `#[async_trait]` has rewritten it"
            ),
            "put `#[destructive_fixture]` on an `async fn` outside the trait, and call it from the method",
        ));
    }
    None
}

/// rstest writes `pub async fn get(…) { reset_db(conn).await }` beside a `#[fixture]`, with its attributes.
fn called_by_rstest(attributes: &[Attribute], signature: &Signature, body: Option<&Group>) -> Option<Ident> {
    let is_allowed = |attribute: &Attribute| attribute.to_token_stream().to_string().contains("unused_mut");
    if signature.ident != "get" || !attributes.iter().any(is_allowed) {
        return None;
    }
    let mut statements = body?.stream().into_iter();
    match (statements.next(), statements.next(), statements.count()) {
        (Some(TokenTree::Ident(called)), Some(TokenTree::Group(_)), 0 | 2) => Some(called),
        _ => None,
    }
}

fn is_boxed_future(output: &ReturnType) -> bool {
    let ReturnType::Type(_, ty) = output else { return false };
    let Type::Path(ty) = &**ty else { return false };
    let last = ty.path.segments.last().map(|last| last.ident.to_string());
    last.is_some_and(|last| {
        last == "BoxFuture" || (last == "Pin" && ty.to_token_stream().to_string().contains("Future"))
    })
}

fn only_declared(signature: &Signature) -> Problem {
    let name = &signature.ident;
    Problem::new(
        name,
        format!("`{name}` is only declared here, so there is nothing to guard"),
        "put `#[destructive_fixture]` on the methods that have a body, and declare the parameter \
         `conn: impl IntoTarget<PgConnection>`",
    )
}

/// The words around `fn`.
fn qualifiers(signature: &Signature, problems: &mut Problems) {
    let Signature { ident: name, constness, safety, abi, variadic, .. } = signature;
    if signature.asyncness.is_none() {
        problems.push(Problem::new(
            signature.fn_token,
            format!("`{name}` is not async, and synchronous fixtures are not supported yet"),
            format!("write `async fn {name}`"),
        ));
    }
    if let Some(constness) = constness {
        let message = format!("`{name}` is const, and a database cannot be reached at compile time");
        problems.push(Problem::new(constness, message, "remove `const`"));
    }
    if let Safety::Unsafe(safety) = safety {
        let message =
            format!("`{name}` is unsafe, and the guard cannot promise its callers what that asks of them");
        problems.push(Problem::new(
            safety,
            message,
            "remove `unsafe` here, and write an `unsafe` block in the body",
        ));
    }
    if let Some(abi) = abi {
        let message = format!("`{name}` is made for callers in another language, which cannot await it");
        problems.push(Problem::new(abi, message, format!("write `async fn {name}`")));
    }
    if let Some(variadic) = variadic {
        let message = format!("`{name}` takes any number of arguments");
        problems.push(Problem::new(variadic, message, "list its parameters"));
    }
}

fn return_type(signature: &Signature, problems: &mut Problems) {
    let ReturnType::Type(_, ty) = &signature.output else { return };
    let name = &signature.ident;
    if let Type::Never(never) = &**ty {
        let message = format!("`{name}` never returns, so its transaction would never end");
        problems.push(Problem::new(never, message, "let it return, for example `sqlx::Result<()>`"));
    } else if ty
        .to_token_stream()
        .into_iter()
        .any(|token| matches!(token, TokenTree::Ident(word) if word == "impl"))
    {
        let message = format!(
            "`{name}` does not name what it returns, and the guard must know whether it is a `Result`"
        );
        problems.push(Problem::new(
            ty,
            message,
            "name the type, such as `sqlx::Result<()>`, or box it: `Box<dyn …>`",
        ));
    }
}
