//! SQL cut into tokens, without a grammar: for finding where statements begin, and for fragments that no parser takes.

use std::ops::Range;

/// Opens a hole: what is only known at run time. Private characters, so that no SQL has them; the name stands between.
pub(crate) const HOLE: char = '\u{E000}';
/// Closes a hole.
pub(crate) const HOLE_END: char = '\u{E001}';

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    /// A keyword, a name, a number, a parameter. Holes are parts of words.
    Word,
    /// A name in quotes.
    Quoted,
    /// A string in quotes.
    Text,
    /// A string between dollars.
    Body,
    /// Anything else, one character each.
    Symbol,
}

#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) sort: Sort,
    pub(super) span: Range<usize>,
    /// What is between the quotes.
    pub(super) inner: Range<usize>,
}

impl Token {
    pub(super) fn is(&self, text: &str, keyword: &str) -> bool {
        matches!(self.sort, Sort::Word | Sort::Symbol)
            && text[self.span.clone()].eq_ignore_ascii_case(keyword)
    }

    pub(super) fn is_one_of(&self, text: &str, keywords: &[&str]) -> bool {
        keywords.iter().any(|keyword| self.is(text, keyword))
    }

    pub(super) fn is_name(&self) -> bool {
        matches!(self.sort, Sort::Word | Sort::Quoted)
    }

    /// Only a hole, or several.
    pub(super) fn is_hole(&self, text: &str) -> bool {
        self.sort == Sort::Word
            && text[self.span.clone()].starts_with([HOLE, '{'])
            && text[self.span.clone()].ends_with([HOLE_END, '}'])
    }
}

/// All tokens; comments and spaces are left out. Never fails: an open quote ends with the text.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let Some(first) = rest.chars().next() else { break };
        let mut push = |sort, length: usize, quote: usize| {
            let end = (at + length).min(text.len());
            let inner = (at + quote).min(end)..end.saturating_sub(quote).max((at + quote).min(end));
            found.push(Token { sort, span: at..end, inner });
            end
        };
        at = if first.is_whitespace() {
            at + first.len_utf8()
        } else if rest.starts_with("--") {
            at + rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            at + comment(rest)
        } else if first == '\'' {
            // only E'…' has backslashes, and MySQL: there the quote that closes is followed by something that can be
            let escapes = at > 0 && bytes[at - 1].eq_ignore_ascii_case(&b'e');
            push(Sort::Text, quoted(rest, '\'', escapes), 1)
        } else if first == '"' || first == '`' {
            push(Sort::Quoted, quoted(rest, first, false), 1)
        } else if first == '$' && dollar(rest).is_some() {
            let tag = dollar(rest).unwrap_or_default();
            let length = rest[tag.len()..].find(tag).map_or(rest.len(), |end| end + 2 * tag.len());
            push(Sort::Body, length, tag.len())
        } else if let Some(length) = placeholder(rest) {
            push(Sort::Word, length, 0)
        } else if is_word(first) {
            push(Sort::Word, word(rest), 0)
        } else {
            push(Sort::Symbol, first.len_utf8(), 0)
        };
    }
    found
}

/// `{name}`, which somebody replaces before the text is sent.
fn placeholder(rest: &str) -> Option<usize> {
    let inner = rest.strip_prefix('{')?;
    let end = inner.find('}')?;
    let is_name = inner[..end].chars().all(|c| c.is_alphanumeric() || c == '_');
    is_name.then_some(end + 2)
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '_' | '$' | '@' | HOLE)
}

fn word(rest: &str) -> usize {
    let mut inside = false;
    rest.find(|character| {
        match character {
            HOLE => inside = true,
            HOLE_END => {
                inside = false;
                return false;
            }
            _ => {}
        }
        !inside && !is_word(character)
    })
    .unwrap_or(rest.len())
}

fn comment(rest: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    let bytes = rest.as_bytes();
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if bytes[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

fn quoted(rest: &str, quote: char, escapes: bool) -> usize {
    let mut characters = rest.char_indices().skip(1).peekable();
    while let Some((at, character)) = characters.next() {
        if escapes && character == '\\' {
            characters.next();
        } else if character == quote {
            if characters.peek().is_some_and(|(_, next)| *next == quote) {
                characters.next();
            } else {
                return at + 1;
            }
        }
    }
    rest.len()
}

/// `$$` or `$tag$` at the beginning.
fn dollar(rest: &str) -> Option<&str> {
    let end = rest[1..].find('$')? + 2;
    let tag = &rest[1..end - 1];
    let name = tag.chars().all(|c| c.is_alphanumeric() || c == '_')
        && !tag.starts_with(|c: char| c.is_ascii_digit());
    name.then_some(&rest[..end])
}
