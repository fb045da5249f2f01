//! Docker or the machine's own binaries: decided once per process, and said aloud.

use std::{io::Write, path::PathBuf};

use tokio::sync::OnceCell;

use crate::{environment, error::Unavailable, image, local, names};

/// Where this process's servers run.
#[derive(Debug)]
pub(crate) enum Backend {
    /// Containers of this image, `name:tag`.
    Docker { image: String },
    /// `initdb` and `postgres` in this directory.
    Local { programs: PathBuf },
}

impl Backend {
    /// A word for file names and messages.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Docker { .. } => "docker",
            Self::Local { .. } => "local",
        }
    }
}

/// The one that this process uses. A failure is remembered too: asking again costs every test the same seconds.
pub(crate) async fn backend() -> Result<&'static Backend, Unavailable> {
    static BACKEND: OnceCell<Result<Backend, Unavailable>> = OnceCell::const_new();
    BACKEND.get_or_init(choose).await.as_ref().map_err(Clone::clone)
}

async fn choose() -> Result<Backend, Unavailable> {
    let forced = environment::forced_server();
    let chosen = match forced.as_deref() {
        Some("docker") => (docker().await.map_err(missing)?, "forced"),
        Some("local") => (local().map_err(missing)?, "forced"),
        Some(other) => {
            return Err(Unavailable::new(format!(
                "FIXTURE_GUARD_TEST_SERVER={other}: the values are `docker` and `local`"
            )));
        }
        None => match docker().await {
            Ok(docker) => (docker, "a Docker daemon answers"),
            Err(no_docker) => match local() {
                Ok(local) => {
                    say(&format!("not Docker: {no_docker}"));
                    (local, "the machine's own")
                }
                Err(no_local) => {
                    return Err(Unavailable::new(format!(
                        "the tests need a real PostgreSQL, and there is none\n  Docker: {no_docker}\n  local: {no_local}"
                    )));
                }
            },
        },
    };
    match &chosen {
        (Backend::Docker { image }, why) => say(&format!("PostgreSQL in Docker, image {image} ({why})")),
        (Backend::Local { programs }, why) => say(&format!("PostgreSQL from {} ({why})", programs.display())),
    }
    Ok(chosen.0)
}

async fn docker() -> Result<Backend, Unavailable> {
    Ok(Backend::Docker { image: image::postgres().await? })
}

fn local() -> Result<Backend, Unavailable> {
    Ok(Backend::Local { programs: local::programs()? })
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn missing(error: Unavailable) -> Unavailable {
    let forced = environment::forced_server().unwrap_or_default();
    Unavailable::new(format!("FIXTURE_GUARD_TEST_SERVER={forced}, but {error}"))
}

/// To standard error itself, not through `eprintln!`: the test harness keeps that from whoever reads a passing run, and
/// which server the tests ran on is something to know about a passing run.
pub(crate) fn say(message: &str) {
    if names::inside() {
        return; // the program that started this one has said it
    }
    // Nobody reads it if standard error is closed.
    let _ = writeln!(std::io::stderr(), "fixture-guard tests: {message}");
}
