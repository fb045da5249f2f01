//! The program `fixture-guard`: the library's policy and the library's judge, on a command line.
//!
//! It has no rules of its own. `check` says whether a target may be destroyed, or is the environment that a job
//! expects; `coverage` lists the calls that no guard stands before; `mark` writes what a database says that it is; `init` writes a first policy.
//!
//! ```
//! use fixture_guard_cli::{Invocation, main};
//!
//! let arguments = ["fixture-guard", "check", "--offline", "--database-url", "postgres://app@prod-pg.internal/shop"];
//! let refused = main(arguments.map(Into::into), Invocation::Program);
//! assert_eq!(refused, std::process::ExitCode::from(1));
//! ```

mod arguments;
mod ask;
mod check;
mod coverage;
mod ending;
mod generate;
mod init;
mod mark;
mod output;
mod policy;
mod source;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

use arguments::{Arguments, Command};
use ending::{Ending, Problem};

/// By which name the program was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invocation {
    /// `fixture-guard check`.
    Program,
    /// `cargo fixture-guard check`: the first argument is the subcommand's own name.
    CargoSubcommand,
}

/// Does what the arguments say, the first of which is the program's name, and gives the code to exit with: 0 fine,
/// 1 refused, 2 could not tell.
pub fn main(arguments: impl IntoIterator<Item = OsString>, invocation: Invocation) -> ExitCode {
    let mut arguments: Vec<OsString> = arguments.into_iter().collect();
    if invocation == Invocation::CargoSubcommand
        && arguments.get(1).is_some_and(|name| name == "fixture-guard")
    {
        arguments.remove(1);
    }
    let parsed = command(invocation).try_get_matches_from(&arguments);
    match parsed.and_then(|matches| Arguments::from_arg_matches(&matches)) {
        Ok(arguments) if is_given_a_dsn_as_a_name(&arguments.command) => not_shown(),
        Ok(arguments) => run(arguments.command, invocation).code(),
        Err(message) if output::may_hold_a_secret(&message.to_string(), &arguments) => not_shown(),
        Err(message) => {
            // help and version go to standard output and are fine; a closed pipe has no reader
            drop(message.print());
            if message.use_stderr() { Ending::Unknown.code() } else { Ending::Fine.code() }
        }
    }
}

/// Whether a DSN stands where a name or a path belongs, which messages and results repeat.
fn is_given_a_dsn_as_a_name(command: &Command) -> bool {
    let (name, path) = match command {
        Command::Check(options) => (options.expect.as_deref(), options.policy.policy.as_deref()),
        Command::Coverage(options) => (None, Some(options.path.as_path())),
        Command::Mark(options) => (options.environment.as_deref(), options.policy.policy.as_deref()),
        Command::Init(options) => (None, Some(options.directory.as_path())),
        Command::Completions { .. } => (None, None),
        Command::Man { command } => (command.as_deref(), None),
    };
    // what exists is a path: Jenkins calls a second workspace `job@2`
    let is_dsn = |path: &Path| output::looks_like_a_dsn(&path.to_string_lossy()) && !path.exists();
    name.is_some_and(output::looks_like_a_dsn) || path.is_some_and(is_dsn)
}

fn not_shown() -> ExitCode {
    let found = "an argument is not understood; it is not shown, because it may hold a password";
    let help = "pass a DSN with `--database-url`, or better `--dsn-stdin`; see `--help`";
    output::problem(&Problem::unknown(found).help(help));
    Ending::Unknown.code()
}

fn run(command: Command, invocation: Invocation) -> Ending {
    let done = match command {
        Command::Check(options) => check::run(&options),
        Command::Coverage(options) => coverage::run(&options),
        Command::Mark(options) => mark::run(&options),
        Command::Init(options) => init::run(&options),
        Command::Completions { shell } => generate::completions(shell, self::command(invocation)),
        Command::Man { command: named } => generate::man(named.as_deref(), self::command(invocation)),
    };
    done.unwrap_or_else(|problem| {
        output::problem(&problem);
        problem.ending()
    })
}

/// The command line, under the name by which it was started.
fn command(invocation: Invocation) -> clap::Command {
    match invocation {
        Invocation::Program => Arguments::command(),
        Invocation::CargoSubcommand => {
            Arguments::command().bin_name("cargo fixture-guard").display_name("cargo-fixture-guard")
        }
    }
}
