//! Patterns that a team writes for hosts, databases and users.

use std::fmt;

use wildmatch::WildMatch;

use crate::host::Host;
use crate::secrets::holds_credentials;

/// A glob over a whole name: `*` stands for any run of characters, `?` for one.
///
/// It is anchored at both ends, so `localhost` does not match `localhost.prod.internal`. A host's pattern ignores
/// case, as DNS does; a database's and a user's do not, as PostgreSQL does not.
///
/// ```
/// # use fixture_guard_core as fixture_guard;
/// use fixture_guard::{Host, Pattern};
///
/// let staging = Pattern::host("*-staging*")?;
/// assert!(staging.matches(Host::parse("DB-Staging.internal").unwrap().as_str()));
/// assert!(!staging.matches("db-prod.internal"));
/// # Ok::<(), fixture_guard::PatternError>(())
/// ```
#[derive(Clone)]
pub struct Pattern {
    written: String,
    glob: WildMatch,
    of: Names,
    /// The pairs of neighbouring bytes that every match holds.
    pairs: Pairs,
}

/// A set of pairs of neighbouring bytes, with collisions. A name that lacks one of a pattern's pairs does not match
/// it, which tells most patterns of a long policy apart in a nanosecond.
#[derive(Clone, Copy, Default)]
struct Pairs(u128);

impl Pairs {
    fn of(text: &[u8]) -> Self {
        let bit = |pair: &[u8]| 1 << ((usize::from(pair[0]) * 7 + usize::from(pair[1])) % 128);
        Self(text.windows(2).fold(0, |pairs, pair| pairs | bit(pair)))
    }

    fn of_every_match(pattern: &str) -> Self {
        Self(pattern.split(['*', '?']).fold(0, |pairs, literal| pairs | Self::of(literal.as_bytes()).0))
    }

    fn holds(self, wanted: Self) -> bool {
        wanted.0 & !self.0 == 0
    }
}

/// What a pattern may match.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Names {
    Any,
    /// `127.*` means addresses, and not the name `127.0.0.1.nip.io`.
    Addresses,
}

/// Why a pattern cannot be a rule.
///
/// ```
/// # use fixture_guard_core as fixture_guard;
/// use fixture_guard::Pattern;
///
/// assert_eq!(Pattern::host("*.*").unwrap_err().to_string(), "the pattern `*.*` matches everything");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatternError {
    /// An empty string matches nothing.
    #[error("the pattern is empty")]
    #[non_exhaustive]
    Empty,
    /// `*`, `**`, `*.*`, `?*`: it would allow every target, production included.
    #[error("the pattern `{0}` matches everything")]
    #[non_exhaustive]
    Everything(String),
    /// It is a connection string, or contains a password.
    #[error("the pattern is a connection string, or contains a password; it is not shown")]
    #[non_exhaustive]
    Credentials,
    /// A character that no name of this kind can hold, so that the rule could never match.
    #[error("the pattern `{written}` holds {character:?}, which no host can")]
    #[non_exhaustive]
    Character {
        /// The pattern as it was written.
        written: String,
        /// The first such character.
        character: char,
    },
}

