//! The verdict. Pure: the same facts give the same verdict; no I/O, no clock, no environment.

mod expect;
mod listed;
mod server;

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use crate::addresses::Addresses;
use crate::fixture::Narrowing;
use crate::host::Host;
use crate::identity::Identity;
use crate::pattern::Pattern;
use crate::policy::{Destruction, Environment, MarkerRule, Policy, Source, SuperuserRule};
use crate::reason::{Code, Reason, Rule};
use crate::secrets::Value;
use crate::surroundings::{MODE_VARIABLE, Surroundings};
use crate::target::{ClaimedPlace, Endpoint, Part, Shown, Target};
use crate::words::without_hash;

pub use expect::{expect, signs_of_production};
pub use listed::{Fact, Source as FactSource};
pub(crate) use server::{reached_directly, standby};

/// Everything that is known when a verdict is asked for.
///
/// ```
/// # use fixture_guard_core as fixture_guard;
/// use fixture_guard::{Code, Facts, Policy, Surroundings, Target, judge};
///
/// let (target, _) = Target::from_postgres_dsn("postgres://app@prod-db.internal/shop")?;
/// let surroundings = Surroundings::default();
/// let facts = Facts { target: &target, surroundings: &surroundings, narrowing: None, addresses: None, identity: None };
///
/// let reasons = judge(&Policy::built_in(), &facts).unwrap_err();
/// assert!(reasons.iter().any(|reason| reason.code() == Code::ProductionWord));
/// # Ok::<(), fixture_guard::InvalidDsn>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// Where the driver will connect.
    pub target: &'a Target,
    /// The process's environment variables.
    pub surroundings: &'a Surroundings,
    /// What the attribute narrows, if there is one.
    pub narrowing: Option<&'a Narrowing>,
    /// The addresses of the target's hosts and of this machine, once they were looked up.
    pub addresses: Option<&'a Addresses>,
    /// What the connected server said, once there is one.
    pub identity: Option<&'a Identity>,
}

/// The proof that a policy allowed a target. Only [`judge`] can make one.
///
/// ```
/// # use fixture_guard_core as fixture_guard;
/// use fixture_guard::{Environment, Facts, Policy, Surroundings, Target, judge};
///
/// let staging = Environment::destructive("staging").host("*-staging*")?.max_rows(10_000);
/// let policy = Policy::new().environment(staging)?;
/// let (target, _) = Target::from_postgres_dsn("postgres://app@db-staging/shop")?;
/// let surroundings = Surroundings::default();
/// let facts = Facts { target: &target, surroundings: &surroundings, narrowing: None, addresses: None, identity: None };
///
/// let clearance = judge(&policy, &facts).expect("it is staging");
/// assert_eq!((clearance.environment(), clearance.max_rows()), ("staging", Some(10_000)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clearance {
    environment: String,
    max_rows: Option<u64>,
    reach: Vec<String>,
    statement_timeout: Option<Duration>,
    lock_timeout: Option<Duration>,
}

impl Clearance {
    /// The environment that the target was recognised as.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// fn is_staging(tx: &fixture_guard::GuardedTransaction) -> bool {
    ///     tx.clearance().environment() == "staging"
    /// }
    /// ```
    #[must_use]
    pub fn environment(&self) -> &str {
        &self.environment
    }

    /// How many rows the environment lets a fixture remove.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// fn budget(tx: &fixture_guard::GuardedTransaction) -> u64 {
    ///     tx.clearance().max_rows().unwrap_or(u64::MAX)
    /// }
    /// ```
    #[must_use]
    pub fn max_rows(&self) -> Option<u64> {
        self.max_rows
    }

    /// How long the environment lets a statement of a body take.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// fn has_a_limit(tx: &fixture_guard::GuardedTransaction) -> bool {
    ///     tx.clearance().statement_timeout().is_some()
    /// }
    /// ```
    #[must_use]
    pub fn statement_timeout(&self) -> Option<Duration> {
        self.statement_timeout
    }

    /// How long the environment lets a statement of a body wait for a lock.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// fn has_a_limit(tx: &fixture_guard::GuardedTransaction) -> bool {
    ///     tx.clearance().lock_timeout().is_some()
    /// }
    /// ```
    #[must_use]
    pub fn lock_timeout(&self) -> Option<Duration> {
        self.lock_timeout
    }

    /// What the environment lets fixtures touch beyond their tables.
    pub(crate) fn reach(&self) -> impl Iterator<Item = &str> {
        self.reach.iter().map(String::as_str)
    }
}

