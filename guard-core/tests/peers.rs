//! What the guards of other projects decide, and what ours does: `tests/corpus/peer-cases.tsv`, row by row.
//!
//! Each row that this page knows is either judged, with the policy and the surroundings that the row describes, or
//! carries a written reason why it is decided otherwise or asks for something that the judge does not do.
//!
//! The file may grow by rows that this page does not know. Such a row is judged by its own columns as far as they
//! can be read by a program: a DSN or names of databases, no state or assignments of variables, and a plain `refuse`
//! or `allow`. `refuse` is then held against a policy of local and staging hosts with test databases, `allow`
//! against a policy that lists this very target, and a row that differs fails. Everything else (prose, another
//! database's scheme, `config`, `policy`) cannot be judged by a program: it is listed, so that somebody answers it
//! here, and does not fail, because no verdict of ours is known to be wrong.

use std::collections::BTreeMap;
use std::path::Path;

use fixture_guard_core::{Endpoint, Environment, Facts, Policy, Surroundings, Target, judge};

struct Row {
    id: String,
    target: String,
    state: String,
    suggested: String,
}

fn rows() -> Vec<Row> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/corpus/peer-cases.tsv");
    let mut reader =
        csv::ReaderBuilder::new().delimiter(b'\t').quoting(false).flexible(true).from_path(path).unwrap();
    let field = |row: &csv::StringRecord, index| row.get(index).unwrap_or_default().trim().to_owned();
    reader
        .records()
        .map(Result::unwrap)
        .map(|row| Row {
            id: field(&row, 0),
            target: field(&row, 2),
            state: field(&row, 3),
            suggested: field(&row, 5),
        })
        .collect()
}

/// A policy that lists these hosts and databases.
fn listing(hosts: &[&str], databases: &[&str]) -> Policy {
    let mut environment = Environment::destructive("disposable");
    for host in hosts {
        environment = environment.host(host).unwrap();
    }
    for database in databases {
        environment = environment.database(database).unwrap();
    }
    Policy::new().environment(environment).unwrap()
}

const LOCAL: &[&str] = &["localhost", "127.0.0.1", "::1"];
const TESTS: &[&str] = &["test", "*_test", "*-test", "test_*"];

/// Every reason against, or none. A DSN that the driver cannot read is an error, and so no run.
fn against(policy: &Policy, dsn: &str, variables: &[(&str, &str)]) -> Vec<String> {
    let surroundings: Surroundings = variables.iter().copied().collect();
    let Ok((target, _)) = Target::from_postgres_dsn(dsn) else { return vec!["FG011".to_owned()] };
    let facts = Facts {
        target: &target,
        surroundings: &surroundings,
        narrowing: None,
        addresses: None,
        identity: None,
    };
    judge(policy, &facts).map_or_else(|reasons| reasons.iter().map(ToString::to_string).collect(), |_| vec![])
}

fn allows(policy: &Policy, dsn: &str, variables: &[(&str, &str)]) -> bool {
    against(policy, dsn, variables).is_empty()
}

fn refuses_each(policy: &Policy, names: &str) -> bool {
    names.split('|').all(|name| !allows(policy, &format!("postgres://localhost/{name}"), &[]))
}

