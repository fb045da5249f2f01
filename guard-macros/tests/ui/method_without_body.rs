#![allow(unused)]

use fixture_guard::destructive_fixture;
use fixture_guard::sqlx::*;

trait Reset {
    #[destructive_fixture]
    async fn reset(&self, conn: &mut PgConnection);
}

fn main() {}
