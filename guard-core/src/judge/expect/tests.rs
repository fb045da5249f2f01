use super::*;
use crate::{Addresses, Identity, Surroundings, Target};

const PRODUCTION: &str = "postgres://app@prod-pg-cluster.internal:5432/storefront";
const STAGING: &str = "postgres://app@storefront-staging-db.internal:5432/storefront";

fn policy() -> Policy {
    let staging = Environment::destructive("staging").host("*-staging*").unwrap().process("staging");
    let production = Environment::protected("production").host("prod-*").unwrap();
    let staging = staging.database("storefront").unwrap();
    Policy::new().environment(staging).unwrap().environment(production).unwrap()
}

fn target(dsn: &str) -> Target {
    Target::from_postgres_dsn(dsn).unwrap().0
}

fn identity(of: &Target) -> Identity {
    serde_json::from_value(serde_json::json!({
        "database": of.database(),
        "login_role": of.user(),
        "effective_role": of.user(),
        "superuser": false,
        "server_address": "10.20.0.5",
        "server_port": 5432,
        "client_address": "10.20.0.9",
        "cluster_name": "",
        "version": 150_018,
        "in_recovery": false,
        "search_path": "public",
        "owner": "app",
        "comment": null,
        "stored_settings": null,
        "other_sessions": 0,
    }))
    .unwrap()
}

/// The codes of the reasons why `dsn` is not `expected`.
fn against(policy: &Policy, dsn: &str, expected: &str, surroundings: &Surroundings) -> Vec<&'static str> {
    let target = target(dsn);
    let facts = Facts { target: &target, surroundings, narrowing: None, addresses: None, identity: None };
    codes(expect(policy, &facts, expected))
}

fn connected(
    policy: &Policy,
    dsn: &str,
    expected: &str,
    change: impl FnOnce(&mut Identity),
) -> Vec<&'static str> {
    let target = target(dsn);
    let mut identity = identity(&target);
    change(&mut identity);
    let surroundings = &Surroundings::default();
    let identity = Some(&identity);
    let hosts = target.hosts().map(|host| (host.clone(), Ok(vec!["10.20.0.5".parse().unwrap()]))).collect();
    let addresses = Some(&Addresses { hosts, own: None });
    let facts = Facts { target: &target, surroundings, narrowing: None, addresses, identity };
    codes(expect(policy, &facts, expected))
}

fn codes(verdict: Result<(), Vec<Reason>>) -> Vec<&'static str> {
    match verdict {
        Ok(()) => Vec::new(),
        Err(reasons) => {
            assert!(!reasons.is_empty(), "a no has a reason");
            reasons.iter().map(|reason| reason.code().as_str()).collect()
        }
    }
}

fn mark(identity: &mut Identity, marker: &str) {
    identity.stored_settings.push(crate::StoredSetting {
        setting: format!("{}={marker}", Marker::NAME),
        of_database: true,
        of_role: false,
    });
}

#[test]
fn each_job_gets_its_own_environment_and_no_other() {
    let nothing = Surroundings::default();
    let is = |dsn, expected| against(&policy(), dsn, expected, &nothing);
    assert!(is(PRODUCTION, "production").is_empty());
    assert!(is(STAGING, "staging").is_empty());
    assert_eq!(is(STAGING, "production"), ["FG015", "FG015"], "the host, and that it is staging");
    let refused = is(PRODUCTION, "staging");
    assert!(["FG002", "FG003", "FG015"].iter().all(|code| refused.contains(code)), "{refused:?}");
}

#[test]
fn the_same_database_name_in_the_wrong_place_is_not_production() {
    let production = Environment::protected("production").database("storefront").unwrap();
    let policy = Policy::new().environment(production).unwrap();
    let refused = against(&policy, STAGING, "production", &Surroundings::default());
    assert_eq!(refused, ["FG015"], "an environment without a place is not recognised by a name");
}

#[test]
fn every_stated_fact_of_production_must_match() {
    let production = Environment::protected("production").host("prod-*").unwrap();
    let production = production.database("storefront").unwrap().user("deploy").unwrap();
    let policy = Policy::new().environment(production).unwrap();
    let nothing = Surroundings::default();
    assert_eq!(against(&policy, PRODUCTION, "production", &nothing), ["FG015"], "another user");
    let deploy = "postgres://deploy@prod-pg-cluster.internal/storefront";
    assert!(against(&policy, deploy, "production", &nothing).is_empty());
    let reporting = "postgres://deploy@prod-pg-cluster.internal/reporting";
    assert_eq!(against(&policy, reporting, "production", &nothing), ["FG015"], "another database");
}

