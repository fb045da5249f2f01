//! Why there is no server.

use std::{error::Error, fmt};

/// Why a server could not be had, and what to do about it.
#[derive(Clone, Debug)]
pub struct Unavailable(String);

impl Unavailable {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    /// `doing`, and everything that is known about why it failed: Docker's errors hide the cause behind a general first
    /// sentence.
    pub(crate) fn because(doing: &str, error: &dyn Error) -> Self {
        let mut message = format!("{doing}: {error}");
        let mut cause = error.source();
        while let Some(error) = cause {
            let detail = error.to_string();
            if !message.contains(&detail) {
                message = format!("{message}: {detail}");
            }
            cause = error.source();
        }
        Self(message)
    }
}

impl fmt::Display for Unavailable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Error for Unavailable {}
