//! Asks the person at the terminal.

use std::io::{IsTerminal, Write};

/// An answer, or nobody to give one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Yes,
    No,
    NobodyThere,
}

/// Asks on standard error, and takes nothing but `y` and `yes` for a yes.
pub(crate) fn ask(question: &str) -> Answer {
    if !std::io::stdin().is_terminal() {
        return Answer::NobodyThere;
    }
    let mut stderr = anstream::stderr();
    drop(write!(stderr, "{question} [y/N] ").and_then(|()| stderr.flush()));
    let mut line = String::new();
    match std::io::stdin().read_line(&mut line) {
        Ok(_) if ["y", "yes"].contains(&line.trim().to_ascii_lowercase().as_str()) => Answer::Yes,
        _ => Answer::No,
    }
}
