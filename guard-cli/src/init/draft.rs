//! Writes a policy out of what was found. Only loopback and containers become disposable; everything else is protected
//! until a person says otherwise.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use fixture_guard_core::{Environment, Words};

use super::dsn::{Goes, Place};
use super::files::Read;
use super::found::Sighting;

/// Names, each with where it stands.
type Named = BTreeMap<String, BTreeSet<String>>;

#[derive(Default)]
struct Draft {
    /// The names of databases on this machine.
    local: Named,
    /// Names that a container with a volume has, or that say production's files: never disposable.
    not_local: BTreeSet<String>,
    production_socket: bool,
    /// Hosts of containers whose data a volume keeps, or whose database is for development.
    kept: Named,
    /// The databases that tests name on each host.
    tested: BTreeMap<String, Named>,
    /// What says production, and goes to this machine.
    tunnels: BTreeSet<String>,
    containers: Named,
    /// By environment.
    others: BTreeMap<&'static str, Named>,
    production: Named,
    production_databases: Named,
    /// Hosts that are a container in one file and production in another.
    disputed: Named,
    unknown: BTreeSet<String>,
}

/// Words by which people name what is neither theirs alone nor production.
const KNOWN: [(&str, &[&str]); 6] = [
    ("staging", &["staging", "stage", "stg"]),
    ("testing", &["test", "testing", "tests"]),
    ("development", &["dev", "development", "devel"]),
    ("review", &["review", "preview", "pr", "demo", "sandbox"]),
    ("acceptance", &["uat", "qa", "acceptance"]),
    ("ci", &["ci"]),
];

/// The text of a policy.
pub(super) fn write(read: &Read) -> String {
    let mut draft = Draft::default();
    for sighting in &read.found {
        draft.add(sighting);
    }
    draft.settle();
    let mut text = String::new();
    // writing to a String does not fail
    let _ = draft.write(&mut text, read);
    text
}

fn is_local(host: &str) -> bool {
    host == "localhost" || host == "::1" || host.starts_with("127.")
}

fn says_production(text: &str) -> bool {
    Words::default().find(text).is_some()
}

fn has_word(text: &str, words: &[&str]) -> bool {
    text.to_lowercase().split(|c: char| !c.is_alphabetic()).any(|word| words.contains(&word))
}

const TEST: [&str; 6] = ["test", "tests", "testing", "ci", "e2e", "spec"];
const DEVELOPMENT: [&str; 5] = ["dev", "devel", "development", "local", "dump"];
/// What pipelines do besides testing.
const OTHER_JOBS: [&str; 6] = ["deploy", "deployment", "release", "publish", "backup", "staging"];

/// Whether a place in a file is about tests.
fn is_for_tests(origin: &str) -> bool {
    let pipeline = [".github/workflows/", ".circleci/", ".gitlab-ci"];
    !has_word(origin, &DEVELOPMENT)
        && !has_word(origin, &OTHER_JOBS)
        && (has_word(origin, &TEST) || pipeline.iter().any(|file| origin.starts_with(file)))
}

/// Whether a database is one of tests: by its name, or because files for tests alone name it.
fn is_tested(name: &str, origins: &BTreeSet<String>) -> bool {
    let development = has_word(name, &DEVELOPMENT);
    !development && (has_word(name, &TEST) || origins.iter().all(|origin| is_for_tests(origin)))
}

impl Draft {
    fn add(&mut self, Sighting { goes, container, kept, origin }: &Sighting) {
        let (place, database) = match goes {
            Goes::To { place, database } => (place, database.as_deref()),
            Goes::Somewhere => {
                self.unknown.insert(origin.clone());
                return;
            }
        };
        let note = |named: &mut Named, name: &str| {
            named.entry(name.to_owned()).or_default().insert(origin.clone());
        };
        let database_is = database.filter(|name| says_production(name) && can_be_named(name));
        if let (Place::Host(host), true) = (place, *container) {
            if *kept || database.is_some_and(|name| has_word(name, &DEVELOPMENT)) {
                note(&mut self.kept, host);
            }
            // its port is often published on this machine
            if let Some(name) = database.filter(|name| !says_production(name) && !says_production(origin)) {
                note(&mut self.local, name);
                if *kept && !has_word(name, &TEST) {
                    self.not_local.insert(name.to_owned());
                }
            }
        }
        if let (Place::Host(host), Some(name)) = (place, database) {
            note(self.tested.entry(host.clone()).or_default(), name);
        }
        match place {
            Place::Host(host) if !is_local(host) => {
                if !can_be_host(host) {
                    self.unknown.insert(origin.clone());
                } else if says_production(host) || database_is.is_some() || says_production(origin) {
                    note(&mut self.production, host);
                } else if *container {
                    note(&mut self.containers, host);
                } else {
                    note(self.others.entry(kind(host, database, origin)).or_default(), host);
                }
            }
            Place::Host(_) | Place::Socket => match (database_is, database) {
                (Some(name), _) => note(&mut self.production_databases, name),
                (None, name) if says_production(origin) => {
                    self.tunnels.insert(origin.clone());
                    self.production_socket |= *place == Place::Socket;
                    self.not_local.extend(name.map(str::to_owned));
                }
                (None, name) => {
                    if let Some(name) = name {
                        note(&mut self.local, name);
                    }
                }
            },
        }
    }

