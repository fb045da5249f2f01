//! The smallest real use: `DATABASE_URL=postgres://… cargo run --example reset_db`.
//!
//! It ends with 0 if the database was reset, with 1 if the run failed and was rolled back, with 2 if `DATABASE_URL` is
//! missing, and with 3 if the guard refused.

use std::process::ExitCode;

use fixture_guard::{Error, destructive_fixture, observe};
use sqlx::PgConnection;

#[destructive_fixture(
    hosts = ["localhost", "127.0.0.1", "*-staging*"],
    tables = ["categories", "cms_blocks"],
    max_rows = 10_000,
)]
async fn reset_db(conn: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query("TRUNCATE categories, cms_blocks").execute(conn).await?;
    Ok(())
}

#[tokio::main]
async fn main() -> ExitCode {
    #[expect(
        clippy::disallowed_methods,
        reason = "a program may read its own settings; the guard judges where they lead"
    )]
    let Ok(dsn) = std::env::var("DATABASE_URL") else {
        eprintln!("reset_db: set DATABASE_URL to a database that may be reset, as in");
        eprintln!("  DATABASE_URL=postgres://me@localhost/my_test cargo run --example reset_db");
        return ExitCode::from(2);
    };

    let observed = observe(reset_db(dsn)).await;

    match observed.returned {
        Ok(()) => {
            for run in observed.runs {
                println!("{run}");
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            // the guard's own is a page: the target, every reason, and what to do
            if let Some(guards) = Error::in_sqlx(&error) {
                eprint!("{guards}");
                if guards.refusal().is_some() { ExitCode::from(3) } else { ExitCode::FAILURE }
            } else {
                eprintln!("reset_db: {error}");
                ExitCode::FAILURE
            }
        }
    }
}
