//! Recognizes connection strings and passwords that were pasted where a name belongs.

use std::fmt;

use percent_encoding::percent_decode_str;

use crate::target::Shown;

/// Ends of the names of keys whose value is a password.
const KEYS: [&str; 6] = ["password", "passwd", "pass", "pwd", "secret", "token"];

/// Whether a text is a connection string, or contains a password: `postgres://…`, `app:secret@db`, `password = secret`.
pub(crate) fn holds_credentials(text: &str) -> bool {
    let plain = |text: &str| {
        let lower = text.to_lowercase();
        let pair = lower.split_once('@').is_some_and(|(user, _)| user.contains(':'));
        pair || lower.contains("://") || assigns_a_password(&lower)
    };
    plain(text) || (text.contains('%') && plain(&percent_decode_str(text).decode_utf8_lossy()))
}

/// `password=x`, `passwd = x`, `;pwd=x`, `sslpassword=x`, `PGPASSWORD: x`; libpq allows spaces around the sign.
fn assigns_a_password(lower: &str) -> bool {
    lower.match_indices(['=', ':']).any(|(at, _)| {
        let name = lower[..at].trim_end().trim_end_matches(['"', '\'']);
        let value = lower[at + 1..].trim_start();
        !value.is_empty() && KEYS.iter().any(|key| name.ends_with(key))
    })
}

/// A value in a message, unless it contains credentials.
pub(crate) struct Value<'a>(pub(crate) &'a str);

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if holds_credentials(self.0) {
            return f.write_str("(not shown: it is a connection string, or contains a password)");
        }
        Shown(self.0).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_string_or_a_password_is_recognized_in_every_spelling() {
        for text in [
            "postgres://app:hunter2@db/shop",
            "POSTGRES://db/shop",
            "postgres%3A%2F%2Fapp%3Ahunter2%40db",
            "app:hunter2@db",
            ":hunter2@db",
            "host=h password=hunter2",
            "host=h password = hunter2",
            "host=h PassWord\t= 'hunter2'",
            "Server=h;Pwd=hunter2",
            "Server=h;pass=hunter2",
            "h;passwd=hunter2",
            "sslpassword=hunter2",
            "{\"password\": \"hunter2\"}",
            "PGPASSWORD=hunter2",
            "api_token=hunter2",
        ] {
            assert!(holds_credentials(text), "{text}");
            assert!(!Value(text).to_string().contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn a_name_is_none() {
        for text in [
            "",
            "shop_test_*",
            "*-staging*",
            "::1",
            "fd00::/8",
            "10.20.0.0/16",
            "app@db",
            "password",
            "pass",
            "/var/run/postgresql",
            "trigger:password_history",
            "trigger:reset_token",
            "compass",
            "100%",
            "password=",
            "C:\\data\\db",
        ] {
            assert!(!holds_credentials(text), "{text}");
        }
    }
}
