//! The attribute's options: what each may hold, and what is said about one that holds something else.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, quote};
use syn::parse::{Parse, ParseStream, Parser};
use syn::{Lit, LitInt, LitStr, Path, Token, bracketed, parse_quote, token};

use crate::parse::Argument;
use crate::problem::{Problem, Problems};

/// In the order of the table in the attribute's documentation.
const NAMES: [&str; 10] = [
    "hosts",
    "databases",
    "environment",
    "tables",
    "max_rows",
    "reach",
    "statement_timeout",
    "lock_timeout",
    "on_success",
    "crate",
];

/// Names that people bring from elsewhere, and ours.
const OTHER_NAMES: [(&str, &str); 9] = [
    ("timeout", "statement_timeout"),
    ("allow", "hosts"),
    ("db", "databases"),
    ("env", "environment"),
    ("commit", "on_success"),
    ("rollback", "on_success"),
    ("dry_run", "on_success"),
    ("limit", "max_rows"),
    ("rows", "max_rows"),
];

/// Written by the attribute itself when it has let the other attributes go first.
pub(crate) const LAST: &str = "__last";

/// Options of which every value can be expanded.
pub(crate) struct Options {
    pub(crate) hosts: Vec<LitStr>,
    pub(crate) databases: Vec<LitStr>,
    pub(crate) environment: Option<LitStr>,
    pub(crate) tables: Vec<LitStr>,
    pub(crate) max_rows: Option<LitInt>,
    pub(crate) reach: Vec<LitStr>,
    pub(crate) statement_timeout: Option<Limit>,
    pub(crate) lock_timeout: Option<Limit>,
    pub(crate) on_success: Option<OnSuccess>,
    /// Where the library is: `::fixture_guard` unless `crate = …` says otherwise.
    pub(crate) library: Path,
    /// Whether the other attributes have had their turn.
    pub(crate) last: bool,
}

/// How long something may take, in milliseconds.
#[derive(Clone, Copy)]
pub(crate) struct Limit(u64);

impl ToTokens for Limit {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let milliseconds = self.0;
        tokens.extend(quote!(::core::time::Duration::from_millis(#milliseconds)));
    }
}

/// What happens to a transaction whose body succeeded.
#[derive(Clone, Copy)]
pub(crate) enum OnSuccess {
    Commit,
    Rollback,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            hosts: Vec::new(),
            databases: Vec::new(),
            environment: None,
            tables: Vec::new(),
            max_rows: None,
            reach: Vec::new(),
            statement_timeout: None,
            lock_timeout: None,
            on_success: None,
            library: parse_quote!(::fixture_guard),
            last: false,
        }
    }
}

impl Options {
    /// Takes the arguments one by one; what is wrong with one does not hide what is wrong with the next.
    pub(crate) fn read(arguments: &[Argument], problems: &mut Problems) -> Self {
        let mut options = Self::default();
        each(arguments, problems, |argument| options.take(argument));
        options
    }

    fn take(&mut self, argument: &Argument) -> Result<(), Vec<Problem>> {
        let Argument { name, value } = argument;
        match name.to_string().as_str() {
            "hosts" => self.hosts = hosts(argument)?,
            "databases" => self.databases = databases(argument)?,
            "environment" => self.environment = Some(environment(name, value)?),
            "tables" => self.tables = list(name, value, "categories", table)?,
            "max_rows" => self.max_rows = Some(count(name, value)?),
            "reach" => self.reach = list(name, value, "trigger:audit_log", reach)?,
            "statement_timeout" => self.statement_timeout = Some(limit(argument)?),
            "lock_timeout" => self.lock_timeout = Some(limit(argument)?),
            "on_success" => self.on_success = Some(on_success(name, value)?),
            "crate" => self.library = library(name, value)?,
            LAST => self.last = true,
            _ => return Err(vec![unknown(name, "#[destructive_fixture]", &NAMES)]),
        }
        Ok(())
    }
}

