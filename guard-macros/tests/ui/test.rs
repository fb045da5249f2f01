#![allow(unused)]

use fixture_guard::destructive_fixture;
use fixture_guard::sqlx::*;

mod tokio {
    pub use core::prelude::v1::test;
}
mod rstest {
    pub use core::prelude::v1::test as rstest;
}

#[destructive_fixture]
#[test]
fn above_test() {}

#[destructive_fixture(max_rows = 1)]
#[tokio::test]
async fn above_tokio(conn: &mut PgConnection) {}

#[destructive_fixture]
#[rstest::rstest]
async fn above_rstest() {}

#[destructive_fixture]
#[cfg_attr(all(), tokio::test)]
async fn conditionally(conn: &mut PgConnection) {}

// What `#[tokio::test]` and `#[sqlx::test]` hand to an attribute below them.
#[destructive_fixture]
#[::core::prelude::v1::test]
fn handed_down() {}

fn main() {}
