//! Verdicts that need facts which only this crate can make: addresses, an attribute's narrowing, a refusal's page.

use std::fmt::Write;
use std::net::IpAddr;
use std::path::Path;

use super::*;
use crate::addresses::LookupError;
use crate::fixture::{Fixture, Place};
use crate::refusal::{Refusal, Stage, Subject};

fn target(dsn: &str) -> Target {
    Target::from_postgres_dsn(dsn).unwrap().0
}

fn resolved(host: &str, addresses: &[&str]) -> Addresses {
    let addresses: Vec<IpAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
    let result = if addresses.is_empty() { Err(LookupError::Nothing) } else { Ok(addresses) };
    Addresses { hosts: vec![(Host::parse(host).unwrap(), result)], own: None }
}

fn codes(policy: &Policy, target: &Target, addresses: Option<&Addresses>) -> Vec<&'static str> {
    let surroundings = Surroundings::default();
    let facts = Facts { target, surroundings: &surroundings, narrowing: None, addresses, identity: None };
    judge(policy, &facts)
        .map_or_else(|reasons| reasons.iter().map(|reason| reason.code().as_str()).collect(), |_| Vec::new())
}

mod networks {
    use super::*;

    fn policy() -> Policy {
        Policy::new()
            .environment(
                Environment::destructive("staging")
                    .host("*-staging*")
                    .unwrap()
                    .network("10.30.0.0/16")
                    .unwrap(),
            )
            .unwrap()
            .environment(Environment::protected("main").network("10.20.0.0/16").unwrap())
            .unwrap()
    }

    fn verdict(addresses: &[&str]) -> Vec<&'static str> {
        let target = target("postgres://app@db-staging.internal/shop");
        codes(&policy(), &target, Some(&resolved("db-staging.internal", addresses)))
    }

    const ALLOWED: [&str; 0] = [];

    #[test]
    fn an_address_inside_the_network_is_allowed() {
        assert_eq!(verdict(&["10.30.0.5"]), ALLOWED);
        assert_eq!(verdict(&["10.30.0.5", "10.30.0.6"]), ALLOWED);
    }

    #[test]
    fn every_address_must_lie_inside() {
        assert_eq!(verdict(&["10.30.0.5", "192.0.2.1"]), ["FG001"]);
    }

    #[test]
    fn one_address_in_a_protected_network_refuses() {
        assert_eq!(verdict(&["10.30.0.5", "10.20.0.5"]), ["FG001", "FG003"]);
    }

    #[test]
    fn an_address_inside_ipv6_is_the_one_that_it_wraps() {
        assert_eq!(verdict(&["::ffff:10.30.0.5"]), ALLOWED);
        assert_eq!(verdict(&["::ffff:10.20.0.5"]), ["FG001", "FG003"]);
    }

    #[test]
    fn a_name_without_an_address_is_refused() {
        assert_eq!(verdict(&[]), ["FG001", "FG010"]);
        let target = target("postgres://app@db-staging.internal/shop");
        let limit = LookupError::TimedOut(std::time::Duration::from_secs(2));
        let hosts = vec![(Host::parse("db-staging.internal").unwrap(), Err(limit))];
        let addresses = Addresses { hosts, own: None };
        assert_eq!(codes(&policy(), &target, Some(&addresses)), ["FG001", "FG010"]);
    }

    #[test]
    fn a_name_that_was_not_looked_up_is_refused() {
        let target = target("postgres://app@db-staging.internal/shop");
        assert_eq!(codes(&policy(), &target, None), ["FG001", "FG010"]);
    }

    #[test]
    fn a_network_alone_recognises_an_environment() {
        let policy = Policy::new()
            .environment(Environment::destructive("staging").network("10.30.0.0/16").unwrap())
            .unwrap();
        let target = target("postgres://app@db-7.internal/shop");
        assert_eq!(codes(&policy, &target, Some(&resolved("db-7.internal", &["10.30.0.5"]))), ALLOWED);
        assert_eq!(codes(&policy, &target, Some(&resolved("db-7.internal", &["10.31.0.5"]))), ["FG001"]);
        assert_eq!(codes(&policy, &target, None), ["FG001", "FG010"]);
    }

    #[test]
    fn every_host_that_the_string_names_counts() {
        let target = target("postgres://app@db-staging.internal/shop?host=db2-staging.internal");
        let mut addresses = resolved("db-staging.internal", &["10.30.0.5"]);
        addresses.hosts.extend(resolved("db2-staging.internal", &["10.20.0.5"]).hosts);
        assert_eq!(codes(&policy(), &target, Some(&addresses)), ["FG001", "FG003"]);
    }
}

#[test]
fn a_name_without_an_address_is_no_reason_where_no_network_is_stated() {
    let policy =
        Policy::new().environment(Environment::destructive("staging").host("*-staging*").unwrap()).unwrap();
    let target = target("postgres://app@db-staging.internal/shop");
    for addresses in [None, Some(&resolved("db-staging.internal", &[]))] {
        assert!(codes(&policy, &target, addresses).is_empty(), "{addresses:?}");
    }
}

