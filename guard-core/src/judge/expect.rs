//! Whether a target *is* one environment: another question than whether it may be destroyed.

use crate::marker::Marker;
use crate::policy::{Destruction, Environment, Policy};
use crate::reason::{Code, Reason, Rule};
use crate::target::{Endpoint, Shown};

use super::{Facts, Misfit, addresses, misfits, named_production, protected, server, spelling, words};

/// Whether the target is the environment `expected`, which may be a protected one.
///
/// A deployment asks this before it changes anything: the job that deploys to production must hold production's DSN,
/// and not staging's. It is as strict as [`judge`](super::judge()), and asks for no permission to destroy:
///
/// - every fact that the environment states must match, its marker included once the server was asked, and it must
///   state where it is: a name of a database is the same in many places;
/// - no other environment may match as well, and the database's own marker may name no other;
/// - a spelling that clients read differently is no environment's, and neither is a connection that something forwards
///   unless a fact of the server vouches for it;
/// - production words and facts of other protected environments refuse, unless it is production that is expected.
///
/// ```
/// use fixture_guard_core::{Environment, Facts, Policy, Surroundings, Target, expect};
///
/// let policy = Policy::new()
///     .environment(Environment::destructive("staging").host("*-staging*")?)?
///     .environment(Environment::protected("production").host("prod-*")?)?;
/// let is = |dsn, environment| {
///     let (target, _) = Target::from_postgres_dsn(dsn).unwrap();
///     let surroundings = &Surroundings::default();
///     let facts = Facts { target: &target, surroundings, narrowing: None, addresses: None, identity: None };
///     expect(&policy, &facts, environment).is_ok()
/// };
/// assert!(is("postgres://app@prod-pg.internal/shop", "production"));
/// assert!(!is("postgres://app@db-staging.internal/shop", "production"));
/// assert!(!is("postgres://app@prod-pg.internal/shop", "staging"));
/// # Ok::<(), fixture_guard_core::PolicyError>(())
/// ```
///
/// # Errors
///
/// Every reason why it is not, or why that cannot be known, in the order of their codes; never an empty list.
pub fn expect(policy: &Policy, facts: &Facts<'_>, expected: &str) -> Result<(), Vec<Reason>> {
    let mut reasons = Vec::new();
    spelling(facts, &mut reasons);
    let Some(environment) = policy.environments.iter().find(|known| known.name == expected) else {
        reasons.push(not_expected(
            policy.rule_at("environments"),
            format!("the policy has no environment `{}`", Shown(expected)),
        ));
        return Err(reasons);
    };
    if !is_production(policy, environment) {
        words(policy, facts, &mut reasons);
        named_production(policy, facts, &mut reasons);
        protected(policy, facts, Some(&environment.name), &mut reasons);
    }
    addresses(policy, facts, &mut reasons);
    process(policy, facts, environment, &mut reasons);
    if !facts.target.concealed {
        reasons.extend(recognise(policy, facts, environment));
    }
    if let Some(identity) = facts.identity {
        server::same_server(policy, facts, environment, identity, &mut reasons);
    }
    if reasons.is_empty() {
        return Ok(());
    }
    reasons.sort_by_key(Reason::code);
    Err(reasons)
}

/// What speaks for production in a target that somebody wants to declare disposable: its words, the facts of protected
/// environments, variables that name it, and its own marker. Pure.
#[doc(hidden)]
#[must_use]
pub fn signs_of_production(policy: &Policy, facts: &Facts<'_>) -> Vec<Reason> {
    let mut reasons = Vec::new();
    words(policy, facts, &mut reasons);
    named_production(policy, facts, &mut reasons);
    protected(policy, facts, None, &mut reasons);
    addresses(policy, facts, &mut reasons);
    if facts.identity.is_some_and(|identity| identity.system_identifier.is_none())
        && let Some(known) = policy
            .environments
            .iter()
            .find(|known| known.destruction == Destruction::Refused && !known.system_identifiers.is_empty())
    {
        reasons.push(Reason::new(
            Code::IdentityUnknown,
            policy.rule(known, "system_identifiers"),
            "the session's role may not read which cluster this is",
            "grant it EXECUTE on pg_control_system()",
        ));
    }
    if let Some(marker) = facts.identity.and_then(Marker::of)
        && (server::is_protected(policy, &marker) || !is_disposable(policy, &marker))
    {
        reasons.push(Reason::new(
            Code::MarkerElsewhere,
            Rule::built_in("a database's own marker counts"),
            format!("the database says that it is `{}`", Shown(marker.environment())),
            "believe it; or, if it is a restored copy that may be destroyed, mark it anew",
        ));
    }
    reasons.sort_by_key(Reason::code);
    reasons
}

