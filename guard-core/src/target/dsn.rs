//! What a string says about its target, to any client that may read it.
//!
//! The driver's own parser decides where a connection goes; this page finds what another mainstream client would
//! read differently. Sources: the `url` crate (sqlx), libpq's `conninfo_uri_parse_options`, tokio-postgres'
//! `UrlParser`, and inputs that were dialled with all three (`tests/corpus`).

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use url::Url;

use super::{Flaw, Part, Target, holds_credentials};

/// A DSN that the driver itself cannot parse. It shows nothing of the string, which may hold a password.
///
/// ```
/// # use fixture_guard_core as fixture_guard;
/// let error = fixture_guard::Target::from_postgres_dsn("postgres://app:secret@db:port/shop").unwrap_err();
/// assert!(!error.to_string().contains("secret"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the DSN cannot be parsed by the driver")]
#[non_exhaustive]
pub struct InvalidDsn;

/// A DSN, taken apart without a driver.
pub(super) struct Dsn<'s> {
    raw: &'s str,
    pub(super) url: Url,
    /// From the end of the scheme's `:`.
    rest: &'s str,
}

/// What a driver does with a parameter of its DSN.
pub(super) enum Parameter {
    /// Names a host, or a socket by an absolute path.
    Host,
    /// Names a socket.
    #[cfg_attr(not(feature = "mysql"), expect(dead_code, reason = "MySQL has one"))]
    Socket,
    /// Names a database, a user or session options: production words count.
    Text(Part),
    /// The driver writes it into a statement, so it must be a plain name.
    #[cfg_attr(not(feature = "mysql"), expect(dead_code, reason = "MySQL has some"))]
    Plain,
    /// The driver obeys it, and it does not decide where the connection goes.
    Harmless,
    /// The driver ignores it.
    Unknown,
}

impl<'s> Dsn<'s> {
    pub(super) fn parse(raw: &'s str) -> Result<Self, InvalidDsn> {
        let url = Url::parse(raw).map_err(|_| InvalidDsn)?;
        let rest = raw.split_once(':').map_or("", |(_, rest)| rest);
        Ok(Self { raw, url, rest })
    }

