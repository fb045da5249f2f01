//! The error types that fixtures return: each carries a refusal, and gives the guard's error back.

use fixture_guard::{Error, destructive_fixture};
use sqlx::{Executor, PgConnection};

use crate::disposable;
use crate::support::{self, STAGING};

/// A refusal needs no server: this is production's name.
const PRODUCTION_DSN: &str = "postgres://app:hunter2@prod-pg-cluster.internal/storefront";

const WRONG: &str = "SELECT 1 / 0";

#[destructive_fixture]
async fn with_sqlx(conn: &mut PgConnection) -> sqlx::Result<()> {
    conn.execute(WRONG).await?;
    Ok(())
}

#[destructive_fixture]
async fn with_anyhow(conn: &mut PgConnection) -> anyhow::Result<()> {
    conn.execute(WRONG).await?;
    anyhow::bail!("not here")
}

#[destructive_fixture]
async fn with_eyre(conn: &mut PgConnection) -> eyre::Result<()> {
    conn.execute(WRONG).await?;
    eyre::bail!("not here")
}

#[destructive_fixture]
async fn with_box(conn: &mut PgConnection) -> Result<(), Box<dyn std::error::Error>> {
    conn.execute(WRONG).await?;
    Err("not here".into())
}

#[destructive_fixture]
async fn with_sendable_box(conn: &mut PgConnection) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    conn.execute(WRONG).await?;
    Err("not here".into())
}

#[derive(Debug, thiserror::Error)]
enum ShopError {
    #[error(transparent)]
    Guard(#[from] Error),
    #[error("the database: {0}")]
    Database(#[from] sqlx::Error),
}

#[destructive_fixture]
async fn with_an_enum(conn: &mut PgConnection) -> Result<(), ShopError> {
    conn.execute(WRONG).await?;
    Ok(())
}

#[tokio::test]
async fn a_refusal_is_found_again_in_each() {
    let errors = [
        Error::in_sqlx(&with_sqlx(PRODUCTION_DSN).await.unwrap_err()).cloned(),
        with_anyhow(PRODUCTION_DSN).await.unwrap_err().downcast().ok(),
        with_eyre(PRODUCTION_DSN).await.unwrap_err().downcast().ok(),
        with_box(PRODUCTION_DSN).await.unwrap_err().downcast().ok().map(|error| *error),
        with_sendable_box(PRODUCTION_DSN).await.unwrap_err().downcast().ok().map(|error| *error),
        match with_an_enum(PRODUCTION_DSN).await.unwrap_err() {
            ShopError::Guard(error) => Some(error),
            ShopError::Database(_) => None,
        },
    ];

    for (position, error) in errors.into_iter().enumerate() {
        let error = error.unwrap_or_else(|| panic!("number {position} lost it"));
        assert!(error.refusal().is_some());
        let page = format!("{error} {error:?}");
        assert!(page.contains("FG002") && !page.contains("hunter2"), "{page}");
    }
}

#[tokio::test]
async fn the_bodys_own_error_comes_back_as_it_was() {
    let staging = support::postgres(STAGING).await.storefront().await;
    let target = || disposable(&staging).judging(staging.options());

    let errors = [
        with_sqlx(target()).await.unwrap_err().to_string(),
        with_anyhow(target()).await.unwrap_err().to_string(),
        with_eyre(target()).await.unwrap_err().to_string(),
        with_box(target()).await.unwrap_err().to_string(),
        with_sendable_box(target()).await.unwrap_err().to_string(),
        with_an_enum(target()).await.unwrap_err().to_string(),
    ];

    for error in errors {
        assert!(error.contains("division by zero"), "{error}");
    }
}
