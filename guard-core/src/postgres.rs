//! PostgreSQL's own language: the messages that open, ask, seal, survey and end a run, for every driver that speaks
//! to PostgreSQL.
//!
//! Two messages come before the body and two after: [`open`] and [`arm`], then [`survey_and_clear`] and `COMMIT`, or
//! [`survey_and_undo`] and the `ROLLBACK` that the driver counts.

use std::time::Duration;

use crate::identity::Identity;
use crate::reach::like;
use crate::reset::{BOUND, Plan};
use crate::time_limits::TimeLimits;

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

/// How long a run waits for its turn before it asks again, so that a connection which went silent is noticed.
const TURN_TIMEOUT: &str = "3s";

/// The first half of the key of the advisory lock by which runs on one database take turns: `fixg` in ASCII.
const TURN_KEY: u32 = 1_718_188_135;

/// A session in words: `a` is its row of `pg_stat_activity`.
const SESSION: &str = "pg_catalog.format('pid %s (%s, user %s, %s since %s)', a.pid, \
    coalesce(nullif(a.application_name, ''), 'no application name'), a.usename, coalesce(a.state, 'state unknown'), \
    coalesce(pg_catalog.to_char(coalesce(a.xact_start, a.backend_start), 'HH24:MI:SS'), 'an unknown time'))";

/// Names the sessions that hold locks on tables of this database.
pub(crate) fn holders() -> String {
    format!(
        "SELECT 'holders ' || pg_catalog.string_agg(DISTINCT {SESSION}, ', ') \
         FROM pg_catalog.pg_locks AS l JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid \
         WHERE l.granted AND l.pid <> pg_catalog.pg_backend_pid() AND l.locktype = 'relation' AND l.relation >= 16384 \
         AND a.datname = pg_catalog.current_database()"
    )
}

/// The row of `pg_stat_activity`, as `b`, of the session that is in this transaction ([`TRANSACTION`]). A process alone
/// does not name it: a pooler may have given the process to another client since.
fn in_transaction(transaction: &str) -> String {
    let (process, number) = transaction.split_once('/').unwrap_or((transaction, ""));
    let process: i32 = process.parse().unwrap_or_default();
    // the view shows the lower 32 bits
    let number = number.parse::<u64>().unwrap_or_default() % (1 << 32);
    format!("b.pid = {process} AND b.backend_xid = '{number}'")
}

/// Names the sessions that wait for a lock of this transaction, while its own session has nothing to do: the time since
/// when that is so, a `|`, and the sessions.
pub(crate) fn waiting_for(transaction: &str) -> String {
    format!(
        "SELECT 'waiting ' || b.state_change::pg_catalog.text || '|' || pg_catalog.string_agg(DISTINCT {SESSION}, ', ') \
         FROM pg_catalog.pg_stat_activity AS b JOIN pg_catalog.pg_stat_activity AS a ON a.datid = b.datid \
         WHERE {} AND b.state LIKE 'idle in%' AND coalesce(a.wait_event_type, 'Lock') = 'Lock' \
         AND b.pid = ANY (pg_catalog.pg_blocking_pids(a.pid)) GROUP BY b.state_change",
        in_transaction(transaction)
    )
}

/// Answers with a row if the session in this transaction is at a statement.
pub(crate) fn is_active(transaction: &str) -> String {
    format!(
        "SELECT 'active ' || b.pid::pg_catalog.text FROM pg_catalog.pg_stat_activity AS b \
         WHERE {} AND b.state = 'active'",
        in_transaction(transaction)
    )
}

/// Ends the session that is in this transaction, which the server rolls back.
pub(crate) fn terminate(transaction: &str) -> String {
    format!(
        "SELECT 'ended ' || pg_catalog.pg_terminate_backend(b.pid)::pg_catalog.text \
         FROM pg_catalog.pg_stat_activity AS b WHERE {}",
        in_transaction(transaction)
    )
}

