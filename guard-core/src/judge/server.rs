//! What the connected server says, against the target that was judged and dialled.

use std::net::IpAddr;

use crate::addresses::Addresses;
use crate::identity::Identity;
use crate::marker::Marker;
use crate::policy::{Destruction, Environment, MarkerRule, Policy, Source, SuperuserRule};
use crate::reach;
use crate::reason::{Code, Reason, Rule};
use crate::target::{Endpoint, Shown, Target};

use super::{Facts, any};

/// The rules that need an answer from the server. `environment` is the one that the target was recognised as, if it
/// was.
pub(super) fn judge(
    policy: &Policy,
    facts: &Facts<'_>,
    environment: Option<&Environment>,
    identity: &Identity,
    reasons: &mut Vec<Reason>,
) {
    same_database(facts.target, environment, identity, reasons);
    writable(identity, reasons);
    settings_of_the_role(environment, identity, reasons);
    marker(policy, environment, identity, reasons);
    if let Some(environment) = environment {
        forwarded(policy, facts, environment, identity, reasons);
        session(policy, environment, identity, reasons);
    }
}

/// The rules that say whether this is the server of `environment`, and nothing about what may be done there.
pub(super) fn same_server(
    policy: &Policy,
    facts: &Facts<'_>,
    environment: &Environment,
    identity: &Identity,
    reasons: &mut Vec<Reason>,
) {
    same_database(facts.target, Some(environment), identity, reasons);
    marker(policy, Some(environment), identity, reasons);
    forwarded(policy, facts, environment, identity, reasons);
}

/// Whether a marker names an environment that must not be destroyed, be it of the policy or not.
pub(super) fn is_protected(policy: &Policy, marker: &Marker) -> bool {
    let named = policy.environments.iter().find(|known| known.name == marker.environment());
    named.is_some_and(|named| named.destruction == Destruction::Refused)
        || policy.words.find(marker.environment()).is_some()
}

/// The database and the user of the session are the ones that were dialled. A pooler may log in as a user that the
/// environment lists under `server_users`, where a fact of the server vouches for it.
fn same_database(
    target: &Target,
    environment: Option<&Environment>,
    identity: &Identity,
    reasons: &mut Vec<Reason>,
) {
    let mut differs = |what: &str, server: &str, own: &str, help: &'static str| {
        reasons.push(Reason::new(
            Code::ConnectedElsewhere,
            Rule::built_in("the server must be the target that was judged"),
            format!(
                "the server says that the {what} is `{}`, and `{}` was dialled",
                Shown(server),
                Shown(own)
            ),
            help,
        ));
    };
    if identity.database != target.database() {
        let help =
            "connect to the database itself; behind a pooler or a proxy, dial the name that the server uses";
        differs("database", &identity.database, target.database(), help);
    }
    let renamed = environment.is_some_and(|environment| {
        any(&environment.server_users, &identity.login_role) && is_vouched_for(environment, identity)
    });
    if identity.login_role != target.user() && !renamed {
        let help = "dial the user that the server uses; if a pooler renames the user, state `server_users` for the \
                    environment, with `system_identifiers` or `marker = \"required\"`";
        differs("user", &identity.login_role, target.user(), help);
    }
}

/// As the server reads a Boolean: `on`, `1`, and whatever `true` and `yes` begin with.
fn is_on(value: &str) -> bool {
    let value = value.to_ascii_lowercase();
    let begins = |word: &str| !value.is_empty() && word.starts_with(&value);
    value == "on" || value == "1" || begins("true") || begins("yes")
}

