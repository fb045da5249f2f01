//! Guarded tests, in every shape that a test can have.

use fixture_guard::sqlx::PgConnection;
use fixture_guard::{GuardedTransaction, OnSuccess, PgPool, guarded_test};

#[guarded_test]
async fn is_handed_a_transaction_of_its_own(tx: &mut GuardedTransaction) {
    let fixture = tx.fixture().unwrap();
    assert_eq!(
        (fixture.name, fixture.on_success),
        ("is_handed_a_transaction_of_its_own", OnSuccess::Rollback)
    );
    assert!(fixture.place.file.ends_with("guarded.rs"));
}

#[expect(clippy::unused_async, reason = "what a team's own helper looks like")]
async fn pool() -> PgPool {
    PgPool::disposable()
}

#[guarded_test(target = pool().await, hosts = ["*-staging*"], databases = ["shop"], environment = "staging", crate = fixture_guard)]
#[allow(dropping_references)]
async fn narrows(conn: &mut PgConnection) -> Result<(), Box<dyn std::error::Error>> {
    drop(conn);
    "1".parse::<u8>()?;
    Ok(())
}

#[guarded_test]
#[should_panic(expected = "as it should")]
async fn panics(_: &mut GuardedTransaction) {
    panic!("as it should");
}

#[guarded_test(target = PgPool::production())]
#[ignore = "it is refused, and so fails because it does not panic"]
#[should_panic(expected = "not reached")]
async fn does_not_take_a_refusal_for_the_panic(_: &mut GuardedTransaction) {
    panic!("not reached");
}

#[guarded_test]
#[tracing::instrument(skip_all)]
#[cfg(test)]
async fn keeps_other_macros(tx: &mut GuardedTransaction) {
    tx.execute("SELECT 1").await;
}

/// A non-`Send` value may live across an await.
#[guarded_test]
#[allow(clippy::future_not_send)]
pub(crate) async fn r#type(tx: &mut GuardedTransaction) {
    let shared = std::rc::Rc::new(1);
    tx.execute("SELECT 1").await;
    assert_eq!(*shared, 1);
    assert_eq!(tx.fixture().unwrap().name, "type");
}
