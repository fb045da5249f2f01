//! Production code: its statements are its own business.

pub async fn forget_user(pool: &PgPool, id: i64) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM users WHERE id = $1").bind(id).execute(pool).await?; //~ NONE no code for tests
    Ok(())
}

#[cfg(test)]
mod tests;

#[cfg(any(test, feature = "fixtures"))]
pub async fn wipe(pool: &PgPool) {
    sqlx::query("TRUNCATE users").execute(pool).await.unwrap(); //~ FINDING truncate users
}

#[cfg(not(test))]
pub async fn purge(pool: &PgPool) {
    sqlx::query("TRUNCATE users").execute(pool).await.unwrap(); //~ NONE not in tests
}

#[cfg(feature = "test-support")]
pub mod support;

#[cfg(test)]
#[path = "elsewhere/odd.rs"]
mod odd;
