//! One spelling for every host.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A host name or address in its one canonical spelling.
///
/// Names are lower case, without a final dot; addresses are in the spelling of RFC 5952, and an IPv4 address that
/// is wrapped in an IPv6 one is unwrapped. What resolvers and clients read differently is a [`HostFlaw`], not a
/// host: a rule that misses one spelling of an address has missed the address.
///
/// ```
/// # use fixture_guard_core as fixture_guard;
/// use fixture_guard::Host;
///
/// let host = Host::parse("DB-Staging.Internal.")?;
/// assert_eq!((host.as_str(), host.address(), host.is_loopback()), ("db-staging.internal", None, false));
/// assert_eq!(Host::parse("[::ffff:10.0.0.5]")?.as_str(), "10.0.0.5");
/// # Ok::<(), fixture_guard::HostFlaw>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Host {
    text: String,
    address: Option<IpAddr>,
}

/// Why a host has no canonical spelling.
///
/// ```
/// # use fixture_guard_core as fixture_guard;
/// use fixture_guard::Host;
///
/// // 127.0.0.1 to some resolvers, a name to others
/// assert_eq!(
///     Host::parse("127.1").unwrap_err().to_string(),
///     "the host is a number that some resolvers read as an address"
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HostFlaw {
    /// There is nothing between the slashes; libpq reads that as the default socket, sqlx as a name.
    #[error("the host is empty")]
    #[non_exhaustive]
    Empty,
    /// `db\u{2010}staging`, `db-staging%2eprod`, `a,b`: clients disagree about what it names.
    #[error("the host holds the character {0:?}")]
    #[non_exhaustive]
    Character(char),
    /// `a..b`, or a dot at the start.
    #[error("the host has an empty label")]
    #[non_exhaustive]
    EmptyLabel,
    /// `xn--…`: it shows as other letters than the ones that are compared.
    #[error("the host has a punycode label")]
    #[non_exhaustive]
    Punycode,
    /// `127.1`, `0x7f.1`, `2130706433`, `012.0.0.5`: `inet_aton(3)` reads an address, a rule reads a name.
    #[error("the host is a number that some resolvers read as an address")]
    #[non_exhaustive]
    Number,
    /// More than the 253 characters of RFC 1035.
    #[error("the host is longer than 253 characters")]
    #[non_exhaustive]
    Length,
}

impl Host {
    /// Reads a host as a driver holds it: `Db-Staging.internal.`, `127.0.0.1`, `::1` or `[::1]`.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// use fixture_guard::Host;
    ///
    /// assert_eq!(Host::parse("0:0:0:0:0:0:0:1"), Host::parse("::1"));
    /// assert!(Host::parse("db-staging,db-prod").is_err());
    /// ```
    ///
    /// # Errors
    ///
    /// A [`HostFlaw`] for every spelling that clients or resolvers read differently.
    pub fn parse(spelled: &str) -> Result<Self, HostFlaw> {
        if spelled.is_empty() {
            return Err(HostFlaw::Empty);
        }
        let bare = spelled.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(spelled);
        if let Ok(address) = Ipv6Addr::from_str(bare) {
            return Ok(Self::from(IpAddr::V6(address)));
        }
        if let Ok(address) = Ipv4Addr::from_str(spelled) {
            return Ok(Self::from(IpAddr::V4(address)));
        }
        if let Some(odd) =
            spelled.chars().find(|c| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_' | '.'))
        {
            return Err(HostFlaw::Character(odd));
        }
        if spelled.len() > 254 {
            return Err(HostFlaw::Length);
        }
        let mut text = spelled.to_ascii_lowercase();
        // glibc knows `localhost` from the hosts file and asks DNS for `localhost.`: it stays what it is, and so
        // matches no rule about `localhost`.
        if text.ends_with('.') && text != "localhost." {
            text.pop();
        }
        let labels = || text.strip_suffix('.').unwrap_or(&text).split('.');
        if labels().any(str::is_empty) {
            return Err(HostFlaw::EmptyLabel);
        }
        if labels().any(|label| label.starts_with("xn--")) {
            return Err(HostFlaw::Punycode);
        }
        if labels().all(is_number) {
            return Err(HostFlaw::Number);
        }
        Ok(Self { text, address: None })
    }

    /// The canonical spelling; an IPv6 address has no brackets.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// assert_eq!(fixture_guard::Host::parse("[::1]")?.as_str(), "::1");
    /// # Ok::<(), fixture_guard::HostFlaw>(())
    /// ```
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The address, if the host is one.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// assert!(fixture_guard::Host::parse("10.0.0.5")?.address().is_some());
    /// # Ok::<(), fixture_guard::HostFlaw>(())
    /// ```
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// `localhost`, `127.0.0.0/8` or `::1`.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// assert!(fixture_guard::Host::parse("127.0.0.53")?.is_loopback());
    /// # Ok::<(), fixture_guard::HostFlaw>(())
    /// ```
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.address.map_or(self.text == "localhost", |address| address.is_loopback())
    }
}

