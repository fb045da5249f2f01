//! Scans a directory: `cargo run --release -p fixture-guard-coverage --example scan -- [--all] DIRECTORY`.
use fixture_guard_coverage::Scan;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let everywhere = arguments.iter().any(|argument| argument == "--all");
    arguments.retain(|argument| argument != "--all");
    let start = std::time::Instant::now();
    let report = Scan::of(arguments.first().map_or(".", |root| root)).everywhere(everywhere).run()?;
    let took = start.elapsed();
    for finding in &report.findings {
        println!(
            "{}:{}:{}: {} [{}] {} in {} by {}{}",
            finding.file.display(), finding.line, finding.column, finding.kind.name(), finding.tables.join(", "),
            finding.statement, finding.function.as_deref().unwrap_or("-"), finding.call,
            finding.text.as_ref().map_or(String::new(), |text| format!(" ({}:{})", text.file.display(), text.line)),
        );
    }
    for stray in &report.stray { println!("{}:{}: {}", stray.file.display(), stray.line, stray.flaw); }
    for skipped in &report.skipped { println!("skipped {}: {}", skipped.file.display(), skipped.reason); }
    println!("{} findings, {} allowed, {} files, {} lines, {took:?}", report.findings.len(), report.allowed.len(), report.files, report.lines);
    Ok(())
}