enum Answer {
    /// The row's suggestion, and whether the judge keeps it.
    Judged(bool),
    /// Why the row is decided otherwise, or is not the judge's.
    Otherwise(&'static str),
    Unknown,
}

use Answer::{Judged, Otherwise};

fn answer(row: &Row) -> Answer {
    let target = row.target.as_str();
    let built_in = Policy::built_in();
    let tests = listing(LOCAL, TESTS);
    match row.id.as_str() {
        "DC01" => Judged(!allows(&built_in, target, &[])),
        "DC03" => Judged(!allows(&listing(&["db-staging"], &[]), target, &[])),
        "DC05" => Judged(allows(&built_in, target, &[]) && !allows(&listing(&["bar.baz"], &[]), target, &[])),
        "DC07" => Otherwise(
            "sqlx knows no `sqlite3:` and would open a file of that name; `sqlite:` is judged by its file",
        ),
        "DC09" => Otherwise(
            "no environment variable loosens anything: a remote host is listed in the policy, or refused",
        ),
        "DC11" | "DC15" => Judged(!allows(&listing(&["bar.baz"], &[]), target, &[])),
        "DC13" => Judged(allows(&listing(&["bar.baz"], &[]), target, &[])),
        "DC17-20" => Judged(
            ["ENV", "APP_ENV", "RACK_ENV", "RAILS_ENV"]
                .iter()
                .all(|name| !allows(&tests, "postgres://localhost/app_test", &[(name, "production")])),
        ),
        "TF1" => Judged(allows(&tests, &format!("postgres://localhost/{target}"), &[])),
        "TF3" => Judged(
            // the team's pattern decides: whole segments here, any place there
            !allows(&tests, "postgres://localhost/testdb", &[])
                && allows(&listing(LOCAL, &["*test*"]), "postgres://localhost/testdb", &[]),
        ),
        "TF5" => {
            Judged(!allows(&listing(LOCAL, &["*Test*"]), &format!("postgres://localhost/{target}"), &[]))
        }
        "TF7" => Judged(!allows(&listing(LOCAL, &["*EST"]), "postgres://localhost/\u{422}EST", &[])),
        "PH2" | "GB3" | "NS5" => Judged(refuses_each(&tests, target)),
        "GB1" => Judged(allows(&tests, "postgres://localhost/gbrain_test", &[])),
        "GB5" => Judged(
            // the override that names the exact database is a line in the policy; the variable is not read
            allows(&listing(LOCAL, &["gbrain"]), "postgres://localhost/gbrain", &[])
                && !allows(&tests, "postgres://localhost/gbrain", &[("ALLOW_DB", "gbrain")]),
        ),
        "GB7" => Judged(Target::from_postgres_dsn(target).is_err()),
        "GB9" => Judged(!allows(&tests, "postgres://localhost/gbrain", &[("ALLOW", "true")])),
        "NS1" => {
            Otherwise("another database: the scheme is not PostgreSQL's, so it is refused whatever it holds")
        }
        "NS3" => Otherwise(
            "rows are counted under the fixture's own lock (`max_rows`), not guessed before it connects",
        ),
        "AA1" => Judged(!allows(&built_in, "postgres://localhost:27017,remote.host:27018/db", &[])),
        "AA3" => Judged(allows(&built_in, "postgres://[::1]:5432/auto-author", &[])),
        "IX1" => Judged(refuses_each(&built_in, target)),
        "IX3" => {
            let dsn = "postgres://app:hunter2@prod-db/index_production?host=h/x";
            let shown = against(&built_in, dsn, &[]).join("\n");
            Judged(!shown.is_empty() && !shown.contains("hunter2"))
        }
        "TK1" => Judged(!allows(&tests, &target.replace("...", "postgres://localhost/ticketing_test"), &[])),
        "TK3" => Judged(!allows(&tests, "postgres://localhost/ticketing_test/other", &[])),
        "TK5" => Judged(
            [" ", "\n", "#fragment"]
                .iter()
                .all(|end| !allows(&tests, &format!("postgres://localhost/ticketing_test{end}"), &[])),
        ),
        "SG2" => Otherwise(
            "options are allowed as a string; the search path that holds is read from the server and judged again",
        ),
        "EV1" => Judged(!allows(
            &tests,
            "postgres://localhost:5432/eventgenix_test",
            &[("RAILWAY_ENVIRONMENT", "production")],
        )),
        "EV3" => Judged(!allows(&listing(&["db.example.test"], &[]), &format!("postgres://{target}"), &[])),
        "SP2" => Judged(!allows(&built_in, &format!("postgres://{target}"), &[])),
        "RR1" => {
            Otherwise("the stored environment is our marker: the server is asked after connecting (FG026)")
        }
        "RR3" => Otherwise(
            "a database without a marker is judged by its place and name, and by `marker = \"required\"`",
        ),
        "RR5" => Otherwise("a fixture has one target; each database of a suite is judged where it is used"),
        "AT2" => Otherwise(
            "what a database holds does not make it disposable; only the declared tables are touched",
        ),
        "SQ1" => {
            let shown =
                against(&listing(LOCAL, &["*phoenix*"]), "postgres://localhost/cyber_bird", &[]).join("\n");
            Judged(shown.contains("`cyber_bird`") && shown.contains("`*phoenix*`"))
        }
        "SU2" | "SU4" => {
            Otherwise("statements are not read: what they did is measured before COMMIT, and TRUNCATE counts")
        }
        "PR2" => Judged(allows(
            &tests,
            "postgres://localhost/app_test",
            &[("REPLIT_SESSION", "prisma-Abcd"), ("OR_APP_NAME", "SomeOtherApp")],
        )),
        "EC1" => Otherwise("the transaction's: `tests/it` shows that the rows of a dropped one are gone"),
        "X01" | "X03" | "X05" | "X07" => Judged(!allows(&tests, target, &[])),
        "PM1" => Judged(!allows(&listing(&["*-staging*"], &[]), target, &[])),
        _ => Answer::Unknown,
    }
}

/// The verdict of a row that nobody answered yet, from its columns, or `None` if a program cannot read them.
fn generic(row: &Row) -> Option<bool> {
    let variables = assignments(&row.state)?;
    let variables: Vec<_> = variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let dsns = dsns(&row.target)?;
    match row.suggested.as_str() {
        "refuse" => {
            let mut hosts = LOCAL.to_vec();
            hosts.push("*-staging*");
            let policy = listing(&hosts, TESTS);
            Some(dsns.iter().all(|dsn| !allows(&policy, dsn, &variables)))
        }
        "allow" => Some(dsns.iter().all(|dsn| allows(&listing_exactly(dsn), dsn, &variables))),
        _ => None,
    }
}

/// `-`, or `A=x`, `A=x B=y`, `A|B=x`.
fn assignments(state: &str) -> Option<BTreeMap<String, String>> {
    let name = |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
    let mut found = BTreeMap::new();
    for one in state.split([' ', ';', ',']).filter(|one| !matches!(*one, "" | "-")) {
        let (names, value) = one.split_once('=')?;
        for one in names.split('|') {
            found.insert(Some(one).filter(|one| name(one))?.to_owned(), value.to_owned());
        }
    }
    Some(found)
}

/// DSNs, names of databases (`a|b`), `.../name`, `...?host=x`, `host:port/name`.
fn dsns(target: &str) -> Option<Vec<String>> {
    let is_name = |text: &str| {
        !matches!(text, "" | "-" | "any" | "same")
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    if target.contains(' ') {
        return None;
    }
    if target.starts_with("postgres://") || target.starts_with("postgresql://") {
        return Some(vec![target.to_owned()]);
    }
    if let Some(rest) = target.strip_prefix("...") {
        let name = if rest.starts_with('?') { "/app_test" } else { "" };
        return Some(vec![format!("postgres://localhost{name}{rest}")]);
    }
    if target.split('|').all(is_name) {
        return Some(target.split('|').map(|name| format!("postgres://localhost/{name}")).collect());
    }
    let (host, name) = target.split_once('/')?;
    (host.contains(':') && !target.contains("://") && is_name(name))
        .then(|| vec![format!("postgres://{target}")])
}

/// A policy that lists the very place and database of a DSN.
fn listing_exactly(dsn: &str) -> Policy {
    let Ok((target, _)) = Target::from_postgres_dsn(dsn) else { return Policy::new() };
    match target.endpoint() {
        Endpoint::Tcp { host: Ok(host), .. } => {
            let environment = Environment::destructive("disposable").host(host.as_str());
            environment
                .and_then(|environment| environment.database(target.database()))
                .and_then(|environment| Policy::new().environment(environment))
                .unwrap_or_default()
        }
        _ => Policy::new(),
    }
}

#[test]
fn every_peer_case_is_answered() {
    let mut differing = 0;
    for row in rows() {
        let line = format!("{}: `{}` with `{}`, suggested {}", row.id, row.target, row.state, row.suggested);
        match answer(&row) {
            Judged(true) => {}
            Otherwise(reason) => println!("otherwise  {line}\n           {reason}"),
            Judged(false) => {
                differing += 1;
                eprintln!("differs    {line}");
            }
            Answer::Unknown => match generic(&row) {
                Some(true) => println!("as read    {line}"),
                Some(false) => {
                    differing += 1;
                    eprintln!("differs    {line}");
                }
                None => println!("unanswered {line}"),
            },
        }
    }
    assert_eq!(differing, 0, "rows that differ");
}

/// The rows that this page does not know, as far as one can guess how they are written.
#[test]
fn a_row_without_an_answer_is_read_by_its_columns() {
    let row = |target: &str, state: &str, suggested: &str| Row {
        id: "X".to_owned(),
        target: target.to_owned(),
        state: state.to_owned(),
        suggested: suggested.to_owned(),
    };
    for (target, state, suggested) in [
        ("postgres://localhost/app_test?hostaddr=10.0.0.5", "-", "refuse"),
        (".../app_live", "-", "refuse"),
        ("...?host=remote.example.com", "-", "refuse"),
        ("app_dev|latest|contest", "-", "refuse"),
        ("db.example.test:5432/app_test", "-", "refuse"),
        ("app_test", "APP_ENV|NODE_ENV=production", "refuse"),
        ("db.example.test:5432/app_test", "-", "allow"),
        ("gbrain_test|test", "-", "allow"),
    ] {
        assert_eq!(generic(&row(target, state, suggested)), Some(true), "{target} {state} {suggested}");
    }
    for (target, state, suggested) in [
        ("any", "-", "refuse"),
        ("-", "0 rows", "refuse"),
        ("mongodb://localhost/db", "-", "allow"),
        ("trailing space / newline", "-", "refuse"),
        ("postgres://localhost", "same allowlist", "refuse"),
        ("postgres://localhost", "-", "config"),
    ] {
        assert_eq!(generic(&row(target, state, suggested)), None, "{target} {state} {suggested}");
    }
}
