#![allow(unused)]

use fixture_guard::destructive_fixture;
use fixture_guard::sqlx::*;

#[destructive_fixture(tables = ["categories; DROP TABLE users"])]
async fn reset_0(conn: &mut PgConnection) {}

#[destructive_fixture(tables = ["cms-blocks"])]
async fn reset_1(conn: &mut PgConnection) {}

#[destructive_fixture(tables = ["shop.public.categories"])]
async fn reset_2(conn: &mut PgConnection) {}

#[destructive_fixture(tables = ["public.*"])]
async fn reset_3(conn: &mut PgConnection) {}

fn main() {}
