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
        "[environments.staging]\nhosts = [\n  \"postgres://app:hunter2@db/shop\",\n]",
        "[environments.staging]\nhosts = [\"a\"]\nreach = [\"audit_log\"]",
        "[environments.staging]\nhosts = [\"a\"]\nreach = [\n  \"triger:audit_log\",\n]",
        "[environments.staging]\nhosts = [\"a\"]\nreach = [\"inherits:internal._hyper_1_7_chunk\"]",
        "[environments.staging]\nhosts = [\"a\"]\nstatement_timeout = \"90\"",
        "[environments.staging]\nhosts = [\"a\"]\nlock_timeout = \"25h\"",
        "[markers]\nharmless = [\"pre prod\"]\n\n[environments.local]\nhosts = [\"localhost\"]",
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

/// A DSN or a password in any value or key of a policy file is refused before anything could repeat it.
#[test]
fn a_password_in_a_policy_file_is_never_shown() {
    let secrets = [
        "postgres://app:hunter2@db/shop",
        "host=db password = hunter2",
        "app:hunter2@db",
        "Server=db;Pwd=hunter2",
        "postgres%3A%2F%2Fapp%3Ahunter2%40db",
    ];
    for secret in secrets {
        for (key, text) in [
            ("`environments.a.hosts`", format!("[environments.a]\nhosts = [\"{secret}\"]")),
            ("`environments.a.sockets`", format!("[environments.a]\nsockets = [\"{secret}\"]")),
            ("`environments.a.networks`", format!("[environments.a]\nnetworks = [\"{secret}\"]")),
            ("`environments.a.databases`", format!("[environments.a]\ndatabases = [\"{secret}\"]")),
            ("`environments.a.users`", format!("[environments.a]\nusers = [\"{secret}\"]")),
            (
                "`environments.a.system_identifiers`",
                format!("[environments.a]\nsystem_identifiers = [\"{secret}\"]"),
            ),
            ("`environments.a.process`", format!("[environments.a]\nprocess = \"{secret}\"")),
            ("`environments.a.marker`", format!("[environments.a]\nmarker = \"{secret}\"")),
            ("`environments.a.max_rows`", format!("[environments.a]\nmax_rows = \"{secret}\"")),
            ("`environments.a.reach`", format!("[environments.a]\nreach = [\"{secret}\"]")),
            ("`environments.a.lock_timeout`", format!("[environments.a]\nlock_timeout = \"{secret}\"")),
            ("`environments.a.unknown`", format!("[environments.a]\nunknown = \"{secret}\"")),
            ("`environments.a`", format!("[environments]\na = \"{secret}\"")),
            ("a key", format!("[environments.a]\n\"{secret}\" = 1")),
            ("a key", format!("[environments]\n\"{secret}\".hosts = [\"db\"]")),
            ("`markers.words`", format!("[markers]\nwords = [\"{secret}\"]")),
            ("`markers.harmless`", format!("[markers]\nharmless = [\"{secret}\"]")),
            ("`process.variables`", format!("[process]\nvariables = [\"{secret}\"]")),
            ("`journal.path`", format!("[journal]\npath = \"{secret}\"")),
        ] {
            let error = Policy::parse(&text, Path::new("p.toml")).expect_err(&text);
            let shown = format!("{error} {} {error:?}", error.help());
            assert!(!shown.contains("hunter2"), "{shown}");
            assert!(shown.starts_with(&format!("p.toml:2: {key} ")), "{shown}");
        }
    }
    // no TOML at all
    let error = Policy::parse("hosts = postgres://app:hunter2@db", Path::new("p.toml")).unwrap_err();
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
}

#[test]
fn a_password_in_code_is_never_shown() {
    let dsn = "postgres://app:hunter2@db/shop";
    for error in [
        Environment::protected("a").host(dsn).unwrap_err(),
        Environment::protected("a").database(dsn).unwrap_err(),
        Environment::protected("a").user(dsn).unwrap_err(),
        Environment::protected("a").socket(dsn).unwrap_err(),
        Environment::protected("a").network(dsn).unwrap_err(),
        Policy::new().environment(Environment::protected("a").process(dsn)).unwrap_err(),
        Policy::new().environment(Environment::protected("a").reach(dsn)).unwrap_err(),
        Policy::new().environment(Environment::protected(dsn)).unwrap_err(),
    ] {
        assert!(!format!("{error} {error:?} {}", error.help()).contains("hunter2"), "{error}");
    }
    let judging = std::sync::Arc::new(Policy::built_in()).judging(dsn);
    assert!(!format!("{judging:?}").contains("hunter2"));
}

#[test]
fn a_variable_that_holds_a_password_is_not_shown() {
    let text = format!("[process]\nvariables = [\"DATABASE_URL\"]\n\n{LOCAL}");
    let policy = Policy::parse(&text, Path::new("p.toml")).unwrap();
    let dsn = "postgres://app:hunter2@prod-db/shop";
    let surroundings: Surroundings =
        [("DATABASE_URL", dsn), ("FIXTURE_GUARD", "host=h password = hunter2")].into_iter().collect();
    let (target, _) = Target::from_postgres_dsn("postgres://app@localhost/shop").unwrap();
    let facts = Facts {
        target: &target,
        surroundings: &surroundings,
        narrowing: None,
        addresses: None,
        identity: None,
    };
    let listed = facts.listed(&policy).iter().fold(String::new(), |mut listed, fact| {
        writeln!(listed, "{} {}", fact.name(), fact.value()).unwrap();
        listed
    });
    assert!(listed.contains("DATABASE_URL (not shown") && !listed.contains("hunter2"), "{listed}");
    let reasons = judge(&policy, &facts).unwrap_err();
    assert!(!format!("{reasons:?}").contains("hunter2"), "{reasons:?}");
}

#[test]
fn limits_and_reach_are_read_and_judged() {
    let text = format!(
        "{LOCAL}statement_timeout = \"2m\"\nlock_timeout = \"10s\"\nreach = [\"inherits:_hyper_*\", \"cascade:*\"]\n"
    );
    let policy = Policy::parse(&text, Path::new("p.toml")).unwrap();
    let (target, _) = Target::from_postgres_dsn("postgres://app@localhost/shop").unwrap();
    let facts = Facts {
        target: &target,
        surroundings: &Surroundings::default(),
        narrowing: None,
        addresses: None,
        identity: None,
    };
    let clearance = judge(&policy, &facts).unwrap();
    assert_eq!(clearance.statement_timeout(), Some(std::time::Duration::from_mins(2)));
    assert_eq!(clearance.lock_timeout(), Some(std::time::Duration::from_secs(10)));
    let day = Environment::protected("a").lock_timeout(std::time::Duration::from_secs(86_401));
    assert!(Policy::new().environment(day).is_err());
}

#[cfg(unix)]
#[test]
fn only_a_regular_file_of_a_sane_size_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let fifo = directory.path().join("fixture-guard.toml");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    for path in [fifo.as_path(), Path::new("/dev/zero"), directory.path()] {
        let error = Policy::load(path).unwrap_err();
        assert!(error.to_string().ends_with("it is not a regular file"), "{error}");
    }
    let large = directory.path().join("large.toml");
    std::fs::write(&large, "#".repeat((1 << 20) + 1)).unwrap();
    assert!(Policy::load(&large).unwrap_err().to_string().ends_with("larger than 1 MiB"));
}
