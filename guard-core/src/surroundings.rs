//! The process's environment variables, read in one place and passed on as a value.

use std::collections::BTreeMap;
use std::fmt;

use once_cell::sync::OnceCell;
use percent_encoding::NON_ALPHANUMERIC;

use crate::target::Target;
use crate::words::Words;

/// A snapshot of the process's environment variables.
///
/// Its `Debug` shows names only: values may hold secrets.
///
/// ```
/// # use fixture_guard_core as fixture_guard;
/// use fixture_guard::Surroundings;
///
/// let surroundings: Surroundings = [("APP_ENV", "staging"), ("DATABASE_URL", "postgres://app:secret@db")].into_iter().collect();
/// assert_eq!(surroundings.get("APP_ENV"), Some("staging"));
/// assert!(!format!("{surroundings:?}").contains("secret"));
/// ```
#[derive(Clone, Default)]
pub struct Surroundings {
    variables: BTreeMap<String, String>,
    declared: Vec<String>,
    dsns: Vec<(String, Target)>,
}

/// Variables by which frameworks say which environment a process runs in. Besides these, every name counts that ends
/// in `_ENV`, `_ENVIRONMENT`, `_STAGE`, `_PROFILE`, `_ENV_NAME`, `_ENVIRONMENT_NAME` or `_ENVIRONMENT_TIER`.
///
/// ```
/// assert!(fixture_guard_core::ENVIRONMENT_VARIABLES.contains(&"APP_ENV"));
/// ```
pub const ENVIRONMENT_VARIABLES: [&str; 11] = [
    "APP_ENV",
    "RUST_ENV",
    "ENVIRONMENT",
    "ENV",
    "NODE_ENV",
    "RAILS_ENV",
    "RACK_ENV",
    "STAGE",
    "SPRING_PROFILES_ACTIVE",
    "ENV_NAME",
    "ENVIRONMENT_NAME",
];

/// As in `RAILWAY_ENVIRONMENT`, `QUARKUS_PROFILE` and GitLab's `CI_ENVIRONMENT_NAME`.
const ENDINGS: [&str; 7] =
    ["_ENV", "_ENVIRONMENT", "_STAGE", "_PROFILE", "_ENV_NAME", "_ENVIRONMENT_NAME", "_ENVIRONMENT_TIER"];

/// The variable by which a process asks for less than a fixture would do; see [`Surroundings::mode`].
pub(crate) const MODE_VARIABLE: &str = "FIXTURE_GUARD";

/// What becomes of a body's work that succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Commit,
    Rehearse,
}

/// Names that end like the ones above and say something else: which account or build another tool takes.
const OTHERS: [&str; 9] = [
    "VIRTUAL_ENV",
    "CONDA_DEFAULT_ENV",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "CARGO_PROFILE",
    "NEXTEST_PROFILE",
    "CARGO_BUILD_PROFILE",
    "RUSTUP_PROFILE",
    "DATABRICKS_CONFIG_PROFILE",
];