#[test]
fn a_spelling_that_clients_read_differently_is_no_environments() {
    for dsn in [
        "postgres://app@prod-pg-cluster.internal/storefront#x",
        "postgres://app@prod-a.internal,prod-b.internal/storefront",
        "postgres://app@prod-pg-cluster.internal/storefront?service=staging",
        "http://app@prod-pg-cluster.internal/storefront",
    ] {
        let refused = against(&policy(), dsn, "production", &Surroundings::default());
        assert!(refused.contains(&"FG007"), "{dsn}: {refused:?}");
    }
    let redirected = "postgres://app@prod-pg-cluster.internal/storefront?host=storefront-staging-db.internal";
    let refused = against(&policy(), redirected, "production", &Surroundings::default());
    assert!(refused.contains(&"FG015"), "the driver obeys the parameter: {refused:?}");
}

#[test]
fn a_production_word_surprises_in_every_environment_but_production() {
    let shared = Environment::protected("shared").host("*.internal").unwrap();
    let policy = Policy::new().environment(shared).unwrap();
    let nothing = Surroundings::default();
    assert_eq!(against(&policy, PRODUCTION, "shared", &nothing), ["FG002"]);
    assert!(against(&policy, STAGING, "shared", &nothing).is_empty());
}

#[test]
fn a_target_that_fits_two_environments_is_neither() {
    let wide = Environment::protected("production").host("*.internal").unwrap();
    let staging = Environment::destructive("staging").host("*-staging*").unwrap();
    let policy = Policy::new().environment(wide).unwrap().environment(staging).unwrap();
    let nothing = Surroundings::default();
    assert_eq!(against(&policy, STAGING, "production", &nothing), ["FG005"]);
    assert_eq!(against(&policy, STAGING, "staging", &nothing), ["FG003", "FG005"]);
    assert!(against(&policy, PRODUCTION, "production", &nothing).is_empty());
}

#[test]
fn a_process_of_another_environment_is_refused_and_a_strangers_word_is_not() {
    let says = |value: &str| Surroundings::from_iter([("APP_ENV", value)]);
    assert_eq!(against(&policy(), PRODUCTION, "production", &says("staging")), ["FG008"]);
    for value in ["production", "ci", "test"] {
        let refused = against(&policy(), PRODUCTION, "production", &says(value));
        assert!(refused.is_empty(), "{value}: {refused:?}");
    }
    assert!(against(&policy(), STAGING, "staging", &says("staging")).is_empty());
}

#[test]
fn an_unknown_environment_is_no() {
    assert_eq!(against(&policy(), STAGING, "stagign", &Surroundings::default()), ["FG015"]);
}

#[test]
fn a_name_that_was_not_looked_up_is_not_in_a_network() {
    let production = Environment::protected("production").network("10.20.0.0/16").unwrap();
    let policy = Policy::new().environment(production).unwrap();
    let refused = against(&policy, PRODUCTION, "production", &Surroundings::default());
    assert_eq!(refused, ["FG010", "FG015"]);
    let in_it = target("postgres://app@10.20.0.5/storefront");
    let surroundings = &Surroundings::default();
    let none = Addresses::default();
    let addresses = Some(&none);
    let facts = Facts { target: &in_it, surroundings, narrowing: None, addresses, identity: None };
    assert_eq!(codes(expect(&policy, &facts, "production")), ["FG015"], "a look-up that found nothing");
    assert!(codes(expect(&policy, &Facts { addresses: None, ..facts }, "production")).is_empty());
}

#[test]
fn an_environment_that_is_known_by_its_cluster_needs_the_servers_word() {
    let production = Environment::protected("production").system_identifier(7);
    let other = Environment::protected("archive").system_identifier(8);
    let policy = Policy::new().environment(production).unwrap().environment(other).unwrap();
    let wide =
        policy.clone().environment(Environment::destructive("wide").host("*.internal").unwrap()).unwrap();
    for policy in [&policy, &wide] {
        let unknown = against(policy, STAGING, "production", &Surroundings::default());
        assert_eq!(unknown, ["FG021"], "nothing is known, and so nothing speaks against it");
    }
    assert!(connected(&policy, STAGING, "production", |it| it.system_identifier = Some(7)).is_empty());
    let elsewhere = connected(&policy, STAGING, "production", |it| it.system_identifier = Some(8));
    assert_eq!(elsewhere, ["FG015", "FG015"], "another cluster, which is the archive's");
    assert_eq!(
        connected(&policy, STAGING, "production", |_| ()),
        ["FG015"],
        "a cluster that may not be read"
    );
}

#[test]
fn the_connected_server_must_be_the_one_that_was_dialled() {
    assert!(connected(&policy(), PRODUCTION, "production", |_| ()).is_empty());
    let alias = connected(&policy(), PRODUCTION, "production", |it| it.database = "staging".to_owned());
    assert_eq!(alias, ["FG020"]);
    let tunnel = connected(&policy(), PRODUCTION, "production", |it| it.server_port = Some(6432));
    assert_eq!(tunnel, ["FG022"], "something forwards, and no fact of the server vouches for it");
}

