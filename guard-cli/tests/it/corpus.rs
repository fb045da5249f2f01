//! The program and the library agree on every row of `tests/corpus`, each run as a process with the row's environment.

use std::{collections::BTreeMap, path::Path, process::Command};

use crate::program::{directory, program, run_with_input, said};

/// The policy that `tests/corpus/README.md` assumes.
const POLICY: &str = r#"
[environments.disposable]
destructive = true
hosts = ["*-staging*", "localhost", "127.0.0.1", "[::1]"]

[markers]
words = ["primary"]
harmless = ["nonprod", "preprod"]
"#;

fn rows(file: &str) -> Vec<csv::StringRecord> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/corpus").join(file);
    csv::Reader::from_path(path).unwrap().records().collect::<Result<_, _>>().unwrap()
}

fn code(expected: &str) -> i32 {
    match expected {
        "allow" => 0,
        "refuse" => 1,
        "invalid" => 2,
        other => panic!("the corpus says {other}"),
    }
}

/// Judges a row by standard input, and by `DATABASE_URL` where that can hold it, and gives what differs.
fn differing(id: &str, dsn: &str, expected: &str, prepare: impl Fn(&mut Command)) -> Vec<String> {
    let wanted = code(expected);
    let working = |command: &mut Command| {
        command.args(["check", "--offline", "--format", "json"]);
        prepare(command);
    };
    let mut answers = vec![("--dsn-stdin", {
        let mut command = program(Path::new("."));
        working(&mut command);
        run_with_input(command.arg("--dsn-stdin"), format!("{dsn}\n").as_bytes())
    })];
    // what may be destroyed as this environment is this environment, and what is refused is not; a database in memory
    // is nobody's
    if dsn != "sqlite::memory:" {
        answers.push(("--expect", {
            let mut command = program(Path::new("."));
            working(&mut command);
            command.args(["--dsn-stdin", "--expect", "disposable"]);
            run_with_input(&mut command, format!("{dsn}\n").as_bytes())
        }));
    }
    // an environment variable holds no NUL, and an empty one counts as unset
    if !dsn.contains('\0') && !dsn.is_empty() {
        let mut command = program(Path::new("."));
        working(&mut command);
        answers.push(("DATABASE_URL", said(&command.env("DATABASE_URL", dsn).output().unwrap())));
    }
    answers
        .into_iter()
        .filter(|(_, said)| said.code != wanted)
        .map(|(by, said)| format!("{id} by {by}: {dsn:?}\n    expected {expected}, got {said:?}"))
        .collect()
}

#[test]
fn agrees_with_the_library_on_every_postgres_row() {
    let directory = directory(POLICY);
    let rows = rows("postgres-dsn.csv");
    let mut problems = Vec::new();
    for row in &rows {
        let dsn: String = serde_json::from_str(&row[2]).unwrap();
        let environment: BTreeMap<String, String> = serde_json::from_str(&row[3]).unwrap();
        problems.extend(differing(&row[0], &dsn, &row[4], |command| {
            command.current_dir(directory.path()).envs(&environment);
        }));
    }
    assert!(rows.len() > 80, "{} rows", rows.len());
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn agrees_with_the_library_on_every_mysql_row() {
    let directory = directory(POLICY);
    let problems: Vec<_> = rows("mysql-dsn.csv")
        .iter()
        .flat_map(|row| {
            differing(&row[0], &row[1], &row[2], |command| {
                command.current_dir(directory.path());
                // what has another scheme than its database is another driver's, unless somebody insists
                command.args(["--driver", "mysql"]);
            })
        })
        .collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// The rows name files below the working directory.
#[test]
fn agrees_with_the_library_on_every_sqlite_row() {
    let directory = directory(POLICY);
    let at = |name: &str| directory.path().join(name);
    std::fs::create_dir(at("data-staging")).unwrap();
    for name in ["prod.db", "data-staging/app.db", "data-staging/a?b.db"] {
        std::fs::write(at(name), "").unwrap();
    }
    std::fs::hard_link(at("prod.db"), at("data-staging/hard.db")).unwrap();
    std::os::unix::fs::symlink("../prod.db", at("data-staging/link.db")).unwrap();
    let problems: Vec<_> = rows("sqlite-dsn.csv")
        .iter()
        .flat_map(|row| {
            differing(&row[0], &row[1], &row[2], |command| {
                command.current_dir(directory.path());
                command.args(["--driver", "sqlite"]);
            })
        })
        .collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// What the row's DSN would have said in `DATABASE_URL` counts no less when it comes from the variables themselves.
#[test]
fn variables_without_a_dsn_are_judged_as_the_driver_reads_them() {
    let directory = directory(POLICY);
    for (variables, expected) in [
        (vec![("PGHOST", "db-staging.internal"), ("PGDATABASE", "app"), ("PGUSER", "app")], 0),
        (vec![("PGHOST", "prod-pg-cluster.internal"), ("PGDATABASE", "app"), ("PGUSER", "app")], 1),
        (vec![("PGHOST", "db-staging.internal"), ("PGHOSTADDR", "10.0.0.5"), ("PGUSER", "app")], 1),
        (vec![], 2),
    ] {
        let said = said(
            &program(directory.path()).args(["check", "--offline"]).envs(variables.clone()).output().unwrap(),
        );
        assert_eq!(said.code, expected, "{variables:?}: {said:?}");
    }
}