/// Whether a fixture may run here.
///
/// ```
/// # use fixture_guard_core as fixture_guard;
/// use fixture_guard::{Facts, Policy, Surroundings, Target, judge};
///
/// let (target, _) = Target::from_postgres_dsn("postgres://app@localhost/shop")?;
/// let surroundings = Surroundings::default();
/// let facts = Facts { target: &target, surroundings: &surroundings, narrowing: None, addresses: None, identity: None };
///
/// assert!(judge(&Policy::built_in(), &facts).is_ok());
/// assert!(judge(&Policy::new(), &facts).is_err(), "a policy without environments allows nothing");
/// # Ok::<(), fixture_guard::InvalidDsn>(())
/// ```
///
/// # Errors
///
/// Every reason against, in the order of their codes; never an empty list.
pub fn judge(policy: &Policy, facts: &Facts<'_>) -> Result<Clearance, Vec<Reason>> {
    let mut reasons = Vec::new();
    spelling(facts, &mut reasons);
    words(policy, facts, &mut reasons);
    surroundings(policy, facts, &mut reasons);
    addresses(policy, facts, &mut reasons);
    protected(policy, facts, None, &mut reasons);
    let environment = environment(policy, facts, &mut reasons);
    attribute(policy, facts, &mut reasons);
    if let Some(environment) = environment {
        process(policy, facts, environment, &mut reasons);
    }
    if let Some(identity) = facts.identity {
        server::judge(policy, facts, environment, identity, &mut reasons);
    }
    match environment {
        Some(environment) if reasons.is_empty() => Ok(Clearance {
            environment: environment.name.clone(),
            max_rows: environment.max_rows,
            reach: environment.reach.clone(),
            statement_timeout: environment.statement_timeout,
            lock_timeout: environment.lock_timeout,
        }),
        _ => {
            reasons.sort_by_key(Reason::code);
            Err(reasons)
        }
    }
}

/// What an environment wants to know of the server, if the server was not asked: then a yes is none yet.
#[doc(hidden)]
#[must_use]
pub fn not_asked(policy: &Policy, environment: &str) -> Option<Reason> {
    let environment = policy.environments.iter().find(|known| known.name == environment)?;
    let wanted = [
        ("marker", environment.marker == MarkerRule::Required),
        ("system_identifiers", !environment.system_identifiers.is_empty()),
        ("superuser", environment.superuser == SuperuserRule::Refused),
        ("max_other_sessions", environment.max_other_sessions.is_some()),
    ];
    let wanted: Vec<&str> = wanted.iter().filter(|(_, is)| *is).map(|(key, _)| *key).collect();
    let first = wanted.first()?;
    Some(Reason::new(
        Code::IdentityUnknown,
        policy.rule(environment, first),
        format!("the server was not asked, and `{}` wants to know: {}", environment.name, wanted.join(", ")),
        "ask the server: run the check without `--offline`",
    ))
}

/// Spellings that no rule can judge.
fn spelling(facts: &Facts<'_>, reasons: &mut Vec<Reason>) {
    for flaw in &facts.target.flaws {
        let rule = Rule::built_in("every client must read the same target");
        reasons.push(Reason::new(Code::Ambiguous, rule, flaw.to_string(), flaw.help()));
    }
}

/// Words that mark production, wherever the target or the server has letters.
fn words(policy: &Policy, facts: &Facts<'_>, reasons: &mut Vec<Reason>) {
    const HELP: &str = "point the test at a disposable database; if the word is harmless here, declare it under \
                        `[markers] harmless` in fixture-guard.toml";
    let target = facts.target;
    let mut seen: Vec<&str> = Vec::new();
    for (part, text) in target_texts(target).chain(facts.identity.into_iter().flat_map(server_texts)) {
        let Some(word) = policy.words.find(text) else { continue };
        if seen.contains(&text) {
            continue;
        }
        seen.push(text);
        let found = match &part {
            // options may hold settings of any kind, tokens included: the rule's own word is enough
            Part::Options => format!(
                "the options hold `{}`, which marks production",
                policy.words.find_word(text).unwrap_or(word)
            ),
            Part::Parameter(_) => format!(
                "the {part} holds `{}`, which marks production",
                policy.words.find_word(text).unwrap_or(word)
            ),
            _ => format!("the {part} `{}` holds `{word}`, which marks production", Shown(text)),
        };
        reasons.push(Reason::new(
            Code::ProductionWord,
            Rule::built_in("production words are refused"),
            found,
            HELP,
        ));
    }
}

