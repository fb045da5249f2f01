//! What a text of SQL destroys.

mod fragment;
mod parsed;
mod tokens;

use std::ops::Range;

use crate::Kind;
pub(crate) use tokens::{HOLE, HOLE_END};
use tokens::{Sort, Token, tokens};

/// One destructive statement of a text.
#[derive(Clone, Debug)]
pub(crate) struct Destruction {
    pub(crate) kind: Kind,
    pub(crate) tables: Vec<String>,
    /// In one line, for people.
    pub(crate) statement: String,
    /// The word that destroys, in bytes of the text.
    pub(crate) keyword: usize,
}

/// Words without which nothing is destroyed. A text without them is not looked at any further.
const WORDS: [&str; 6] = ["truncate", "delete", "drop", "update", "merge", "temp"];

/// How deep bodies may stand in bodies; real ones are two deep.
const DEPTH: usize = 4;

/// Whether the text could destroy anything, or make a temporary table. Cheap, and never wrong about a "no".
pub(crate) fn may_matter(text: &str) -> bool {
    let bytes = text.as_bytes();
    (0..bytes.len()).any(|at| {
        matches!(bytes[at] | 0x20, b't' | b'd' | b'u' | b'm')
            && WORDS.iter().any(|word| {
                bytes
                    .get(at..at + word.len())
                    .is_some_and(|found| found.eq_ignore_ascii_case(word.as_bytes()))
            })
    })
}

/// Every destructive statement of the text, in its order.
pub(crate) fn destructions(text: &str) -> Vec<Destruction> {
    let mut found = Vec::new();
    if may_matter(text) {
        judge(text, 0..text.len(), DEPTH, &mut found);
        found.sort_by_key(|destruction| destruction.keyword);
        found.dedup_by_key(|destruction| destruction.keyword);
    }
    found
}

/// The names of the temporary tables that the text makes, as [`plain`] writes them.
pub(crate) fn temporary(text: &str) -> Vec<String> {
    if !may_matter(text) {
        return Vec::new();
    }
    let all = tokens(text);
    let mut names = Vec::new();
    for (at, token) in all.iter().enumerate() {
        if !token.is_one_of(text, &["TEMP", "TEMPORARY"]) {
            continue;
        }
        let before = &all[..at];
        let made = before
            .last()
            .is_some_and(|last| last.is_one_of(text, &["CREATE", "LOCAL", "GLOBAL", "REPLACE", "INTO"]));
        if !made {
            continue;
        }
        let words = ["TABLE", "VIEW", "SEQUENCE", "UNLOGGED", "RECURSIVE", "IF", "NOT", "EXISTS"];
        let rest = all[at + 1..].iter().skip_while(|token| token.is_one_of(text, &words));
        let name: Vec<_> = rest.cloned().collect();
        if let Some((name, _)) = name_at(text, &name) {
            names.push(plain(&name));
        }
    }
    names
}

/// A table's name for comparing: without schema, quotes and case.
pub(crate) fn plain(name: &str) -> String {
    name.rsplit('.').next().unwrap_or(name).trim_matches(['"', '`']).to_lowercase()
}

/// Judges each statement in a part of the text.
fn judge(text: &str, part: Range<usize>, depth: usize, found: &mut Vec<Destruction>) {
    if depth == 0 {
        return;
    }
    let base = part.start;
    let text_of_part = &text[part];
    let all = tokens(text_of_part);
    for statement in statements(text_of_part, &all) {
        let Some(first) = statement.first() else { continue };
        let span = first.span.start..statement[statement.len() - 1].span.end;
        // what stands between the last token and the end, so that a trailing blank is seen
        let end = if span.end == all[all.len() - 1].span.end { text_of_part.len() } else { span.end };
        let source = Source { text: text_of_part, statement, end };
        let mut here = source.judge();
        for destruction in &mut here {
            destruction.keyword += base;
        }
        found.append(&mut here);
        for body in source.bodies() {
            judge(text, base + body.start..base + body.end, depth - 1, found);
        }
        if let Some((at, built)) = source.built() {
            let mut inner = Vec::new();
            judge(&built, 0..built.len(), depth - 1, &mut inner);
            found.extend(
                inner.into_iter().map(|destruction| Destruction { keyword: base + at, ..destruction }),
            );
        }
    }
}

