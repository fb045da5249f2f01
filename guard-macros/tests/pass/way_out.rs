//! How a fixture ends: refused, by an early `return`, by a panic; and where a refusal points.

use std::panic::{AssertUnwindSafe, catch_unwind};

use fixture_guard::{Error, PgConnection, PgPool, destructive_fixture};

use crate::run;

#[destructive_fixture]
async fn early(conn: &mut PgConnection, leaves: bool) {
    if leaves {
        return;
    }
    conn.execute("DELETE").await;
}

#[destructive_fixture]
async fn question_mark(conn: &mut PgConnection) -> Result<(), Error> {
    let pool = PgPool::production();
    fixture_guard::begin(&pool).await?;
    conn.execute("DELETE").await;
    Ok(())
}

#[test]
fn finishes_after_an_early_return_and_after_a_question_mark() {
    let pool = PgPool::disposable();

    run(early(&pool, true));
    run(question_mark(&pool)).unwrap_err();

    assert_eq!(pool.journal(), ["begin", "commit", "begin", "rollback"]);
}

#[test]
fn runs_nothing_of_a_refused_body() {
    let pool = PgPool::production();

    run(question_mark(&pool)).unwrap_err();

    assert_eq!(pool.journal(), ["begin"]);
}

#[test]
fn points_at_the_caller_when_there_is_no_error_to_return() {
    let pool = PgPool::production();
    let line = line!() + 1;
    let refused = catch_unwind(AssertUnwindSafe(|| run(early(&pool, false)))).unwrap_err();

    let message = refused.downcast_ref::<String>().unwrap();

    assert!(message.contains(&format!("{}:{line}:", file!())), "{message}");
}
