#![allow(unused)]

use fixture_guard::destructive_fixture;
use fixture_guard::sqlx::*;

#[destructive_fixture]
async unsafe fn dangerous(conn: &mut PgConnection) {}

#[destructive_fixture]
async extern "C" fn foreign(conn: &mut PgConnection) {}

#[destructive_fixture]
const fn constant(conn: &mut PgConnection) {}

fn main() {}