impl Pattern {
    /// A pattern for host names and addresses.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// use fixture_guard::Pattern;
    ///
    /// assert!(Pattern::host("10.0.*")?.matches("10.0.0.5"));
    /// assert!(!Pattern::host("10.0.*")?.matches("10.0.0.5.nip.io"));
    /// assert!(Pattern::host("db.internal:5432").is_err());
    /// # Ok::<(), fixture_guard::PatternError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If it is empty, matches everything, or could match no host at all.
    pub fn host(written: &str) -> Result<Self, PatternError> {
        if holds_credentials(written) {
            return Err(PatternError::Credentials);
        }
        if let Ok(host) = Host::parse(written) {
            return Ok(Self::exact(written, host.as_str()));
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '*' | '?');
        let unfit = |character| Err(PatternError::Character { written: written.to_owned(), character });
        if let Some(character) = written.chars().find(|c| !allowed(*c)) {
            return unfit(character);
        }
        // only an IPv6 address holds a colon: `db.internal:5432` would match no host
        let in_address = |c: char| c.is_ascii_hexdigit() || matches!(c, '.' | ':' | '*' | '?');
        let wild = written.contains(['*', '?']);
        if written.contains(':') && !(wild && written.chars().all(in_address)) {
            return unfit(':');
        }
        // hosts are compared without their final dot
        let pattern = written.strip_suffix('.').unwrap_or(written).to_ascii_lowercase();
        let mut glob = Self::glob(written, &pattern)?;
        if pattern.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | '*' | '?')) {
            glob.of = Names::Addresses;
        }
        Ok(glob)
    }

    /// A pattern for the names of databases, users, and socket paths.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// assert!(fixture_guard::Pattern::name("shop_test_?")?.matches("shop_test_7"));
    /// # Ok::<(), fixture_guard::PatternError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If it is empty or matches everything.
    pub fn name(written: &str) -> Result<Self, PatternError> {
        if holds_credentials(written) {
            return Err(PatternError::Credentials);
        }
        Self::glob(written, written)
    }

    /// A host's pattern of our own.
    pub(crate) fn trusted(written: &'static str) -> Self {
        Self::host(written).unwrap_or_else(|_| Self::exact(written, written))
    }

    /// As it was written.
    pub(crate) fn written(&self) -> &str {
        &self.written
    }

    /// A pattern of our own that matches everything.
    pub(crate) fn everything() -> Self {
        Self::exact("*", "*")
    }

    fn exact(written: &str, canonical: &str) -> Self {
        Self {
            written: written.to_owned(),
            glob: WildMatch::new(canonical),
            of: Names::Any,
            pairs: Pairs::of_every_match(canonical),
        }
    }

    fn glob(written: &str, pattern: &str) -> Result<Self, PatternError> {
        if written.is_empty() {
            return Err(PatternError::Empty);
        }
        if !written.chars().any(char::is_alphanumeric) {
            return Err(PatternError::Everything(written.to_owned()));
        }
        Ok(Self::exact(written, pattern))
    }

    /// Whether the whole of `name` fits. A host is given in its canonical spelling.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// assert!(!fixture_guard::Pattern::host("localhost")?.matches("localhost.prod.internal"));
    /// # Ok::<(), fixture_guard::PatternError>(())
    /// ```
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        self.matches_with(name, Pairs::of(name.as_bytes()))
    }

    /// Whether one of `patterns` fits.
    pub(crate) fn any(patterns: &[Self], name: &str) -> bool {
        if patterns.is_empty() {
            return false;
        }
        let pairs = Pairs::of(name.as_bytes());
        patterns.iter().any(|pattern| pattern.matches_with(name, pairs))
    }

    fn matches_with(&self, name: &str, pairs: Pairs) -> bool {
        let is_address = || name.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        pairs.holds(self.pairs) && self.glob.matches(name) && (self.of == Names::Any || is_address())
    }
}

/// As it was written.
impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({:?})", self.written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_anchored_at_both_ends() {
        let staging = Pattern::host("*-staging*").unwrap();
        assert!(staging.matches("storefront-staging-db.internal"));
        assert!(!staging.matches("staging-db.internal"));
        let localhost = Pattern::host("localhost").unwrap();
        assert!(!localhost.matches("localhost.prod.internal"));
    }

    #[test]
    fn a_host_pattern_knows_every_spelling_of_an_address() {
        let loopback = Pattern::host("[0:0:0:0:0:0:0:1]").unwrap();
        assert!(loopback.matches(Host::parse("::1").unwrap().as_str()));
    }

    #[test]
    fn a_pattern_that_allows_everything_is_no_rule() {
        for written in ["*", "**", "*.*", "?*", "*-*", "***.*"] {
            assert_eq!(Pattern::host(written).unwrap_err(), PatternError::Everything(written.into()));
        }
        assert_eq!(Pattern::host("").unwrap_err(), PatternError::Empty);
        assert!(matches!(Pattern::host("db staging").unwrap_err(), PatternError::Character { .. }));
    }

    #[test]
    fn a_pattern_that_could_match_no_host_is_no_rule() {
        for written in ["db.internal:5432", "[fd00::*]", "db:5432", "db-*:*"] {
            assert!(matches!(Pattern::host(written), Err(PatternError::Character { .. })), "{written}");
        }
        assert!(Pattern::host("fd00:*").unwrap().matches("fd00::5"));
        assert!(Pattern::host("prod-*.internal.").unwrap().matches("prod-db.internal"));
    }

    #[test]
    fn what_is_told_apart_quickly_is_told_apart_rightly() {
        let names = ["db-staging", "staging", "", "a", "ab", "größe", "x-staging-größe", "ba"];
        for written in ["*-staging*", "a?", "?b", "*a", "größe", "*ß*", "??", "a*b*", "staging"] {
            let pattern = Pattern::name(written).unwrap_or_else(|_| Pattern::exact(written, written));
            for name in names {
                assert_eq!(pattern.matches(name), pattern.glob.matches(name), "{written} and {name}");
                assert_eq!(Pattern::any(std::slice::from_ref(&pattern), name), pattern.matches(name));
            }
        }
    }

    #[test]
    fn a_pattern_of_digits_matches_addresses_only() {
        let network = Pattern::host("10.0.*").unwrap();
        assert!(network.matches("10.0.0.5"));
        assert!(!network.matches("10.0.0.5.nip.io"));
        assert!(Pattern::name("2024*").unwrap().matches("2024_test"));
    }
}
