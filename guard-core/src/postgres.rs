//! PostgreSQL's own language: the messages that open, ask, seal, survey and end a run, for every driver that speaks
//! to PostgreSQL.
//!
//! Two messages come before the body and two after: [`open`] and [`arm`], then [`survey`] and `COMMIT`, or
//! [`survey_and_undo`] and the `ROLLBACK` that the driver counts.

use std::time::Duration;

use crate::identity::Identity;
use crate::reset::{BOUND, Plan};

const PROBE: &str = include_str!("postgres/probe.sql");
const CLUSTER: &str = include_str!("postgres/cluster.sql");
/// What is made on each connection, each a function of its own: as functions their plans stay, and planning is most of
/// what asking the catalogue costs.
const FUNCTIONS: [&str; 6] = [
    include_str!("postgres/seal.sql"),
    include_str!("postgres/session.sql"),
    include_str!("postgres/reach.sql"),
    include_str!("postgres/arm.sql"),
    include_str!("postgres/survey.sql"),
    include_str!("postgres/tables.sql"),
];

/// How long a question of the guard may take on the server.
const QUESTION_TIMEOUT: &str = "5s";

/// How long a run waits for its turn before it asks anew, so that a connection which went silent is noticed.
const TURN_TIMEOUT: &str = "3s";

/// How long a body's statement stands behind somebody else's lock, with everybody who comes after it in the queue.
pub(crate) const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// Who holds locks on tables of this database, in words.
pub(crate) const HOLDERS: &str = "SELECT pg_catalog.string_agg(DISTINCT pg_catalog.format(\
    'pid %s (%s, user %s, %s since %s)', a.pid, coalesce(nullif(a.application_name, ''), 'no application name'), \
    a.usename, coalesce(a.state, 'unknown'), \
    pg_catalog.to_char(coalesce(a.xact_start, a.backend_start), 'HH24:MI:SS')), ', ') \
    FROM pg_catalog.pg_locks AS l JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid \
    WHERE l.granted AND l.pid <> pg_catalog.pg_backend_pid() AND l.locktype = 'relation' AND l.relation >= 16384 \
    AND a.datname = pg_catalog.current_database()";

/// Errors by which the server tells the guard something. Those that begin with `FG` are raised by `seal.sql`.
pub(crate) mod sqlstate {
    /// `insufficient_privilege`
    pub(crate) const DENIED: &str = "42501";
    /// `undefined_function`, `invalid_schema_name` and `undefined_table`: what the guard makes is not here
    pub(crate) const NOT_MADE: [&str; 3] = ["42883", "3F000", "42P01"];
    /// `in_failed_sql_transaction`
    pub(crate) const ABORTED: &str = "25P02";
    /// `read_only_sql_transaction`
    pub(crate) const READ_ONLY: &str = "25006";
    /// `query_canceled`, by `statement_timeout`
    pub(crate) const TIMED_OUT: &str = "57014";
    /// `lock_not_available`
    pub(crate) const LOCKED: &str = "55P03";
    /// `feature_not_supported`: a standby cannot open a transaction that writes
    pub(crate) const STANDBY: &str = "0A000";
    /// `object_in_use`: TRUNCATE meets checks that are due
    pub(crate) const IN_USE: &str = "55006";
    /// `invalid_parameter_value`: a name that cannot be one
    pub(crate) const INVALID_NAME: &str = "22023";
    /// The declared tables hold more rows than the budget.
    pub(crate) const OVER_BUDGET: &str = "FGD01";
    /// Another session holds a lock on a declared table.
    pub(crate) const HELD: &str = "FGD02";
    /// The statements reach beyond what was declared; the message is the findings as JSON.
    pub(crate) const REACH: &str = "FGR01";
    /// A declared table does not exist.
    pub(crate) const MISSING: &str = "FGD03";
}

