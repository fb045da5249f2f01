//! What is compared with what.

use std::time::Duration;

use futures_util::future::try_join_all;
use sqlx::{AssertSqlSafe, ConnectOptions, Executor, PgPool};
use tokio::sync::Mutex;

use crate::cluster::{Cluster, Line, Result, pool};
use crate::fixtures::{
    self, DELETE_5, DELETE_23, SCHEMA, SEED_5, TRUNCATE_5, TRUNCATE_23, bare, bare_itself,
};
use crate::plot::Series;
use crate::report::{Report, ms, ratio};
use crate::sides::{Measured, Side, interleave, timed};
use crate::sqlx_test::SqlxTests;

/// How often, for what takes about a millisecond.
#[derive(Clone, Copy)]
pub(crate) struct Rounds(pub(crate) usize);

impl Rounds {
    /// For what takes tens of milliseconds.
    fn slow(self) -> usize {
        (self.0 / 6).max(3)
    }

    /// For what takes hundreds.
    fn very_slow(self) -> usize {
        (self.0 / 15).max(3)
    }
}

const GUARDED: &str = "guarded";
const BARE: &str = "bare";

// fixture-guard: allow(what people do without the guard, to compare with)
/// a. The guarded fixture against the same statements in a bare transaction.
pub(crate) async fn fixtures(report: &mut Report, cluster: &Cluster, rounds: Rounds) -> Result<()> {
    let seeder = &Mutex::new(cluster.database("fixtures", SCHEMA).await?);
    for line in Line::ALL {
        report.section(format!("a. A fixture, data on {}, {}", cluster.medium, line.name()));
        let way = cluster.way(line, "fixtures").await;
        let (guarded, unguarded) = (&pool(&way.options, 1).await?, &pool(&way.options, 1).await?);
        let policy = &cluster.policy();

        let nothing = interleave(
            rounds.0,
            vec![
                Side::new(BARE, || timed(bare(unguarded, &[]))),
                Side::new(GUARDED, || timed(fixtures::nothing(policy.judging(guarded)))),
            ],
        )
        .await?;
        report.row("an empty body", &nothing);

        let seed = async || seeder.lock().await.execute(SEED_5).await.map(drop);
        let delete_5 = interleave(
            rounds.0,
            vec![
                Side::new(BARE, || async move {
                    seed().await?;
                    timed(bare(unguarded, &DELETE_5)).await
                }),
                Side::new(GUARDED, || async move {
                    seed().await?;
                    timed(fixtures::delete_5(policy.judging(guarded))).await
                }),
            ],
        )
        .await?;
        report.row("5 DELETEs of 10 rows", &delete_5);

        let truncate_5 = interleave(
            rounds.slow(),
            vec![
                Side::new(BARE, || timed(bare(unguarded, &[TRUNCATE_5]))),
                Side::new(GUARDED, || timed(fixtures::truncate_5(policy.judging(guarded)))),
            ],
        )
        .await?;
        report.row("TRUNCATE of 5 tables", &truncate_5);

        let truncate_23 = interleave(
            rounds.slow(),
            vec![
                Side::new(BARE, || timed(bare(unguarded, &[TRUNCATE_23]))),
                Side::new(GUARDED, || timed(fixtures::truncate_23(policy.judging(guarded)))),
            ],
        )
        .await?;
        report.row("TRUNCATE of 23 tables", &truncate_23);

        if line == Line::Tcp {
            let on = format!("data on {}, loopback", cluster.medium);
            if cluster.medium == "disk" {
                report.at_most_times(
                    format!("TRUNCATE of 23 tables: 1.10 × bare ({on})"),
                    &truncate_23[1],
                    &truncate_23[0],
                    1.1,
                );
            }
            report.at_most_longer(
                format!("5 DELETEs: bare + 1.0 ms ({on})"),
                &delete_5[1],
                &delete_5[0],
                Duration::from_millis(1),
            );
            report.at_most_longer(
                format!("an empty body: bare + 0.8 ms ({on})"),
                &nothing[1],
                &nothing[0],
                Duration::from_micros(800),
            );
        }
    }
    Ok(())
}

