//! Where a driver will really connect.

mod dsn;
#[cfg(feature = "mysql")]
mod mysql;
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;

use std::fmt;
use std::path::PathBuf;

use crate::host::{Host, HostFlaw};
use crate::secrets::holds_credentials;
use crate::words::{is_invisible, looks_like_another};

pub use dsn::InvalidDsn;

/// Everything that decides where a connection goes, as the driver will act on it.
///
/// It is built from the driver's own connect options, and where the caller gave a string, from the string too:
/// what another mainstream client would read out of it must be as harmless as what this driver reads. There is no
/// field for a password, so no output can hold one.
///
/// ```
/// # use fixture_guard_core as fixture_guard;
/// use fixture_guard::Target;
///
/// let (target, _options) = Target::from_postgres_dsn("postgres://app:secret@db-staging/shop?host=db-prod.internal")?;
/// // what the driver will do, and not what the DSN seems to say; and never the password
/// assert_eq!(target.to_string(), "shop at db-prod.internal:5432 as app");
/// # Ok::<(), fixture_guard::InvalidDsn>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    pub(crate) endpoint: Endpoint,
    /// Empty for SQLite.
    pub(crate) database: String,
    /// Empty for SQLite.
    pub(crate) user: String,
    /// Hosts and sockets besides the effective one that some client reads out of the string.
    pub(crate) claims: Vec<Claim>,
    /// Texts besides host, database and user in which a production word counts.
    pub(crate) texts: Vec<(Part, String)>,
    /// Spellings that no rule can judge.
    pub(crate) flaws: Vec<Flaw>,
    /// Whether parts of a password may have ended up in other fields, so that all are empty.
    pub(crate) concealed: bool,
}

/// What is dialled or opened.
///
/// ```
/// # use fixture_guard_core as fixture_guard;
/// use fixture_guard::{Endpoint, Target};
///
/// let (target, _) = Target::from_postgres_dsn("postgres://app@db-staging:6432/shop")?;
/// let Endpoint::Tcp { host: Ok(host), port, .. } = target.endpoint() else { panic!("{target}") };
/// assert_eq!((host.as_str(), *port), ("db-staging", 6432));
/// # Ok::<(), fixture_guard::InvalidDsn>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Endpoint {
    /// A TCP connection. The host is what the driver holds, canonical if it has a canonical spelling.
    #[non_exhaustive]
    Tcp {
        /// The canonical host, or the spelling that has none.
        host: Result<Host, String>,
        /// 1 to 65535.
        port: u16,
    },
    /// A unix socket, by the directory (PostgreSQL) or file (MySQL) that the driver was given.
    #[non_exhaustive]
    Socket {
        /// As the driver holds it, without a final slash.
        path: String,
        /// The port, which is a part of a PostgreSQL socket's name.
        port: u16,
    },
    /// A database file, by its real path: symbolic links, `..` and inner URIs resolved.
    #[non_exhaustive]
    File {
        /// Absolute, where the file or its directory exists.
        path: PathBuf,
        /// Below the working directory, where it lies there: the directories above a checkout say nothing.
        shown: String,
    },
    /// A private database in memory.
    #[non_exhaustive]
    Memory,
}

/// A place that some client reads out of the caller's string, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) part: Part,
    pub(crate) place: ClaimedPlace,
}

/// What a claim names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ClaimedPlace {
    Host(Host),
    /// A spelling that is no host.
    Spelled(String),
    Socket(String),
}

impl ClaimedPlace {
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Host(host) => host.as_str(),
            Self::Spelled(text) | Self::Socket(text) => text,
        }
    }
}

/// More than this many hosts or texts in one DSN are no honest DSN; what comes after is refused unread, so that a
/// hostile one costs no more than its length.
const MOST: usize = 32;

