//! The parameter that should be a connection: what it is instead, and the rewrite for that very case.

use proc_macro2::{TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::{
    FnArg, GenericArgument, Generics, Ident, Lifetime, PatType, Path, PathArguments, PathSegment, Signature,
    Type, TypeParamBound, TypePath, TypeReference, WherePredicate,
};

use crate::problem::Problem;

/// Finds the connection of a fixture: the first parameter after `self`.
pub(crate) fn connection(signature: &Signature) -> Result<(&PatType, &Type), Problem> {
    let mut parameters = signature.inputs.iter().filter_map(|argument| match argument {
        FnArg::Typed(parameter) => Some(parameter),
        FnArg::Receiver(_) => None,
    });
    let Some(first) = parameters.next() else { return Err(no_parameter(signature)) };
    match connection_type(&first.ty, &signature.generics) {
        Ok(connection) => Ok((first, connection)),
        Err(kind) => {
            let is_the_connection = |parameter: &&PatType| {
                connection_type(&parameter.ty, &signature.generics).is_ok_and(is_connection)
            };
            Err(problem(kind, signature, first, parameters.find(is_the_connection)))
        }
    }
}

/// What stands in the connection's place.
enum Kind<'a> {
    Pool,
    PooledConnection,
    Transaction,
    Executor,
    Acquire,
    Generic,
    Dsn,
    /// A DSN, if the parameter is called so.
    Text,
    ConnectOptions,
    Shared(&'a TypeReference),
    ByValue,
    NamedLifetime(&'a TypeReference),
    SomethingElse,
}

/// The `PgConnection` in `&mut PgConnection`.
fn connection_type<'a>(ty: &'a Type, generics: &Generics) -> Result<&'a Type, Kind<'a>> {
    let Type::Reference(reference) = bare(ty) else {
        return Err(match kind(ty, generics) {
            Kind::SomethingElse if is_connection(ty) => Kind::ByValue,
            kind => kind,
        });
    };
    let target = bare(&reference.elem);
    match kind(target, generics) {
        // `&mut C` and `&mut impl Trait` are connections that nobody named.
        Kind::SomethingElse if reference.mutability.is_some() && is_generic(target, generics) => {
            return Err(Kind::Generic);
        }
        Kind::SomethingElse => {}
        kind => return Err(kind),
    }
    let is_named = |lifetime: &Lifetime| lifetime.ident != "_";
    match (target, reference.mutability) {
        (Type::Path(_), Some(_)) if reference.lifetime.as_ref().is_some_and(is_named) => {
            Err(Kind::NamedLifetime(reference))
        }
        // Whether it is a connection is for `GuardedConnection` to say.
        (Type::Path(_), Some(_)) => Ok(target),
        (Type::Path(_), None) if is_connection(target) => Err(Kind::Shared(reference)),
        _ => Err(Kind::SomethingElse),
    }
}

/// What a type is by its name, with references and smart pointers taken off.
fn kind<'a>(ty: &'a Type, generics: &Generics) -> Kind<'a> {
    match bare(ty) {
        Type::Reference(reference) => kind(&reference.elem, generics),
        Type::ImplTrait(ty) => kind_of_bounds(ty.bounds.iter()),
        Type::TraitObject(ty) => kind_of_bounds(ty.bounds.iter()),
        Type::Path(path) => match path.path.segments.last() {
            Some(last) if last.ident == "Connection" && is_projection(path, generics) => Kind::Generic,
            Some(_) if is_generic(ty, generics) => kind_of_bounds(bounds(&path.path, generics)),
            Some(last) => kind_of_name(last, generics),
            None => Kind::SomethingElse,
        },
        _ => Kind::SomethingElse,
    }
}

/// Whether the caller chooses the type: `C`, `impl Trait`, `dyn Trait`.
fn is_generic(ty: &Type, generics: &Generics) -> bool {
    match bare(ty) {
        Type::ImplTrait(_) | Type::TraitObject(_) => true,
        Type::Path(path) => {
            path.qself.is_none() && path.path.get_ident().is_some_and(|name| is_parameter(name, generics))
        }
        _ => false,
    }
}

/// `<DB as Database>::Connection`, `DB::Connection`, `Self::Connection`.
fn is_projection(TypePath { qself, path, .. }: &TypePath, generics: &Generics) -> bool {
    let Some(first) = path.segments.first() else { return false };
    qself.is_some()
        || (path.segments.len() > 1 && (is_parameter(&first.ident, generics) || first.ident == "Self"))
}

