//! `check` without a server, and what it prints.

use std::{
    io::{Read, Write},
    net::TcpListener,
    process::{Command, Stdio},
    thread,
};

use fixture_guard_test_support::{APP_PASSWORD, INCIDENT_DSN};
use serde_json::{Value, json};

use crate::program::{POLICY, Said, directory, program, run, run_with_input, said};

const STAGING: &str = "postgres://app:hunter2-vK9fQ1@storefront-staging-db.internal/storefront";

fn offline(arguments: &[&str]) -> Said {
    run(directory(POLICY).path(), ["check", "--offline"].iter().chain(arguments))
}

fn read_json(said: &Said) -> Value {
    serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said:?}"))
}

fn codes(json: &Value) -> Vec<&str> {
    json["reasons"].as_array().unwrap().iter().map(|reason| reason["code"].as_str().unwrap()).collect()
}

#[test]
fn refuses_the_incidents_dsn_and_says_every_fact_and_reason() {
    let said = offline(&["--database-url", INCIDENT_DSN]);
    assert_eq!(said.code, 1, "{said:?}");
    for text in [
        "storefront at prod-pg-cluster.internal:5432 as storefront_app",
        "prod-pg-cluster.internal",
        "no: tests must not destroy this",
        "FG002: the host `prod-pg-cluster.internal` holds `prod`",
        "FG003: the host `prod-pg-cluster.internal` belongs to the protected environment `production`",
        "rule: `environments.production.hosts` in ",
        "help: point the test at a disposable database",
    ] {
        assert!(said.out.contains(text), "{text} is not in {}", said.out);
    }
    assert!(said.err.is_empty(), "{}", said.err);
}

#[test]
fn allows_what_the_policy_declares_disposable() {
    let said = offline(&["--database-url", STAGING]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.contains("yes: this is `staging`, and tests may destroy it"), "{}", said.out);
}

#[test]
fn a_job_that_expects_production_refuses_stagings_dsn_and_the_other_way_round() {
    for (dsn, expected, code) in [
        (INCIDENT_DSN, "production", 0),
        (STAGING, "production", 1),
        (STAGING, "staging", 0),
        (INCIDENT_DSN, "staging", 1),
        (STAGING, "local", 1),
    ] {
        let said = offline(&["--expect", expected, "--database-url", dsn]);
        assert_eq!(said.code, code, "{expected}: {said:?}");
    }
    let said = offline(&["--expect", "production", "--database-url", STAGING]);
    assert!(said.out.contains("no: this is not `production`"), "{}", said.out);
    assert!(said.out.contains("recognised as the environment `staging`"), "{}", said.out);
}

#[test]
fn a_mistyped_environment_is_no_verdict_and_the_right_one_is_guessed() {
    let said = offline(&["--expect", "prodution", "--database-url", INCIDENT_DSN]);
    assert_eq!((said.code, said.out.as_str()), (2, ""), "{said:?}");
    assert!(said.err.contains("did you mean `production`?"), "{}", said.err);
    let said = offline(&["--expect", "x", "--database-url", INCIDENT_DSN]);
    assert!(said.err.contains("the policy has: local, staging, production"), "{}", said.err);
}

#[test]
fn no_format_shows_a_password() {
    let broken = format!("postgres://app:{APP_PASSWORD}@db-staging.internal:port/app");
    let split = format!("postgres://app:{APP_PASSWORD}#x@db-staging.internal/app");
    let misplaced =
        format!("postgres://db-staging.internal/app?passwort={APP_PASSWORD}&options=-c x={APP_PASSWORD}");
    for dsn in [INCIDENT_DSN, STAGING, &broken, &split, &misplaced] {
        for format in ["human", "json", "sarif", "github"] {
            let said = offline(&["--database-url", dsn, "--format", format]);
            assert!(
                !said.out.contains(APP_PASSWORD) && !said.err.contains(APP_PASSWORD),
                "{format}: {said:?}"
            );
        }
    }
}