fn target_texts(target: &Target) -> impl Iterator<Item = (Part, &str)> {
    let place = match &target.endpoint {
        Endpoint::Tcp { host: Ok(host), .. } => Some((Part::Host, host.as_str())),
        Endpoint::Tcp { host: Err(spelled), .. } => Some((Part::Host, spelled.as_str())),
        Endpoint::Socket { path, .. } => Some((Part::File, path.as_str())),
        Endpoint::File { .. } => file_name(target).map(|path| (Part::File, path)),
        Endpoint::Memory => None,
    };
    let claims = target.claims.iter().map(|claim| (claim.part.clone(), claim.place.as_str()));
    let texts = target.texts.iter().map(|(part, text)| (part.clone(), text.as_str()));
    place
        .into_iter()
        .chain(claims)
        .chain([(Part::Database, without_hash(target.database())), (Part::User, target.user())])
        .chain(texts)
}

fn server_texts(identity: &Identity) -> impl Iterator<Item = (Part, &str)> {
    [
        (Part::Database, without_hash(&identity.database)),
        (Part::User, identity.login_role.as_str()),
        (Part::User, identity.effective_role.as_str()),
        (Part::Cluster, identity.cluster_name.as_str()),
        (Part::SearchPath, identity.search_path.as_str()),
    ]
    .into_iter()
}

/// What the process's own environment says.
fn surroundings(policy: &Policy, facts: &Facts<'_>, reasons: &mut Vec<Reason>) {
    if let Err(value) = facts.surroundings.mode() {
        reasons.push(Reason::new(
            Code::UnknownMode,
            Rule::built_in("a wish that is not understood is not passed over"),
            format!("the environment variable {MODE_VARIABLE} says `{}`", Value(value)),
            format!("write `{MODE_VARIABLE}=rehearse` to keep nothing of what fixtures do, or remove it"),
        ));
    }
    for (name, value) in facts.surroundings.declared(&policy.process_variables) {
        if policy.words.find_despite_harmless(value).is_some() {
            reasons.push(Reason::new(
                Code::ProcessInProduction,
                Rule::built_in("a process in production destroys nothing"),
                format!("the environment variable {name} says `{}`", Value(value)),
                format!("run the suite where {name} does not say production"),
            ));
        }
    }
    named_production(policy, facts, reasons);
}

/// Variables that name this very database production.
fn named_production(policy: &Policy, facts: &Facts<'_>, reasons: &mut Vec<Reason>) {
    for (name, named) in facts.surroundings.production(&policy.words) {
        if facts.target.may_be(named) {
            reasons.push(Reason::new(
                Code::NamedProduction,
                Rule::built_in("what the environment names production is production"),
                format!("the environment variable {name} names this very database"),
                format!("give the tests a database of their own, or correct {name}"),
            ));
        }
    }
}

/// Names that must resolve and do not, or were not asked for.
fn addresses(policy: &Policy, facts: &Facts<'_>, reasons: &mut Vec<Reason>) {
    const HELP: &str = "check the name and the resolver, or remove `networks` from the policy";
    if !policy.asks_for_addresses() {
        return;
    }
    let rule = || Rule::built_in("rules about networks need an address");
    for (host, error) in facts.addresses.into_iter().flat_map(Addresses::missing) {
        let found = format!("the host `{host}` cannot be compared with `networks`: {error}");
        reasons.push(Reason::new(Code::Unresolved, rule(), found, HELP));
    }
    if facts.addresses.is_none() {
        for host in facts.target.hosts().filter(|host| host.address().is_none()) {
            let found = format!("the host `{host}` cannot be compared with `networks`: it was not looked up");
            reasons.push(Reason::new(Code::Unresolved, rule(), found, HELP));
        }
    }
}