fn kind_of_name<'a>(segment: &'a PathSegment, generics: &Generics) -> Kind<'a> {
    let name = segment.ident.to_string();
    match name.as_str() {
        "Arc" | "Rc" | "Box" | "Data" | "State" | "Extension" | "Option" => {
            argument(segment).map_or(Kind::SomethingElse, |inner| kind(inner, generics))
        }
        "Url" => Kind::Dsn,
        "str" | "String" | "Cow" => Kind::Text,
        "PoolConnection" => Kind::PooledConnection,
        "Transaction" | "PgTransaction" | "MySqlTransaction" | "SqliteTransaction" | "AnyTransaction" => {
            Kind::Transaction
        }
        _ if name.ends_with("Pool") => Kind::Pool,
        _ if name.ends_with("ConnectOptions") => Kind::ConnectOptions,
        _ => Kind::SomethingElse,
    }
}

fn kind_of_bounds<'a, 'b>(bounds: impl Iterator<Item = &'b TypeParamBound>) -> Kind<'a> {
    let names = bounds.filter_map(|bound| match bound {
        TypeParamBound::Trait(bound) => Some(bound.path.segments.last()?.ident.to_string()),
        _ => None,
    });
    let names: Vec<String> = names.collect();
    if names.iter().any(|name| name.ends_with("Executor")) {
        Kind::Executor
    } else if names.iter().any(|name| name.ends_with("Acquire")) {
        Kind::Acquire
    } else if names.iter().any(|name| name.ends_with("Connection")) {
        Kind::Generic
    } else {
        Kind::SomethingElse
    }
}

/// Every bound on a type parameter, in the angle brackets and in the `where` clause.
fn bounds<'a>(parameter: &'a Path, generics: &'a Generics) -> impl Iterator<Item = &'a TypeParamBound> {
    let inline = generics
        .type_params()
        .filter(|known| parameter.is_ident(&known.ident))
        .flat_map(|known| &known.bounds);
    let predicates = generics.where_clause.iter().flat_map(|clause| &clause.predicates);
    let bounds = predicates.filter_map(|predicate| match predicate {
        WherePredicate::Type(predicate) => Some(predicate),
        _ => None,
    });
    let own =
        bounds.filter(|predicate| matches!(&predicate.bounded_ty, Type::Path(ty) if ty.path.get_ident() == parameter.get_ident()));
    inline.chain(own.flat_map(|predicate| &predicate.bounds))
}

fn is_parameter(name: &Ident, generics: &Generics) -> bool {
    generics.type_params().any(|parameter| parameter.ident == *name)
}

/// `PgConnection`, `sqlx::postgres::PgConnection`, `GuardedTransaction`.
fn is_connection(ty: &Type) -> bool {
    let Type::Path(ty) = bare(ty) else { return false };
    let last = ty.path.segments.last();
    last.is_some_and(|last| {
        last.ident == "GuardedTransaction" || last.ident.to_string().ends_with("Connection")
    })
}

/// The type inside parentheses and inside the invisible brackets of a `macro_rules` fragment.
fn bare(mut ty: &Type) -> &Type {
    loop {
        ty = match ty {
            Type::Group(group) => &group.elem,
            Type::Paren(paren) => &paren.elem,
            _ => return ty,
        };
    }
}

/// The first type in a path's angle brackets.
fn argument(segment: &PathSegment) -> Option<&Type> {
    let PathArguments::AngleBracketed(arguments) = &segment.arguments else { return None };
    arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    })
}

fn no_parameter(signature: &Signature) -> Problem {
    let name = &signature.ident;
    let receiver = signature.receiver().map(|receiver| format!("{}, ", spelled(receiver)));
    let receiver = receiver.unwrap_or_default();
    Problem::new(
        name,
        format!("`{name}` has no connection to guard"),
        format!("write `async fn {name}({receiver}conn: &mut PgConnection)`; callers pass `&pool` there"),
    )
}

