#![allow(unused)]

use fixture_guard::destructive_fixture;
use fixture_guard::sqlx::*;

#[destructive_fixture]
fn reset_db(conn: &mut PgConnection) {}

#[destructive_fixture]
pub fn with_everything_wrong(pool: &PgPool) -> impl Sized {}

fn main() {}