/// Every address that is known of a host: what it resolved to, or itself.
fn known_addresses<'a>(facts: &Facts<'a>) -> impl Iterator<Item = (&'a Host, IpAddr)> + use<'a> {
    let spelled = facts.target.hosts().filter_map(|host| Some((host, host.address()?)));
    let spelled = facts.addresses.is_none().then_some(spelled);
    spelled.into_iter().flatten().chain(facts.addresses.into_iter().flat_map(Addresses::found))
}

/// Facts of protected environments but `own`: one is enough.
fn protected(policy: &Policy, facts: &Facts<'_>, own: Option<&str>, reasons: &mut Vec<Reason>) {
    let others = policy.environments.iter().filter(|known| Some(known.name.as_str()) != own);
    for environment in others.filter(|known| known.destruction == Destruction::Refused) {
        let Some((key, found)) = protected_fact(environment, facts) else { continue };
        reasons.push(Reason::new(
            Code::ProtectedEnvironment,
            policy.rule(environment, key),
            format!("{found} belongs to the protected environment `{}`", environment.name),
            "point the test at a disposable database; there is no switch for a protected one",
        ));
    }
}

/// The first fact of `environment` that the target or the server has.
fn protected_fact(environment: &Environment, facts: &Facts<'_>) -> Option<(&'static str, String)> {
    let target = facts.target;
    for host in target.hosts() {
        if any(&environment.hosts, host.as_str()) {
            return Some(("hosts", format!("the host `{host}`")));
        }
    }
    for (host, other) in target.other_hosts() {
        if any(&environment.hosts, other.as_str()) {
            return Some(("hosts", format!("the host `{host}`, which is the database of `{other}`,")));
        }
    }
    for path in sockets(target) {
        if any(&environment.sockets, path) {
            return Some(("sockets", format!("the socket `{}`", Shown(path))));
        }
    }
    if let Some(path) = file_name(target).filter(|path| any_file(&environment.hosts, path)) {
        return Some(("hosts", format!("the file `{}`", Shown(path))));
    }
    for (host, address) in known_addresses(facts) {
        if let Some(network) = environment.networks.iter().find(|network| network.contains(&address)) {
            return Some((
                "networks",
                format!("the host `{host}`, which resolves to {address} in {network},"),
            ));
        }
    }
    if let Some(address) = facts.identity.and_then(|identity| identity.server_address)
        && let Some(network) = environment.networks.iter().find(|network| network.contains(&address))
    {
        return Some(("networks", format!("the server's address {address} in {network}")));
    }
    if let Some(identifier) = facts.identity.and_then(|identity| identity.system_identifier)
        && environment.system_identifiers.contains(&identifier)
    {
        return Some(("system_identifiers", format!("the cluster {identifier}")));
    }
    let (databases, users) = names(facts);
    for database in databases {
        if any(&environment.databases, database) {
            return Some(("databases", format!("the database `{}`", Shown(database))));
        }
    }
    for user in users {
        if any(&environment.users, user) {
            return Some(("users", format!("the user `{}`", Shown(user))));
        }
    }
    for user in target.other_users().filter(|_| !environment.users.is_empty()) {
        if any(&environment.users, &user) {
            let of_target = Shown(target.user());
            return Some(("users", format!("the user `{of_target}`, which is `{}`,", Shown(&user))));
        }
    }
    None
}

/// The one environment that allows destruction and fits.
fn environment<'p>(
    policy: &'p Policy,
    facts: &Facts<'_>,
    reasons: &mut Vec<Reason>,
) -> Option<&'p Environment> {
    let mut fitting =
        destructive(policy).filter(|environment| misfits(policy, environment, facts).next().is_none());
    match (fitting.next(), fitting.next()) {
        // a database in memory has no place, so it fits every environment, and belongs to none but this process
        (Some(environment), Some(_)) if facts.target.endpoint == Endpoint::Memory => Some(environment),
        (Some(environment), None) => Some(environment),
        (Some(first), Some(second)) => {
            reasons.push(Reason::new(
                Code::SeveralEnvironments,
                policy.rule_at("environments"),
                format!("the target fits both `{}` and `{}`", first.name, second.name),
                "state a fact in one of them that the other has not",
            ));
            None
        }
        (None, _) => {
            no_environment(policy, facts, reasons);
            None
        }
    }
}

fn destructive(policy: &Policy) -> impl Iterator<Item = &Environment> {
    policy.environments.iter().filter(|known| known.destruction == Destruction::Allowed)
}

/// Why no environment fits: each fact that is missing if there is one candidate, one line if there are several.
fn no_environment(policy: &Policy, facts: &Facts<'_>, reasons: &mut Vec<Reason>) {
    // what is left of such a target says nothing, and its spelling is the reason already
    if facts.target.concealed {
        return;
    }
    let mut candidates = destructive(policy);
    if let (Some(environment), None) = (candidates.next(), candidates.next()) {
        for misfit in misfits(policy, environment, facts) {
            reasons.push(misfit.reason(policy, environment, facts));
        }
        return;
    }
    reasons.push(Reason::new(
        Code::NoEnvironment,
        policy.rule_at("environments"),
        Near { policy, facts }.to_string(),
        "point the test at one of the disposable databases, or describe this one in fixture-guard.toml",
    ));
}

