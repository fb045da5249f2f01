//! What will be written, and where.

use std::fmt;

use fixture_guard_core::{Code, Endpoint, Fact, FactSource, Facts, Marker, Policy, Reason, expect};

use crate::policy;

/// What is to become of the marker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    Write(Marker),
    Remove,
    None,
}

/// A change, and everything that a person has to see before it is made.
pub(super) struct Plan {
    target: String,
    database: String,
    policy: String,
    facts: Vec<Fact>,
    present: Option<Marker>,
    change: Change,
    spelled_out: String,
    /// Why the policy would not take the target for what it is to be marked as.
    doubts: Vec<Reason>,
}

impl Plan {
    pub(super) fn new(policy: &Policy, facts: &Facts<'_>, change: Change) -> Self {
        let mut doubts = Vec::new();
        if let Change::Write(marker) = &change {
            // what its present marker says does not count: it is replaced
            doubts = expect(policy, facts, marker.environment()).err().unwrap_or_default();
            doubts.retain(|reason| matches!(reason.code(), Code::NotExpected | Code::Forwarded));
        }
        let database = facts.identity.map_or(facts.target.database(), |identity| &identity.database);
        Self {
            target: facts.target.to_string(),
            database: format!("\"{}\"", database.replace('"', "\"\"")),
            policy: policy::place(policy),
            facts: facts.listed(policy),
            present: facts.identity.and_then(Marker::of),
            change,
            spelled_out: format!("{}/{database}", place(facts)),
            doubts,
        }
    }

    pub(super) fn change(&self) -> &Change {
        &self.change
    }

    /// Host and database, as whoever marks what looks like production must have written them.
    pub(super) fn spelled_out(&self) -> &str {
        &self.spelled_out
    }

    pub(super) fn changes_nothing(&self) -> bool {
        match &self.change {
            Change::Write(marker) => self.present.as_ref() == Some(marker),
            Change::Remove => self.present.is_none(),
            Change::None => true,
        }
    }

    pub(super) fn question(&self) -> &'static str {
        match &self.change {
            Change::Remove => "Remove the marker?",
            Change::Write(_) | Change::None => "Write it?",
        }
    }
}

/// The place that is dialled.
fn place<'a>(facts: &Facts<'a>) -> &'a str {
    match facts.target.endpoint() {
        Endpoint::Tcp { host: Ok(host), .. } => host.as_str(),
        Endpoint::Tcp { host: Err(spelled), .. } => spelled,
        Endpoint::Socket { path, .. } => path,
        _ => "",
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.target)?;
        writeln!(f, "  policy    {}", self.policy)?;
        let places = [FactSource::Target, FactSource::Resolver, FactSource::Server];
        for fact in self.facts.iter().filter(|fact| places.contains(&fact.source())) {
            writeln!(f, "  {:<9} {:<18} {}", fact.source().as_str(), fact.name(), fact.value())?;
        }
        match &self.change {
            Change::Write(marker) => {
                writeln!(
                    f,
                    "to be written: ALTER DATABASE {} SET {} = '{marker}'",
                    self.database,
                    Marker::NAME
                )?;
            }
            Change::Remove => {
                writeln!(f, "to be written: ALTER DATABASE {} RESET {}", self.database, Marker::NAME)?;
            }
            Change::None => {}
        }
        for doubt in &self.doubts {
            writeln!(f, "note: the policy does not take it for that: {} ({})", doubt.found(), doubt.rule())?;
        }
        Ok(())
    }
}
