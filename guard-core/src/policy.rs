//! The environments that a team declares, and the words that mark production.

mod file;
mod locate;

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net};

use crate::pattern::{Pattern, PatternError};
use crate::reach;
use crate::reason::Rule;
use crate::secrets::holds_credentials;
use crate::time_limits;
use crate::words::{self, Words};

pub use file::FILE_NAME;

/// A team's rules: which databases may be destroyed, and which may not under any circumstances.
///
/// It is read from `fixture-guard.toml` ([`Policy::load`]) or built in code:
///
/// ```
/// use fixture_guard_core::{Environment, Policy};
///
/// let policy = Policy::new()
///     .environment(Environment::destructive("staging").host("*-staging*")?.database("storefront")?)?
///     .environment(Environment::protected("production").host("prod-*")?.network("10.20.0.0/16")?)?;
/// # Ok::<(), fixture_guard_core::PolicyError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Policy {
    pub(crate) source: Source,
    pub(crate) environments: Vec<Environment>,
    pub(crate) words: Words,
    /// Variables that a team added to the well-known ones.
    pub(crate) process_variables: Vec<String>,
    pub(crate) journal: Option<(PathBuf, JournalRule)>,
}

/// Whether a run needs a journal that can be written.
///
/// ```
/// # use fixture_guard_core as fixture_guard;
/// use fixture_guard::{JournalRule, Policy};
///
/// let policy = Policy::new().journal("target/fixture-guard.jsonl", JournalRule::Required);
/// # let _ = policy;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum JournalRule {
    /// A line that cannot be written is a warning.
    #[default]
    Optional,
    /// Without a journal no fixture runs.
    Required,
}

/// Where a policy came from.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// No file was found: loopback and unix sockets, or the attribute's own hosts.
    BuiltIn,
    Code,
    File(Arc<Path>),
}

/// One named set of facts by which a target is recognised, and whether destruction is allowed there.
///
/// To allow, every fact that is stated must match; to refuse, one fact of a protected environment is enough.
/// `hosts`, `sockets` and `networks` say where a target is: a TCP target must match `hosts` and `networks`, as far
/// as they are stated, and a unix socket must match `sockets`.
///
/// ```
/// # use fixture_guard_core as fixture_guard;
/// use fixture_guard::{Environment, MarkerRule, Policy, SuperuserRule};
///
/// let staging = Environment::destructive("staging")
///     .host("*-staging*")?
///     .database("storefront")?
///     .marker(MarkerRule::Required)
///     .superuser(SuperuserRule::Refused)
///     .max_rows(10_000);
/// let production = Environment::protected("production")
///     .host("prod-*")?
///     .network("10.20.0.0/16")?
///     .system_identifier(7710790977204075312);
/// let policy = Policy::new().environment(staging)?.environment(production)?;
/// assert_eq!(policy.environments().len(), 2);
/// # Ok::<(), fixture_guard::PolicyError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Environment {
    pub(crate) name: String,
    pub(crate) destruction: Destruction,
    pub(crate) hosts: Vec<Pattern>,
    pub(crate) sockets: Vec<Pattern>,
    pub(crate) networks: Vec<IpNet>,
    pub(crate) databases: Vec<Pattern>,
    pub(crate) users: Vec<Pattern>,
    pub(crate) server_users: Vec<Pattern>,
    pub(crate) system_identifiers: Vec<u64>,
    pub(crate) marker: MarkerRule,
    pub(crate) max_rows: Option<u64>,
    pub(crate) process: Option<String>,
    pub(crate) superuser: SuperuserRule,
    pub(crate) max_other_sessions: Option<u64>,
    pub(crate) reach: Vec<String>,
    pub(crate) statement_timeout: Option<Duration>,
    pub(crate) lock_timeout: Option<Duration>,
}