/// Hands over each argument but those that repeat an earlier one.
pub(crate) fn each(
    arguments: &[Argument],
    problems: &mut Problems,
    mut take: impl FnMut(&Argument) -> Result<(), Vec<Problem>>,
) {
    for (index, argument) in arguments.iter().enumerate() {
        let name = &argument.name;
        if arguments[..index].iter().any(|earlier| earlier.name == *name) {
            problems.push(Problem::new(
                name,
                format!("`{name}` is given twice"),
                format!("merge both into one `{name} = …`"),
            ));
        } else if let Err(errors) = take(argument) {
            problems.extend(errors);
        }
    }
}

/// What is said about an option that `attribute` does not have.
pub(crate) fn unknown(name: &Ident, attribute: &str, names: &[&'static str]) -> Problem {
    let list: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    let list = list.join(", ");
    let help = match meant(&name.to_string(), names) {
        Some(meant) => format!("did you mean `{meant}`? The options are {list}"),
        None => format!("the options are {list}"),
    };
    Problem::new(name, format!("`{name}` is not an option of `{attribute}`"), help)
}

pub(crate) fn hosts(Argument { name, value }: &Argument) -> Result<Vec<LitStr>, Vec<Problem>> {
    list(name, value, "*-staging*", host)
}

pub(crate) fn databases(Argument { name, value }: &Argument) -> Result<Vec<LitStr>, Vec<Problem>> {
    list(name, value, "storefront_test", pattern)
}

/// The one of `names` that someone who wrote `word` had in mind.
fn meant(word: &str, names: &[&'static str]) -> Option<&'static str> {
    let other = OTHER_NAMES.iter().find(|(theirs, ours)| *theirs == word && names.contains(ours));
    if let Some((_, ours)) = other {
        return Some(ours);
    }
    // A third of the letters may differ: `host`, `table`, `maxrows`, but not `users`.
    let near = |name: &&&str| distance(word, name) * 3 <= name.len();
    names.iter().filter(near).min_by_key(|name| distance(word, name)).copied()
}

/// How many letters must be typed, deleted or replaced to make one word of the other (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.chars().count()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, b) in other.chars().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[row.len() - 1]
}

type Check = fn(&LitStr) -> Result<(), Problem>;

/// Reads `["…", "…"]` and checks each value.
fn list(name: &Ident, value: &TokenStream, example: &str, check: Check) -> Result<Vec<LitStr>, Vec<Problem>> {
    let example = match syn::parse2::<LitStr>(value.clone()) {
        Ok(one) if no_dsn(name, &one).is_ok() => one.value(),
        _ => example.to_owned(),
    };
    let help = format!("write `{name} = [{example:?}]`");
    let wrong = |tokens: TokenStream| {
        vec![Problem::new(or_name(name, &tokens), format!("`{name}` takes a list of strings"), &help)]
    };

    let split = |input: ParseStream<'_>| {
        let content;
        let bracket = bracketed!(content in input);
        let values = content.parse_terminated(TokenStreamUntilComma::parse, Token![,])?;
        Ok((bracket, values))
    };
    let Ok((bracket, values)) = split.parse2(value.clone()) else { return Err(wrong(value.clone())) };
    if values.is_empty() {
        let message = format!("`{name}` is an empty list");
        return Err(vec![Problem::new(
            bracketed_tokens(bracket),
            message,
            format!("{help}, or leave it out"),
        )]);
    }

    let (mut valid, mut problems) = (Vec::<LitStr>::new(), Vec::new());
    for value in values {
        let Ok(string) = syn::parse2::<LitStr>(value.0.clone()) else {
            problems.append(&mut wrong(value.0));
            continue;
        };
        // Only a quoted identifier knows upper case from lower case.
        let same = |other: &LitStr| {
            let (one, other) = (string.value(), other.value());
            one == other || (!one.contains('"') && one.eq_ignore_ascii_case(&other))
        };
        if string.value().trim().is_empty() {
            problems.push(Problem::new(&string, format!("`{name}` holds an empty string"), &help));
        } else if let Err(problem) = no_dsn(name, &string).and_then(|()| check(&string)) {
            problems.push(problem);
        } else if valid.iter().any(same) {
            let message = format!("`{}` stands in `{name}` twice", string.value());
            problems.push(Problem::new(&string, message, "remove one of the two"));
        } else {
            valid.push(string);
        }
    }
    if problems.is_empty() { Ok(valid) } else { Err(problems) }
}

/// A value of a list, whatever it is: a wrong one is reported by its option and not by the parser.
struct TokenStreamUntilComma(TokenStream);

impl Parse for TokenStreamUntilComma {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut tokens = TokenStream::new();
        while !input.is_empty() && !input.peek(Token![,]) {
            tokens.extend([input.parse::<proc_macro2::TokenTree>()?]);
        }
        if tokens.is_empty() { Err(input.error("expected a string")) } else { Ok(Self(tokens)) }
    }
}

