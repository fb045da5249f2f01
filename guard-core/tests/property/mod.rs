//! What must be true of every string, for the property tests and for the fuzz targets.
//!
//! The checks share nothing with the guard: they ask the drivers' own options, tokio-postgres' parser, and a
//! line-by-line port of libpq's, and compare with plain string operations.

use std::net::IpAddr;
use std::sync::LazyLock;

use fixture_guard_core::{Environment, Facts, Policy, Reason, Surroundings, Target, judge};
use sqlx::mysql::MySqlConnectOptions;
use sqlx::postgres::PgConnectOptions;

/// A password that stands nowhere else.
pub(crate) const PASSWORD: &str = "Zq9xWv7Kpt3";

static POLICY: LazyLock<Policy> = LazyLock::new(|| {
    let mut disposable = Environment::destructive("disposable");
    for host in ["*-staging*", "localhost", "127.0.0.1", "::1"] {
        disposable = disposable.host(host).unwrap();
    }
    Policy::new().environment(disposable.socket("/run/*").unwrap()).unwrap()
});

fn reasons(target: &Target) -> Vec<Reason> {
    static NOTHING: LazyLock<Surroundings> = LazyLock::new(Surroundings::default);
    let facts = Facts { target, surroundings: &NOTHING, narrowing: None, addresses: None, identity: None };
    judge(&POLICY, &facts).err().unwrap_or_default()
}

/// Whether a PostgreSQL DSN is allowed.
#[allow(dead_code, reason = "the fuzz targets do not ask")]
pub(crate) fn is_allowed(dsn: &str) -> bool {
    Target::from_postgres_dsn(dsn).is_ok_and(|(target, _)| reasons(&target).is_empty())
}

/// If a PostgreSQL DSN is allowed, no client reads anything else out of it than a disposable place.
pub(crate) fn check_postgres(dsn: &str) {
    let Ok((target, options)) = Target::from_postgres_dsn(dsn) else { return };
    let allowed = reasons(&target).is_empty();
    check_output(&target);
    if !allowed {
        return;
    }
    check_sqlx_postgres(dsn, &options);
    if let Ok(config) = dsn.parse::<tokio_postgres::Config>() {
        for host in config.get_hosts() {
            match host {
                tokio_postgres::config::Host::Tcp(host) => assert_host(dsn, "tokio-postgres", host),
                tokio_postgres::config::Host::Unix(path) => {
                    assert_socket(dsn, "tokio-postgres", path.to_str().unwrap());
                }
            }
        }
        for address in config.get_hostaddrs() {
            assert_host(dsn, "tokio-postgres", &address.to_string());
        }
        for text in [config.get_dbname(), config.get_user()] {
            assert_no_word(dsn, "tokio-postgres", text.unwrap_or_default());
        }
        assert_no_word(dsn, "tokio-postgres", &unescaped(config.get_options().unwrap_or_default()));
    }
    for (key, value) in libpq(dsn).unwrap_or_default() {
        match key.as_str() {
            "host" | "hostaddr" => {
                for host in value.split(',').filter(|host| !host.is_empty()) {
                    if host.starts_with(['/', '@']) {
                        assert_socket(dsn, "libpq", host);
                    } else {
                        assert_host(dsn, "libpq", host);
                    }
                }
            }
            "dbname" | "user" => assert_no_word(dsn, "libpq", &value),
            "options" => assert_no_word(dsn, "libpq", &unescaped(&value)),
            "service" | "servicefile" => panic!("{dsn:?} is allowed, and libpq reads a service"),
            _ => {}
        }
    }
}

fn check_sqlx_postgres(dsn: &str, options: &PgConnectOptions) {
    let socket = options.get_socket().map(|path| path.to_str().unwrap().to_owned());
    let hidden = Some(options.get_host()).filter(|host| host.starts_with('/')).map(str::to_owned);
    match socket.or(hidden) {
        Some(path) => assert_socket(dsn, "sqlx", &path),
        None => assert_host(dsn, "sqlx", options.get_host()),
    }
    let name = options.get_application_name().unwrap_or_default();
    assert!(!name.contains('\0'), "{dsn:?} is allowed, and holds a NUL");
    for text in [options.get_username(), options.get_database().unwrap_or_default()] {
        assert!(text.len() < 64, "{dsn:?} is allowed, and the server cuts a name");
        assert_no_word(dsn, "sqlx", text);
    }
    assert_no_word(dsn, "sqlx", &unescaped(options.get_options().unwrap_or_default()));
}

/// The server takes the backslashes of session options away. One that is escaped stays, which does not matter here.
fn unescaped(options: &str) -> String {
    options.replace("\\\\", "\u{1}").replace('\\', "").replace('\u{1}', "\\")
}

