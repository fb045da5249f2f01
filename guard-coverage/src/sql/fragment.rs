//! Statements that no parser takes: cut off, with holes where the grammar wants something else, or of a dialect that it
//! does not know. A few tokens at the beginning say what such a statement does.

use super::tokens::{Sort, Token};
use super::{Destruction, Source, name_at};
use crate::Kind;

/// What can stand after `DROP`.
const OBJECTS: [&str; 40] = [
    "ACCESS",
    "AGGREGATE",
    "CAST",
    "COLLATION",
    "COLLECTION",
    "CONVERSION",
    "DATABASE",
    "DICTIONARY",
    "DOMAIN",
    "EVENT",
    "EXTENSION",
    "FOREIGN",
    "FUNCTION",
    "GROUP",
    "INDEX",
    "KEYSPACE",
    "LANGUAGE",
    "MACRO",
    "MATERIALIZED",
    "OPERATOR",
    "OWNED",
    "POLICY",
    "PROCEDURE",
    "PUBLICATION",
    "ROLE",
    "ROUTINE",
    "RULE",
    "SCHEMA",
    "SEQUENCE",
    "SERVER",
    "STATISTICS",
    "SUBSCRIPTION",
    "SYNONYM",
    "TABLE",
    "TABLESPACE",
    "TEXT",
    "TRIGGER",
    "TYPE",
    "USER",
    "VIEW",
];

pub(super) fn judge(source: &Source<'_>) -> Vec<Destruction> {
    let statement = Statement { source, tokens: source.statement };
    let mut found = Vec::new();
    statement.judge(&mut found);
    found
}

/// Some of a statement's tokens, from where a verb may stand.
#[derive(Clone, Copy)]
struct Statement<'s> {
    source: &'s Source<'s>,
    tokens: &'s [Token],
}