#[test]
fn an_argument_that_looks_like_a_dsn_is_not_repeated() {
    let given = format!("--database-ulr={INCIDENT_DSN}");
    let format = format!("--format={INCIDENT_DSN}");
    for arguments in [&["check", INCIDENT_DSN][..], &[INCIDENT_DSN], &["check", &given], &["check", &format]]
    {
        let said = run(directory(POLICY).path(), arguments);
        assert_eq!(said.code, 2, "{said:?}");
        assert!(!said.err.contains(APP_PASSWORD) && !said.err.contains("prod-pg"), "{said:?}");
    }
}

#[test]
fn a_dsn_where_a_name_or_a_path_belongs_is_not_repeated() {
    let keywords = &*format!("host=db user=app password={APP_PASSWORD} dbname=shop");
    let spaced = &*format!("host=db PWD = {APP_PASSWORD}");
    for dsn in [INCIDENT_DSN, keywords, spaced] {
        for arguments in [
            &["check", dsn][..],
            &["check", "--format", dsn],
            &["check", "--expect", dsn],
            &["check", "--policy", dsn],
            &["check", "--policy", dsn, "--format", "json"],
            &["coverage", dsn],
            &["completions", dsn],
            &["init", dsn],
            &["init", "--print", dsn],
            &["man", dsn],
            &["mark", dsn],
            &["mark", "--show", "--policy", dsn],
        ] {
            let said = run(directory(POLICY).path(), arguments);
            assert_eq!((said.code, said.out.as_str()), (2, ""), "{arguments:?}: {said:?}");
            assert!(said.err.contains("it may hold a password"), "{arguments:?}: {said:?}");
            assert!(!said.err.contains(APP_PASSWORD), "{arguments:?}: {said:?}");
        }
    }
}

#[test]
fn a_path_with_an_at_sign_that_exists_is_a_path() {
    let workspaces = tempfile::tempdir().unwrap();
    std::fs::create_dir(workspaces.path().join("shop@2")).unwrap();
    std::fs::write(workspaces.path().join("shop@2/policy.toml"), POLICY).unwrap();
    let arguments = ["check", "--offline", "--policy", "shop@2/policy.toml", "--database-url", STAGING];
    let said = run(workspaces.path(), arguments);
    assert_eq!(said.code, 0, "{said:?}");
}

#[test]
fn what_cannot_be_read_is_no_verdict() {
    let policies = directory(POLICY);
    let broken = directory("[environments.staging]\ndestructive = true\nhosts = [\"*\"]\n");
    let unreadable = directory("");
    std::fs::write(unreadable.path().join("fixture-guard.toml"), [0xff, 0xfe]).unwrap();
    for (directory, arguments, message) in [
        (&policies, &["check", "--offline"][..], "there is no target"),
        (&policies, &["check", "--offline", "--policy", "no.toml"], "no.toml: the policy cannot be read"),
        (&broken, &["check", "--offline", "--database-url", STAGING], "fixture-guard.toml:3: "),
        (&unreadable, &["check", "--offline", "--database-url", STAGING], "the policy cannot be read"),
        (&policies, &["check", "--database-url", "postgres://app@h:99999/app"], "FG011"),
        (&policies, &["check", "--offline", "--dsn-stdin"], "standard input holds no DSN"),
        (&policies, &["check", "--nonsense"], "unexpected argument"),
    ] {
        let said = run(directory.path(), arguments);
        assert_eq!(said.code, 2, "{arguments:?}: {said:?}");
        assert!(format!("{}{}", said.out, said.err).contains(message), "{message}: {said:?}");
    }
}

#[test]
fn a_policy_is_found_above_the_working_directory_and_one_that_is_named_wins() {
    let outer = directory(POLICY);
    let inner = outer.path().join("crates/shop");
    std::fs::create_dir_all(&inner).unwrap();
    let other = "[environments.elsewhere]\ndestructive = true\nhosts = [\"storefront-*\"]\n";
    std::fs::write(outer.path().join("other.toml"), other).unwrap();

    let found = run(&inner, ["check", "--offline", "--database-url", STAGING]);
    assert!(found.code == 0 && found.out.contains("this is `staging`"), "{found:?}");
    let named =
        run(&inner, ["check", "--offline", "--policy", "../../other.toml", "--database-url", STAGING]);
    assert!(named.code == 0 && named.out.contains("this is `elsewhere`"), "{named:?}");
    let without = run(tempfile::tempdir().unwrap().path(), ["check", "--offline", "--database-url", STAGING]);
    assert!(without.code == 1 && without.out.contains("built in: loopback"), "{without:?}");
}

