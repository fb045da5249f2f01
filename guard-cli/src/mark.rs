//! `fixture-guard mark`: what a database says that it is.

mod plan;

use std::future::Future;
use std::time::Duration;

use fixture_guard_core::__private::{Inspection, describe, inspect, look_up, signs_of_production};
use fixture_guard_core::{Code, Destruction, Facts, Marker, Policy, Reason, Surroundings, judge, marker};

use crate::arguments::MarkArguments;
use crate::ask::{Answer, ask};
use crate::check::runtime;
use crate::ending::{Ending, Problem};
use crate::source::{Missing, Source};
use crate::{output, policy, source};
use plan::{Change, Plan};

/// How the server sees this session.
const APPLICATION: &str = "fixture-guard mark";

/// As the guard's own questions; `ALTER DATABASE` may have to wait for somebody who drops or renames it.
const LIMIT: Duration = Duration::from_secs(9);

/// SQLSTATE `insufficient_privilege`.
const DENIED: &str = "42501";

pub(crate) fn run(arguments: &MarkArguments) -> Result<Ending, Problem> {
    let policy = policy::read(&arguments.policy).map_err(|error| Problem::from(Reason::from(&error)))?;
    if let Some(environment) = &arguments.environment {
        if policy.file().is_none() {
            let found = format!("no policy says what `{}` is", environment.escape_debug());
            return Err(Problem::unknown(found)
                .help("write a fixture-guard.toml first, by hand or with `fixture-guard init`"));
        }
        policy::known(&policy, environment)?;
    }
    let source = source::read(&arguments.target, None).map_err(|missing| match missing {
        Missing::Invalid(reason) => Problem::from(reason),
        Missing::Problem(problem) => problem,
    })?;
    let runtime = runtime()?;
    let done = runtime.block_on(marked(arguments, &policy, &source));
    runtime.shutdown_background();
    done
}

async fn marked(arguments: &MarkArguments, policy: &Policy, source: &Source) -> Result<Ending, Problem> {
    let Some(options) = &source.options else {
        return Err(Problem::unknown("only PostgreSQL can keep a marker, and this is another database"));
    };
    let addresses = look_up(policy, &source.target).await;
    let facts = Facts {
        target: &source.target,
        surroundings: Surroundings::of_process(),
        narrowing: None,
        addresses: addresses.as_ref(),
        identity: None,
    };
    refuse_another(policy, &facts)?;
    output::note(&format!("asking {}", source.target));
    let mut inspection = inspect(options, APPLICATION).await?;
    let identity = inspection.identity().clone();
    let facts = Facts { identity: Some(&identity), ..facts };
    refuse_another(policy, &facts)?;

    let change = match &arguments.environment {
        _ if arguments.show => return show(&Plan::new(policy, &facts, Change::None)),
        None => Change::Remove,
        Some(environment) => {
            Change::Write(Marker::new(environment, identity.system_identifier.ok_or_else(cluster)?))
        }
    };
    let disposable = match &change {
        Change::Write(marker) => is_disposable(policy, marker.environment()),
        // without its marker a database is protected by less
        Change::Remove => true,
        Change::None => false,
    };
    let plan = Plan::new(policy, &facts, change);
    output::note(&plan.to_string());
    let signs = if disposable { signs_of_production(policy, &facts) } else { Vec::new() };
    refuse_production(arguments, &plan, &signs)?;
    if plan.changes_nothing() {
        output::result("nothing to do: the database says so already\n")?;
        return Ok(Ending::Fine);
    }
    if !arguments.yes {
        match ask(plan.question()) {
            Answer::Yes => {}
            Answer::No => return Err(Problem::refused("nothing was written")),
            Answer::NobodyThere => {
                return Err(Problem::unknown("nothing was written: there is nobody to ask")
                    .help("read what would be written, and say `--yes`"));
            }
        }
    }
    let login = identity.login_role.as_str();
    let result = carry_out(&mut inspection, plan.change(), login).await;
    inspection.close().await;
    output::result(&result?)?;
    Ok(Ending::Fine)
}