impl Statement<'_> {
    fn judge(self, found: &mut Vec<Destruction>) {
        let Some(first) = self.tokens.first() else { return };
        let text = self.source.text;
        let is = |keyword| first.is(text, keyword);
        if first.is_hole(text) || is("(") {
            self.from(1).judge(found);
        } else if is("TRUNCATE") {
            self.truncate(found);
        } else if is("DELETE") {
            self.delete(found);
        } else if is("DROP") {
            self.drop(found);
        } else if is("UPDATE") {
            self.update(found);
        } else if is("ALTER") {
            self.alter(found);
        } else if is("MERGE") {
            self.merge(found);
        } else if is("WITH") {
            self.with(found);
        } else if is("EXPLAIN") {
            if let Some(at) = self.position(&["ANALYZE", "ANALYSE"]) {
                self.from(at + 1).verb(found);
            }
        } else if is("PREPARE") {
            if let Some(at) = self.position(&["AS"]) {
                self.from(at + 1).judge(found);
            }
        } else if is("FOR") {
            // of a procedure: FOR r IN DELETE FROM … RETURNING … LOOP
            if let Some(at) = self.position(&["IN"]) {
                self.from(at + 1).judge(found);
            }
        }
    }

    fn from(self, at: usize) -> Self {
        Self { tokens: self.tokens.get(at..).unwrap_or_default(), ..self }
    }

    fn is(self, at: usize, keyword: &str) -> bool {
        self.tokens.get(at).is_some_and(|token| token.is(self.source.text, keyword))
    }

    fn position(self, keywords: &[&str]) -> Option<usize> {
        self.tokens.iter().position(|token| token.is_one_of(self.source.text, keywords))
    }

    /// Past words that may stand before a name.
    fn past(self, mut at: usize, words: &[&str]) -> usize {
        while self.tokens.get(at).is_some_and(|token| token.is_one_of(self.source.text, words)) {
            at += 1;
        }
        at
    }

    /// Names with commas between them.
    fn names(self, mut at: usize) -> Vec<String> {
        let mut names = Vec::new();
        while let Some((name, length)) = name_at(self.source.text, self.tokens.get(at..).unwrap_or_default())
        {
            names.push(name);
            at += length;
            if !self.is(at, ",") {
                break;
            }
            at = self.past(at + 1, &["ONLY"]);
        }
        names
    }

    /// Whether the text ends here with a blank: whoever goes on writing it puts a name there.
    fn is_open(self, at: usize) -> bool {
        at == self.tokens.len()
            && self.tokens.last().is_some_and(|last| {
                self.source.text[last.span.end..self.source.end].starts_with([' ', '\n', '\t'])
            })
    }

    fn push(self, found: &mut Vec<Destruction>, kind: Kind, tables: Vec<String>) {
        found.push(self.source.destruction(kind, tables, self.tokens[0].span.start));
    }

    fn truncate(self, found: &mut Vec<Destruction>) {
        let at = self.past(1, &["TABLE", "ONLY", "IF", "EXISTS"]);
        let names = self.names(at);
        if !names.is_empty() || self.is_open(at) {
            self.push(found, Kind::Truncate, names);
        }
    }

    fn delete(self, found: &mut Vec<Destruction>) {
        let at = self.past(1, &["LOW_PRIORITY", "QUICK", "IGNORE"]);
        if let Some(from) = self.position(&["FROM"]).filter(|from| *from <= at + 8) {
            let at = self.past(from + 1, &["ONLY"]);
            let names = self.names(at).into_iter().take(1).collect::<Vec<_>>();
            if !names.is_empty() || self.is_open(at) || self.is(at, "(") {
                self.push(found, Kind::Delete, names);
            }
        } else if self.is_open(at) || self.tokens.get(at).is_some_and(|next| next.is_hole(self.source.text)) {
            self.push(found, Kind::Delete, self.names(at));
        }
    }

    fn drop(self, found: &mut Vec<Destruction>) {
        let text = self.source.text;
        let Some(next) = self.tokens.get(1) else {
            if self.is_open(1) {
                self.push(found, Kind::Drop, Vec::new());
            }
            return;
        };
        if !next.is_hole(text) && !next.is_one_of(text, &OBJECTS) {
            return;
        }
        let words =
            ["MATERIALIZED", "FOREIGN", "VIEW", "TABLE", "IF", "EXISTS", "CONCURRENTLY", "OWNED", "BY"];
        let at = self.past(2, &words);
        let names = self.names(at);
        if !names.is_empty() || self.is_open(at) || next.is_hole(text) {
            self.push(found, Kind::Drop, names);
        }
    }

    fn update(self, found: &mut Vec<Destruction>) {
        let Some(set) = self.position(&["SET"]) else { return };
        let text = self.source.text;
        // an UPDATE in brackets ends with them
        let mut depth = 0_i32;
        let mut end = self.tokens.len();
        for (at, token) in self.tokens.iter().enumerate() {
            if token.is(text, "(") {
                depth += 1;
            } else if token.is(text, ")") {
                depth -= 1;
                if depth < 0 {
                    end = at;
                    break;
                }
            } else if depth == 0 && token.is(text, "WHERE") {
                return;
            }
        }
        // A hole after a value may be the WHERE; one after a comma, an operator or SET is not.
        let clause = |at: usize| {
            let (before, hole) = (&self.tokens[at - 1], &self.tokens[at]);
            hole.is_hole(text)
                && (before.sort != Sort::Symbol || before.is(text, ")") || before.is(text, "?"))
                && !before.is_one_of(
                    text,
                    &["SET", "AND", "OR", "THEN", "ELSE", "WHEN", "FROM", "IN", "NOT", "LIMIT"],
                )
        };
        if set == 1 || (set + 2..end).any(clause) {
            return;
        }
        let at = self.past(1, &["ONLY", "LOW_PRIORITY", "IGNORE"]);
        let names = self.names(at).into_iter().take(1).collect();
        self.push(found, Kind::Update, names);
    }

    fn alter(self, found: &mut Vec<Destruction>) {
        let text = self.source.text;
        let harmless = ["NOT", "DEFAULT", "EXPRESSION", "IDENTITY"];
        let drops = self.tokens.windows(2).any(|pair| {
            pair[0].is_one_of(text, &["DROP", "TRUNCATE"])
                && pair[1].is_name()
                && !pair[1].is_one_of(text, &harmless)
        });
        let at = self.past(2, &["IF", "EXISTS", "ONLY", "TABLE"]);
        let names: Vec<_> = self.names(at).into_iter().take(1).collect();
        if drops {
            self.push(found, Kind::Alter, names);
        } else if let Some(delete) = self.position(&["DELETE"]).filter(|delete| self.is(delete + 1, "WHERE"))
        {
            // ClickHouse: ALTER TABLE t DELETE WHERE …
            self.from(delete).push(found, Kind::Delete, names);
        }
    }

    fn merge(self, found: &mut Vec<Destruction>) {
        let pairs = self.tokens.windows(2);
        let deletes = pairs
            .into_iter()
            .any(|pair| pair[0].is(self.source.text, "THEN") && pair[1].is(self.source.text, "DELETE"));
        if deletes {
            let at = self.past(1, &["INTO", "ONLY"]);
            self.push(found, Kind::Merge, self.names(at).into_iter().take(1).collect());
        }
    }

    /// The parts in brackets, and what follows them.
    fn with(self, found: &mut Vec<Destruction>) {
        let text = self.source.text;
        for at in 1..self.tokens.len() {
            let before = &self.tokens[at - 1];
            if before.is(text, "(") || before.is(text, ")") {
                self.from(at).verb(found);
            }
        }
    }

    /// Only the verbs themselves, so that nothing is found twice.
    fn verb(self, found: &mut Vec<Destruction>) {
        let text = self.source.text;
        let at = self.past(0, &[")", "VERBOSE", "("]);
        if self
            .tokens
            .get(at)
            .is_some_and(|token| token.is_one_of(text, &["DELETE", "UPDATE", "MERGE", "WITH"]))
        {
            self.from(at).judge(found);
        }
    }
}
