//! A script of ours in a container.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use testcontainers::{
    ContainerAsync, ContainerRequest, ImageExt, TestcontainersError,
    bollard::{errors::Error as BollardError, query_parameters::RemoveContainerOptionsBuilder},
    core::{IntoContainerPort, client::docker_client_instance, logs::LogFrame},
    runners::AsyncRunner,
};
use tokio::time::sleep;

use crate::{
    error::Unavailable,
    image::{self, Script},
};

/// A container of a name that is taken goes away within a second or two; it was told to.
const NAME_IS_FREED: Duration = Duration::from_secs(15);

/// A container that was started; not yet a server that answers.
pub(crate) struct Container {
    inner: ContainerAsync<Script>,
    log: Arc<Mutex<String>>,
    /// Where its server may be reached, the best first.
    pub(crate) addresses: Vec<SocketAddr>,
}

impl Container {
    /// What it wrote, if it has ended.
    pub(crate) async fn ended(&self) -> Option<String> {
        if self.inner.is_running().await.unwrap_or(false) {
            return None;
        }
        // The last lines may still be on their way here.
        sleep(Duration::from_millis(200)).await;
        Some(self.log.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

/// Starts `script`, whose server listens on `port`. The daemon removes the container as soon as the script ends, which
/// it does by itself once nobody uses the server.
pub(crate) async fn start(script: ContainerRequest<Script>, port: u16) -> Result<Container, Unavailable> {
    let log = Arc::new(Mutex::new(String::new()));
    let lines = Arc::clone(&log);
    let script = script
        .with_user("postgres")
        .with_host_config_modifier(|host| host.auto_remove = Some(true))
        .with_log_consumer(move |frame: &LogFrame| {
            let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
            lines.push_str(&String::from_utf8_lossy(frame.bytes()));
        });
    let container =
        script.start().await.map_err(|error| Unavailable::because("cannot start a container", &error))?;
    let addresses = addresses(&container, port).await;
    let container = Container { inner: container, log, addresses: Vec::new() };
    match addresses {
        Ok(addresses) => Ok(Container { addresses, ..container }),
        // Most likely it has ended already, and is gone.
        Err(error) => Err(Unavailable::new(format!(
            "{}\n{}",
            Unavailable::because("cannot learn a container's address", &error),
            container.ended().await.unwrap_or_default()
        ))),
    }
}

/// Its address on Docker's bridge, where it has the port that the incident's DSN says; and the published port, for
/// daemons whose bridge is not on this machine.
async fn addresses(
    container: &ContainerAsync<Script>,
    port: u16,
) -> Result<Vec<SocketAddr>, TestcontainersError> {
    // testcontainers' own `get_bridge_ip_address` knows no bridge where the network's mode is called `default`.
    let docker = docker_client_instance().await?;
    let networks = docker
        .inspect_container(container.id(), None)
        .await
        .ok()
        .and_then(|found| found.network_settings?.networks);
    let bridges = networks
        .into_iter()
        .flat_map(HashMap::into_values)
        .filter_map(|network| network.ip_address?.parse().ok());
    let mut addresses: Vec<_> = bridges.map(|bridge| SocketAddr::new(bridge, port)).collect();
    let published = container.get_host_port_ipv4(port.tcp()).await?;
    let host = container.get_host().await?.to_string();
    let resolved = (host.as_str(), published)
        .to_socket_addrs()
        .ok()
        .and_then(|mut found| found.find(SocketAddr::is_ipv4));
    addresses.push(resolved.unwrap_or(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), published)));
    Ok(addresses)
}

/// Frees a name: what still has it is a server that nobody finished, or one that is ending.
pub(crate) async fn remove(name: &str) -> Result<(), Unavailable> {
    let docker = image::client().await?;
    let began = Instant::now();
    loop {
        let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        match docker.remove_container(name, Some(options)).await {
            Err(BollardError::DockerResponseServerError { status_code: 404, .. }) => return Ok(()),
            Err(error) if began.elapsed() > NAME_IS_FREED => {
                return Err(Unavailable::because(&format!("cannot remove the container {name}"), &error));
            }
            _ => sleep(Duration::from_millis(100)).await,
        }
    }
}