/// Neither a standby nor a database that its owner made read-only.
fn writable(identity: &Identity, reasons: &mut Vec<Reason>) {
    if identity.in_recovery {
        reasons.push(standby());
    }
    let read_only = identity
        .stored_settings
        .iter()
        .find(|stored| stored.setting.strip_prefix("default_transaction_read_only=").is_some_and(is_on));
    if let Some(stored) = read_only {
        let of = if stored.of_database { "database" } else { "role" };
        reasons.push(Reason::new(
            Code::ReadOnly,
            Rule::built_in("what its owner made read-only stays as it is"),
            format!("`{}` is stored for the {of}", stored.setting),
            "take a disposable database; this one is meant to be read",
        ));
    } else if identity.read_only {
        reasons.push(Reason::new(
            Code::ReadOnly,
            Rule::built_in("what its owner made read-only stays as it is"),
            "the session's transactions are read-only by default (`default_transaction_read_only` is on)",
            "remove the setting from the connect options, the pool's hooks or the server's configuration, if this \
             database is disposable",
        ));
    }
}

/// Whether the session is the server's own, so that no pooler gives it to another client between two transactions.
///
/// True only where it is certain: the server has the address and the port that were dialed, or the socket that was
/// dialed is one of the server's. A published port of a container is not certain.
pub(crate) fn reached_directly(target: &Target, addresses: Option<&Addresses>, identity: &Identity) -> bool {
    match (&target.endpoint, identity.server_address) {
        (Endpoint::Tcp { host: Ok(host), port }, Some(server)) => {
            let server = server.to_canonical();
            let is_dialed = host.address() == Some(server)
                || addresses
                    .and_then(|addresses| addresses.of(host)?.ok())
                    .is_some_and(|mut found| found.any(|address| address == server));
            is_dialed && identity.server_port == Some(*port)
        }
        (Endpoint::Socket { path, port }, None) => {
            let directories = identity.socket_directories.as_deref().unwrap_or_default();
            identity.port_setting == Some(*port)
                && directories
                    .split(',')
                    .any(|directory| real_run(directory.trim().trim_matches('"')) == real_run(path))
        }
        _ => false,
    }
}

/// Linux distributions link `/var/run` to `/run`.
fn real_run(directory: &str) -> &str {
    let directory = directory.trim_end_matches('/');
    directory.strip_prefix("/var").filter(|rest| rest.starts_with("/run/")).unwrap_or(directory)
}

/// The server is a standby.
pub(crate) fn standby() -> Reason {
    Reason::new(
        Code::Standby,
        Rule::built_in("a standby is somebody's copy"),
        "the server is a standby: it can only be read",
        "point the test at a server of its own, not at a replica",
    )
}

/// A role or search path that `ALTER ROLE … SET` stored: statements then mean something else than they say.
fn settings_of_the_role(environment: Option<&Environment>, identity: &Identity, reasons: &mut Vec<Reason>) {
    for stored in identity.stored_settings.iter().filter(|stored| stored.of_role) {
        let Some((name @ ("role" | "search_path"), _)) = stored.setting.split_once('=') else { continue };
        let finding = format!("setting:{name}");
        if environment
            .is_some_and(|environment| environment.reach.iter().any(|entry| reach::declares(entry, &finding)))
        {
            continue;
        }
        reasons.push(Reason::new(
            Code::Reach,
            Rule::built_in("a statement means what it says"),
            format!("ALTER ROLE stored `{}` for the user `{}`", stored.setting, Shown(&identity.login_role)),
            format!("if that is meant, declare `reach = [\"{finding}\"]` for the environment in the policy"),
        ));
    }
}