mod two_names {
    use super::*;

    const NEON: &str = "postgres://app@ep-main-1.us-east-2.aws.neon.tech/shop";
    const NEON_POOLER: &str = "postgres://app@ep-main-1-pooler.us-east-2.aws.neon.tech/shop";
    const NEON_BRANCH: &str = "postgres://app@ep-test-2-pooler.us-east-2.aws.neon.tech/shop";
    const SUPABASE: &str = "postgres://postgres@db.abcdefghij.supabase.co:5432/postgres";
    const SUPABASE_POOLER: &str =
        "postgres://postgres.abcdefghij@aws-0-eu-central-1.pooler.supabase.com:6543/postgres";
    const SUPABASE_OTHER: &str =
        "postgres://postgres.klmnopqrst@aws-0-eu-central-1.pooler.supabase.com:6543/postgres";

    fn against(protected: Environment, dsn: &str) -> Vec<&'static str> {
        let ci = Environment::destructive("ci").host("*.neon.tech").unwrap();
        let ci = ci.host("*.supabase.co").unwrap().host("*.supabase.com").unwrap();
        let policy = Policy::new().environment(ci).unwrap().environment(protected).unwrap();
        codes(&policy, &target(dsn), None)
    }

    #[test]
    fn a_protected_database_is_protected_by_each_of_its_names() {
        let host = |host| Environment::protected("main").host(host).unwrap();
        let user = |user| Environment::protected("main").user(user).unwrap();
        let none: [&str; 0] = [];
        for protected in ["ep-main-1.us-east-2.aws.neon.tech", "ep-main-1-pooler.us-east-2.aws.neon.tech"] {
            assert_eq!(against(host(protected), NEON), ["FG003"], "{protected}");
            assert_eq!(against(host(protected), NEON_POOLER), ["FG003"], "{protected}");
            assert_eq!(against(host(protected), NEON_BRANCH), none, "{protected}");
        }
        for dsn in [SUPABASE, SUPABASE_POOLER] {
            assert_eq!(against(host("db.abcdefghij.supabase.co"), dsn), ["FG003"], "{dsn}");
            assert_eq!(against(user("postgres.abcdefghij"), dsn), ["FG003"], "{dsn}");
        }
        assert_eq!(against(host("db.abcdefghij.supabase.co"), SUPABASE_OTHER), none);
        assert_eq!(against(user("postgres.abcdefghij"), SUPABASE_OTHER), none);
    }

    #[test]
    fn a_variable_names_the_database_by_each_of_its_names() {
        let named = |dsn: &str, production: &str| target(dsn).may_be(&target(production));
        for (a, b) in [(NEON, NEON_POOLER), (SUPABASE, SUPABASE_POOLER)] {
            assert!(named(a, b) && named(b, a), "{a} {b}");
        }
        for (a, b) in [(NEON, NEON_BRANCH), (SUPABASE, SUPABASE_OTHER), (SUPABASE_POOLER, SUPABASE_OTHER)] {
            assert!(!named(a, b) && !named(b, a), "{a} {b}");
        }
        assert!(!named(SUPABASE, &SUPABASE_POOLER.replace("/postgres", "/shop")), "another database");
    }

    #[test]
    fn another_name_is_not_reported_as_another_database() {
        let listed = |production: &str| {
            let surroundings: Surroundings = [("PRODUCTION_DATABASE_URL", production)].into_iter().collect();
            let target = target(NEON);
            let facts = Facts {
                target: &target,
                surroundings: &surroundings,
                narrowing: None,
                addresses: None,
                identity: None,
            };
            let listed = facts.listed(&Policy::built_in());
            listed.iter().find(|fact| fact.name() == "PRODUCTION_DATABASE_URL").unwrap().value().to_owned()
        };
        assert_eq!(listed(NEON_POOLER), "names this very database");
        assert_eq!(listed("postgres://app@db.internal/shop"), "has another name");
    }
}