/// Whether a superuser's session may run fixtures.
///
/// ```
/// # use fixture_guard_core as fixture_guard;
/// use fixture_guard::{Environment, SuperuserRule};
///
/// let staging = Environment::destructive("staging").host("*-staging*")?.superuser(SuperuserRule::Refused);
/// # let _ = staging;
/// # Ok::<(), fixture_guard::PolicyError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum SuperuserRule {
    /// It may: local servers and containers run so.
    #[default]
    Allowed,
    /// It may not.
    Refused,
}

/// Whether an environment's databases may be destroyed.
///
/// ```
/// # use fixture_guard_core as fixture_guard;
/// use fixture_guard::{Destruction, Environment};
///
/// assert_eq!(Environment::protected("production").destruction(), Destruction::Refused);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Destruction {
    /// Disposable: fixtures may run.
    Allowed,
    /// Protected: one matching fact is enough to refuse.
    Refused,
}

/// Whether the server itself must say which environment it is.
///
/// ```
/// # use fixture_guard_core as fixture_guard;
/// use fixture_guard::{Environment, MarkerRule};
///
/// let staging = Environment::destructive("staging").host("*-staging*")?.marker(MarkerRule::Required);
/// # let _ = staging;
/// # Ok::<(), fixture_guard::PolicyError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum MarkerRule {
    /// A marker is not asked for; one of a protected environment refuses all the same.
    #[default]
    Optional,
    /// The database must carry this environment's marker, made on this very cluster.
    Required,
}

/// A policy that cannot be a policy: the file, the line, and what to write instead.
///
/// ```
/// # use fixture_guard_core as fixture_guard;
/// use std::path::Path;
///
/// let error = fixture_guard::Policy::parse("[environments.ci]\nhost = 'db'", Path::new("fixture-guard.toml")).unwrap_err();
/// println!("{error}\nhelp: {}", error.help());
/// assert_eq!(error.place(), Some((Path::new("fixture-guard.toml"), Some(2))));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyError {
    place: Option<(PathBuf, Option<usize>)>,
    found: String,
    help: Cow<'static, str>,
}

impl PolicyError {
    fn new(found: impl Into<String>, help: impl Into<Cow<'static, str>>) -> Self {
        Self { place: None, found: found.into(), help: help.into() }
    }

    /// Shows nothing of the text.
    fn credentials(place: &str) -> Self {
        Self::new(
            format!("{place} is a connection string, or contains a password; it is not shown"),
            "write the name alone, without user, password and scheme; change the password if the file was committed",
        )
    }

    fn time_limit(key: &str) -> Self {
        Self::new(
            format!("`{key}` is not a time from 1 ms to 24 hours"),
            format!(
                "write a number and a unit, as in `{key} = \"90s\"`; the units are `ms`, `s`, `m`, `min` and `h`"
            ),
        )
    }

    fn at(mut self, file: &Path, line: Option<usize>) -> Self {
        self.place = Some((file.to_owned(), line));
        self
    }

    /// The file, and the line (from 1) where one is known.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// let error = fixture_guard::Environment::destructive("ci").host("*").unwrap_err();
    /// assert!(error.place().is_none(), "it was built in code");
    /// ```
    #[must_use]
    pub fn place(&self) -> Option<(&Path, Option<usize>)> {
        self.place.as_ref().map(|(file, line)| (file.as_path(), *line))
    }

    /// What to write instead.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// let error = fixture_guard::Environment::destructive("ci").host("*").unwrap_err();
    /// assert!(error.help().contains("`*-staging*`"));
    /// ```
    #[must_use]
    pub fn help(&self) -> &str {
        &self.help
    }
}

/// `fixture-guard.toml:4: the pattern …`.
impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some((file, Some(line))) => write!(f, "{}:{line}: ", file.display())?,
            Some((file, None)) => write!(f, "{}: ", file.display())?,
            None => {}
        }
        f.write_str(&self.found)
    }
}

impl std::error::Error for PolicyError {}

