//! The incident, replayed on two real databases: `cargo run --example incident`.
//!
//! Production and staging are started here, in Docker or from this machine's PostgreSQL, under the two host names of
//! the incident, and end by themselves. Nothing on the machine is changed.

use std::{
    collections::BTreeMap,
    error::Error as StdError,
    io::{IsTerminal, Write, stdout},
    process::ExitCode,
    time::Duration,
};

use fixture_guard::{Error, RunEnding, destructive_fixture, observe};
use fixture_guard_test_support::{
    self as support, INCIDENT_DSN, PRODUCTION, STAGING, STOREFRONT_TABLES, Server,
    names::{self, Entered},
};
use futures_util::future::try_join;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::time::{Instant, interval, timeout};

/// The nightly suite's reset, as it was: it trusts whoever hands it a connection.
async fn unguarded_reset_db(conn: &mut PgConnection) -> sqlx::Result<()> {
    for table in STOREFRONT_TABLES {
        reset_table(conn, table).await?;
    }
    Ok(())
}

/// The same reset behind the guard. This attribute is all that changes, and no caller does.
#[destructive_fixture(
    hosts = ["*-staging*"],
    tables = [
        "addresses", "attributes", "banners", "brands", "cart_items", "carts", "categories", "cms_blocks", "coupons",
        "customers", "discounts", "order_items", "orders", "payments", "product_attributes", "product_categories",
        "products", "reviews", "shipments", "stock_levels", "stores", "tax_rates", "wishlists",
    ],
    max_rows = 10_000,
)]
async fn reset_db(conn: &mut PgConnection) -> sqlx::Result<()> {
    unguarded_reset_db(conn).await
}

async fn reset_table(conn: &mut PgConnection, table: &str) -> sqlx::Result<()> {
    for statement in statements(table) {
        conn.execute(AssertSqlSafe(statement)).await?;
    }
    Ok(())
}

/// What the incident's log shows for a table. Every DELETE has a WHERE.
fn statements(table: &str) -> Vec<String> {
    match table {
        "categories" => {
            vec!["DELETE FROM categories WHERE id > 0".into(), "TRUNCATE categories CASCADE".into()]
        }
        "coupons" => vec!["DELETE FROM coupons WHERE created_at < NOW()".into()],
        _ => vec![format!("TRUNCATE {table} CASCADE")],
    }
}

/// Starting two servers takes about 3 s; a first run may have to fetch an image, or to build one.
const PATIENCE: Duration = Duration::from_mins(5);