/// Whether the guard's functions are on this connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Functions {
    /// As on every connection that a guarded run has used before.
    Assumed,
    /// Not yet: what opens a run goes along as text.
    Missing,
    /// They are made first, in the same message: behind a pooler that hands out another server session for each
    /// transaction, the next message may go to a session that has none.
    MadeFirst,
}

/// What a run calls first. Behind a pooler, clients with another version of this crate may use the same server session:
/// whose function this is not, finds none of its own, and makes them all anew.
const HOLD_FUNCTION: &str = concat!("\"fixture_guard_hold ", env!("CARGO_PKG_VERSION"), "\"()");

/// Takes away what another version made.
const UNMAKE: &str = "DO $unmake$ DECLARE made pg_catalog.regprocedure; BEGIN \
    FOR made IN SELECT p.oid FROM pg_catalog.pg_proc AS p \
    WHERE p.proname LIKE 'fixture\\_guard\\_%' AND p.pronamespace = pg_catalog.pg_my_temp_schema() \
    LOOP EXECUTE 'DROP FUNCTION ' || made::pg_catalog.text || ' CASCADE'; END LOOP; END $unmake$; ";

/// Makes the session harmless: its default is read-only and, where the login has the means, its role is powerless.
/// What it had before is written down.
const HOLD: &str = "\
    pg_catalog.set_config('fixture_guard.role', pg_catalog.current_setting('role'), false), \
    pg_catalog.set_config('fixture_guard.read_only', pg_catalog.current_setting('default_transaction_read_only'), false), \
    pg_catalog.set_config('fixture_guard.held', 'on', false), \
    pg_catalog.set_config('default_transaction_read_only', 'on', false), \
    pg_catalog.set_config('role', CASE WHEN pg_catalog.current_setting('is_superuser') = 'on' THEN 'pg_monitor' \
    WHEN pg_catalog.to_regrole('fixture_guard_powerless') IS NULL THEN pg_catalog.current_setting('role') \
    WHEN pg_catalog.pg_has_role(session_user, 'fixture_guard_powerless', 'MEMBER') THEN 'fixture_guard_powerless' \
    ELSE pg_catalog.current_setting('role') END, false)";

/// Gives the session back what [`HOLD`] took, if it did.
const LET_GO: &str = "\
    pg_catalog.set_config('role', CASE pg_catalog.current_setting('fixture_guard.held', true) WHEN 'on' \
    THEN pg_catalog.current_setting('fixture_guard.role') ELSE pg_catalog.current_setting('role') END, false), \
    pg_catalog.set_config('default_transaction_read_only', \
    CASE pg_catalog.current_setting('fixture_guard.held', true) WHEN 'on' THEN pg_catalog.current_setting('fixture_guard.read_only') \
    ELSE pg_catalog.current_setting('default_transaction_read_only') END, false), \
    pg_catalog.set_config('fixture_guard.held', '', false)";

/// Gives a run's transaction the session's own role, a bound for the guard's questions, and a name for others to see.
fn enter(subject: &str) -> String {
    format!(
        "pg_catalog.set_config('role', pg_catalog.current_setting('fixture_guard.role'), true), \
         pg_catalog.set_config('statement_timeout', '{QUESTION_TIMEOUT}', true), \
         pg_catalog.set_config('application_name', {subject}, true)"
    )
}