impl From<PatternError> for PolicyError {
    fn from(error: PatternError) -> Self {
        let help = match &error {
            PatternError::Credentials => return Self::credentials("the pattern"),
            PatternError::Empty => "write the name that the pattern stands for, or remove the entry",
            PatternError::Everything(_) => {
                "name a part that only the wanted targets have, as in `*-staging*` or `localhost`"
            }
            PatternError::Character { .. } => {
                "write a host name or an address without a port, with `*` and `?` as wildcards; ranges of addresses \
                 go under `networks`"
            }
        };
        Self::new(error.to_string(), help)
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::new()
    }
}

impl Policy {
    /// A policy without environments: it allows nothing.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// assert!(fixture_guard::Policy::new().environments().is_empty());
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self {
            source: Source::Code,
            environments: Vec::new(),
            words: Words::default(),
            process_variables: Vec::new(),
            journal: None,
        }
    }

    /// What holds where there is no file: loopback and unix sockets, or the attribute's own `hosts`.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// assert_eq!(fixture_guard::Policy::built_in().environments()[0].name(), "local");
    /// ```
    #[must_use]
    pub fn built_in() -> Self {
        let mut local = Environment::destructive("local");
        local.hosts = ["localhost", "127.*", "::1"].map(Pattern::trusted).into();
        local.sockets = vec![Pattern::everything()];
        Self { source: Source::BuiltIn, environments: vec![local], ..Self::new() }
    }

    /// Adds an environment.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// use fixture_guard::{Environment, Policy};
    ///
    /// assert!(Policy::new().environment(Environment::destructive("ci").host("postgres")?).is_ok());
    /// // it does not say where it is
    /// assert!(Policy::new().environment(Environment::destructive("ci")).is_err());
    /// # Ok::<(), fixture_guard::PolicyError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If the name is empty, taken, or says production although destruction is allowed, or if the environment
    /// states nothing by which it could be recognised.
    pub fn environment(mut self, environment: Environment) -> Result<Self, PolicyError> {
        self.add(environment)?;
        Ok(self)
    }

    fn add(&mut self, environment: Environment) -> Result<(), PolicyError> {
        let name = &environment.name;
        if holds_credentials(name) {
            return Err(PolicyError::credentials("the name of an environment"));
        }
        if name.is_empty() || name.contains('@') || name.chars().any(|c| c.is_control() || c.is_whitespace())
        {
            return Err(PolicyError::new(
                format!("`{name}` cannot be the name of an environment"),
                "name it with one word, as in `staging`",
            ));
        }
        let texts =
            environment.texts().chain(environment.reach.iter().map(|entry| ("reach", entry.as_str())));
        for (key, text) in texts {
            if holds_credentials(text) {
                return Err(PolicyError::credentials(&format!("`{key}` of `{name}`")));
            }
        }
        for entry in &environment.reach {
            reach::check(entry).map_err(|(found, help)| PolicyError::new(found, help))?;
        }
        let limits = [
            ("statement_timeout", environment.statement_timeout),
            ("lock_timeout", environment.lock_timeout),
        ];
        for (key, limit) in limits {
            if limit.is_some_and(|limit| !time_limits::is_one(limit)) {
                return Err(PolicyError::time_limit(key));
            }
        }
        if self.environments.iter().any(|known| known.name == *name) {
            return Err(PolicyError::new(
                format!("the environment `{name}` stands here twice"),
                "merge the two, or name one of them otherwise",
            ));
        }
        if environment.destruction == Destruction::Allowed {
            if let Some(word) = self.words.find(name) {
                return Err(PolicyError::new(
                    format!(
                        "the environment `{name}` allows destruction, and `{word}` is a word for production"
                    ),
                    "set `destructive = false`, or name the environment for what it is",
                ));
            }
            for (key, text) in environment.texts() {
                self.refuse_production_word(name, key, text)?;
            }
            if environment.hosts.is_empty()
                && environment.sockets.is_empty()
                && environment.networks.is_empty()
            {
                return Err(PolicyError::new(
                    format!("the environment `{name}` allows destruction and does not say where it is"),
                    "state at least one of `hosts`, `sockets` and `networks`",
                ));
            }
        }
        self.environments.push(environment);
        Ok(())
    }

    /// A rule of a destructive environment that names production: no target could ever fit it.
    fn refuse_production_word(&self, environment: &str, key: &str, text: &str) -> Result<(), PolicyError> {
        let Some(word) = self.words.find(text) else { return Ok(()) };
        Err(PolicyError::new(
            format!(
                "`{text}` in `{key}` of `{environment}`, which allows destruction, holds `{word}`, a word for \
                 production"
            ),
            "move it to an environment with `destructive = false`; if the word is harmless here, declare it under \
             `[markers] harmless`",
        ))
    }

    /// Adds a word that marks production, besides `prod`, `production`, `prd` and `live`.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// let policy = fixture_guard::Policy::new().production_word("primary");
    /// # let _ = policy;
    /// ```
    ///
    /// # Panics
    ///
    /// If it is not one word of letters. [Texts are split](crate::Words) at everything else, so that it would mark nothing.
    #[must_use]
    #[track_caller]
    pub fn production_word(mut self, word: &str) -> Self {
        assert!(words::is_one(word), "`{word}` is not one word of letters, and would mark nothing");
        self.words.add(word);
        self
    }

    /// Declares a whole word harmless, as `preprod` or `nonprod`. It loosens the rule for that word only.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// use fixture_guard::{Environment, Policy};
    ///
    /// let preprod = Environment::destructive("preprod").host("preprod-db")?;
    /// assert!(Policy::new().environment(preprod.clone()).is_err());
    /// assert!(Policy::new().harmless_word("preprod").environment(preprod).is_ok());
    /// # Ok::<(), fixture_guard::PolicyError>(())
    /// ```
    #[must_use]
    pub fn harmless_word(mut self, word: &str) -> Self {
        self.words.declare_harmless(word);
        self
    }

    /// Adds an environment variable by which processes say which environment they run in.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// let policy = fixture_guard::Policy::new().process_variable("SHOP_TIER");
    /// # let _ = policy;
    /// ```
    #[must_use]
    pub fn process_variable(mut self, name: &str) -> Self {
        self.process_variables.push(name.to_owned());
        self
    }

    /// Writes one line of JSON for each run to the end of this file. A relative path is relative to the process's
    /// working directory; in `fixture-guard.toml` it is relative to that file.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// use fixture_guard::{JournalRule, Policy};
    ///
    /// let policy = Policy::new().journal("target/fixture-guard.jsonl", JournalRule::Optional);
    /// # let _ = policy;
    /// ```
    #[must_use]
    pub fn journal(mut self, path: impl Into<PathBuf>, rule: JournalRule) -> Self {
        self.journal = Some((path.into(), rule));
        self
    }

    pub(crate) fn journal_file(&self) -> Option<(&Path, JournalRule)> {
        self.journal.as_ref().map(|(path, rule)| (path.as_path(), *rule))
    }

    /// What loosens a rule, in a few words each. It stands in every line of the journal.
    pub(crate) fn loosenings(&self) -> Vec<String> {
        self.words.harmless().map(|word| format!("`{word}` is declared harmless")).collect()
    }

    /// The file that the policy was read from.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// assert!(fixture_guard::Policy::built_in().file().is_none());
    /// ```
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match &self.source {
            Source::File(file) => Some(file),
            Source::BuiltIn | Source::Code => None,
        }
    }

    /// The environments, in the order in which they stand.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// fn names(policy: &fixture_guard::Policy) -> Vec<&str> {
    ///     policy.environments().iter().map(fixture_guard::Environment::name).collect()
    /// }
    /// ```
    #[must_use]
    pub fn environments(&self) -> &[Environment] {
        &self.environments
    }

    /// Whether a rule needs the addresses that a name resolves to.
    pub(crate) fn asks_for_addresses(&self) -> bool {
        self.environments.iter().any(|environment| !environment.networks.is_empty())
    }

    /// The rule at `key` of an environment.
    pub(crate) fn rule(&self, environment: &Environment, key: &str) -> Rule {
        self.rule_at(&format!("environments.{}.{key}", environment.name))
    }

    pub(crate) fn rule_at(&self, key: &str) -> Rule {
        match &self.source {
            Source::BuiltIn => Rule::built_in("without a fixture-guard.toml: loopback and unix sockets only"),
            Source::Code => Rule::Policy { file: None, key: key.to_owned() },
            Source::File(file) => Rule::Policy { file: Some(Arc::clone(file)), key: key.to_owned() },
        }
    }
}