/// Whether a marker names an environment that this policy knows, and lets be destroyed.
fn is_disposable(policy: &Policy, marker: &Marker) -> bool {
    let named = policy.environments.iter().find(|known| known.name == marker.environment());
    named.is_some_and(|named| named.destruction == Destruction::Allowed)
}

/// Whether an environment calls itself production, so that the word is no surprise in its targets.
fn is_production(policy: &Policy, environment: &Environment) -> bool {
    let says = |text: &str| policy.words.is_named_production(text);
    environment.destruction == Destruction::Refused
        && (says(&environment.name) || environment.texts().any(|(_, text)| says(text)))
}

/// Every stated fact that the target does not have, and every other environment that it fits as well.
fn recognise(policy: &Policy, facts: &Facts<'_>, environment: &Environment) -> Vec<Reason> {
    if facts.target.endpoint == Endpoint::Memory {
        let found = "a database in memory belongs to this process and to no environment".to_owned();
        return vec![not_expected(policy.rule_at("environments"), found)];
    }
    let mut reasons: Vec<Reason> = misfits_of(policy, environment, facts)
        .map(|misfit| not_expected(policy.rule(environment, misfit.key), misfit.describe()))
        .collect();
    let asked = |environment: &Environment| facts.identity.is_some() || !known_by_cluster(environment);
    if !asked(environment) {
        reasons.push(Reason::new(
            Code::IdentityUnknown,
            policy.rule(environment, "system_identifiers"),
            format!("`{}` is known by its cluster alone, and the server was not asked", environment.name),
            "ask the server, or state `hosts` for the environment",
        ));
        return reasons;
    }
    // a place that is another's too is no proof, if only a name of a database or a user keeps the other one out: that
    // may be misspelt
    let tells = |misfit: &Misfit<'_>| match misfit.key {
        "databases" => environment.databases.is_empty(),
        "users" => environment.users.is_empty(),
        _ => false,
    };
    let fits = |other: &&Environment| {
        other.name != environment.name
            && asked(other)
            && misfits_of(policy, other, facts).all(|misfit| tells(&misfit))
    };
    for other in policy.environments.iter().filter(fits) {
        reasons.push(if reasons.is_empty() {
            Reason::new(
                Code::SeveralEnvironments,
                policy.rule_at("environments"),
                format!("the target fits both `{}` and `{}`", environment.name, other.name),
                "state a fact in one of them that the other has not",
            )
        } else {
            let found = format!("the target is recognised as the environment `{}`", other.name);
            not_expected(policy.rule_at("environments"), found)
        });
    }
    reasons
}

/// Whether an environment states no place, so that only its cluster tells it: the server has to be asked.
fn known_by_cluster(environment: &Environment) -> bool {
    environment.hosts.is_empty()
        && environment.sockets.is_empty()
        && environment.networks.is_empty()
        && !environment.system_identifiers.is_empty()
}

/// The facts that `environment` states and the target does not have, wherever it is if it states no place.
fn misfits_of<'a>(
    policy: &'a Policy,
    environment: &'a Environment,
    facts: &Facts<'a>,
) -> impl Iterator<Item = Misfit<'a>> + use<'a> {
    let anywhere = known_by_cluster(environment);
    misfits(policy, environment, facts)
        .filter(move |misfit| !(anywhere && matches!(misfit.key, "hosts" | "sockets")))
}

/// A process that says it belongs to another environment: one of the two is wrong.
fn process(policy: &Policy, facts: &Facts<'_>, environment: &Environment, reasons: &mut Vec<Reason>) {
    for (name, value) in facts.surroundings.declared(&policy.process_variables) {
        let says = |known: &&Environment| {
            known.process.as_ref().is_some_and(|process| process.eq_ignore_ascii_case(value))
        };
        let mut owners = policy.environments.iter().filter(says).peekable();
        let Some(owner) = owners.peek().copied() else { continue };
        if owners.all(|owner| owner.name != environment.name) {
            reasons.push(Reason::new(
                Code::ProcessElsewhere,
                policy.rule(owner, "process"),
                format!(
                    "{name} says `{}`, which belongs to the environment `{}`, and `{}` is expected",
                    Shown(value),
                    owner.name,
                    environment.name
                ),
                "run the job in the environment that it is for, or correct the variable",
            ));
        }
    }
}

fn not_expected(rule: Rule, found: String) -> Reason {
    Reason::new(
        Code::NotExpected,
        rule,
        found,
        "give this job the DSN of the environment that it expects; if that is what it has, describe it in \
         fixture-guard.toml",
    )
}

#[cfg(test)]
mod tests;
