//! The databases that a file names.

use super::dsn::{self, Goes, Place};
use super::tree::Node;
use crate::output::looks_like_a_dsn;

/// A database that a file names, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sighting {
    pub(super) goes: Goes,
    /// It is a container that the file itself starts.
    pub(super) container: bool,
    /// A volume keeps the container's data: it is somebody's work.
    pub(super) kept: bool,
    /// As in `compose.yaml: services.db.environment.DATABASE_URL`.
    pub(super) origin: String,
}

/// Groups of variables that name one database together: what the names begin with.
const PREFIXES: [&str; 7] = ["PG", "POSTGRES_", "POSTGRESQL_", "DB_", "DATABASE_", "MYSQL_", "MARIADB_"];
const DATABASES: [&str; 4] = ["DATABASE", "DB", "NAME", "DBNAME"];

/// Images' names, without registry and owner, that are servers.
const IMAGES: [&str; 10] = [
    "postgres",
    "postgresql",
    "postgis",
    "timescaledb",
    "timescaledb-ha",
    "pgvector",
    "mysql",
    "mariadb",
    "percona",
    "percona-server",
];

/// What a value may hold more levels of than this is nobody's configuration.
const DEEPEST: usize = 64;

/// Every database that a file names.
pub(super) fn sightings(file: &str, node: &Node) -> Vec<Sighting> {
    let mut walk = Walk { file, path: Vec::new(), found: Vec::new() };
    walk.node(node);
    walk.found
}

struct Walk<'a> {
    file: &'a str,
    path: Vec<String>,
    found: Vec<Sighting>,
}

