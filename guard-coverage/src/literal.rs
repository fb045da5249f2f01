//! From a byte of a literal's value to the byte of the source that it is written at.

/// The byte of the token where this byte of its value is written.
pub(crate) fn source_offset(token: &str, value_offset: usize) -> usize {
    let letters = token.chars().take_while(|letter| matches!(letter, 'b' | 'c' | 'r')).count();
    let hashes = token[letters..].chars().take_while(|letter| *letter == '#').count();
    let start = letters + hashes + 1;
    if token[..letters].contains('r') {
        return (start + value_offset).min(token.len());
    }
    let mut written = start;
    let mut value = 0;
    while value < value_offset && written < token.len() {
        let (source, valued) = step(&token[written..]);
        written += source;
        value += valued;
    }
    // a line that goes on writes nothing
    while token.get(written..).is_some_and(|rest| rest.starts_with("\\\n") || rest.starts_with("\\\r\n")) {
        written += step(&token[written..]).0;
    }
    written.min(token.len())
}

/// How many bytes of source the next character takes, and how many of the value.
fn step(rest: &str) -> (usize, usize) {
    let mut characters = rest.chars();
    let Some(first) = characters.next() else { return (1, 1) };
    if first != '\\' {
        return (first.len_utf8(), first.len_utf8());
    }
    match characters.next() {
        Some('\n' | '\r') => {
            let spaces = rest[1..].len() - rest[1..].trim_start().len();
            (1 + spaces, 0)
        }
        Some('x') => (4, 1),
        Some('u') => {
            let end = rest.find('}').map_or(rest.len(), |end| end + 1);
            let digits = rest.get(3..end.saturating_sub(1)).unwrap_or("").replace('_', "");
            let length =
                u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32).map_or(1, char::len_utf8);
            (end, length)
        }
        Some(escaped) => (1 + escaped.len_utf8(), 1),
        None => (1, 1),
    }
}

#[cfg(test)]
mod tests {
    use super::source_offset;

    #[test]
    fn escapes_and_long_lines_move_what_follows() {
        assert_eq!(source_offset("\"abc\"", 1), 2);
        assert_eq!(source_offset("r#\"abc\"#", 1), 4);
        assert_eq!(source_offset(r#""a\nb\u{e4}c""#, 3), 5);
        assert_eq!(source_offset("\"a; \\\n   DELETE\"", 3), 9);
        assert_eq!(&r#""\u{e4}DROP""#[source_offset(r#""\u{e4}DROP""#, 2)..][..4], "DROP");
    }
}