impl Host {
    /// The name of the server itself, where this is the name of its pooler: `ep-x-pooler.REGION.aws.neon.tech` and
    /// `ep-x.REGION.aws.neon.tech` are one database.
    pub(crate) fn without_pooler(&self) -> Option<Self> {
        let (label, rest) = self.text.split_once('.')?;
        let label = label.strip_suffix("-pooler").filter(|label| !label.is_empty())?;
        Some(Self { text: format!("{label}.{rest}"), address: None })
    }

    /// The name of the server's pooler, where the provider gives it one.
    pub(crate) fn with_pooler(&self) -> Option<Self> {
        let (label, rest) = self.text.split_once('.')?;
        let is_endpoint = label.starts_with("ep-") && !label.ends_with("-pooler");
        is_endpoint.then(|| Self { text: format!("{label}-pooler.{rest}"), address: None })
    }

    /// The project of a Supabase database: `REF` of `db.REF.supabase.co`, or of the user `postgres.REF` at a host
    /// `*.pooler.supabase.com`.
    pub(crate) fn project<'a>(&'a self, user: &'a str) -> Option<&'a str> {
        let direct = || self.text.strip_prefix("db.")?.strip_suffix(".supabase.co");
        let pooled = || {
            let is_pooler = self.text.ends_with(".pooler.supabase.com");
            user.rsplit_once('.').filter(|_| is_pooler).map(|(_, project)| project)
        };
        direct().or_else(pooled).filter(|project| !project.is_empty() && !project.contains('.'))
    }
}

impl From<IpAddr> for Host {
    fn from(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self { text: address.to_string(), address: Some(address) }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A label that `inet_aton(3)` reads as decimal, octal or hexadecimal.
fn is_number(label: &str) -> bool {
    match label.strip_prefix("0x") {
        Some(hex) => hex.bytes().all(|b| b.is_ascii_hexdigit()),
        None => label.bytes().all(|b| b.is_ascii_digit()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_host_has_one_spelling() {
        for (spelled, canonical) in [
            ("DB-Staging.Internal", "db-staging.internal"),
            ("db-staging.internal.", "db-staging.internal"),
            ("[::1]", "::1"),
            ("0:0:0:0:0:0:0:1", "::1"),
            ("::ffff:10.0.0.5", "10.0.0.5"),
            ("localhost.", "localhost."),
            ("db_1", "db_1"),
        ] {
            assert_eq!(Host::parse(spelled).unwrap().as_str(), canonical, "{spelled}");
        }
    }

    #[test]
    fn a_spelling_that_resolvers_read_differently_is_no_host() {
        for (spelled, flaw) in [
            ("", HostFlaw::Empty),
            ("db-staging.internal ", HostFlaw::Character(' ')),
            ("db\u{2010}staging", HostFlaw::Character('\u{2010}')),
            ("a,b", HostFlaw::Character(',')),
            ("a..b", HostFlaw::EmptyLabel),
            (".a", HostFlaw::EmptyLabel),
            (".", HostFlaw::EmptyLabel),
            ("xn--80ak6aa92e.internal", HostFlaw::Punycode),
            ("127.1", HostFlaw::Number),
            ("012.0.0.5", HostFlaw::Number),
            ("0x7f.1", HostFlaw::Number),
            ("2130706433", HostFlaw::Number),
            ("127.0.0.1.", HostFlaw::Number),
        ] {
            assert_eq!(Host::parse(spelled), Err(flaw), "{spelled:?}");
        }
    }

    #[test]
    fn a_pooler_of_a_provider_is_another_name_of_its_database() {
        let host = |name| Host::parse(name).unwrap();
        let direct = host("ep-cool-darkness-123456.us-east-2.aws.neon.tech");
        let behind = host("ep-cool-darkness-123456-pooler.us-east-2.aws.neon.tech");
        assert_eq!(behind.without_pooler(), Some(direct.clone()));
        assert_eq!(direct.with_pooler(), Some(behind.clone()));
        assert_eq!((direct.without_pooler(), behind.with_pooler()), (None, None));
        assert_eq!(host("-pooler.example").without_pooler(), None);
        assert_eq!(host("10.0.0.5").without_pooler(), None);

        let project = Some("abcdefghij");
        assert_eq!(host("db.abcdefghij.supabase.co").project("postgres"), project);
        let shared = host("aws-0-eu-central-1.pooler.supabase.com");
        assert_eq!(shared.project("postgres.abcdefghij"), project);
        assert_eq!(shared.project("app.role.abcdefghij"), project);
        assert_eq!(shared.project("postgres"), None);
        assert_eq!(host("db.internal").project("postgres.abcdefghij"), None);
    }
}
