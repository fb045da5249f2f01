//! Finds the policy, and environments in it.

use std::path::Path;

use fixture_guard_core::{FILE_NAME, Policy, PolicyError};

use crate::arguments::PolicyArguments;
use crate::ending::Problem;

/// The file that the arguments name, or the nearest one from the working directory upwards.
///
/// The library begins its walk in the package that is under test, which is where `cargo test` sets the working
/// directory as well; a program has no package of its own.
pub(crate) fn read(arguments: &PolicyArguments) -> Result<Policy, PolicyError> {
    match &arguments.policy {
        Some(file) => Policy::load(file),
        // an absolute path, so that the walk can go up
        None => match std::env::current_dir() {
            Ok(directory) => Policy::nearest(&directory),
            // it was deleted: what stood above it cannot be known, and this says so
            Err(_) => Policy::load(Path::new(FILE_NAME)),
        },
    }
}

/// Where a policy stands, in a few words.
pub(crate) fn place(policy: &Policy) -> String {
    match policy.file() {
        Some(file) => file.display().to_string(),
        None => "built in: loopback and unix sockets".to_owned(),
    }
}

/// Refuses a name that the policy does not have, and guesses which one was meant.
pub(crate) fn known(policy: &Policy, name: &str) -> Result<(), Problem> {
    let names = || policy.environments().iter().map(fixture_guard_core::Environment::name);
    if names().any(|known| known == name) {
        return Ok(());
    }
    // as clap does for its own arguments
    let close = |known: &&str| strsim::jaro(known, name) > 0.7;
    let meant = names().filter(close).max_by(|a, b| strsim::jaro(a, name).total_cmp(&strsim::jaro(b, name)));
    let has = names().collect::<Vec<_>>().join(", ");
    Err(Problem::unknown(format!(
        "the policy ({}) has no environment `{}`",
        place(policy),
        name.escape_debug()
    ))
    .help(match meant {
        Some(meant) => format!("did you mean `{meant}`? The policy has: {has}"),
        None => format!("the policy has: {has}"),
    }))
}
