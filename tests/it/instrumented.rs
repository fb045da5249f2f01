//! `#[tracing::instrument]` records arguments. Above the attribute or below it, what a caller hands over for the
//! connection, a DSN with its password, is not among them.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use fixture_guard::{GuardedTransaction, destructive_fixture};
use sqlx::{Executor, PgConnection};
use tracing_subscriber::fmt::format::FmtSpan;

use crate::disposable;
use crate::support::{self, APP_PASSWORD, Rerun, STAGING};

#[destructive_fixture]
#[tracing::instrument(ret, err(Debug))]
async fn instrumented_below(conn: &mut PgConnection, table: &str) -> sqlx::Result<u64> {
    tracing::info!("here speaks the body");
    Ok(conn.execute("DELETE FROM cms_blocks").await?.rows_affected())
}

#[tracing::instrument(ret, err(Debug))]
#[destructive_fixture]
async fn instrumented_above(conn: &mut PgConnection, table: &str) -> sqlx::Result<u64> {
    tracing::info!("here speaks the body");
    Ok(conn.execute("DELETE FROM banners").await?.rows_affected())
}

#[destructive_fixture]
#[tracing::instrument(ret, err(Debug))]
async fn instrumented_with_the_proof(tx: &mut GuardedTransaction, table: &str) -> sqlx::Result<u64> {
    tracing::info!("here speaks the body");
    Ok(tx.execute("DELETE FROM stores").await?.rows_affected())
}

/// What a subscriber wrote, as people read it in a log.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_arguments_that_tracing_records_hold_no_password() {
    // by itself, because tracing remembers for the whole process whom a place in the code interests
    support::rerun!(Rerun::new());
    let staging = support::postgres(STAGING).await.storefront().await;
    let policy = disposable(&staging);
    let dsn = staging.dsn();
    assert!(dsn.contains(APP_PASSWORD));
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_span_events(FmtSpan::FULL)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _here = tracing::subscriber::set_default(subscriber);

    let wrong_password = dsn.replace(APP_PASSWORD, "hunter2");
    let production = "postgres://app:hunter2@prod-db.internal/shop";
    for target in [&dsn, &wrong_password, production] {
        let results = [
            instrumented_below(policy.judging(target), "the second argument").await,
            instrumented_above(policy.judging(target), "the second argument").await,
            instrumented_with_the_proof(policy.judging(target), "the second argument").await,
        ];
        for result in results {
            assert_eq!(result.is_ok(), target == dsn, "{result:?}");
        }
    }

    let text = log.text();
    for table in ["cms_blocks", "banners", "stores"] {
        assert_eq!(staging.rows(table).await, 0, "{table}");
    }
    assert_eq!(text.matches("here speaks the body").count(), 3, "{text}");
    // it did record the connection, and the other argument
    assert!(text.contains("conn=PgConnection") && text.contains("tx=GuardedTransaction"), "{text}");
    assert!(text.contains("the second argument"), "{text}");
    assert!(!text.contains(APP_PASSWORD) && !text.contains("hunter2"), "{text}");
}