/// Opens a run's transaction and asks the server who it is.
///
/// A first, short transaction makes the session harmless ([`HOLD`]). The second one, the run's own, has its rights back
/// for as long as it lasts. Whatever a body executes after it ended that transaction therefore meets a read-only
/// default, and a role that may not write: a superuser falls back to `pg_monitor`, and a plain role to
/// `fixture_guard_powerless`, if it was granted that. Both end with the run: [`survey`] gives the session its own values
/// back in the transaction that commits.
///
/// It reads what is committed, whatever the session's default says: with an older snapshot the rows that are counted
/// under a lock would not be the ones that are there.
///
/// The last rows are the probe's and the cluster's; the cluster's may be an error instead.
pub(crate) fn open(subject: &str, functions: Functions) -> String {
    let name = quote(&format!("fixture-guard {subject}"));
    let first = if functions == Functions::MadeFirst { make() } else { String::new() };
    let (hold, ask) = match functions {
        Functions::Missing => (HOLD.to_owned(), format!("SELECT {}; {}", enter(&name), ask())),
        Functions::Assumed | Functions::MadeFirst => (
            format!("pg_temp.{HOLD_FUNCTION}"),
            format!(
                "SELECT pg_catalog.unnest(ARRAY[pg_temp.fixture_guard_enter({name}), pg_temp.fixture_guard_cluster()])"
            ),
        ),
    };
    format!("{first}BEGIN; SELECT {hold}; COMMIT; BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; {ask}")
}

/// Asks the server who it is in a transaction that cannot write, also on a standby. The last rows are as [`open`]'s.
pub(crate) fn look() -> String {
    format!(
        "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY; \
         SELECT pg_catalog.set_config('statement_timeout', '{QUESTION_TIMEOUT}', true); {}",
        ask()
    )
}

/// Asks for the probe's row and the cluster's, where none of the guard's functions is.
fn ask() -> String {
    format!("{PROBE}; SAVEPOINT fixture_guard_cluster; {CLUSTER}")
}

/// Forgets that the cluster could not be asked.
pub(crate) const AFTER_CLUSTER: &str = "ROLLBACK TO SAVEPOINT fixture_guard_cluster";

/// Makes the seal and the guard's functions, once on each connection, after it was cleared.
///
/// The transaction that asked is ended first, and [`open`] follows anew.
fn make() -> String {
    let function = |signature: &str, body: String| {
        format!(
            "CREATE FUNCTION pg_temp.{signature} LANGUAGE plpgsql AS $function$ BEGIN {body}; END $function$; "
        )
    };
    let nothing = "RETURNS pg_catalog.void";
    [
        format!("{}; BEGIN READ WRITE; SET LOCAL client_min_messages = 'error'; ", undo()),
        UNMAKE.to_owned(),
        FUNCTIONS.concat(),
        function(&format!("{HOLD_FUNCTION} {nothing}"), format!("PERFORM {HOLD}")),
        function(&format!("fixture_guard_let_go() {nothing}"), format!("PERFORM {LET_GO}")),
        function(
            "fixture_guard_enter(subject pg_catalog.text) RETURNS pg_catalog.text",
            format!("PERFORM {}; RETURN ({PROBE})", enter("subject")),
        ),
        // A server process never leaves its cluster; only who may not ask yet asks again.
        function(
            "fixture_guard_cluster() RETURNS pg_catalog.text",
            format!("RETURN ({CLUSTER}); EXCEPTION WHEN insufficient_privilege THEN RETURN NULL"),
        ),
        "DO $make$ DECLARE cluster pg_catalog.text := pg_temp.fixture_guard_cluster(); BEGIN \
         IF cluster IS NOT NULL THEN EXECUTE pg_catalog.format('CREATE OR REPLACE FUNCTION \
         pg_temp.fixture_guard_cluster() RETURNS pg_catalog.text LANGUAGE plpgsql AS %L', \
         pg_catalog.format('BEGIN RETURN %L; END', cluster)); END IF; END $make$; "
            .to_owned(),
        "COMMIT; ".to_owned(),
    ]
    .concat()
}

/// Rolls back, and gives the session its own role and default back in a transaction of its own.
pub(crate) fn undo() -> String {
    format!("ROLLBACK; BEGIN; SELECT {LET_GO}; COMMIT")
}

/// What a run declares, and what its transaction needs besides.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arm<'a> {
    pub(crate) secret: &'a str,
    pub(crate) tables: &'a [&'a str],
    pub(crate) budget: Option<u64>,
    pub(crate) level: u32,
    pub(crate) reach: &'a [&'a str],
    pub(crate) turn: Turn,
    pub(crate) counters: Counters,
}

