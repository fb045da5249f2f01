//! The other attributes of the item: which stay, which must have their turn first, which cannot stand here.

use syn::punctuated::Punctuated;
use syn::{Attribute, Meta, Path, Token};

/// Built-in attributes and tools: they mean on the expanded function what they meant on the original.
const INERT: [&str; 26] = [
    "allow",
    "cfg",
    "cold",
    "coverage",
    "deny",
    "deprecated",
    "doc",
    "expect",
    "export_name",
    "forbid",
    "ignore",
    "inline",
    "instruction_set",
    "link_section",
    "must_use",
    "no_mangle",
    "optimize",
    "should_panic",
    "target_feature",
    "track_caller",
    "unsafe",
    "warn",
    "clippy",
    "diagnostic",
    "rustfmt",
    "rust_analyzer",
];

/// What turns a function into a test, by its last segment: `#[tokio::test]`, `#[sqlx::test]`, `#[rstest]`, …
const TESTS: [&str; 13] = [
    "test",
    "rstest",
    "case",
    "test_case",
    "test_matrix",
    "test_context",
    "test_log",
    "gtest",
    "bench",
    "quickcheck",
    "proptest",
    "theory",
    "guarded_test",
];

/// What an attribute of someone else means to a fixture.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Stays on the function.
    Inert,
    /// Makes the function a test.
    Test,
    /// rstest's `#[fixture]`, which fills in the arguments itself.
    Fixture,
    /// Our own, a second time.
    Ours,
    /// A macro such as `#[tracing::instrument]`. It must see the function that the user wrote: on the expanded
    /// one it could record a DSN, because there the connection is whatever the caller passes.
    Macro,
}

/// The role of an attribute; of a `cfg_attr`, the weightiest role among those that it may switch on.
pub(crate) fn role(attribute: &Attribute) -> Role {
    role_of(&attribute.meta)
}

fn role_of(meta: &Meta) -> Role {
    let path = meta.path();
    let (Some(first), Some(last)) = (path.segments.first(), path.segments.last()) else { return Role::Macro };
    if first.ident == "cfg_attr" {
        return switched_on(meta).iter().map(role_of).max_by_key(|role| role.weight()).unwrap_or(Role::Macro);
    }
    if INERT.iter().any(|name| first.ident == name) {
        return Role::Inert;
    }
    if first.ident == "case" || TESTS.iter().any(|name| last.ident == name) {
        return Role::Test;
    }
    match last.ident.to_string().as_str() {
        "fixture" => Role::Fixture,
        "destructive_fixture" => Role::Ours,
        _ => Role::Macro,
    }
}

impl Role {
    fn weight(self) -> u8 {
        match self {
            Self::Inert => 0,
            Self::Macro => 1,
            Self::Ours | Self::Fixture | Self::Test => 2,
        }
    }
}

/// The attributes in `#[cfg_attr(condition, attribute, …)]`.
fn switched_on(meta: &Meta) -> Vec<Meta> {
    let Meta::List(list) = meta else { return Vec::new() };
    let metas = list.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated);
    metas.map(|metas| metas.into_iter().skip(1).collect()).unwrap_or_default()
}

/// Whether an attribute of a parameter decides that there is one, and so decides the same of its variable.
pub(crate) fn is_condition(attribute: &Attribute) -> bool {
    ["cfg", "cfg_attr"].iter().any(|name| attribute.path().is_ident(name))
}

/// Whether an attribute of a parameter is about its variable.
pub(crate) fn is_lint_level(attribute: &Attribute) -> bool {
    ["allow", "expect", "warn", "deny", "forbid"].iter().any(|name| attribute.path().is_ident(name))
}

/// The path of an attribute as its user wrote it: `tokio::test`. Frameworks write the built-in one in full.
pub(crate) fn name(attribute: &Attribute) -> String {
    let path: &Path = attribute.path();
    let segments: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
    match segments.join("::").as_str() {
        "core::prelude::v1::test" | "std::prelude::v1::test" => "test".to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use syn::parse_quote;

    #[test]
    fn tells_what_stays_from_what_goes_first() {
        let roles: [(Attribute, Role); 12] = [
            (parse_quote!(#[doc = "x"]), Role::Inert),
            (parse_quote!(#[clippy::cognitive_complexity = "3"]), Role::Inert),
            (parse_quote!(#[cfg_attr(feature = "x", inline, must_use = "why")]), Role::Inert),
            (parse_quote!(#[cfg_attr(feature = "x", tracing::instrument(skip(conn)))]), Role::Macro),
            (parse_quote!(#[cfg_attr(feature = "x", inline, tokio::test)]), Role::Test),
            (parse_quote!(#[tracing::instrument]), Role::Macro),
            (parse_quote!(#[test]), Role::Test),
            (parse_quote!(#[tokio::test(flavor = "multi_thread")]), Role::Test),
            (parse_quote!(#[::core::prelude::v1::test]), Role::Test),
            (parse_quote!(#[case::named(1)]), Role::Test),
            (parse_quote!(#[rstest::fixture]), Role::Fixture),
            (parse_quote!(#[fixture_guard::destructive_fixture]), Role::Ours),
        ];
        for (attribute, expected) in roles {
            assert!(role(&attribute) == expected, "{}", name(&attribute));
        }
    }
}
