//! One line for each run. Pure: what stands in it, and nothing of files.

use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

#[cfg(feature = "schema")]
use schemars::transform::{RecursiveTransform, Transform};
use serde::Serialize;

use crate::damage::Damage;
use crate::database::RunEnding;
use crate::error::{Broken, Error, Outcome};
use crate::identity::Identity;
use crate::reason::Reason;
use crate::refusal::Subject;
use crate::target::Target;

/// One run of a fixture, or one transaction that a test began itself.
///
/// No field can hold a password: the target has none, and settings that the server stores are left out.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(title = "A line of fixture-guard's journal"))]
pub(crate) struct Line<'a> {
    /// When the run began, as in RFC 3339, in UTC.
    time: String,
    /// The version of fixture-guard.
    guard: &'static str,
    /// The number of the process.
    process: u32,
    /// The fixture's name; null for a transaction that was begun without one.
    fixture: Option<&'static str>,
    /// Where the attribute stands: file, line and column.
    place: Option<String>,
    /// Where it was called.
    called: Option<String>,
    /// Where the driver connects; null if the DSN or the policy could not be read.
    target: Option<String>,
    /// The environment of the policy that the target was recognised as.
    environment: Option<&'a str>,
    /// What the server said about itself; null if it was not asked, or did not answer.
    identity: Option<Known<'a>>,
    /// Whether the run was refused, before the body or after.
    verdict: Verdict,
    /// Every reason against it.
    reasons: Vec<Against<'a>>,
    /// How far the body came.
    body: Body,
    /// What became of the body's work.
    outcome: RunEnding,
    /// What the body did, table by table, whether it was kept or not; null if nobody could be asked.
    damage: Option<&'a Damage>,
    /// What broke the run off, if something did.
    found: Option<&'a str>,
    /// Who held locks on tables of this database when a body had failed after five seconds or more: it may have waited
    /// for one of them.
    holders: Option<&'a str>,
    /// The transaction's id where the outcome is unknown: `pg_xact_status` tells.
    transaction: Option<&'a str>,
    /// How long the run took.
    milliseconds: u64,
    /// Whether nothing was to be kept (`FIXTURE_GUARD=rehearse`, or `on_success = "rollback"`).
    rehearsal: bool,
    /// What the policy loosens, each in a few words.
    loosenings: &'a [String],
}

/// What the server said about itself.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct Known<'a> {
    database: &'a str,
    login_role: &'a str,
    effective_role: &'a str,
    superuser: bool,
    server_address: Option<IpAddr>,
    server_port: Option<u16>,
    /// The cluster's own number, as a string of digits: it does not fit the numbers of every JSON reader.
    system_identifier: Option<String>,
    cluster_name: &'a str,
    /// As `server_version_num`.
    version: u32,
    in_recovery: bool,
    /// Other client sessions on this database.
    other_sessions: u64,
}

/// Whether the run was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    Cleared,
    Refused,
}

/// One reason against a run.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct Against<'a> {
    /// As `FG001`; it stays the same over releases.
    code: &'static str,
    /// What was found.
    found: &'a str,
    /// The rule, and where it stands.
    rule: String,
}

/// How far a body came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub(crate) enum Body {
    NotRun,
    Succeeded,
    Failed,
    /// It panicked, or its future was dropped.
    Unfinished,
}

/// What is known of a run when it ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts<'a> {
    pub(crate) began: SystemTime,
    pub(crate) took: Duration,
    pub(crate) subject: Subject,
    pub(crate) target: Option<&'a Target>,
    pub(crate) environment: Option<&'a str>,
    pub(crate) identity: Option<&'a Identity>,
    pub(crate) loosenings: &'a [String],
    pub(crate) rehearsal: bool,
    pub(crate) body: Body,
    pub(crate) outcome: RunEnding,
    pub(crate) damage: Option<&'a Damage>,
    pub(crate) error: Option<&'a Error>,
    pub(crate) holders: Option<&'a str>,
    /// The transaction, if the run ended between `COMMIT` and its answer.
    pub(crate) committing: Option<&'a str>,
}

