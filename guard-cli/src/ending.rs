//! How the program ends, and why it could not go on.

use std::process::ExitCode;

use fixture_guard_core::Reason;

/// What the exit code says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// 0.
    Fine,
    /// 1: refused, or something was found.
    Refused,
    /// 2: could not tell.
    Unknown,
}

impl Ending {
    pub(crate) fn code(self) -> ExitCode {
        ExitCode::from(match self {
            Self::Fine => 0,
            Self::Refused => 1,
            Self::Unknown => 2,
        })
    }
}

/// Why the program stopped before it had a result. It shows nothing of a DSN.
#[derive(Debug)]
pub(crate) struct Problem {
    ending: Ending,
    found: String,
    help: Option<String>,
}

impl Problem {
    /// Nothing can be said.
    pub(crate) fn unknown(found: impl Into<String>) -> Self {
        Self { ending: Ending::Unknown, found: found.into(), help: None }
    }

    /// It is known, and the answer is no.
    pub(crate) fn refused(found: impl Into<String>) -> Self {
        Self { ending: Ending::Refused, ..Self::unknown(found) }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(crate) fn ending(&self) -> Ending {
        self.ending
    }

    pub(crate) fn found(&self) -> &str {
        &self.found
    }

    pub(crate) fn advice(&self) -> Option<&str> {
        self.help.as_deref()
    }
}

/// What the guard could not learn.
impl From<Reason> for Problem {
    fn from(reason: Reason) -> Self {
        Self::unknown(reason.to_string()).help(reason.help())
    }
}