#[test]
fn the_databases_own_marker_counts_and_production_may_carry_its_own() {
    let marked = |marker: &'static str| {
        connected(&policy(), PRODUCTION, "production", move |it| {
            it.system_identifier = Some(7);
            mark(it, marker);
        })
    };
    assert!(marked("production@7").is_empty());
    assert_eq!(marked("staging@7"), ["FG026"]);
    assert_eq!(marked("production@8"), ["FG027"], "a dump carried it here");

    let required =
        Environment::protected("production").host("prod-*").unwrap().marker(crate::MarkerRule::Required);
    let policy = Policy::new().environment(required).unwrap();
    assert_eq!(connected(&policy, PRODUCTION, "production", |_| ()), ["FG025"]);
}

#[test]
fn a_standby_of_production_is_production() {
    assert!(connected(&policy(), PRODUCTION, "production", |it| it.in_recovery = true).is_empty());
}

#[test]
fn signs_of_production_are_words_facts_markers_and_variables() {
    let policy = policy();
    let nothing = Surroundings::default();
    let signs = |dsn: &str, surroundings: &Surroundings, marker: Option<&str>| {
        let target = target(dsn);
        let mut identity = identity(&target);
        if let Some(marker) = marker {
            mark(&mut identity, marker);
        }
        let identity = Some(&identity);
        let facts = Facts { target: &target, surroundings, narrowing: None, addresses: None, identity };
        codes(match signs_of_production(&policy, &facts) {
            signs if signs.is_empty() => Ok(()),
            signs => Err(signs),
        })
    };
    assert!(signs(STAGING, &nothing, None).is_empty());
    assert!(signs(STAGING, &nothing, Some("staging@7")).is_empty());
    assert_eq!(signs(PRODUCTION, &nothing, None), ["FG002", "FG003"]);
    assert_eq!(signs(STAGING, &nothing, Some("production@7")), ["FG026"]);
    assert_eq!(signs(STAGING, &nothing, Some("live@7")), ["FG026"], "also one that the policy does not know");
    let named = Surroundings::from_iter([("PRODUCTION_DATABASE_URL", STAGING)]);
    assert_eq!(signs(STAGING, &named, None), ["FG009"]);
}

#[test]
fn a_fact_of_another_protected_environment_refuses_unless_production_is_expected() {
    // as a first policy drafts it: staging is protected until somebody has looked
    let staging = Environment::protected("staging").host("db-stg.internal").unwrap().host("10.20.*").unwrap();
    let main = Environment::protected("main").host("main-*").unwrap().network("10.20.0.0/16").unwrap();
    let policy = Policy::new().environment(staging).unwrap().environment(main).unwrap();
    let nothing = Surroundings::default();
    assert_eq!(against(&policy, "postgres://app@10.20.0.5/shop", "staging", &nothing), ["FG003"]);

    let wide = Environment::protected("staging").host("*.internal").unwrap();
    let main = Environment::protected("main").host("main-db.internal").unwrap().database("shop").unwrap();
    let policy = Policy::new().environment(wide).unwrap().environment(main).unwrap();
    let refused = against(&policy, "postgres://app@main-db.internal/other", "staging", &nothing);
    assert!(refused.contains(&"FG003"), "{refused:?}");
}

#[test]
fn a_variable_that_names_production_counts_against_every_other_environment() {
    let stg = Environment::protected("stg").host("db-stg.internal").unwrap();
    let policy = Policy::new().environment(stg).unwrap();
    let surroundings =
        [("PRODUCTION_DATABASE_URL", "postgres://app:x@db-stg.internal/shop")].into_iter().collect();
    assert_eq!(against(&policy, "postgres://app@db-stg.internal/shop", "stg", &surroundings), ["FG009"]);
}

#[test]
fn a_misspelt_database_makes_no_production_of_anothers_host() {
    let production = Environment::protected("production").host("*.corp").unwrap();
    let staging = Environment::destructive("staging").host("stg.corp").unwrap().database("shop").unwrap();
    let policy = Policy::new().environment(production).unwrap().environment(staging).unwrap();
    let nothing = Surroundings::default();
    for database in ["shop", "shop2"] {
        let dsn = format!("postgres://app@stg.corp/{database}");
        assert_eq!(against(&policy, &dsn, "production", &nothing), ["FG005"], "{dsn}");
    }
    assert!(against(&policy, "postgres://app@main.corp/shop", "production", &nothing).is_empty());
}

#[test]
fn what_says_that_it_is_not_production_excuses_no_word() {
    let preprod = Environment::protected("preprod-eu").host("*-eu.corp").unwrap();
    let policy = Policy::new().harmless_word("preprod").environment(preprod).unwrap();
    let nothing = Surroundings::default();
    assert!(against(&policy, "postgres://app@preprod-eu.corp/shop", "preprod-eu", &nothing).is_empty());
    let refused =
        against(&policy, "postgres://prod_app@main-eu.corp/shop_production", "preprod-eu", &nothing);
    assert!(refused.contains(&"FG002"), "{refused:?}");
}