/// A target that clients read differently, or a server that is another one than was dialled.
fn refuse_another(policy: &Policy, facts: &Facts<'_>) -> Result<(), Problem> {
    let reasons = judge(policy, facts).err().unwrap_or_default();
    let another = |reason: &&Reason| matches!(reason.code(), Code::Ambiguous | Code::ConnectedElsewhere);
    match reasons.iter().find(another) {
        Some(reason) => {
            Err(Problem::refused(format!("nothing was asked or written: {reason}")).help(reason.help()))
        }
        None => Ok(()),
    }
}

fn is_disposable(policy: &Policy, environment: &str) -> bool {
    let is = |known: &&fixture_guard_core::Environment| known.name() == environment;
    let known = policy.environments().iter().find(is);
    known.is_none_or(|known| known.destruction() == Destruction::Allowed)
}

fn cluster() -> Problem {
    Problem::unknown(
        "this role may not execute pg_control_system(), so that the marker could not name the cluster",
    )
    .help("GRANT EXECUTE ON FUNCTION pg_control_system() to it, or log in as the server's administrator")
}

fn show(plan: &Plan) -> Result<Ending, Problem> {
    output::result(&plan.to_string())?;
    Ok(Ending::Fine)
}

/// Where something says production, the target must have been spelled out; and whoever spells another one out is at
/// the wrong database.
fn refuse_production(arguments: &MarkArguments, plan: &Plan, signs: &[Reason]) -> Result<(), Problem> {
    match &arguments.i_know_this_is {
        Some(spelled) if *spelled == plan.spelled_out() => Ok(()),
        Some(_) => Err(Problem::refused("nothing was written: `--i-know-this-is` names another database")
            .help("compare host and database with what is shown above, letter by letter")),
        None if signs.is_empty() => Ok(()),
        None => {
            let signs: Vec<String> = signs.iter().map(|sign| format!("\n  {sign}")).collect();
            Err(Problem::refused(format!("nothing was written: this looks like production{}", signs.concat())).help(
                "if tests may destroy it all the same, spell it out: `--i-know-this-is HOST/DATABASE`, as shown above",
            ))
        }
    }
}

/// Writes, and reads what is stored.
async fn carry_out(inspection: &mut Inspection, change: &Change, login: &str) -> Result<String, Problem> {
    let connection = inspection.connection();
    match change {
        Change::Write(wanted) => {
            bounded(login, marker::write(connection, wanted.environment())).await?;
        }
        Change::Remove => bounded(login, marker::remove(connection)).await?,
        Change::None => {}
    }
    let stored = bounded(login, marker::read(connection)).await?;
    match (change, stored) {
        (Change::Write(wanted), Some(stored)) if stored == *wanted => {
            Ok(format!("the database says that it is `{stored}`, from the next session on\n"))
        }
        (Change::Remove, None) => Ok("the database does not say any more what it is\n".to_owned()),
        (_, stored) => {
            let stored = stored.map_or_else(|| "nothing".to_owned(), |stored| format!("`{stored}`"));
            Err(Problem::unknown(format!("another marker is stored than was written: {stored}"))
                .help("somebody else may be at it; look with `fixture-guard mark --show`"))
        }
    }
}

async fn bounded<T>(login: &str, answer: impl Future<Output = sqlx::Result<T>>) -> Result<T, Problem> {
    let error = match tokio::time::timeout(LIMIT, answer).await {
        Ok(Ok(answer)) => return Ok(answer),
        Ok(Err(error)) => error,
        Err(_) => {
            return Err(Problem::unknown(format!("the server did not answer within {LIMIT:?}"))
                .help("whether it was written is not known: look with `fixture-guard mark --show`"));
        }
    };
    let state = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    let problem = Problem::unknown(format!("nothing was written: {}", describe(&error)));
    Err(if state.as_deref() == Some(DENIED) {
        problem.help(format!(
            "what a database is, its administrator says: log in as a superuser, or, from PostgreSQL 15 on, as the \
             database's owner after GRANT SET ON PARAMETER {} TO {login}",
            Marker::NAME
        ))
    } else {
        problem.help("mend what the server reports")
    })
}
