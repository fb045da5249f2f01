//! Methods: every receiver, inherent and of a trait.

use std::sync::Arc;

use fixture_guard::{Error, IntoTarget, PgConnection, PgPool, destructive_fixture};

use crate::run;

#[derive(Clone, Debug, Default)]
struct Shop {
    name: String,
    resets: u32,
}

impl Shop {
    #[destructive_fixture]
    async fn shared(&self, conn: &mut PgConnection) -> Result<&str, Error> {
        conn.execute("DELETE").await;
        Ok(&self.name)
    }

    #[destructive_fixture]
    async fn exclusive(&mut self, conn: &mut PgConnection, by: u32) -> Self {
        conn.execute("DELETE").await;
        self.resets += by;
        self.clone()
    }

    #[destructive_fixture]
    async fn owned(self, conn: &mut PgConnection) -> String {
        conn.execute("DELETE").await;
        self.name
    }

    #[destructive_fixture]
    async fn owned_and_changed(mut self, conn: &mut PgConnection) -> Self {
        conn.execute("DELETE").await;
        self.resets += 1;
        self
    }

    #[destructive_fixture]
    async fn counted(self: Arc<Self>, conn: &mut PgConnection) -> usize {
        conn.execute("DELETE").await;
        self.name.len()
    }

    #[destructive_fixture]
    #[allow(clippy::unused_self)]
    async fn owned_and_unused(self, conn: &mut PgConnection) {
        conn.execute("DELETE").await;
    }

    #[destructive_fixture]
    async fn named<'a>(&'a self, conn: &mut PgConnection, other: &str) -> (&'a str, usize) {
        conn.execute("DELETE").await;
        (&self.name, other.len())
    }

    #[destructive_fixture]
    async fn associated(conn: &mut PgConnection) -> Self {
        conn.execute("DELETE").await;
        Self::default()
    }
}

/// As others see it, with a future that they can spawn.
#[expect(unreachable_pub)]
pub trait Wipe {
    fn wipe(&self, conn: impl IntoTarget<PgConnection>) -> impl Future<Output = Result<(), Error>> + Send;
}

impl Wipe for Shop {
    #[destructive_fixture]
    async fn wipe(&self, conn: &mut PgConnection) -> Result<(), Error> {
        conn.execute("DELETE").await;
        Ok(())
    }
}

trait Reset {
    const STATEMENT: &'static str;

    async fn reset(&self, conn: impl IntoTarget<PgConnection>) -> Result<(), Error>;

    /// Is guarded in the trait itself.
    #[destructive_fixture]
    async fn provided(&self, conn: &mut PgConnection) -> Result<(), Error> {
        conn.execute(Self::STATEMENT).await;
        Ok(())
    }
}

impl Reset for Shop {
    const STATEMENT: &'static str = "TRUNCATE";

    #[destructive_fixture]
    async fn reset(&self, conn: &mut PgConnection) -> Result<(), Error> {
        conn.execute("DELETE").await;
        Ok(())
    }
}

#[test]
fn keeps_every_receiver() {
    let pool = PgPool::disposable();
    let mut shop = Shop { name: String::from("shoplite"), resets: 0 };

    assert_eq!(run(shop.shared(&pool)).unwrap(), "shoplite");
    assert_eq!(run(shop.exclusive(&pool, 2)).resets, 2);
    assert_eq!(run(shop.clone().owned(&pool)), "shoplite");
    assert_eq!(run(shop.clone().owned_and_changed(&pool)).resets, 3);
    assert_eq!(run(Arc::new(shop.clone()).counted(&pool)), 8);
    assert_eq!(run(shop.named(&pool, "a")), ("shoplite", 1));
    assert_eq!(run(Shop::associated(&pool)).resets, 0);
    run(shop.owned_and_unused(&pool));

    assert_eq!(pool.journal(), ["begin", "DELETE", "commit"].repeat(8));
}

#[test]
fn guards_a_trait_s_methods_where_they_have_a_body() {
    let pool = PgPool::disposable();

    run(Shop::default().wipe(&pool)).unwrap();
    run(Shop::default().reset(&pool)).unwrap();
    run(Shop::default().provided(&pool)).unwrap();

    let (delete, truncate) = (["begin", "DELETE", "commit"], ["begin", "TRUNCATE", "commit"]);
    assert_eq!(pool.journal(), [delete, delete, truncate].concat());
}
