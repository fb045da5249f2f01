//! MySQL and MariaDB through sqlx.

use std::str::FromStr;

use sqlx::mysql::MySqlConnectOptions;

use super::dsn::{Dsn, Parameter, is_plain};
use super::{Flaw, InvalidDsn, Part, Target};

impl Target {
    /// Reads a MySQL DSN both as sqlx does and as other clients do, and gives the options to dial.
    ///
    /// ```
    /// let (target, _options) = fixture_guard_core::Target::from_mysql_dsn("mysql://app:secret@127.0.0.1/shop")?;
    /// assert_eq!(target.to_string(), "shop at 127.0.0.1:3306 as app");
    /// # Ok::<(), fixture_guard_core::InvalidDsn>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidDsn`] if sqlx cannot parse it; the message shows nothing of the string.
    pub fn from_mysql_dsn(dsn: &str) -> Result<(Self, MySqlConnectOptions), InvalidDsn> {
        let parsed = Dsn::parse(dsn)?;
        let options =
            MySqlConnectOptions::from_str(&parsed.without_unknown(classify)).map_err(|_| InvalidDsn)?;
        let mut target = Self::from(&options);
        parsed.examine(&mut target, &["mysql", "mariadb"], classify);
        Ok((target, options))
    }
}

/// What sqlx will dial: a socket wins over the host, also an empty one.
impl From<&MySqlConnectOptions> for Target {
    fn from(options: &MySqlConnectOptions) -> Self {
        let user = options.get_username().to_owned();
        let database = options.get_database().unwrap_or_default().to_owned();
        let port = options.get_port();
        let socket = options.get_socket().map(|path| path.to_string_lossy().into_owned());
        let mut target = match &socket {
            Some(path) => Self::socket(path, port, database, user),
            None => Self::tcp(options.get_host(), port, database, user),
        };
        for (part, text) in [
            (Part::Host, Some(options.get_host())),
            (Part::File, socket.as_deref()),
            (Part::User, Some(options.get_username())),
            (Part::Database, options.get_database()),
        ] {
            target.flag_control(|| part, text.unwrap_or_default());
        }
        // sqlx sends these inside `SET NAMES … COLLATE …`, and its connections take several statements at once
        for (key, value) in [("charset", Some(options.get_charset())), ("collation", options.get_collation())]
        {
            if !value.is_none_or(is_plain) {
                target.flag(Flaw::Statement(key.to_owned()));
            }
        }
        target.conceal_credentials();
        target
    }
}

/// The keys of sqlx-mysql 0.9 (`options/parse.rs`).
fn classify(key: &str) -> Parameter {
    match key {
        "socket" => Parameter::Socket,
        "charset" | "collation" | "timezone" | "time-zone" => Parameter::Plain,
        "sslmode"
        | "ssl-mode"
        | "sslca"
        | "ssl-ca"
        | "sslcert"
        | "ssl-cert"
        | "sslkey"
        | "ssl-key"
        | "statement-cache-capacity" => Parameter::Harmless,
        _ => Parameter::Unknown,
    }
}
