//! A test that runs itself again in a child, with host names or an environment of its own.

use std::{
    env, fs,
    net::IpAddr,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};

use tokio::{
    process::{Child, Command},
    time::timeout,
};

use crate::{environment, names, server::postgres, state};

/// In the environment of the child: the test that it is to run, and a file that it makes when it gets there.
const INSIDE: &str = "FIXTURE_GUARD_TEST_INSIDE";
/// More than any test takes on a loaded machine; a child that hangs must fail its test, not the whole run's time limit.
const PATIENCE: Duration = Duration::from_mins(3);

/// Runs the rest of a test in a child process: the test binary once more, for this test alone.
///
/// In the parent it starts the child, asserts that the test ran there and passed, and returns from the test. In the child
/// it does nothing. A test calls it first, and only from the test function itself: its name is how the child finds it. It
/// goes into an `async` test that returns `()`.
///
/// ```no_run
/// # use fixture_guard_test_support::{self as support, Rerun};
/// # async fn refuses_production() {
/// support::rerun!(Rerun::with([support::PRODUCTION]).env("APP_ENV", "production"));
///
/// // `support::INCIDENT_DSN` reaches the server here, and `APP_ENV` says production
/// # }
/// ```
#[macro_export]
macro_rules! rerun {
    ($rerun:expr) => {
        if !$crate::inside(&$crate::test_path!()) {
            return $crate::Rerun::assert_passes($rerun, $crate::test_path!()).await;
        }
    };
}

/// The path of the test function in which it stands, as the test harness writes it.
#[macro_export]
macro_rules! test_path {
    () => {{
        fn here() {}
        $crate::path_of(here)
    }};
}

#[doc(hidden)]
#[must_use]
pub fn path_of<F>(_: F) -> String {
    let path = std::any::type_name::<F>().replace("::{{closure}}", "");
    let path = path.strip_suffix("::here").unwrap_or(&path);
    path.split_once("::").map_or(path, |(_crate, path)| path).to_owned()
}

/// Whether this process is the child that a [`Rerun`] has started for the test at this path ([`test_path!`]).
///
/// # Panics
///
/// If it is, and cannot tell the parent so.
#[must_use]
pub fn inside(test: &str) -> bool {
    let Some(value) = environment::variable(INSIDE) else { return false };
    let Some((inside, marker)) = value.split_once(' ') else { return false };
    if inside != test {
        return false;
    }
    if !marker.is_empty() {
        fs::write(marker, "")
            .unwrap_or_else(|error| panic!("cannot tell the parent that the test runs: {error}"));
    }
    true
}

/// What is different in the child.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Rerun {
    servers: Vec<&'static str>,
    names: Vec<(String, IpAddr)>,
    environment: Vec<(String, Option<String>)>,
}

impl Rerun {
    /// The same names and environment as here; for [`env`](Self::env) and [`without`](Self::without).
    pub fn new() -> Self {
        Self::default()
    }

    /// These servers are running, and reached under the names that they are known by.
    pub fn with<const N: usize>(hosts: [&'static str; N]) -> Self {
        Self { servers: hosts.to_vec(), ..Self::default() }
    }

    /// One more name for an address, as a CNAME would give it. Said twice, the name has both addresses, in this order.
    pub fn name(mut self, name: &str, address: IpAddr) -> Self {
        self.names.push((name.to_owned(), address));
        self
    }

    /// This environment variable has this value.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), Some(value.to_owned())));
        self
    }

    /// This environment variable does not exist.
    pub fn without(mut self, name: &str) -> Self {
        self.environment.push((name.to_owned(), None));
        self
    }

    /// Starts a child that runs the test at `test` ([`test_path!`]), in which [`inside`] holds; for tests that kill
    /// it, or have several. Its standard output is piped; it is killed when it is dropped.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    pub async fn spawn(self, test: &str) -> Child {
        let mut command = self.command(test, Path::new("")).await;
        command
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start a child: {error}"))
    }

    /// Runs the test at `test` in a child to its end, and gives what that wrote past the test harness.
    ///
    /// # Panics
    ///
    /// If it cannot be started, or hangs.
    pub async fn output(self, test: &str) -> Output {
        let child = self.command(test, Path::new("")).await.stderr(Stdio::piped()).spawn();
        let child = child.unwrap_or_else(|error| panic!("cannot start a child for {test}: {error}"));
        let output = timeout(PATIENCE, child.wait_with_output()).await;
        let output = output.unwrap_or_else(|_| panic!("{test} in a child is not done after {PATIENCE:?}"));
        output.unwrap_or_else(|error| panic!("cannot wait for the child of {test}: {error}"))
    }

    #[doc(hidden)]
    pub async fn assert_passes(self, test: String) {
        let marker = marker();
        let child = self.command(&test, &marker).await.stderr(Stdio::piped()).spawn();
        let child = child.unwrap_or_else(|error| panic!("cannot start a child for {test}: {error}"));
        let output = timeout(PATIENCE, child.wait_with_output()).await;
        let output = output.unwrap_or_else(|_| panic!("{test} in a child is not done after {PATIENCE:?}"));
        let output = output.unwrap_or_else(|error| panic!("cannot wait for the child of {test}: {error}"));
        let reached = fs::remove_file(marker).is_ok();
        let written = [output.stdout, output.stderr].concat();
        let written = String::from_utf8_lossy(&written);
        assert!(output.status.success(), "{test} fails in a child ({}):\n{written}", output.status);
        assert!(reached, "the child did not get to {test}: is that the test's path?\n{written}");
        print!("{written}");
    }

    async fn command(mut self, test: &str, marker: &Path) -> Command {
        for host in self.servers {
            self.names.push((host.to_owned(), postgres(host).await.address()));
        }
        let binary =
            env::current_exe().unwrap_or_else(|error| panic!("cannot find the test binary: {error}"));
        let command = names::command(&binary, &self.names).unwrap_or_else(|error| panic!("{error}"));
        let mut command = Command::from(command);
        for (name, value) in self.environment {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
            .args([test, "--exact", "--include-ignored", "--nocapture"])
            .env(INSIDE, format!("{test} {}", marker.display()))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        command
    }
}

fn marker() -> PathBuf {
    env::temp_dir().join(format!("fixture-guard-rerun-{}", state::random()))
}