/// Names the session that is at its turn on this database.
pub(crate) fn at_its_turn() -> String {
    format!(
        "{LOOK}; SELECT 'turn ' || pg_catalog.string_agg(DISTINCT {SESSION}, ', ') \
         FROM pg_catalog.pg_locks AS l JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid \
         WHERE l.granted AND l.locktype = 'advisory' AND l.classid = {TURN_KEY} \
         AND l.objid = pg_catalog.hashtext(pg_catalog.current_database())::pg_catalog.oid; ROLLBACK"
    )
}

/// Errors by which the server tells the guard something. Those that begin with `FG` are raised by the `.sql` files.
pub(crate) mod sqlstate {
    /// `insufficient_privilege`
    pub(crate) const DENIED: &str = "42501";
    /// `undefined_function`, `invalid_schema_name` and `undefined_table`: the guard's objects are not here
    pub(crate) const NOT_MADE: [&str; 3] = ["42883", "3F000", "42P01"];
    /// `in_failed_sql_transaction`
    pub(crate) const ABORTED: &str = "25P02";
    /// `no_active_sql_transaction` and `invalid_savepoint_specification`: the guarded transaction has ended
    pub(crate) const NOT_THERE: [&str; 2] = ["25P01", "3B001"];
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
    /// `invalid_name`, `feature_not_supported` and `syntax_error`: a declared table's name that no table can have
    pub(crate) const NO_NAME: [&str; 3] = ["42602", "0A000", "42601"];
    /// `fixture_guard_arm`: the declared tables hold more rows than the budget.
    pub(crate) const OVER_BUDGET: &str = "FGD01";
    /// `fixture_guard_arm`: another session holds a lock on a declared table.
    pub(crate) const HELD: &str = "FGD02";
    /// `fixture_guard_arm`: a declared table does not exist.
    pub(crate) const MISSING: &str = "FGD03";
    /// `fixture_guard_arm`: the server does not count the rows that are written.
    pub(crate) const NOT_COUNTING: &str = "FGD04";
    /// `fixture_guard_give_rights`: the session is not harmless, as it must be between runs.
    pub(crate) const NOT_HELD: &str = "FGH01";
    /// `fixture_guard_arm`: the statements reach beyond what was declared; the message is the findings as JSON.
    pub(crate) const REACH: &str = "FGR01";
}

/// How long what the guard makes on the server lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lasting {
    /// As long as the session, which only the guard uses: plans stay, and the session is harmless between runs.
    Session,
    /// As long as the run's transaction. Behind a pooler the next transaction of a server session is another client's,
    /// and an event trigger writes about everything that is made.
    Transaction,
}

/// Which of the guard's functions a message that opens a run can call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Functions {
    /// All, on a session that is held. As on every connection that a guarded run has used before.
    Assumed,
    /// All, and the session is held first: a hook of the pool has changed it.
    HeldFirst,
    /// None: the questions go along as text.
    Missing,
    /// All, and they are made first, in the same message.
    MadeFirst,
}

/// Begins a transaction of the guard's own.
///
/// It reads what is committed, whatever the session's default says: with an older snapshot the rows that are counted
/// under a lock would not be the ones that are there. A deferrable one may wait for others.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE NOT DEFERRABLE";

/// Begins a transaction that only looks. A deferrable one could wait for others here too.
pub(crate) const LOOK: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY NOT DEFERRABLE";

/// Opens a run's transaction and asks the server who it is.
///
/// The rows are [`Answers`]; the cluster's may be an error instead.
pub(crate) fn open(subject: &str, functions: Functions) -> String {
    let name = quote(&format!("fixture-guard {subject}"));
    let first = match functions {
        Functions::Missing => {
            return format!(
                "{BEGIN}; SELECT pg_catalog.set_config('application_name', {name}, true), \
                 pg_catalog.set_config('fixture_guard.own', pg_catalog.current_setting('role'), true); {}",
                ask()
            );
        }
        Functions::Assumed => String::new(),
        Functions::HeldFirst => format!("ROLLBACK; {BEGIN}; SELECT pg_temp.fixture_guard_hold(); COMMIT; "),
        Functions::MadeFirst => {
            format!(
                "ROLLBACK; {BEGIN}; {}; {WITNESS}; SELECT pg_temp.fixture_guard_hold(); COMMIT; ",
                make(Lasting::Session)
            )
        }
    };
    format!(
        "{first}{BEGIN}; SELECT pg_catalog.unnest(ARRAY[\
         pg_temp.{ENTER_FUNCTION}({name}, pg_catalog.current_setting('search_path')), \
         pg_temp.fixture_guard_cluster()]); {TRANSACTION}"
    )
}

