//! A fixture as the attribute understands it. Where a value exists, it can be expanded.

use proc_macro2::{Group, Span, TokenStream};
use quote::quote;
use syn::{
    Attribute, FnArg, Generics, Ident, Pat, PatType, Receiver, ReceiverKind, ReturnType, Token, Type,
    Visibility, parse_quote,
};

use crate::attributes::{self, Role};
use crate::options::Options;
use crate::parse::{self, Function};
use crate::problem::Problems;
use crate::{postpone, signature};

/// A function whose connection can be guarded.
pub(crate) struct Fixture {
    pub(crate) options: Options,
    /// Without `track_caller`, which the expansion always has.
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) visibility: Visibility,
    pub(crate) name: Ident,
    pub(crate) generics: Generics,
    pub(crate) receiver: Option<Receiver>,
    pub(crate) connection: Connection,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) returns: Type,
    pub(crate) body: Group,
}

/// The parameter that the guard lends to the body.
pub(crate) struct Connection {
    pub(crate) parameter: Parameter,
    /// The `PgConnection` in `&mut PgConnection`.
    pub(crate) target: Type,
}

/// A parameter other than `self`.
pub(crate) struct Parameter {
    /// What the expanded function calls it: the user's name where there is one.
    pub(crate) name: Ident,
    pub(crate) written: PatType,
}

/// What to do with an item that is free of problems.
pub(crate) enum Reading {
    Expand(Box<Fixture>),
    /// Another macro goes first: the item again, with our attribute at the end.
    Postpone(TokenStream),
}

/// Reads the attribute and its item, or answers with all that is wrong with them and the item as it was.
pub(crate) fn read(arguments: TokenStream, item: &TokenStream) -> Result<Reading, TokenStream> {
    let mut problems = Problems::default();
    let arguments = parse::arguments(arguments, &mut problems);
    let options = Options::read(&arguments, &mut problems);
    let item = if options.last { postpone::without_reminder(item.clone()) } else { item.clone() };
    let function = match parse::function(&item) {
        Ok(function) => function,
        Err(problem) => {
            problems.push(problem);
            let report = problems.report(&[]);
            return Err(quote!(#report #item));
        }
    };
    let parts = signature::check(&function, &mut problems);
    let Some((connection, target, body)) = parts.filter(|_| !problems.found()) else {
        let report = problems.report(&function.attributes);
        return Err(quote!(#report #item));
    };
    if !options.last && function.attributes.iter().any(|attribute| attributes::role(attribute) == Role::Macro)
    {
        return Ok(Reading::Postpone(postpone::item(&options, &arguments, &function, body)));
    }
    let connection =
        Connection { parameter: Parameter::new(connection, "connection"), target: target.clone() };
    let body = body.clone();
    Ok(Reading::Expand(Box::new(Fixture::new(options, connection, body, function))))
}

impl Fixture {
    fn new(options: Options, connection: Connection, body: Group, function: Function) -> Self {
        let Function { attributes, visibility, signature, .. } = function;
        let attributes =
            attributes.into_iter().filter(|attribute| !attribute.path().is_ident("track_caller"));
        let (mut receiver, mut parameters) = (None, Vec::new());
        for argument in signature.inputs {
            match argument {
                FnArg::Receiver(written) => receiver = Some(written),
                FnArg::Typed(written) => {
                    let name = format!("argument_{}", parameters.len());
                    parameters.push(Parameter::new(&written, &name));
                }
            }
        }
        // The first one is the connection.
        parameters.remove(0);
        Self {
            options,
            attributes: attributes.collect(),
            visibility,
            name: signature.ident,
            generics: signature.generics,
            receiver,
            connection,
            parameters,
            returns: match signature.output {
                ReturnType::Default => parse_quote!(()),
                ReturnType::Type(_, ty) => *ty,
            },
            body,
        }
    }

    /// The `self` that the body owns and that therefore lives as long as the body.
    pub(crate) fn owned_receiver(&self) -> Option<Token![self]> {
        let owned =
            self.receiver.as_ref().filter(|receiver| !matches!(receiver.kind, ReceiverKind::Reference(..)));
        owned.map(|receiver| receiver.self_token)
    }
}

impl Parameter {
    fn new(written: &PatType, otherwise: &str) -> Self {
        let name = match &*written.pat {
            Pat::Ident(pattern) if pattern.subpat.is_none() => {
                let mut name = pattern.ident.clone();
                if name.to_string().starts_with('_') {
                    // We do use it, and clippy shall not tell the user so.
                    name.set_span(name.span().resolved_at(Span::mixed_site()));
                }
                name
            }
            _ => Ident::new(otherwise, Span::mixed_site()),
        };
        Self { name, written: written.clone() }
    }
}
