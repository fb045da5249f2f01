//! Parameters after the connection: patterns, `impl Trait`, and how long they live.

use fixture_guard::{PgConnection, PgPool, destructive_fixture};

use crate::run;

struct Range {
    from: u32,
    to: u32,
}

#[expect(clippy::too_many_arguments)]
#[destructive_fixture]
async fn patterns(
    conn: &mut PgConnection,
    (a, mut b): (u32, u32),
    Range { from, to }: Range,
    [first, .., last]: [u32; 4],
    &c: &u32,
    mut d: u32,
    _: u32,
    _ignored: u32,
    whole @ (e, _): (u32, u32),
) -> u32 {
    conn.execute("DELETE").await;
    b += 1;
    d += 1;
    a + b + c + d + e + whole.1 + from + to + first + last
}

#[destructive_fixture]
async fn impl_trait(
    conn: &mut PgConnection,
    names: impl IntoIterator<Item = &'static str>,
    f: impl Fn(&str) -> usize,
) -> usize {
    let mut length = 0;
    for name in names {
        conn.execute(name).await;
        length += f(name);
    }
    length
}

#[destructive_fixture]
async fn references(conn: &mut PgConnection, name: &str, seen: &mut Vec<String>) {
    conn.execute("DELETE").await;
    seen.push(name.to_owned());
}

/// Says when it is dropped.
struct Held(PgPool);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.note("drop");
    }
}

#[destructive_fixture]
async fn never_mentioned(conn: &mut PgConnection, _held: Held, _: Held, (_, _): (Held, u8)) {
    conn.execute("DELETE").await;
}

#[destructive_fixture]
async fn configured(conn: &mut PgConnection, #[cfg(true)] kept: u32, #[cfg(false)] gone: Missing) -> u32 {
    conn.execute("DELETE").await;
    kept
}

#[destructive_fixture]
async fn unused_on_purpose(conn: &mut PgConnection, #[expect(unused_variables)] later: u32) {
    conn.execute("DELETE").await;
}

#[test]
fn hands_on_every_pattern() {
    let pool = PgPool::disposable();

    let sum = run(patterns(&pool, (1, 2), Range { from: 3, to: 4 }, [5, 0, 0, 6], &7, 8, 0, 0, (9, 10)));

    assert_eq!(sum, 57);
}

#[test]
fn hands_on_closures_iterators_and_references() {
    let pool = PgPool::disposable();
    let mut seen = Vec::new();

    assert_eq!(run(impl_trait(&pool, ["one", "three"], str::len)), 8);
    run(references(&pool, &String::from("staging"), &mut seen));
    assert_eq!(run(configured(&pool, 3)), 3);
    run(unused_on_purpose(&pool, 3));

    assert_eq!(seen, ["staging"]);
}

#[test]
fn keeps_an_argument_that_the_body_never_mentions_until_the_body_has_ended() {
    let pool = PgPool::disposable();

    run(never_mentioned(&pool, Held(pool.clone()), Held(pool.clone()), (Held(pool.clone()), 0)));

    assert_eq!(pool.journal(), ["begin", "DELETE", "drop", "drop", "drop", "commit"]);
}

#[test]
fn drops_the_arguments_of_a_future_that_is_never_polled() {
    let pool = PgPool::disposable();

    drop(never_mentioned(&pool, Held(pool.clone()), Held(pool.clone()), (Held(pool.clone()), 0)));

    assert_eq!(pool.journal(), ["drop"; 3]);
}