/// If a MySQL DSN is allowed, sqlx dials a disposable place.
pub(crate) fn check_mysql(dsn: &str) {
    let Ok((target, options)) = Target::from_mysql_dsn(dsn) else { return };
    let allowed = reasons(&target).is_empty();
    check_output(&target);
    if allowed {
        check_sqlx_mysql(dsn, &options);
    }
}

fn check_sqlx_mysql(dsn: &str, options: &MySqlConnectOptions) {
    match options.get_socket() {
        Some(path) => assert_socket(dsn, "sqlx", path.to_str().unwrap()),
        None => assert_host(dsn, "sqlx", options.get_host()),
    }
    for text in [options.get_username(), options.get_database().unwrap_or_default()] {
        assert_no_word(dsn, "sqlx", text);
    }
    for text in [options.get_charset(), options.get_collation().unwrap_or_default()] {
        assert!(!text.contains([';', '\'', ' ']), "{dsn:?} is allowed, and holds a statement");
    }
}

/// If a SQLite DSN is allowed, it is in memory or names a disposable file.
pub(crate) fn check_sqlite(dsn: &str) {
    let Ok((target, options)) = Target::from_sqlite_dsn(dsn) else { return };
    let allowed = reasons(&target).is_empty();
    check_output(&target);
    if allowed {
        let name = options.get_filename().to_str().unwrap();
        let memory = name.contains("memory") || dsn.contains("mode=memory") || dsn.contains("%6D%65");
        let staging = name.to_lowercase().contains("-staging") || name.contains('%');
        let listed = ["localhost", "127.0.0.1", "::1"].iter().any(|listed| name.contains(listed));
        assert!(memory || staging || listed, "{dsn:?} is allowed, and opens {name:?}");
    }
}

/// No output holds the password of a DSN that was written as a person would, escaped or not.
pub(crate) fn check_secret(dsn: &str) {
    let shown = match Target::from_postgres_dsn(dsn) {
        Ok((target, _)) => shown(&target),
        Err(error) => format!("{error}\n{error:?}"),
    };
    assert!(!shown.contains(PASSWORD), "{dsn:?} shows its password:\n{shown}");
}

/// Everything that a caller may print of a target and of its reasons.
fn shown(target: &Target) -> String {
    reasons(target)
        .iter()
        .fold(format!("{target}\n{target:?}\n{}\n{}\n", target.database(), target.user()), |page, reason| {
            format!("{page}{reason}\n{reason:?}\n{}\n{}\n", reason.rule(), reason.help())
        })
}

/// What is shown fits a terminal: no control characters, and no page of one name.
fn check_output(target: &Target) {
    let shown = target.to_string();
    assert!(!shown.chars().any(char::is_control), "{shown:?} holds a control character");
    assert!(shown.len() < 8_192, "{} bytes of one target are shown", shown.len());
}

#[track_caller]
fn assert_host(dsn: &str, client: &str, host: &str) {
    let bare = host.trim_start_matches('[').trim_end_matches(']').to_lowercase();
    let bare = bare.strip_suffix('.').unwrap_or(&bare);
    let allowed = if let Ok(address) = bare.parse::<IpAddr>() {
        let address = address.to_canonical().to_string();
        ["127.0.0.1", "::1"].contains(&address.as_str())
    } else {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        bare.chars().all(plain) && (bare == "localhost" || bare.contains("-staging"))
    };
    assert!(allowed, "{dsn:?} is allowed, and {client} dials {host:?}");
    assert_no_word(dsn, client, host);
}

#[track_caller]
fn assert_socket(dsn: &str, client: &str, path: &str) {
    let allowed =
        path.trim_start_matches('/').starts_with("run/") && !path.split('/').any(|part| part == "..");
    assert!(allowed, "{dsn:?} is allowed, and {client} dials the socket {path:?}");
}

#[track_caller]
fn assert_no_word(dsn: &str, client: &str, text: &str) {
    let text = text.to_lowercase();
    let hash = text.starts_with("_sqlx_test_") && text.len() == 63;
    let word = text
        .split(|c: char| !c.is_alphabetic())
        .find(|piece| !hash && ["prod", "production", "prd", "live"].contains(piece));
    assert_eq!(word, None, "{dsn:?} is allowed, and {client} uses {text:?}");
    assert!(!text.contains('\0'), "{dsn:?} is allowed, and {client} sends a NUL");
}

