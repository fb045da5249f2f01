//! The words of refusals that the connection and the server give rise to.

use super::session::Failure;
use crate::error::{Broken, Error, Outcome};
use crate::fixture::Fixture;
use crate::postgres::{self, sqlstate};
use crate::reason::{Code, Reason, Rule};
use crate::refusal::{Refusal, Stage, Subject};
use crate::target::Target;
use crate::time_limits::TimeLimits;

pub(super) fn refuse(subject: Subject, target: Option<Target>, stage: Stage, reasons: Vec<Reason>) -> Error {
    Error::Refused(Box::new(Refusal { subject, target, stage, reasons }))
}

pub(super) fn broken(subject: Subject, target: Target, outcome: Outcome, found: String) -> Error {
    Error::Broken(Box::new(Broken { subject, target, outcome, found }))
}

pub(super) fn no_connection(failure: &Failure) -> Reason {
    let help = match failure.sqlstate().as_deref() {
        _ if failure.is_tls() => {
            "check `sslmode` and `sslrootcert` of the DSN, and that sqlx is built with one of its `tls-*` features"
        }
        Some("28P01" | "28000") => "check the user and the password of the DSN",
        Some("3D000") => "create the database, or correct its name in the DSN",
        Some("53300") => "close other sessions, or raise the server's max_connections",
        _ => "check that the server runs and that host and port are right",
    };
    let found = format!("no connection: {failure}");
    Reason::new(Code::NoConnection, Rule::built_in("the server must be reachable"), found, help)
}

pub(super) fn closed_pool() -> Reason {
    Reason::new(
        Code::NoConnection,
        Rule::built_in("the server must be reachable"),
        "no connection: the pool is closed",
        "pass a pool that is open, and close it after the last fixture",
    )
}

pub(super) fn unknown(failure: &Failure) -> Reason {
    Reason::new(
        Code::IdentityUnknown,
        Rule::built_in("the server must say who it is"),
        format!("the server could not be asked who it is: {failure}"),
        "fix the error above; a fact that cannot be learned counts as a refusal",
    )
}

/// A hook of the pool left a transaction open on the guard's connection.
pub(super) fn begun_before() -> Reason {
    Reason::new(
        Code::IdentityUnknown,
        Rule::built_in("a run must begin its own transaction"),
        "a transaction was open on the connection before the guard began its own",
        "end the transaction in the pool's `after_connect` and `before_acquire` hooks",
    )
}

pub(super) fn not_sealed(failure: &Failure) -> Reason {
    let message = failure.answer().map(|(_, message)| message.to_owned()).unwrap_or_default();
    let help = match failure.sqlstate().as_deref() {
        Some(sqlstate::DENIED) if message.contains("temporary") => {
            "run `GRANT TEMPORARY ON DATABASE …` for the test's role: the commit trigger is on a temporary table"
        }
        Some(sqlstate::DENIED) => "grant the test's role the privilege that the error names",
        _ => "fix the error above; the fixture cannot run without the commit trigger",
    };
    let found = format!("the transaction could not be sealed: {failure}");
    Reason::new(Code::NotSealed, Rule::built_in("only the guard commits"), found, help)
}

/// What to do about another session's lock.
const LOCK_HELP: &str = "end that session's transaction, or run the fixture when it has ended; if it is this test's own \
                         transaction, pass that one to the fixture";

/// Why the server did not make a run ready.
pub(super) fn not_armed(fixture: Option<&Fixture>, failure: &Failure, limits: TimeLimits) -> Vec<Reason> {
    let rule = |option| match fixture {
        Some(fixture) => Rule::attribute(fixture.place, option),
        None => Rule::built_in("a transaction reaches no further than its tables"),
    };
    let reason = match failure.answer() {
        Some((state, message)) if state == sqlstate::REACH => {
            let reason = |finding: postgres::Finding| {
                let help = format!(
                    "if the fixture may touch it, declare `reach = [\"{}\"]` in the attribute or the policy",
                    finding.finding
                );
                Reason::new(Code::Reach, rule("reach"), finding.what, help)
            };
            return postgres::read_reach(message).into_iter().map(reason).collect();
        }
        Some((state, message)) if state == sqlstate::OVER_BUDGET => Reason::new(
            Code::TooManyRows,
            rule("max_rows"),
            format!(
                "the declared tables hold more rows than `max_rows` allows; the count ended in {message}"
            ),
            "raise `max_rows` if that many rows are meant to go, or look whether this is the right database",
        ),
        Some((state, _)) if state == sqlstate::NOT_COUNTING => Reason::new(
            Code::TooManyRows,
            rule("max_rows"),
            "the server does not count rows (`track_counts` is off), so the number of removed rows is unknown",
            "run `ALTER DATABASE … SET track_counts = on`, or remove `max_rows`",
        ),
        Some((state, message)) if state == sqlstate::HELD => Reason::new(
            Code::Locked,
            rule("tables"),
            format!("another session holds a lock on a declared table: {message}"),
            LOCK_HELP,
        ),
        Some((state, message)) if state == sqlstate::MISSING => Reason::new(
            Code::MissingTable,
            rule("tables"),
            format!("these declared tables do not exist: {message}"),
            "correct the names, or run the migrations first",
        ),
        Some((state, message)) if sqlstate::NO_NAME.contains(&state.as_str()) => Reason::new(
            Code::MissingTable,
            rule("tables"),
            format!("a declared table has a name that no table can have: {message}"),
            "write `table` or `schema.table`, with quotes around names that are not lower case",
        ),
        Some((state, _)) if state == sqlstate::LOCKED || state == sqlstate::TIMED_OUT => Reason::new(
            Code::Locked,
            Rule::built_in("runs on one database take turns"),
            format!(
                "another guarded run was at this database for more than {} seconds, or a lock was held for more than \
                 {:?}",
                super::enter::TURN_LIMIT.as_secs(),
                limits.lock
            ),
            "look in pg_stat_activity for `fixture-guard …` sessions that hang",
        ),
        _ => not_sealed(failure),
    };
    vec![reason]
}

/// A run inside the body of another run on the same database, on another connection: it would wait for itself.
pub(super) fn inside_another(outer: &str) -> Reason {
    Reason::new(
        Code::Locked,
        Rule::built_in("runs on one database take turns"),
        format!(
            "this call is made inside {outer}, which is at its turn on the same database: it would wait for itself"
        ),
        "pass the outer fixture's own connection (`conn: &mut GuardedTransaction`) to the inner one instead of the pool",
    )
}