impl Environment {
    fn new(name: &str, destruction: Destruction) -> Self {
        Self {
            name: name.to_owned(),
            destruction,
            hosts: Vec::new(),
            sockets: Vec::new(),
            networks: Vec::new(),
            databases: Vec::new(),
            users: Vec::new(),
            server_users: Vec::new(),
            system_identifiers: Vec::new(),
            marker: MarkerRule::Optional,
            max_rows: None,
            process: None,
            superuser: SuperuserRule::Allowed,
            max_other_sessions: None,
            reach: Vec::new(),
            statement_timeout: None,
            lock_timeout: None,
        }
    }

    /// The texts in which a production word counts, with their keys.
    pub(crate) fn texts(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let lists = [
            ("hosts", &self.hosts),
            ("sockets", &self.sockets),
            ("databases", &self.databases),
            ("users", &self.users),
            ("server_users", &self.server_users),
        ];
        lists
            .into_iter()
            .flat_map(|(key, list)| list.iter().map(move |pattern| (key, pattern.written())))
            .chain(self.process.as_deref().map(|process| ("process", process)))
    }

    /// An environment whose databases may be destroyed.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// let ci = fixture_guard::Environment::destructive("ci").host("postgres")?;
    /// # let _ = ci;
    /// # Ok::<(), fixture_guard::PolicyError>(())
    /// ```
    #[must_use]
    pub fn destructive(name: &str) -> Self {
        Self::new(name, Destruction::Allowed)
    }