/// What the session's counters of rows hold when a transaction begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counters {
    /// Nothing: the connection is new.
    Zero,
    /// Perhaps what earlier transactions did. The server flushes them when a session is idle, once a second.
    Pending,
}

/// Whether a run takes turns with others on the same database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It commits: it waits until nobody else of us is at it.
    Taken,
    /// It never commits, so that many can share the database.
    NotNeeded,
}

/// Makes the transaction ready for the body: turn, seal, stamp, locks, counts, timeouts.
pub(crate) fn arm(arm: &Arm<'_>) -> String {
    let budget = arm.budget.map_or_else(|| "NULL".to_owned(), |rows| rows.min(MAX_BUDGET).to_string());
    let (turn, planning) = match arm.turn {
        Turn::Taken => (quote(TURN_TIMEOUT), PLANNING),
        Turn::NotNeeded => ("NULL".to_owned(), "NULL"),
    };
    let timeouts = if arm.level == 0 {
        format!(
            "SET LOCAL statement_timeout = '60s'; SET LOCAL lock_timeout = '{}s'; ",
            LOCK_TIMEOUT.as_secs()
        )
    } else {
        String::new()
    };
    format!(
        "{timeouts}SELECT pg_temp.fixture_guard_arm({}, {}, {budget}, {}, {}, {}, {turn}, {planning})",
        quote(arm.secret),
        texts(arm.tables),
        arm.level,
        texts(arm.reach),
        arm.counters == Counters::Pending
    )
}

/// A setting of the session's that [`arm`]'s function has a value of its own for, so that it is read outside.
const PLANNING: &str = "pg_catalog.current_setting('plan_cache_mode')";

/// `budget + 1` must fit an `int8`.
const MAX_BUDGET: u64 = i64::MAX as u64 - 1;

/// Asks what the body did. The last row is the survey's.
///
/// With [`Lift::Commit`] the seal is lifted first, the session gets its own role and default back with the commit,
/// and every deferred constraint is checked now: other deferred triggers may still write, and what they write counts.
pub(crate) fn survey(secret: &str, level: u32, lift: Lift) -> String {
    let ending = match lift {
        Lift::Commit => "commit",
        Lift::Rehearse => "rehearse",
        Lift::No => "undo",
    };
    format!("SELECT pg_temp.fixture_guard_end({}, '{level}', '{ending}')", quote(secret))
}

/// Asks what the body did, and undoes it, in one message; the driver gets a transaction that it can end. If the
/// question fails, nothing is undone yet.
pub(crate) fn survey_and_undo(secret: &str, lift: Lift) -> String {
    let survey = survey(secret, 0, lift);
    format!("{survey}; ROLLBACK; BEGIN; SELECT pg_temp.fixture_guard_let_go(); COMMIT; BEGIN")
}

/// What a survey is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lift {
    /// It is the last thing before `COMMIT`.
    Commit,
    /// It finds what a commit would have found, and nothing is kept.
    Rehearse,
    /// Nothing is kept.
    No,
}

/// One thing that the fixture's statements can touch beyond what it declared.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct Finding {
    /// As `reach = […]` declares it: `trigger:audit_log`.
    pub(crate) finding: String,
    pub(crate) what: String,
}

/// Reads what `fixture_guard_reach` found.
pub(crate) fn read_reach(message: &str) -> Vec<Finding> {
    serde_json::from_str(message)
        .unwrap_or_else(|_| vec![Finding { finding: "?".into(), what: message.to_owned() }])
}

/// How long a reset waits for its turn and for locks. Another test may hold them until its end.
const RESET_TIMEOUT: &str = "60s";