    /// One host stands in one environment: production's before a container's, a container's before all others.
    fn settle(&mut self) {
        self.kept.retain(|host, _| self.containers.contains_key(host));
        let both: Vec<String> =
            self.containers.keys().filter(|host| self.production.contains_key(*host)).cloned().collect();
        for host in both {
            let mut origins = self.containers.remove(&host).unwrap_or_default();
            origins.extend(self.production.remove(&host).unwrap_or_default());
            self.disputed.insert(host, origins);
        }
        for others in self.others.values_mut() {
            others.retain(|host, origins| {
                let known = [&mut self.production, &mut self.containers, &mut self.disputed];
                let home = known.into_iter().find_map(|named| named.get_mut(host));
                home.map(|home| home.append(origins)).is_none()
            });
        }
        let mut seen = BTreeSet::new();
        for others in self.others.values_mut() {
            others.retain(|host, _| seen.insert(host.clone()));
        }
        self.others.retain(|_, hosts| !hosts.is_empty());
    }

    /// `databases`, and in a comment the names that are left out. Only what is for tests is disposable.
    fn write_databases(&self, text: &mut String, named: &Named) -> std::fmt::Result {
        let named = named.iter().filter(|(name, _)| can_be_named(name));
        let (tested, others): (Vec<_>, Vec<_>) = named
            .filter(|(name, _)| !(self.production_databases.contains_key(*name) || says_production(name)))
            .partition(|(name, origins)| !self.not_local.contains(*name) && is_tested(name, origins));
        if tested.is_empty() && others.is_empty() {
            return Ok(());
        }
        if tested.is_empty() {
            writeln!(
                text,
                "# No file for tests names a database. These are usual names of databases for tests:"
            )?;
            writeln!(text, "databases = [\"*_test\", \"*_test_*\", \"test_*\"]")?;
        } else {
            writeln!(text, "databases = [")?;
            for (name, origins) in tested {
                writeln!(text, "    {}, # {}", quoted(name), comment(origins))?;
            }
            writeln!(text, "]")?;
        }
        // names that production's files say are not repeated
        let others =
            others.into_iter().filter(|(_, origins)| !origins.iter().all(|origin| says_production(origin)));
        for (index, (name, origins)) in others.enumerate() {
            if index == 0 {
                writeln!(text, "# Not these: their data may be needed.")?;
            }
            writeln!(text, "#     {}, # {}", quoted(name), comment(origins))?;
        }
        Ok(())
    }

    fn write_read(text: &mut String, read: &Read) -> std::fmt::Result {
        if read.files.is_empty() {
            writeln!(text, "# No file of the kinds that name databases was found here.")?;
        } else {
            writeln!(text, "# Read:")?;
        }
        for file in &read.files {
            writeln!(text, "#     {}", plain(file))?;
        }
        if !read.problems.is_empty() {
            writeln!(text, "# Not read; look at these yourself:")?;
        }
        for problem in &read.problems {
            writeln!(text, "#     {}", plain(problem))?;
        }
        writeln!(text)
    }

    fn write_containers(&self, text: &mut String) -> std::fmt::Result {
        let (kept, disposable): (Named, Named) =
            self.containers.clone().into_iter().partition(|(host, _)| self.kept.contains_key(host));
        if !disposable.is_empty() {
            writeln!(
                text,
                "\n# Containers that your own files start.\n[environments.containers]\ndestructive = true"
            )?;
            list(text, "hosts", &disposable)?;
        }
        let tested: Named = kept
            .keys()
            .filter_map(|host| self.tested.get(host))
            .flatten()
            .filter(|(name, origins)| {
                let fit = can_be_named(name) && !says_production(name);
                fit && !self.not_local.contains(*name) && is_tested(name, origins)
            })
            .map(|(name, origins)| (name.clone(), origins.clone()))
            .collect();
        if !kept.is_empty() && !tested.is_empty() {
            writeln!(
                text,
                "\n# Containers that also have data which a volume keeps, or that is for development.\n\
                 [environments.test_containers]\ndestructive = true"
            )?;
            list(text, "hosts", &kept)?;
            list(text, "databases", &tested)?;
        } else if !kept.is_empty() {
            writeln!(text, "\n# Left out, because a volume keeps their data, or it is for development:")?;
            for (host, origins) in &kept {
                writeln!(text, "#     {} ({})", quoted(host), comment(origins))?;
            }
        }
        Ok(())
    }