/// A part of a target, for messages.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Part {
    /// The host, from wherever it came.
    Host,
    /// The path of a DSN.
    Path,
    /// The database's name.
    Database,
    /// The user's name.
    User,
    /// Session options: `options=-c …`, `PGOPTIONS`.
    Options,
    /// The application's name.
    ApplicationName,
    /// The password, which is never read further than this.
    Password,
    /// The path of a socket or a database file.
    File,
    /// A parameter of a DSN, by its key.
    Parameter(String),
    /// The cluster's name, as the server says it.
    Cluster,
    /// The session's search path, as the server says it.
    SearchPath,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Host => "host",
            Self::Path => "path",
            Self::Database => "database",
            Self::User => "user",
            Self::Options => "options",
            Self::ApplicationName => "application name",
            Self::Password => "password",
            Self::File => "file",
            Self::Cluster => "cluster name",
            Self::SearchPath => "search path",
            Self::Parameter(key) => return write!(f, "parameter `{key}`"),
        })
    }
}

/// A spelling that clients or servers read differently, so that no rule can judge it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Flaw {
    /// A host without a canonical spelling.
    #[error("the {part} cannot be compared: {flaw}")]
    #[non_exhaustive]
    Host {
        /// Where it stands.
        part: Part,
        /// What is wrong with it.
        flaw: HostFlaw,
    },
    /// A control character. A NUL in any field starts another field of the start-up packet: PostgreSQL obeyed a
    /// second `database` that came in through `application_name`.
    #[error("the {0} holds a control character")]
    #[non_exhaustive]
    Control(Part),
    /// `${DB_NAME}`, `{{ db }}`: a placeholder that was not filled in.
    #[error("the {0} is a placeholder that was not filled in")]
    #[non_exhaustive]
    Placeholder(Part),
    /// A word of letters from two scripts, of letters in another dress, or with characters that do not show.
    #[error("the {0} holds letters that look like others, or that do not show")]
    #[non_exhaustive]
    Scripts(Part),
    /// PostgreSQL cuts longer names, so that what is compared is not what is used.
    #[error("the {0} is longer than the 63 bytes that PostgreSQL reads")]
    #[non_exhaustive]
    Length(Part),
    /// A value that the driver writes into a statement as it stands.
    #[error("the parameter `{0}` holds characters that would become a part of a statement")]
    #[non_exhaustive]
    Statement(String),
    /// A URI inside the DSN's file name, in a form that the driver and SQLite read differently.
    #[error("the file's name is a URI, and the parameter `{0}` makes a plain name of it")]
    #[non_exhaustive]
    InnerUri(String),
    /// More hosts and parameters than anybody writes.
    #[error("there are more than {MOST} hosts or parameters in the DSN")]
    #[non_exhaustive]
    Crowded,
    /// The driver does not check the scheme; other schemes have other rules for the same characters.
    #[error("the scheme is not one of this database's")]
    #[non_exhaustive]
    Scheme,
    /// `postgres:db-staging/app` has no host: the environment decides where it goes.
    #[error("there is no `//` after the scheme, so that the host is not where it seems to be")]
    #[non_exhaustive]
    NoAuthority,
    /// A fragment exists for URL parsers only; libpq reads on.
    #[error("there is a `#`, which some clients read as the end and others do not")]
    #[non_exhaustive]
    Fragment,
    /// White space around, or tabs and line ends inside, which a URL parser deletes.
    #[error("there is white space or a control character in the DSN")]
    #[non_exhaustive]
    Space,
    /// A backslash is a slash to some parsers.
    #[error("there is a `\\` in the DSN, which some clients read as `/`")]
    #[non_exhaustive]
    Backslash,
    /// More than the one `@` that ends the user, so that clients cut at different places.
    #[error("there is an `@` besides the one before the host")]
    #[non_exhaustive]
    AtSign,
    /// A connection string, or a part of one with a password in it, where a name should be.
    #[error("a name holds a connection string, or a password")]
    #[non_exhaustive]
    Credentials,
    /// More than one segment, or a dot segment, which URL parsers fold away and libpq does not.
    #[error("the path has more than one segment")]
    #[non_exhaustive]
    Segments,
    /// A parameter that this driver ignores and another client obeys.
    #[error("the parameter `{0}` is ignored by this driver and obeyed by others")]
    #[non_exhaustive]
    Parameter(String),
    /// A file that has several names, so that no name says what it is.
    #[error("the file has {0} names (hard links), so that its path does not say what it is")]
    #[non_exhaustive]
    HardLinks(u64),
    /// A path that could not be resolved.
    #[error("the file's real path cannot be learned: {0}")]
    #[non_exhaustive]
    Unresolved(std::io::ErrorKind),
}