/// Asks which tables hold rows, and gives back the locks of asking: two resets that keep theirs while they wait for
/// each other's would wait for ever.
pub(crate) fn tables(
    except: &[String],
    known: &[&str],
    schemas: Option<&[String]>,
    sequences: bool,
) -> String {
    let schemas = schemas.map_or_else(|| "NULL".to_owned(), texts);
    format!(
        "SAVEPOINT fixture_guard_tables; SET LOCAL lock_timeout = '{RESET_TIMEOUT}'; \
         SELECT pg_temp.fixture_guard_tables({}, {}, {schemas}, {BOUND}, {sequences}); {}",
        texts(except),
        texts(known),
        undo_tables()
    )
}

/// Forgets the question of [`tables`].
pub(crate) fn undo_tables() -> String {
    "ROLLBACK TO SAVEPOINT fixture_guard_tables; RELEASE SAVEPOINT fixture_guard_tables".to_owned()
}

/// Empties tables, after a turn like that of a run which commits.
pub(crate) fn empty(plan: &Plan) -> String {
    let mut statements = vec![
        "SELECT pg_catalog.set_config('fixture_guard.lock_timeout', pg_catalog.current_setting('lock_timeout'), true)"
            .to_owned(),
        format!("SET LOCAL lock_timeout = '{RESET_TIMEOUT}'"),
        format!("SELECT pg_temp.fixture_guard_turn({})", quote(RESET_TIMEOUT)),
    ];
    let (savepoint, release) = if plan.may_be_pending {
        (Some("SAVEPOINT fixture_guard_empty"), Some("RELEASE SAVEPOINT fixture_guard_empty"))
    } else {
        (None, None)
    };
    statements.extend(savepoint.map(str::to_owned));
    if !plan.truncate.is_empty() {
        statements.push(format!("TRUNCATE {}", plan.truncate.join(", ")));
    }
    if let Some((last, others)) = plan.delete.split_last() {
        let others: Vec<String> =
            others.iter().enumerate().map(|(n, table)| format!("t{n} AS (DELETE FROM {table})")).collect();
        let with = if others.is_empty() { String::new() } else { format!("WITH {} ", others.join(", ")) };
        statements.push(format!("{with}DELETE FROM {last}"));
    }
    statements.extend(plan.restart.iter().map(|sequence| format!("ALTER SEQUENCE {sequence} RESTART")));
    statements.extend(release.map(str::to_owned));
    statements.push(LOCK_TIMEOUT_AS_BEFORE.to_owned());
    statements.join("; ")
}

/// Undoes an [`empty`] that failed.
pub(crate) fn undo_empty() -> String {
    format!(
        "ROLLBACK TO SAVEPOINT fixture_guard_empty; RELEASE SAVEPOINT fixture_guard_empty; {LOCK_TIMEOUT_AS_BEFORE}"
    )
}

const LOCK_TIMEOUT_AS_BEFORE: &str = "SELECT pg_catalog.set_config('lock_timeout', pg_catalog.current_setting('fixture_guard.lock_timeout'), true)";

/// An array of texts.
fn texts(texts: &[impl AsRef<str>]) -> String {
    let quoted: Vec<String> = texts.iter().map(|text| quote(text.as_ref())).collect();
    format!("ARRAY[{}]::pg_catalog.text[]", quoted.join(", "))
}

/// Reads the probe's answer; the cluster's is `None` where the role may not ask for it.
pub(crate) fn read_identity(probe: &str, cluster: Option<&str>) -> Result<Identity, String> {
    let other_shape = |what: &dyn std::fmt::Display| format!("the server's answer has another shape: {what}");
    let mut identity: Identity = serde_json::from_str(probe).map_err(|error| other_shape(&error))?;
    identity.system_identifier = cluster.map(str::parse).transpose().map_err(|error| other_shape(&error))?;
    Ok(identity)
}

/// A string literal that means the same whatever `standard_conforming_strings` says.
fn quote(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    if doubled.contains('\\') {
        format!(" E'{}'", doubled.replace('\\', "\\\\"))
    } else {
        format!("'{doubled}'")
    }
}
