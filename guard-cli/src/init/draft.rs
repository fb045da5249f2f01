//! Writes a policy out of what was found. Only loopback and containers become disposable; everything else is protected
//! until a person says otherwise.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use fixture_guard_core::{Environment, Words};

use super::dsn::{Goes, Place};
use super::found::Sighting;

/// Names, each with where it stands.
type Named = BTreeMap<String, BTreeSet<String>>;

#[derive(Default)]
struct Draft {
    /// The names of databases on this machine, for a person to choose from.
    local: Named,
    sockets: bool,
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
pub(super) fn write(sightings: &[Sighting]) -> String {
    let mut draft = Draft::default();
    for sighting in sightings {
        draft.add(sighting);
    }
    draft.settle();
    let mut text = String::new();
    // writing to a String does not fail
    let _ = draft.write(&mut text);
    text
}

fn is_local(host: &str) -> bool {
    host == "localhost" || host == "::1" || host.starts_with("127.")
}

fn says_production(text: &str) -> bool {
    Words::default().find(text).is_some()
}

impl Draft {
    fn add(&mut self, Sighting { goes, container, origin }: &Sighting) {
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
                _ if says_production(origin) => {
                    self.tunnels.insert(origin.clone());
                }
                (None, name) => {
                    self.sockets |= *place == Place::Socket;
                    if let Some(name) = name {
                        note(&mut self.local, name);
                    }
                }
            },
        }
    }

    /// One host stands in one environment: production's before a container's, a container's before all others.
    fn settle(&mut self) {
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

    fn write(&self, text: &mut String) -> std::fmt::Result {
        writeln!(
            text,
            "# Which databases tests may destroy. Drafted by `fixture-guard init`: review every line before you rely on it.\n\
             # A target must match every fact of one environment with `destructive = true`; one fact of any other refuses it.\n\n\
             # This machine.\n[environments.local]\ndestructive = true\nhosts = [\"localhost\", \"127.0.0.1\", \"::1\"]"
        )?;
        if self.sockets {
            writeln!(text, "sockets = [\"/var/run/postgresql\", \"/tmp\"]")?;
        }
        if !self.local.is_empty() {
            writeln!(text, "# To allow only the databases that your files name:\n# databases = [")?;
            for (name, origins) in &self.local {
                writeln!(text, "#     {}, # {}", quoted(name), comment(origins))?;
            }
            writeln!(text, "# ]")?;
        }
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
        if !self.containers.is_empty() {
            writeln!(
                text,
                "\n# Containers that your own files start.\n[environments.containers]\ndestructive = true"
            )?;
            list(text, "hosts", &self.containers)?;
        }
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
