//! What the connected server says, against the target that was judged and dialled.

use std::net::IpAddr;

use crate::identity::Identity;
use crate::marker::Marker;
use crate::policy::{Destruction, Environment, MarkerRule, Policy, Source, SuperuserRule};
use crate::reach;
use crate::reason::{Code, Reason, Rule};
use crate::target::{Endpoint, Shown, Target};

/// The rules that need an answer from the server. `environment` is the one that the target was recognised as, if it
/// was.
pub(super) fn judge(
    policy: &Policy,
    target: &Target,
    environment: Option<&Environment>,
    identity: &Identity,
    reasons: &mut Vec<Reason>,
) {
    same_database(target, identity, reasons);
    writable(identity, reasons);
    settings_of_the_role(environment, identity, reasons);
    marker(policy, environment, identity, reasons);
    if let Some(environment) = environment {
        forwarded(policy, target, environment, identity, reasons);
        session(policy, environment, identity, reasons);
    }
}

/// The rules that say whether this is the server of `environment`, and nothing about what may be done there.
pub(super) fn same_server(
    policy: &Policy,
    target: &Target,
    environment: &Environment,
    identity: &Identity,
    reasons: &mut Vec<Reason>,
) {
    same_database(target, identity, reasons);
    marker(policy, Some(environment), identity, reasons);
    forwarded(policy, target, environment, identity, reasons);
}

/// Whether a marker names an environment that must not be destroyed, be it of the policy or not.
pub(super) fn is_protected(policy: &Policy, marker: &Marker) -> bool {
    let named = policy.environments.iter().find(|known| known.name == marker.environment());
    named.is_some_and(|named| named.destruction == Destruction::Refused)
        || policy.words.find(marker.environment()).is_some()
}

/// The database and the user of the session are the ones that were dialled.
fn same_database(target: &Target, identity: &Identity, reasons: &mut Vec<Reason>) {
    for (what, server, own) in
        [("database", &identity.database, target.database()), ("user", &identity.login_role, target.user())]
    {
        if server != own {
            reasons.push(Reason::new(
                Code::ConnectedElsewhere,
                Rule::built_in("the server must be the target that was judged"),
                format!("the server says that the {what} is `{}`, and `{}` was dialled", Shown(server), Shown(own)),
                "connect to the database itself; behind a pooler or a proxy, dial the name that the server uses",
            ));
        }
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
pub(crate) fn reached_directly(
    target: &Target,
    addresses: Option<&crate::addresses::Addresses>,
    identity: &Identity,
) -> bool {
    let _ = addresses;
    forwarding(target, identity).is_none()
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
/// Then the name that was dialled says nothing about the server, and a fact of the server's own must vouch for it: its
/// network, its cluster, or its marker. A container's port that is published on this machine is recognised by the
/// addresses that Docker gives: there the name does say where the server is.
fn forwarded(
    policy: &Policy,
    target: &Target,
    environment: &Environment,
    identity: &Identity,
    reasons: &mut Vec<Reason>,
) {
    let Some(found) = forwarding(target, identity) else { return };
    let vouched = !environment.networks.is_empty()
        || !environment.system_identifiers.is_empty()
        || environment.marker == MarkerRule::Required
        || is_published_port(target, identity);
    if !vouched {
        reasons.push(Reason::new(
            Code::Forwarded,
            policy.rule(environment, "hosts"),
            found,
            "state a fact of the server itself for this environment: `networks`, `system_identifiers`, or `marker = \
             \"required\"`",
        ));
    }
}

fn forwarding(target: &Target, identity: &Identity) -> Option<String> {
    match (&target.endpoint, identity.server_address, identity.server_port) {
        (Endpoint::Tcp { host: Ok(host), port }, Some(address), Some(server_port)) => {
            let elsewhere = server_port != *port
                || (host.is_loopback() && !address.is_loopback())
                || host.address().is_some_and(|dialled| dialled != address);
            elsewhere.then(|| {
                format!("{host}:{port} was dialled, and the server that answers is {address}:{server_port}: something forwards")
            })
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

/// A port of a container that is published on this machine: Docker's networks lie in 172.16.0.0/12 and 192.168.0.0/16
/// (its default address pools), Podman's in 10.88.0.0/16, and what comes in over a published port comes from the
/// network's own gateway, its first address.
fn is_published_port(target: &Target, identity: &Identity) -> bool {
    let local = matches!(&target.endpoint, Endpoint::Tcp { host: Ok(host), .. } if host.is_loopback());
    let (Some(IpAddr::V4(server)), Some(IpAddr::V4(client))) =
        (identity.server_address, identity.client_address)
    else {
        return false;
    };
    let (server, client) = (server.octets(), client.octets());
    let pool = match server {
        [172, second, ..] => (16..32).contains(&second),
        [192, 168, ..] | [10, 88, ..] => true,
        _ => false,
    };
    local && pool && client[..2] == server[..2] && client[3] == 1
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