fn bracketed_tokens(bracket: token::Bracket) -> TokenStream {
    let mut tokens = TokenStream::new();
    bracket.surround(&mut tokens, |_| {});
    tokens
}

fn host(host: &LitStr) -> Result<(), Problem> {
    pattern(host)?;
    let text = host.value();
    if text.contains('@') {
        return Err(Problem::new(
            host,
            "`hosts` has a user in the place of a host",
            "write the host alone, such as \"*-staging*\" or \"db.staging.internal\"",
        ));
    }
    if text.contains(|letter: char| letter.is_whitespace() || letter.is_control()) {
        let message = format!("{text:?} holds a blank, so it can match no host");
        return Err(Problem::new(host, message, "write each host as a string of its own"));
    }
    Ok(())
}

/// A pattern that names nothing allows everything: `*`, `*.*`, `?*`, `*-*`.
fn pattern(pattern: &LitStr) -> Result<(), Problem> {
    let text = pattern.value();
    let names_something = text.contains(char::is_alphanumeric);
    if names_something || !text.contains(['*', '?', '[', '{']) {
        return Ok(());
    }
    let message = format!("`{text}` allows every target, production too");
    let help = "name what the disposable ones have in common, such as \"*-staging*\"";
    Err(Problem::new(pattern, message, help))
}

/// `categories`, `public.categories`, `"Weird Name"`, `sales."Weird Name"`.
fn table(table: &LitStr) -> Result<(), Problem> {
    let text = table.value();
    match identifiers(&text) {
        Some(1 | 2) => Ok(()),
        Some(_) => Err(Problem::new(
            table,
            format!("`{text}` has too many parts for a table"),
            "write `table` or `schema.table`; the database is the one that the fixture connects to",
        )),
        None if text.contains(['*', '?', '%']) => Err(Problem::new(
            table,
            format!("`{text}` is a pattern, and a fixture declares its tables one by one"),
            "list them: `tables = [\"categories\", \"cms_blocks\"]`",
        )),
        None => Err(Problem::new(
            table,
            format!("`{text}` is not the name of a table"),
            "write `table` or `schema.table`; a name with other letters than `a-z`, `0-9`, `_` and `$` stands in double quotes: \
             r#\"\"Weird Name\"\"#",
        )),
    }
}

/// How many identifiers, joined by dots, make up `text` (`PostgreSQL`'s manual, 4.1.1).
fn identifiers(text: &str) -> Option<usize> {
    let mut rest = text;
    let mut count = 0;
    loop {
        rest = match rest.strip_prefix('"') {
            Some(quoted) => after_quoted(quoted)?,
            None => after_plain(rest)?,
        };
        count += 1;
        if rest.is_empty() {
            return Some(count);
        }
        rest = rest.strip_prefix('.')?;
    }
}

fn after_plain(text: &str) -> Option<&str> {
    let first = text.chars().next()?;
    if !first.is_alphabetic() && first != '_' {
        return None;
    }
    Some(text.trim_start_matches(|letter: char| letter.is_alphanumeric() || letter == '_' || letter == '$'))
}

/// Up to the closing quote; two quotes in a row stand for one.
fn after_quoted(mut text: &str) -> Option<&str> {
    let mut empty = true;
    loop {
        let quote = text.find(['"', '\0'])?;
        empty &= quote == 0;
        text = text[quote..].strip_prefix('"')?;
        match text.strip_prefix('"') {
            Some(after) => (text, empty) = (after, false),
            None => return (!empty).then_some(text),
        }
    }
}

