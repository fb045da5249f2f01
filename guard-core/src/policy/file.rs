//! `fixture-guard.toml`.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Environment, JournalRule, MarkerRule, Policy, PolicyError, Source, SuperuserRule};
use crate::secrets::holds_credentials;
use crate::{reach, time_limits, words};

/// The policy's file, beside the workspace's `Cargo.toml`.
///
/// ```
/// assert_eq!(fixture_guard_core::FILE_NAME, "fixture-guard.toml");
/// ```
pub const FILE_NAME: &str = "fixture-guard.toml";

/// A team's rules for fixture-guard: which databases may be destroyed by tests, and which may not.
#[derive(Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(title = "fixture-guard.toml"))]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    /// The environments, by name. A target must fit exactly one that allows destruction.
    #[cfg_attr(feature = "schema", schemars(with = "std::collections::BTreeMap<String, FileEnvironment>"))]
    environments: Environments,
    /// The words that mark production in a host, path, database, user or session option.
    #[serde(default)]
    markers: FileMarkers,
    /// What the process's own environment says.
    #[serde(default)]
    process: FileProcess,
    /// Where each run is written down.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(with = "FileJournal"))]
    journal: Option<FileJournal>,
}

/// With its place, for messages.
type List = Spanned<Vec<Spanned<String>>>;

type Add = fn(Environment, &str) -> Result<Environment, PolicyError>;

type Environments = std::collections::BTreeMap<Spanned<String>, FileEnvironment>;

/// One environment. To allow, every stated fact must match; to refuse, one fact of a protected one is enough.
#[derive(Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "Environment"))]
#[serde(deny_unknown_fields)]
struct FileEnvironment {
    /// Whether fixtures may run here. `false` unless it says so.
    #[serde(default)]
    destructive: bool,
    /// Host names and addresses, with `*` and `?` as wildcards; for SQLite, the path of the file.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(with = "Vec<String>", length(min = 1)))]
    hosts: Option<List>,
    /// Directories (PostgreSQL) or files (MySQL) of unix sockets, with wildcards.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(with = "Vec<String>", length(min = 1)))]
    sockets: Option<List>,
    /// Networks in CIDR notation that the host's addresses lie in.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(with = "Vec<String>", length(min = 1)))]
    networks: Option<List>,
    /// Names of databases, with wildcards.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(with = "Vec<String>", length(min = 1)))]
    databases: Option<List>,
    /// Names of users, with wildcards.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(with = "Vec<String>", length(min = 1)))]
    users: Option<List>,
    /// Login roles of a pooler that renames the user, with wildcards.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(with = "Vec<String>", length(min = 1)))]
    server_users: Option<List>,
    /// Clusters by the system identifier that `pg_control_system()` shows, as strings of digits.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(with = "Vec<String>", length(min = 1)))]
    system_identifiers: Option<List>,
    /// `"required"`: the database itself must carry this environment's marker.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(with = "FileMarker"))]
    marker: Option<FileMarker>,
    /// How many rows one fixture may remove at most.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(with = "u64"))]
    max_rows: Option<u64>,
    /// What the process's own environment (`APP_ENV` and the like) must say.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    process: Option<Spanned<String>>,
    /// `false` refuses a superuser's session.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(with = "bool"))]
    superuser: Option<bool>,
    /// How many other client sessions may use the database while a fixture runs.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(with = "u64"))]
    max_other_sessions: Option<u64>,
    /// What fixtures may touch here beyond their tables, as `trigger:audit_log`, with `*` and `?` as wildcards.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(with = "Vec<String>"))]
    reach: Vec<Spanned<String>>,
    /// How long a statement of a body may take: a number and a unit, as `90s` or `2m`.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(with = "String", regex(pattern = r"^[0-9]+(ms|s|m|min|h)$")))]
    statement_timeout: Option<Spanned<String>>,
    /// How long a statement of a body may wait for a lock: a number and a unit, as `500ms` or `10s`.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(with = "String", regex(pattern = r"^[0-9]+(ms|s|m|min|h)$")))]
    lock_timeout: Option<Spanned<String>>,
}

