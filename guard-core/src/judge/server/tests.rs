use super::*;
use crate::addresses::LookupError;
use crate::judge::{expect, judge};
use crate::surroundings::Surroundings;

const NAMED: &str = "postgres://app@db-staging.internal:5432/shop";

/// A server at 10.20.0.5:5432 that has the database and the user of the target.
fn identity(target: &Target) -> Identity {
    serde_json::from_value(serde_json::json!({
        "database": target.database(),
        "login_role": target.user(),
        "effective_role": target.user(),
        "superuser": false,
        "server_address": "10.20.0.5",
        "server_port": 5432,
        "client_address": "10.20.0.9",
        "cluster_name": "",
        "version": 150_018,
        "in_recovery": false,
        "search_path": "public",
        "owner": "app",
        "comment": null,
        "stored_settings": null,
        "other_sessions": 0,
    }))
    .unwrap()
}

fn target(dsn: &str) -> Target {
    Target::from_postgres_dsn(dsn).unwrap().0
}

/// The dialed host resolves to `found`, and this machine's interfaces are `own`.
fn addresses(target: &Target, found: &[&str], own: Option<&[&str]>) -> Addresses {
    let found: Vec<IpAddr> = found.iter().map(|address| address.parse().unwrap()).collect();
    let result = if found.is_empty() { Err(LookupError::Nothing) } else { Ok(found) };
    let hosts = target.hosts().map(|host| (host.clone(), result.clone())).collect();
    let own = own.map(|own| own.iter().map(|own| own.parse().unwrap()).collect());
    Addresses { hosts, own }
}

fn staging() -> Environment {
    Environment::destructive("staging").host("*-staging*").unwrap()
}

fn local() -> Environment {
    let hosts = ["localhost", "127.0.0.*", "0.0.0.0", "::1"];
    hosts.iter().fold(Environment::destructive("local"), |local, host| local.host(host).unwrap())
}

fn codes(
    environment: Environment,
    dsn: &str,
    addresses: Option<&Addresses>,
    change: impl FnOnce(&mut Identity),
) -> Vec<&'static str> {
    let name = environment.name.clone();
    let policy = Policy::new().environment(environment).unwrap();
    let target = target(dsn);
    let mut identity = identity(&target);
    change(&mut identity);
    let surroundings = &Surroundings::default();
    let facts =
        Facts { target: &target, surroundings, narrowing: None, addresses, identity: Some(&identity) };
    let codes =
        |reasons: Vec<Reason>| -> Vec<_> { reasons.iter().map(|reason| reason.code().as_str()).collect() };
    let judged = judge(&policy, &facts).map_or_else(codes, |_| Vec::new());
    let expected = expect(&policy, &facts, &name).map_or_else(codes, |()| Vec::new());
    let same = |codes: &[&str]| codes.contains(&"FG022");
    assert_eq!(same(&judged), same(&expected), "{judged:?} {expected:?}");
    judged
}

const ALLOWED: [&str; 0] = [];

fn server(address: &str, port: u16) -> impl Fn(&mut Identity) {
    let address = address.parse().unwrap();
    move |identity| (identity.server_address, identity.server_port) = (Some(address), Some(port))
}

#[test]
fn the_server_must_have_an_address_of_the_dialed_name() {
    let target = target(NAMED);
    let resolved = |found: &[&str]| addresses(&target, found, None);
    let judged = |found: &[&str], at| codes(staging(), NAMED, Some(&resolved(found)), server(at, 5432));
    assert_eq!(judged(&["10.20.0.5"], "10.20.0.5"), ALLOWED);
    assert_eq!(judged(&["10.20.0.4", "10.20.0.5"], "10.20.0.5"), ALLOWED);
    assert_eq!(judged(&["::ffff:10.20.0.5"], "10.20.0.5"), ALLOWED);
    assert_eq!(judged(&["10.20.0.4"], "10.20.0.5"), ["FG022"], "a proxy with the same port");
    assert_eq!(judged(&["127.0.0.3"], "127.0.0.2"), ["FG022"], "a name of loopback is not localhost");
    assert_eq!(judged(&[], "10.20.0.5"), ["FG022"], "the name does not resolve");
    assert_eq!(codes(staging(), NAMED, None, |_| ()), ["FG022"], "the name was not looked up");
    let elsewhere = codes(staging(), NAMED, Some(&resolved(&["10.20.0.5"])), server("10.20.0.5", 6432));
    assert_eq!(elsewhere, ["FG022"], "another port");
}