/// What the database's own marker says.
fn marker(
    policy: &Policy,
    environment: Option<&Environment>,
    identity: &Identity,
    reasons: &mut Vec<Reason>,
) {
    let required = environment.filter(|environment| environment.marker == MarkerRule::Required);
    let rule = |environment: Option<&Environment>| match environment {
        Some(environment) => policy.rule(environment, "marker"),
        None => Rule::built_in("a database's own marker counts"),
    };
    let Some(marker) = Marker::of(identity) else {
        if let Some(environment) = required {
            reasons.push(Reason::new(
                Code::MarkerMissing,
                rule(required),
                format!("the database does not say that it is `{}`", environment.name),
                format!(
                    "if it is, mark it: ALTER DATABASE … SET {}, or `fixture-guard mark {}`",
                    Marker::NAME,
                    environment.name
                ),
            ));
        }
        return;
    };
    let named = policy.environments.iter().find(|known| known.name == marker.environment());
    // a protected environment's own marker is no surprise where that very environment is expected
    let own = environment.is_some_and(|environment| environment.name == marker.environment());
    let protected = is_protected(policy, &marker) && !own;
    // Without a file the one environment has a name of ours, which no team's marker repeats.
    let other = !matches!(policy.source, Source::BuiltIn)
        && environment.is_some_and(|environment| environment.name != marker.environment());
    if protected || other {
        reasons.push(Reason::new(
            Code::MarkerElsewhere,
            rule(named.or(required)),
            format!("the database says that it is `{}`", Shown(marker.environment())),
            "believe it; or, if it is a restored copy that may be destroyed, mark it anew",
        ));
    }
    match (marker.system_identifier(), identity.system_identifier) {
        (Some(of_marker), Some(own)) if of_marker == own => {}
        (Some(of_marker), Some(own)) => reasons.push(Reason::new(
            Code::MarkerCopied,
            rule(required),
            format!("the marker `{marker}` was copied from the cluster {of_marker}, and this is {own}"),
            "mark it anew, if this copy may be destroyed",
        )),
        (_, None) => reasons.push(Reason::new(
            Code::Unreadable,
            rule(required),
            "the role may not execute pg_control_system(), so that the marker cannot be compared with the cluster",
            "GRANT EXECUTE ON FUNCTION pg_control_system() to the test's role",
        )),
        (None, _) => reasons.push(Reason::new(
            Code::MarkerCopied,
            rule(required),
            format!("the marker `{marker}` does not say on which cluster it was made"),
            "mark the database anew",
        )),
    }
}

/// Something between us and the server took the connection elsewhere: a tunnel, a pooler, a proxy, a published port.
///
/// Then the dialed name says nothing about the server, and a fact of the server must vouch for it. A container's port
/// that is published on this machine is recognized by this machine's own addresses: the server is on this machine.
fn forwarded(
    policy: &Policy,
    facts: &Facts<'_>,
    environment: &Environment,
    identity: &Identity,
    reasons: &mut Vec<Reason>,
) {
    let Some(found) = forwarding(facts.target, facts.addresses, identity) else { return };
    if is_vouched_for(environment, identity) || is_published_port(facts.target, facts.addresses, identity) {
        return;
    }
    reasons.push(Reason::new(
        Code::Forwarded,
        policy.rule(environment, "hosts"),
        found,
        "if this is a tunnel, close it or unset PGHOST and PGPORT; to allow it, state a fact of the server for this \
         environment: `system_identifiers`, `marker = \"required\"`, or `networks` that contain the server's address \
         and are not loopback",
    ));
}

/// Whether the environment states a fact of the server: its cluster, its marker, or a network that contains its
/// address. Every machine has loopback and link-local addresses, so these identify no server. That the facts match is
/// another rule's matter.
fn is_vouched_for(environment: &Environment, identity: &Identity) -> bool {
    let by_network = identity.server_address.is_some_and(|address| {
        let address = address.to_canonical();
        !is_of_every_machine(address) && environment.networks.iter().any(|network| network.contains(&address))
    });
    by_network || !environment.system_identifiers.is_empty() || environment.marker == MarkerRule::Required
}

fn is_of_every_machine(address: IpAddr) -> bool {
    let link_local = match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    address.is_loopback() || address.is_unspecified() || link_local
}