impl Facts<'_> {
    pub(crate) fn reasons(&self) -> &[Reason] {
        self.error.and_then(Error::refusal).map_or(&[], |refusal| refusal.reasons())
    }

    pub(crate) fn verdict(&self) -> Verdict {
        if self.reasons().is_empty() { Verdict::Cleared } else { Verdict::Refused }
    }

    pub(crate) fn found(&self) -> Option<&str> {
        self.error.and_then(Error::broken).map(Broken::found)
    }

    pub(crate) fn milliseconds(&self) -> u64 {
        u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX)
    }

    /// The run as a line, without its end.
    pub(crate) fn line(&self) -> String {
        let lost = match self.error.and_then(Error::broken).map(Broken::outcome) {
            Some(Outcome::Unknown { transaction }) => Some(transaction.as_str()),
            _ => self.committing,
        };
        let line = Line {
            time: humantime::format_rfc3339_millis(self.began).to_string(),
            guard: env!("CARGO_PKG_VERSION"),
            process: std::process::id(),
            fixture: self.subject.fixture.map(|(name, _)| name),
            place: self.subject.fixture.map(|(_, place)| place.to_string()),
            called: self.subject.called.map(|place| place.to_string()),
            target: self.target.map(ToString::to_string),
            environment: self.environment,
            identity: self.identity.map(Known::from),
            verdict: self.verdict(),
            reasons: self.reasons().iter().map(Against::from).collect(),
            body: self.body,
            outcome: self.outcome,
            damage: self.damage,
            found: self.found(),
            holders: self.holders,
            transaction: lost,
            milliseconds: self.milliseconds(),
            rehearsal: self.rehearsal,
            loosenings: self.loosenings,
        };
        // strings, numbers and lists of them: nothing that could fail, and nothing that could break the line
        serde_json::to_string(&line).unwrap_or_default()
    }
}

impl<'a> From<&'a Identity> for Known<'a> {
    fn from(identity: &'a Identity) -> Self {
        Self {
            database: &identity.database,
            login_role: &identity.login_role,
            effective_role: &identity.effective_role,
            superuser: identity.superuser,
            server_address: identity.server_address,
            server_port: identity.server_port,
            system_identifier: identity.system_identifier.map(|identifier| identifier.to_string()),
            cluster_name: &identity.cluster_name,
            version: identity.version,
            in_recovery: identity.in_recovery,
            other_sessions: identity.other_sessions,
        }
    }
}

impl<'a> From<&'a Reason> for Against<'a> {
    fn from(reason: &'a Reason) -> Self {
        Self { code: reason.code().as_str(), found: reason.found(), rule: reason.rule().to_string() }
    }
}

/// What a person reads after a rehearsal: fixture, target, damage.
pub(crate) struct Rehearsed<'a>(pub(crate) &'a Facts<'a>);

impl fmt::Display for Rehearsed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "fixture-guard rehearsed {}; nothing was kept", self.0.subject)?;
        if let Some(called) = self.0.subject.called {
            writeln!(f, "  called at {called}")?;
        }
        if let Some(target) = self.0.target {
            writeln!(f, "  target:   {target}")?;
        }
        let damage = self.0.damage.map_or_else(|| "could not be asked about".to_owned(), ToString::to_string);
        writeln!(f, "  damage:   {}", damage.replace('\n', "\n            "))
    }
}

/// The JSON Schema of a line of the journal.
///
/// ```
/// assert_eq!(fixture_guard_core::journal_schema()["type"], "object");
/// ```
#[cfg(feature = "schema")]
#[must_use]
pub fn schema() -> serde_json::Value {
    let mut schema = schemars::schema_for!(Line<'static>);
    RecursiveTransform(without_example).transform(&mut schema);
    schema.into()
}

/// A type's documentation is its description here, but for its example in Rust, with which it ends.
#[cfg(feature = "schema")]
fn without_example(schema: &mut schemars::Schema) {
    if let Some(serde_json::Value::String(description)) = schema.get_mut("description")
        && let Some(example) = description.find("\n\n```")
    {
        description.truncate(example);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Fixture, Place};

    fn facts(subject: Subject) -> Facts<'static> {
        Facts {
            began: SystemTime::UNIX_EPOCH,
            took: Duration::from_millis(1_234),
            subject,
            target: None,
            environment: None,
            identity: None,
            loosenings: &[],
            rehearsal: false,
            body: Body::NotRun,
            outcome: RunEnding::Refused,
            damage: None,
            error: None,
            holders: None,
            committing: None,
        }
    }

    #[test]
    fn a_line_is_one_line_whatever_the_names_hold() {
        let place = Place::new("tests/a\nb.rs", 3, 1, None);
        let line = facts(Fixture::new("reset_db", place).subject(Some(place))).line();

        assert!(!line.contains('\n'), "{line}");
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(read["time"], "1970-01-01T00:00:00.000Z");
        assert_eq!(read["milliseconds"], 1_234);
        assert_eq!(read["place"], "tests/a\nb.rs:3:1");
    }
}
