//! Passwords in connection strings are covered, wherever text of the workspace is shown.

/// The text with as many stars as the password has bytes, so that every place in it stays what it is.
pub(crate) fn redacted(text: &str) -> String {
    let mut covered = text.to_owned();
    let mut cover = |range: std::ops::Range<usize>| {
        if range.start < range.end && text.is_char_boundary(range.start) && text.is_char_boundary(range.end) {
            let stars = "*".repeat(range.len());
            covered.replace_range(range, &stars);
        }
    };
    // scheme://user:password@host
    for (at, _) in text.match_indices("://") {
        let start = at + 3;
        let rest = &text[start..];
        let end =
            rest.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`')).unwrap_or(rest.len());
        let Some(host) = rest[..end].rfind('@') else { continue };
        let Some(colon) = rest[..host].find(':') else { continue };
        cover(start + colon + 1..start + host);
    }
    // password=…, PASSWORD '…', IDENTIFIED BY '…'
    let lower = text.to_ascii_lowercase();
    for key in ["password", "passwd", "pwd", "identified by"] {
        for (at, _) in lower.match_indices(key) {
            let after = at + key.len();
            let rest = &text[after..];
            let value = rest.trim_start_matches([' ', '=', ':']);
            let start = after + (rest.len() - value.len());
            let quote = value.chars().next().filter(|c| matches!(c, '\'' | '"'));
            let assigned = rest[..rest.len() - value.len()].contains('=');
            match quote {
                Some(quote) if lower[..at].ends_with([' ', '?', '&', '\'', ';', '(']) => {
                    let end = value[1..].find(quote).unwrap_or(value.len() - 1);
                    cover(start + 1..start + 1 + end);
                }
                None if assigned => {
                    let ends =
                        |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '&' | ';' | ')' | '\\');
                    let end = value.find(ends).unwrap_or(value.len());
                    cover(start..start + end);
                }
                _ => {}
            }
        }
    }
    covered
}

#[cfg(test)]
mod tests {
    use super::redacted;

    #[test]
    fn covers_passwords_and_moves_nothing() {
        let all = [
            ("\"postgres://app:s3cret@db/shop\"", "\"postgres://app:******@db/shop\""),
            ("postgres://app:p@ss:w@db:5432/x", "postgres://app:******@db:5432/x"),
            ("host=db password=s3cret user=x", "host=db password=****** user=x"),
            ("postgres://db/x?password=abc&a=b", "postgres://db/x?password=***&a=b"),
            ("ALTER USER x PASSWORD 'abc'", "ALTER USER x PASSWORD '***'"),
            ("DELETE FROM passwords WHERE id = 1", "DELETE FROM passwords WHERE id = 1"),
            ("postgres://db/shop", "postgres://db/shop"),
        ];
        for (text, covered) in all {
            assert_eq!(redacted(text), covered);
            assert_eq!(redacted(text).len(), text.len());
        }
    }
}
