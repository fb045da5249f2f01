#![allow(unused)]

use fixture_guard::destructive_fixture;
use fixture_guard::sqlx::*;

#[destructive_fixture]
async fn reset_db(executor: impl Executor<'_, Database = Postgres>) {}

#[destructive_fixture]
async fn postgres(executor: impl PgExecutor<'_>) {}

#[destructive_fixture]
async fn named<'e, E: Executor<'e>>(executor: E) {}

#[destructive_fixture]
async fn in_the_where_clause<'e, E>(executor: E)
where
    E: Executor<'e, Database = Postgres>,
{
}

#[destructive_fixture]
async fn borrowed<'e, E: Executor<'e>>(executor: &mut E) {}

fn main() {}