    /// An environment that must not be touched.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// let production = fixture_guard::Environment::protected("production").host("*.prod.internal")?;
    /// # let _ = production;
    /// # Ok::<(), fixture_guard::PolicyError>(())
    /// ```
    #[must_use]
    pub fn protected(name: &str) -> Self {
        Self::new(name, Destruction::Refused)
    }

    /// Adds a pattern for host names and addresses. SQLite's files are matched by their path.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// use fixture_guard::Environment;
    ///
    /// let ci = Environment::destructive("ci").host("postgres")?.host("10.0.*")?;
    /// assert!(Environment::destructive("ci").host("*").is_err());
    /// # let _ = ci;
    /// # Ok::<(), fixture_guard::PolicyError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If the pattern is empty, matches everything, or can match no host.
    pub fn host(mut self, pattern: &str) -> Result<Self, PolicyError> {
        self.hosts.push(Pattern::host(pattern)?);
        Ok(self)
    }

    /// Adds a pattern for the directory (PostgreSQL) or file (MySQL) of a unix socket.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// let local = fixture_guard::Environment::destructive("local").socket("/var/run/postgresql")?;
    /// # let _ = local;
    /// # Ok::<(), fixture_guard::PolicyError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If the pattern is empty or matches everything.
    pub fn socket(mut self, pattern: &str) -> Result<Self, PolicyError> {
        self.sockets.push(Pattern::name(pattern)?);
        Ok(self)
    }

