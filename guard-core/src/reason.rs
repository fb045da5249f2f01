//! One fact that speaks against a run.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::fixture::Place;
use crate::policy::PolicyError;
use crate::target::InvalidDsn;

/// One fact that speaks against a run: what was found, which rule it breaks, and what to do.
///
/// ```
/// # use fixture_guard_core as fixture_guard;
/// fn say(refusal: &fixture_guard::Refusal) {
///     for reason in refusal.reasons() {
///         println!("{} {} ({}): {}", reason.code(), reason.found(), reason.rule(), reason.help());
///     }
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    code: Code,
    found: String,
    rule: Rule,
    help: Cow<'static, str>,
}

impl Reason {
    pub(crate) fn new(
        code: Code,
        rule: Rule,
        found: impl Into<String>,
        help: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { code, found: found.into(), rule, help: help.into() }
    }

    /// The kind of reason, which stays the same over releases.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// use fixture_guard::{Code, Reason};
    ///
    /// fn is_about_production(reason: &Reason) -> bool {
    ///     matches!(reason.code(), Code::ProductionWord | Code::ProtectedEnvironment | Code::NamedProduction)
    /// }
    /// ```
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }

    /// What was found; lower case, without a full stop.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// fn first(refusal: &fixture_guard::Refusal) -> &str {
    ///     refusal.reasons()[0].found() // the host `prod-pg-cluster.internal` is not `*-staging*`
    /// }
    /// ```
    #[must_use]
    pub fn found(&self) -> &str {
        &self.found
    }

    /// The rule that was broken, and where it stands.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// use fixture_guard::{Reason, Rule};
    ///
    /// fn stands_in_code(reason: &Reason) -> bool {
    ///     matches!(reason.rule(), Rule::Attribute { .. } | Rule::Policy { file: None, .. })
    /// }
    /// ```
    #[must_use]
    pub fn rule(&self) -> &Rule {
        &self.rule
    }

    /// What to do.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// fn what_to_do(refusal: &fixture_guard::Refusal) -> Vec<&str> {
    ///     refusal.reasons().iter().map(fixture_guard::Reason::help).collect()
    /// }
    /// ```
    #[must_use]
    pub fn help(&self) -> &str {
        &self.help
    }
}

/// A DSN that the driver cannot parse.
impl From<&InvalidDsn> for Reason {
    fn from(invalid: &InvalidDsn) -> Self {
        Self::new(
            Code::InvalidDsn,
            Rule::built_in("the driver must be able to read the DSN"),
            invalid.to_string(),
            "write it as in postgres://user:password@host:5432/database, with the special characters of a password \
             percent-encoded",
        )
    }
}

/// A policy that cannot be one.
impl From<&PolicyError> for Reason {
    fn from(error: &PolicyError) -> Self {
        let key = error.place().map_or_else(|| "policy".to_owned(), |(file, _)| file.display().to_string());
        let rule = Rule::Policy { file: None, key };
        Self::new(Code::InvalidPolicy, rule, error.to_string(), error.help().to_owned())
    }
}

/// `FG001: host …`.
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.found)
    }
}

/// Where a rule stands.
///
/// ```
/// # use fixture_guard_core as fixture_guard;
/// use fixture_guard::{Reason, Rule};
///
/// fn key(reason: &Reason) -> Option<&str> {
///     match reason.rule() {
///         Rule::Policy { key, .. } => Some(key), // environments.staging.hosts
///         Rule::Attribute { option, .. } => Some(option),
///         _ => None,
///     }
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rule {
    /// Holds everywhere; no file switches it off.
    #[non_exhaustive]
    BuiltIn {
        /// The rule in a few words.
        name: &'static str,
    },
    /// A key of the policy.
    #[non_exhaustive]
    Policy {
        /// The file, or `None` for a policy that was built in code.
        file: Option<Arc<Path>>,
        /// As in `environments.staging.hosts`.
        key: String,
    },
    /// An option of the attribute.
    #[non_exhaustive]
    Attribute {
        /// Where the attribute stands.
        place: Place,
        /// As in `hosts`.
        option: &'static str,
    },
}

impl Rule {
    pub(crate) const fn built_in(name: &'static str) -> Self {
        Self::BuiltIn { name }
    }

