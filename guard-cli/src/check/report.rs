//! The result of a check, before it is printed in one of the formats.

use std::path::PathBuf;

use fixture_guard_core::{Fact, Facts, Policy, Reason};

use crate::arguments::CheckArguments;
use crate::ending::Ending;
use crate::policy;

/// The result of a check.
pub(super) struct Report {
    pub(super) expected: Option<String>,
    /// `None` where the DSN or the policy cannot be read.
    pub(super) target: Option<String>,
    pub(super) policy: Option<PolicyPlace>,
    pub(super) facts: Vec<Fact>,
    pub(super) asked: Asked,
    pub(super) verdict: Verdict,
}

/// Where the policy stands.
pub(super) struct PolicyPlace {
    pub(super) shown: String,
    pub(super) file: Option<PathBuf>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It may be destroyed, or is what was expected: the environment's name.
    Yes(String),
    No(Vec<Reason>),
    Unknown(Vec<Reason>),
}

/// Whether the server was asked who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    Yes,
    /// What is known before is reason enough.
    NoNeed,
    /// `--offline`.
    Offline,
    /// It is no PostgreSQL.
    OtherDriver,
    NoAnswer,
    /// There is no target.
    Nobody,
}

impl Asked {
    pub(super) fn meaning(self) -> &'static str {
        match self {
            Self::Yes => "asked",
            Self::NoNeed => "not asked: no connection was opened, because of the reasons below",
            Self::Offline => "not asked: --offline",
            Self::OtherDriver => {
                "not asked: this program asks PostgreSQL only; --offline takes the DSN's word"
            }
            Self::NoAnswer => "asked, and it did not say who it is",
            Self::Nobody => "not asked: there is no target",
        }
    }
}

impl Report {
    pub(super) fn new(
        arguments: &CheckArguments,
        policy: &Policy,
        facts: &Facts<'_>,
        verdict: Verdict,
        asked: Asked,
    ) -> Self {
        Self {
            expected: arguments.expect.clone(),
            target: Some(facts.target.to_string()),
            policy: Some(PolicyPlace::of(policy)),
            facts: facts.listed(policy),
            asked,
            verdict,
        }
    }

    /// Of a check that could not begin.
    pub(super) fn without_target(
        arguments: &CheckArguments,
        policy: Option<&Policy>,
        reason: Reason,
    ) -> Self {
        Self {
            expected: arguments.expect.clone(),
            target: None,
            policy: policy.map(PolicyPlace::of),
            facts: Vec::new(),
            asked: Asked::Nobody,
            verdict: Verdict::Unknown(vec![reason]),
        }
    }

    pub(super) fn reasons(&self) -> &[Reason] {
        match &self.verdict {
            Verdict::Yes(_) => &[],
            Verdict::No(reasons) | Verdict::Unknown(reasons) => reasons,
        }
    }

    pub(super) fn ending(&self) -> Ending {
        match &self.verdict {
            Verdict::Yes(_) => Ending::Fine,
            Verdict::No(_) => Ending::Refused,
            Verdict::Unknown(_) => Ending::Unknown,
        }
    }

    /// The verdict as a sentence.
    pub(super) fn sentence(&self) -> String {
        match (&self.verdict, &self.expected) {
            (Verdict::Yes(environment), None) => {
                format!("this is `{environment}`, and tests may destroy it")
            }
            (Verdict::Yes(environment), Some(_)) => format!("this is `{environment}`"),
            (Verdict::No(_), None) => "tests must not destroy this".to_owned(),
            (Verdict::No(_), Some(expected)) => format!("this is not `{expected}`"),
            (Verdict::Unknown(_), None) => "could not tell whether tests may destroy this".to_owned(),
            (Verdict::Unknown(_), Some(expected)) => format!("could not tell whether this is `{expected}`"),
        }
    }
}

impl PolicyPlace {
    fn of(policy: &Policy) -> Self {
        Self { shown: policy::place(policy), file: policy.file().map(ToOwned::to_owned) }
    }
}