    /// Adds a network that the host's addresses must lie in, or must not for a protected environment.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// use fixture_guard::Environment;
    ///
    /// let production = Environment::protected("production").network("10.20.0.0/16")?.network("fd00:20::/32")?;
    /// assert!(Environment::protected("production").network("0.0.0.0/0").is_err());
    /// # let _ = production;
    /// # Ok::<(), fixture_guard::PolicyError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If it is not a network in CIDR notation, or is one that holds every address.
    pub fn network(mut self, network: &str) -> Result<Self, PolicyError> {
        const HELP: &str = "write it as in `10.20.0.0/16` or `fd00::/8`";
        if holds_credentials(network) {
            return Err(PolicyError::credentials("the network"));
        }
        let parsed: IpNet =
            network.parse().map_err(|_| PolicyError::new(format!("`{network}` is not a network"), HELP))?;
        let parsed = unmapped(parsed);
        if parsed.prefix_len() == 0 {
            return Err(PolicyError::new(format!("the network `{network}` holds every address"), HELP));
        }
        self.networks.push(parsed.trunc());
        Ok(self)
    }

    /// Adds a pattern for names of databases.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// let ci = fixture_guard::Environment::destructive("ci").host("postgres")?.database("shop_test_*")?;
    /// # let _ = ci;
    /// # Ok::<(), fixture_guard::PolicyError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If the pattern is empty or matches everything.
    pub fn database(mut self, pattern: &str) -> Result<Self, PolicyError> {
        self.databases.push(Pattern::name(pattern)?);
        Ok(self)
    }

    /// Adds a pattern for names of users.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// let ci = fixture_guard::Environment::destructive("ci").host("postgres")?.user("shop_tests")?;
    /// # let _ = ci;
    /// # Ok::<(), fixture_guard::PolicyError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If the pattern is empty or matches everything.
    pub fn user(mut self, pattern: &str) -> Result<Self, PolicyError> {
        self.users.push(Pattern::name(pattern)?);
        Ok(self)
    }

    /// Adds a pattern for the login roles of a pooler that renames the user. Such a role is accepted where the
    /// environment also states its cluster, its marker or the network of the server.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// let ci = fixture_guard::Environment::destructive("ci")
    ///     .host("*.pooler.supabase.com")?
    ///     .user("postgres.abcdefghij")?
    ///     .server_user("postgres")?
    ///     .system_identifier(7710790977204075312);
    /// # let _ = ci;
    /// # Ok::<(), fixture_guard::PolicyError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If the pattern is empty or matches everything.
    pub fn server_user(mut self, pattern: &str) -> Result<Self, PolicyError> {
        self.server_users.push(Pattern::name(pattern)?);
        Ok(self)
    }

    /// Adds a cluster by its system identifier, as `pg_control_system()` shows it.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// let production = fixture_guard::Environment::protected("production").system_identifier(7710790977204075312);
    /// # let _ = production;
    /// ```
    #[must_use]
    pub fn system_identifier(mut self, identifier: u64) -> Self {
        self.system_identifiers.push(identifier);
        self
    }

    /// Asks the server itself to say which environment it is.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// use fixture_guard::{Environment, MarkerRule};
    ///
    /// let staging = Environment::destructive("staging").host("*-staging*")?.marker(MarkerRule::Required);
    /// # let _ = staging;
    /// # Ok::<(), fixture_guard::PolicyError>(())
    /// ```
    #[must_use]
    pub fn marker(mut self, rule: MarkerRule) -> Self {
        self.marker = rule;
        self
    }

    /// How many rows one fixture may remove at most.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// let staging = fixture_guard::Environment::destructive("staging").host("*-staging*")?.max_rows(10_000);
    /// # let _ = staging;
    /// # Ok::<(), fixture_guard::PolicyError>(())
    /// ```
    #[must_use]
    pub fn max_rows(mut self, rows: u64) -> Self {
        self.max_rows = Some(rows);
        self
    }

