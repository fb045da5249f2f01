//! What the connected server says about itself.

use std::fmt;
use std::net::IpAddr;

use serde::Deserialize;

use crate::marker::Marker;
use crate::secrets::{Value, holds_credentials};

/// What the connected server says about itself, read inside the fixture's own transaction.
///
/// `None` means that there is nothing, or that the server did not let this role read it: a rule that needs the fact
/// refuses.
///
/// ```
/// # use fixture_guard_core as fixture_guard;
/// fn describe(tx: &fixture_guard::GuardedTransaction) -> String {
///     let identity = tx.identity();
///     format!("{} as {} on cluster {:?}", identity.database, identity.login_role, identity.system_identifier)
/// }
/// ```
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
#[expect(clippy::struct_excessive_bools, reason = "facts of the server, in its own words")]
pub struct Identity {
    /// The database of this session.
    pub database: String,
    /// The role that logged in (`session_user`).
    pub login_role: String,
    /// The role whose rights hold for the body (`current_user`).
    pub effective_role: String,
    /// Whether the effective role is a superuser.
    pub superuser: bool,
    /// The server's end of the connection; `None` over a unix socket.
    pub server_address: Option<IpAddr>,
    /// The server's end of the connection; `None` over a unix socket.
    pub server_port: Option<u16>,
    /// Our end of the connection as the server sees it; `None` over a unix socket.
    pub client_address: Option<IpAddr>,
    /// The cluster's own number, made by `initdb`; a physical copy carries the same. `None` where the role may not
    /// execute `pg_control_system()`.
    #[serde(skip)]
    pub system_identifier: Option<u64>,
    /// `cluster_name`, which only the server's owner can set.
    pub cluster_name: String,
    /// As `server_version_num`: 150018 is 15.18.
    pub version: u32,
    /// Whether this is a standby.
    pub in_recovery: bool,
    /// Whether the session's transactions are read-only unless they say otherwise, because of connect options, a hook of the
    /// pool, or the configuration of the role, the database or the server.
    #[serde(default)]
    pub read_only: bool,
    /// Whether the transaction that asked began with the question.
    #[serde(default)]
    pub(crate) began_here: bool,
    /// The server's `port` setting, which names its unix socket too.
    #[serde(default)]
    pub(crate) port_setting: Option<u16>,
    /// `unix_socket_directories`; `None` where this role may not read it.
    #[serde(default)]
    pub(crate) socket_directories: Option<String>,
    /// Whether the database has event triggers that are enabled.
    #[serde(default)]
    pub(crate) event_triggers: bool,
    /// `search_path` as it holds for the body.
    pub search_path: String,
    /// The database's owner.
    pub owner: String,
    /// The database's comment.
    pub comment: Option<String>,
    /// Settings that the catalogue holds for this database or role, in the order of their text.
    #[serde(deserialize_with = "or_none_at_all")]
    pub stored_settings: Vec<StoredSetting>,
    /// Other client sessions on this database.
    pub other_sessions: u64,
}

/// One setting of `pg_db_role_setting`: what `ALTER DATABASE … SET` or `ALTER ROLE … SET` stored.
///
/// ```
/// # use fixture_guard_core as fixture_guard;
/// fn time_zone(identity: &fixture_guard::Identity) -> Option<&str> {
///     let stored = identity.stored_settings.iter().filter(|stored| stored.of_database && !stored.of_role);
///     stored.filter_map(|stored| stored.setting.strip_prefix("TimeZone=")).next()
/// }
/// ```
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct StoredSetting {
    /// As in `default_transaction_read_only=on`.
    pub setting: String,
    /// Stored for this database.
    pub of_database: bool,
    /// Stored for this role.
    pub of_role: bool,
}

/// The setting's name. The value is shown only of settings that a rule reads: others may be secrets.
impl fmt::Debug for StoredSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, value) = self.setting.split_once('=').unwrap_or((&self.setting, ""));
        let is_read = READ.iter().any(|read| name.eq_ignore_ascii_case(read)) && !holds_credentials(value);
        let shown = if is_read { &self.setting } else { name };
        f.debug_struct("StoredSetting")
            .field("setting", &shown)
            .field("of_database", &self.of_database)
            .field("of_role", &self.of_role)
            .finish()
    }
}

/// The settings that rules read.
const READ: [&str; 4] = [Marker::NAME, "default_transaction_read_only", "role", "search_path"];

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("database", &self.database)
            .field("login_role", &self.login_role)
            .field("effective_role", &self.effective_role)
            .field("superuser", &self.superuser)
            .field("server_address", &self.server_address)
            .field("server_port", &self.server_port)
            .field("client_address", &self.client_address)
            .field("system_identifier", &self.system_identifier)
            .field("cluster_name", &self.cluster_name)
            .field("version", &self.version)
            .field("in_recovery", &self.in_recovery)
            .field("search_path", &self.search_path)
            .field("owner", &self.owner)
            .field("comment", &self.comment.as_deref().map(|comment| Value(comment).to_string()))
            .field("stored_settings", &self.stored_settings)
            .field("other_sessions", &self.other_sessions)
            .finish_non_exhaustive()
    }
}

fn or_none_at_all<'de, D: serde::Deserializer<'de>>(settings: D) -> Result<Vec<StoredSetting>, D::Error> {
    Option::deserialize(settings).map(Option::unwrap_or_default)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_setting_shows_its_value_only_where_a_rule_reads_it() {
        let shown = |setting: &str| {
            format!("{:?}", StoredSetting { setting: setting.to_owned(), of_database: true, of_role: false })
        };
        for setting in [
            "app.settings.jwt_secret=hunter2",
            "app.key=hunter2",
            "fixture_guard.environment=postgres://app:hunter2@db/x",
            "search_path=password=hunter2",
        ] {
            let shown = shown(setting);
            assert!(!shown.contains("hunter2") && shown.contains(&setting[..7]), "{shown}");
        }
        assert!(shown("fixture_guard.environment=staging@7").contains("staging@7"));
        assert!(shown("default_transaction_read_only=on").contains("=on"));
    }
}