/// The environments that a target does not fit, with the keys that keep it out: those whose place is right first,
/// and no more than a person reads.
struct Near<'a> {
    policy: &'a Policy,
    facts: &'a Facts<'a>,
}

impl fmt::Display for Near<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 4;
        let total = destructive(self.policy).count();
        if total == 0 {
            return f.write_str("the policy has no environment that allows destruction");
        }
        write!(f, "{} fits no environment that allows destruction: ", place(self.facts.target))?;
        let Self { policy, facts } = *self;
        let misfits = |environment| misfits(policy, environment, facts);
        let elsewhere = |environment: &Environment| {
            self::misfits(policy, environment, facts).any(|misfit| misfit.is_of_place())
        };
        let near = destructive(policy).filter(|environment| !elsewhere(environment));
        let others = destructive(policy).filter(|environment| elsewhere(environment));
        for (index, environment) in near.chain(others).take(SHOWN).enumerate() {
            write!(f, "{}not `{}` (", if index == 0 { "" } else { ", " }, environment.name)?;
            let mut last = "";
            for misfit in misfits(environment) {
                if misfit.key != last {
                    write!(f, "{}{}", if last.is_empty() { "" } else { ", " }, misfit.key)?;
                }
                last = misfit.key;
            }
            f.write_str(")")?;
        }
        if total > SHOWN { write!(f, ", and {} more", total - SHOWN) } else { Ok(()) }
    }
}

/// A fact that an environment states and the target does not have. It borrows: an environment that does not match
/// costs no allocation.
struct Misfit<'a> {
    key: &'static str,
    found: Found<'a>,
    wanted: Wanted<'a>,
}

/// What a target has instead.
enum Found<'a> {
    Host(&'a Host, Option<&'a Part>),
    Spelled(&'a str, Option<&'a Part>),
    Socket(&'a str),
    File(&'a str),
    Address(&'a Host, IpAddr),
    NoAddress,
    Name(&'static str, &'a str),
    ServerAddress(IpAddr),
    Cluster(Option<u64>),
}

impl fmt::Display for Found<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(host, None) => write!(f, "the host `{host}`"),
            Self::Host(host, Some(part)) => write!(f, "the host `{host}` in the {part}"),
            Self::Spelled(spelled, None) => write!(f, "the host `{}`", Shown(spelled)),
            Self::Spelled(spelled, Some(part)) => write!(f, "the host `{}` in the {part}", Shown(spelled)),
            Self::Socket(path) => write!(f, "the socket `{}`", Shown(path)),
            Self::File(path) => write!(f, "the file `{}`", Shown(path)),
            Self::Address(host, address) => write!(f, "the host `{host}`, which resolves to {address},"),
            Self::NoAddress => f.write_str("the host, whose addresses are not known,"),
            Self::Name(what, "") => write!(f, "the {what}, which the DSN does not name,"),
            Self::Name(what, name) => write!(f, "the {what} `{}`", Shown(name)),
            Self::ServerAddress(address) => write!(f, "the server's address {address}"),
            Self::Cluster(Some(identifier)) => write!(f, "the cluster {identifier}"),
            Self::Cluster(None) => f.write_str("the cluster, whose identifier this role may not read,"),
        }
    }
}

/// What an environment or an attribute wants.
enum Wanted<'a> {
    Patterns(&'a [Pattern], &'static str),
    Networks(&'a [IpNet]),
    Clusters(&'a [u64]),
}

impl fmt::Display for Wanted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        match self {
            Self::Patterns([], key) => write!(f, "among the {key}, of which none is listed"),
            Self::Patterns([one], _) => write!(f, "`{one}`"),
            Self::Patterns(many, _) => {
                f.write_str("one of ")?;
                many.iter().try_for_each(|pattern| {
                    write!(f, "{}`{pattern}`", std::mem::replace(&mut separator, ", "))
                })
            }
            Self::Networks(networks) => {
                f.write_str("in the networks ")?;
                networks
                    .iter()
                    .try_for_each(|network| write!(f, "{}{network}", std::mem::replace(&mut separator, ", ")))
            }
            Self::Clusters(identifiers) => {
                f.write_str("among the clusters ")?;
                identifiers
                    .iter()
                    .try_for_each(|cluster| write!(f, "{}{cluster}", std::mem::replace(&mut separator, ", ")))
            }
        }
    }
}