    /// Ties the process's own environment to this one: a process that says `process` may touch no other, and this
    /// one may be touched by no other.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// // for processes with `APP_ENV=staging` and the like, and no others
    /// let staging = fixture_guard::Environment::destructive("staging").host("*-staging*")?.process("staging");
    /// # let _ = staging;
    /// # Ok::<(), fixture_guard::PolicyError>(())
    /// ```
    #[must_use]
    pub fn process(mut self, process: &str) -> Self {
        self.process = Some(process.to_owned());
        self
    }

    /// Whether a superuser's session may run fixtures here.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// use fixture_guard::{Environment, SuperuserRule};
    ///
    /// let staging = Environment::destructive("staging").host("*-staging*")?.superuser(SuperuserRule::Refused);
    /// # let _ = staging;
    /// # Ok::<(), fixture_guard::PolicyError>(())
    /// ```
    #[must_use]
    pub fn superuser(mut self, rule: SuperuserRule) -> Self {
        self.superuser = rule;
        self
    }

    /// How many other client sessions may use the database while a fixture runs.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// let staging = fixture_guard::Environment::destructive("staging").host("*-staging*")?.max_other_sessions(30);
    /// # let _ = staging;
    /// # Ok::<(), fixture_guard::PolicyError>(())
    /// ```
    #[must_use]
    pub fn max_other_sessions(mut self, sessions: u64) -> Self {
        self.max_other_sessions = Some(sessions);
        self
    }

    /// Declares what fixtures may touch here beyond their tables, as in `trigger:audit_log`; `*` and `?` are wildcards.
    ///
    /// [`Policy::environment`] refuses an entry that can match nothing.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// let ci = fixture_guard::Environment::destructive("ci").host("postgres")?.reach("trigger:audit_log");
    /// # let _ = ci;
    /// # Ok::<(), fixture_guard::PolicyError>(())
    /// ```
    #[must_use]
    pub fn reach(mut self, declared: &str) -> Self {
        self.reach.push(declared.to_owned());
        self
    }

    /// Limits how long a statement of a body may take here.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// let ci = fixture_guard::Environment::destructive("ci").host("postgres")?;
    /// let ci = ci.statement_timeout(std::time::Duration::from_secs(120));
    /// # let _ = ci;
    /// # Ok::<(), fixture_guard::PolicyError>(())
    /// ```
    #[must_use]
    pub fn statement_timeout(mut self, limit: Duration) -> Self {
        self.statement_timeout = Some(limit);
        self
    }

    /// Limits how long a statement of a body may wait for a lock here.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// let ci = fixture_guard::Environment::destructive("ci").host("postgres")?;
    /// let ci = ci.lock_timeout(std::time::Duration::from_secs(10));
    /// # let _ = ci;
    /// # Ok::<(), fixture_guard::PolicyError>(())
    /// ```
    #[must_use]
    pub fn lock_timeout(mut self, limit: Duration) -> Self {
        self.lock_timeout = Some(limit);
        self
    }

    /// The environment's name.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// assert_eq!(fixture_guard::Environment::destructive("ci").name(), "ci");
    /// ```
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether its databases may be destroyed.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// use fixture_guard::{Destruction, Environment};
    ///
    /// assert_eq!(Environment::destructive("ci").destruction(), Destruction::Allowed);
    /// ```
    #[must_use]
    pub fn destruction(&self) -> Destruction {
        self.destruction
    }
}

/// Addresses are compared as IPv4 where they are IPv4 inside IPv6, and so are networks.
fn unmapped(network: IpNet) -> IpNet {
    match (network.addr().to_canonical(), network.prefix_len().checked_sub(96)) {
        (IpAddr::V4(address), Some(length)) if matches!(network, IpNet::V6(_)) => {
            Ipv4Net::new(address, length).map_or(network, IpNet::V4)
        }
        _ => network,
    }
}