impl Walk<'_> {
    fn sighted(&mut self, goes: Goes, container: bool) {
        self.sighted_as(goes, container, false);
    }

    fn sighted_as(&mut self, goes: Goes, container: bool, kept: bool) {
        let origin = format!("{}: {}", self.file, self.path.join("."));
        self.found.push(Sighting { goes, container, kept, origin });
    }

    fn node(&mut self, node: &Node) {
        if self.path.len() > DEEPEST {
            return;
        }
        match node {
            Node::Text(text) => self.text(text),
            Node::List(items) => {
                if let Some(variables) = node.variables() {
                    return self.node(&variables);
                }
                for item in items {
                    self.service_by_image(item);
                    self.node(item);
                }
            }
            Node::Map(entries) => {
                self.group(node);
                self.settings(node);
                self.service(node);
                for (key, value) in entries {
                    self.path.push(shown(key));
                    self.node(value);
                    self.path.pop();
                }
            }
            Node::Other => {}
        }
    }

    fn text(&mut self, text: &str) {
        let all = dsn::all(text);
        let names_one = self.path.last().is_some_and(|key| {
            let key = key.to_ascii_uppercase();
            key.ends_with("DATABASE_URL") || key.ends_with("DB_URL") || key.ends_with("DATABASE_DSN")
        });
        if all.is_empty() && names_one && text.contains(['$', '{']) {
            self.sighted(Goes::Somewhere, false);
        }
        for goes in all {
            self.sighted(goes, false);
        }
    }

    /// `PGHOST` and the like.
    fn group(&mut self, map: &Node) {
        for prefix in PREFIXES {
            let key = format!("{prefix}HOST");
            let Some(host) = map.get(&key).and_then(Node::text).filter(|host| !host.is_empty()) else {
                continue;
            };
            let database = DATABASES.iter().find_map(|name| map.get(&format!("{prefix}{name}"))?.text());
            self.pair(&key, host, database);
        }
    }

    /// `host` and a database's name in a section about a database.
    fn settings(&mut self, map: &Node) {
        let is_about = |key: &String| {
            let key = key.to_ascii_lowercase();
            key.contains("database") || key.contains("postgres") || key.contains("mysql") || key == "db"
        };
        let names = ["database", "database_name", "dbname", "db"];
        let database = names.iter().find_map(|name| map.get(name)?.text());
        if database.is_none() && !self.path.iter().any(is_about) {
            return;
        }
        for key in ["host", "hostname"] {
            if let Some(host) = map.get(key).and_then(Node::text) {
                self.pair(key, host, database.or_else(|| map.get("name")?.text()));
            }
        }
    }

    fn pair(&mut self, key: &str, host: &str, database: Option<&str>) {
        self.path.push(key.to_owned());
        let goes = match dsn::place(host) {
            Some(place) => Goes::To { place, database: database.and_then(dsn::database) },
            None => Goes::Somewhere,
        };
        self.sighted(goes, false);
        self.path.pop();
    }

    /// A container of a compose file, a workflow or a pipeline.
    fn service(&mut self, map: &Node) {
        let at = |back: usize| self.path.len().checked_sub(back).map_or("", |index| &self.path[index]);
        let image = |key: &str| map.get(key).and_then(Node::text).filter(|image| is_server(image));
        let name = match (at(1), at(2)) {
            // CircleCI's containers share one network
            ("docker", _) if image("image").is_some() => "localhost",
            // GitLab names a service after its alias or its image
            ("services", _) => match (map.get("alias").and_then(Node::text), image("name")) {
                (Some(alias), Some(_)) => alias,
                (None, Some(image)) => base_name(image),
                (_, None) => return,
            },
            // compose files and GitHub's workflows
            (name, "services") if image("image").is_some() => name,
            _ => return,
        };
        let variables = ["environment", "env", "variables"].iter().find_map(|key| map.get(key));
        let listed = variables.and_then(Node::variables);
        let variables = listed.as_ref().or(variables);
        let names = ["POSTGRES_DB", "MYSQL_DATABASE", "MARIADB_DATABASE"];
        let database = names.iter().find_map(|name| variables?.get(name)?.text()).and_then(dsn::database);
        let name = name.to_owned();
        self.container(&name, database, keeps(map));
    }

    /// GitLab's `services: [postgres:15]`.
    fn service_by_image(&mut self, item: &Node) {
        let image = item.text().filter(|image| is_server(image));
        if let (Some(image), Some("services")) = (image, self.path.last().map(String::as_str)) {
            self.container(base_name(image), None, false);
        }
    }

    fn container(&mut self, name: &str, database: Option<String>, kept: bool) {
        if let Some(place @ Place::Host(_)) = dsn::place(name) {
            self.sighted_as(Goes::To { place, database }, true, kept);
        }
    }
}

/// Whether a service has a named volume, or a directory of the host, for its data.
fn keeps(service: &Node) -> bool {
    // what a server reads and does not write
    const READ: [&str; 2] = ["/docker-entrypoint-initdb.d", "/etc"];
    let Some(Node::List(volumes)) = service.get("volumes") else { return false };
    volumes.iter().any(|volume| {
        let at = |key| volume.get(key).and_then(Node::text).unwrap_or_default();
        let target = match volume {
            Node::Text(text) => match text.split_once(':') {
                Some((_, target)) => target,
                None => return false,
            },
            _ if at("type") == "tmpfs" || at("source").is_empty() => return false,
            _ => at("target"),
        };
        !READ.iter().any(|read| target.starts_with(read))
    })
}

/// A key in a comment: one that is no name may be a DSN.
fn shown(key: &str) -> String {
    if looks_like_a_dsn(key) || key.contains('/') { "…".to_owned() } else { key.to_owned() }
}

/// An image's name without registry, version and digest.
fn base_name(image: &str) -> &str {
    let name = image.rsplit('/').next().unwrap_or(image);
    name.split([':', '@']).next().unwrap_or(name)
}

fn is_server(image: &str) -> bool {
    let image = image.to_ascii_lowercase();
    // by its whole name: `postgres-tunnel` passes connections on, to a server that may be anybody's
    !image.contains(char::is_whitespace) && IMAGES.contains(&base_name(&image))
}
