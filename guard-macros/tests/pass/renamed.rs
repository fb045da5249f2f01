//! The library under another name.

use fixture_guard as guard;

mod prelude {
    pub(super) use fixture_guard::*;
}

mod nested {
    pub(super) extern crate fixture_guard as ours;
}

#[guard::destructive_fixture(crate = guard)]
async fn renamed(conn: &mut guard::PgConnection) {
    conn.execute("DELETE").await;
}

#[prelude::destructive_fixture(crate = crate::renamed::nested::ours)]
#[tracing::instrument(skip(conn))]
async fn reexported(conn: &mut prelude::PgConnection) {
    conn.execute("DELETE").await;
}

#[test]
fn finds_the_library_under_another_name() {
    let pool = guard::PgPool::disposable();

    crate::run(renamed(&pool));
    crate::run(reexported(&pool));

    assert_eq!(pool.journal(), ["begin", "DELETE", "commit"].repeat(2));
}