impl Misfit<'_> {
    /// Whether the target is somewhere else, and not only named otherwise.
    fn is_of_place(&self) -> bool {
        !matches!(self.found, Found::Name(..))
    }

    fn describe(&self) -> String {
        format!("{} is not {}", self.found, self.wanted)
    }

    fn reason(&self, policy: &Policy, environment: &Environment, facts: &Facts<'_>) -> Reason {
        let help = match policy.source {
            Source::BuiltIn => {
                "name the hosts of disposable databases in the attribute, as in `hosts = [\"*-staging*\"]`, or \
                 write a fixture-guard.toml"
            }
            Source::Code | Source::File(_) => {
                "point the test at one of the disposable databases, or describe this one in fixture-guard.toml"
            }
        };
        // With a built-in policy the attribute's own hosts stand in for the file's.
        let rule = match facts.narrowing {
            Some(narrowing) if matches!(policy.source, Source::BuiltIn) && !narrowing.hosts.is_empty() => {
                Rule::attribute(narrowing.place, "hosts")
            }
            _ => policy.rule(environment, self.key),
        };
        Reason::new(Code::PlaceNotAllowed, rule, self.describe(), help)
    }
}

/// The facts that `environment` states and the target does not have. Lazy, so that an environment which does not
/// match costs no more than its first comparison.
fn misfits<'a>(
    policy: &'a Policy,
    environment: &'a Environment,
    facts: &Facts<'a>,
) -> impl Iterator<Item = Misfit<'a>> + use<'a> {
    let target = facts.target;
    // Without a file, `hosts` of the attribute takes the place of the built-in list: a fixture that names staging
    // does not mean localhost too.
    let own = match (&policy.source, facts.narrowing) {
        (Source::BuiltIn, Some(narrowing)) if !narrowing.hosts.is_empty() => Some(&narrowing.hosts),
        _ => None,
    };
    let hosts: &[Pattern] = own.unwrap_or(&environment.hosts);
    // a cloud's proxy names its sockets after the instance: the database is not on this machine
    let abroad = matches!(policy.source, Source::BuiltIn)
        && sockets(target).any(|path| path.contains(':') || path.starts_with("/cloudsql"));
    let sockets: &[Pattern] = if own.is_some() || abroad { &[] } else { &environment.sockets };
    place_misfits(hosts, sockets, !environment.networks.is_empty(), target)
        .chain(network_misfits(environment, facts))
        .chain(name_misfits(environment, facts))
        .chain(server_misfits(environment, facts))
}

/// `by_network`: a destructive environment that states no hosts is recognised by its networks.
fn place_misfits<'a>(
    hosts: &'a [Pattern],
    sockets: &'a [Pattern],
    by_network: bool,
    target: &'a Target,
) -> impl Iterator<Item = Misfit<'a>> + use<'a> {
    let of_hosts = move |found| Misfit { key: "hosts", found, wanted: Wanted::Patterns(hosts, "hosts") };
    let of_sockets = move |path| Misfit {
        key: "sockets",
        found: Found::Socket(path),
        wanted: Wanted::Patterns(sockets, "sockets"),
    };
    let compare_hosts = !hosts.is_empty() || !by_network;
    let to_socket = matches!(target.endpoint, Endpoint::Socket { .. });
    let effective = match &target.endpoint {
        Endpoint::Tcp { host, .. } if compare_hosts => match host {
            Ok(host) if any(hosts, host.as_str()) => None,
            Ok(host) => Some(of_hosts(Found::Host(host, None))),
            Err(spelled) => Some(of_hosts(Found::Spelled(spelled, None))),
        },
        Endpoint::Socket { path, .. } if !any(sockets, path) => Some(of_sockets(path)),
        Endpoint::File { .. } => match file_name(target) {
            Some(path) if any_file(hosts, path) => None,
            path => Some(of_hosts(Found::File(path.unwrap_or_default()))),
        },
        Endpoint::Tcp { .. } | Endpoint::Socket { .. } | Endpoint::Memory => None,
    };
    let claims = target.claims.iter().filter_map(move |claim| match &claim.place {
        ClaimedPlace::Host(host) if !compare_hosts || any(hosts, host.as_str()) => None,
        // clouds document `localhost` as a placeholder beside a socket
        ClaimedPlace::Host(host) if to_socket && host.is_loopback() => None,
        ClaimedPlace::Host(host) => Some(of_hosts(Found::Host(host, Some(&claim.part)))),
        ClaimedPlace::Spelled(spelled) => Some(of_hosts(Found::Spelled(spelled, Some(&claim.part)))),
        ClaimedPlace::Socket(path) => (!any(sockets, path)).then(|| of_sockets(path)),
    });
    effective.into_iter().chain(claims)
}