/// What libpq reads: `conninfo_uri_parse_options` and `conninfo_uri_parse_params` of PostgreSQL 15, or `None` where
/// it answers with an error.
pub(crate) fn libpq(uri: &str) -> Option<Vec<(String, String)>> {
    const KEYWORDS: [&str; 12] = [
        "host",
        "hostaddr",
        "port",
        "dbname",
        "user",
        "password",
        "options",
        "application_name",
        "sslmode",
        "service",
        "connect_timeout",
        "target_session_attrs",
    ];
    let mut found: Vec<(String, String)> = Vec::new();
    let mut store = |key: &str, raw: &str| {
        let value = libpq_decode(raw)?;
        KEYWORDS.contains(&key).then(|| {
            found.retain(|(known, _)| known != key);
            found.push((key.to_owned(), value));
        })
    };
    let start = uri.strip_prefix("postgresql://").or_else(|| uri.strip_prefix("postgres://"))?;
    if start.contains('\0') {
        return None;
    }
    let mut rest = start;
    if let Some(at) = start.find(['@', '/']).filter(|at| start.as_bytes()[*at] == b'@') {
        let (user, password) = start[..at].split_once(':').unwrap_or((&start[..at], ""));
        if !user.is_empty() {
            store("user", user)?;
        }
        if !password.is_empty() {
            store("password", password)?;
        }
        rest = &start[at + 1..];
    }
    let mut hosts = String::new();
    loop {
        let host;
        if let Some(inside) = rest.strip_prefix('[') {
            let end = inside.find(']').filter(|end| *end > 0)?;
            host = &inside[..end];
            rest = &inside[end + 1..];
            if !rest.is_empty() && !rest.starts_with([':', '/', '?', ',']) {
                return None;
            }
        } else {
            let end = rest.find([':', '/', '?', ',']).unwrap_or(rest.len());
            host = &rest[..end];
            rest = &rest[end..];
        }
        hosts.push_str(host);
        if let Some(after) = rest.strip_prefix(':') {
            rest = &after[after.find(['/', '?', ',']).unwrap_or(after.len())..];
        }
        match rest.strip_prefix(',') {
            Some(after) => rest = after,
            None => break,
        }
        hosts.push(',');
    }
    if !hosts.is_empty() {
        store("host", &hosts)?;
    }
    if let Some(after) = rest.strip_prefix('/') {
        let end = after.find('?').unwrap_or(after.len());
        if end > 0 {
            store("dbname", &after[..end])?;
        }
        rest = &after[end..];
    }
    let parameters = rest.strip_prefix('?').unwrap_or_default();
    for pair in parameters.split('&').take_while(|_| !parameters.is_empty()) {
        let (key, value) = pair.split_once('=')?;
        if value.contains('=') {
            return None;
        }
        let key = libpq_decode(key)?;
        store(&key, value)?;
    }
    Some(found)
}

fn libpq_decode(text: &str) -> Option<String> {
    let mut decoded = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(if byte == b'%' {
            let mut digit = || char::from(bytes.next()?).to_digit(16);
            u8::try_from(digit()? * 16 + digit()?).ok().filter(|byte| *byte != 0)?
        } else {
            byte
        });
    }
    String::from_utf8(decoded).ok()
}

/// Writes a DSN as people, tools and accidents do; `choose(n)` gives a number below `n`. Most parts are plain, so
/// that what is odd about one part is not refused for another.
pub(crate) fn write_dsn(choose: &mut dyn FnMut(usize) -> usize) -> String {
    let mut dsn = String::new();
    let mut pick = |plain: &[&str], odd: &[&str]| {
        let list = if choose(10) == 9 { odd } else { plain };
        list[choose(list.len())].to_owned()
    };
    dsn += &pick(&["postgres", "postgresql"], &["POSTGRES", "http", "mysql", "sqlite", "jdbc:postgresql"]);
    dsn += &pick(&["://"], &[":", ":/", ":///"]);
    dsn += &pick(
        &["", "app@", "app:x@", "app%40main:x@"],
        &["prod@", "a:b@c@", "app:1#2@", "localhost:pw@", ":@", "app:1/2@", "%00@"],
    );
    dsn += &pick(&HOSTS, &ODD_HOSTS);
    dsn += &pick(&["", ":5432"], &[":", ":99999", ".", ",", ",main.internal", ":1,main:2"]);
    dsn += &pick(
        &["", "/", "/app", "/app_test"],
        &["/app_production", "/a/../b", "//app", "/a%2Fb", "/%2e%2e/x", "/app%00x", "/app "],
    );
    let mut mark = "?".to_owned();
    while pick(&["more", "done"], &["done"]) == "more" && dsn.len() < 400 {
        dsn += &mark;
        let key = pick(
            &["host", "dbname", "user", "port", "options", "password", "application_name", "sslmode"],
            &[
                "hostaddr",
                "options[search_path]",
                "service",
                "socket",
                "ho%73t",
                "HOST",
                "mode",
                "charset",
                "timezone",
                "x",
                "connect_timeout",
                "target_session_attrs",
                "",
                "host%00",
                "host+",
                "%68ost",
            ],
        );
        dsn += &key;
        dsn += &pick(&["="], &["", "%3D", "=="]);
        dsn += &match key.as_str() {
            "host" | "hostaddr" | "ho%73t" | "HOST" | "socket" | "%68ost" => pick(&HOSTS, &ODD_HOSTS),
            "port" => pick(&["5432"], &["5432,5433", "", "x"]),
            "sslmode" => pick(&["disable", "require"], &["", "x"]),
            _ => pick(
                &["", "app", "utf8mb4", "-c%20x%3D1", "-c x=1"],
                &[
                    "app_production",
                    "-csearch_path%3Dpr%5Cod",
                    "memory",
                    "a%00database%00main",
                    "prod",
                    "a,b",
                    "+",
                    "%0a",
                    "@",
                    "x;host=main",
                    "x&amp;host=main",
                    "db-staging?host=main",
                ],
            ),
        };
        mark = pick(&["&"], &[";", "&amp;", "?", "#", "&&", "%26"]);
    }
    dsn += &pick(&[""], &["#x", "#?host=main", " ", "\n", "&", "?"]);
    mutate(&dsn, choose)
}