// fixture-guard: allow(what people do without the guard, to compare with)
/// b. A guarded test against the other ways to give each test a database of its own.
pub(crate) async fn tests(report: &mut Report, cluster: &Cluster, rounds: Rounds) -> Result<()> {
    report.section(format!("b. A test with a database of its own, data on {}, loopback", cluster.medium));
    cluster.database("tests", SCHEMA).await?;
    let template = cluster.database("tests_template", SCHEMA).await?;
    drop(template);
    cluster.database("tests_truncated", SCHEMA).await?;
    let way = &cluster.way(Line::Tcp, "tests").await;
    let shared = &pool(&cluster.way(Line::Tcp, "tests_truncated").await.options, 1).await?;
    let admin = &pool(&cluster.way(Line::Tcp, "postgres").await.options, 1).await?;
    let policy = &cluster.policy();
    cluster.database("sqlx_tests", "").await?;
    let sqlx_tests = &Mutex::new(SqlxTests::start(&cluster.dsn("sqlx_tests"))?);

    let measured = interleave(
        rounds.very_slow(),
        vec![
            Side::new("guarded test", || fixtures::guarded_test(policy.clone(), way.options.clone())),
            Side::new("#[sqlx::test], 23 migrations", || async move { sqlx_tests.lock().await.run() }),
            Side::new("clone of a template", || timed(clone_of_template(admin, cluster))),
            Side::new("TRUNCATE before each test", || {
                timed(async move {
                    bare(shared, &[TRUNCATE_23]).await?;
                    fixtures::body(&mut *shared.acquire().await?).await
                })
            }),
        ],
    )
    .await?;
    report.row("one test", &measured);
    let on = cluster.medium;
    report.at_most_times(
        format!("a guarded test: 1/50 of #[sqlx::test] with 23 migrations (data on {on})"),
        &measured[0],
        &measured[1],
        1.0 / 50.0,
    );
    report.at_most_times(
        format!("a guarded test: 1/10 of a template clone (data on {on})"),
        &measured[0],
        &measured[2],
        0.1,
    );
    Ok(())
}

// fixture-guard: allow(its own clone)
async fn clone_of_template(admin: &PgPool, cluster: &Cluster) -> Result<()> {
    admin.execute("CREATE DATABASE tests_clone TEMPLATE tests_template").await?;
    let mut connection = cluster.way(Line::Tcp, "tests_clone").await.options.connect().await?;
    fixtures::body(&mut connection).await?;
    sqlx::Connection::close(connection).await?;
    admin.execute("DROP DATABASE tests_clone").await?;
    Ok(())
}

// fixture-guard: allow(what people do without the guard, to compare with)
/// c. The ready-made reset against those that everyone writes.
pub(crate) async fn resets(report: &mut Report, cluster: &Cluster, rounds: Rounds) -> Result<()> {
    report.section(format!("c. A reset of 23 tables, data on {}, loopback", cluster.medium));
    let seeder = &Mutex::new(cluster.database("resets", SCHEMA).await?);
    let way = cluster.way(Line::Tcp, "resets").await;
    let (guarded, unguarded) = (&pool(&way.options, 1).await?, &pool(&way.options, 1).await?);
    let policy = &cluster.policy();
    let on = cluster.medium;
    for (dirty, rows) in [
        (Dirty::Nothing, 0),
        (Dirty::Apart, 100),
        (Dirty::Together, 100),
        (Dirty::All, 100),
        (Dirty::Apart, 10_000),
        (Dirty::Together, 10_000),
    ] {
        let seed = &dirty.seed(rows);
        let seed = async || -> Result<()> {
            Ok(seeder.lock().await.execute(AssertSqlSafe(seed.clone())).await.map(drop)?)
        };
        let seed = &seed;
        let measured = interleave(
            rounds.very_slow(),
            vec![
                Side::new("reset::all_tables", || async move {
                    seed().await?;
                    timed(fixtures::reset_all(policy.judging(guarded))).await
                }),
                Side::new("TRUNCATE of all, one statement", || async move {
                    seed().await?;
                    timed(bare(unguarded, &[TRUNCATE_23])).await
                }),
                Side::new("DELETE of all, one message", || async move {
                    seed().await?;
                    timed(bare(unguarded, &[DELETE_23])).await
                }),
                Side::new("information_schema + format!", || async move {
                    seed().await?;
                    timed(fixtures::listed(unguarded)).await
                }),
            ],
        )
        .await?;
        let case = format!("{}, {rows} rows each", dirty.name());
        report.row(&case, &measured);
        let [reset, truncate, delete, _] = &measured[..] else { unreachable!("four sides") };
        let (part, limit) = if on == "disk" { ("1/20", 0.05) } else { ("1/5", 0.2) };
        let compare = |report: &mut Report, what: &str, reset, truncate, delete| {
            let truncated = format!("{what}, {case}: {part} of TRUNCATE of all (data on {on})");
            report.at_most_times(truncated, reset, truncate, limit);
            let deleted = format!("{what}, {case}: faster than DELETE of all (data on {on})");
            report.at_most_times(deleted, reset, delete, 1.0);
        };
        match (dirty, rows) {
            (Dirty::Apart | Dirty::Together, 100) => {
                compare(report, "reset", reset, truncate, delete);
                let alone = interleave(
                    rounds.very_slow(),
                    vec![
                        Side::new("reset::all_tables", || async move {
                            seed().await?;
                            Ok(fixtures::reset_itself(policy.judging(guarded)).await?)
                        }),
                        Side::new("TRUNCATE of all, one statement", || async move {
                            seed().await?;
                            Ok(bare_itself(unguarded, TRUNCATE_23).await?)
                        }),
                        Side::new("DELETE of all, one message", || async move {
                            seed().await?;
                            Ok(bare_itself(unguarded, DELETE_23).await?)
                        }),
                    ],
                )
                .await?;
                report.row(format!("{case}, without the transaction around"), &alone);
                let [reset, truncate, delete] = &alone[..] else { unreachable!("three sides") };
                compare(report, "the reset itself", reset, truncate, delete);
            }
            (_, 10_000) => {
                report.at_most_times(
                    format!("reset, {case}: nearer to TRUNCATE of all than to DELETE (data on {on})"),
                    reset,
                    truncate,
                    1.2,
                );
            }
            _ => {}
        }
    }
    Ok(())
}

