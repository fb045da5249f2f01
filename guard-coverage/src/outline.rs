//! What a Rust file shows without a parser: its comments, and how deep a parser would have to go.

/// A comment that asks to allow something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AllowComment {
    /// From 1.
    pub(crate) line: usize,
    /// The line that it speaks for: its own, or the next one with code.
    pub(crate) target: usize,
    /// Empty if it gives none.
    pub(crate) reason: String,
}

/// What was seen in one pass.
#[derive(Debug, Default)]
pub(crate) struct Outline {
    pub(crate) comments: Vec<AllowComment>,
    /// An upper bound of how deep the syntax tree nests, roughly in calls of a recursive parser.
    pub(crate) depth: usize,
    /// The line where it is deepest.
    pub(crate) deepest: usize,
}

const MARK: &str = "fixture-guard:";

/// A bracket costs a recursive parser several calls, an operator one.
const BRACKET: usize = 10;

pub(crate) fn outline(text: &str) -> Outline {
    let bytes = text.as_bytes();
    let mut found = Outline::default();
    // operators since the last separator, for each open bracket
    let mut levels = vec![0_usize];
    let mut depth = 0_usize;
    let mut line = 1;
    let mut at = 0;
    while at < bytes.len() {
        let end = match bytes[at] {
            b'\n' => {
                line += 1;
                at + 1
            }
            b'/' if bytes.get(at + 1) == Some(&b'/') => {
                let end = text[at..].find('\n').map_or(text.len(), |end| at + end);
                comment(text, at, end, line, &mut found.comments);
                end
            }
            b'/' if bytes.get(at + 1) == Some(&b'*') => {
                let end = block_comment(bytes, at);
                comment(text, at, end, line, &mut found.comments);
                end
            }
            b'"' => string(bytes, at),
            b'r' | b'b' | b'c' if !is_name(bytes, at) => literal(bytes, at).unwrap_or(at + 1),
            b'\'' => character(text, at),
            b'(' | b'[' | b'{' => {
                levels.push(0);
                depth += BRACKET;
                at + 1
            }
            b')' | b']' | b'}' => {
                depth = depth.saturating_sub(levels.pop().unwrap_or(0) + BRACKET);
                if levels.is_empty() {
                    levels.push(0);
                }
                if bytes[at] == b'}' && !goes_on(&text[at + 1..]) {
                    depth = depth.saturating_sub(reset(&mut levels));
                }
                at + 1
            }
            b',' | b';' => {
                depth = depth.saturating_sub(reset(&mut levels));
                at + 1
            }
            b'.' | b'&' | b'!' | b'-' | b'*' | b'+' | b'|' | b'=' | b'<' | b'?' | b'/' | b'%' | b'^'
            | b'>' => {
                if let Some(last) = levels.last_mut() {
                    *last += 1;
                }
                depth += 1;
                at + 1
            }
            _ => at + 1,
        };
        if end > at + 1 {
            line += text[at..end].matches('\n').count();
        }
        if depth > found.depth {
            (found.depth, found.deepest) = (depth, line);
        }
        at = end;
    }
    found
}

fn reset(levels: &mut [usize]) -> usize {
    levels.last_mut().map_or(0, std::mem::take)
}

/// Whether an expression goes on behind a block: `else`, a method, an operator.
fn goes_on(rest: &str) -> bool {
    let rest = rest.trim_start();
    rest.starts_with("else") || rest.starts_with(['.', '?', '+', '|'])
}

/// Whether the letter belongs to a name that began before it.
fn is_name(bytes: &[u8], at: usize) -> bool {
    at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_')
}

/// The end of a string that begins with letters: `r"…"`, `br#"…"#`, `b'…'`, `c"…"`.
fn literal(bytes: &[u8], at: usize) -> Option<usize> {
    let mut quote = at;
    let mut raw = false;
    while matches!(bytes.get(quote), Some(b'r' | b'b' | b'c')) {
        raw |= bytes[quote] == b'r';
        quote += 1;
    }
    if !raw {
        return (bytes.get(quote) == Some(&b'"')).then(|| string(bytes, quote));
    }
    let hashes = bytes[quote..].iter().take_while(|byte| **byte == b'#').count();
    if bytes.get(quote + hashes) != Some(&b'"') {
        return None;
    }
    let body = quote + hashes + 1;
    let close: Vec<u8> = std::iter::once(b'"').chain(std::iter::repeat_n(b'#', hashes)).collect();
    let end = bytes[body..].windows(close.len()).position(|window| window == close);
    Some(end.map_or(bytes.len(), |end| body + end + close.len()))
}