    /// The string without the parameters that the driver ignores, for a driver that logs the values of those.
    pub(super) fn without_unknown(&self, classify: impl Fn(&str) -> Parameter) -> Cow<'s, str> {
        let unknown = |key: &str| matches!(classify(key), Parameter::Unknown);
        if !self.url.query_pairs().any(|(key, _)| unknown(&key)) {
            return Cow::Borrowed(self.raw);
        }
        let mut url = self.url.clone();
        let known: Vec<_> = self.url.query_pairs().filter(|(key, _)| !unknown(key)).collect();
        url.query_pairs_mut().clear().extend_pairs(known);
        Cow::Owned(url.into())
    }

    /// How many raw `@` stand in the authority, where one ends the user, and how many elsewhere.
    fn at_signs(&self) -> (usize, usize) {
        let Some(authority_and_rest) = self.rest.strip_prefix("//") else {
            return (0, self.rest.matches('@').count());
        };
        let end = authority_and_rest.find(['/', '?', '#', '\\']).unwrap_or(authority_and_rest.len());
        let count = |text: &str| text.matches('@').count();
        (count(&authority_and_rest[..end]), count(&authority_and_rest[end..]))
    }

    /// The raw path after its first slash, before any normalisation.
    fn path(&self) -> &'s str {
        let after = self.rest.strip_prefix("//").unwrap_or(self.rest);
        let end = after.find(['?', '#']).unwrap_or(after.len());
        after[..end].split_once('/').map_or("", |(_, path)| path)
    }

    /// Everything that some client reads as a place or a name.
    fn names(&self) -> impl Iterator<Item = Cow<'_, str>> {
        let parameters = self.url.query_pairs().filter(|(key, _)| {
            matches!(&**key, "host" | "hostaddr" | "socket" | "dbname" | "database" | "user" | "username")
        });
        let host = self.url.host_str().unwrap_or_default();
        [decoded(host), decoded(self.path())]
            .into_iter()
            .map(Into::into)
            .chain(parameters.map(|(_, value)| value))
    }

    /// Notes on `target` everything that clients may read differently.
    pub(super) fn examine(
        &self,
        target: &mut Target,
        schemes: &[&str],
        classify: impl Fn(&str) -> Parameter,
    ) {
        let (inside, outside) = self.at_signs();
        if inside > 1 || outside > 0 {
            target.flag(Flaw::AtSign);
        }
        if !schemes.contains(&self.url.scheme()) {
            target.flag(Flaw::Scheme);
        }
        if !self.rest.starts_with("//") {
            target.flag(Flaw::NoAuthority);
        }
        if self.url.fragment().is_some() || self.raw.contains('#') {
            target.flag(Flaw::Fragment);
        }
        if self.raw.contains('\\') {
            target.flag(Flaw::Backslash);
        }
        if self.has_ambiguous_space() {
            target.flag(Flaw::Space);
        }
        // A `/`, `?` or `#` in a password ends the authority early, and the rest of the password is read as port,
        // path or fragment. The `@` after it gives that away.
        if outside > 0 || target.concealed || self.names().any(|name| holds_credentials(&name)) {
            if outside == 0 {
                target.flag(Flaw::Credentials);
            }
            target.conceal();
            return;
        }
        let path = decoded(self.path());
        if self.path().contains('/') || path.split('/').any(|segment| matches!(segment, "." | "..")) {
            target.flag(Flaw::Segments);
        }
        target.text(Part::Path, path);
        target.text(Part::User, decoded(self.url.username()));
        if self.url.password().is_some_and(|password| decoded(password).chars().any(char::is_control)) {
            target.flag(Flaw::Control(Part::Password));
        }
        if let Some(host) = self.url.host_str().filter(|host| !host.is_empty()) {
            target.claim(Part::Host, &decoded(host));
        }
        for (key, value) in self.url.query_pairs() {
            let name = || if is_word(&key) { key.to_string() } else { "…".to_owned() };
            let shown = || Part::Parameter(name());
            target.flag_control(shown, &value);
            target.flag_control(shown, &key);
            match classify(&key) {
                Parameter::Host => target.claim(shown(), &value),
                Parameter::Socket => target.claim_socket(shown(), &value),
                Parameter::Text(part) => target.text(part, value),
                Parameter::Plain if !is_plain(&value) => target.flag(Flaw::Statement(name())),
                Parameter::Plain | Parameter::Harmless => {}
                Parameter::Unknown if is_harmless_elsewhere(&key) => {}
                Parameter::Unknown if is_target_like(&key) => target.flag(Flaw::Parameter(name())),
                Parameter::Unknown => target.text(shown(), value),
            }
        }
    }

    /// White space that a URL parser deletes and other clients keep. A plain space inside the parameters stays what
    /// it is to all of them, as in `options=-c statement_timeout=5s`.
    fn has_ambiguous_space(&self) -> bool {
        let before_parameters = self.raw.split('?').next().unwrap_or_default();
        self.raw.chars().any(char::is_control) || before_parameters.contains(' ') || self.raw.ends_with(' ')
    }
}

/// Percent-decoded as every client does it; bytes that are not UTF-8 become U+FFFD, which no rule allows in a host.
fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// A key that may be shown: the rest of a password that was cut at its `?` is not one.
fn is_word(key: &str) -> bool {
    key.len() <= 40 && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
}

/// A value that stays one value inside a statement: `utf8mb4_bin`, `+02:00`, `Europe/Berlin`.
pub(super) fn is_plain(value: &str) -> bool {
    value.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'+' | b':' | b'/'))
}

