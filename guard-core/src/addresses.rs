//! What names resolve to. The lookup is I/O; its result is a fact like any other.

use std::net::IpAddr;

use crate::host::Host;

/// What the hosts of a target resolved to, each or why not.
///
/// ```
/// # use fixture_guard_core as fixture_guard;
/// // no name was looked up: for `Facts` under a policy that states no `networks`
/// let nothing = fixture_guard::Addresses::default();
/// # let _ = nothing;
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addresses(pub(crate) Vec<(Host, Result<Vec<IpAddr>, LookupError>)>);

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
        self.0
            .iter()
            .filter_map(|(host, result)| Some((host, result.as_ref().ok()?)))
            .flat_map(|(host, addresses)| addresses.iter().map(move |address| (host, address.to_canonical())))
    }

    /// Every host without an address, and why.
    pub(crate) fn missing(&self) -> impl Iterator<Item = (&Host, &LookupError)> {
        self.0.iter().filter_map(|(host, result)| Some((host, result.as_ref().err()?)))
    }
}
