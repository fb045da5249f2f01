//! Fixtures of a crate that is still in edition 2021, where `impl Future` captures no lifetime by itself and the
//! temporaries of a block's last expression outlive its variables.

use std::sync::Mutex;

use fixture_guard::{destructive_fixture, Error, PgConnection};

/// Borrows more than the connection.
///
/// # Errors
///
/// When the target is refused.
#[destructive_fixture]
pub async fn with_references(conn: &mut PgConnection, name: &str, tables: &[&str]) -> Result<usize, Error> {
    conn.execute("DELETE").await;
    Ok(name.len() + tables.len())
}

/// Ends with a temporary that borrows a parameter.
///
/// # Panics
///
/// When the target is refused.
#[destructive_fixture]
pub async fn with_a_temporary(conn: &mut PgConnection, count: Mutex<usize>) -> usize {
    conn.execute("DELETE").await;
    *count.lock().unwrap()
}

/// Holds what its fixtures need.
#[derive(Debug, Default)]
pub struct Shop {
    name: String,
}

impl Shop {
    /// Returns what it borrows from `self`.
    ///
    /// # Panics
    ///
    /// When the target is refused.
    #[destructive_fixture]
    pub async fn reset(&self, _conn: &mut PgConnection) -> &str {
        &self.name
    }
}