impl Surroundings {
    /// The environment of this process, read once. The one place in the library that reads it.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// assert!(fixture_guard::Surroundings::of_process().get("PATH").is_some());
    /// ```
    pub fn of_process() -> &'static Self {
        static PROCESS: OnceCell<Surroundings> = OnceCell::new();
        PROCESS.get_or_init(|| {
            #[expect(clippy::disallowed_methods, reason = "this is the place that takes the snapshot")]
            let variables = std::env::vars_os();
            variables
                .map(|(name, value)| {
                    (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned())
                })
                .collect()
        })
    }

    /// A variable's value; an empty one counts as unset.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// let surroundings: fixture_guard::Surroundings = [("APP_ENV", "")].into_iter().collect();
    /// assert_eq!(surroundings.get("APP_ENV"), None);
    /// ```
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// What `FIXTURE_GUARD` asks for: `rehearse`, which can only make things safer, or nothing.
    ///
    /// # Errors
    ///
    /// Its value, if it is anything else. An empty one is: whoever set it meant something.
    pub(crate) fn mode(&self) -> Result<Mode, &str> {
        match self.variables.get(MODE_VARIABLE).map(String::as_str) {
            None => Ok(Mode::Commit),
            Some("rehearse") => Ok(Mode::Rehearse),
            Some(other) => Err(other),
        }
    }

    /// The variables that say which environment this process runs in, with what they say: the well-known ones and
    /// `more`.
    pub(crate) fn declared<'a>(&'a self, more: &'a [String]) -> impl Iterator<Item = (&'a str, &'a str)> {
        let known = self.declared.iter().map(String::as_str);
        let more =
            more.iter().map(String::as_str).filter(|name| !self.declared.iter().any(|known| known == name));
        known.chain(more).filter_map(|name| Some((name, unquoted(self.get(name)?))))
    }

    /// The variables whose name says production and whose value is a DSN, with where that goes.
    pub(crate) fn production<'a>(&'a self, words: &'a Words) -> impl Iterator<Item = (&'a str, &'a Target)> {
        self.dsns
            .iter()
            .filter(|(name, _)| words.find_despite_harmless(name).is_some())
            .map(|(name, target)| (name.as_str(), target))
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Surroundings {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        let variables: BTreeMap<String, String> =
            variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        let declared =
            variables.iter().filter(|(name, value)| declares(name, value)).map(|(name, _)| name.clone());
        let dsns = variables.iter().filter_map(|(name, value)| Some((name.clone(), read(unquoted(value))?)));
        Self { declared: declared.collect(), dsns: dsns.collect(), variables }
    }
}

impl fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.variables.keys()).finish()
    }
}

/// Whether a variable says which environment the process runs in. A path does not.
fn declares(name: &str, value: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    let named = ENVIRONMENT_VARIABLES.contains(&upper.as_str())
        || ENDINGS.iter().any(|end| upper.ends_with(end)) && !OTHERS.contains(&upper.as_str());
    named && !is_path(unquoted(value))
}

/// Whether a value is a place in the file system, as `ENV` names a shell's start-up file: `/etc/env`, `./env`, `~/env`,
/// `C:\env`. `production/eu` is none.
fn is_path(value: &str) -> bool {
    let drive = matches!(value.as_bytes(), [letter, b':', b'/' | b'\\', ..] if letter.is_ascii_alphabetic());
    drive || ["/", "\\", "./", "../", ".\\", "..\\", "~"].iter().any(|start| value.starts_with(start))
}

/// A value as it was meant: files of variables leave quotes and line ends in.
fn unquoted(value: &str) -> &str {
    value.trim_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\''))
}

/// Where a DSN goes. Other tools' prefixes (`jdbc:`, `postgresql+asyncpg:`) and unescaped passwords are understood:
/// the DSN was not written for this driver, and only its place is wanted.
#[doc(hidden)]
#[must_use]
pub fn read(value: &str) -> Option<Target> {
    let value = value.strip_prefix("jdbc:").unwrap_or(value);
    let Some((scheme, rest)) = value.split_once("://") else { return read_pairs(value) };
    let scheme = scheme.to_ascii_lowercase();
    let scheme = scheme.strip_prefix("prisma+").unwrap_or(&scheme).split('+').next()?;
    let scheme = if scheme == "postgis" { "postgres" } else { scheme };
    let parse = |dsn: &str| match scheme {
        "postgres" | "postgresql" => Target::from_postgres_dsn(dsn).ok().map(|(target, _)| target),
        #[cfg(feature = "mysql")]
        "mysql" | "mariadb" => Target::from_mysql_dsn(dsn).ok().map(|(target, _)| target),
        #[cfg(feature = "sqlite")]
        "sqlite" => Target::from_sqlite_dsn(dsn).ok().map(|(target, _)| target),
        _ => None,
    };
    let plain = parse(&format!("{scheme}://{rest}")).filter(|target| !target.concealed);
    plain.or_else(|| {
        let (user, place) = rest.rsplit_once('@')?;
        let user = user.split_once(':').map_or(user, |(user, _password)| user);
        parse(&format!(
            "{scheme}://{}@{place}",
            percent_encoding::utf8_percent_encode(user, NON_ALPHANUMERIC)
        ))
    })
}