impl Flaw {
    /// What to write instead.
    #[must_use]
    pub fn help(&self) -> &'static str {
        match self {
            Self::Host { .. } => {
                "write one plain host name or address; addresses in their usual spelling (127.0.0.1, ::1)"
            }
            Self::Control(_) | Self::Space => "remove the character; look for a wrapped line or a %00",
            Self::Placeholder(_) => "set the variable that it names, or write the name itself",
            Self::Scripts(_) => "write the name with plain letters of one alphabet",
            Self::Length(_) => "shorten the name to what the server keeps of it",
            Self::Statement(_) => "write a plain name, as in `charset=utf8mb4` or `timezone=UTC`",
            Self::InnerUri(_) => "name the file without `file:`, or remove the parameter",
            Self::Crowded => "name the target once, in the DSN's host and path",
            Self::Scheme => {
                "begin the DSN with postgres://, mysql:// or sqlite:, after the database that it names"
            }
            Self::NoAuthority => "write `//` after the scheme and name the host",
            Self::Fragment => "remove the `#`; in a password or a name write %23",
            Self::Backslash => "remove the `\\`; in a password write %5C",
            Self::AtSign => {
                "in a user, password or name write %40 for `@`, %2F for `/`, %3F for `?` and %23 for `#`"
            }
            Self::Credentials => {
                "name host, database and user alone; hand a whole connection string over as DATABASE_URL"
            }
            Self::Segments => {
                "name the database alone, as in postgres://host/app_test; write a `/` in its name as %2F"
            }
            Self::Parameter(_) => "remove the parameter; name the target once, in the DSN's host and path",
            Self::HardLinks(_) => "give the test database a file of its own",
            Self::Unresolved(_) => "name a file in a directory that exists",
        }
    }
}

impl Target {
    fn new(endpoint: Endpoint, database: String, user: String) -> Self {
        let mut target = Self {
            endpoint,
            database,
            user,
            claims: Vec::new(),
            texts: Vec::new(),
            flaws: Vec::new(),
            concealed: false,
        };
        let mut flaws = Vec::new();
        for (part, text) in [(Part::Database, &target.database), (Part::User, &target.user)] {
            if ["${", "$(", "{{", "<%"].iter().any(|start| text.contains(start)) {
                flaws.push(Flaw::Placeholder(part.clone()));
            }
            if looks_like_another(text) {
                flaws.push(Flaw::Scripts(part));
            }
        }
        target.flaws = flaws;
        target
    }

    /// A TCP endpoint; a host without a canonical spelling is noted as a flaw.
    fn tcp(host: &str, port: u16, database: String, user: String) -> Self {
        let parsed = Host::parse(host);
        let flaw = parsed.as_ref().err().cloned();
        let host = parsed.map_err(|_| host.to_owned());
        let mut target = Self::new(Endpoint::Tcp { host, port }, database, user);
        target.flaws.extend(flaw.map(|flaw| Flaw::Host { part: Part::Host, flaw }));
        target
    }

    fn socket(path: &str, port: u16, database: String, user: String) -> Self {
        let endpoint = Endpoint::Socket { path: canonical_path(path), port };
        let mut target = Self::new(endpoint, database, user);
        target.flag_socket(&Part::File, path);
        target
    }

    fn flag_socket(&mut self, part: &Part, path: &str) {
        // a list of hosts to libpq and tokio-postgres, of which the path is the first
        if path.contains(',') {
            self.flag(Flaw::Host { part: part.clone(), flaw: HostFlaw::Character(',') });
        }
        if path.split('/').any(|segment| matches!(segment, "." | "..")) {
            self.flag(Flaw::Segments);
        }
    }

    /// Notes a flaw, once. One that is not noted because there are too many of them changes no verdict.
    fn flag(&mut self, flaw: Flaw) {
        if self.flaws.len() < MOST && !self.flaws.contains(&flaw) {
            self.flaws.push(flaw);
        }
    }

