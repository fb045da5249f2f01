//! What the process's own environment says about a run.

use std::path::Path;

use fixture_guard_core::{Environment, Facts, Policy, Surroundings, Target, judge};

fn policy() -> Policy {
    let mut staging = Environment::destructive("staging");
    for host in ["*-staging*", "localhost", "127.*", "::1"] {
        staging = staging.host(host).unwrap();
    }
    Policy::new().harmless_word("preprod").environment(staging.socket("/run/*").unwrap()).unwrap()
}

fn reasons(policy: &Policy, dsn: &str, variables: &[(&str, &str)]) -> Vec<String> {
    let surroundings: Surroundings = variables.iter().copied().collect();
    let (target, _) = Target::from_postgres_dsn(dsn).unwrap();
    let facts = Facts {
        target: &target,
        surroundings: &surroundings,
        narrowing: None,
        addresses: None,
        identity: None,
    };
    judge(policy, &facts).map_or_else(|reasons| reasons.iter().map(ToString::to_string).collect(), |_| vec![])
}

const STAGING: &str = "postgres://app@db-staging.internal/shop";

#[track_caller]
fn refuses(code: &str, dsn: &str, variable: (&str, &str)) {
    let reasons = reasons(&policy(), dsn, &[variable]);
    assert!(reasons.iter().any(|reason| reason.starts_with(code)), "{variable:?}: {reasons:?}");
}

#[track_caller]
fn allows(dsn: &str, variable: (&str, &str)) {
    assert_eq!(reasons(&policy(), dsn, &[variable]), [] as [String; 0], "{variable:?}");
}

#[test]
fn a_process_in_production_is_refused_however_it_says_so() {
    for variable in [
        ("APP_ENV", "production"),
        ("app_env", "Production"),
        ("RAILS_ENV", "prod"),
        ("NODE_ENV", "production "),
        ("ENV", "\"production\""),
        ("ENVIRONMENT", "Production (EU)"),
        ("RAILWAY_ENVIRONMENT", "production"),
        ("CI_ENVIRONMENT_NAME", "production"),
        ("CI_ENVIRONMENT_TIER", "production"),
        ("SPRING_PROFILES_ACTIVE", "cloud,prod"),
        ("ASPNETCORE_ENVIRONMENT", "Production"),
    ] {
        refuses("FG006", STAGING, variable);
    }
    for variable in [
        ("APP_ENV", ""),
        ("APP_ENV", "preprod"),
        ("ENV", "/etc/prod/shrc"),
        ("VIRTUAL_ENV", "prod"),
        ("NODE_ENV", "test"),
        ("PRODUCT_ENV", "staging"),
        ("HOSTNAME", "prod-1"),
    ] {
        allows(STAGING, variable);
    }
}

