//! How many instructions a verdict takes, counted by callgrind: no clock, so that CI can hold it against a limit.
//!
//! ```text
//! cargo bench --profile dev --workspace --bench instructions      # needs valgrind: `apt-get install valgrind`
//! ```
//!
//! It counts the build that tests use, without optimisation, since that is where the judge runs. A count above its
//! limit fails. Limits are the counts of rustc 1.95 on x86-64 with a quarter to spare, which another compiler may take.

mod facts;

use std::hint::black_box;
use std::process::{Command, ExitCode};

use facts::{policy, surroundings, target};
use fixture_guard_core::{Facts, judge};

/// The policy has 20 environments with 20 patterns each.
const CASES: [(&str, &str, u64); 3] = [
    ("allowed", "postgres://app@storefront-18-19-staging-db.internal/app_test", 590_000),
    ("refused", "postgres://app@storefront-unknown-staging-db.internal/app_test", 940_000),
    ("production", "postgres://app@prod-pg-cluster.internal:5432/storefront", 780_000),
];

/// The only function that callgrind looks at, by its name.
#[inline(never)]
fn counted_by_callgrind(verdict: impl FnOnce() -> bool) -> bool {
    verdict()
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [case] = &arguments[..]
        && let Some((_, dsn, _)) = CASES.iter().find(|(name, ..)| name == case)
    {
        judge_once(dsn);
        return ExitCode::SUCCESS;
    }
    let mut exit = ExitCode::SUCCESS;
    for (case, _, limit) in CASES {
        match count(case) {
            Ok(instructions) if instructions <= limit => {
                println!("{case}: {instructions} instructions, at most {limit}");
            }
            Ok(instructions) => {
                eprintln!("{case}: {instructions} instructions, more than {limit}");
                exit = ExitCode::FAILURE;
            }
            Err(error) => {
                eprintln!("{case}: {error}");
                exit = ExitCode::from(2);
            }
        }
    }
    exit
}

fn judge_once(dsn: &str) {
    let (policy, target, surroundings) = (policy(), target(dsn), surroundings());
    let facts = Facts {
        target: &target,
        surroundings: &surroundings,
        narrowing: None,
        addresses: None,
        identity: None,
    };
    let allowed = counted_by_callgrind(|| judge(black_box(&policy), black_box(&facts)).is_ok());
    let _ = black_box(allowed);
}

/// Runs this program again, for one case, under callgrind.
fn count(case: &str) -> Result<u64, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no"])
        .arg("--toggle-collect=*counted_by_callgrind*")
        .arg(program)
        .arg(case)
        .output()
        .map_err(|error| {
            format!("cannot run valgrind ({error}): install it with `apt-get install valgrind`")
        })?;
    let told = String::from_utf8_lossy(&output.stderr);
    let collected = told.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok());
    match collected {
        Some(0) | None => Err(format!("callgrind counted nothing:\n{told}")),
        Some(instructions) => Ok(instructions),
    }
}
