//! The command line. Every example in a help text is run by `tests/it/help.rs`.

#![expect(
    clippy::doc_markdown,
    reason = "these comments are the help texts, which people read without backticks"
)]

use std::path::PathBuf;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

/// Says whether a database may be destroyed, by the team's policy and the database's own word.
#[derive(Debug, Parser)]
#[command(name = "fixture-guard", version, styles = STYLES, arg_required_else_help = true)]
#[command(after_help = "Exit codes: 0 fine, 1 refused or something found, 2 could not tell.

Examples:
  $ fixture-guard check
  $ fixture-guard check --expect staging
  $ fixture-guard mark --show")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Judge a target: may it be destroyed, or is it the environment that a job expects?
    Check(CheckArguments),
    /// List the destructive database calls of a Rust workspace that no guard stands before
    Coverage(CoverageArguments),
    /// Write, show or remove what a database says that it is
    Mark(MarkArguments),
    /// Write a first fixture-guard.toml from what the project's files say, for a person to review
    Init(InitArguments),
    /// Print a completion script for a shell
    #[command(after_help = "Examples:\n  $ fixture-guard completions bash")]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print a manual page
    #[command(after_help = "Examples:\n  $ fixture-guard man\n  $ fixture-guard man check")]
    Man {
        /// The page of this subcommand
        command: Option<String>,
    },
}

/// Where the target stands.
#[derive(Debug, Args)]
pub(crate) struct TargetArguments {
    /// The DSN. Without it: DATABASE_URL, else PGHOST and the other PG* variables. Other users of the machine see a
    /// DSN in the process list: `--dsn-stdin` does not show it
    #[arg(long, value_name = "DSN", help_heading = "Target", conflicts_with = "dsn_stdin")]
    pub(crate) database_url: Option<Dsn>,

    /// Read the DSN from standard input; one line end after it is taken away
    #[arg(long, help_heading = "Target")]
    pub(crate) dsn_stdin: bool,
}

/// A DSN, which may hold a password, so that no output can hold it by accident.
#[derive(Clone)]
pub(crate) struct Dsn(pub(crate) String);

impl std::str::FromStr for Dsn {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

impl std::fmt::Debug for Dsn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Dsn")
    }
}

#[derive(Debug, Args)]
pub(crate) struct PolicyArguments {
    /// The policy. Without it: the nearest fixture-guard.toml, from the working directory upwards, else the built-in
    /// rules (loopback and unix sockets)
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Without `--expect` the question is whether tests may destroy this database, and the verdict is \
the library's own. With it, whether the target is that environment; a protected one can be expected as well.

Exit codes: 0 yes, 1 no, 2 could not tell: no target, a DSN that the driver cannot parse, a server that does not \
answer, a bad policy. MySQL and SQLite are not asked who they are: without `--offline`, a yes there ends in 2 as \
well.

Examples:
  $ fixture-guard check
  $ fixture-guard check --offline --format github
  $ fixture-guard check --expect staging
  $ echo \"$DATABASE_URL\" | fixture-guard check --dsn-stdin --format json"
)]
pub(crate) struct CheckArguments {
    #[command(flatten)]
    pub(crate) target: TargetArguments,

    /// Which driver reads the DSN. Without it the scheme says: mysql:// and mariadb://, sqlite:, else PostgreSQL
    #[arg(long, value_enum, help_heading = "Target")]
    pub(crate) driver: Option<Driver>,

    #[command(flatten)]
    pub(crate) policy: PolicyArguments,

    /// Fail unless the target is this environment of the policy, which may be a protected one
    #[arg(long, value_name = "ENVIRONMENT")]
    pub(crate) expect: Option<String>,

    /// Open no connection to the database. Names are looked up all the same if the policy has `networks`
    #[arg(long)]
    pub(crate) offline: bool,

    /// How to print the result
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
#[command(
    after_help = "A marker is a setting that the database itself carries; it names the environment and the \
cluster. The login needs to be a superuser, or (from PostgreSQL 15 on) the database's owner with GRANT SET ON \
PARAMETER fixture_guard.environment.

Exit codes: 0 done, 1 refused, 2 could not.

Examples:
  $ fixture-guard mark staging --yes
  $ fixture-guard mark --show
  $ fixture-guard mark --remove --yes"
)]
#[command(group(ArgGroup::new("what").required(true)))]
pub(crate) struct MarkArguments {
    /// The environment of the policy that the database shall say it is
    #[arg(group = "what")]
    pub(crate) environment: Option<String>,

    /// Show the marker and change nothing
    #[arg(long, group = "what", conflicts_with_all = ["yes", "i_know_this_is"])]
    pub(crate) show: bool,

    /// Remove the marker
    #[arg(long, group = "what")]
    pub(crate) remove: bool,

    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,

    /// Needed where something says production: the host (or socket, or address) as dialled, a slash, and the database
    #[arg(long, value_name = "HOST/DATABASE")]
    pub(crate) i_know_this_is: Option<String>,

    #[command(flatten)]
    pub(crate) target: TargetArguments,

    #[command(flatten)]
    pub(crate) policy: PolicyArguments,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Reads .env*, compose files, .github/workflows, .gitlab-ci.yml, .circleci/config.yml, and \
config/*.toml and *.yaml. Only hosts and names of databases are taken over, never a password. An existing file \
is never overwritten.

Examples:
  $ fixture-guard init --print
  $ fixture-guard init"
)]
pub(crate) struct InitArguments {
    /// The directory to look at, and to write the file to
    #[arg(default_value = ".")]
    pub(crate) directory: PathBuf,

    /// Print the file and write nothing
    #[arg(long)]
    pub(crate) print: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Reads tests, examples and benchmarks, and code under #[cfg(test)]. What may stand as it is, a \
comment allows: // fixture-guard: allow(reason)

Exit codes: 0 done, 1 something found and `--deny`, 2 the directory cannot be read, or holds no Rust file and `--deny`.

Examples:
  $ fixture-guard coverage
  $ fixture-guard coverage . --all --deny"
)]
pub(crate) struct CoverageArguments {
    /// The workspace, a package, or a part of one
    #[arg(default_value = ".")]
    pub(crate) path: PathBuf,

    /// Report calls in all other code as well
    #[arg(long)]
    pub(crate) all: bool,

    /// Fail if anything is found, for CI
    #[arg(long)]
    pub(crate) deny: bool,

    /// How to print the result
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

/// Which driver reads a DSN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Driver {
    /// PostgreSQL
    Postgres,
    /// MySQL and MariaDB
    Mysql,
    /// SQLite
    Sqlite,
}

/// How a result is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people; with colour where a terminal is
    #[default]
    Human,
    /// One JSON object, as schemas/check.schema.json describes it
    Json,
    /// SARIF 2.1.0, for code scanning
    Sarif,
    /// Annotations of GitHub Actions
    Github,
}
