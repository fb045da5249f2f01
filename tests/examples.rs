//! The examples, run as a newcomer runs them, and the README, which shows what they print.

use std::{
    env, fs,
    path::Path,
    process::{Command, Output, Stdio},
};

use fixture_guard::Policy;
use fixture_guard_test_support as support;

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");

/// An example that cargo built along with this test.
fn example(name: &str) -> Command {
    let test = env::current_exe().unwrap();
    let built = test.ancestors().nth(2).unwrap().join("examples").join(name);
    assert!(built.exists(), "{} is not there: run `cargo build --examples`", built.display());
    let mut command = Command::new(built);
    command.stdin(Stdio::null()).env_remove("DATABASE_URL");
    command
}

/// What a program wrote; no program of ours ever writes the password.
fn run(command: &mut Command) -> (Output, String, String) {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(!out.contains(support::APP_PASSWORD), "{out}");
    assert!(!err.contains(support::APP_PASSWORD), "{err}");
    (output, out, err)
}

#[test]
fn the_readme_shows_what_the_incident_example_prints() {
    // It counts production's connections. Servers that end sooner are other servers: no test connects to these.
    let (output, out, err) = run(example("incident").env("FIXTURE_GUARD_TEST_IDLE_SECONDS", "5"));
    assert!(output.status.success(), "{err}\n{out}");

    let (_, act) = out.split_once("\n2. ").expect("a second act");
    let (act, _) = act.split_once("\n\n3. ").expect("a third act");
    let (_heading, printed) = act.split_once('\n').expect("a heading");

    let readme = fs::read_to_string(README).unwrap();
    let (_, after) = readme.split_once("<!-- the second act").expect("the README marks its block");
    let (_, shown) = after.split_once("```text\n").expect("a block");
    let (shown, _) = shown.split_once("```").expect("its end");
    if shown.trim_end() != printed && support::variable("FIXTURE_GUARD_TEST_UPDATE").is_some() {
        let updated =
            readme.replacen(&format!("```text\n{shown}```"), &format!("```text\n{printed}\n```"), 1);
        return fs::write(README, updated).unwrap();
    }
    assert_eq!(shown.trim_end(), printed, "FIXTURE_GUARD_TEST_UPDATE=1 writes it into the README");
}

#[test]
fn the_readmes_policy_is_one() {
    let readme = fs::read_to_string(README).unwrap();
    let (_, after) = readme.split_once("## The policy").expect("a section");
    let (_, file) = after.split_once("```toml\n").expect("a block");
    let (file, _) = file.split_once("```").expect("its end");

    let policy = Policy::parse(file, Path::new("fixture-guard.toml")).unwrap();

    assert_eq!(policy.environments().len(), 3);
}

#[test]
fn reset_db_says_what_to_set_when_there_is_no_database_url() {
    let (output, _, err) = run(&mut example("reset_db"));

    assert_eq!(output.status.code(), Some(2), "{err}");
    assert!(err.contains("set DATABASE_URL"), "{err}");
}

#[test]
fn reset_db_refuses_the_incidents_dsn() {
    let (output, out, err) = run(example("reset_db").env("DATABASE_URL", support::INCIDENT_DSN));

    assert_eq!(output.status.code(), Some(3), "{err}");
    assert!(out.is_empty() && err.starts_with("fixture-guard refused the fixture `reset_db`"), "{err}");
}
