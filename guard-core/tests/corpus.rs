//! Every row of `tests/corpus` gets its verdict.

use std::path::Path;
use std::process::Command;

use fixture_guard_core::{Environment, Facts, InvalidDsn, Policy, Surroundings, Target, judge};

/// The policy that `tests/corpus/README.md` assumes.
fn policy() -> Policy {
    let mut disposable = Environment::destructive("disposable");
    for host in ["*-staging*", "localhost", "127.0.0.1", "[::1]"] {
        disposable = disposable.host(host).unwrap();
    }
    let policy = ["primary"].iter().fold(Policy::new(), |policy, word| policy.production_word(word));
    ["nonprod", "preprod"]
        .iter()
        .fold(policy, |policy, word| policy.harmless_word(word))
        .environment(disposable)
        .unwrap()
}

fn verdict(target: Result<Target, InvalidDsn>, surroundings: &Surroundings) -> (&'static str, String) {
    let Ok(target) = target else { return ("invalid", String::new()) };
    let facts = Facts { target: &target, surroundings, narrowing: None, addresses: None, identity: None };
    match judge(&policy(), &facts) {
        Ok(_) => ("allow", String::new()),
        Err(reasons) => ("refuse", reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")),
    }
}

fn rows(file: &str) -> Vec<csv::StringRecord> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/corpus").join(file);
    csv::Reader::from_path(path).unwrap().records().collect::<Result<_, _>>().unwrap()
}

/// Compares a file's rows and prints each that differs.
fn assert_verdicts(
    file: &str,
    dsn_and_expected: impl Fn(&csv::StringRecord) -> (String, String),
    read: impl Fn(&str) -> Result<Target, InvalidDsn>,
) {
    let mut differing = 0;
    for row in rows(file) {
        let (dsn, expected) = dsn_and_expected(&row);
        let (verdict, reasons) = verdict(read(&dsn), &Surroundings::default());
        if verdict != expected {
            differing += 1;
            eprintln!("{}: {dsn:?}\n    expected {expected}, got {verdict} {reasons}", &row[0]);
        }
    }
    assert_eq!(differing, 0, "rows of {file} that differ");
}

const ROW: &str = "FIXTURE_GUARD_TEST_ROW";

/// The driver reads its process's environment, so a row that has one is judged in a child with just that one.
#[test]
#[expect(clippy::disallowed_methods, reason = "tells whether this is the child")]
fn every_postgres_row_gets_its_verdict() {
    let only = std::env::var(ROW).ok();
    let mut differing = 0;
    for row in rows("postgres-dsn.csv") {
        let environment: std::collections::BTreeMap<String, String> = serde_json::from_str(&row[3]).unwrap();
        match &only {
            Some(id) if *id != row[0] => continue,
            None => {
                let child = Command::new(std::env::current_exe().unwrap())
                    .args(["--exact", "every_postgres_row_gets_its_verdict", "--nocapture"])
                    .env_clear()
                    .env(ROW, &row[0])
                    .envs(&environment)
                    .output()
                    .unwrap();
                if !child.status.success() {
                    differing += 1;
                    eprint!("{}", String::from_utf8_lossy(&child.stderr));
                }
                continue;
            }
            Some(_) => {}
        }
        let dsn: String = serde_json::from_str(&row[2]).unwrap();
        let target = Target::from_postgres_dsn(&dsn).map(|(target, _)| target);
        let (verdict, reasons) = verdict(target, &environment.into_iter().collect());
        if verdict != &row[4] {
            differing += 1;
            eprintln!("{}: {dsn:?}\n    expected {}, got {verdict} {reasons}", &row[0], &row[4]);
        }
    }
    assert_eq!(differing, 0, "rows that differ");
}

#[test]
#[cfg(feature = "mysql")]
fn every_mysql_row_gets_its_verdict() {
    let read = |dsn: &str| Target::from_mysql_dsn(dsn).map(|(target, _)| target);
    assert_verdicts("mysql-dsn.csv", |row| (row[1].to_owned(), row[2].to_owned()), read);
}

/// The rows name files below the working directory, so they are judged in one that holds just those.
#[test]
#[cfg(feature = "sqlite")]
#[expect(clippy::disallowed_methods, reason = "tells whether this is the child")]
fn every_sqlite_row_gets_its_verdict() {
    if std::env::var_os(ROW).is_some() {
        let read = |dsn: &str| Target::from_sqlite_dsn(dsn).map(|(target, _)| target);
        assert_verdicts("sqlite-dsn.csv", |row| (row[1].to_owned(), row[2].to_owned()), read);
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    std::fs::create_dir(at("data-staging")).unwrap();
    for name in ["prod.db", "data-staging/app.db", "data-staging/a?b.db"] {
        std::fs::write(at(name), "").unwrap();
    }
    std::fs::hard_link(at("prod.db"), at("data-staging/hard.db")).unwrap();
    std::os::unix::fs::symlink("../prod.db", at("data-staging/link.db")).unwrap();
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "every_sqlite_row_gets_its_verdict", "--nocapture"])
        .env(ROW, "all")
        .current_dir(directory.path())
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stderr));
}
