//! Random bodies against the guard: `cargo run --release --example random_bodies -- --minutes 10`.
//!
//! PostgreSQL, and PgBouncer with `--pooled`, are started here, in Docker or from this machine's installation, and end by
//! themselves.

mod campaign;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use campaign::{Campaign, Failure, Shape};
use fixture_guard_test_support as support;

const HELP: &str = "\
Run random bodies behind the guard and compare every row before and after.

Usage: cargo run --release --example random_bodies -- [OPTIONS]

Options:
  --minutes N      stop after N minutes [default: 10]
  --bodies N       stop after N bodies
  --seed N         begin with this seed [default: the time]
  --nested         nest each run in `begin` or in another fixture
  --pooled         put PgBouncer with two server sessions in front of the server
  --only N         run body N alone
  --steps A,B      with --only: run these of its statements alone
  --ignore KIND    pass over this kind of finding; can be given more than once
  --keep-going     do not stop at a finding; count the kinds
  --no-shrink      do not look for a smaller body
  --help           print this text

Kinds: changed, undeclared, budget, count, name, nothing-written, next-user, stale, server-session, escaped, unknown,
hang, panic.

Exit codes: 0 without a finding, 1 with one, 2 for an option that does not exist.
";

#[derive(Default)]
struct Options {
    minutes: u64,
    bodies: Option<u64>,
    seed: u64,
    shape: Shape,
    only: Option<u64>,
    steps: Option<Vec<usize>>,
    ignored: Vec<String>,
    keeps_going: bool,
    no_shrink: bool,
}

impl Options {
    /// `None` if the help was asked for.
    fn read(mut arguments: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut options = Self { minutes: 10, seed: now.as_secs(), ..Self::default() };
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
            let number = |text: String| text.parse::<u64>().map_err(|error| format!("{text}: {error}"));
            match argument.as_str() {
                "--minutes" => options.minutes = number(value()?)?,
                "--bodies" => options.bodies = Some(number(value()?)?),
                "--seed" => options.seed = number(value()?)?,
                "--only" => options.only = Some(number(value()?)?),
                "--steps" => {
                    let list = value()?;
                    let steps: Result<Vec<usize>, _> =
                        list.split(',').filter(|step| !step.is_empty()).map(str::parse).collect();
                    options.steps =
                        Some(steps.map_err(|error: std::num::ParseIntError| format!("{list}: {error}"))?);
                }
                "--ignore" => options.ignored.push(value()?),
                "--nested" => options.shape.nested = true,
                "--pooled" => options.shape.pooled = true,
                "--keep-going" => options.keeps_going = true,
                "--no-shrink" => options.no_shrink = true,
                "--help" | "-h" => return Ok(None),
                _ => return Err(format!("{argument} is not an option")),
            }
        }
        Ok(Some(options))
    }

    /// The command that shows a failure again.
    fn replay(&self, failure: &Failure) -> String {
        let steps: Vec<_> = failure.steps.iter().map(ToString::to_string).collect();
        let nested = if self.shape.nested { " --nested" } else { "" };
        let pooled = if self.shape.pooled { " --pooled" } else { "" };
        format!(
            "cargo run --release --example random_bodies -- --seed {} --only {} --steps {}{nested}{pooled}",
            self.seed,
            failure.number,
            steps.join(",")
        )
    }
}

fn main() -> ExitCode {
    let options = match Options::read(std::env::args().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("random_bodies: {error}; see --help");
            return ExitCode::from(2);
        }
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(run(&options))
}

async fn run(options: &Options) -> ExitCode {
    eprintln!("random_bodies: seed {}", options.seed);
    let mut campaign = Campaign::new(options.seed, options.shape).await;
    let mut kinds = BTreeMap::<&str, u32>::new();
    let since = Instant::now();
    let mut said = since;
    let limit = Duration::from_mins(options.minutes);
    let numbers = match options.only {
        Some(only) => only..only + 1,
        None => 0..options.bodies.unwrap_or(u64::MAX),
    };
    let mut done = 0;
    for number in numbers {
        if since.elapsed() >= limit {
            break;
        }
        if let Err(failure) = campaign.run(number, options.steps.as_deref()).await {
            let count = kinds.entry(failure.finding.kind).or_default();
            *count += 1;
            let ignored = options.ignored.iter().any(|kind| *kind == failure.finding.kind);
            if !ignored {
                let failure = if options.no_shrink { failure } else { campaign.shrink(failure).await };
                println!("body {number}: {failure}\n  replay: {}\n", options.replay(&failure));
                if !options.keeps_going {
                    return ExitCode::FAILURE;
                }
            }
        }
        done += 1;
        if said.elapsed() >= Duration::from_secs(10) {
            said = Instant::now();
            let seconds = since.elapsed().as_secs_f64();
            eprintln!(
                "random_bodies: {done} bodies in {seconds:.0} s ({:.1} a second): {}; findings: {kinds:?}",
                f64::from(done) / seconds,
                campaign.endings
            );
        }
    }
    println!(
        "random_bodies: {done} bodies, seed {}: {}; findings: {kinds:?}",
        options.seed, campaign.endings
    );
    if kinds.keys().any(|kind| !options.ignored.iter().any(|ignored| ignored == kind)) {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