    pub(crate) const fn attribute(place: Place, option: &'static str) -> Self {
        Self::Attribute { place, option }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn { name } => write!(f, "{name} (built in)"),
            Self::Policy { file: Some(file), key } => write!(f, "`{key}` in {}", file.display()),
            Self::Policy { file: None, key } => write!(f, "`{key}` of the policy in code"),
            Self::Attribute { place, option } => write!(f, "`{option}` of the attribute at {place}"),
        }
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $code:literal $name:ident,)*) => {
        /// The kind of a reason. The text (`FG001`) stays the same over releases and stands in every message.
        ///
        /// ```
        /// # use fixture_guard_core as fixture_guard;
        /// assert_eq!(fixture_guard::Code::ProductionWord.to_string(), "FG002");
        /// ```
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Code {
            $($(#[$doc])* #[doc = concat!("\n\nShown as `", $code, "`.")] $name,)*
        }

        impl Code {
            /// Every code, in order.
            ///
            /// ```
            /// # use fixture_guard_core as fixture_guard;
            /// assert!(fixture_guard::Code::ALL.contains(&fixture_guard::Code::Reach));
            /// ```
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// `FG001`.
            ///
            /// ```
            /// # use fixture_guard_core as fixture_guard;
            /// assert_eq!(fixture_guard::Code::Reach.as_str(), "FG040");
            /// ```
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)*
                }
            }
        }
    };
}

codes! {
    /// The place that would be dialled matches no allowed pattern.
    "FG001" PlaceNotAllowed,
    /// A word that marks production stands in the target.
    "FG002" ProductionWord,
    /// The target has a fact of an environment that does not allow destruction.
    "FG003" ProtectedEnvironment,
    /// The target fits no environment that allows destruction.
    "FG004" NoEnvironment,
    /// The target fits more than one environment.
    "FG005" SeveralEnvironments,
    /// An environment variable says that this process runs in production.
    "FG006" ProcessInProduction,
    /// The target is spelled so that clients or servers read it differently.
    "FG007" Ambiguous,
    /// The process's declared environment is not the target's.
    "FG008" ProcessElsewhere,
    /// An environment variable whose name says production names this very target.
    "FG009" NamedProduction,
    /// The name could not be resolved, so that rules about networks could not be asked.
    "FG010" Unresolved,
    /// The driver cannot parse the DSN.
    "FG011" InvalidDsn,
    /// The policy or the attribute cannot be read.
    "FG012" InvalidPolicy,
    /// The attribute allows other databases or another environment.
    "FG013" NotNamedByAttribute,
    /// The server could not be reached, or did not let us in.
    "FG014" NoConnection,
    /// The target is not the environment that was expected of it.
    "FG015" NotExpected,
    /// The server's answers do not fit the target that was judged.
    "FG020" ConnectedElsewhere,
    /// The server could not be asked who it is.
    "FG021" IdentityUnknown,
    /// Something between us and the server forwards the connection, and nothing on the server says where it ended.
    "FG022" Forwarded,
    /// The server is a standby.
    "FG023" Standby,
    /// The database's owner made it read-only.
    "FG024" ReadOnly,
    /// The marker that the policy wants is missing.
    "FG025" MarkerMissing,
    /// The server's marker names another environment.
    "FG026" MarkerElsewhere,
    /// The marker came from another cluster, with a dump.
    "FG027" MarkerCopied,
    /// The session is a superuser's, and the policy says that it must not be.
    "FG028" Superuser,
    /// More other sessions use the database than the policy lets.
    "FG029" OtherSessions,
    /// A fact that a rule needs cannot be read by this role.
    "FG030" Unreadable,
    /// The fixture's statements reach beyond what it declared.
    "FG040" Reach,
    /// A declared table does not exist.
    "FG050" MissingTable,
    /// The declared tables hold, or the body removed, more rows than declared.
    "FG051" TooManyRows,
    /// The body wrote to a table that was not declared.
    "FG052" UndeclaredTable,
    /// Another session holds a lock that the fixture needs.
    "FG053" Locked,
    /// The transaction could not be sealed.
    "FG054" NotSealed,
    /// A table that a reset keeps stands in the way of it.
    "FG055" KeptTable,
    /// A part of a table is on another server.
    "FG056" ForeignTable,
    /// The role may not empty a table.
    "FG057" NotPermitted,
    /// The journal cannot be written, and the policy requires it.
    "FG060" Journal,
    /// The environment variable `FIXTURE_GUARD` asks for something that does not exist.
    "FG061" UnknownMode,
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