#[test]
fn other_databases_are_judged_by_their_dsn_and_not_asked() {
    let mysql = "mysql://app@storefront-staging-db.internal/storefront";
    let policies = directory(POLICY);
    let said = run(policies.path(), ["check", "--database-url", mysql]);
    assert_eq!(said.code, 2, "a yes that nobody confirmed: {said:?}");
    assert!(said.out.contains("this program asks PostgreSQL only"), "{}", said.out);
    assert_eq!(offline(&["--database-url", mysql]).code, 0);
    let said =
        run(policies.path(), ["check", "--database-url", "mysql://app@prod-mysql.internal/storefront"]);
    assert_eq!(said.code, 1, "a no needs nobody: {said:?}");
}

#[test]
fn the_processes_own_environment_counts() {
    let policies = directory(POLICY);
    let mut command = program(policies.path());
    command.args(["check", "--offline", "--database-url", STAGING]);
    let said = said(&command.env("APP_ENV", "production").output().unwrap());
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.out.contains("APP_ENV"), "{said:?}");
    assert!(said.out.contains("FG006"), "{said:?}");
}

#[test]
fn the_dsn_of_standard_input_is_judged_and_not_the_variable() {
    let policies = directory(POLICY);
    let mut command = program(policies.path());
    command.args(["check", "--offline", "--dsn-stdin"]).env("DATABASE_URL", STAGING);
    let said = run_with_input(&mut command, format!("{INCIDENT_DSN}\r\n").as_bytes());
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.out.starts_with("storefront at prod-pg-cluster.internal"), "{said:?}");
}

#[test]
fn an_empty_variable_and_a_dsn_that_was_cut_are_no_verdict() {
    let project = directory("[environments.local]\ndestructive = true\nhosts = [\"localhost\"]\n");
    let mut command = program(project.path());
    command.args(["check", "--offline"]).env("DATABASE_URL", "").env("PGHOST", "localhost");
    let said_of_it = said(&command.output().unwrap());
    assert_eq!(said_of_it.code, 2, "{said_of_it:?}");

    let long = format!(
        "postgres://app@localhost/shop?application_name={}&host=prod-db.internal",
        "a".repeat(1 << 20)
    );
    let mut command = program(project.path());
    command.args(["check", "--offline", "--dsn-stdin"]);
    let said_of_it = run_with_input(&mut command, long.as_bytes());
    assert_eq!(said_of_it.code, 2, "{said_of_it:?}");
}

#[test]
fn json_is_as_its_schema_says() {
    let schema: Value = serde_json::from_str(include_str!("../../../schemas/check.schema.json")).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    for (arguments, verdict) in [
        (&["--database-url", INCIDENT_DSN][..], "no"),
        (&["--database-url", STAGING], "yes"),
        (&["--database-url", STAGING, "--expect", "staging"], "yes"),
        (&["--database-url", STAGING, "--expect", "production"], "no"),
        (&["--database-url", "postgres://app@h:99999/app"], "unknown"),
        (&["--database-url", "sqlite::memory:"], "yes"),
        (&["--policy", "missing.toml"], "unknown"),
    ] {
        let json = read_json(&offline(&[arguments, &["--format", "json"]].concat()));
        let errors: Vec<_> = validator.iter_errors(&json).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?}: {json:#}");
        assert_eq!(json["verdict"], verdict, "{json:#}");
    }
    let open = json!({ "verdict": "yes" });
    assert!(!validator.is_valid(&open), "the schema asks for every key");
}

#[test]
fn sarif_is_as_its_schema_says() {
    // the standard's own pattern of a language has a bracket too many, which not every engine takes for a letter
    let schema = include_str!("../../../schemas/sarif-2.1.0.schema.json").replace("{2}]?$", "{2}$");
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    for arguments in [
        &["--database-url", INCIDENT_DSN][..],
        &["--database-url", STAGING],
        &["--database-url", STAGING, "--expect", "production"],
        &["--database-url", "postgres://app@h:99999/app"],
        &["--policy", "missing.toml"],
    ] {
        let said = offline(&[arguments, &["--format", "sarif"]].concat());
        let log = read_json(&said);
        let errors: Vec<_> = validator.iter_errors(&log).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?}: {log:#}");
        let results = log["runs"][0]["results"].as_array().unwrap();
        assert_eq!(results.is_empty(), said.code == 0, "{log:#}");
    }
    let wrong = json!({ "version": "2.1.0", "runs": [{ "results": [] }] });
    assert!(!validator.is_valid(&wrong), "a run names its tool");
}

