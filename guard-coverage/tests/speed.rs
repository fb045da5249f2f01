//! How long a large workspace takes: `cargo test --release -p fixture-guard-coverage --test speed -- --ignored --nocapture`.

use std::fmt::Write as _;
use std::fs;
use std::time::Instant;

use fixture_guard_coverage::Scan;

/// One module of a hundred lines, as tests of a shop have them; one statement in it is unguarded.
const MODULE: &str = include_str!("speed/module.rs");

#[test]
#[ignore = "a measurement: 100,000 lines"]
fn a_hundred_thousand_lines() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("tests")).unwrap();
    let per_file = 4;
    let modules = 100_000_usize.div_ceil(MODULE.lines().count() + 2);
    for file in 0..modules.div_ceil(per_file) {
        let mut text = String::new();
        for module in 0..per_file {
            writeln!(text, "mod m{module} {{\n{MODULE}}}").unwrap();
        }
        fs::write(folder.path().join(format!("tests/f{file}.rs")), text).unwrap();
    }
    let start = Instant::now();
    let report = Scan::of(folder.path()).run().unwrap();
    let took = start.elapsed();
    println!("{} lines in {} files: {took:?}", report.lines, report.files);
    if let Ok(status) = fs::read_to_string("/proc/self/status") {
        status.lines().filter(|line| line.starts_with("VmHWM")).for_each(|line| println!("{line}"));
    }
    assert!(report.lines >= 100_000);
    assert_eq!(report.findings.len(), report.files * per_file);
}
