#![allow(unused)]

use fixture_guard::destructive_fixture;
use fixture_guard::sqlx::*;

mod rstest {
    pub use core::prelude::v1::test as fixture;
}

#[destructive_fixture]
#[rstest::fixture]
async fn above(conn: &mut PgConnection) {}

// What `#[fixture]` hands to an attribute below it.
struct Below;

impl Below {
    #[destructive_fixture]
    #[allow(unused_mut)]
    pub async fn get(conn: &mut PgConnection) -> Result<()> {
        reset_db(conn).await
    }
}

async fn reset_db(conn: &mut PgConnection) -> Result<()> {
    Ok(())
}

fn main() {}