fn problem(kind: Kind<'_>, signature: &Signature, first: &PatType, later: Option<&PatType>) -> Problem {
    let name = &signature.ident;
    let connection = suggested(signature, first);
    let write = format!("write `conn: &mut {connection}`");
    let ty = &first.ty;
    let outside = "so its statements would run outside the guarded transaction";
    let kind = match (kind, later) {
        (Kind::Dsn | Kind::Text, Some(_)) => Kind::SomethingElse,
        (Kind::Text, None) if !is_called_like_a_dsn(first) => Kind::SomethingElse,
        (kind, _) => kind,
    };
    let (tokens, message, help) = match kind {
        Kind::Pool => (
            quote!(#ty),
            format!("`{name}` takes a pool, {outside}"),
            format!("{write}; callers go on passing `&pool`"),
        ),
        Kind::PooledConnection => (
            quote!(#ty),
            format!("`{name}` takes a pooled connection, whose transaction the guard did not begin"),
            format!("{write}; callers pass `&pool`"),
        ),
        Kind::Transaction => (
            quote!(#ty),
            format!("`{name}` takes a transaction that the guard did not begin"),
            format!(
                "{write}; callers pass `&pool`, or `&mut tx` from `fixture_guard::begin(&pool)` to share one transaction"
            ),
        ),
        Kind::Executor => (
            quote!(#ty),
            format!("`{name}` takes any executor, which may be a pool, {outside}"),
            format!("{write}, and `.execute(&mut *conn)` in the body; callers go on passing `&pool`"),
        ),
        Kind::Acquire => (
            quote!(#ty),
            format!("`{name}` acquires a connection of its own, {outside}"),
            format!("{write} in place of what it acquires; callers go on passing `&pool`"),
        ),
        Kind::Generic => (
            quote!(#ty),
            format!(
                "`{name}` takes a connection of any type, and the guard must know which database it judges"
            ),
            format!("{write}; a fixture for a second database is a second function"),
        ),
        Kind::Dsn | Kind::Text => (
            quote!(#ty),
            format!("`{name}` takes a DSN and would connect by itself, {outside}"),
            format!("{write} in place of what it connects; callers go on passing the DSN"),
        ),
        Kind::ConnectOptions => (
            quote!(#ty),
            format!("`{name}` takes connect options and would connect by itself, {outside}"),
            format!("{write} in place of what it connects; callers go on passing the options"),
        ),
        Kind::Shared(reference) => (
            quote!(#reference),
            format!("`{name}` takes a shared reference to its connection, which cannot execute anything"),
            write,
        ),
        Kind::ByValue => (
            quote!(#ty),
            format!(
                "`{name}` takes its connection by value, and the guard must keep it to end the transaction"
            ),
            format!("{write}; callers pass `&pool`"),
        ),
        Kind::NamedLifetime(reference) => {
            let lifetime = &reference.lifetime;
            let message = format!(
                "`{name}` names the lifetime of its connection, which is lent for one run and no longer"
            );
            (quote!(#lifetime), message, write)
        }
        Kind::SomethingElse => match later {
            Some(later) => (
                quote!(#later),
                format!("the connection of `{name}` is not its first parameter"),
                format!("move `{}` to the front of the other parameters", spelled(later)),
            ),
            None => (
                quote!(#ty),
                format!("the first parameter of `{name}` is not a connection"),
                format!("put `conn: &mut {connection}` before it; callers pass `&pool` there"),
            ),
        },
    };
    Problem::new(tokens, message, help)
}

/// The connection that the user most likely means: of the same database, with the same `sqlx::` before it.
fn suggested(signature: &Signature, parameter: &PatType) -> String {
    let ty = match bare(&parameter.ty) {
        Type::Reference(reference) => bare(&reference.elem),
        ty => ty,
    };
    if is_connection(ty) && matches!(kind(ty, &signature.generics), Kind::SomethingElse) {
        return spelled(ty);
    }
    let generics = &signature.generics;
    let clause = &generics.where_clause;
    let words = words(quote!(#ty));
    let words_around = self::words(quote!(#generics #clause));
    let starts = |prefix: &str| words.iter().chain(&words_around).any(|word| word.starts_with(prefix));
    let connection = if starts("MySql") {
        "MySqlConnection"
    } else if starts("Sqlite") {
        "SqliteConnection"
    } else {
        "PgConnection"
    };
    let prefix = if words.first().is_some_and(|word| word == "sqlx") { "sqlx::" } else { "" };
    format!("{prefix}{connection}")
}

/// `url`, `database_url`, `dsn`, …, and not `table` or `name`.
fn is_called_like_a_dsn(parameter: &PatType) -> bool {
    let name = spelled(&parameter.pat).to_lowercase();
    ["url", "uri", "dsn", "conn", "database", "db", "server", "postgres", "mysql", "sqlite"]
        .iter()
        .any(|word| name.contains(word))
}

/// Every identifier in the tokens, with those inside brackets.
fn words(tokens: TokenStream) -> Vec<String> {
    let words = tokens.into_iter().flat_map(|token| match token {
        TokenTree::Ident(ident) => vec![ident.to_string()],
        TokenTree::Group(group) => words(group.stream()),
        _ => Vec::new(),
    });
    words.collect()
}

/// Tokens as a person spaces them, for what stands in a signature.
fn spelled(tokens: impl ToTokens) -> String {
    let mut text = tokens.to_token_stream().to_string();
    for (printed, written) in [
        ("& ", "&"),
        (" :: ", "::"),
        (":: ", "::"),
        (" : ", ": "),
        (" <", "<"),
        ("< ", "<"),
        (" >", ">"),
        (" ,", ","),
    ] {
        text = text.replace(printed, written);
    }
    text
}