/// Asks the server who it is in a transaction that cannot write, also on a standby. The rows are [`Answers`].
pub(crate) fn look() -> String {
    format!("{LOOK}; {}", ask())
}

/// The transaction, as [`ENDING`] names it again: its number is never given out twice. It is asked for once it is known
/// that the run's transaction will be this one.
pub(crate) const TRANSACTION: &str = "SELECT pg_catalog.concat_ws('/', 'transaction ' OPERATOR(pg_catalog.||) \
    pg_catalog.pg_backend_pid()::pg_catalog.text, pg_catalog.pg_current_xact_id()::pg_catalog.text)";

/// Asks for the probe's row and the cluster's, where none of the guard's functions is. The search path is the server's
/// own from here until [`ARMING`].
fn ask() -> String {
    format!(
        "SELECT pg_catalog.set_config('fixture_guard.path', pg_catalog.current_setting('search_path'), true), \
         pg_catalog.set_config('search_path', 'pg_catalog', true), \
         pg_catalog.set_config('statement_timeout', '{QUESTION_TIMEOUT}', true); \
         SELECT 'identity ' || probe FROM ({PROBE}) AS probe (probe); \
         SAVEPOINT fixture_guard_cluster; SELECT 'cluster ' || cluster FROM ({CLUSTER}) AS cluster (cluster)"
    )
}

/// Forgets that the cluster could not be asked.
pub(crate) const AFTER_CLUSTER: &str = "ROLLBACK TO SAVEPOINT fixture_guard_cluster";

/// What a run calls first has the crate's version in its name: where another version of this crate left its functions,
/// this one finds none of its own and makes them all again.
const ENTER_FUNCTION: &str = concat!("\"fixture_guard_enter ", env!("CARGO_PKG_VERSION"), "\"");

/// Takes away what another version made, or what a run made for its transaction only.
const UNMAKE: &str = "DO $unmake$ DECLARE made pg_catalog.regprocedure; BEGIN \
    DROP TABLE IF EXISTS pg_temp.fixture_guard_seal CASCADE; \
    FOR made IN SELECT p.oid FROM pg_catalog.pg_proc AS p \
    WHERE p.proname OPERATOR(pg_catalog.~) '^fixture_guard_' \
    AND p.pronamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema() \
    LOOP EXECUTE pg_catalog.format('DROP FUNCTION %s CASCADE', made); END LOOP; END $unmake$";

/// `DEALLOCATE ALL` takes it along, as it does the statements that the driver believes to be prepared here.
const WITNESS: &str = "DO $witness$ BEGIN IF NOT EXISTS (SELECT FROM pg_catalog.pg_prepared_statement() AS p \
    WHERE p.name = 'fixture_guard_witness') THEN EXECUTE 'PREPARE fixture_guard_witness AS SELECT'; END IF; END $witness$";

