//! Scans a folder: `cargo run --release -p fixture-guard-coverage --example scan -- [--all] [--json] FOLDER`.

use std::io;

use fixture_guard_coverage::{Colour, Format, Scan};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (mut folder, mut everywhere, mut format) = (".".to_owned(), false, Format::Human);
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--all" => everywhere = true,
            "--json" => format = Format::Json,
            _ => folder = argument,
        }
    }
    let report = Scan::of(folder).everywhere(everywhere).run()?;
    report.write(format, Colour::Plain, &mut io::stdout().lock())?;
    Ok(())
}