#[test]
fn what_a_variable_names_production_is_production() {
    for (name, value, dsn) in [
        ("PRODUCTION_DATABASE_URL", "postgres://root:x@localhost:5432/shop", "postgres://app@127.0.0.1/shop"),
        ("PROD_DB_URL", "postgres://app@127.0.0.1/shop", "postgres://app@[::1]/shop"),
        ("PROD_DB_URL", "postgres://app@0.0.0.0/shop", "postgres://app@localhost/shop"),
        ("LIVE_DSN", "postgresql://app@localhost/sh%6Fp", "postgres://app@localhost:5432/shop"),
        ("PROD_URL", "postgres://shop@localhost", "postgres://app@localhost/shop"),
        ("PROD_URL", "postgres:///shop?host=/run/postgresql", "postgres://app@localhost/shop"),
        ("PROD_URL", "postgres://app@localhost/shop", "postgres:///shop?host=/run/postgresql"),
        ("PROD_URL", "postgres://app@a,DB-staging.internal/shop", STAGING),
        ("PROD_URL", "postgres://app@db/shop?host=db-staging.internal", STAGING),
        // an unescaped password, as other clients take it
        ("PROD_URL", "postgres://app:a#b/c@db-staging.internal/shop", STAGING),
        ("PROD_URL", "postgres://app:1/c@db-staging.internal/shop", STAGING),
        ("PROD_URL", "jdbc:postgresql://db-staging.internal:5432/shop?user=app&password=x", STAGING),
        ("PROD_URL", "postgresql+asyncpg://app@db-staging.internal/shop", STAGING),
        ("PROD_URL", " \"postgres://app@db-staging.internal/shop\"\n", STAGING),
    ] {
        refuses("FG009", dsn, (name, value));
    }
    for (name, value) in [
        ("DATABASE_URL", STAGING),
        ("PREPROD_DATABASE_URL", STAGING),
        ("PRODUCT_DATABASE_URL", STAGING),
        ("PROD_DB_URL", "postgres://app@db-main.internal/shop"),
        ("PROD_DB_URL", "postgres://app@db-staging.internal/other"),
        ("PROD_DB_URL", "postgres://app@db-staging.internal:5433/shop"),
        ("PROD_DB_URL", "postgres://<user>@<host>/<database>"),
        ("PROD_URL", "https://shop.example/"),
    ] {
        allows(STAGING, (name, value));
    }
}

#[test]
fn a_team_s_own_word_counts_in_the_names_of_variables() {
    let policy = policy().production_word("primary");
    assert_eq!(reasons(&policy, STAGING, &[("PRIMARY_DATABASE_URL", STAGING)]).len(), 1);
}

#[test]
#[should_panic(expected = "`db-primary` is not one word of letters, and would mark nothing")]
fn a_word_that_would_never_be_found_is_not_taken() {
    let _policy = policy().production_word("db-primary");
}

/// The incident at `ShopLite`: a production build loaded the credentials of staging. And the other way round.
fn tied() -> Policy {
    let text = "
        [process]
        variables = [\"SHOP_TIER\"]

        [environments.local]
        destructive = true
        hosts = [\"localhost\"]

        [environments.staging]
        destructive = true
        hosts = [\"*-staging*\"]
        process = \"staging\"

        [environments.main]
        hosts = [\"db-main\"]
        process = \"main\"
    ";
    Policy::parse(text, Path::new("fixture-guard.toml")).unwrap()
}

const LOCAL: &str = "postgres://app@localhost/shop";

#[test]
fn a_process_may_touch_only_the_environment_that_it_declares() {
    for (dsn, variables) in [
        (STAGING, &[("APP_ENV", "staging")] as &[_]),
        (STAGING, &[("APP_ENV", "Staging")]),
        (STAGING, &[("SHOP_TIER", "staging"), ("NODE_ENV", "test"), ("NEXTEST_PROFILE", "ci")]),
        (LOCAL, &[]),
        (LOCAL, &[("APP_ENV", "development")]),
    ] {
        assert_eq!(reasons(&tied(), dsn, variables), [] as [String; 0], "{dsn} {variables:?}");
    }
    let pages: Vec<String> = [
        // a process of main with the credentials of staging
        (STAGING, &[("APP_ENV", "main")] as &[_]),
        (STAGING, &[("APP_ENV", "staging"), ("SHOP_TIER", "main")]),
        (STAGING, &[("APP_ENV", "staging"), ("SHOP_TIER", "qa")]),
        // one that does not say what it is
        (STAGING, &[]),
        (STAGING, &[("NODE_ENV", "test")]),
        // a process of staging or of main with the credentials of another
        (LOCAL, &[("APP_ENV", "staging")]),
        (LOCAL, &[("APP_ENV", "main")]),
        ("postgres://app@db-main/shop", &[("APP_ENV", "staging")]),
    ]
    .iter()
    .map(|(dsn, variables)| {
        format!("{dsn} {variables:?}\n  {}\n", reasons(&tied(), dsn, variables).join("\n  "))
    })
    .collect();
    let page = pages.join("\n");
    insta::assert_snapshot!(page);
}