    /// Notes a control character in a part that is sent to the server.
    fn flag_control(&mut self, part: impl FnOnce() -> Part, text: &str) {
        if text.chars().any(char::is_control) {
            self.flag(Flaw::Control(part()));
        }
    }

    /// Adds a host or socket that some client reads out of the string, unless it is the effective one.
    fn claim(&mut self, part: Part, spelled: &str) {
        if spelled.starts_with('/') {
            self.claim_socket(part, spelled);
            return;
        }
        let place = match Host::parse(spelled) {
            Ok(host) => ClaimedPlace::Host(host),
            Err(flaw) => {
                self.flag(Flaw::Host { part: part.clone(), flaw });
                ClaimedPlace::Spelled(spelled.to_owned())
            }
        };
        self.claim_place(part, place);
    }

    fn claim_socket(&mut self, part: Part, path: &str) {
        self.flag_socket(&part, path);
        self.claim_place(part, ClaimedPlace::Socket(canonical_path(path)));
    }

    fn claim_place(&mut self, part: Part, place: ClaimedPlace) {
        let effective = match (&self.endpoint, &place) {
            (Endpoint::Tcp { host: Ok(dialled), .. }, ClaimedPlace::Host(host)) => dialled == host,
            (Endpoint::Tcp { host: Err(dialled), .. }, ClaimedPlace::Spelled(spelled)) => dialled == spelled,
            (Endpoint::Socket { path, .. }, ClaimedPlace::Socket(socket)) => path == socket,
            _ => false,
        };
        if effective || self.claims.iter().any(|claim| claim.place == place) {
            return;
        }
        if self.claims.len() == MOST {
            self.flag(Flaw::Crowded);
            return;
        }
        self.claims.push(Claim { part, place });
    }

    fn text(&mut self, part: Part, text: impl Into<String>) {
        let text = text.into();
        let known = text == self.database || text == self.user;
        if text.is_empty() || known || self.texts.iter().any(|(_, known)| *known == text) {
            return;
        }
        if self.texts.len() == MOST {
            self.flag(Flaw::Crowded);
            return;
        }
        if looks_like_another(&text) {
            self.flag(Flaw::Scripts(part.clone()));
        }
        self.texts.push((part, text));
    }

    /// Conceals a target whose names hold what was never meant for one: a whole DSN that was pasted into `PGHOST`.
    fn conceal_credentials(&mut self) {
        let place = match &self.endpoint {
            Endpoint::Tcp { host: Ok(host), .. } => host.as_str(),
            Endpoint::Tcp { host: Err(spelled), .. } => spelled,
            Endpoint::Socket { path, .. } => path,
            Endpoint::File { shown, .. } => shown,
            Endpoint::Memory => "",
        };
        if holds_credentials(place) || holds_credentials(&self.database) || self.user.contains(':') {
            self.flag(Flaw::Credentials);
            self.conceal();
        }
    }

    /// Forgets everything that may hold a part of a password; the flaws that remain refuse the target.
    fn conceal(&mut self) {
        self.endpoint = Endpoint::Tcp { host: Err(String::new()), port: 0 };
        self.database.clear();
        self.user.clear();
        self.claims.clear();
        self.texts.clear();
        self.flaws.retain(|flaw| {
            matches!(
                flaw,
                Flaw::AtSign
                    | Flaw::Credentials
                    | Flaw::Scheme
                    | Flaw::NoAuthority
                    | Flaw::Fragment
                    | Flaw::Backslash
                    | Flaw::Space
            )
        });
        self.concealed = true;
    }

    /// What is dialled or opened.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// use fixture_guard::{Endpoint, Target};
    ///
    /// let (target, _) = Target::from_postgres_dsn("postgres:///shop?host=/var/run/postgresql")?;
    /// assert!(matches!(target.endpoint(), Endpoint::Socket { .. }));
    /// # Ok::<(), fixture_guard::InvalidDsn>(())
    /// ```
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The database's name; empty for SQLite. PostgreSQL uses the user's name where none is given, and so does this.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// let (target, _) = fixture_guard::Target::from_postgres_dsn("postgres://app@localhost/shop?dbname=other")?;
    /// assert_eq!(target.database(), "other");
    /// # Ok::<(), fixture_guard::InvalidDsn>(())
    /// ```
    #[must_use]
    pub fn database(&self) -> &str {
        &self.database
    }

