//! Names that the expansion uses itself, and names of the prelude that the user has given to something else.

use fixture_guard::{PgConnection, PgPool, destructive_fixture};

use crate::run;

const FIXTURE: u32 = 1;

#[destructive_fixture]
async fn ours(conn: &mut PgConnection, guard: u32, answer: u32, returned: u32, fixture: u32) -> u32 {
    conn.execute("DELETE").await;
    guard + answer + returned + fixture + FIXTURE
}

#[destructive_fixture]
async fn ours_for_the_connection(guard: &mut PgConnection, connection: u32, argument_0: u32, _: u32) -> u32 {
    guard.execute("DELETE").await;
    connection + argument_0
}

#[destructive_fixture]
async fn ours_for_a_nameless_connection(_: &mut PgConnection, connection: u32) -> u32 {
    connection
}

mod shadowed {
    use fixture_guard::{Error, PgConnection, destructive_fixture};

    #[derive(Debug)]
    pub(super) struct Ok;
    #[derive(Debug)]
    pub(super) struct Err;
    #[derive(Debug)]
    pub(super) struct Some;
    #[derive(Debug)]
    pub(super) struct Send;
    #[derive(Debug)]
    pub(super) struct Future;
    #[derive(Debug)]
    pub(super) struct Fixture;
    #[derive(Debug)]
    pub(super) struct IntoTarget;
    pub(super) type Result = core::result::Result<(), Error>;
    pub(super) mod core {
        pub(in super::super) use ::core::result;
    }

    #[destructive_fixture]
    pub(super) async fn alias(conn: &mut PgConnection) -> Result {
        let _ = (Ok, Err, Some, Send, Future, Fixture, IntoTarget);
        conn.execute("DELETE").await;
        Result::Ok(())
    }
}

#[test]
fn keeps_the_user_s_names_apart_from_ours() {
    let pool = PgPool::disposable();

    assert_eq!(run(ours(&pool, 1, 2, 3, 4)), 11);
    assert_eq!(run(ours_for_the_connection(&pool, 1, 2, 3)), 3);
    assert_eq!(run(ours_for_a_nameless_connection(&pool, 1)), 1);
    run(shadowed::alias(&pool)).unwrap();
}
