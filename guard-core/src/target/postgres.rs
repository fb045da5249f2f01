//! PostgreSQL through sqlx.

use std::str::FromStr;

use sqlx::postgres::PgConnectOptions;

use super::dsn::{Dsn, Parameter};
use super::{Flaw, InvalidDsn, Part, Target};

impl Target {
    /// Reads a PostgreSQL DSN both as sqlx does and as other clients do, and gives the options to dial.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// let (target, _options) = fixture_guard::Target::from_postgres_dsn("postgres://app:secret@127.0.0.1:6432/shop")?;
    /// assert_eq!(target.to_string(), "shop at 127.0.0.1:6432 as app");
    /// # Ok::<(), fixture_guard::InvalidDsn>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidDsn`] if sqlx cannot parse it; the message shows nothing of the string.
    pub fn from_postgres_dsn(dsn: &str) -> Result<(Self, PgConnectOptions), InvalidDsn> {
        let parsed = Dsn::parse(dsn)?;
        let options =
            PgConnectOptions::from_str(&parsed.without_unknown(classify)).map_err(|_| InvalidDsn)?;
        let mut target = Self::from(&options);
        parsed.examine(&mut target, &["postgres", "postgresql"], classify);
        Ok((target, options))
    }
}

/// What sqlx will dial, from the options that it dials with.
impl From<&PgConnectOptions> for Target {
    fn from(options: &PgConnectOptions) -> Self {
        let user = options.get_username().to_owned();
        // the server takes the user's name where the database is missing or empty
        let database = options.get_database().filter(|name| !name.is_empty()).unwrap_or(&user).to_owned();
        let port = options.get_port();
        // `PgConnectOptions::fetch_socket` is private; this repeats its rule: a socket that was set once wins over
        // every host, and a host that begins with a slash is a socket all the same.
        let socket = match options.get_socket() {
            Some(path) => Some(path.to_string_lossy().into_owned()),
            None if options.get_host().starts_with('/') => Some(options.get_host().to_owned()),
            None => None,
        };
        let mut target = match &socket {
            Some(path) => Self::socket(path, port, database, user),
            None => Self::tcp(options.get_host(), port, database, user),
        };
        for (part, text) in [
            (Part::Host, Some(options.get_host())),
            (Part::File, socket.as_deref()),
            (Part::User, Some(options.get_username())),
            (Part::Database, options.get_database()),
            (Part::Options, options.get_options()),
            (Part::ApplicationName, options.get_application_name()),
        ] {
            target.flag_control(|| part, text.unwrap_or_default());
        }
        // `NAMEDATALEN` is 64 and counts the final NUL
        for (part, name) in [(Part::Database, target.database.len()), (Part::User, target.user.len())] {
            if name > 63 {
                target.flag(Flaw::Length(part));
            }
        }
        target.text(Part::Options, unescaped(options.get_options().unwrap_or_default()));
        target.conceal_credentials();
        target
    }
}

/// Options as the server splits them (`pg_split_opts`): a backslash is taken away, and what follows it stays.
fn unescaped(options: &str) -> String {
    let mut characters = options.chars();
    std::iter::from_fn(|| match characters.next()? {
        '\\' => characters.next(),
        other => Some(other),
    })
    .collect()
}

/// The keys of sqlx-postgres 0.9 (`options/parse.rs`).
fn classify(key: &str) -> Parameter {
    match key {
        "host" | "hostaddr" => Parameter::Host,
        "dbname" => Parameter::Text(Part::Database),
        "user" => Parameter::Text(Part::User),
        // the driver gathers `options` and `options[…]` into one text, which is read from its options above
        "options" => Parameter::Harmless,
        key if key.starts_with("options[") && key.ends_with(']') => Parameter::Harmless,
        "port"
        | "password"
        | "application_name"
        | "sslmode"
        | "ssl-mode"
        | "sslrootcert"
        | "ssl-root-cert"
        | "ssl-ca"
        | "sslcert"
        | "ssl-cert"
        | "sslkey"
        | "ssl-key"
        | "statement-cache-capacity" => Parameter::Harmless,
        _ => Parameter::Unknown,
    }
}
