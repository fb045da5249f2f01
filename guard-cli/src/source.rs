//! Where the target stands, and what the driver makes of it.

use std::io::Read;

use fixture_guard_core::{InvalidDsn, Reason, Surroundings, Target};
use sqlx::postgres::PgConnectOptions;

use crate::arguments::{Driver, TargetArguments};
use crate::ending::Problem;

/// A target, and the options to dial it with where that can be done.
pub(crate) struct Source {
    pub(crate) target: Target,
    pub(crate) options: Option<Box<PgConnectOptions>>,
}

/// The variables that say where PostgreSQL is.
const VARIABLES: [&str; 5] = ["PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGUSER"];

/// A DSN is shorter than this.
const LONGEST: u64 = 1 << 20;

/// Why there is no target.
pub(crate) enum Missing {
    /// The driver cannot read what there is.
    Invalid(Reason),
    /// There is nothing, or it could not be had.
    Problem(Problem),
}

pub(crate) fn read(arguments: &TargetArguments, driver: Option<Driver>) -> Result<Source, Missing> {
    let surroundings = Surroundings::of_process();
    let dsn = if arguments.dsn_stdin {
        Some(from_standard_input().map_err(Missing::Problem)?)
    } else if let Some(dsn) = &arguments.database_url {
        Some(dsn.0.clone())
    } else {
        surroundings.get("DATABASE_URL").map(str::to_owned)
    };
    match dsn {
        Some(dsn) if dsn.trim_start().starts_with(['"', '\'']) => Err(Missing::Problem(
            Problem::unknown("the DSN begins with a quote, which is a part of the value")
                .help("remove the quotes: docker and compose keep those of an env file"),
        )),
        Some(dsn) => parse(&dsn, driver).map_err(|invalid| Missing::Invalid(Reason::from(&invalid))),
        // a job whose secret is missing sets it to nothing: that is no leave to look elsewhere
        None if is_set("DATABASE_URL") => Err(Missing::Problem(
            Problem::unknown("DATABASE_URL is set and empty")
                .help("give this job its DSN, or unset DATABASE_URL so that PGHOST and the like are read"),
        )),
        None if VARIABLES.iter().any(|name| surroundings.get(name).is_some()) => {
            let options = PgConnectOptions::new();
            Ok(Source { target: Target::from(&options), options: Some(Box::new(options)) })
        }
        None => Err(Missing::Problem(
            Problem::unknown(
                "there is no target: neither DATABASE_URL nor PGHOST, PGDATABASE or the like is set",
            )
            .help("set DATABASE_URL, or pass `--dsn-stdin` or `--database-url` (a `.env` file is not read)"),
        )),
    }
}

/// Whether a variable is there, be it empty.
fn is_set(name: &str) -> bool {
    #[expect(clippy::disallowed_methods, reason = "to `Surroundings` an empty variable is none")]
    let value = std::env::var_os(name);
    value.is_some()
}

fn parse(dsn: &str, driver: Option<Driver>) -> Result<Source, InvalidDsn> {
    match driver.unwrap_or_else(|| by_scheme(dsn)) {
        Driver::Postgres => Target::from_postgres_dsn(dsn)
            .map(|(target, options)| Source { target, options: Some(Box::new(options)) }),
        Driver::Mysql => Target::from_mysql_dsn(dsn).map(|(target, _)| Source { target, options: None }),
        Driver::Sqlite => Target::from_sqlite_dsn(dsn).map(|(target, _)| Source { target, options: None }),
    }
}

/// What has no scheme of another driver's is judged as PostgreSQL's, as the library does.
fn by_scheme(dsn: &str) -> Driver {
    let scheme = dsn.split_once(':').map_or("", |(scheme, _)| scheme);
    if ["mysql", "mariadb"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        Driver::Mysql
    } else if scheme.eq_ignore_ascii_case("sqlite") {
        Driver::Sqlite
    } else {
        Driver::Postgres
    }
}

fn from_standard_input() -> Result<String, Problem> {
    let mut text = String::new();
    let read = std::io::stdin().lock().take(LONGEST + 1).read_to_string(&mut text);
    let read = read
        .map_err(|error| Problem::unknown(format!("the DSN cannot be read from standard input: {error}")))?;
    if read as u64 > LONGEST {
        return Err(Problem::unknown("standard input holds more than a DSN: over 1 MiB"));
    }
    if let Some(line) = text.strip_suffix('\n') {
        let line = line.strip_suffix('\r').unwrap_or(line);
        text.truncate(line.len());
    }
    if text.is_empty() {
        return Err(Problem::unknown("standard input holds no DSN"));
    }
    Ok(text)
}