/// How the server that answers differs from the dialed place, if it does or if the two cannot be compared.
fn forwarding(target: &Target, addresses: Option<&Addresses>, identity: &Identity) -> Option<String> {
    match (&target.endpoint, identity.server_address, identity.server_port) {
        (Endpoint::Tcp { host: Ok(host), port }, Some(server), Some(server_port)) => {
            let server = server.to_canonical();
            let answers =
                || format!("the server that answers is {}", std::net::SocketAddr::new(server, server_port));
            let elsewhere =
                || Some(format!("{host}:{port} was dialled, and {}: something forwards", answers()));
            if server_port != *port {
                return elsewhere();
            }
            if let Some(dialed) = host.address() {
                return if dialed == server { None } else { elsewhere() };
            }
            if host.is_loopback() {
                return if server.is_loopback() { None } else { elsewhere() };
            }
            match addresses.and_then(|addresses| addresses.of(host)) {
                Some(Ok(mut found)) => (!found.any(|address| address == server)).then(|| format!(
                    "{host}:{port} was dialled, and {}, which is no address of `{host}`: something forwards",
                    answers()
                )),
                Some(Err(error)) => Some(format!(
                    "{host}:{port} was dialled, and {}: the address was not compared, because {error}",
                    answers()
                )),
                None => Some(format!(
                    "{host}:{port} was dialled, and {}: the address was not compared, because `{host}` was not looked up",
                    answers()
                )),
            }
        }
        (Endpoint::Tcp { host: Ok(host), port }, ..) => Some(format!(
            "{host}:{port} was dialled, and the server that answers was reached over a unix socket: something forwards"
        )),
        (Endpoint::Socket { path, .. }, Some(address), _) => Some(format!(
            "the socket `{}` was dialled, and the server that answers is {address}: something forwards",
            Shown(path)
        )),
        _ => None,
    }
}

/// A port of a container that is published on this machine. The container's network is attached to this machine, and
/// a connection over a published port comes from the gateway of that network: its first address, and an address of this
/// machine. A router's or a bastion's address is not, and neither is the gateway of a network in a virtual machine.
fn is_published_port(target: &Target, addresses: Option<&Addresses>, identity: &Identity) -> bool {
    let loopback = matches!(&target.endpoint, Endpoint::Tcp { host: Ok(host), .. } if host.is_loopback());
    let own = addresses.and_then(|addresses| addresses.own.as_deref());
    let (Some(own), Some(server), Some(client)) = (own, identity.server_address, identity.client_address)
    else {
        return false;
    };
    let (server, client) = (server.to_canonical(), client.to_canonical());
    let is_gateway = own
        .iter()
        .any(|own| own.addr() == client && own.contains(&server) && first_address(own.network()) == client);
    loopback && is_gateway && !server.is_loopback() && own.iter().all(|own| own.addr() != server)
}

/// The address after the one that names the network.
fn first_address(network: IpAddr) -> IpAddr {
    match network {
        IpAddr::V4(network) => IpAddr::V4(network.to_bits().saturating_add(1).into()),
        IpAddr::V6(network) => IpAddr::V6(network.to_bits().saturating_add(1).into()),
    }
}

/// What the environment says about the session.
fn session(policy: &Policy, environment: &Environment, identity: &Identity, reasons: &mut Vec<Reason>) {
    if environment.superuser == SuperuserRule::Refused && identity.superuser {
        reasons.push(Reason::new(
            Code::Superuser,
            policy.rule(environment, "superuser"),
            format!("the session of `{}` is a superuser's", Shown(&identity.effective_role)),
            "connect as a role that owns the test's tables and nothing else",
        ));
    }
    if let Some(most) = environment.max_other_sessions.filter(|most| identity.other_sessions > *most) {
        reasons.push(Reason::new(
            Code::OtherSessions,
            policy.rule(environment, "max_other_sessions"),
            format!("{} other sessions use the database, and {most} may", identity.other_sessions),
            "look who they are (pg_stat_activity): a disposable database has few users",
        ));
    }
}

#[cfg(test)]
mod tests;
