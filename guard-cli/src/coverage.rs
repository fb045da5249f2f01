//! `fixture-guard coverage`: which code could destroy a database unguarded.

use fixture_guard_coverage::{Colour, Format as Written, Scan};

use crate::arguments::{CoverageArguments, Format};
use crate::ending::{Ending, Problem};
use crate::output;

pub(crate) fn run(arguments: &CoverageArguments) -> Result<Ending, Problem> {
    let scan = Scan::of(&arguments.path).everywhere(arguments.all);
    let report = scan.run().map_err(|error| Problem::unknown(described(&error)))?;
    let format = match arguments.format {
        Format::Human => Written::Human,
        Format::Json => Written::Json,
        Format::Sarif => Written::Sarif,
        Format::Github => Written::Github,
    };
    let mut page = Vec::new();
    // colours are taken away again where no terminal is
    let written = report.write(format, Colour::Ansi, &mut page);
    written.map_err(|error| Problem::unknown(format!("the report cannot be written: {error}")))?;
    output::result(&String::from_utf8_lossy(&page))?;
    if report.files == 0 && !report.skipped.is_empty() {
        return Err(Problem::unknown("no file could be read, so that nothing is known of this code"));
    }
    // a gate in the wrong directory would stand open for ever
    if report.files == 0 && arguments.deny {
        let found =
            format!("there is no Rust file below {}, so that nothing was checked", arguments.path.display());
        return Err(
            Problem::unknown(found).help("name the directory of the workspace, as in `coverage path --deny`")
        );
    }
    Ok(if arguments.deny && !report.is_clean() { Ending::Refused } else { Ending::Fine })
}

/// An error, and what the system said.
fn described(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
