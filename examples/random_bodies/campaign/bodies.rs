//! Random bodies, as data: a failure prints them.

use std::fmt;

use super::fixtures::DECLARED;
use super::random::Random;

/// What a campaign was asked for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Shape {
    /// Every run is nested in another one.
    pub(crate) nested: bool,
    /// PgBouncer is between the pool and the server.
    pub(crate) pooled: bool,
}

/// One run.
#[derive(Debug, Clone)]
pub(super) struct Body {
    /// Index in [`DECLARED`].
    pub(super) declared: usize,
    pub(super) max_rows: Option<u64>,
    /// Whether the policy declares everything that the tables reach.
    pub(super) reach: bool,
    pub(super) rehearsal: bool,
    pub(super) frame: Frame,
    pub(super) former: Former,
    pub(super) steps: Vec<Step>,
    pub(super) way: Way,
}

/// What is around the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Frame {
    Alone,
    /// `begin`, and `rollback` or a drop.
    Begin {
        dropped: bool,
    },
    /// A fixture that calls this one; `swallows` its error.
    Fixture {
        swallows: bool,
    },
}

/// How the pool's former user left the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Former {
    Clean,
    Open,
    Read,
    Aborted,
}

impl Former {
    pub(super) fn statements(self) -> &'static [&'static str] {
        match self {
            Self::Clean => &[],
            Self::Open => &["BEGIN", "DELETE FROM former WHERE id > 3"],
            Self::Read => &["BEGIN", "SELECT count(*) FROM former"],
            Self::Aborted => &["BEGIN", "DELETE FROM former", "SELECT 1 / 0"],
        }
    }
}

/// The way out of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Ok,
    Err,
    Panic,
    /// The future is dropped after the last statement.
    Dropped,
    /// The future is dropped while the last statement is on its way.
    DroppedInFlight,
}

/// One statement, and whether the body goes on after its error.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) action: Action,
    pub(super) swallows: bool,
}

