//! The addresses of a target's hosts and of this machine. The lookup is I/O; its result is a fact like any other.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::host::Host;

/// The addresses of a target's hosts, each with its addresses or the error of its lookup, and this machine's own.
///
/// ```
/// # use fixture_guard_core as fixture_guard;
/// // no name was looked up, and this machine's own addresses are unknown
/// let nothing = fixture_guard::Addresses::default();
/// # let _ = nothing;
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addresses {
    pub(crate) hosts: Vec<(Host, Result<Vec<IpAddr>, LookupError>)>,
    /// The addresses of this machine's interfaces, each with the network that is attached there; `None` where the
    /// machine does not report them.
    pub(crate) own: Option<Vec<IpNet>>,
}

/// Why a name has no addresses here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LookupError {
    /// The resolver answered with an error.
    #[error("it does not resolve ({0})")]
    #[non_exhaustive]
    Failed(std::io::ErrorKind),
    /// The resolver answered with no address.
    #[error("it resolves to no address")]
    #[non_exhaustive]
    Nothing,
    /// The resolver did not answer in time.
    #[error("the resolver did not answer within {0:?}")]
    #[non_exhaustive]
    TimedOut(std::time::Duration),
}

impl Addresses {
    /// Every address that any of the hosts resolved to, with the host.
    pub(crate) fn found(&self) -> impl Iterator<Item = (&Host, IpAddr)> {
        self.hosts
            .iter()
            .filter_map(|(host, result)| Some((host, result.as_ref().ok()?)))
            .flat_map(|(host, addresses)| addresses.iter().map(move |address| (host, address.to_canonical())))
    }

    /// Every host without an address, and why.
    pub(crate) fn missing(&self) -> impl Iterator<Item = (&Host, &LookupError)> {
        self.hosts.iter().filter_map(|(host, result)| Some((host, result.as_ref().err()?)))
    }

    /// What `host` resolved to; `None` if it was not looked up.
    pub(crate) fn of(&self, host: &Host) -> Option<Result<impl Iterator<Item = IpAddr>, &LookupError>> {
        let (_, result) = self.hosts.iter().find(|(known, _)| known == host)?;
        Some(result.as_ref().map(|found| found.iter().map(IpAddr::to_canonical)))
    }
}