fn reach(reach: &LitStr) -> Result<(), Problem> {
    const KINDS: [&str; 9] =
        ["cascade", "extension", "foreign", "inherits", "publication", "rule", "setting", "trigger", "view"];
    let text = reach.value();
    let kinds = KINDS.map(|kind| format!("`{kind}`")).join(", ");
    let Some((kind, name)) = text.split_once(':') else {
        return Err(Problem::new(
            reach,
            format!("`{text}` has no kind, so it matches nothing"),
            format!("write its kind and its name, such as \"trigger:{text}\"; the kinds are {kinds}"),
        ));
    };
    if !KINDS.contains(&kind) {
        return Err(Problem::new(
            reach,
            format!("`{kind}` in `{text}` is not a kind, so the entry matches nothing"),
            format!("write one of {kinds} before the colon"),
        ));
    }
    if name.trim().is_empty() || name.trim() != name {
        return Err(Problem::new(
            reach,
            format!("`{text}` has no name, or a space at its beginning or end, so it matches nothing"),
            format!("write a name or a pattern right after the colon, such as \"{kind}:audit_*\""),
        ));
    }
    if kind != "setting" && name.contains(['.', '"']) {
        let last = name.rsplit('.').next().unwrap_or(name).replace('"', "");
        return Err(Problem::new(
            reach,
            format!("`{text}` has a schema or quotes, and findings are named without, so it matches nothing"),
            format!("write \"{kind}:{last}\"; for a dot or a quote inside of a name write `?`"),
        ));
    }
    Ok(())
}

/// A DSN that was pasted in the place of a name. The value is not repeated: it contains a password.
fn no_dsn(name: &Ident, text: &LitStr) -> Result<(), Problem> {
    let value = text.value().to_lowercase();
    let pair = value.split_once('@').is_some_and(|(user, _)| user.contains(':'));
    let key = value.replace([' ', '\t'], "");
    let assigned = ["password=", "passwd=", "pass=", "pwd="].iter().any(|key_| key.contains(key_));
    if !(pair || assigned || value.contains("://")) {
        return Ok(());
    }
    Err(Problem::new(
        text,
        format!("`{name}` contains a DSN or a password, which would be in the source"),
        "write the name alone, such as \"*-staging*\", \"db.staging.internal\" or \"storefront_test\"",
    ))
}

/// Reads a string; `help` says what to write instead of anything else.
fn string(name: &Ident, value: &TokenStream, help: &str) -> Result<LitStr, Vec<Problem>> {
    match syn::parse2::<LitStr>(value.clone()) {
        Ok(string) if string.value().trim().is_empty() => {
            Err(vec![Problem::new(string, format!("`{name}` is an empty string"), help)])
        }
        Ok(string) => Ok(string),
        Err(_) => Err(vec![Problem::new(or_name(name, value), format!("`{name}` takes a string"), help)]),
    }
}

