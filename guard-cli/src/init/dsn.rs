//! Where a DSN of a file goes. Its user and password are not taken over.

use fixture_guard_core::__private::read_any_dsn;
use fixture_guard_core::Endpoint;

/// Where a text goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Goes {
    To {
        place: Place,
        database: Option<String>,
    },
    /// Only the running job knows: a secret, or a variable without a default.
    Somewhere,
}

/// A host, or this machine by a unix socket.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    Host(String),
    Socket,
}

/// Stands for what only the running job knows. No host of anybody's.
const UNKNOWN: &str = "fixture-guard-unknown";

const SCHEMES: [&str; 5] = ["postgresql", "postgres", "mysql", "mariadb", "jdbc:"];

/// Every DSN in a text: the value of a variable, or a command line.
pub(super) fn all(text: &str) -> Vec<Goes> {
    let filled = fill(text);
    let ends = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | ')' | '<' | '>');
    filled
        .split(ends)
        .flat_map(listed)
        .filter_map(|dsn| {
            let start = SCHEMES.iter().filter_map(|scheme| dsn.find(scheme)).min()?;
            let dsn = &dsn[start..];
            // before the host, in a password, these end nothing
            let host = dsn.rfind('@').unwrap_or(0);
            let end = dsn[host..].find([',', ';']).map_or(dsn.len(), |end| host + end);
            read(&dsn[..end])
        })
        .collect()
}

/// The DSNs of a list, each with what follows up to the next one.
fn listed(word: &str) -> Vec<String> {
    let mut dsns: Vec<String> = Vec::new();
    for piece in word.split_inclusive([',', ';']) {
        match dsns.last_mut() {
            Some(dsn) if !piece.contains("://") => dsn.push_str(piece),
            _ => dsns.push(piece.to_owned()),
        }
    }
    dsns.retain(|dsn| dsn.contains("://"));
    dsns
}

/// The place that a variable alone names, as `PGHOST` does.
pub(super) fn place(host: &str) -> Option<Place> {
    let host = fill(host);
    if host.starts_with('/') {
        return Some(Place::Socket);
    }
    match read(&format!("postgres://{host}/x"))? {
        Goes::To { place, .. } => Some(place),
        Goes::Somewhere => None,
    }
}

/// The name of a database that a variable alone gives, as `PGDATABASE` does.
///
/// Whatever is no plain name is not taken over: people put whole DSNs there, with their passwords.
pub(super) fn database(name: &str) -> Option<String> {
    // longer names PostgreSQL cuts
    const LONGEST: usize = 63;
    let name = fill(name);
    let is_name = !name.is_empty() && name.len() <= LONGEST && consists_of(&name, "_.$-");
    (is_name && !name.contains(UNKNOWN)).then_some(name)
}

/// Whether a host is plain enough to be taken over; an IPv6 address has colons.
fn is_host(host: &str) -> bool {
    // RFC 1035, section 2.3.4
    const LONGEST: usize = 255;
    host.len() <= LONGEST && consists_of(host, "_.:-")
}

fn consists_of(name: &str, others: &str) -> bool {
    name.chars().all(|c| c.is_ascii_alphanumeric() || others.contains(c))
}

fn read(dsn: &str) -> Option<Goes> {
    let (_, rest) = dsn.split_once("://")?;
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if host.is_empty() && !rest.contains("host") {
        // the driver takes this machine's socket, or what the process's own environment says
        let database = rest.strip_prefix(authority)?.trim_start_matches('/').split(['?', '#']).next()?;
        return Some(Goes::To { place: Place::Socket, database: self::database(database) });
    }
    let target = read_any_dsn(dsn)?;
    let place = match target.endpoint() {
        Endpoint::Tcp { host: Ok(host), .. }
            if host.as_str().contains(UNKNOWN) || !is_host(host.as_str()) =>
        {
            return Some(Goes::Somewhere);
        }
        Endpoint::Tcp { host: Ok(host), .. } => Place::Host(host.as_str().to_owned()),
        Endpoint::Socket { .. } => Place::Socket,
        _ => return None,
    };
    // where the DSN names no database the driver takes the user's name, which says nothing
    let named = rest.contains(&format!("/{}", target.database())) || rest.contains("dbname=");
    let database = named.then(|| database(target.database())).flatten();
    Some(Goes::To { place, database })
}