const HOSTS: [&str; 9] = [
    "db-staging.internal",
    "db-staging",
    "localhost",
    "127.0.0.1",
    "[::1]",
    "DB-Staging.internal",
    "%2Frun%2Fpostgresql",
    "/run/postgresql",
    "[::ffff:127.0.0.1]",
];

const ODD_HOSTS: [&str; 17] = [
    "::1",
    "main.internal",
    "10.0.0.5",
    "prod-pg.internal",
    "db-staging.prod.internal",
    "/srv/main",
    "%2Fsrv%2Fmain",
    "/run/../srv/main",
    "",
    "127.1",
    "127.0.0.1.main.internal",
    "[::ffff:10.0.0.5]",
    "db-staging.internal,main.internal",
    "db-staging%2emain",
    "db\u{2010}staging",
    "localhost,main",
    "@main",
];

/// Percent-encodes, inserts, removes, doubles.
fn mutate(dsn: &str, choose: &mut dyn FnMut(usize) -> usize) -> String {
    const ODD: [char; 20] = [
        '@', '/', '?', '#', '&', ':', ',', '\\', '%', '\0', '\t', '\n', ' ', '[', ']', '.', ';', '=', '+',
        '\u{ff50}',
    ];
    let mut characters: Vec<char> = dsn.chars().collect();
    for _ in 0..[0, 0, 0, 0, 0, 0, 1, 1, 2, 4][choose(10)] {
        let at = choose(characters.len().max(1)).min(characters.len());
        match choose(4) {
            0 if at < characters.len() && characters[at].is_ascii() => {
                let encoded = format!("%{:02X}", characters[at] as u32);
                characters.splice(at..=at, encoded.chars());
            }
            1 => characters.insert(at, ODD[choose(ODD.len())]),
            2 if at < characters.len() => drop(characters.remove(at)),
            _ => {
                let tail: Vec<char> = characters[at..].to_vec();
                characters.extend(tail);
            }
        }
    }
    characters.into_iter().collect()
}

/// Writes a DSN with a password as people paste it, and nothing wrong besides.
pub(crate) fn write_secret(choose: &mut dyn FnMut(usize) -> usize) -> String {
    let mut pick = |list: &[&str]| list[choose(list.len())].to_owned();
    let scheme =
        pick(&["postgres://", "postgresql://", "postgres:", "postgres:/", "jdbc:postgresql://", "http://"]);
    let user = pick(&["", "app", "app%40corp", "corp/app", "corp\\app", "app@corp", "prod"]);
    let before = pick(&[
        "",
        "/",
        "1/",
        "#",
        "1#",
        "?",
        "1?",
        "1?host=",
        "1?user_",
        "1?dbname=",
        "1?x=",
        "@",
        "p@",
        ":",
        "%",
        "%2",
        "\\",
        " ",
        "1 ",
        "%2F",
        "1/../",
        "//",
        "1,",
    ]);
    let after = pick(&["", "/", "#", "?", "&x=1", "@", "%", "prod", "\u{e9}"]);
    let host = pick(&HOSTS);
    let path = pick(&["", "/app", "/app_production", "/app?sslmode=disable", "/app?password=Zq9xWv7Kpt3"]);
    format!("{scheme}{user}:{before}{PASSWORD}{after}@{host}{path}")
}