/// Makes the seal and the guard's functions, after the target was cleared. Roles that the pool's hooks set later may use
/// them too.
fn make(lasting: Lasting) -> String {
    let function = |signature: &str, body: &str| {
        format!(
            "CREATE FUNCTION pg_temp.{signature} LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp \
             AS $function$ BEGIN {body}; END $function$; "
        )
    };
    [
        "SET LOCAL client_min_messages = 'error'; SET LOCAL check_function_bodies = off; ",
        match lasting {
            Lasting::Session => "SET LOCAL search_path = pg_catalog, pg_temp; ",
            // an event trigger of the user's may name its table without a schema
            Lasting::Transaction => {
                "SELECT pg_catalog.set_config('search_path', pg_catalog.concat_ws(', ', 'pg_catalog', 'pg_temp', \
                 nullif(pg_catalog.current_setting('fixture_guard.path'), '')), true); "
            }
        },
        UNMAKE,
        "; ",
        &FUNCTIONS.concat(),
        &function(
            &format!("{ENTER_FUNCTION}(subject pg_catalog.text, path pg_catalog.text) RETURNS pg_catalog.text"),
            &format!(
                "PERFORM pg_temp.fixture_guard_give_rights(subject, path), \
                 set_config('statement_timeout', '{QUESTION_TIMEOUT}', true); RETURN 'identity ' || ({PROBE})"
            ),
        ),
        // a server process never leaves its cluster; a role that may not ask yet asks again
        &function(
            "fixture_guard_cluster() RETURNS pg_catalog.text",
            &format!("RETURN 'cluster ' || ({CLUSTER}); EXCEPTION WHEN insufficient_privilege THEN RETURN NULL"),
        ),
        "DO $make$ DECLARE cluster pg_catalog.text := pg_temp.fixture_guard_cluster(); made pg_catalog.regprocedure; BEGIN \
         IF cluster IS NOT NULL THEN EXECUTE format('CREATE OR REPLACE FUNCTION \
         pg_temp.fixture_guard_cluster() RETURNS pg_catalog.text LANGUAGE plpgsql AS %L', \
         format('BEGIN RETURN %L; END', cluster)); END IF; \
         FOR made IN SELECT p.oid FROM pg_proc AS p WHERE p.pronamespace = pg_my_temp_schema() \
         AND p.proname ~ '^fixture_guard_' AND p.proacl IS NOT NULL \
         LOOP EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO PUBLIC', made); END LOOP; END $make$",
    ]
    .concat()
}

/// What a run declares, and what its transaction needs besides.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arm<'a> {
    pub(crate) secret: &'a str,
    pub(crate) tables: &'a [&'a str],
    pub(crate) budget: Option<u64>,
    pub(crate) level: u32,
    /// Patterns, as `reach = […]` declares them.
    pub(crate) reach: &'a [&'a str],
    pub(crate) counters: Counters,
    pub(crate) turn: Turn,
    pub(crate) lasting: Lasting,
    pub(crate) limits: TimeLimits,
}

/// The rows that the session's counters have when a transaction begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counters {
    /// None: no other transaction wrote on this connection.
    Zero,
    /// Perhaps those of earlier transactions. The server reports them when a session is idle, once a second.
    Pending,
}

/// Whether a run takes turns with others on the same database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It commits: it waits until no other committing run is at the database.
    Taken,
    /// It never commits, so that many can share the database.
    NotNeeded,
}

/// A savepoint around the body, which distinguishes a transaction that a failed statement aborted from another one.
const BODY: &str = "fixture_guard_body";

/// Makes the transaction ready for the body: turn, seal, stamp, locks, counts, timeouts.
pub(crate) fn arm(arm: &Arm<'_>) -> String {
    let budget = arm.budget.map_or_else(|| "NULL".to_owned(), |rows| rows.min(MAX_BUDGET).to_string());
    let (turn, outside) = match arm.turn {
        Turn::Taken => (quote(TURN_TIMEOUT), "pg_temp.fixture_guard_outside()"),
        Turn::NotNeeded => ("NULL".to_owned(), "NULL"),
    };
    let (first, last) = if arm.level == 0 {
        let make = match arm.lasting {
            Lasting::Session => String::new(),
            Lasting::Transaction => format!(
                "{}; SET LOCAL check_function_bodies TO DEFAULT; \
                SET LOCAL client_min_messages TO DEFAULT; ",
                make(Lasting::Transaction)
            ),
        };
        let TimeLimits { statement, lock } = arm.limits;
        (
            format!(
                "{make}{ARMING}; SET LOCAL lock_timeout = {}; SET LOCAL statement_timeout = {}; \
                 SET LOCAL idle_in_transaction_session_timeout = 0; ",
                lock.as_millis(),
                statement.max(Duration::from_secs(5)).as_millis(),
            ),
            format!("; SET LOCAL statement_timeout = {}; SAVEPOINT {BODY}", statement.as_millis()),
        )
    } else {
        (String::new(), String::new())
    };
    let named: Vec<String> =
        arm.tables.iter().map(|table| format!("pg_catalog.to_regclass({})", quote(table))).collect();
    let reach: Vec<String> = arm.reach.iter().map(|entry| like(entry)).collect();
    format!(
        "{first}SELECT pg_temp.fixture_guard_arm({}, {}, ARRAY[{}]::pg_catalog.regclass[], \
         pg_catalog.current_schemas(true), {budget}, {}, {}, {}, {turn}, {outside}){last}",
        quote(arm.secret),
        texts(arm.tables),
        named.join(", "),
        arm.level,
        texts(&reach),
        arm.counters == Counters::Pending,
    )
}

