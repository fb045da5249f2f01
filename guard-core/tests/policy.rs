//! What a policy file may say, and what it is told when it says something else.

use std::fmt::Write;
use std::path::Path;

use fixture_guard_core::{Destruction, Environment, Facts, Policy, Surroundings, Target, judge};

const LOCAL: &str = "[environments.local]\ndestructive = true\nhosts = [\"localhost\"]\n";

/// The error of each text, as a test's reader sees it.
fn errors(texts: &[&str]) -> String {
    texts.iter().fold(String::new(), |mut page, text| {
        let error = Policy::parse(text, Path::new("fixture-guard.toml")).expect_err(text);
        for line in text.lines() {
            writeln!(page, "    {line}").unwrap();
        }
        writeln!(page, "{error}\n  help: {}\n", error.help()).unwrap();
        page
    })
}

#[test]
fn a_policy_that_cannot_be_one_says_where_and_what_to_write() {
    let page = errors(&[
        "",
        "[environments]",
        "[environments.staging]\ndestructive = true\nhost = [\"*-staging*\"]",
        "[environments.staging]\ndestructive = \"yes\"",
        "[environments.staging]\ndestructive = true\nhosts = [",
        "[environments.staging]\ndestructive = true",
        "[environments.staging]\ndestructive = true\nhosts = []",
        "[environments.staging]\ndestructive = true\nhosts = [\n  \"*-staging*\",\n  \"*\",\n]",
        "[environments.staging]\ndestructive = true\nhosts = [\"\"]",
        "[environments.staging]\ndestructive = true\nhosts = [\"db-staging:5432\"]",
        "[environments.staging]\ndestructive = true\nhosts = [\"10.20.0.0/16\"]",
        "[environments.staging]\ndestructive = true\nnetworks = [\"10.20.0.0/99\"]",
        "[environments.staging]\ndestructive = true\nnetworks = [\"0.0.0.0/0\"]",
        "[environments.staging]\ndestructive = true\nnetworks = [\"::ffff:0.0.0.0/96\"]",
        "[environments.staging]\ndestructive = true\nhosts = [\"*-staging*\"]\ndatabases = [\"?*\"]",
        "[environments.staging]\ndestructive = true\nhosts = [\n  \"*-staging*\",\n  \"prod-mirror-*\",\n]",
        "[environments.production]\ndestructive = true\nhosts = [\"db.internal\"]",
        "[environments.staging]\ndestructive = true\nhosts = [\"*-staging*\"]\nprocess = \"production\"",
        "[environments.\"my staging\"]\nhosts = [\"*-staging*\"]",
        "[environments.staging]\nhosts = [\"a\"]\n\n[environments.staging]\nhosts = [\"b\"]",
        "[environments.production]\nsystem_identifiers = [\"77107909772040753x2\"]",
        "[environments.production]\nsystem_identifiers = [7710790977204075312]",
        "[environments.staging]\nmarker = \"yes\"",
        "[environments.staging]\nmax_rows = -1",
        "[markers]\nharmless = [\"pre-prod\"]\n\n[environments.local]\nhosts = [\"localhost\"]",
        "[process]\nvariable = [\"APP_ENV\"]\n\n[environments.local]\nhosts = [\"localhost\"]",
    ]);
    insta::assert_snapshot!(page);
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("fixture-guard.toml");
    let error = Policy::load(&path).unwrap_err();
    assert_eq!(error.place(), Some((path.as_path(), None)));
    std::fs::write(&path, b"[environments.\xff]").unwrap();
    let error = Policy::load(&path).unwrap_err();
    assert!(error.to_string().ends_with("stream did not contain valid UTF-8"), "{error}");
    assert_eq!(error.help(), "check that it is a UTF-8 file that this user may read");
}

#[test]
fn an_environment_is_protected_unless_it_says_otherwise() {
    let policy =
        Policy::parse("[environments.production]\nhosts = [\"prod-*\"]", Path::new("p.toml")).unwrap();
    assert_eq!(policy.environments()[0].destruction(), Destruction::Refused);
    assert_eq!(policy.file(), Some(Path::new("p.toml")));
}