/// Which tables hold rows.
#[derive(Clone, Copy)]
enum Dirty {
    Nothing,
    /// Three that refer to none, and to which none refers.
    Apart,
    /// Three that refer to each other, and to which many more do.
    Together,
    /// Ten, with and without keys.
    All,
}

impl Dirty {
    fn name(self) -> &'static str {
        match self {
            Self::Nothing => "no table dirty",
            Self::Apart => "3 tables dirty, without keys",
            Self::Together => "3 tables dirty, with keys",
            Self::All => "10 tables dirty",
        }
    }

    fn seed(self, rows: usize) -> String {
        let apart = format!(
            "INSERT INTO banners (title, link) SELECT n, '/' FROM generate_series(1, {rows}) n; \
             INSERT INTO coupons (code, percent, created_at) SELECT n, 10, now() FROM generate_series(1, {rows}) n; \
             INSERT INTO stores (name) SELECT n FROM generate_series(1, {rows}) n"
        );
        let together = format!(
            "INSERT INTO customers (id, email, name) SELECT n, n, 'name' FROM generate_series(1, {rows}) n; \
             INSERT INTO orders (id, customer_id, placed_at, total) SELECT n, n, now(), 10 FROM generate_series(1, {rows}) n; \
             INSERT INTO payments (order_id, method, amount, paid_at) SELECT n, 'card', 10, now() FROM generate_series(1, {rows}) n"
        );
        match self {
            Self::Nothing => String::new(),
            Self::Apart => apart,
            Self::Together => together,
            Self::All => format!(
                "{apart}; {together}; \
                 INSERT INTO addresses (customer_id, street, city) SELECT n, 'street', 'city' FROM generate_series(1, {rows}) n; \
                 INSERT INTO shipments (order_id, carrier, shipped_at) SELECT n, 'post', now() FROM generate_series(1, {rows}) n; \
                 INSERT INTO cms_blocks (identifier, content) SELECT n, 'text' FROM generate_series(1, {rows}) n; \
                 INSERT INTO tax_rates (country, percent) SELECT n, 19 FROM generate_series(1, {rows}) n"
            ),
        }
    }
}

/// d. What the guard adds as a database grows, and as callers do.
pub(crate) async fn scale(report: &mut Report, cluster: &Cluster, rounds: Rounds) -> Result<[Series; 2]> {
    report.section(format!("d. An empty body as the database grows, data on {}, loopback", cluster.medium));
    let mut tables = Series::new("tables in the database");
    let mut smallest = None;
    for count in [10, 200, 2_000] {
        let name = format!("tables_{count}");
        drop(cluster.database(&name, &five_and(count - 5)).await?);
        let measured = guarded_against_bare(cluster, &name, rounds).await?;
        tables.point(count, measured[1].median().saturating_sub(measured[0].median()));
        report.row(format!("{count} tables"), &measured);
        let ten = smallest.get_or_insert_with(|| measured[1].clone());
        if count == 2_000 {
            report.at_most_times(
                format!("2,000 tables: 1.3 × 10 tables (data on {})", cluster.medium),
                &measured[1],
                ten,
                1.3,
            );
        }
    }
    let probe = probe(report, cluster, rounds).await?;
    report.row("the probe of 2,000 tables, prepared", &probe);
    let mut callers = Series::new("callers at once");
    report.section(format!(
        "d. An empty body that rolls back, by callers at once, data on {}, loopback",
        cluster.medium
    ));
    let (way, policy) = (cluster.way(Line::Tcp, "tables_10").await, &cluster.policy());
    for count in [1, 16, 64] {
        let pool = &pool(&way.options, count).await?;
        let measured = interleave(
            rounds.slow(),
            vec![
                Side::new(BARE, || timed(try_join_all((0..count).map(|_| fixtures::bare_rolled_back(pool))))),
                Side::new(GUARDED, || {
                    timed(try_join_all((0..count).map(|_| fixtures::rolled_back(policy.judging(pool)))))
                }),
            ],
        )
        .await?;
        callers.point(count as usize, measured[1].median().saturating_sub(measured[0].median()) / count);
        report.row(format!("{count} callers, all of them"), &measured);
    }
    Ok([tables, callers])
}

