//! As much of a type as calls need: its name.

use syn::{GenericArgument, PathArguments, Type, TypeParamBound};

/// What stands around a type without hiding its methods.
const AROUND: [&str; 16] = [
    "Option",
    "Arc",
    "Box",
    "Rc",
    "Mutex",
    "RwLock",
    "RefCell",
    "Data",
    "State",
    "Extension",
    "Result",
    "OnceCell",
    "Pin",
    "Lazy",
    "LazyLock",
    "OnceLock",
];

/// What holds text, and what it is called does not matter.
const TEXT: [&str; 8] = ["str", "String", "Cow", "Vec", "HashMap", "BTreeMap", "SqlStr", "AsRef"];

/// The name of a type, through references and what stands around it; `None` for text, generics and lists.
pub(super) fn name(of: &Type) -> Option<Box<str>> {
    match of {
        Type::Reference(reference) => name(&reference.elem),
        Type::Paren(paren) => name(&paren.elem),
        Type::Group(group) => name(&group.elem),
        Type::Path(path) => {
            let segment = path.path.segments.last()?;
            let ident = segment.ident.to_string();
            if AROUND.contains(&ident.as_str()) {
                let PathArguments::AngleBracketed(arguments) = &segment.arguments else { return None };
                return arguments.args.iter().find_map(|argument| match argument {
                    GenericArgument::Type(inner) => name(inner),
                    _ => None,
                });
            }
            let generic = ident.len() == 1;
            (!generic && !TEXT.contains(&ident.as_str())).then(|| ident.into())
        }
        Type::TraitObject(object) => object.bounds.iter().find_map(bound),
        Type::ImplTrait(implemented) => implemented.bounds.iter().find_map(bound),
        _ => None,
    }
}

fn bound(bound: &TypeParamBound) -> Option<Box<str>> {
    let TypeParamBound::Trait(bound) = bound else { return None };
    let ident = bound.path.segments.last()?.ident.to_string();
    let text = [
        "AsRef",
        "Into",
        "Iterator",
        "IntoIterator",
        "Display",
        "ToString",
        "Fn",
        "FnMut",
        "FnOnce",
        "Future",
    ];
    (!text.contains(&ident.as_str())).then(|| ident.into())
}

/// Whether a type says one of these names anywhere.
pub(super) fn says(of: &Type, wanted: &dyn Fn(&str) -> bool) -> bool {
    match of {
        Type::Reference(reference) => says(&reference.elem, wanted),
        Type::Paren(paren) => says(&paren.elem, wanted),
        Type::Group(group) => says(&group.elem, wanted),
        Type::Tuple(tuple) => tuple.elems.iter().any(|elem| says(elem, wanted)),
        Type::Path(path) => path.path.segments.iter().any(|segment| {
            wanted(&segment.ident.to_string())
                || matches!(&segment.arguments, PathArguments::AngleBracketed(arguments)
                    if arguments.args.iter().any(|argument|
                        matches!(argument, GenericArgument::Type(inner) if says(inner, wanted))))
        }),
        _ => false,
    }
}