fn network_misfits<'a>(
    environment: &'a Environment,
    facts: &Facts<'a>,
) -> impl Iterator<Item = Misfit<'a>> + use<'a> {
    let networks: &[IpNet] = &environment.networks;
    let misfit = move |found| Misfit { key: "networks", found, wanted: Wanted::Networks(networks) };
    let asked = !networks.is_empty() && matches!(facts.target.endpoint, Endpoint::Tcp { .. });
    let unknown = asked && known_addresses(facts).next().is_none();
    let outside = known_addresses(facts)
        .filter(move |(_, address)| asked && !networks.iter().any(|network| network.contains(address)))
        .map(move |(host, address)| misfit(Found::Address(host, address)));
    unknown.then(|| misfit(Found::NoAddress)).into_iter().chain(outside)
}

/// Facts that only the connected server has.
fn server_misfits<'a>(
    environment: &'a Environment,
    facts: &Facts<'a>,
) -> impl Iterator<Item = Misfit<'a>> + use<'a> {
    let networks: &[IpNet] = &environment.networks;
    let outside = facts
        .identity
        .and_then(|identity| identity.server_address)
        .filter(|address| !networks.is_empty() && !networks.iter().any(|network| network.contains(address)))
        .map(|address| Misfit {
            key: "networks",
            found: Found::ServerAddress(address),
            wanted: Wanted::Networks(networks),
        });
    let stated: &[u64] = &environment.system_identifiers;
    let elsewhere = facts
        .identity
        .map(|identity| identity.system_identifier)
        .filter(|cluster| !stated.is_empty() && !cluster.is_some_and(|cluster| stated.contains(&cluster)))
        .map(|cluster| Misfit {
            key: "system_identifiers",
            found: Found::Cluster(cluster),
            wanted: Wanted::Clusters(stated),
        });
    outside.into_iter().chain(elsewhere)
}

fn name_misfits<'a>(
    environment: &'a Environment,
    facts: &Facts<'a>,
) -> impl Iterator<Item = Misfit<'a>> + use<'a> {
    let (databases, users) = names(facts);
    let databases = databases.filter_map(compare("databases", "database", &environment.databases));
    // a pooler logs in as a user of its own, which the environment lists separately
    let dialed = facts.target.user();
    let users = users.filter(move |user| *user == dialed || !any(&environment.server_users, user));
    databases.chain(users.filter_map(compare("users", "user", &environment.users)))
}

/// The misfit of a name with patterns, of which none is stated if there are none.
fn compare<'a>(
    key: &'static str,
    what: &'static str,
    patterns: &'a [Pattern],
) -> impl Fn(&'a str) -> Option<Misfit<'a>> {
    move |name| {
        let fits = patterns.is_empty() || any(patterns, name);
        let wanted = Wanted::Patterns(patterns, key);
        (!fits).then_some(Misfit { key, found: Found::Name(what, name), wanted })
    }
}

/// The names to compare: the target's, and the server's once it has answered.
fn names<'a>(
    facts: &Facts<'a>,
) -> (impl Iterator<Item = &'a str> + use<'a>, impl Iterator<Item = &'a str> + use<'a>) {
    let identity = facts.identity;
    let database = facts.target.database();
    let user = facts.target.user();
    let reported = move |own: &'a str, read: fn(&'a Identity) -> &'a str| {
        identity.map(read).filter(move |reported| *reported != own)
    };
    // a file has neither; a server that is told no database has one all the same, and it is not known which
    let named = matches!(facts.target.endpoint, Endpoint::Tcp { .. } | Endpoint::Socket { .. });
    let databases = named.then_some(database).into_iter();
    let users = named.then_some(user).into_iter();
    (
        databases.chain(reported(database, |identity| &identity.database)),
        users.chain(reported(user, |identity| &identity.login_role)),
    )
}

/// What the attribute narrows further.
fn attribute(policy: &Policy, facts: &Facts<'_>, reasons: &mut Vec<Reason>) {
    const HELP: &str = "point the test at a target that the attribute allows, or change the attribute";
    let Some(narrowing) = facts.narrowing.filter(|_| !facts.target.concealed) else { return };
    let refused = |code, option, misfit: &Misfit<'_>| {
        Reason::new(code, Rule::attribute(narrowing.place, option), misfit.describe(), HELP)
    };
    // with a built-in policy these hosts were the environment's own
    if !narrowing.hosts.is_empty() && !matches!(policy.source, Source::BuiltIn) {
        let misfits = place_misfits(&narrowing.hosts, &[], false, facts.target);
        reasons.extend(misfits.map(|misfit| refused(Code::PlaceNotAllowed, "hosts", &misfit)));
    }
    if !narrowing.databases.is_empty() {
        let misfits = names(facts).0.filter_map(compare("databases", "database", &narrowing.databases));
        reasons.extend(misfits.map(|misfit| refused(Code::NotNamedByAttribute, "databases", &misfit)));
    }
    if let Some(name) = narrowing.environment {
        let fits = destructive(policy).any(|environment| {
            environment.name == name && misfits(policy, environment, facts).next().is_none()
        });
        if !fits {
            reasons.push(Reason::new(
                Code::NotNamedByAttribute,
                Rule::attribute(narrowing.place, "environment"),
                format!("the target is not recognised as the environment `{name}`"),
                HELP,
            ));
        }
    }
}

