//! Results go to standard output, everything else to standard error; colour where a terminal is, and `NO_COLOR` holds.

use std::ffi::OsString;
use std::io::{ErrorKind, Write};

use anstyle::{AnsiColor, Style};

use crate::ending::Problem;

pub(crate) const BOLD: Style = Style::new().bold();
pub(crate) const DIM: Style = Style::new().dimmed();
pub(crate) const GOOD: Style = AnsiColor::Green.on_default().bold();
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
pub(crate) const UNSURE: Style = AnsiColor::Yellow.on_default().bold();

/// Writes a result. A reader that has gone away, as `head` does, is no error.
pub(crate) fn result(text: &str) -> Result<(), Problem> {
    let mut stdout = anstream::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Problem::unknown(format!("the result cannot be written: {error}")))
        }
        _ => Ok(()),
    }
}

/// Says on standard error what takes a while, or what happens next.
pub(crate) fn note(text: &str) {
    // a closed standard error has no reader
    drop(writeln!(anstream::stderr(), "{text}"));
}

/// Says why there is no result.
pub(crate) fn problem(problem: &Problem) {
    let mut text = format!("{BAD}error:{BAD:#} {}", problem.found());
    if let Some(help) = problem.advice() {
        text.push_str("\n  help: ");
        text.push_str(help);
    }
    note(&text);
}

/// Whether a text may be a DSN, as a URL or as a list of keywords, and so may hold a password.
pub(crate) fn looks_like_a_dsn(text: &str) -> bool {
    // around the `=` of a keyword there may be spaces
    let keywords: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let keywords = keywords.to_ascii_lowercase();
    text.contains('@')
        || text.contains("://")
        || ["password=", "passwd=", "pwd="].iter().any(|keyword| keywords.contains(keyword))
}

/// Whether a message about the arguments repeats one that looks like a DSN.
pub(crate) fn may_hold_a_secret(message: &str, arguments: &[OsString]) -> bool {
    let arguments = arguments.iter().skip(1).map(|argument| argument.to_string_lossy());
    arguments.filter(|argument| looks_like_a_dsn(argument)).any(|argument| {
        let value = argument.split_once('=').map(|(_, value)| value.to_owned());
        message.contains(&*argument)
            || value.is_some_and(|value| !value.is_empty() && message.contains(&value))
    })
}