/// Puts defaults in for variables that have one, and a word that is nobody's for the others: `${A:-b}` becomes `b`;
/// `${A}`, `$A`, `$(a)`, `{{ a }}` and `${{ a }}` are not known here.
fn fill(text: &str) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['$', '{']) {
        filled.push_str(&rest[..at]);
        rest = &rest[at..];
        let (template, length) = template(rest);
        filled.push_str(template);
        rest = &rest[length..];
    }
    filled.push_str(rest);
    filled
}

/// What stands for the template at the beginning of `text`, and how long that is.
fn template(text: &str) -> (&str, usize) {
    for (open, close) in [("${{", "}}"), ("{{", "}}"), ("$(", ")"), ("${", "}")] {
        if let Some(inner) = text.strip_prefix(open)
            && let Some(end) = inner.find(close)
        {
            let default =
                (open == "${").then(|| inner[..end].split_once(":-").or(inner[..end].split_once('-')));
            let default = default.flatten().map(|(_, default)| default).filter(|default| !default.is_empty());
            return (default.unwrap_or(UNKNOWN), open.len() + end + close.len());
        }
    }
    let name = text[1..].find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len() - 1);
    if text.starts_with('$') && name > 0 { (UNKNOWN, 1 + name) } else { (&text[..1], 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_taken_over_only_if_it_is_one() {
        for name in ["shop", "shop-test_2.x$", &"x".repeat(63)] {
            assert_eq!(database(name).as_deref(), Some(name));
        }
        for text in
            ["", "postgres://app:hunter2@db/shop", "host=x password=hunter2", "a b", "a@b", &"x".repeat(64)]
        {
            assert_eq!(database(text), None, "{text}");
        }
        for text in ["x password=hunter2", "db;password=hunter2", "hunter2!", "a&b", "h\u{fc}nter2"] {
            let place = place(text);
            assert_eq!(place, None, "{text}");
        }
        for host in ["db", "db_1.internal", "10.0.0.5", "[::1]"] {
            assert!(matches!(place(host), Some(Place::Host(_))), "{host}");
        }
    }

    fn to(host: &str, database: Option<&str>) -> Vec<Goes> {
        vec![Goes::To { place: Place::Host(host.to_owned()), database: database.map(str::to_owned) }]
    }

    #[test]
    fn takes_host_and_database_and_nothing_else() {
        for (text, goes) in [
            ("postgres://app:secret@db.internal:5432/shop", to("db.internal", Some("shop"))),
            ("postgres://app:se/cr@et@db.internal/shop", to("db.internal", Some("shop"))),
            ("postgres://app:12,se@db-main.internal/shop", to("db-main.internal", Some("shop"))),
            ("postgres://app:1;2,se@db-main.internal/shop,x", to("db-main.internal", Some("shop"))),
            (
                "postgres://app@a.internal/x,postgres://app@b.internal/y",
                [to("a.internal", Some("x")), to("b.internal", Some("y"))].concat(),
            ),
            ("jdbc:postgresql://db.internal/shop?user=app", to("db.internal", Some("shop"))),
            ("mysql://app@db.internal", to("db.internal", None)),
            ("postgres://app@db.internal", to("db.internal", None)),
            ("psql \"postgres://app@DB.internal/shop\" -c 'select 1'", to("db.internal", Some("shop"))),
            ("postgres://db/a?host=prod.internal", to("prod.internal", Some("a"))),
            ("https://db.internal/shop", vec![]),
            ("no DSN at all", vec![]),
        ] {
            assert_eq!(all(text), goes, "{text}");
        }
    }

    #[test]
    fn what_only_the_job_knows_is_not_guessed() {
        for (text, goes) in [
            ("postgres://${USER}:${PASSWORD}@db:5432/$NAME", to("db", None)),
            ("postgres://app@${DB_HOST:-localhost}/shop", to("localhost", Some("shop"))),
            ("postgres://app:x@${DB_HOST}/shop", vec![Goes::Somewhere]),
            ("postgres://app@{{ host }}/shop", vec![Goes::Somewhere]),
            ("${{ secrets.DATABASE_URL }}", vec![]),
            ("postgres://app:pa$$word@db/shop", to("db", Some("shop"))),
        ] {
            assert_eq!(all(text), goes, "{text}");
        }
    }

    #[test]
    fn without_a_host_it_is_this_machine() {
        for text in ["postgres:///shop", "postgres:///shop?host=/var/run/postgresql"] {
            let goes = Goes::To { place: Place::Socket, database: Some("shop".to_owned()) };
            assert_eq!(all(text), [goes], "{text}");
        }
    }
}
