//! The image that servers run from: the official one, or an equivalent one out of Debian's packages.

use std::{
    borrow::Cow,
    hash::{DefaultHasher, Hash, Hasher},
    process::Stdio,
    time::Duration,
};

use futures_util::StreamExt;
use testcontainers::{
    Image,
    bollard::{Docker, query_parameters::CreateImageOptionsBuilder},
    core::{ContainerPort, WaitFor, client::docker_client_instance},
};
use tokio::{process::Command, time::timeout};

use crate::{backend::say, environment, error::Unavailable};

/// What `docker pull` gives when nobody asks for another one.
const OFFICIAL_MAJOR: &str = "15";
const RECIPE: &str = include_str!("../image/debian.sh");

/// A daemon that is there answers a ping within milliseconds; one that hangs would be waited for two minutes.
const PING: Duration = Duration::from_secs(3);
/// A registry that can be reached says within this time that it has the image.
const FIRST_WORD: Duration = Duration::from_secs(5);
/// And goes on sending: no part of the image takes longer than this without a sign of progress.
const SILENCE: Duration = Duration::from_secs(30);

/// One of our scripts in a container, as an unprivileged user, with the server's socket exposed.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    name: String,
    tag: String,
    port: [ContainerPort; 1],
    command: Vec<String>,
}

impl Script {
    /// `text` with `arguments`, run by the image's own shell.
    pub(crate) fn new(image: &str, port: u16, text: &str, arguments: &[String]) -> Self {
        let (name, tag) = image.rsplit_once(':').unwrap_or((image, "latest"));
        let command = ["-c", text, "sh"].map(String::from).into_iter().chain(arguments.iter().cloned());
        Self {
            name: name.to_owned(),
            tag: tag.to_owned(),
            port: [ContainerPort::Tcp(port)],
            command: command.collect(),
        }
    }
}

impl Image for Script {
    fn name(&self) -> &str {
        &self.name
    }

    fn tag(&self) -> &str {
        &self.tag
    }

    /// None: readiness is a login that succeeds, and no line of a log says that.
    fn ready_conditions(&self) -> Vec<WaitFor> {
        Vec::new()
    }

    /// The watch that ends an idle server must exist from the first instant, so it is in the script that starts it.
    fn entrypoint(&self) -> Option<&str> {
        Some("sh")
    }

    fn cmd(&self) -> impl IntoIterator<Item = impl Into<Cow<'_, str>>> {
        &self.command
    }

    fn expose_ports(&self) -> &[ContainerPort] {
        &self.port
    }
}

/// The Docker client, once the daemon has answered.
pub(crate) async fn client() -> Result<Docker, Unavailable> {
    let no_daemon = |error: &dyn std::error::Error| {
        let start = "start it with `systemctl start docker`, or install it with `apt-get install docker.io`";
        Unavailable::new(format!("{} ({start})", Unavailable::because("no Docker daemon answers", error)))
    };
    let docker = docker_client_instance().await.map_err(|error| no_daemon(&error))?;
    match timeout(PING, docker.ping()).await {
        Ok(Ok(_)) => Ok(docker),
        Ok(Err(error)) => Err(no_daemon(&error)),
        Err(_) => Err(Unavailable::new(format!(
            "the Docker daemon did not answer a ping within {} s: it hangs; restart it",
            PING.as_secs()
        ))),
    }
}

/// The image for servers: the official one if the daemon has it, else the stand-in if that was built earlier, else the
/// official one from a registry, else the stand-in, built now.
pub(crate) async fn postgres() -> Result<String, Unavailable> {
    let docker = client().await?;
    let major = environment::forced_major();
    let official = format!("postgres:{}", major.as_deref().unwrap_or(OFFICIAL_MAJOR));
    if docker.inspect_image(&official).await.is_ok() {
        return Ok(official);
    }
    if let Some(built) = built(&docker, major.as_deref()).await {
        return Ok(built);
    }
    match pull(&docker, &official).await {
        Ok(()) => Ok(official),
        Err(error) => {
            say(&format!("no {official} from a registry ({error}): building one out of Debian's packages"));
            build(major.as_deref()).await
        }
    }
}

/// The image for PgBouncer, which the official one does not have.
pub(crate) async fn with_pgbouncer() -> Result<String, Unavailable> {
    let docker = client().await?;
    let major = environment::forced_major();
    match built(&docker, major.as_deref()).await {
        Some(image) => Ok(image),
        None => build(major.as_deref()).await,
    }
}

fn stand_in(major: Option<&str>) -> String {
    format!("localhost/fixture-guard-postgres:{}", major.unwrap_or("debian"))
}

fn recipe() -> String {
    let mut hasher = DefaultHasher::new();
    RECIPE.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

async fn built(docker: &Docker, major: Option<&str>) -> Option<String> {
    let image = stand_in(major);
    let labels = docker.inspect_image(&image).await.ok()?.config?.labels?;
    (labels.get("recipe") == Some(&recipe())).then_some(image)
}

async fn pull(docker: &Docker, image: &str) -> Result<(), Unavailable> {
    let options = CreateImageOptionsBuilder::new().from_image(image).build();
    let mut progress = std::pin::pin!(docker.create_image(Some(options), None, None));
    let mut patience = FIRST_WORD;
    loop {
        match timeout(patience, progress.next()).await {
            Err(_) => return Err(Unavailable::new(format!("no answer within {} s", patience.as_secs()))),
            Ok(None) => return Ok(()),
            Ok(Some(Ok(_))) => patience = SILENCE,
            Ok(Some(Err(error))) => return Err(Unavailable::because("refused", &error)),
        }
    }
}

async fn build(major: Option<&str>) -> Result<String, Unavailable> {
    let image = stand_in(major);
    let output = Command::new("bash")
        .args(["-c", RECIPE, "debian.sh", &image, &recipe()])
        .arg(environment::cache_directory())
        .args(major)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| Unavailable::because("cannot run bash to build an image", &error))?;
    if output.status.success() {
        return Ok(image);
    }
    Err(Unavailable::new(format!(
        "no image postgres:{} is here, no registry gives one, and none could be built ({}):\n{}",
        major.unwrap_or(OFFICIAL_MAJOR),
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    )))
}
