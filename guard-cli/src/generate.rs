//! Completions and manual pages, made of the command line itself.

use clap::Command;
use clap_complete::Shell;

use crate::ending::{Ending, Problem};
use crate::output;

/// Prints a shell's completion script.
pub(crate) fn completions(shell: Shell, mut command: Command) -> Result<Ending, Problem> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "fixture-guard", &mut script);
    print(&script)
}

/// Prints the program's manual page, or a subcommand's.
pub(crate) fn man(named: Option<&str>, mut command: Command) -> Result<Ending, Problem> {
    // `build` gives the subcommands their full names
    command.build();
    let page = match named {
        None => command,
        Some(named) => {
            let found = command.get_subcommands().find(|known| known.get_name() == named).cloned();
            found.ok_or_else(|| {
                Problem::unknown(format!("there is no subcommand `{}`", named.escape_debug()))
            })?
        }
    };
    let mut rendered = Vec::new();
    clap_mangen::Man::new(page)
        .render(&mut rendered)
        .map_err(|error| Problem::unknown(format!("the page cannot be made: {error}")))?;
    print(&rendered)
}

fn print(bytes: &[u8]) -> Result<Ending, Problem> {
    output::result(&String::from_utf8_lossy(bytes)).map(|()| Ending::Fine)
}