#[test]
fn localhost_is_every_loopback_address_and_an_address_is_itself() {
    let judged = |host: &str, at: &str| {
        codes(local(), &format!("postgres://app@{host}:5432/shop"), None, server(at, 5432))
    };
    assert_eq!(judged("localhost", "127.0.0.1"), ALLOWED);
    assert_eq!(judged("localhost", "::1"), ALLOWED);
    assert_eq!(judged("127.0.0.1", "127.0.0.1"), ALLOWED);
    assert_eq!(judged("[::1]", "::1"), ALLOWED);
    assert_eq!(judged("127.0.0.1", "127.0.0.2"), ["FG022"]);
    assert_eq!(judged("localhost", "10.20.0.5"), ["FG022"]);
}

#[test]
fn networks_that_every_machine_has_vouch_for_no_server() {
    let dsn = "postgres://app@127.0.0.1:15432/shop";
    let within =
        |network: &str| local().host("169.254.*").unwrap().host("fe80::*").unwrap().network(network).unwrap();
    for (network, at) in [
        ("127.0.0.0/8", "127.0.0.1"),
        ("127.0.0.0/9", "127.0.0.1"),
        ("0.0.0.0/1", "127.0.0.1"),
        ("169.254.0.0/16", "169.254.1.1"),
        ("::1/128", "[::1]"),
        ("fe80::/10", "[fe80::5]"),
    ] {
        let dsn = format!("postgres://app@{at}:15432/shop");
        let refused = codes(within(network), &dsn, None, server(at.trim_matches(['[', ']']), 5432));
        assert_eq!(refused, ["FG022"], "{network}");
    }
    let both = || within("127.0.0.0/8").network("10.20.0.0/16").unwrap();
    let over_a_socket = |it: &mut Identity| (it.server_address, it.server_port) = (None, None);
    assert_eq!(codes(both(), dsn, None, server("10.20.0.5", 5432)), ALLOWED, "a network of the server");
    assert_eq!(codes(both(), dsn, None, server("127.0.0.1", 5432)), ["FG022"]);
    assert_eq!(codes(both(), dsn, None, over_a_socket), ["FG022"]);
}

const MACHINE: &[&str] =
    &["127.0.0.1/8", "192.168.1.77/24", "10.8.0.2/24", "172.17.0.1/16", "10.89.0.1/24", "fd00:5::1/64"];

/// The verdict on a published port, with the server and the client as the server sees them.
fn published(dsn: &str, at: &str, client: &str, own: Option<&[&str]>) -> Vec<&'static str> {
    let addresses = addresses(&target(dsn), &["127.0.0.1"], own);
    codes(local(), dsn, Some(&addresses), |identity| {
        server(at, 5432)(identity);
        identity.client_address = Some(client.parse().unwrap());
    })
}

#[test]
fn a_published_port_is_recognized_by_the_addresses_of_this_machine() {
    const DSN: &str = "postgres://app@localhost:15432/shop";
    let published = |at, client| published(DSN, at, client, Some(MACHINE));
    assert_eq!(published("172.17.0.2", "172.17.0.1"), ALLOWED, "Docker");
    assert_eq!(published("10.89.0.7", "10.89.0.1"), ALLOWED, "Podman");
    assert_eq!(published("fd00:5::2", "fd00:5::1"), ALLOWED, "IPv6");
    assert_eq!(published("192.168.1.50", "192.168.1.1"), ["FG022"], "a router of this network");
    assert_eq!(published("172.31.40.7", "172.31.17.1"), ["FG022"], "a bastion of another network");
    assert_eq!(published("192.168.1.50", "192.168.1.77"), ["FG022"], "a proxy on this machine");
    assert_eq!(published("10.8.0.9", "10.8.0.2"), ["FG022"], "a proxy on this machine into a VPN");
    assert_eq!(published("10.20.0.5", "172.17.0.1"), ["FG022"], "a server outside of the network");
    assert_eq!(published("127.0.0.1", "127.0.0.1"), ["FG022"], "a tunnel that ends on a server's host");
}