/// What the server is asked, as each run asks it, against the smallest question.
async fn probe(report: &mut Report, cluster: &Cluster, rounds: Rounds) -> Result<Vec<Measured>> {
    let connection = cluster.way(Line::Tcp, "tables_2000").await.options.connect().await?;
    let connection = &Mutex::new(connection);
    let prepare = concat!("PREPARE probe AS ", include_str!("../../guard-core/src/postgres/probe.sql"));
    connection.lock().await.execute(prepare).await?;
    let ask = async |question: &'static str| {
        let mut connection = connection.lock().await;
        timed(connection.execute(sqlx::raw_sql(question))).await
    };
    let ask = &ask;
    let measured = interleave(
        rounds.0,
        vec![Side::new("SELECT 1", || ask("SELECT 1")), Side::new("EXECUTE probe", || ask("EXECUTE probe"))],
    )
    .await?;
    report.at_most_longer(
        format!("the probe of 2,000 tables: under 1 ms on the server (data on {})", cluster.medium),
        &measured[1],
        &measured[0],
        Duration::from_millis(1),
    );
    Ok(measured)
}

/// e. `max_rows`, and the count that it stands for.
pub(crate) async fn budget(
    report: &mut Report,
    cluster: &Cluster,
    rows: usize,
    rounds: Rounds,
) -> Result<()> {
    report.section(format!("d, e. A table of {rows} rows, data on {}, loopback", cluster.medium));
    let seed = format!("{}; CREATE TABLE large AS SELECT generate_series(1, {rows}) AS n", five_and(0));
    drop(cluster.database("large", &seed).await?);
    report.row("an empty body beside it", &guarded_against_bare(cluster, "large", rounds).await?);
    let way = cluster.way(Line::Tcp, "large").await;
    let (guarded, unguarded) = (&pool(&way.options, 1).await?, &pool(&way.options, 1).await?);
    let policy = &cluster.policy();
    let measured = interleave(
        rounds.very_slow(),
        vec![
            Side::new("SELECT count(*)", || timed(unguarded.execute("SELECT count(*) FROM large"))),
            Side::new("refused by max_rows = 1_000", || {
                timed(async move {
                    match fixtures::at_most_1000(policy.judging(guarded)).await {
                        Err(_) => Ok(()),
                        Ok(()) => Err("a budget was exceeded and nobody said so"),
                    }
                })
            }),
        ],
    )
    .await?;
    report.row("one look at its size", &measured);
    let (count, refused) = (&measured[0], &measured[1]);
    println!(
        "  {} against {}: {:.4}",
        ms(refused.median()),
        ms(count.median()),
        ratio(refused.median(), count.median())
    );
    Ok(())
}

async fn guarded_against_bare(cluster: &Cluster, database: &str, rounds: Rounds) -> Result<Vec<Measured>> {
    let way = cluster.way(Line::Tcp, database).await;
    let (guarded, unguarded) = (&pool(&way.options, 1).await?, &pool(&way.options, 1).await?);
    let policy = &cluster.policy();
    interleave(
        rounds.0,
        vec![
            Side::new(BARE, || timed(bare(unguarded, &[]))),
            Side::new(GUARDED, || timed(fixtures::nothing(policy.judging(guarded)))),
        ],
    )
    .await
}

/// The five that fixtures declare, and so many more.
fn five_and(more: usize) -> String {
    let five = ["banners", "cms_blocks", "coupons", "tax_rates", "stores"].map(String::from);
    let names = five.into_iter().chain((0..more).map(|number| format!("other_{number}")));
    let tables: Vec<_> = names.map(|name| format!("CREATE TABLE {name} (id int PRIMARY KEY)")).collect();
    tables.join("; ")
}

/// What one guarded run allocates on the client at most at a time, in bytes.
pub(crate) async fn memory(report: &mut Report, cluster: &Cluster) -> Result<()> {
    let pool = &pool(&cluster.way(Line::Tcp, "tables_10").await.options, 1).await?;
    let policy = &cluster.policy();
    fixtures::nothing(policy.judging(pool)).await?;
    let mut ran = Ok(());
    let info = tokio::task::block_in_place(|| {
        allocation_counter::measure(|| {
            ran = tokio::runtime::Handle::current().block_on(fixtures::nothing(policy.judging(pool)));
        })
    });
    ran?;
    report.bar(
        "one call: under 64 KB of memory",
        format!("{} bytes at most at a time, {} in all", info.bytes_max, info.bytes_total),
        info.bytes_max < 64 * 1024,
    );
    Ok(())
}