#[test]
fn a_word_that_the_team_declares_harmless_may_stand_in_a_destructive_environment() {
    let text = format!("[markers]\nharmless = [\"preprod\"]\n\n{LOCAL}databases = [\"preprod_*\"]\n");
    Policy::parse(&text, Path::new("p.toml")).unwrap();
    Policy::parse(&format!("{LOCAL}databases = [\"preprod_*\"]\n"), Path::new("p.toml")).unwrap_err();
}

/// The codes of the reasons, or none if the target is allowed.
fn verdict(policy: &Policy, dsn: &str) -> Vec<&'static str> {
    let surroundings = Surroundings::default();
    let (target, _) = Target::from_postgres_dsn(dsn).unwrap();
    let facts = Facts {
        target: &target,
        surroundings: &surroundings,
        narrowing: None,
        addresses: None,
        identity: None,
    };
    judge(policy, &facts)
        .map_or_else(|reasons| reasons.iter().map(|r| r.code().as_str()).collect(), |_| vec![])
}

#[test]
fn to_allow_every_stated_fact_must_match_and_to_refuse_one_is_enough() {
    let policy = Policy::new()
        .environment(
            Environment::destructive("staging")
                .host("*-staging*")
                .unwrap()
                .database("shop*")
                .unwrap()
                .user("app")
                .unwrap(),
        )
        .unwrap()
        .environment(
            Environment::protected("main")
                .host("*-main-*")
                .unwrap()
                .database("shop_main")
                .unwrap()
                .user("owner")
                .unwrap(),
        )
        .unwrap();
    for (dsn, codes) in [
        ("postgres://app@db-staging/shop", &[] as &[_]),
        ("postgres://app@db-staging/other", &["FG001"]),
        ("postgres://other@db-staging/shop", &["FG001"]),
        ("postgres://app@db/shop", &["FG001"]),
        ("postgres://app@db-staging/shop_main", &["FG003"]),
        ("postgres://app@db-main-staging/shop", &["FG003"]),
        ("postgres://owner@db-staging/shop", &["FG001", "FG003"]),
        ("postgres://app@db-staging", &["FG001"]), // the database is then `app`
    ] {
        assert_eq!(verdict(&policy, dsn), codes, "{dsn}");
    }
}

#[test]
fn a_target_that_fits_two_environments_fits_none() {
    let policy = Policy::new()
        .environment(Environment::destructive("one").host("*-staging*").unwrap())
        .unwrap()
        .environment(Environment::destructive("two").host("db-*").unwrap())
        .unwrap();
    assert_eq!(verdict(&policy, "postgres://app@db-staging/shop"), ["FG005"]);
    assert_eq!(verdict(&policy, "postgres://app@db-test/shop"), [] as [&str; 0]);
    assert_eq!(verdict(&policy, "postgres://app@elsewhere/shop"), ["FG004"]);
}

#[test]
fn a_network_covers_an_address_that_stands_in_the_dsn() {
    let protected = |network| {
        Policy::new()
            .environment(Environment::destructive("staging").host("10.*").unwrap())
            .unwrap()
            .environment(Environment::protected("main").network(network).unwrap())
            .unwrap()
    };
    for network in ["10.20.0.0/16", "::ffff:10.20.0.0/112"] {
        let policy = protected(network);
        assert_eq!(verdict(&policy, "postgres://app@10.20.0.5/shop"), ["FG003"], "{network}");
        assert_eq!(verdict(&policy, "postgres://app@[::ffff:10.20.0.5]/shop"), ["FG003"], "{network}");
        assert_eq!(verdict(&policy, "postgres://app@10.30.0.5/shop"), [] as [&str; 0], "{network}");
    }
}

#[test]
fn a_name_that_nobody_looked_up_is_refused_where_networks_count() {
    let policy = Policy::new()
        .environment(Environment::destructive("staging").host("*-staging*").unwrap())
        .unwrap()
        .environment(Environment::protected("main").network("10.20.0.0/16").unwrap())
        .unwrap();
    assert_eq!(verdict(&policy, "postgres://app@db-staging/shop"), ["FG010"]);
}

#[test]
fn the_example_of_the_reference_is_a_policy() {
    let page = include_str!("../../docs/policy.md");
    let (_, example) = page.split_once("```toml\n").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    let policy = Policy::parse(example, Path::new("docs/policy.md")).unwrap();
    assert_eq!(policy.environments().len(), 3);
}