    /// The user's name; empty for SQLite.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// let (target, _) = fixture_guard::Target::from_postgres_dsn("postgres://app@localhost/shop")?;
    /// assert_eq!(target.user(), "app");
    /// # Ok::<(), fixture_guard::InvalidDsn>(())
    /// ```
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The hosts to look up for rules about networks: the effective one and every claimed one.
    pub(crate) fn hosts(&self) -> impl Iterator<Item = &Host> {
        let effective = match &self.endpoint {
            Endpoint::Tcp { host, .. } => host.as_ref().ok(),
            _ => None,
        };
        effective.into_iter().chain(self.claims.iter().filter_map(|claim| match &claim.place {
            ClaimedPlace::Host(host) => Some(host),
            ClaimedPlace::Spelled(_) | ClaimedPlace::Socket(_) => None,
        }))
    }

    /// Whether `production`, as a variable names it, may be this very database: any host that a client may read out
    /// of either, with every spelling of this machine taken as one host.
    pub(crate) fn may_be(&self, production: &Self) -> bool {
        let port = |target: &Self| match target.endpoint {
            Endpoint::Tcp { port, .. } | Endpoint::Socket { port, .. } => Some(port),
            Endpoint::File { .. } | Endpoint::Memory => None,
        };
        match (&self.endpoint, &production.endpoint) {
            (Endpoint::File { path: a, .. }, Endpoint::File { path: b, .. }) => return a == b,
            (Endpoint::Memory, _) | (_, Endpoint::Memory) => return false,
            _ => {}
        }
        if self.database != production.database {
            return false;
        }
        // the ports of a database and of its pooler differ, and projects share the host of a pooler
        let all = |target: &Self| target.hosts().all(|host| host.project(&target.user).is_some());
        match (self.projects().next(), production.projects().next()) {
            (Some(_), Some(_))
                if self.projects().any(|own| production.projects().any(|other| own == other)) =>
            {
                return true;
            }
            (Some(_), Some(_)) if all(self) && all(production) => return false,
            _ => {}
        }
        port(self) == port(production)
            && self.places().any(|own| production.places().any(|other| own.meets(&other)))
    }

    /// The Supabase projects that the target names.
    fn projects(&self) -> impl Iterator<Item = &str> {
        self.hosts().filter_map(|host| host.project(&self.user))
    }

    /// Other names of the target's hosts, as a provider gives them: that of a database and that of its pooler.
    pub(crate) fn other_hosts(&self) -> impl Iterator<Item = (&Host, Host)> {
        let of_project = |host: &Host| {
            let project = host.project(&self.user)?;
            Host::parse(&format!("db.{project}.supabase.co")).ok()
        };
        self.hosts().flat_map(move |host| {
            let others = [host.without_pooler(), host.with_pooler(), of_project(host)];
            others.into_iter().flatten().filter(move |other| other != host).map(move |other| (host, other))
        })
    }

    /// The target's user as Supabase's pooler spells it, and as the server does.
    pub(crate) fn other_users(&self) -> impl Iterator<Item = String> {
        self.projects().map(|project| {
            let server = self.user.strip_suffix(project).and_then(|user| user.strip_suffix('.'));
            server.map_or_else(|| format!("{}.{project}", self.user), str::to_owned)
        })
    }

    fn places(&self) -> impl Iterator<Item = MaybeHere<'_>> {
        let effective = match &self.endpoint {
            Endpoint::Tcp { host: Ok(host), .. } => MaybeHere::of(host),
            Endpoint::Tcp { host: Err(spelled), .. } => MaybeHere::Elsewhere(spelled),
            Endpoint::Socket { .. } => MaybeHere::ThisMachine,
            Endpoint::File { .. } | Endpoint::Memory => MaybeHere::Elsewhere(""),
        };
        let claimed = self.claims.iter().map(|claim| match &claim.place {
            ClaimedPlace::Host(host) => MaybeHere::of(host),
            ClaimedPlace::Spelled(spelled) => MaybeHere::Elsewhere(spelled),
            ClaimedPlace::Socket(_) => MaybeHere::ThisMachine,
        });
        [effective].into_iter().chain(claimed)
    }
}