/// Whether the server itself must say which environment it is.
#[derive(Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "Marker"))]
#[serde(rename_all = "lowercase")]
enum FileMarker {
    /// A marker is not asked for; one of a protected environment refuses all the same.
    Optional,
    /// The database must carry this environment's marker.
    Required,
}

/// The words that mark production.
#[derive(Deserialize, Default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "Markers"))]
#[serde(deny_unknown_fields, default)]
struct FileMarkers {
    /// Words besides `prod`, `production`, `prd` and `live`.
    #[cfg_attr(feature = "schema", schemars(with = "Vec<String>"))]
    words: Vec<Spanned<String>>,
    /// Whole words that are harmless here, as `preprod`.
    #[cfg_attr(feature = "schema", schemars(with = "Vec<String>"))]
    harmless: Vec<Spanned<String>>,
}

/// What the process's own environment says.
#[derive(Deserialize, Default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "Process"))]
#[serde(deny_unknown_fields, default)]
struct FileProcess {
    /// Variables besides the well-known ones that say which environment a process runs in.
    variables: Vec<String>,
}

/// Where each run is written down, as one line of JSON.
#[derive(Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "Journal"))]
#[serde(deny_unknown_fields)]
struct FileJournal {
    /// The file, relative to this one.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    path: Spanned<String>,
    /// Whether a fixture is refused when the journal cannot be written.
    #[serde(default)]
    required: bool,
}

impl Policy {
    /// The JSON Schema of `fixture-guard.toml`, for editors. It is committed as
    /// `schemas/fixture-guard.schema.json`.
    ///
    /// ```
    /// assert_eq!(fixture_guard_core::Policy::schema()["type"], "object");
    /// ```
    #[cfg(feature = "schema")]
    #[must_use]
    pub fn schema() -> serde_json::Value {
        // draft 7, because that is what the editors' TOML plug-ins understand
        schemars::generate::SchemaSettings::draft07()
            .with_transform(schemars::transform::RecursiveTransform(|schema: &mut schemars::Schema| {
                // a key that is left out is no null, which TOML does not have
                if schema.get("default").is_some_and(serde_json::Value::is_null) {
                    schema.remove("default");
                }
            }))
            .into_generator()
            .into_root_schema_for::<File>()
            .into()
    }

    /// Reads a policy file.
    ///
    /// ```no_run
    /// # use fixture_guard_core as fixture_guard;
    /// let policy = fixture_guard::Policy::load("fixture-guard.toml".as_ref())?;
    /// # Ok::<(), fixture_guard::PolicyError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// With file, line and what to write: if the file cannot be read, is not TOML, has an unknown key, a pattern
    /// that matches everything or nothing, an empty list, or an environment that allows destruction and says
    /// production.
    pub fn load(path: &Path) -> Result<Self, PolicyError> {
        let text = read(path).map_err(|error| error.at(path, None))?;
        Self::parse(&text, path)
    }