fn or_name(name: &Ident, value: &TokenStream) -> TokenStream {
    if value.is_empty() { quote!(#name) } else { value.clone() }
}

/// A name as it can stand in a heading of the policy file.
pub(crate) fn environment(name: &Ident, value: &TokenStream) -> Result<LitStr, Vec<Problem>> {
    let string = string(name, value, "write `environment = \"staging\"`")?;
    no_dsn(name, &string).map_err(|problem| vec![problem])?;
    let text = string.value();
    if text.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-') {
        return Ok(string);
    }
    let message = format!("`{text}` is not the name of an environment");
    let help = "write the name as in `[environments.staging]`: letters, digits, `_` and `-`";
    Err(vec![Problem::new(string, message, help)])
}

fn count(name: &Ident, value: &TokenStream) -> Result<LitInt, Vec<Problem>> {
    let help = format!("write `{name} = 10_000`");
    let wrong = |message: String| vec![Problem::new(or_name(name, value), message, &help)];
    let Ok(Lit::Int(number)) = syn::parse2(value.clone()) else {
        return Err(wrong(format!("`{name}` takes a whole number")));
    };
    if !matches!(number.suffix(), "" | "u64") || number.base10_parse::<u64>().is_err() {
        return Err(wrong(format!("`{name}` takes a number from 0 to {}", u64::MAX)));
    }
    Ok(number)
}

/// A number and a unit: `"500ms"`, `"90s"`, `"2m"`, `"2min"`, `"1h"`.
pub(crate) fn limit(Argument { name, value }: &Argument) -> Result<Limit, Vec<Problem>> {
    let help = format!(
        "write a number and a unit, as in `{name} = \"90s\"`; the units are `ms`, `s`, `m`, `min` and `h`"
    );
    let string = string(name, value, &help)?;
    let message = format!("`{name}` is not a time from 1 ms to 24 hours");
    milliseconds(&string.value()).map(Limit).ok_or_else(|| vec![Problem::new(&string, message, help)])
}

/// As the policy file reads it.
fn milliseconds(text: &str) -> Option<u64> {
    const DAY: u64 = 24 * 60 * 60 * 1000;
    let (number, unit) = text.split_at(text.find(|letter: char| !letter.is_ascii_digit())?);
    let one = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    let limit = number.parse::<u64>().ok()?.checked_mul(one)?;
    (1..=DAY).contains(&limit).then_some(limit)
}

fn on_success(name: &Ident, value: &TokenStream) -> Result<OnSuccess, Vec<Problem>> {
    let help = "write `on_success = \"rollback\"` or `on_success = \"commit\"`, which is the default";
    let string = string(name, value, help)?;
    match string.value().as_str() {
        "commit" => Ok(OnSuccess::Commit),
        "rollback" => Ok(OnSuccess::Rollback),
        other => Err(vec![Problem::new(&string, format!("a transaction cannot end with `{other}`"), help)]),
    }
}

/// `crate = my::path` or `crate = "my::path"`.
pub(crate) fn library(name: &Ident, value: &TokenStream) -> Result<Path, Vec<Problem>> {
    let path = match syn::parse2::<LitStr>(value.clone()) {
        Ok(string) => string.parse_with(Path::parse_mod_style),
        Err(_) => Path::parse_mod_style.parse2(value.clone()),
    };
    path.map_err(|_| {
        let message = "`crate` takes the path of fixture-guard";
        vec![Problem::new(or_name(name, value), message, "write `crate = ::renamed_fixture_guard`")]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn literal(text: &str) -> LitStr {
        LitStr::new(text, proc_macro2::Span::call_site())
    }

    #[test]
    fn takes_what_postgresql_takes_for_a_table() {
        let names = [
            "categories",
            "_x",
            "a1$",
            "public.categories",
            "größe",
            r#""Weird Name""#,
            r#"s."a""b""#,
            r#""a.b".c"#,
            r#""""""#,
        ];
        for name in names {
            assert!(table(&literal(name)).is_ok(), "{name}");
        }
    }

    #[test]
    fn refuses_what_postgresql_would_not_take_for_a_table() {
        let names = [
            "1a", "a b", "a-b", "a.", ".a", "a..b", "a.b.c", "*", "public.*", r#""""#, r#""a"#, r#"a"b""#,
            "a;drop", "\"a\0b\"", "$a", "'a'",
        ];
        for name in names {
            assert!(table(&literal(name)).is_err(), "{name}");
        }
    }

    #[test]
    fn refuses_patterns_that_name_nothing() {
        for text in ["*", "**", "*.*", "?*", "*-*", "????", "[!.]*", "*:*"] {
            assert!(pattern(&literal(text)).is_err(), "{text}");
        }
        for text in ["*-staging*", "localhost", "127.0.0.1", "::1", "*.a", "db?"] {
            assert!(pattern(&literal(text)).is_ok(), "{text}");
        }
    }

    #[test]
    fn guesses_the_option_that_was_meant() {
        let guesses = [
            ("host", "hosts"),
            ("Hosts", "hosts"),
            ("database", "databases"),
            ("db", "databases"),
            ("env", "environment"),
            ("enviroment", "environment"),
            ("table", "tables"),
            ("maxrows", "max_rows"),
            ("max_row", "max_rows"),
            ("onsuccess", "on_success"),
        ];
        for (word, option) in guesses {
            assert_eq!(meant(word, &NAMES), Some(option), "{word}");
        }
        assert_eq!(meant("timeout", &NAMES), Some("statement_timeout"));
        for word in ["users", "port", "x"] {
            assert_eq!(meant(word, &NAMES), None, "{word}");
        }
    }
}