    fn write(&self, text: &mut String, read: &Read) -> std::fmt::Result {
        writeln!(
            text,
            "# Which databases tests may destroy. Drafted by `fixture-guard init`: review every line before you rely on it.\n\
             # A target must match every fact of one environment with `destructive = true`; one fact of any other refuses it.\n"
        )?;
        Self::write_read(text, read)?;
        writeln!(
            text,
            "# This machine.\n[environments.local]\ndestructive = true\nhosts = [\"localhost\", \"127.0.0.1\", \"::1\"]"
        )?;
        if !self.production_socket {
            writeln!(text, "sockets = [\"/var/run/postgresql\", \"/run/postgresql\", \"/tmp\"]")?;
        }
        self.write_databases(text, &self.local)?;
        if !self.tunnels.is_empty() {
            writeln!(
                text,
                "marker = \"required\"\n\
                 # These say production and go to this machine, as through a tunnel. Then its name says nothing: tests\n\
                 # may destroy only what `fixture-guard mark local` was run on."
            )?;
            for origin in &self.tunnels {
                writeln!(text, "#     {}", plain(origin))?;
            }
        }
        self.write_containers(text)?;
        for (name, hosts) in &self.others {
            writeln!(
                text,
                "\n# If tests may destroy these: `destructive = true`, with `databases`, and `marker = \"required\"` after\n\
                 # `fixture-guard mark {name}`.\n[environments.{name}]\ndestructive = false"
            )?;
            list(text, "hosts", hosts)?;
        }
        self.write_production(text)?;
        if !self.disputed.is_empty() {
            writeln!(
                text,
                "\n# Left out, because one file starts them as containers and another one says production:"
            )?;
            for (host, origins) in &self.disputed {
                writeln!(text, "#     {} ({})", quoted(host), comment(origins))?;
            }
        }
        if !self.unknown.is_empty() {
            writeln!(text, "\n# Left out, because the files do not say where these go:")?;
            for origin in &self.unknown {
                writeln!(text, "#     {}", plain(origin))?;
            }
        }
        Ok(())
    }

    fn write_production(&self, text: &mut String) -> std::fmt::Result {
        if self.production.is_empty() && self.production_databases.is_empty() {
            return writeln!(
                text,
                "\n# No file names production. Name it here, so that it is refused by more than its words:\n\
                 # [environments.production]\n# hosts = [\"prod-*\"]\n# networks = [\"10.20.0.0/16\"]\n\
                 # system_identifiers = [\"…\"] # SELECT system_identifier FROM pg_control_system()"
            );
        }
        writeln!(
            text,
            "\n# Never destructive: one fact of these is enough to refuse. Add `networks` and `system_identifiers`\n\
             # (SELECT system_identifier FROM pg_control_system()), which also hold behind a tunnel.\n\
             [environments.production]\ndestructive = false"
        )?;
        list(text, "hosts", &self.production)?;
        list(text, "databases", &self.production_databases)
    }
}

/// The name of the environment that a host belongs to, by what it is called.
fn kind(host: &str, database: Option<&str>, origin: &str) -> &'static str {
    for text in [host, database.unwrap_or_default(), origin] {
        let lower = text.to_lowercase();
        let words: BTreeSet<&str> = lower.split(|c: char| !c.is_alphabetic()).collect();
        if let Some((name, _)) = KNOWN.iter().find(|(_, known)| known.iter().any(|word| words.contains(word)))
        {
            return name;
        }
    }
    "unsorted"
}

fn can_be_host(host: &str) -> bool {
    Environment::protected("x").host(host).is_ok()
}

fn can_be_named(database: &str) -> bool {
    Environment::protected("x").database(database).is_ok()
}

/// A list, one name in each line, with where it stands.
fn list(text: &mut String, key: &str, named: &Named) -> std::fmt::Result {
    if named.is_empty() {
        return Ok(());
    }
    writeln!(text, "{key} = [")?;
    for (name, origins) in named {
        writeln!(text, "    {}, # {}", quoted(name), comment(origins))?;
    }
    writeln!(text, "]")
}

/// A basic string of TOML.
fn quoted(name: &str) -> String {
    let mut quoted = String::from("\"");
    for c in name.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

/// Where something stands, no longer than a person reads.
fn comment(origins: &BTreeSet<String>) -> String {
    const SHOWN: usize = 3;
    let mut shown: Vec<String> = origins.iter().take(SHOWN).map(|origin| plain(origin)).collect();
    if origins.len() > SHOWN {
        shown.push(format!("and {} more", origins.len() - SHOWN));
    }
    shown.join("; ")
}

/// A comment ends with its line.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}
