#![allow(unused)]

use fixture_guard::destructive_fixture;
use fixture_guard::sqlx::*;

#[destructive_fixture]
async fn reset_db<C>(conn: &mut C) {}

#[destructive_fixture]
async fn projected<DB: Database>(conn: &mut <DB as Database>::Connection) {}

#[destructive_fixture]
async fn projected_short<DB: Database>(conn: &mut DB::Connection) {}

#[destructive_fixture]
async fn anonymous(conn: &mut impl Send) {}

#[destructive_fixture]
async fn dynamic(conn: &mut (dyn Send + Sync)) {}

fn main() {}