/// Splits at semicolons, and where a block of a procedure begins a statement.
fn statements<'t>(text: &str, all: &'t [Token]) -> Vec<&'t [Token]> {
    let mut found = Vec::new();
    let mut start = 0;
    let mut depth = 0_usize;
    for (at, token) in all.iter().enumerate() {
        if token.sort == Sort::Symbol {
            match &text[token.span.clone()] {
                "(" => depth += 1,
                ")" => depth = depth.saturating_sub(1),
                ";" => {
                    found.push(&all[start..at]);
                    (start, depth) = (at + 1, 0);
                }
                _ => {}
            }
            continue;
        }
        // In a procedure's body: `IF … THEN DELETE …`, `LOOP EXECUTE …`, `BEGIN TRUNCATE …`. Elsewhere these words come
        // before no statement, but for MERGE's THEN, which stays with its statement.
        let opens = token.is_one_of(text, &["BEGIN", "LOOP", "ELSE", "ATOMIC", "QUERY"])
            || (token.is(text, "THEN") && !all[start].is_one_of(text, &["MERGE", "WITH"]));
        let next = all.get(at + 1);
        let begins = [
            "TRUNCATE", "DELETE", "DROP", "UPDATE", "MERGE", "ALTER", "EXECUTE", "WITH", "BEGIN", "FOR", "IF",
        ];
        if depth == 0 && opens && next.is_some_and(|next| next.is_one_of(text, &begins)) {
            found.push(&all[start..=at]);
            start = at + 1;
        }
    }
    found.push(&all[start..]);
    found
}

/// One statement among its text.
struct Source<'t> {
    text: &'t str,
    statement: &'t [Token],
    /// Where the statement ends, with the blanks behind it if it is the last.
    end: usize,
}

impl Source<'_> {
    fn judge(&self) -> Vec<Destruction> {
        let words = ["TRUNCATE", "DELETE", "DROP", "UPDATE", "MERGE"];
        if !self.statement.iter().any(|token| token.is_one_of(self.text, &words)) {
            return Vec::new();
        }
        parsed::judge(self).unwrap_or_else(|| fragment::judge(self))
    }

    fn word(&self, at: usize, keyword: &str) -> bool {
        self.statement.get(at).is_some_and(|token| token.is(self.text, keyword))
    }

    fn start(&self) -> usize {
        self.statement[0].span.start
    }

    fn raw(&self) -> &str {
        &self.text[self.start()..self.statement[self.statement.len() - 1].span.end]
    }

    fn destruction(&self, kind: Kind, tables: Vec<String>, keyword: usize) -> Destruction {
        Destruction { kind, tables, statement: shown(self.raw()), keyword }
    }

    /// Bodies that are SQL themselves: of `DO`, of functions and procedures, of `PREPARE … FROM`, and of commands that a
    /// function sends elsewhere.
    fn bodies(&self) -> Vec<Range<usize>> {
        let first = |keywords: &[&str]| self.statement[0].is_one_of(self.text, keywords);
        let has = |word: &str| self.statement.iter().any(|token| token.is(self.text, word));
        let strings = |sorts: &[Sort]| {
            let found = self.statement.iter().filter(|token| sorts.contains(&token.sort));
            found.map(|token| token.inner.clone()).collect()
        };
        if first(&["DO"]) || (first(&["CREATE"]) && (has("FUNCTION") || has("PROCEDURE"))) {
            return strings(&[Sort::Body, Sort::Text]);
        }
        if first(&["PREPARE"]) && has("FROM") {
            return strings(&[Sort::Text]);
        }
        if has("dblink_exec") || has("dblink") || has("sp_executesql") {
            return strings(&[Sort::Text, Sort::Body]);
        }
        Vec::new()
    }

    /// Texts that are built in SQL and then run: `EXECUTE 'TRUNCATE ' || name`, `EXECUTE format('DROP TABLE %I', name)`.
    fn built(&self) -> Option<(usize, String)> {
        let starts = ["EXECUTE", "EXEC"];
        let at = self.statement.iter().position(|token| token.is_one_of(self.text, &starts))?;
        // `EXECUTE FUNCTION f()` belongs to a trigger, `EXECUTE name(…)` to a prepared statement
        if self.statement[0].is_one_of(self.text, &["CREATE", "GRANT", "REVOKE"]) {
            return None;
        }
        built_text(self.text, &self.statement[at + 1..]).map(|text| (self.statement[at].span.start, text))
    }
}