/// A place, with every spelling of this machine taken as one.
enum MaybeHere<'a> {
    ThisMachine,
    /// A host's canonical spelling, or a list of hosts.
    Elsewhere(&'a str),
}

impl<'a> MaybeHere<'a> {
    fn of(host: &'a Host) -> Self {
        let name = host.as_str();
        let unspecified = host.address().is_some_and(|address| address.is_unspecified()); // connects to loopback
        if host.is_loopback() || unspecified || name == "localhost." || name.ends_with(".localhost") {
            Self::ThisMachine
        } else {
            Self::Elsewhere(name)
        }
    }

    fn meets(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::ThisMachine, Self::ThisMachine) => true,
            (Self::Elsewhere(a), Self::Elsewhere(b)) => {
                a.split(',').any(|a| !a.is_empty() && b.split(',').any(|b| is_one_host(a, b)))
            }
            _ => false,
        }
    }
}

/// Whether two names are one host, or a host and its pooler.
fn is_one_host(a: &str, b: &str) -> bool {
    let without_pooler = |name: &str| Host::parse(name).ok()?.without_pooler();
    let is_pooler_of =
        |a: &str, b: &str| without_pooler(a).is_some_and(|a| a.as_str().eq_ignore_ascii_case(b));
    a.eq_ignore_ascii_case(b) || is_pooler_of(a, b) || is_pooler_of(b, a)
}

/// `storefront at prod-pg-cluster.internal:5432 as storefront_app`.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.concealed {
            return f.write_str("a target that is not shown, because parts of a password may stand in it");
        }
        match &self.endpoint {
            Endpoint::Tcp { host, port } => {
                write!(f, "{} at ", Shown(&self.database))?;
                match host {
                    Ok(host) if host.as_str().contains(':') => write!(f, "[{host}]:{port}")?,
                    Ok(host) => write!(f, "{host}:{port}")?,
                    Err(spelled) => write!(f, "{}:{port}", Shown(spelled))?,
                }
            }
            Endpoint::Socket { path, .. } => {
                write!(f, "{} at socket {}", Shown(&self.database), Shown(path))?;
            }
            Endpoint::File { shown, .. } => return write!(f, "file {}", Shown(shown)),
            Endpoint::Memory => return f.write_str("a database in memory"),
        }
        write!(f, " as {}", Shown(&self.user))
    }
}

/// Without the texts, which may hold a secret that somebody put into a parameter.
impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target")
            .field("endpoint", &self.endpoint)
            .field("database", &self.database)
            .field("user", &self.user)
            .field("claims", &self.claims)
            .field("flaws", &self.flaws)
            .finish_non_exhaustive()
    }
}

/// A path without empty segments, as every system reads it; the dot segments stay, and are flaws.
fn canonical_path(path: &str) -> String {
    let mut canonical = String::with_capacity(path.len());
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        if !canonical.is_empty() || path.starts_with('/') {
            canonical.push('/');
        }
        canonical.push_str(segment);
    }
    if canonical.is_empty() { path.to_owned() } else { canonical }
}

/// A name in a message: control characters escaped, and cut at a length that no honest name has.
pub(crate) struct Shown<'a>(pub(crate) &'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // PostgreSQL's names end at 63 bytes and host names at 253
        const LENGTH: usize = 256;
        for c in self.0.chars().take(LENGTH).flat_map(|c| {
            let plain = !c.is_control() && !is_invisible(c);
            plain.then_some(c).into_iter().chain((!plain).then(|| c.escape_unicode()).into_iter().flatten())
        }) {
            fmt::Write::write_char(f, c)?;
        }
        if self.0.chars().nth(LENGTH).is_some() {
            f.write_str("…")?;
        }
        Ok(())
    }
}