fn main() -> ExitCode {
    match replay() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("incident: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Starts the servers, enters a place where their names resolve, and shows the three acts there.
fn replay() -> Result<ExitCode, Box<dyn StdError>> {
    let runtime = tokio::runtime::Runtime::new()?;
    let (production, staging) = runtime.block_on(servers())?;
    // runs this program once more, and it comes back here in there
    let addresses = [(PRODUCTION, production.address()), (STAGING, staging.address())];
    if let Entered::Outside(code) = names::enter(&addresses)? {
        return Ok(code);
    }
    runtime.block_on(async {
        without_the_guard(production).await?;
        given_production(production).await?;
        given_staging(staging).await
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn servers() -> Result<(&'static Server, &'static Server), Box<dyn StdError>> {
    let both = try_join(support::try_postgres(PRODUCTION), support::try_postgres(STAGING));
    if names::inside() {
        return Ok(both.await?);
    }
    eprintln!("incident: starting two PostgreSQL servers, {PRODUCTION} and {STAGING}");
    let since = Instant::now();
    let progress = async {
        let mut tick = interval(Duration::from_secs(10));
        tick.tick().await;
        loop {
            tick.tick().await;
            eprintln!("incident: still starting, after {} s", since.elapsed().as_secs());
        }
    };
    let servers = tokio::select! {
        started = timeout(PATIENCE, both) => started,
        () = progress => unreachable!("progress has no end"),
    };
    let servers =
        servers.map_err(|_| format!("no two PostgreSQL servers after {} s", PATIENCE.as_secs()))??;
    eprintln!("incident: both answer, after {:.1} s", since.elapsed().as_secs_f32());
    Ok(servers)
}

/// What happened: on a copy of production, because the next act counts the rows of the real one.
async fn without_the_guard(production: &'static Server) -> Result<(), Box<dyn StdError>> {
    heading("1. the nightly reset, unguarded, on a copy of production")?;
    let copy = production.storefront().await;
    let mut conn = PgConnection::connect_with(&copy.options()).await?;
    let first = copy.all_rows().await;
    let mut before = first.clone();
    let mut out = stdout().lock();
    for table in STOREFRONT_TABLES {
        for statement in statements(table) {
            conn.execute(AssertSqlSafe(statement.clone())).await?; // fixture-guard: allow(act one, on a copy)
            let after = copy.all_rows().await;
            let (lost, mut tables) = lost(&before, &after);
            tables.retain(|lost| *lost != table);
            let also = match tables[..] {
                [] => String::new(),
                [first, second, ref more @ ..] if more.len() > 1 => {
                    format!("  also {first}, {second} and {} more tables", more.len())
                }
                _ => format!("  also {}", tables.join(", ")),
            };
            writeln!(out, "  {statement:<46}{:>7}{also}", thousands(lost))?;
            before = after;
        }
        if table == "coupons" {
            writeln!(out, "  -- here a person noticed, 23 minutes in; left alone it goes on:")?;
        }
    }
    let (lost, tables) = lost(&first, &before);
    writeln!(
        out,
        "  lost: {} rows of {} tables, each statement committed at once\n",
        thousands(lost),
        tables.len()
    )?;
    conn.close().await?;
    Ok(())
}

/// The same fixture, and the DSN that somebody had pasted into the staging values.
async fn given_production(production: &'static Server) -> Result<(), Box<dyn StdError>> {
    heading(
        "2. the same reset with #[destructive_fixture(hosts = [\"*-staging*\"], …)], given production's DSN",
    )?;
    let storefront = production.shared_storefront();
    let before = storefront.all_rows().await;
    let sessions = storefront.sessions().await;

    let Err(error) = reset_db(INCIDENT_DSN).await else { return Err("production was reset".into()) };

    let seen = storefront.sessions().await - sessions;
    let after = storefront.all_rows().await;
    let refusal =
        Error::in_sqlx(&error).and_then(Error::refusal).ok_or("the reset failed, and was not refused")?;
    let mut out = stdout().lock();
    writeln!(out, "{refusal}")?;
    if after != before || seen != 0 {
        return Err(format!("production was touched: {seen} connections, {after:?}").into());
    }
    let all: i64 = after.values().sum();
    writeln!(
        out,
        "  production holds {} categories, {} cms_blocks, and all of its {} rows",
        thousands(after["categories"]),
        after["cms_blocks"],
        thousands(all)
    )?;
    writeln!(out, "  production saw {seen} connections\n")?;
    Ok(())
}

async fn given_staging(staging: &'static Server) -> Result<(), Box<dyn StdError>> {
    heading("3. the same reset, given staging's DSN")?;
    let storefront = staging.storefront().await;

    let observed = observe(reset_db(storefront.dsn_by_name())).await;

    observed.returned?;
    let mut out = stdout().lock();
    for run in observed.runs.iter().filter(|run| run.ending == RunEnding::Committed) {
        let Some(damage) = &run.damage else { continue };
        for table in damage.tables() {
            writeln!(out, "  {table}")?;
        }
        writeln!(out, "  {} committed: removed {}", run.fixture, damage.removed())?;
    }
    let left: i64 = storefront.all_rows().await.values().sum();
    if left == 0 { Ok(()) } else { Err(format!("staging still holds {left} rows").into()) }
}

/// How many rows are gone, and the tables that they are gone from.
fn lost<'t>(before: &'t BTreeMap<String, i64>, after: &BTreeMap<String, i64>) -> (i64, Vec<&'t str>) {
    let tables =
        before.iter().filter(|(table, rows)| *rows > &after[*table]).map(|(table, _)| table.as_str());
    (before.values().sum::<i64>() - after.values().sum::<i64>(), tables.collect())
}

fn heading(text: &str) -> std::io::Result<()> {
    let mut out = stdout().lock();
    if out.is_terminal() && support::variable("NO_COLOR").is_none() {
        writeln!(out, "\x1b[1m{text}\x1b[0m")
    } else {
        writeln!(out, "{text}")
    }
}

/// `2847` as `2,847`.
fn thousands(number: i64) -> String {
    if number < 1000 { number.to_string() } else { format!("{},{:03}", number / 1000, number % 1000) }
}
