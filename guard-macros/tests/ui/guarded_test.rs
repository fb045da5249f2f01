#![allow(unused)]

use fixture_guard::guarded_test;
use fixture_guard::sqlx::*;
use fixture_guard::{GuardedTransaction, destructive_fixture};

mod tokio {
    pub use core::prelude::v1::test;
}
mod rstest {
    pub use core::prelude::v1::test as fixture;
}

#[guarded_test]
#[tokio::test]
async fn two_runtimes(tx: &mut GuardedTransaction) {}

#[guarded_test]
#[test]
fn not_async(tx: &mut GuardedTransaction) {}

#[guarded_test]
fn sync(tx: &mut GuardedTransaction) {}

#[guarded_test]
async fn nothing() {}

#[guarded_test]
async fn pool(pool: &PgPool) {}

#[guarded_test]
async fn by_value(tx: GuardedTransaction) {}

#[guarded_test]
async fn more(tx: &mut GuardedTransaction, limit: u32, (a, b): (u8, u8)) {}

#[guarded_test]
async fn generic<T>(tx: &mut GuardedTransaction) {}

#[guarded_test(max_rows = 3, host = "x", target, target = 1 +)]
async fn options(tx: &mut GuardedTransaction) {}

#[guarded_test]
#[destructive_fixture]
async fn both(tx: &mut GuardedTransaction) {}

#[guarded_test]
#[guarded_test]
async fn twice(tx: &mut GuardedTransaction) {}

#[guarded_test]
#[rstest::fixture]
async fn fixture(tx: &mut GuardedTransaction) {}

#[guarded_test]
struct NotAFunction;

struct Suite;

impl Suite {
    #[guarded_test]
    async fn method(&self, tx: &mut GuardedTransaction) {}
}

fn main() {}
