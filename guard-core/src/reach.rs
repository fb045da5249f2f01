//! Entries of `reach`: what they may say, and what they match.

use wildmatch::WildMatch;

/// Every kind that a finding can have.
pub(crate) const KINDS: [&str; 9] =
    ["cascade", "extension", "foreign", "inherits", "publication", "rule", "setting", "trigger", "view"];

/// Why an entry can match nothing, and how to write it.
pub(crate) fn check(entry: &str) -> Result<(), (String, String)> {
    let known = || KINDS.map(|kind| format!("`{kind}`")).join(", ");
    let Some((kind, name)) = entry.split_once(':') else {
        return Err((
            format!("`{entry}` has no kind, so it matches nothing"),
            format!("write `trigger:{entry}`; the kinds are {}", known()),
        ));
    };
    if !KINDS.contains(&kind) {
        return Err((
            format!("`{kind}` in `{entry}` is not a kind, so the entry matches nothing"),
            format!("write one of {} before the colon", known()),
        ));
    }
    if name.trim().is_empty() {
        return Err((
            format!("`{entry}` names nothing"),
            format!("write a name or a pattern, as in `{kind}:audit_*`"),
        ));
    }
    if name.trim() != name {
        return Err((
            format!("`{entry}` has a space at the beginning or the end of the name, so it matches nothing"),
            format!("write `{kind}:{}`", name.trim()),
        ));
    }
    // names of settings have dots
    if kind != "setting" && name.contains(['.', '"']) {
        let last = name.rsplit('.').next().unwrap_or(name).replace('"', "");
        return Err((
            format!(
                "`{entry}` has a schema or quotes, and findings are named without, so it matches nothing"
            ),
            format!("write `{kind}:{last}`; for a dot or a quote inside of a name write `?`"),
        ));
    }
    Ok(())
}

/// The pattern for SQL's `LIKE` (with `\` as the escape) that matches the findings which an entry declares.
pub(crate) fn like(entry: &str) -> String {
    let mut like = String::with_capacity(entry.len() + 4);
    for c in entry.chars() {
        match c {
            '*' => like.push('%'),
            '?' => like.push('_'),
            '%' | '_' | '\\' => like.extend(['\\', c]),
            c => like.push(c),
        }
    }
    like
}

/// Whether an entry declares a finding.
pub(crate) fn declares(entry: &str, finding: &str) -> bool {
    WildMatch::new(entry).matches(finding)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_a_pattern() {
        for (entry, pattern) in [
            ("trigger:audit_log", r"trigger:audit\_log"),
            ("inherits:_hyper_*", r"inherits:\_hyper\_%"),
            ("inherits:*", "inherits:%"),
            ("view:a?b", "view:a_b"),
            (r"rule:100%\", r"rule:100\%\\"),
        ] {
            assert_eq!(like(entry), pattern);
        }
        assert!(declares("inherits:_hyper_*", "inherits:_hyper_1_7_chunk"));
        assert!(declares("setting:search_path", "setting:search_path"));
        assert!(!declares("inherits:_hyper_*", "inherits:shyper_1"));
        assert!(!declares("trigger:audit", "trigger:audit_log"));
    }

    #[test]
    fn an_entry_that_can_match_nothing_is_an_error() {
        for entry in [
            "audit_log",
            "",
            "*",
            "triger:audit_log",
            "Trigger:audit_log",
            "*:audit_log",
            "trigger:",
            "trigger: ",
            "trigger: audit_log",
            "trigger:audit_log ",
            "inherits:_timescaledb_internal._hyper_1_7_chunk",
            "trigger:\"Audit\"",
            ":audit",
            "cascade:public.*",
        ] {
            assert!(check(entry).is_err(), "{entry}");
        }
        for entry in
            ["trigger:audit_log", "inherits:*", "setting:app.tenant", "view:Weird Name", "extension:dblink"]
        {
            assert_eq!(check(entry), Ok(()), "{entry}");
        }
    }
}