    /// Reads the text of a policy file; `path` is for messages.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// let text = "[environments.ci]\ndestructive = true\nhosts = ['postgres']";
    /// let policy = fixture_guard::Policy::parse(text, "fixture-guard.toml".as_ref())?;
    /// assert_eq!(policy.environments()[0].name(), "ci");
    /// # Ok::<(), fixture_guard::PolicyError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Policy::load`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, PolicyError> {
        let line = |offset: usize| Some(1 + text.get(..offset).unwrap_or(text).matches('\n').count());
        // before any other message, which may repeat a value
        if let Ok(table) = DeTable::parse(text) {
            refuse_credentials(table.get_ref(), &mut Vec::new())
                .map_err(|(at, error)| error.at(path, line(at)))?;
        }
        let file: File = toml::from_str(text).map_err(|error| {
            let message = error.message().trim_end().replace('\n', ", ");
            let message = if holds_credentials(&message) { "this is not TOML".to_owned() } else { message };
            PolicyError::new(message, "see the keys in docs/policy.md")
                .at(path, error.span().and_then(|span| line(span.start)))
        })?;
        let mut policy = Self { source: Source::File(Arc::from(path)), ..Self::new() };
        for word in &file.markers.words {
            one_word(word).map_err(|error| error.at(path, line(word.span().start)))?;
            policy.words.add(word.as_ref());
        }
        for word in &file.markers.harmless {
            compound(word).map_err(|error| error.at(path, line(word.span().start)))?;
            policy.words.declare_harmless(word.as_ref());
        }
        policy.process_variables = file.process.variables;
        if let Some(FileJournal { path: named, required }) = file.journal {
            if named.as_ref().is_empty() {
                return Err(PolicyError::new(
                    "the journal's path is empty",
                    "name a file, or remove `[journal]`",
                )
                .at(path, line(named.span().start)));
            }
            let rule = if required { JournalRule::Required } else { JournalRule::Optional };
            let beside = path.parent().unwrap_or(Path::new(""));
            policy = policy.journal(beside.join(named.into_inner()), rule);
        }
        if file.environments.is_empty() {
            return Err(PolicyError::new(
                "the policy has no environment",
                "add one, as in `[environments.local]`",
            )
            .at(path, None));
        }
        let mut environments: Vec<_> = file.environments.into_iter().collect();
        environments.sort_by_key(|(name, _)| name.span().start);
        for (name, stated) in environments {
            let at_name = line(name.span().start);
            let environment = stated.read(name.as_ref(), &policy, path, &line)?;
            policy.add(environment).map_err(|error| error.at(path, at_name))?;
        }
        Ok(policy)
    }
}

impl FileEnvironment {
    fn read(
        self,
        name: &str,
        policy: &Policy,
        path: &Path,
        line: &impl Fn(usize) -> Option<usize>,
    ) -> Result<Environment, PolicyError> {
        let mut environment =
            if self.destructive { Environment::destructive(name) } else { Environment::protected(name) };
        let lists: [(&str, Option<List>, Add); 7] = [
            ("hosts", self.hosts, Environment::host),
            ("sockets", self.sockets, Environment::socket),
            ("networks", self.networks, Environment::network),
            ("databases", self.databases, Environment::database),
            ("users", self.users, Environment::user),
            ("server_users", self.server_users, Environment::server_user),
            ("system_identifiers", self.system_identifiers, |environment, digits| {
                let identifier = digits.parse().map_err(|_| {
                    PolicyError::new(
                        format!("`{digits}` is not a system identifier"),
                        "write the number that `SELECT system_identifier FROM pg_control_system()` shows, in quotes",
                    )
                })?;
                Ok(environment.system_identifier(identifier))
            }),
        ];
        for (key, list, add) in lists {
            let Some(list) = list else { continue };
            if list.as_ref().is_empty() {
                return Err(PolicyError::new(
                    format!("`{key}` is empty, which would match nothing"),
                    "add an entry, or remove the key",
                )
                .at(path, line(list.span().start)));
            }
            for entry in list.into_inner() {
                let at = line(entry.span().start);
                environment = add(environment, entry.as_ref()).map_err(|error| error.at(path, at))?;
                if self.destructive {
                    policy
                        .refuse_production_word(name, key, entry.as_ref())
                        .map_err(|error| error.at(path, at))?;
                }
            }
        }
        environment.marker = match self.marker {
            Some(FileMarker::Required) => MarkerRule::Required,
            Some(FileMarker::Optional) | None => MarkerRule::Optional,
        };
        environment.max_rows = self.max_rows;
        environment.superuser = match self.superuser {
            Some(false) => SuperuserRule::Refused,
            Some(true) | None => SuperuserRule::Allowed,
        };
        environment.max_other_sessions = self.max_other_sessions;
        for entry in self.reach {
            let at = line(entry.span().start);
            reach::check(entry.as_ref())
                .map_err(|(found, help)| PolicyError::new(found, help).at(path, at))?;
            environment.reach.push(entry.into_inner());
        }
        let limit = |key: &str, stated: Option<Spanned<String>>| {
            stated
                .map(|text| {
                    let limit = time_limits::parse(text.as_ref());
                    limit.ok_or_else(|| PolicyError::time_limit(key).at(path, line(text.span().start)))
                })
                .transpose()
        };
        environment.statement_timeout = limit("statement_timeout", self.statement_timeout)?;
        environment.lock_timeout = limit("lock_timeout", self.lock_timeout)?;
        if let Some(process) = self.process {
            if self.destructive {
                policy
                    .refuse_production_word(name, "process", process.as_ref())
                    .map_err(|error| error.at(path, line(process.span().start)))?;
            }
            environment.process = Some(process.into_inner());
        }
        Ok(environment)
    }
}