#[test]
fn annotations_and_sarif_carry_every_reason() {
    let arguments = ["--database-url", INCIDENT_DSN, "--format"];
    let all = read_json(&offline(&[&arguments[..], &["json"]].concat()));
    let codes = codes(&all);

    let github = offline(&[&arguments[..], &["github"]].concat()).out;
    let lines: Vec<_> = github.lines().collect();
    assert_eq!(lines.len(), codes.len(), "{github}");
    for (line, code) in lines.iter().zip(&codes) {
        assert!(line.starts_with("::error ") && line.contains(&format!("title={code} ")), "{line}");
        assert!(line.contains("%0Ahelp: "), "{line}");
    }
    assert!(github.contains("::error file=fixture-guard.toml,title=FG003 "), "{github}");

    let sarif = offline(&[&arguments[..], &["sarif"]].concat()).out;
    let sarif: Value = serde_json::from_str(&sarif).unwrap();
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    let ids: Vec<_> = results.iter().map(|result| result["ruleId"].as_str().unwrap()).collect();
    assert_eq!(ids, codes);
    for result in results {
        let place = &result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"];
        assert_eq!(place, "fixture-guard.toml", "{result:#}");
    }
}

/// A server that takes the connection and says nothing more than that it has no TLS.
#[test]
fn a_server_that_does_not_answer_is_no_verdict_and_is_told_who_asks() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let dsn =
        format!("postgres://app:{APP_PASSWORD}@localhost:{}/app", listener.local_addr().unwrap().port());
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 8];
        stream.read_exact(&mut request).unwrap();
        stream.write_all(b"N").unwrap();
        let mut start_up = vec![0; 512];
        let read = stream.read(&mut start_up).unwrap();
        // it stays open until the program gives up
        let _ = stream.read(&mut [0; 1]);
        String::from_utf8_lossy(&start_up[..read]).into_owned()
    });

    let said = run(directory(POLICY).path(), ["check", "--database-url", &dsn]);

    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.out.contains("FG014: no connection: no answer within 8s"), "{said:?}");
    assert!(said.out.contains("unknown: could not tell"), "{said:?}");
    assert!(said.err.starts_with("asking app at localhost:"), "{said:?}");
    let start_up = server.join().unwrap();
    assert!(start_up.contains("application_name\0fixture-guard check\0"), "{start_up:?}");
}

#[test]
fn a_reader_that_went_away_is_no_error() {
    let mut child = program(directory(POLICY).path())
        .args(["completions", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let said = said(&child.wait_with_output().unwrap());
    assert_eq!((said.code, said.err.as_str()), (0, ""));
}

#[test]
fn a_pipe_gets_no_colour_and_a_wish_for_it_is_heard() {
    let policies = directory(POLICY);
    let run = |name: &str, value: &str| {
        let mut command = program(policies.path());
        command.args(["check", "--offline", "--database-url", INCIDENT_DSN]).env(name, value);
        said(&command.output().unwrap()).out
    };
    assert!(!run("TERM", "xterm-256color").contains('\x1b'));
    assert!(run("CLICOLOR_FORCE", "1").contains("\x1b["));
}

#[test]
fn cargo_finds_it_as_a_subcommand() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cargo-fixture-guard"));
    let directory = directory(POLICY);
    command.env_clear().current_dir(directory.path());
    command.args(["fixture-guard", "check", "--offline", "--database-url", INCIDENT_DSN]);
    let said = said(&command.output().unwrap());
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.out.contains("FG003"), "{said:?}");

    let mut help = Command::new(env!("CARGO_BIN_EXE_cargo-fixture-guard"));
    let help =
        crate::program::said(&help.env_clear().args(["fixture-guard", "check", "--help"]).output().unwrap());
    assert!(help.out.contains("Usage: cargo fixture-guard check"), "{help:?}");
}
