//! Fixtures of a crate of another edition.

use std::sync::Mutex;

use fixture_guard::PgPool;
use fixture_guard_macros_edition_2021::{Shop, with_a_temporary, with_references};

use crate::run;

#[test]
fn captures_every_lifetime_in_edition_2021_too() {
    let pool = PgPool::disposable();

    assert_eq!(run(with_references(&pool, &String::from("a"), &[&String::from("b")])).unwrap(), 2);
    assert_eq!(run(with_a_temporary(&pool, Mutex::new(3))), 3);
    assert_eq!(run(Shop::default().reset(&pool)), "");
}
