//! What a verdict costs: `cargo bench -p fixture-guard-core --bench judge --features mysql,sqlite`.
//!
//! The policy has 20 environments with 20 patterns each. A verdict must take less than 5 µs, and a hostile DSN of
//! 1 MB about ten times as long as one of 100 kB.

mod facts;

use std::hint::black_box;

use divan::{AllocProfiler, Bencher};
use facts::{policy, surroundings, target};
use fixture_guard_core::{Facts, Target, judge};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

#[divan::bench(args = [
    "postgres://app@storefront-18-19-staging-db.internal/app_test",
    "postgres://app@storefront-unknown-staging-db.internal/app_test",
    "postgres://app@prod-pg-cluster.internal:5432/storefront",
])]
fn verdict(bencher: Bencher, dsn: &str) {
    let (policy, target, surroundings) = (policy(), target(dsn), surroundings());
    let facts = Facts {
        target: &target,
        surroundings: &surroundings,
        narrowing: None,
        addresses: None,
        identity: None,
    };
    bencher.bench(|| judge(black_box(&policy), black_box(&facts)));
}

#[divan::bench]
fn reading_a_dsn() -> Target {
    target(black_box("postgres://app:secret@storefront-18-19-staging-db.internal/app_test?sslmode=disable"))
}

/// Shapes that a careless reading takes quadratic time for.
#[divan::bench(args = ["at signs", "percent signs", "slashes", "hosts", "parameters", "unknown parameters", "letters"],
               consts = [100_000, 1_000_000], sample_count = 10, sample_size = 1)]
fn hostile<const LENGTH: usize>(bencher: Bencher, shape: &str) {
    let dsn = hostile_dsn(shape, LENGTH);
    let (policy, surroundings) = (policy(), surroundings());
    bencher.bench(|| {
        let Ok((target, _)) = Target::from_postgres_dsn(black_box(&dsn)) else { return 0 };
        let facts = Facts {
            target: &target,
            surroundings: &surroundings,
            narrowing: None,
            addresses: None,
            identity: None,
        };
        judge(&policy, &facts).map_or_else(|reasons| reasons.len(), |_| 0)
    });
}

fn hostile_dsn(shape: &str, length: usize) -> String {
    let mut dsn = String::from("postgres://app@db-staging/app");
    let mut number = 0;
    while dsn.len() < length {
        let mark = if number == 0 { '?' } else { '&' };
        let piece = match shape {
            "at signs" => "@".to_owned(),
            "percent signs" => "%25".to_owned(),
            "slashes" => "/..".to_owned(),
            "hosts" => format!("{mark}host=db{number}-staging"),
            "parameters" => format!("{mark}options=-cx.y{number}%3Dproduct"),
            "unknown parameters" => format!("{mark}x{number}=y{number}"),
            _ => "p".to_owned(),
        };
        dsn += &piece;
        number += 1;
    }
    dsn
}
