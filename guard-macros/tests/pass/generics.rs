//! Type parameters, const parameters, lifetimes and `where`.

use std::fmt::Display;

use fixture_guard::{Error, PgConnection, PgPool, destructive_fixture};

use crate::run;

#[destructive_fixture(hosts = ["*-staging*"], tables = ["categories"], max_rows = 10_000)]
async fn types<T, const N: usize>(conn: &mut PgConnection, keep: T) -> Result<[T; N], Error>
where
    T: Clone + Send + Copy,
{
    conn.execute("DELETE").await;
    Ok([keep; N])
}

#[expect(single_use_lifetimes)]
#[destructive_fixture]
async fn lifetimes<'a, 'b: 'a>(conn: &mut PgConnection, one: &'a str, other: &'b str) -> &'a str {
    conn.execute("DELETE").await;
    if one.len() > other.len() { one } else { other }
}

#[destructive_fixture]
async fn errors<E>(conn: &mut PgConnection, fails: bool, error: E) -> Result<(), E>
where
    E: From<Error> + Display,
{
    conn.execute("DELETE").await;
    if fails { Err(error) } else { Ok(()) }
}

#[destructive_fixture]
async fn anything<T>(conn: &mut PgConnection, value: T) -> T {
    conn.execute("DELETE").await;
    value
}

#[destructive_fixture]
async fn elided(conn: &mut PgConnection, names: &[String]) -> Names<'_> {
    conn.execute("DELETE").await;
    Names(names)
}

#[derive(Debug)]
struct Names<'a>(&'a [String]);

#[test]
fn keeps_generics() {
    let pool = PgPool::disposable();

    assert_eq!(run(types::<_, 2>(&pool, 7)).unwrap(), [7, 7]);
    assert_eq!(run(lifetimes(&pool, "staging", "local")), "staging");
    assert_eq!(
        run(errors::<Box<dyn std::error::Error>>(&pool, true, "no".into())).unwrap_err().to_string(),
        "no"
    );
    assert_eq!(run(anything(&pool, "value")), "value");
    assert_eq!(run(elided(&pool, &[String::from("a")])).0, ["a"]);
}

#[test]
fn answers_a_refusal_with_the_error_type_that_the_caller_chose() {
    let pool = PgPool::production();

    let refusal = run(errors::<Box<dyn std::error::Error>>(&pool, false, "no".into())).unwrap_err();

    assert!(refusal.is::<Error>());
    assert_eq!(pool.journal(), ["begin"]);
}