fn string(bytes: &[u8], at: usize) -> usize {
    let mut end = at + 1;
    while end < bytes.len() {
        match bytes[end] {
            b'\\' => end += 2,
            b'"' => return end + 1,
            _ => end += 1,
        }
    }
    bytes.len()
}

/// A character, or the quote of a lifetime.
fn character(text: &str, at: usize) -> usize {
    let rest = &text[at + 1..];
    let mut characters = rest.char_indices();
    match characters.next() {
        Some((_, '\\')) => {
            let escaped = rest.get(2..).unwrap_or("");
            escaped.find('\'').map_or(text.len(), |end| at + 1 + 2 + end + 1)
        }
        Some(_) => match characters.next() {
            Some((end, '\'')) => at + 1 + end + 1,
            _ => at + 1,
        },
        None => text.len(),
    }
}

fn block_comment(bytes: &[u8], at: usize) -> usize {
    let mut depth = 0;
    let mut end = at;
    while end < bytes.len() {
        if bytes[end..].starts_with(b"/*") {
            depth += 1;
            end += 2;
        } else if bytes[end..].starts_with(b"*/") {
            depth -= 1;
            end += 2;
            if depth == 0 {
                return end;
            }
        } else {
            end += 1;
        }
    }
    bytes.len()
}

fn comment(text: &str, start: usize, end: usize, line: usize, comments: &mut Vec<AllowComment>) {
    let inner = text[start + 2..end].trim_end_matches("*/").trim();
    let Some(asked) = inner.strip_prefix(MARK) else { return };
    let Some(rest) = asked.trim_start().strip_prefix("allow") else { return };
    let reason = rest
        .trim()
        .strip_prefix('(')
        .map_or("", |rest| rest.rsplit_once(')').map_or("", |(reason, _)| reason));
    let before = text[..start].rsplit('\n').next().unwrap_or("");
    let behind = text[end..].lines().next().unwrap_or("");
    let target = if before.trim().is_empty() && behind.trim().is_empty() {
        let below = text[end..].lines().skip(1).enumerate();
        let code = below.skip_while(|(_, line)| line.trim().is_empty() || line.trim().starts_with("//"));
        let lines = text[start..end].matches('\n').count();
        code.map(|(at, _)| line + lines + 1 + at).next().unwrap_or(line)
    } else {
        line
    };
    comments.push(AllowComment { line, target, reason: reason.trim().to_owned() });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_comments_and_leaves_strings_alone() {
        let text = "let a = \"// fixture-guard: allow(no)\";\nlet b = r#\"\n// fixture-guard: allow(no)\"#;\n\
            // fixture-guard: allow(a (good) reason)\n\n// more\nf();\ng(); // fixture-guard: allow\nlet c: &'a str = '\"';\n\
            /* fixture-guard: allow(b) */ h();\n/// fixture-guard: allow(documentation)\n";
        let found = outline(text).comments;
        let comment = |line, target, reason: &str| AllowComment { line, target, reason: reason.into() };
        assert_eq!(found, [comment(4, 7, "a (good) reason"), comment(8, 8, ""), comment(10, 10, "b")]);
    }

    #[test]
    fn knows_how_deep_a_parser_would_go() {
        assert!(outline(&"(".repeat(1000)).depth >= 10_000);
        assert!(outline(&"!".repeat(1000)).depth >= 1000);
        assert!(
            outline(&"if a { b() } else ".repeat(1000)).depth < 100,
            "else is counted by its brackets only"
        );
        assert!(outline(&"fn a(b: &C) -> D { e.f().g(); }\n".repeat(10_000)).depth < 100);
    }
}
