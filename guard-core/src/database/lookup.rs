//! Name resolution, bounded in time, and the addresses of this machine.

use std::net::IpAddr;
use std::time::Duration;

use futures_util::future::join_all;

use crate::addresses::{Addresses, LookupError};
use crate::host::Host;
use crate::target::Target;

/// A resolver that takes longer than this has failed.
const LIMIT: Duration = Duration::from_secs(2);

/// Looks up every host of `target` at once, or only the dialed one. A host that is an address is its own result.
pub(super) async fn look_up(target: &Target, every_host: bool) -> Addresses {
    let count = if every_host { usize::MAX } else { 1 };
    let found = target.hosts().take(count).map(async |host| {
        let result = match host.address() {
            Some(address) => Ok(vec![address]),
            None => ask(host).await,
        };
        (host.clone(), result)
    });
    // only a port that is published on this machine is recognized by them
    let own = target.hosts().next().is_some_and(Host::is_loopback).then(interfaces::own).flatten();
    Addresses { hosts: join_all(found).await, own }
}

async fn ask(host: &Host) -> Result<Vec<IpAddr>, LookupError> {
    // the port is not asked for, but the resolver's interface wants one
    match tokio::time::timeout(LIMIT, tokio::net::lookup_host((host.as_str(), 0))).await {
        Err(_) => Err(LookupError::TimedOut(LIMIT)),
        Ok(Err(error)) => Err(LookupError::Failed(error.kind())),
        Ok(Ok(addresses)) => {
            let addresses: Vec<_> = addresses.map(|address| address.ip()).collect();
            if addresses.is_empty() { Err(LookupError::Nothing) } else { Ok(addresses) }
        }
    }
}

/// Linux reports the addresses of a machine's interfaces in files. Elsewhere they are unknown.
mod interfaces {
    use std::fs;
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    use ipnet::{IpNet, Ipv4Net, Ipv6Net};

    pub(super) fn own() -> Option<Vec<IpNet>> {
        let mut own = ipv4(&fs::read_to_string("/proc/net/fib_trie").ok()?);
        // a kernel without IPv6 has no such file
        own.extend(ipv6(&fs::read_to_string("/proc/net/if_inet6").unwrap_or_default()));
        Some(own)
    }

    /// The routing table names an address on one line, and below it each prefix with its scope and type:
    /// `/32 host LOCAL` for an interface's address, `/16 link UNICAST` for the network attached there.
    fn ipv4(routes: &str) -> Vec<IpNet> {
        let mut locals = Vec::new();
        let mut attached = Vec::new();
        let mut address = Ipv4Addr::UNSPECIFIED;
        for line in routes.lines().map(str::trim) {
            if let Some(leaf) = line.strip_prefix("|-- ") {
                address = leaf.parse().unwrap_or(Ipv4Addr::UNSPECIFIED);
            } else if let Some((prefix, kind)) = line.strip_prefix('/').and_then(|rest| rest.split_once(' '))
            {
                let Ok(network) = Ipv4Net::new(address, prefix.parse().unwrap_or(u8::MAX)) else { continue };
                match kind {
                    "host LOCAL" if network.prefix_len() == 32 => locals.push(address),
                    "link UNICAST" => attached.push(network),
                    _ => {}
                }
            }
        }
        let mut own: Vec<IpNet> = Vec::new();
        for local in locals {
            let network = attached.iter().filter(|network| network.contains(&local));
            let prefix = network.map(Ipv4Net::prefix_len).max().unwrap_or(32);
            let one = IpNet::new(IpAddr::V4(local), prefix).ok();
            own.extend(one.filter(|one| !own.contains(one)));
        }
        own
    }

    /// `fd000000000000000000000000000002 04 40 00 82 eth0`: the address, the interface and the prefix, in hexadecimal.
    fn ipv6(interfaces: &str) -> impl Iterator<Item = IpNet> {
        interfaces.lines().filter_map(|line| {
            let mut fields = line.split_ascii_whitespace();
            let address = u128::from_str_radix(fields.next()?, 16).ok()?;
            let prefix = u8::from_str_radix(fields.nth(1)?, 16).ok()?;
            Some(IpNet::V6(Ipv6Net::new(Ipv6Addr::from(address), prefix).ok()?))
        })
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        const ROUTES: &str = "\
Main:
  +-- 0.0.0.0/0 3 0 4
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 127.0.0.0/8 2 0 2
        +-- 127.0.0.0/31 1 0 0
           |-- 127.0.0.0
              /8 host LOCAL
           |-- 127.0.0.1
              /32 host LOCAL
        |-- 127.255.255.255
           /32 link BROADCAST
     +-- 172.17.0.0/16 2 0 2
        +-- 172.17.0.0/31 1 0 0
           |-- 172.17.0.0
              /16 link UNICAST
           |-- 172.17.0.1
              /32 host LOCAL
        |-- 172.17.255.255
           /32 link BROADCAST
Local:
           |-- 172.17.0.1
              /32 host LOCAL
";

        #[test]
        fn the_routing_table_lists_each_address_with_its_network() {
            let own: Vec<String> = ipv4(ROUTES).iter().map(ToString::to_string).collect();
            assert_eq!(own, ["127.0.0.1/32", "172.17.0.1/16"]);
        }

        #[test]
        fn the_ipv6_interfaces_list_each_address_with_its_network() {
            let line = "fd000000000000000000000000000002 04 40 00 82     eth0\nno address\n";
            let own: Vec<String> = ipv6(line).map(|own| own.to_string()).collect();
            assert_eq!(own, ["fd00::2/64"]);
        }

        #[cfg(target_os = "linux")]
        #[test]
        fn this_machine_has_a_loopback_address() {
            assert!(own().expect("Linux reports them").iter().any(|own| own.addr().is_loopback()));
        }
    }
}