/// The strings of an expression in their order, with a hole for everything between them.
fn built_text(text: &str, expression: &[Token]) -> Option<String> {
    let mut built = String::new();
    let mut strings = 0;
    let formats = expression.first().is_some_and(|first| first.is(text, "format"));
    for (at, token) in expression.iter().enumerate() {
        // what `format` is given stands in the text's own holes
        if token.is_one_of(text, &["USING", "INTO"]) || (formats && strings == 1) {
            break;
        }
        let after_dot = at > 0 && expression[at - 1].is(text, ".");
        if after_dot && token.is_name() && built.ends_with(HOLE_END) {
            built.pop();
            built.push('.');
            built.push_str(text[token.span.clone()].trim_matches([HOLE, HOLE_END]));
            built.push(HOLE_END);
            continue;
        }
        if matches!(token.sort, Sort::Text | Sort::Body) {
            let inner = &text[token.inner.clone()];
            built.push_str(&with_format_holes(inner).replace("''", "'"));
            strings += 1;
        } else if token.is_name()
            && !token.is_one_of(text, &["format", "concat", "quote_ident", "IMMEDIATE", "E"])
        {
            built.push(HOLE);
            built.push_str(text[token.span.clone()].trim_matches([HOLE, HOLE_END]));
            built.push(HOLE_END);
        }
    }
    (strings > 0).then_some(built)
}

/// `%I`, `%s` and `%L` of SQL's `format` are holes.
fn with_format_holes(inner: &str) -> String {
    let hole = |name: &str| format!("{HOLE}{name}{HOLE_END}");
    inner.replace("%I", &hole("I")).replace("%s", &hole("s")).replace("%L", &hole("L"))
}

/// The statements that a query's rows are: `SELECT 'TRUNCATE ' || name FROM pg_tables`.
pub(crate) fn rows_as_text(text: &str) -> Option<String> {
    let all = tokens(text);
    let list = all.iter().take_while(|token| !token.is(text, "FROM")).cloned().collect::<Vec<_>>();
    list.first().filter(|first| first.is(text, "SELECT"))?;
    let names = ["string_agg", "format", "concat", "coalesce", "group_concat", "concat_ws"];
    let kept: Vec<_> = list[1..].iter().filter(|token| !token.is_one_of(text, &names)).cloned().collect();
    built_text(text, &kept)
}

/// A name with its schema at the beginning of the tokens, and how many tokens it takes.
fn name_at(text: &str, rest: &[Token]) -> Option<(String, usize)> {
    let mut name = text[rest.first().filter(|token| token.is_name())?.span.clone()].to_owned();
    let mut length = 1;
    while let [dot, next, ..] = &rest[length..] {
        // no blank between the parts
        if !dot.is(text, ".") || !next.is_name() {
            break;
        }
        name.push('.');
        name.push_str(&text[next.span.clone()]);
        length += 2;
    }
    Some((with_braces(&name), length))
}

/// Holes as `{name}`.
fn with_braces(text: &str) -> String {
    text.replace(HOLE, "{").replace(HOLE_END, "}")
}

/// The statement in one line of at most this many characters.
const SHOWN: usize = 160;

fn shown(statement: &str) -> String {
    let line = with_braces(&statement.split_whitespace().collect::<Vec<_>>().join(" "));
    if line.chars().count() <= SHOWN {
        return line;
    }
    line.chars().take(SHOWN - 1).chain(['…']).collect()
}