/// Gives the session its own search path back, which [`ask`] replaced.
const ARMING: &str =
    "SELECT pg_catalog.set_config('search_path', pg_catalog.current_setting('fixture_guard.path'), true)";

/// `budget + 1` must fit an `int8`.
const MAX_BUDGET: u64 = i64::MAX as u64 - 1;

/// Rolls back to the body's beginning: it fails unless this is the run's own transaction, aborted or not.
pub(crate) fn back_to_the_body() -> String {
    format!("ROLLBACK TO SAVEPOINT {BODY}; {ENDING}")
}

/// Which transaction this is, as [`TRANSACTION`] named it. Without a number it is not the run's.
const ENDING: &str = "SELECT pg_catalog.concat_ws('/', 'transaction ' OPERATOR(pg_catalog.||) \
    pg_catalog.pg_backend_pid()::pg_catalog.text, pg_catalog.pg_current_xact_id_if_assigned()::pg_catalog.text)";

/// Asks which transaction this is, and what the body did.
///
/// With [`Lift::Commit`] the seal is lifted first, the session gets its own role back with the commit, and every
/// deferred constraint is checked now: other deferred triggers may still write, and these rows count.
pub(crate) fn survey(secret: &str, level: u32, lift: Lift) -> String {
    let ending = match lift {
        Lift::Commit => "commit",
        Lift::Rehearse => "rehearse",
        Lift::No => "undo",
    };
    format!(
        "{ENDING}; SELECT 'survey ' OPERATOR(pg_catalog.||) pg_temp.fixture_guard_end({}, '{level}', '{ending}')",
        quote(secret)
    )
}

/// [`survey`] as the last thing before `COMMIT`.
pub(crate) fn survey_and_clear(secret: &str, lasting: Lasting) -> String {
    let survey = survey(secret, 0, Lift::Commit);
    match lasting {
        Lasting::Session => survey,
        Lasting::Transaction => format!("{survey}; {UNMAKE}"),
    }
}

/// Asks what the body did, and undoes it, in one message; the driver gets a transaction that it can end. If the
/// question fails, nothing is undone yet.
pub(crate) fn survey_and_undo(secret: &str, lift: Lift) -> String {
    format!("{}; ROLLBACK; BEGIN", survey(secret, 0, lift))
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
         SELECT 'tables ' OPERATOR(pg_catalog.||) pg_temp.fixture_guard_tables({}, {}, {schemas}, {BOUND}, {sequences}, \
         pg_catalog.current_schemas(true)); {}",
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

/// The rows of a message, each of which begins with a word that says what it is.
#[derive(Debug, Default)]
pub(crate) struct Answers(Vec<String>);

impl FromIterator<Option<String>> for Answers {
    fn from_iter<T: IntoIterator<Item = Option<String>>>(rows: T) -> Self {
        Self(rows.into_iter().flatten().collect())
    }
}

impl Answers {
    /// The last row that begins with this word.
    pub(crate) fn get(&self, word: &str) -> Option<&str> {
        self.0.iter().rev().find_map(|row| row.strip_prefix(word)?.strip_prefix(' '))
    }

    /// Who the server is. The cluster is `None` where the role may not ask for it.
    pub(crate) fn identity(&self) -> Result<Identity, String> {
        let other_shape =
            |what: &dyn std::fmt::Display| format!("the server's answer has another shape: {what}");
        let probe = self.get("identity").unwrap_or_default();
        let mut identity: Identity = serde_json::from_str(probe).map_err(|error| other_shape(&error))?;
        let cluster = self.get("cluster").map(str::parse).transpose();
        identity.system_identifier = cluster.map_err(|error| other_shape(&error))?;
        Ok(identity)
    }
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