#[derive(Debug, Clone)]
pub(super) enum Action {
    /// Statements in one message.
    Sql(String),
    /// Statements that end the transaction.
    End(&'static str),
    /// A prepared statement that sqlx caches.
    Cached(String),
    /// The first row is read, and the stream is dropped.
    FirstRow(String),
    /// A transaction of sqlx in the body.
    Nest(String, Nested),
    CopyIn(String, Copied),
    CopyOut(String, Copied),
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Nested {
    Commit,
    Rollback,
    Drop,
    Forget,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Copied {
    Whole,
    Abort,
    Drop,
}

const WRITTEN: &[&str] = &[
    "plain",
    "parent",
    "child",
    "kid",
    "late",
    "events",
    "events_low",
    "events_high",
    "events_high_a",
    "events_high_b",
    "archive",
    "base",
    "derived",
    "numbered",
    "serials",
    "scratchy",
    "audited",
    "audit",
    "queue",
    "ruled",
    "tenants",
    "others",
    "shelf.plain",
];

/// Statements that end the transaction.
const ENDS: &[&str] = &[
    "COMMIT",
    "ROLLBACK",
    "END",
    "ABORT",
    "COMMIT; BEGIN",
    "ROLLBACK; BEGIN",
    "ROLLBACK AND CHAIN",
    "COMMIT AND CHAIN",
    "ROLLBACK; BEGIN READ WRITE",
    "PREPARE TRANSACTION 'random_bodies'",
];

/// Statements that act on one table, in place of `{t}`. `{a}` and `{b}` are small numbers, `{u}` is a new one.
const ON_TABLE: &[&str] = &[
    "DELETE FROM {t}",
    "DELETE FROM {t} WHERE id <= {a}",
    "DELETE FROM {t} WHERE id > {a}",
    "DELETE FROM ONLY {t}",
    "DELETE FROM {t} WHERE id IN (SELECT id FROM {t} LIMIT {a})",
    "TRUNCATE {t}",
    "TRUNCATE {t} CASCADE",
    "TRUNCATE ONLY {t}",
    "TRUNCATE {t} RESTART IDENTITY CASCADE",
    "TRUNCATE {t}, {t2} CASCADE",
    "UPDATE {t} SET n = n WHERE id = {a}",
    "UPDATE {t} SET n = {b} WHERE id <= {a}",
    "UPDATE {t} SET id = id + 1000 WHERE id = {a}",
    "INSERT INTO {t} (id, n) SELECT g, 0 FROM generate_series({u}, {u} + {a}) AS g",
    "INSERT INTO {t} (id, n) VALUES ({u}, {b})",
    "INSERT INTO {t} (id, n) SELECT g, 0 FROM generate_series({u}, {u} + 3) AS g; DELETE FROM {t} WHERE id >= {u}",
    "INSERT INTO {t} (id, n) VALUES ({a}, 1), ({u}, 1) ON CONFLICT DO NOTHING",
    "INSERT INTO {t} (id, n) VALUES ({a}, 1), ({u}, 1) ON CONFLICT (id) DO UPDATE SET n = 2",
    "MERGE INTO {t} AS t USING (SELECT g FROM generate_series({a}, {a} + 2) AS g) AS s ON t.id = s.g \
     WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (id, n) VALUES (s.g, 0)",
    "MERGE INTO {t} AS t USING generate_series({a}, {u}) AS s (g) ON t.id = s.g WHEN MATCHED AND s.g > 2 THEN UPDATE SET n = 1 \
     WHEN MATCHED THEN DELETE",
    "WITH gone AS (DELETE FROM {t} WHERE id <= {a} RETURNING id) INSERT INTO {t2} (id, n) SELECT id + {u}, 0 FROM gone",
    "WITH a AS (DELETE FROM {t} RETURNING id), b AS (UPDATE {t2} SET n = 1 RETURNING id) SELECT count(*) FROM a, b",
    "SAVEPOINT a; DELETE FROM {t}; ROLLBACK TO a",
    "SAVEPOINT a; DELETE FROM {t} WHERE id > {a}; RELEASE a",
    "SAVEPOINT a; TRUNCATE {t}; ROLLBACK TO a; DELETE FROM {t} WHERE id = {a}",
    "SAVEPOINT a; INSERT INTO {t} (id) VALUES ({u}); ROLLBACK TO a; RELEASE a",
    "DO $$ BEGIN DELETE FROM {t}; RAISE 'no'; EXCEPTION WHEN OTHERS THEN NULL; END $$",
    "DO $$ BEGIN DELETE FROM {t} WHERE id < {a}; BEGIN TRUNCATE {t2}; RAISE 'no'; EXCEPTION WHEN OTHERS THEN NULL; END; END $$",
    "DO $$ BEGIN FOR i IN 1..{a} LOOP DELETE FROM {t} WHERE id = i; END LOOP; END $$",
    "DO $$ BEGIN EXECUTE 'TRUNCATE {t}'; EXCEPTION WHEN OTHERS THEN DELETE FROM {t}; END $$",
    "ALTER TABLE {t} ALTER COLUMN n TYPE bigint",
    "ALTER TABLE {t} ALTER COLUMN n TYPE bigint USING n * 2",
    "ALTER TABLE {t} ADD COLUMN more int",
    "ALTER TABLE {t} ADD COLUMN more float DEFAULT random()",
    "ALTER TABLE {t} DROP COLUMN n",
    "ALTER TABLE {t} RENAME COLUMN n TO renamed",
    "ALTER TABLE {t} RENAME TO renamed",
    "ALTER TABLE {t} RENAME TO swapped; ALTER TABLE {t2} RENAME TO {t}",
    "ALTER TABLE {t} SET SCHEMA shelf",
    "ALTER TABLE {t} SET (fillfactor = 50)",
    "ALTER TABLE {t} SET UNLOGGED",
    "ALTER TABLE {t} DISABLE TRIGGER ALL",
    "ALTER TABLE {t} DISABLE TRIGGER USER; DELETE FROM {t}",
    "ALTER TABLE {t} ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE {t} DISABLE ROW LEVEL SECURITY",
    "ALTER TABLE {t} NO FORCE ROW LEVEL SECURITY",
    "ALTER TABLE {t} ENABLE ROW LEVEL SECURITY; ALTER TABLE {t} FORCE ROW LEVEL SECURITY; DELETE FROM {t}",
    "ALTER TABLE {t} INHERIT base; DELETE FROM base",
    "ALTER TABLE {t} NO INHERIT base; DELETE FROM {t}",
    "ALTER TABLE {t} OWNER TO bodies_other",
    "DROP TABLE {t}",
    "DROP TABLE {t} CASCADE",
    "DROP TABLE IF EXISTS {t}, {t2} CASCADE",
    "DROP TABLE {t} CASCADE; CREATE TABLE {t} (id int, n int, uid uuid DEFAULT gen_random_uuid())",
    "CREATE TABLE copied AS SELECT * FROM {t}; DELETE FROM {t}; DROP TABLE copied",
    "CREATE TABLE copied AS SELECT * FROM {t}",
    "CREATE TEMPORARY TABLE copied AS SELECT id, n FROM {t}; TRUNCATE {t}; INSERT INTO {t} (id, n) SELECT id, n FROM copied; DROP TABLE copied",
    "CREATE TEMPORARY TABLE copied ON COMMIT DROP AS SELECT id, n FROM {t}",
    "CREATE INDEX ON {t} (n)",
    "CREATE TRIGGER drops BEFORE INSERT ON {t} FOR EACH STATEMENT EXECUTE FUNCTION keep()",
    "CREATE RULE also AS ON UPDATE TO {t} DO ALSO DELETE FROM {t2}; UPDATE {t} SET n = 3 WHERE id = {a}",
    "ALTER TABLE {t2} ADD FOREIGN KEY (n) REFERENCES {t} (id) ON DELETE CASCADE NOT VALID; DELETE FROM {t}",
    "CLUSTER {t} USING {t}_pkey",
    "LOCK {t}",
    "LOCK {t} IN ACCESS EXCLUSIVE MODE; DELETE FROM {t} WHERE id = {a}",
    "LOCK {t} IN ROW EXCLUSIVE MODE",
    "SELECT * FROM {t} FOR UPDATE",
    "REINDEX TABLE {t}",
    "ANALYZE {t}",
    "COMMENT ON TABLE {t} IS 'seen'",
    "GRANT SELECT ON {t} TO bodies_other",
    "CREATE FUNCTION wipes() RETURNS int LANGUAGE plpgsql AS 'BEGIN DELETE FROM {t}; RETURN 1; END'; \
     DECLARE c CURSOR WITH HOLD FOR SELECT wipes()",
    "CREATE FUNCTION empties() RETURNS int LANGUAGE plpgsql AS 'BEGIN TRUNCATE {t}; RETURN 1; END'; SELECT empties()",
    "SET ROLE bodies_other; DELETE FROM {t}; RESET ROLE",
    "SET LOCAL ROLE bodies_other; DELETE FROM {t}",
    "SET search_path = shelf, public; DELETE FROM {t}",
    "SET LOCAL search_path = shelf, public; DELETE FROM {t} WHERE id <= {a}",
    "DECLARE c CURSOR FOR SELECT * FROM {t} FOR UPDATE; FETCH 1 FROM c; DELETE FROM {t} WHERE CURRENT OF c",
];

/// Statements with names of their own.
const ALONE: &[&str] = &[
    "ALTER TABLE events ATTACH PARTITION archive FOR VALUES IN (4)",
    "ALTER TABLE events ATTACH PARTITION archive FOR VALUES IN (4); DELETE FROM events",
    "ALTER TABLE events ATTACH PARTITION archive FOR VALUES IN (4); TRUNCATE events",
    "ALTER TABLE events DETACH PARTITION events_low",
    "ALTER TABLE events DETACH PARTITION events_low; DELETE FROM events_low",
    "ALTER TABLE events DETACH PARTITION events_high; DROP TABLE events_high",
    "ALTER TABLE events_high DETACH PARTITION events_high_a; TRUNCATE events_high_a",
    "CREATE TABLE events_five PARTITION OF events FOR VALUES IN (5); INSERT INTO events (id, part) VALUES (500, 5)",
    "UPDATE events SET part = 2 WHERE part = 1",
    "ALTER TABLE archive INHERIT base",
    "ALTER TABLE derived NO INHERIT base; TRUNCATE derived",
    "DELETE FROM plain_view WHERE id <= 2",
    "INSERT INTO plain_view (id, n) VALUES (700, 1)",
    "DELETE FROM shown WHERE id <= 2",
    "DROP VIEW plain_view; DROP VIEW shown CASCADE",
    "REFRESH MATERIALIZED VIEW totals",
    "DELETE FROM plain WHERE n = 1; REFRESH MATERIALIZED VIEW totals",
    "DROP MATERIALIZED VIEW totals",
    "UPDATE parent SET id = id + 50 WHERE id = 1",
    "INSERT INTO late (id, n) VALUES (600, 4711)",
    "INSERT INTO queue (id, n) VALUES (1, 1)",
    "INSERT INTO queue (id, n) VALUES (1, 3)",
    "INSERT INTO queue (id, n) VALUES (1, 6)",
    "SET CONSTRAINTS ALL IMMEDIATE",
    "SET CONSTRAINTS late_n_fkey IMMEDIATE",
    "SELECT nextval('invoice_numbers')",
    "SELECT setval('numbered_id_seq', 900)",
    "ALTER SEQUENCE invoice_numbers RESTART",
    "ALTER SEQUENCE serials_id_seq RESTART WITH 1",
    "ALTER SEQUENCE invoice_numbers OWNED BY numbered.id; ALTER SEQUENCE invoice_numbers RESTART",
    "ALTER SEQUENCE serials_id_seq OWNED BY NONE",
    "ALTER SEQUENCE serials_id_seq OWNED BY NONE; ALTER SEQUENCE serials_id_seq RESTART",
    "DROP SEQUENCE invoice_numbers",
    "SELECT 1",
    "SELECT 1 / 0",
    "SELECT pg_sleep(0.003)",
    "SAVEPOINT a",
    "ROLLBACK TO a",
    "RELEASE a",
    "SET ROLE bodies_other",
    "RESET ROLE",
    "SET work_mem = '9MB'",
    "SET LOCAL work_mem = '9MB'",
    "SET app.tenant = 'two'",
    "SET TimeZone = 'Asia/Tokyo'",
    "SET application_name = 'another'",
    "SET statement_timeout = '20s'",
    "SET row_security = off",
    "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
    "SET TRANSACTION READ ONLY",
    "SET search_path = shelf",
    "RESET ALL",
    "RESET search_path",
    "LISTEN others",
    "UNLISTEN *",
    "NOTIFY news, 'a line'",
    "DEALLOCATE ALL",
    "DEALLOCATE tenant; PREPARE tenant AS SELECT 'b'",
    "PREPARE another AS SELECT 2",
    "DISCARD PLANS",
    "DISCARD SEQUENCES",
    "DISCARD TEMP",
    "DISCARD ALL",
    "CLOSE ALL",
    "DECLARE held CURSOR WITH HOLD FOR SELECT 1",
    "CREATE TEMPORARY TABLE mine (id int)",
    "CREATE TYPE pg_temp.mood AS ENUM ('fine')",
    "CREATE TYPE mood AS ENUM ('fine')",
    "CREATE FUNCTION pg_temp.one() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE SCHEMA made CREATE TABLE inside (id int)",
    "DROP SCHEMA shelf CASCADE",
    "SELECT pg_advisory_lock(42)",
    "SELECT pg_advisory_xact_lock(43)",
    "SELECT pg_advisory_unlock_all()",
    "SELECT pg_terminate_backend(pg_backend_pid())",
    "DO $$ BEGIN DELETE FROM plain; COMMIT; END $$",
    "BEGIN",
    "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO bodies_other",
    "SELECT lo_create(0)",
];

impl Body {
    /// Body `number` of the campaign that begins with `seed`.
    pub(super) fn random(seed: u64, number: u64, shape: Shape) -> Self {
        let mut random = Random::new(seed, number);
        let declared = random.below(DECLARED.len());
        let max_rows = match random.below(10) {
            0 => Some(0),
            1 => Some(4),
            2 => Some(20),
            3..6 => Some(1_000),
            _ => None,
        };
        let reach = random.chance(97);
        let rehearsal = random.chance(12);
        let frame = match random.below(if shape.nested { 4 } else { 20 }) {
            0 => Frame::Begin { dropped: false },
            1 => Frame::Begin { dropped: true },
            2 => Frame::Fixture { swallows: false },
            3 => Frame::Fixture { swallows: true },
            _ => Frame::Alone,
        };
        let former = match random.below(24) {
            0 => Former::Open,
            1 => Former::Read,
            2 => Former::Aborted,
            _ => Former::Clean,
        };
        let length = 1 + random.below(3) + if random.chance(30) { random.below(6) } else { 0 };
        let steps = (0..length).map(|_| Step::random(&mut random, DECLARED[declared], shape)).collect();
        let way = match random.below(20) {
            0 | 1 => Way::Err,
            2 => Way::Panic,
            3 => Way::Dropped,
            4 => Way::DroppedInFlight,
            _ => Way::Ok,
        };
        Self { declared, max_rows, reach, rehearsal, frame, former, steps, way }
    }

    /// Whether a statement changes the names or parents of tables, so that a row cannot be counted by its table's name.
    pub(super) fn moves_tables(&self) -> bool {
        const MOVES: [&str; 6] =
            ["ATTACH", "DETACH", "INHERIT", "SET SCHEMA", "OWNED BY", "RENAME TO swapped"];
        self.any(|sql| MOVES.iter().any(|moves| sql.contains(moves)))
    }

    /// Whether a statement asks for a transaction that writes, once the guarded one has ended.
    pub(super) fn asks_to_write(&self) -> bool {
        self.any(|sql| {
            ["AND CHAIN", "READ WRITE", "RESET ALL", "DISCARD ALL"].iter().any(|asks| sql.contains(asks))
        })
    }

    /// Whether a statement changes the session and not only the transaction.
    pub(super) fn changes_session(&self) -> bool {
        const CHANGES: [&str; 7] = ["SET ", "LISTEN", "advisory", "PREPARE", "DISCARD", "DEALLOCATE", "TEMP"];
        self.any(|sql| CHANGES.iter().any(|changes| sql.contains(changes)))
    }

    /// Whether a statement's text is as `asked`.
    pub(super) fn any(&self, asked: impl Fn(&str) -> bool) -> bool {
        self.steps.iter().any(|step| asked(step.action.text()))
    }
}

impl Step {
    fn random(random: &mut Random, declared: &[&'static str], shape: Shape) -> Self {
        let action = match random.below(100) {
            0..3 => Action::End(random.pick::<&'static str>(ENDS)),
            3..7 => {
                let how = *random.pick(&[
                    Nested::Commit,
                    Nested::Commit,
                    Nested::Rollback,
                    Nested::Drop,
                    Nested::Forget,
                ]);
                Action::Nest(on_table(random, declared), how)
            }
            7..9 => {
                let table = table(random, declared);
                Action::CopyIn(
                    format!("COPY {table} (id, n) FROM STDIN"),
                    *random.pick(&[Copied::Whole, Copied::Abort, Copied::Drop]),
                )
            }
            9..11 => {
                let table = table(random, declared);
                let from = if random.chance(30) {
                    format!("COPY (DELETE FROM {table} RETURNING *) TO STDOUT")
                } else {
                    format!("COPY (SELECT * FROM {table}) TO STDOUT")
                };
                Action::CopyOut(from, *random.pick(&[Copied::Whole, Copied::Drop]))
            }
            11..13 => Action::FirstRow(format!("SELECT * FROM {}", table(random, declared))),
            // PgBouncer 1.18 has no prepared statements
            13..17 if !shape.pooled => Action::Cached(format!("SELECT * FROM {}", table(random, declared))),
            17..45 => Action::Sql((*random.pick::<&str>(ALONE)).to_owned()),
            _ => Action::Sql(on_table(random, declared)),
        };
        Self { action, swallows: random.chance(15) }
    }
}

fn table(random: &mut Random, declared: &[&'static str]) -> &'static str {
    if declared.is_empty() || random.chance(30) {
        random.pick::<&'static str>(WRITTEN)
    } else {
        random.pick::<&'static str>(declared)
    }
}

fn on_table(random: &mut Random, declared: &[&'static str]) -> String {
    let statement = *random.pick::<&str>(ON_TABLE);
    let (one, other) = (table(random, declared), table(random, declared));
    let (a, b, new) = (random.below(12), random.below(6), 100 + random.below(900));
    statement
        .replace("{t}", one)
        .replace("{t2}", other)
        .replace("{a}", &a.to_string())
        .replace("{b}", &b.to_string())
        .replace("{u}", &new.to_string())
}

impl Action {
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Sql(sql)
            | Self::Cached(sql)
            | Self::FirstRow(sql)
            | Self::Nest(sql, _)
            | Self::CopyIn(sql, _)
            | Self::CopyOut(sql, _) => sql,
            Self::End(sql) => sql,
        }
    }
}

/// What a person needs to write it again.
impl fmt::Display for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "tables = {:?}, max_rows = {:?}, reach declared: {}, rehearsal: {}, {:?}, former user: {:?}",
            DECLARED[self.declared], self.max_rows, self.reach, self.rehearsal, self.frame, self.former
        )?;
        for (number, Step { action, swallows }) in self.steps.iter().enumerate() {
            let swallows = if *swallows { "  -- an error is swallowed" } else { "" };
            let how = match action {
                Action::Sql(_) => String::new(),
                Action::End(_) => "end: ".to_owned(),
                Action::Cached(_) => "prepared: ".to_owned(),
                Action::FirstRow(_) => "first row: ".to_owned(),
                Action::Nest(_, how) => format!("begin, {how:?}: "),
                Action::CopyIn(_, how) | Action::CopyOut(_, how) => format!("copy, {how:?}: "),
            };
            writeln!(f, "  {number}: {how}{}{swallows}", action.text())?;
        }
        write!(f, "  then {:?}", self.way)
    }
}
