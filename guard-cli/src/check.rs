//! `fixture-guard check`: what the library would say about a target, before a suite or a deployment runs.

mod github;
mod human;
mod json;
mod report;
mod sarif;

use fixture_guard_core::__private::{inspect, look_up, not_asked};
use fixture_guard_core::{Code, Facts, Policy, Reason, Surroundings, expect, judge};
use tokio::runtime::{Builder, Runtime};

use crate::arguments::{CheckArguments, Format};
use crate::ending::{Ending, Problem};
use crate::source::{Missing, Source};
use crate::{output, policy, source};
use report::{Asked, Report, Verdict};

/// How the server sees this session.
pub(crate) const APPLICATION: &str = "fixture-guard check";

pub(crate) fn run(arguments: &CheckArguments) -> Result<Ending, Problem> {
    let report = examine(arguments)?;
    if let (Format::Human, None, Some(reason)) = (arguments.format, &report.target, report.reasons().first())
    {
        // there is no result to print
        return Err(Problem::from(reason.clone()));
    }
    let text = match arguments.format {
        Format::Human => human::render(&report),
        Format::Json => json::render(&report),
        Format::Sarif => sarif::render(&report),
        Format::Github => github::render(&report),
    };
    output::result(&text)?;
    Ok(report.ending())
}

/// A runtime for what has to wait. Whoever is done ends it without waiting for a resolver that does not answer.
pub(crate) fn runtime() -> Result<Runtime, Problem> {
    let built = Builder::new_current_thread().enable_all().build();
    built.map_err(|error| Problem::unknown(format!("the program cannot wait for a server: {error}")))
}

fn examine(arguments: &CheckArguments) -> Result<Report, Problem> {
    let policy = match policy::read(&arguments.policy) {
        Ok(policy) => policy,
        Err(error) => return Ok(Report::without_target(arguments, None, Reason::from(&error))),
    };
    if let Some(expected) = &arguments.expect {
        policy::known(&policy, expected)?;
    }
    let source = match source::read(&arguments.target, arguments.driver) {
        Ok(source) => source,
        Err(Missing::Invalid(reason)) => {
            return Ok(Report::without_target(arguments, Some(&policy), reason));
        }
        Err(Missing::Problem(problem)) => return Err(problem),
    };
    let runtime = runtime()?;
    let report = runtime.block_on(judged(arguments, &policy, &source));
    runtime.shutdown_background();
    Ok(report)
}

/// Judges what is known, asks the server if that is not enough, and judges again.
async fn judged(arguments: &CheckArguments, policy: &Policy, source: &Source) -> Report {
    let addresses = look_up(policy, &source.target).await;
    let known = Facts {
        target: &source.target,
        surroundings: Surroundings::of_process(),
        narrowing: None,
        addresses: addresses.as_ref(),
        identity: None,
    };
    let report = |facts, verdict, asked| Report::new(arguments, policy, facts, verdict, asked);
    let expected = arguments.expect.as_deref();

    let before = answer(expected, policy, &known);
    let options = match (&before, &source.options) {
        (Verdict::No(_), _) => return report(&known, before, Asked::NoNeed),
        (Verdict::Yes(environment), _) if arguments.offline => {
            let unasked = not_asked(policy, environment);
            let verdict = unasked.map_or(before, |reason| Verdict::Unknown(vec![reason]));
            return report(&known, verdict, Asked::Offline);
        }
        _ if arguments.offline => return report(&known, before, Asked::Offline),
        (_, None) => return report(&known, Verdict::Unknown(Vec::new()), Asked::OtherDriver),
        (_, Some(options)) => options,
    };
    if arguments.format == Format::Human {
        output::note(&format!("asking {}", source.target));
    }
    match inspect(options, APPLICATION).await {
        Err(reason) => report(&known, Verdict::Unknown(vec![reason]), Asked::NoAnswer),
        Ok(inspection) => {
            let identity = inspection.identity().clone();
            inspection.close().await;
            let facts = Facts { identity: Some(&identity), ..known };
            report(&facts, answer(expected, policy, &facts), Asked::Yes)
        }
    }
}

/// The library's verdict on what is known.
fn answer(expected: Option<&str>, policy: &Policy, facts: &Facts<'_>) -> Verdict {
    let verdict = match expected {
        None => judge(policy, facts).map(|clearance| clearance.environment().to_owned()),
        Some(expected) => expect(policy, facts, expected).map(|()| expected.to_owned()),
    };
    match verdict {
        Ok(environment) => Verdict::Yes(environment),
        // nothing speaks against it but that the server was not asked yet
        Err(reasons) if reasons.iter().all(|reason| reason.code() == Code::IdentityUnknown) => {
            Verdict::Unknown(reasons)
        }
        Err(reasons) => Verdict::No(reasons),
    }
}
