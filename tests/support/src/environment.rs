//! The one module of this crate that reads the process's environment variables.

#![expect(
    clippy::disallowed_methods,
    reason = "tests have no policy to judge; what they read is listed here"
)]

use std::{env, path::PathBuf, sync::LazyLock};

/// The value of an environment variable, for a test that runs in a child of its own ([`Rerun`](crate::Rerun)) and was
/// told something through it.
#[must_use]
pub fn variable(name: &str) -> Option<String> {
    env::var(name).ok()
}

/// Which kind of server the person at the keyboard insists on: `FIXTURE_GUARD_TEST_SERVER`.
pub(crate) fn forced_server() -> Option<String> {
    variable("FIXTURE_GUARD_TEST_SERVER").filter(|value| !value.is_empty())
}

/// The major version of PostgreSQL that the tests want instead of the default: `FIXTURE_GUARD_TEST_POSTGRES`.
pub(crate) fn forced_major() -> Option<String> {
    variable("FIXTURE_GUARD_TEST_POSTGRES").filter(|value| !value.is_empty())
}

/// Seconds without a client after which a server ends: `FIXTURE_GUARD_TEST_IDLE_SECONDS`, or 30, which bridges the build
/// of one test binary after another, so that one `cargo test` starts its servers once.
pub(crate) fn idle_seconds() -> u32 {
    static SECONDS: LazyLock<u32> = LazyLock::new(|| {
        variable("FIXTURE_GUARD_TEST_IDLE_SECONDS").map_or(30, |value| {
            value.parse().unwrap_or_else(|_| panic!("FIXTURE_GUARD_TEST_IDLE_SECONDS={value}: not a number"))
        })
    });
    *SECONDS
}

/// The directories in which the machine looks for programs.
pub(crate) fn search_path() -> Vec<PathBuf> {
    env::var_os("PATH").map(|path| env::split_paths(&path).collect()).unwrap_or_default()
}

/// Where packages and other things may be kept that can be had again.
pub(crate) fn cache_directory() -> PathBuf {
    env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| env::home_dir().map(|home| home.join(".cache")))
        .unwrap_or_else(env::temp_dir)
        .join("fixture-guard-tests")
}