/// A process's declared environment is tied to the target's, in both directions.
fn process(policy: &Policy, facts: &Facts<'_>, environment: &Environment, reasons: &mut Vec<Reason>) {
    if policy.environments.iter().all(|known| known.process.is_none()) {
        return;
    }
    let owner = |value: &str| {
        let is = |process: &String| process.eq_ignore_ascii_case(value);
        policy.environments.iter().find(|known| known.process.as_ref().is_some_and(is))
    };
    let mut said = false;
    for (name, value) in facts.surroundings.declared(&policy.process_variables) {
        let owner = owner(value);
        // `NODE_ENV=test` or `NEXTEST_PROFILE=ci` is another tool's word, unless the team lists the variable
        let listed = policy.process_variables.iter().any(|listed| listed == name);
        let found = match (&environment.process, owner) {
            (Some(wanted), _) if wanted.eq_ignore_ascii_case(value) => {
                said = true;
                continue;
            }
            (Some(wanted), owner) if owner.is_some() || listed => {
                format!(
                    "{name} says `{}`, and the environment `{}` wants `{wanted}`",
                    Value(value),
                    environment.name
                )
            }
            (None, Some(owner)) => {
                format!(
                    "{name} says `{}`, which belongs to the environment `{}`, and the target is `{}`",
                    Value(value),
                    owner.name,
                    environment.name
                )
            }
            _ => continue,
        };
        said = true;
        reasons.push(Reason::new(
            Code::ProcessElsewhere,
            policy.rule(
                if environment.process.is_some() { environment } else { owner.unwrap_or(environment) },
                "process",
            ),
            found,
            "run the suite in the target's environment, or give it that environment's own database",
        ));
    }
    if let (Some(wanted), false) = (&environment.process, said) {
        let variable = policy.process_variables.first().map_or("APP_ENV", String::as_str);
        reasons.push(Reason::new(
            Code::ProcessElsewhere,
            policy.rule(environment, "process"),
            format!(
                "no environment variable says `{wanted}`, which the environment `{}` wants",
                environment.name
            ),
            format!("set {variable}={wanted} for this suite"),
        ));
    }
}

fn any(patterns: &[Pattern], name: &str) -> bool {
    Pattern::any(patterns, name)
}

/// A pattern for hosts is lower case, so a file is compared without case too.
fn any_file(patterns: &[Pattern], path: &str) -> bool {
    any(patterns, &path.to_ascii_lowercase())
}

/// Every unix socket that some client would dial.
fn sockets(target: &Target) -> impl Iterator<Item = &str> {
    let effective = match &target.endpoint {
        Endpoint::Socket { path, .. } => Some(path.as_str()),
        _ => None,
    };
    effective.into_iter().chain(target.claims.iter().filter_map(|claim| match &claim.place {
        ClaimedPlace::Socket(path) => Some(path.as_str()),
        ClaimedPlace::Host(_) | ClaimedPlace::Spelled(_) => None,
    }))
}

/// The place that is dialled, for a message.
fn place(target: &Target) -> String {
    match &target.endpoint {
        Endpoint::Tcp { host: Ok(host), .. } => format!("the host `{host}`"),
        Endpoint::Tcp { host: Err(spelled), .. } => format!("the host `{}`", Shown(spelled)),
        Endpoint::Socket { path, .. } => format!("the socket `{}`", Shown(path)),
        Endpoint::File { .. } => format!("the file `{}`", Shown(file_name(target).unwrap_or_default())),
        Endpoint::Memory => "a database in memory".to_owned(),
    }
}

/// The real path of a SQLite file, below the working directory where it lies there, so that the directories above a
/// checkout do not count.
fn file_name(target: &Target) -> Option<&str> {
    match &target.endpoint {
        Endpoint::File { shown, .. } => Some(shown),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