#[test]
fn a_published_port_is_unknown_where_the_addresses_of_this_machine_are() {
    const DSN: &str = "postgres://app@localhost:15432/shop";
    assert_eq!(published(DSN, "172.17.0.2", "172.17.0.1", None), ["FG022"]);
    let dsn = "postgres://app@127.0.0.1:15432/shop";
    assert_eq!(published(dsn, "172.17.0.2", "172.17.0.1", Some(MACHINE)), ALLOWED);
    assert_eq!(codes(local(), dsn, None, server("172.17.0.2", 5432)), ["FG022"]);
}

#[test]
fn a_renamed_user_is_accepted_where_it_is_listed_and_a_fact_of_the_server_vouches() {
    let dsn = "postgres://postgres.abcdefghij@db-staging.internal/shop";
    let addresses = addresses(&target(dsn), &["10.20.0.5"], None);
    let judged = |environment: Environment| {
        codes(environment, dsn, Some(&addresses), |identity| {
            "postgres".clone_into(&mut identity.login_role);
            identity.system_identifier = Some(7);
        })
    };
    let listed = || staging().server_user("postgres").unwrap();
    assert_eq!(judged(staging().system_identifier(7)), ["FG020"]);
    assert_eq!(judged(listed()), ["FG020"], "nothing vouches");
    assert_eq!(judged(listed().system_identifier(7)), ALLOWED);
    assert_eq!(judged(listed().system_identifier(8)), ["FG001", "FG020"], "another cluster");
    assert_eq!(judged(listed().network("10.20.0.0/16").unwrap()), ALLOWED);
    let users = |user: &str| listed().system_identifier(7).user(user).unwrap();
    assert_eq!(judged(users("postgres.abcdefghij")), ALLOWED, "`users` is the dialed user");
    assert_eq!(judged(users("postgres")), ["FG001", "FG020"]);
    let other = staging().server_user("tests").unwrap().system_identifier(7);
    assert_eq!(judged(other), ["FG020"], "another role");
}

#[test]
fn a_session_over_tcp_is_direct_where_the_server_has_the_dialed_address_and_port() {
    let direct = |dsn: &str, found: &[&str], at: &str, port| {
        let target = target(dsn);
        let mut identity = identity(&target);
        server(at, port)(&mut identity);
        reached_directly(&target, Some(&addresses(&target, found, Some(MACHINE))), &identity)
    };
    assert!(direct(NAMED, &["10.20.0.5"], "10.20.0.5", 5432));
    assert!(!direct(NAMED, &["10.20.0.4"], "10.20.0.5", 5432));
    assert!(!direct(NAMED, &["10.20.0.5"], "10.20.0.5", 6432));
    assert!(!direct(NAMED, &[], "10.20.0.5", 5432));
    let localhost = "postgres://app@localhost:5432/shop";
    assert!(direct(localhost, &["127.0.0.1"], "127.0.0.1", 5432));
    assert!(!direct(localhost, &["127.0.0.1"], "127.0.0.2", 5432));
    assert!(!direct(localhost, &["127.0.0.1"], "172.17.0.2", 5432), "a published port");
    let of_address = target("postgres://app@10.20.0.5/shop");
    assert!(reached_directly(&of_address, None, &identity(&of_address)));
}

#[test]
fn a_session_over_a_socket_is_direct_where_the_socket_is_the_servers_own() {
    let target = target("postgres:///shop?host=/var/run/postgresql&port=5432&user=app");
    let mut identity = identity(&target);
    let mut direct = |address: Option<&str>, port, directories: Option<&str>| {
        identity.server_address = address.map(|address| address.parse().unwrap());
        identity.port_setting = port;
        identity.socket_directories = directories.map(str::to_owned);
        reached_directly(&target, None, &identity)
    };
    assert!(direct(None, Some(5432), Some("/var/run/postgresql")));
    assert!(direct(None, Some(5432), Some("/tmp, \"/run/postgresql/\"")));
    assert!(!direct(None, Some(6432), Some("/var/run/postgresql")), "a pooler has the socket");
    assert!(!direct(None, Some(5432), Some("/tmp")));
    assert!(!direct(None, Some(5432), Some("")));
    assert!(!direct(None, Some(5432), None), "the role may not read the directories");
    assert!(!direct(None, None, Some("/var/run/postgresql")));
    assert!(!direct(Some("127.0.0.1"), Some(5432), Some("/var/run/postgresql")));
}
