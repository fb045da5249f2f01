//! Name resolution, bounded in time.

use std::time::Duration;

use futures_util::future::join_all;

use crate::addresses::{Addresses, LookupError};
use crate::host::Host;
use crate::target::Target;

/// A resolver that takes longer than this has failed.
const LIMIT: Duration = Duration::from_secs(2);

/// Looks up every host of `target`, all at once; those that are addresses already are not looked up.
pub(super) async fn look_up(target: &Target) -> Addresses {
    let found = target.hosts().map(async |host| {
        let result = match host.address() {
            Some(address) => Ok(vec![address]),
            None => ask(host).await,
        };
        (host.clone(), result)
    });
    Addresses(join_all(found).await)
}

async fn ask(host: &Host) -> Result<Vec<std::net::IpAddr>, LookupError> {
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
