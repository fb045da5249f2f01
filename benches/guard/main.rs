//! What the guard costs, on a real PostgreSQL: `cargo bench --bench guard`.
//!
//! It starts clusters of its own with the machine's `initdb` and `postgres`, one with its data on disk and one in
//! memory, compares each guarded thing with what people do without it, and writes `BENCHMARKS.md` and
//! `benches/scale.svg`.
//!
//! - `-- --quick` takes a fifth of the rounds, says what it found, and writes nothing.
//! - `-- --only a,c` measures only these sections, and writes nothing.

mod cases;
mod cluster;
mod fixtures;
mod plot;
mod report;
mod sides;
mod sqlx_test;

use std::fs;
use std::path::Path;

use cases::Rounds;
use cluster::{Cluster, Result};
use report::Report;
use sqlx::ConnectOptions;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == sqlx_test::ARGUMENT) {
        return sqlx_test::child();
    }
    let quick = arguments.iter().any(|argument| argument == "--quick");
    let only =
        arguments.iter().position(|argument| argument == "--only").and_then(|at| arguments.get(at + 1));
    tokio::runtime::Runtime::new()?.block_on(run(quick, only.map(String::as_str)))
}

async fn run(quick: bool, only: Option<&str>) -> Result<()> {
    let rounds = Rounds(if quick { 30 } else { 150 });
    let large = if quick { 1_000_000 } else { 10_000_000 };
    let wanted = |section: char| only.is_none_or(|only| only.contains(section));
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut report = Report::new();
    let mut server = String::new();
    let mut series = None;
    for (medium, parent) in [("disk", std::env::temp_dir()), ("tmpfs", "/dev/shm".into())] {
        if !parent.is_dir() {
            println!("{medium} is left out: there is no {}", parent.display());
            continue;
        }
        let cluster = Cluster::start(medium, &parent).await?;
        if server.is_empty() {
            let mut admin = cluster.superuser("postgres").connect().await?;
            server = sqlx::query_scalar("SELECT 'PostgreSQL ' || current_setting('server_version')")
                .fetch_one(&mut admin)
                .await?;
        }
        if wanted('a') {
            cases::fixtures(&mut report, &cluster, rounds).await?;
        }
        if wanted('b') {
            cases::tests(&mut report, &cluster, rounds).await?;
        }
        if wanted('c') {
            cases::resets(&mut report, &cluster, rounds).await?;
        }
        if wanted('d') {
            let measured = cases::scale(&mut report, &cluster, rounds).await?;
            if medium == "disk" {
                cases::memory(&mut report, &cluster).await?;
            }
            series.get_or_insert(measured);
        }
        if wanted('e') && medium == "disk" {
            cases::budget(&mut report, &cluster, large, rounds).await?;
        }
    }
    if quick || only.is_some() {
        return Ok(());
    }
    report.write(
        root,
        &server,
        &format!("{} for what takes a millisecond, down to {}", rounds.0, rounds.0 / 15),
    )?;
    if let Some(series) = series {
        fs::write(root.join("benches/scale.svg"), plot::svg(&series))?;
    }
    println!("\nwritten: BENCHMARKS.md and benches/scale.svg");
    Ok(())
}
