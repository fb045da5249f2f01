//! A future is `Send` where its body's is, and only there.

use std::rc::Rc;

use fixture_guard::{Error, PgConnection, PgPool, destructive_fixture};

use crate::run;

#[destructive_fixture]
async fn sendable(conn: &mut PgConnection, names: &[String]) -> Result<usize, Error> {
    conn.execute("DELETE").await;
    Ok(names.len())
}

#[destructive_fixture]
async fn generic<T: Send>(conn: &mut PgConnection, value: T) -> T {
    conn.execute("DELETE").await;
    value
}

/// Is not `Send`, as before.
#[expect(clippy::future_not_send)]
#[destructive_fixture]
async fn bound_to_its_thread(conn: &mut PgConnection, value: Rc<u32>) -> u32 {
    conn.execute("DELETE").await;
    *value
}

struct Shop(u32);

impl Shop {
    #[destructive_fixture]
    async fn reset(&self, conn: &mut PgConnection) -> u32 {
        conn.execute("DELETE").await;
        self.0
    }
}

const fn spawned<F: Future + Send>(future: F) -> F {
    future
}

/// As in `tokio::spawn(async move { … })`, where the compiler must prove it for every lifetime.
const fn spawned_forever<F: Future + Send + 'static>(future: F) -> F {
    future
}

#[test]
fn is_send_where_the_body_is() {
    let pool = PgPool::disposable();

    run(spawned(sendable(&pool, &[]))).unwrap();
    run(spawned(generic(&pool, 1)));
    run(spawned(Shop(1).reset(&pool)));
    run(bound_to_its_thread(&pool, Rc::new(1)));
    run(spawned_forever(async move {
        let names = vec![String::new()];
        sendable(&pool, &names).await.unwrap();
        let mut tx = fixture_guard::begin(&pool).await.unwrap();
        sendable(&mut tx, &names).await.unwrap();
        generic(&mut tx, &names).await.len()
    }));
}