/// Where libpq's other form of a DSN goes: `host=db port=5432 dbname='app' user=app`. Its password is left out.
fn read_pairs(value: &str) -> Option<Target> {
    let mut rest = value.trim_start();
    let mut dsn = url::form_urlencoded::Serializer::new(String::new());
    let mut names_place = false;
    while !rest.is_empty() {
        let (key, after) = rest.split_once('=')?;
        let (key, mut chars) = (key.trim_end(), after.trim_start().chars());
        if key.is_empty() || !key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') {
            return None;
        }
        let quoted = chars.as_str().starts_with('\'');
        if quoted {
            chars.next();
        }
        let mut text = String::new();
        loop {
            match chars.next() {
                None if quoted => return None,
                None => break,
                Some('\'') if quoted => break,
                Some(c) if !quoted && c.is_whitespace() => break,
                Some('\\') => text.extend(chars.next()),
                Some(c) => text.push(c),
            }
        }
        rest = chars.as_str().trim_start();
        names_place |= matches!(key, "host" | "hostaddr") && !text.is_empty();
        if matches!(key, "host" | "hostaddr" | "port" | "dbname" | "user") {
            dsn.append_pair(key, &text);
        }
    }
    let dsn = format!("postgres:///?{}", dsn.finish());
    names_place.then(|| Target::from_postgres_dsn(&dsn).ok().map(|(target, _)| target))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_form_of_a_dsn() {
        let place = |dsn| read(dsn).map(|target| target.to_string());
        let plain = place("postgres://u@127.0.0.1:57411/adv");
        assert!(plain.is_some());
        for dsn in [
            "host=127.0.0.1 port=57411 dbname=adv user=u",
            "host='127.0.0.1' port = 57411 dbname='adv' user=u password='a b'",
            "postgis://u@127.0.0.1:57411/adv",
            "prisma+postgres://u@127.0.0.1:57411/adv",
            "postgresql+psycopg2://u@127.0.0.1:57411/adv",
        ] {
            assert_eq!(place(dsn), plain, "{dsn}");
        }
        assert_eq!(place("host="), None);
        assert_eq!(place("a sentence with = in it"), None);
    }

    #[test]
    fn hears_an_environment_with_a_region_and_passes_paths_and_other_tools_profiles() {
        for (name, value, heard) in [
            ("CI_ENVIRONMENT_NAME", "production/eu", true),
            ("APP_ENV", "production/eu-west-1", true),
            ("DEPLOY_ENV", "producción", true),
            ("DEPLOY_ENV", "prod (eu)", true),
            ("ENV_NAME", "production", true),
            ("environment_name", "production", true),
            ("deploy_env", "production", true),
            ("ENV", "/srv/prod/env", false),
            ("SOME_ENV", "~/prod", false),
            ("SOME_ENV", "../prod", false),
            ("SOME_ENV", "C:\\prod", false),
            ("AWS_PROFILE", "acme-prod-readonly", false),
            ("CARGO_PROFILE", "production", false),
        ] {
            assert_eq!(declares(name, value), heard, "{name}={value}");
        }
    }

    #[test]
    fn shows_no_value() {
        let surroundings = Surroundings::from_iter([("DATABASE_URL", "postgres://app:hunter2@db/app")]);
        assert_eq!(format!("{surroundings:?}"), r#"{"DATABASE_URL"}"#);
    }

    #[test]
    fn rehearses_when_it_is_told_so_and_in_no_other_word() {
        assert_eq!(Surroundings::default().mode(), Ok(Mode::Commit));
        for (value, mode) in [
            ("rehearse", Ok(Mode::Rehearse)),
            ("Rehearse", Err("Rehearse")),
            ("off", Err("off")),
            ("", Err("")),
        ] {
            assert_eq!(Surroundings::from_iter([(MODE_VARIABLE, value)]).mode(), mode);
        }
    }

    #[test]
    fn hears_what_frameworks_say_and_not_what_tools_say() {
        let surroundings = Surroundings::from_iter([
            ("RAILWAY_ENVIRONMENT", "production"),
            ("VIRTUAL_ENV", "prod"),
            ("SOME_ENV", "/srv/prod/env"),
            ("NODE_ENV", ""),
            ("WHERE_AM_I", "prod"),
        ]);
        let heard: Vec<_> = surroundings.declared(&[]).collect();
        assert_eq!(heard, [("RAILWAY_ENVIRONMENT", "production")]);
        let more = ["WHERE_AM_I".to_owned()];
        assert_eq!(surroundings.declared(&more).count(), 2);
    }
}
