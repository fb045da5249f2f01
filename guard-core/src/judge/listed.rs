//! Everything that a verdict is given on, for people and programs to read. Nothing of it is a secret.

use std::fmt;

use crate::identity::Identity;
use crate::marker::Marker;
use crate::policy::Policy;
use crate::target::{Endpoint, Part, Shown, Target};

use super::Facts;

/// One fact that a verdict is given on, ready to be shown.
///
/// ```
/// # use fixture_guard_core::{Facts, Policy, Surroundings, Target};
/// # let (target, _) = Target::from_postgres_dsn("postgres://app@db-staging.internal/shop").unwrap();
/// # let surroundings = &Surroundings::default();
/// # let facts = Facts { target: &target, surroundings, narrowing: None, addresses: None, identity: None };
/// for fact in facts.listed(&Policy::new()) {
///     println!("{} {}: {}", fact.source().as_str(), fact.name(), fact.value()); // target host: db-staging.internal
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    source: Source,
    name: String,
    value: String,
}

/// Where a fact comes from.
///
/// ```
/// # use fixture_guard_core::FactSource;
/// assert_eq!(FactSource::Resolver.as_str(), "resolver");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// The options that the driver dials with, and the DSN's spelling.
    Target,
    /// The resolver.
    Resolver,
    /// The process's environment variables.
    Process,
    /// The connected server.
    Server,
}

impl Source {
    /// One word, as in `server`.
    ///
    /// ```
    /// # use fixture_guard_core::FactSource;
    /// assert_eq!(FactSource::Server.as_str(), "server");
    /// ```
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Target => "target",
            Self::Resolver => "resolver",
            Self::Process => "process",
            Self::Server => "server",
        }
    }
}

impl Fact {
    fn new(source: Source, name: impl Into<String>, value: impl fmt::Display) -> Self {
        Self { source, name: name.into(), value: value.to_string() }
    }

    /// Where it comes from.
    ///
    /// ```
    /// # use fixture_guard_core::{Facts, Policy, Surroundings, Target};
    /// # let (target, _) = Target::from_postgres_dsn("postgres://app@db-staging.internal/shop").unwrap();
    /// # let surroundings = &Surroundings::default();
    /// # let facts = Facts { target: &target, surroundings, narrowing: None, addresses: None, identity: None };
    /// # let listed = facts.listed(&Policy::new());
    /// assert_eq!(listed[0].source(), fixture_guard_core::FactSource::Target);
    /// ```
    #[must_use]
    pub fn source(&self) -> Source {
        self.source
    }

    /// As in `host`, `database`, `system identifier`.
    ///
    /// ```
    /// # use fixture_guard_core::{Facts, Policy, Surroundings, Target};
    /// # let (target, _) = Target::from_postgres_dsn("postgres://app@db-staging.internal/shop").unwrap();
    /// # let surroundings = &Surroundings::default();
    /// # let facts = Facts { target: &target, surroundings, narrowing: None, addresses: None, identity: None };
    /// # let listed = facts.listed(&Policy::new());
    /// assert!(listed.iter().any(|fact| fact.name() == "database"));
    /// ```
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is, with control characters escaped.
    ///
    /// ```
    /// # use fixture_guard_core::{Facts, Policy, Surroundings, Target};
    /// # let (target, _) = Target::from_postgres_dsn("postgres://app@db-staging.internal/shop").unwrap();
    /// # let surroundings = &Surroundings::default();
    /// # let facts = Facts { target: &target, surroundings, narrowing: None, addresses: None, identity: None };
    /// # let listed = facts.listed(&Policy::new());
    /// assert!(listed.iter().any(|fact| fact.value() == "shop"));
    /// ```
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }
}

