//! How long statements and locks may take: `statement_timeout = "2m"`, `lock_timeout = "10s"`.

use std::time::Duration;

use crate::fixture::Fixture;
use crate::judge::Clearance;

const DAY: Duration = Duration::from_hours(24);

/// The limits of a body's statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimeLimits {
    pub(crate) statement: Duration,
    pub(crate) lock: Duration,
}

impl TimeLimits {
    const STATEMENT: Duration = Duration::from_mins(1);
    const LOCK: Duration = Duration::from_secs(5);

    /// The attribute's, else the environment's, else the built-in ones. Where both state one, the shorter one counts:
    /// an attribute only narrows.
    pub(crate) fn of(fixture: Option<&Fixture>, clearance: &Clearance) -> Self {
        let narrower = |one: Option<Duration>, other: Option<Duration>| one.into_iter().chain(other).min();
        let statement = fixture.and_then(|fixture| fixture.statement_timeout);
        let lock = fixture.and_then(|fixture| fixture.lock_timeout);
        Self {
            statement: narrower(statement, clearance.statement_timeout()).unwrap_or(Self::STATEMENT),
            lock: narrower(lock, clearance.lock_timeout()).unwrap_or(Self::LOCK),
        }
    }
}

/// A number and a unit, as PostgreSQL writes them: `500ms`, `90s`, `2m`, `2min`, `1h`. Positive, and at most a day.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    let limit = Duration::from_millis(number.parse::<u64>().ok()?.checked_mul(milliseconds)?);
    is_one(limit).then_some(limit)
}

/// Whether a server can be told so.
pub(crate) fn is_one(limit: Duration) -> bool {
    (Duration::from_millis(1)..=DAY).contains(&limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_number_with_a_unit() {
        for (text, milliseconds) in [
            ("1ms", 1),
            ("500ms", 500),
            ("90s", 90_000),
            ("2m", 120_000),
            ("2min", 120_000),
            ("24h", 86_400_000),
        ] {
            assert_eq!(parse(text), Some(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in [
            "",
            "0",
            "0s",
            "0ms",
            "10",
            "s",
            "-1s",
            "+1s",
            "1.5s",
            "1 s",
            " 1s",
            "25h",
            "86401s",
            "1d",
            "1S",
            "1us",
            "99999999999999999999s",
            "18446744073709551615h",
            "1s1s",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
