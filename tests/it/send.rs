//! A guarded future is `Send` where the body's is, and only there.

use std::rc::Rc;

use fixture_guard::{Error, GuardedTransaction, destructive_fixture};
use sqlx::{PgConnection, PgPool};

#[destructive_fixture]
async fn plain(conn: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM categories").execute(conn).await?;
    Ok(())
}

#[destructive_fixture]
async fn with_the_proof(tx: &mut GuardedTransaction, names: &[String]) -> Result<usize, Error> {
    fixture_guard::reset::all_tables(tx).except(names.iter().map(String::as_str)).await?;
    Ok(names.len())
}

#[destructive_fixture]
async fn generic<T: Send>(_: &mut PgConnection, value: T) -> T {
    value
}

#[destructive_fixture]
async fn takes_anything<T>(_: &mut PgConnection, value: T) -> T {
    value
}

#[destructive_fixture]
async fn holds_a_cell(conn: &mut PgConnection) -> sqlx::Result<()> {
    let count = Rc::new(1);
    sqlx::query("DELETE FROM categories").execute(conn).await?;
    drop(count);
    Ok(())
}

fn is_send<F: Send>(_: F) {}

/// As `tokio::spawn` asks: for every lifetime.
fn can_be_spawned<F: Future + Send + 'static>(_: F) {}

/// Whether a future is `Send`, as a value: method lookup prefers the answer that needs no further reference.
macro_rules! answers_send {
    ($future:expr) => {{
        let asked = &Asked($future);
        asked.is_send()
    }};
}

struct Asked<F>(F);

trait SendAnswer {
    fn is_send(&self) -> bool;
}

impl<F: Send> SendAnswer for Asked<F> {
    fn is_send(&self) -> bool {
        true
    }
}

trait OtherAnswer {
    fn is_send(&self) -> bool;
}

impl<F> OtherAnswer for &Asked<F> {
    fn is_send(&self) -> bool {
        false
    }
}

#[tokio::test]
async fn is_send_where_the_bodys_is() {
    let pool = PgPool::connect_lazy("postgres://app@localhost/shop").unwrap();
    let names = [String::new()];

    is_send(plain(&pool));
    is_send(plain("postgres://app@localhost/shop"));
    is_send(with_the_proof(&pool, &names));
    is_send(generic(&pool, &names));
    is_send(takes_anything(&pool, 1));
    can_be_spawned(async move {
        let mut tx = fixture_guard::begin(&pool).await.unwrap();
        plain(&mut tx).await.unwrap();
        with_the_proof(&mut tx, &[String::new()]).await.unwrap();
        generic(&mut tx, &names).await.len()
    });
}

#[tokio::test]
async fn is_not_send_where_the_bodys_is_not() {
    let pool = PgPool::connect_lazy("postgres://app@localhost/shop").unwrap();

    assert!(answers_send!(plain(&pool)), "the question itself works");
    assert!(!answers_send!(holds_a_cell(&pool)));
    assert!(!answers_send!(takes_anything(&pool, Rc::new(1))));
}