impl Facts<'_> {
    /// Every fact that [`judge`](super::judge()) and [`expect`](super::expect()) look at. Texts that may hold a secret
    /// (session options, parameters that no driver knows) are named and not shown.
    ///
    /// ```
    /// use fixture_guard_core::{Facts, Policy, Surroundings, Target};
    ///
    /// let (target, _) = Target::from_postgres_dsn("postgres://app:secret@db-staging.internal/shop").unwrap();
    /// let surroundings = &Surroundings::default();
    /// let facts = Facts { target: &target, surroundings, narrowing: None, addresses: None, identity: None };
    /// let host = &facts.listed(&Policy::built_in())[0];
    /// assert_eq!((host.name(), host.value()), ("host", "db-staging.internal"));
    /// ```
    #[must_use]
    pub fn listed(&self, policy: &Policy) -> Vec<Fact> {
        let mut listed = Vec::new();
        if self.target.concealed {
            let hidden = "not shown, because parts of a password may stand in it";
            listed.push(Fact::new(Source::Target, "target", hidden));
        } else {
            target(self.target, &mut listed);
        }
        for (host, address) in self.addresses.into_iter().flat_map(crate::Addresses::found) {
            listed.push(Fact::new(Source::Resolver, format!("address of {host}"), address));
        }
        for (host, error) in self.addresses.into_iter().flat_map(crate::Addresses::missing) {
            listed.push(Fact::new(Source::Resolver, format!("address of {host}"), error));
        }
        for (name, value) in self.surroundings.declared(&policy.process_variables) {
            listed.push(Fact::new(Source::Process, name, crate::secrets::Value(value)));
        }
        for (name, named) in self.surroundings.production(&policy.words) {
            // two names may lead to one database, so another name proves nothing
            let compared =
                if self.target.may_be(named) { "names this very database" } else { "has another name" };
            listed.push(Fact::new(Source::Process, name, compared));
        }
        if let Some(identity) = self.identity {
            server(identity, &mut listed);
        }
        listed
    }
}

fn target(target: &Target, listed: &mut Vec<Fact>) {
    let mut add = |name: &str, value: &dyn fmt::Display| {
        listed.push(Fact::new(Source::Target, name, value));
    };
    match &target.endpoint {
        Endpoint::Tcp { host, port } => {
            match host {
                Ok(host) => add("host", host),
                Err(spelled) => add("host", &Shown(spelled)),
            }
            add("port", port);
        }
        Endpoint::Socket { path, port } => {
            add("socket", &Shown(path));
            add("port", port);
        }
        Endpoint::File { shown, .. } => return add("file", &Shown(shown)),
        Endpoint::Memory => return add("file", &"none: a database in memory"),
    }
    add("database", &Shown(&target.database));
    add("user", &Shown(&target.user));
    for claim in &target.claims {
        add(&format!("also named in the {}", claim.part), &Shown(claim.place.as_str()));
    }
    for (part, text) in &target.texts {
        match part {
            Part::Options | Part::Parameter(_) => add(&part.to_string(), &"set, and not shown"),
            _ => add(&format!("also named in the {part}"), &Shown(text)),
        }
    }
}

fn server(identity: &Identity, listed: &mut Vec<Fact>) {
    let mut add = |name: &str, value: &dyn fmt::Display| {
        listed.push(Fact::new(Source::Server, name, value));
    };
    let yes = |is: bool| if is { "yes" } else { "no" };
    add("database", &Shown(&identity.database));
    add("login role", &Shown(&identity.login_role));
    add("effective role", &Shown(&identity.effective_role));
    add("superuser", &yes(identity.superuser));
    match (identity.server_address, identity.server_port) {
        (Some(address), Some(port)) => add("address", &std::net::SocketAddr::new(address, port)),
        _ => add("address", &"a unix socket"),
    }
    match identity.system_identifier {
        Some(identifier) => add("system identifier", &identifier),
        None => add("system identifier", &"this role may not read it"),
    }
    add("cluster name", &Shown(&identity.cluster_name));
    add("version", &identity.version);
    add("standby", &yes(identity.in_recovery));
    add("search path", &Shown(&identity.search_path));
    add("owner", &Shown(&identity.owner));
    match Marker::of(identity) {
        Some(marker) => add("marker", &Shown(&marker.to_string())),
        None => add("marker", &"none"),
    }
    add("other sessions", &identity.other_sessions);
}
