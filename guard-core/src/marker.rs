//! What a database says that it is.
//!
//! The marker is a setting that `ALTER DATABASE … SET` stored, read from the catalogue and never with
//! `current_setting`, which a client can set to anything with `options=-c …`. It names the environment and the cluster:
//! a dump carries `ALTER DATABASE … SET` to wherever it is restored, and the cluster's identifier tells that.

use std::fmt;
use std::str::FromStr;

use sqlx::{AssertSqlSafe, Executor, PgConnection};

use crate::identity::Identity;

/// `staging@7710790977204075312`: an environment, and the cluster on which the database was marked as that.
///
/// ```
/// # use fixture_guard_core as fixture_guard;
/// use fixture_guard::Marker;
///
/// let marker: Marker = "staging@7710790977204075312".parse()?;
/// assert_eq!((marker.environment(), marker.system_identifier()), ("staging", Some(7710790977204075312)));
/// # Ok::<(), std::convert::Infallible>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker {
    environment: String,
    system_identifier: Option<u64>,
}

impl Marker {
    /// The setting in which a marker stands.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// assert_eq!(fixture_guard::Marker::NAME, "fixture_guard.environment");
    /// ```
    pub const NAME: &'static str = "fixture_guard.environment";

    /// The marker that [`write()`] would store for this environment on this cluster.
    ///
    /// ```
    /// use fixture_guard_core::Marker;
    ///
    /// assert_eq!(Marker::new("staging", 7710790977204075312).to_string(), "staging@7710790977204075312");
    /// ```
    #[must_use]
    pub fn new(environment: &str, system_identifier: u64) -> Self {
        Self { environment: environment.to_owned(), system_identifier: Some(system_identifier) }
    }

    /// The environment's name.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// assert_eq!("staging".parse::<fixture_guard::Marker>()?.environment(), "staging");
    /// # Ok::<(), std::convert::Infallible>(())
    /// ```
    #[must_use]
    pub fn environment(&self) -> &str {
        &self.environment
    }

    /// The cluster on which it was made; `None` if the marker does not say, as one that was written by hand.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// assert_eq!("staging".parse::<fixture_guard::Marker>()?.system_identifier(), None);
    /// # Ok::<(), std::convert::Infallible>(())
    /// ```
    #[must_use]
    pub fn system_identifier(&self) -> Option<u64> {
        self.system_identifier
    }

    /// The marker of the database that an identity was read from. One that is stored for a role does not count.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// use fixture_guard::{GuardedTransaction, Marker};
    ///
    /// fn marked_as(tx: &GuardedTransaction) -> Option<String> {
    ///     Marker::of(tx.identity()).map(|marker| marker.to_string())
    /// }
    /// ```
    #[must_use]
    pub fn of(identity: &Identity) -> Option<Self> {
        let stored = identity.stored_settings.iter().filter(|stored| stored.of_database && !stored.of_role);
        stored.filter_map(|stored| stored.setting.split_once('=')).find_map(|(name, value)| {
            // PostgreSQL keeps the name as it was written, and compares without case
            name.eq_ignore_ascii_case(Self::NAME).then(|| value.parse().ok())?
        })
    }
}

/// Every text is a marker: an environment, and a cluster if what stands after the last `@` is a number.
impl FromStr for Marker {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let cluster = text
            .rsplit_once('@')
            .and_then(|(environment, cluster)| Some((environment, cluster.parse().ok()?)));
        Ok(match cluster {
            Some((environment, cluster)) => {
                Self { environment: environment.to_owned(), system_identifier: Some(cluster) }
            }
            None => Self { environment: text.to_owned(), system_identifier: None },
        })
    }
}

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.system_identifier {
            Some(cluster) => write!(f, "{}@{cluster}", self.environment),
            None => f.write_str(&self.environment),
        }
    }
}

/// Reads the marker of the connected database.
///
/// ```no_run
/// # use fixture_guard_core as fixture_guard;
/// # async fn example(conn: &mut sqlx::PgConnection) -> sqlx::Result<()> {
/// if let Some(marker) = fixture_guard::marker::read(conn).await? {
///     println!("this database says that it is {}", marker.environment());
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// If the server cannot be asked.
pub async fn read(connection: &mut PgConnection) -> sqlx::Result<Option<Marker>> {
    const READ: &str = include_str!("postgres/marker.sql");
    let value: Option<String> = sqlx::query_scalar(READ).persistent(false).fetch_optional(connection).await?;
    Ok(value.and_then(|value| value.parse().ok()))
}

/// Marks the connected database as `environment`, on this very cluster. It holds from the next session on.
///
/// ```no_run
/// # use fixture_guard_core as fixture_guard;
/// # async fn example(conn: &mut sqlx::PgConnection) -> sqlx::Result<()> {
/// let marker = fixture_guard::marker::write(conn, "staging").await?;
/// println!("{marker}"); // staging@7710790977204075312
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// If the role may not do so: only a superuser may store a setting of this kind, or, from PostgreSQL 15 on, the
/// database's owner after `GRANT SET ON PARAMETER fixture_guard.environment`. That is as it should be: what a database
/// is, its administrator says, and not the role that tests run as.
pub async fn write(connection: &mut PgConnection, environment: &str) -> sqlx::Result<Marker> {
    let (statement, value): (String, String) = sqlx::query_as(
        "SELECT pg_catalog.format('ALTER DATABASE %I SET fixture_guard.environment = %L', pg_catalog.current_database(), m), m \
         FROM (SELECT $1 || '@' || system_identifier::pg_catalog.text AS m FROM pg_catalog.pg_control_system()) AS marker",
    )
    .bind(environment)
    .persistent(false)
    .fetch_one(&mut *connection)
    .await?;
    connection.execute(sqlx::raw_sql(AssertSqlSafe(statement))).await?;
    Ok(value.parse().unwrap_or_else(|never| match never {}))
}

/// Removes the marker of the connected database.
///
/// ```no_run
/// # use fixture_guard_core as fixture_guard;
/// # async fn example(conn: &mut sqlx::PgConnection) -> sqlx::Result<()> {
/// fixture_guard::marker::remove(conn).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// As for [`write()`].
pub async fn remove(connection: &mut PgConnection) -> sqlx::Result<()> {
    let statement: String = sqlx::query_scalar(
        "SELECT pg_catalog.format('ALTER DATABASE %I RESET fixture_guard.environment', pg_catalog.current_database())",
    )
    .persistent(false)
    .fetch_one(&mut *connection)
    .await?;
    connection.execute(sqlx::raw_sql(AssertSqlSafe(statement))).await?;
    Ok(())
}
