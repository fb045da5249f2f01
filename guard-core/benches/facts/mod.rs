//! What the benchmarks judge.

use fixture_guard_core::{Environment, Policy, Surroundings, Target};

/// Environments `0` to `19`; every fourth is protected; only `18` fits the target.
pub(crate) fn policy() -> Policy {
    (0..20).fold(Policy::new(), |policy, number| {
        let name = format!("environment-{number}");
        let environment =
            if number % 4 == 3 { Environment::protected(&name) } else { Environment::destructive(&name) };
        let environment = (0..20).fold(environment, |environment, pattern| {
            environment.host(&format!("*-{number}-{pattern}-staging*.internal")).unwrap()
        });
        policy.environment(environment).unwrap()
    })
}

pub(crate) fn target(dsn: &str) -> Target {
    Target::from_postgres_dsn(dsn).unwrap().0
}

pub(crate) fn surroundings() -> Surroundings {
    [("APP_ENV", "test"), ("DATABASE_URL", "postgres://app@db/app"), ("PROD_DB_URL", "postgres://app@db/app")]
        .into_iter()
        .collect()
}