/// The first key or value that is a connection string or contains a password, with its offset.
fn refuse_credentials(table: &DeTable<'_>, keys: &mut Vec<String>) -> Result<(), (usize, PolicyError)> {
    for (key, value) in table {
        if holds_credentials(key.get_ref()) {
            return Err((key.span().start, PolicyError::credentials("a key")));
        }
        keys.push(key.get_ref().to_string());
        refuse_credentials_in(value, keys)?;
        keys.pop();
    }
    Ok(())
}

fn refuse_credentials_in(
    value: &Spanned<DeValue<'_>>,
    keys: &mut Vec<String>,
) -> Result<(), (usize, PolicyError)> {
    match value.get_ref() {
        DeValue::String(text) if holds_credentials(text) => {
            Err((value.span().start, PolicyError::credentials(&format!("`{}`", keys.join(".")))))
        }
        DeValue::Array(values) => values.iter().try_for_each(|value| refuse_credentials_in(value, keys)),
        DeValue::Table(table) => refuse_credentials(table, keys),
        _ => Ok(()),
    }
}

/// No policy is larger.
const LARGEST: u64 = 1 << 20;

/// The text of a regular file. Anything else is refused unread: a FIFO would never end.
fn read(path: &Path) -> Result<String, PolicyError> {
    let unread = |error: io::Error| {
        PolicyError::new(
            format!("the policy cannot be read: {error}"),
            "check that it is a UTF-8 file that this user may read",
        )
    };
    let known = path.metadata().map_err(|error| {
        if error.kind() == io::ErrorKind::NotFound && path.is_symlink() {
            return PolicyError::new(
                "the policy cannot be read: it is a link to nothing",
                "point the link at the policy file, or put the file itself here",
            );
        }
        unread(error)
    })?;
    if !known.is_file() {
        return Err(PolicyError::new(
            "the policy cannot be read: it is not a regular file",
            "put a regular file here",
        ));
    }
    let mut text = String::new();
    let opened = std::fs::File::open(path).map_err(unread)?;
    opened.take(LARGEST + 1).read_to_string(&mut text).map_err(unread)?;
    if text.len() as u64 > LARGEST {
        return Err(PolicyError::new(
            "the policy is larger than 1 MiB",
            "write patterns in place of long lists",
        ));
    }
    Ok(text)
}

fn one_word(word: &Spanned<String>) -> Result<(), PolicyError> {
    let word = word.as_ref();
    if words::is_one(word) {
        return Ok(());
    }
    Err(PolicyError::new(
        format!("`{word}` is not one word of letters"),
        "texts are split at everything that is not a letter, so a word holds letters only",
    ))
}

fn compound(name: &Spanned<String>) -> Result<(), PolicyError> {
    let name = name.as_ref();
    if words::is_compound(name) {
        return Ok(());
    }
    Err(PolicyError::new(
        format!("`{name}` is not a word of letters, or words with `_`, `-`, `.` or digits between them"),
        "write the name that is harmless, as in `preprod` or `production_planning`",
    ))
}

pub(super) fn in_directory(directory: &Path) -> PathBuf {
    directory.join(FILE_NAME)
}