/// Parameters of other clients (libpq, JDBC, Prisma, pgx, Npgsql, Go's and Node's drivers) by which none of them
/// chooses a server, a database or a user. Lower case, without `_` and `-`.
const HARMLESS_ELSEWHERE: &[&str] = &[
    // time
    "connecttimeout",
    "logintimeout",
    "sockettimeout",
    "statementtimeout",
    "querytimeout",
    "locktimeout",
    "idleintransactionsessiontimeout",
    "pooltimeout",
    "timeout",
    "acquiretimeout",
    "idletimeout",
    "maxlifetime",
    "keepalives",
    "keepalivesidle",
    "keepalivesinterval",
    "keepalivescount",
    "keepalivesretries",
    "tcpkeepalive",
    "tcpusertimeout",
    "timezone",
    "servertimezone",
    "datestyle",
    "loc",
    "parsetime",
    "zerodatetimebehavior",
    // choosing among the hosts that are named, each of which is judged
    "targetsessionattrs",
    "targetservertype",
    "loadbalancehosts",
    // transport and authentication
    "ssl",
    "usessl",
    "requiressl",
    "tls",
    "tlsmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "sslnegotiation",
    "sslcompression",
    "sslcrl",
    "sslcrldir",
    "sslsni",
    "sslcertmode",
    "sslminprotocolversion",
    "sslmaxprotocolversion",
    "sslaccept",
    "sslidentity",
    "sslfactory",
    "verifyservercertificate",
    "channelbinding",
    "requireauth",
    "requirepeer",
    "gssencmode",
    "gsslib",
    "gssdelegation",
    "krbsrvname",
    "passfile",
    "allowpublickeyretrieval",
    "uselibpqcompat",
    // names and text
    "applicationname",
    "fallbackapplicationname",
    "clientencoding",
    "encoding",
    "charset",
    "characterencoding",
    "useunicode",
    "serverversion",
    // pools and statements
    "pool",
    "poolsize",
    "poolmode",
    "maxconnections",
    "minconnections",
    "connectionlimit",
    "poolmaxconns",
    "poolminconns",
    "poolmaxconnlifetime",
    "poolmaxconnidletime",
    "poolhealthcheckperiod",
    "maxpoolsize",
    "minpoolsize",
    "pgbouncer",
    "preparedstatements",
    "preparethreshold",
    "preparedstatementcachesize",
    "preparedstatementcachequeries",
    "statementcachesize",
    "statementcachemode",
    "statementcachecapacity",
    "defaultqueryexecmode",
    "binaryparameters",
    "reconnect",
    "autoreconnect",
    "multistatements",
    "interpolateparams",
    "createdatabaseifnotexist",
    "supportbignumbers",
    "bignumberstrings",
    "rewritebatchedstatements",
    "useserverprepstmts",
    "cacheprepstmts",
    "maxallowedpacket",
];

/// Whether a parameter that this driver ignores is known to choose nothing elsewhere, or holds a secret, whose
/// letters are no words.
fn is_harmless_elsewhere(key: &str) -> bool {
    let plain: String =
        key.chars().filter(|c| !matches!(c, '_' | '-')).map(|c| c.to_ascii_lowercase()).collect();
    HARMLESS_ELSEWHERE.contains(&plain.as_str())
        || is_word(key)
            && ["password", "passwd", "pwd", "secret"].iter().any(|secret| plain.ends_with(secret))
}

/// Whether a parameter that this driver ignores may name a target to another client.
fn is_target_like(key: &str) -> bool {
    const NAMES: [&str; 20] = [
        "host", "addr", "server", "socket", "port", "db", "database", "user", "service", "url", "uri", "dsn",
        "proxy", "endpoint", "cluster", "instance", "tunnel", "ssh", "gateway", "bastion",
    ];
    let key = key.to_ascii_lowercase();
    !is_word(&key) || NAMES.iter().any(|name| key.contains(name))
}
