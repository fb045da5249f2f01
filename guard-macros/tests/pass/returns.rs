//! What a fixture may return: any `Result`, and any other type.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;

use fixture_guard::{Error, PgConnection, PgPool, destructive_fixture};

use crate::run;

/// A user's own error.
#[derive(Debug)]
enum ShopError {
    Refused(Error),
    Empty,
}

impl From<Error> for ShopError {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl fmt::Display for ShopError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => error.fmt(f),
            Self::Empty => f.write_str("empty"),
        }
    }
}

impl StdError for ShopError {}

#[destructive_fixture]
async fn own_error(conn: &mut PgConnection, fails: bool) -> Result<u32, ShopError> {
    conn.execute("DELETE").await;
    if fails {
        return Err(ShopError::Empty);
    }
    Ok(1)
}

/// Needs the coercions that the function's return type brings: of the error, and of the value.
#[expect(clippy::future_not_send)]
#[destructive_fixture]
async fn boxed(
    conn: &mut PgConnection,
    number: &str,
) -> Result<Box<dyn fmt::Display>, Box<dyn StdError + Send + Sync>> {
    conn.execute("DELETE").await;
    let number: u32 = number.parse()?;
    if number == 0 {
        return Err(Box::new(ShopError::Empty));
    }
    if number == 1 {
        Err("one")?;
    }
    Ok(Box::new(number))
}

#[destructive_fixture]
async fn inferred(conn: &mut PgConnection) -> Result<Vec<u32>, ShopError> {
    conn.execute("DELETE").await;
    Ok(["1", "2"].into_iter().flat_map(str::parse).collect())
}

#[expect(clippy::ptr_arg)]
#[destructive_fixture]
async fn coerced(conn: &mut PgConnection, name: &String) -> Option<&str> {
    conn.execute("DELETE").await;
    if name.is_empty() {
        return None;
    }
    Some(name)
}

#[destructive_fixture]
async fn function_pointer(conn: &mut PgConnection) -> fn(&str) -> usize {
    conn.execute("DELETE").await;
    |name| name.len()
}

#[destructive_fixture]
async fn borrowed(conn: &mut PgConnection, name: &str) -> Cow<'_, str> {
    conn.execute("DELETE").await;
    name.into()
}

#[destructive_fixture]
async fn unit(conn: &mut PgConnection) -> () {
    conn.execute("DELETE").await;
}

#[destructive_fixture]
async fn unfinished(conn: &mut PgConnection) -> Result<(), ShopError> {
    conn.execute("DELETE").await;
    unimplemented!()
}

#[destructive_fixture]
async fn exclusive<'a>(conn: &mut PgConnection, names: &'a mut Vec<u32>) -> &'a mut [u32] {
    conn.execute("DELETE").await;
    names.push(1);
    names
}

#[test]
fn coerces_and_infers_as_in_any_async_function() {
    let pool = PgPool::disposable();

    assert_eq!(run(own_error(&pool, false)).unwrap(), 1);
    assert!(matches!(run(own_error(&pool, true)), Err(ShopError::Empty)));
    assert_eq!(run(boxed(&pool, "7")).unwrap().to_string(), "7");
    assert!(run(boxed(&pool, "x")).is_err());
    assert_eq!(run(inferred(&pool)).unwrap(), [1, 2]);
    assert_eq!(run(coerced(&pool, &String::from("a"))), Some("a"));
    assert_eq!(run(function_pointer(&pool))("abc"), 3);
    assert_eq!(run(borrowed(&pool, "a")), "a");
    assert_eq!(run(exclusive(&pool, &mut vec![0])), [0, 1]);
    run(unit(&pool));
}

#[test]
fn answers_a_refusal_with_an_error() {
    let pool = PgPool::production();

    assert!(matches!(run(own_error(&pool, false)), Err(ShopError::Refused(_))));
    assert!(run(boxed(&pool, "7")).is_err_and(|error| error.is::<Error>()));
    assert!(run(unfinished(&pool)).is_err());

    assert_eq!(pool.journal(), ["begin"; 3]);
}
