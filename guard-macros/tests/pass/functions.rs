//! Free functions: visibility, documentation, places where a function can stand.

use fixture_guard::{Error, GuardedTransaction, PgConnection, PgPool, destructive_fixture};

use crate::run;

#[destructive_fixture]
async fn private(conn: &mut PgConnection) {
    conn.execute("DELETE").await;
}

/// Is documented.
///
/// # Errors
///
/// When the target is refused.
#[destructive_fixture()]
pub async fn public(conn: &mut PgConnection) -> Result<(), Error> {
    conn.execute("DELETE").await;
    Ok(())
}

#[destructive_fixture]
pub(crate) async fn restricted(conn: &mut PgConnection) {
    conn.execute("DELETE").await;
}

mod inner {
    #[fixture_guard::destructive_fixture]
    pub(super) async fn with_paths(
        conn: &mut fixture_guard::PgConnection,
    ) -> Result<(), fixture_guard::Error> {
        conn.execute("DELETE").await;
        Ok(())
    }
}

#[destructive_fixture]
async fn with_a_guarded_transaction(tx: &mut GuardedTransaction) -> Result<(), Error> {
    nested(&mut *tx).await?;
    tx.execute("TRUNCATE").await;
    Ok(())
}

#[destructive_fixture]
async fn nested(conn: &mut PgConnection) -> Result<(), Error> {
    conn.execute("DELETE").await;
    Ok(())
}

#[destructive_fixture]
async fn r#try(r#in: &mut PgConnection) {
    r#in.execute("DELETE").await;
}

#[destructive_fixture]
async fn unused_connection(_conn: &mut PgConnection) {}

#[destructive_fixture]
async fn nameless_connection(_: &mut PgConnection) {}

#[destructive_fixture]
async fn reassigned_connection(mut conn: &mut PgConnection) {
    conn = replaced(conn);
    conn.execute("DELETE").await;
}

const fn replaced(conn: &mut PgConnection) -> &mut PgConnection {
    conn
}

#[expect(unused_parens)]
#[destructive_fixture]
async fn parenthesised(conn: &mut (PgConnection)) {
    conn.execute("DELETE").await;
}

macro_rules! fixture_of {
    ($name:ident, $connection:ty, $body:block) => {
        #[destructive_fixture]
        async fn $name(conn: &mut $connection) {
            let _: &mut $connection = conn;
            $body
        }
    };
}

fixture_of!(from_a_macro, PgConnection, {});

#[test]
fn runs_between_begin_and_commit() {
    let pool = PgPool::disposable();

    run(private(&pool));
    run(public(&pool)).unwrap();
    run(restricted(&pool));
    run(inner::with_paths(&pool)).unwrap();
    run(r#try(&pool));
    run(reassigned_connection(&pool));
    run(parenthesised(&pool));

    assert_eq!(pool.journal(), ["begin", "DELETE", "commit"].repeat(7));
}

#[test]
fn runs_where_the_body_needs_no_connection() {
    let pool = PgPool::disposable();

    run(unused_connection(&pool));
    run(nameless_connection(&pool));
    run(from_a_macro(&pool));

    assert_eq!(pool.journal(), ["begin", "commit"].repeat(3));
}

#[test]
fn lends_a_guarded_transaction_in_which_others_nest() {
    let pool = PgPool::disposable();

    run(with_a_guarded_transaction(&pool)).unwrap();

    assert_eq!(pool.journal(), ["begin", "begin", "DELETE", "commit", "TRUNCATE", "commit"]);
}

#[test]
fn stands_inside_another_function() {
    #[destructive_fixture]
    async fn local(conn: &mut PgConnection) {
        conn.execute("DELETE").await;
    }
    let pool = PgPool::disposable();

    run(local(&pool));

    assert_eq!(pool.journal(), ["begin", "DELETE", "commit"]);
}