const FILE: &str = "\
[markers]
words = [\"primary\"]

[environments.local]
destructive = true
hosts = [\"localhost\", \"127.0.0.1\", \"::1\"]

[environments.staging]
destructive = true
hosts = [\"*-staging*\"]
databases = [\"storefront*\"]
process = \"staging\"

[environments.shared]
destructive = true
hosts = [\"*-staging-shared*\"]

[environments.production]
hosts = [\"db-main.*\"]
networks = [\"10.20.0.0/16\"]
databases = [\"billing\"]
";

static NARROWED: Fixture = Fixture::new("reset_db", Place::new("tests/fixtures.rs", 12, 1, None))
    .hosts(&["*-staging*"])
    .databases(&["storefront_test"])
    .environment("staging");

/// A page as a test's reader sees it, of a run that was refused before it connected.
fn page(policy: &Policy, dsn: &str, fixture: Option<&'static Fixture>, variables: &[(&str, &str)]) -> String {
    let target = target(dsn);
    let surroundings: Surroundings = variables.iter().copied().collect();
    let hosts: Vec<_> = target.hosts().cloned().collect();
    let addresses = policy.asks_for_addresses().then(|| Addresses {
        own: None,
        hosts: hosts
            .into_iter()
            .map(|host| {
                let result = match host.as_str() {
                    "gone-staging.internal" => Err(LookupError::Failed(std::io::ErrorKind::NotFound)),
                    "alias-staging.internal" => Ok(vec!["10.20.0.5".parse().unwrap()]),
                    _ => Ok(vec!["192.0.2.7".parse().unwrap()]),
                };
                (host, result)
            })
            .collect(),
    });
    let facts = Facts {
        target: &target,
        surroundings: &surroundings,
        narrowing: fixture.map(|fixture| fixture.narrowing().unwrap()),
        addresses: addresses.as_ref(),
        identity: None,
    };
    let reasons = judge(policy, &facts).expect_err(dsn);
    let called = Some(Place::new("tests/cart.rs", 40, 5, None));
    let nobody = Subject { fixture: None, test: false, called };
    let subject = fixture.map_or(nobody, |fixture| fixture.subject(called));
    Refusal { subject, target: Some(target), stage: Stage::BeforeConnecting, reasons }.to_string()
}

/// Every code that the judge gives before it connects, as a reader meets it.
#[test]
fn a_page_of_refusals_reads_well() {
    const SAID: &[(&str, &str)] = &[("APP_ENV", "staging")];
    let file = Policy::parse(FILE, Path::new("/shop/fixture-guard.toml")).unwrap();
    let built_in = Policy::built_in();
    let staging = "postgres://app@db-staging.internal/storefront_test";
    let pages = [
        page(
            &file,
            "postgresql://storefront_app:x@prod-pg-cluster.internal:5432/storefront",
            Some(&NARROWED),
            SAID,
        ),
        page(&built_in, "postgres://app@db-staging.internal/app", None, &[]),
        page(&file, "postgres://app@db-main.internal/billing", None, SAID),
        page(&file, "postgres://app@alias-staging.internal/storefront", None, SAID),
        page(&file, "postgres://app@gone-staging.internal/storefront", None, SAID),
        page(&file, "postgres://app@db-staging-shared.internal/storefront", None, SAID),
        page(&file, staging, None, &[("APP_ENV", "production"), ("PROD_DB_URL", staging)]),
        page(&file, "postgres://app@localhost/storefront", None, SAID),
        page(&file, staging, None, &[]),
        page(&file, "postgres://app@db-staging.internal/storefront?host=db.internal&service=x", None, SAID),
        page(
            &file,
            "postgres://app@db-staging.internal/storefront_pr%6Fd?options=-csearch_path%3Dlive",
            None,
            SAID,
        ),
        page(&file, "postgres://app:1/secret@db-staging.internal/storefront", None, SAID),
        page(&file, "postgres:///storefront?host=/run/postgresql&user=app", None, SAID),
        page(&file, "postgres://app@db-staging.internal/storefront", Some(&NARROWED), SAID),
    ];
    let mut text = String::new();
    for page in &pages {
        writeln!(text, "{page}\n{}", "-".repeat(40)).unwrap();
    }
    for code in
        ["FG001", "FG002", "FG003", "FG004", "FG005", "FG006", "FG007", "FG008", "FG009", "FG010", "FG013"]
    {
        assert!(text.contains(code), "{code} is not on the page");
    }
    assert!(!text.contains("secret"));
    insta::assert_snapshot!(text);
}

/// A rule that cannot be found cannot be corrected.
#[test]
fn every_reason_names_its_rule_by_file_and_key_or_by_the_attribute() {
    let file = Policy::parse(FILE, Path::new("/shop/fixture-guard.toml")).unwrap();
    for (dsn, rule) in [
        ("postgres://app@db-main.internal/x", "`environments.production.hosts` in /shop/fixture-guard.toml"),
        (
            "postgres://app@localhost/billing",
            "`environments.production.databases` in /shop/fixture-guard.toml",
        ),
        ("postgres://app@elsewhere.internal/x", "`environments` in /shop/fixture-guard.toml"),
        ("postgres://app@localhost/x", "`hosts` of the attribute at tests/fixtures.rs:12:1"),
        ("postgres://app@localhost/x", "`databases` of the attribute at tests/fixtures.rs:12:1"),
        ("postgres://app@localhost/x", "`environment` of the attribute at tests/fixtures.rs:12:1"),
    ] {
        let page = page(&file, dsn, Some(&NARROWED), &[]);
        assert!(page.contains(&format!("rule: {rule}\n")), "{rule} is not in:\n{page}");
    }
}
