//! The fixtures: one for each list of declared tables, and one that rehearses.

use std::panic::resume_unwind;
use std::sync::{Mutex, PoisonError};

use fixture_guard::{GuardedTransaction, Judging, destructive_fixture};
use futures_util::{StreamExt, TryStreamExt};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, PgPool};
use tokio::sync::Notify;

use super::bodies::{Action, Body, Copied, Frame, Nested, Step, Way};

/// A body that runs, and what became of its statements.
pub(super) struct Run<'b> {
    pub(super) body: &'b Body,
    /// Woken when the future is to be dropped.
    pub(super) dropped: Notify,
    trace: Mutex<Trace>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Trace {
    /// What each statement answered.
    pub(super) answers: Vec<String>,
    /// Whether the body may have ended the transaction.
    pub(super) ended: bool,
}

impl<'b> Run<'b> {
    pub(super) fn new(body: &'b Body) -> Self {
        Self { body, dropped: Notify::new(), trace: Mutex::default() }
    }

    pub(super) fn trace(&self) -> Trace {
        self.trace.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, change: impl FnOnce(&mut Trace)) {
        change(&mut self.trace.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

async fn perform(conn: &mut PgConnection, run: &Run<'_>) -> sqlx::Result<()> {
    let last = run.body.steps.len().saturating_sub(1);
    for (number, step) in run.body.steps.iter().enumerate() {
        if number == last && run.body.way == Way::DroppedInFlight {
            run.dropped.notify_one();
        }
        let answer = act(conn, step, run).await;
        run.note(|trace| {
            trace.answers.push(match &answer {
                Ok(()) => "ok".to_owned(),
                Err(error) => error.to_string(),
            });
        });
        if !step.swallows {
            answer?;
        }
    }
    match run.body.way {
        Way::Ok | Way::DroppedInFlight => Ok(()),
        Way::Err => Err(sqlx::Error::RowNotFound),
        Way::Panic => resume_unwind(Box::new("the body panics")),
        Way::Dropped => {
            run.dropped.notify_one();
            std::future::pending().await
        }
    }
}

async fn act(conn: &mut PgConnection, Step { action, .. }: &Step, run: &Run<'_>) -> sqlx::Result<()> {
    match action {
        Action::Sql(sql) => execute(conn, sql).await,
        Action::End(sql) => {
            run.note(|trace| trace.ended = true);
            execute(conn, sql).await
        }
        Action::Cached(sql) => {
            sqlx::query(AssertSqlSafe(sql.clone())).fetch_all(conn).await?;
            Ok(())
        }
        Action::FirstRow(sql) => {
            let mut rows = conn.fetch(sqlx::raw_sql(AssertSqlSafe(sql.clone())));
            rows.try_next().await?;
            Ok(())
        }
        Action::Nest(sql, how) => {
            // sqlx rolls the outer transaction back when this fails
            let begun = conn.begin().await;
            if begun.is_err() {
                run.note(|trace| trace.ended = true);
            }
            let mut nested = begun?;
            execute(&mut nested, sql).await?;
            match how {
                Nested::Commit => nested.commit().await?,
                Nested::Rollback => nested.rollback().await?,
                Nested::Drop => drop(nested),
                Nested::Forget => std::mem::forget(nested),
            }
            Ok(())
        }
        Action::CopyIn(sql, how) => {
            let mut copy = conn.copy_in_raw(sql).await?;
            copy.send(&b"2001\t0\n2002\t0\n"[..]).await?;
            match how {
                Copied::Whole => drop(copy.finish().await?),
                Copied::Abort => copy.abort("enough").await?,
                Copied::Drop => drop(copy),
            }
            Ok(())
        }
        Action::CopyOut(sql, how) => {
            let mut lines = conn.copy_out_raw(sql).await?;
            while let Some(line) = lines.next().await {
                line?;
                if matches!(how, Copied::Drop) {
                    break;
                }
            }
            Ok(())
        }
    }
}

async fn execute(conn: &mut PgConnection, sql: &str) -> sqlx::Result<()> {
    conn.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await?;
    Ok(())
}

#[destructive_fixture]
async fn commits_anything(conn: &mut PgConnection, run: &Run<'_>) -> sqlx::Result<()> {
    perform(conn, run).await
}

#[destructive_fixture(on_success = "rollback")]
async fn rehearses_anything(conn: &mut PgConnection, run: &Run<'_>) -> sqlx::Result<()> {
    perform(conn, run).await
}

macro_rules! fixtures {
    ($($number:literal: $commits:ident, $rehearses:ident, $tables:tt;)*) => {
        /// The tables that each fixture declares.
        pub(super) const DECLARED: &[&[&str]] = &[&[], $(&$tables,)*];

        $(
            #[destructive_fixture(tables = $tables)]
            async fn $commits(conn: &mut PgConnection, run: &Run<'_>) -> sqlx::Result<()> {
                perform(conn, run).await
            }

            #[destructive_fixture(tables = $tables, on_success = "rollback")]
            async fn $rehearses(conn: &mut PgConnection, run: &Run<'_>) -> sqlx::Result<()> {
                perform(conn, run).await
            }
        )*

        /// Calls the fixture on the target.
        macro_rules! call {
            ($target:expr, $run:expr) => {
                match ($run.body.declared, $run.body.rehearsal) {
                    (0, false) => commits_anything($target, $run).await,
                    (0, true) => rehearses_anything($target, $run).await,
                    $(
                        ($number, false) => $commits($target, $run).await,
                        ($number, true) => $rehearses($target, $run).await,
                    )*
                    (number, _) => unreachable!("there is no fixture {number}"),
                }
            };
        }
    };
}

fixtures! {
    1: commits_plain, rehearses_plain, ["plain"];
    2: commits_family, rehearses_family, ["parent", "child", "kid", "late"];
    3: commits_parent, rehearses_parent, ["parent"];
    4: commits_events, rehearses_events, ["events"];
    5: commits_archive, rehearses_archive, ["events", "archive"];
    6: commits_partition, rehearses_partition, ["events_low"];
    7: commits_heirs, rehearses_heirs, ["base", "derived"];
    8: commits_numbers, rehearses_numbers, ["numbered", "serials"];
    9: commits_audited, rehearses_audited, ["audited", "audit"];
    10: commits_queue, rehearses_queue, ["queue"];
    11: commits_queue_and_plain, rehearses_queue_and_plain, ["queue", "plain"];
    12: commits_ruled, rehearses_ruled, ["ruled", "plain", "totals"];
    13: commits_odd, rehearses_odd, ["tenants", "others", "scratchy"];
    14: commits_shelf, rehearses_shelf, ["shelf.plain", "plain"];
    15: commits_most, rehearses_most, [
        "plain", "parent", "child", "kid", "late", "events", "archive", "base", "derived", "numbered", "serials",
        "scratchy", "audited", "audit", "queue", "ruled", "tenants", "others",
    ];
}

#[destructive_fixture]
async fn around(tx: &mut GuardedTransaction, run: &Run<'_>) -> sqlx::Result<()> {
    let inner = call!(&mut *tx, run);
    if run.body.frame == (Frame::Fixture { swallows: true }) { Ok(()) } else { inner }
}

/// Runs the body in its frame.
pub(super) async fn call(target: Judging<&PgPool>, run: &Run<'_>) -> sqlx::Result<()> {
    match run.body.frame {
        Frame::Alone => call!(target, run),
        Frame::Fixture { .. } => around(target, run).await,
        Frame::Begin { dropped } => {
            let mut tx = fixture_guard::begin(target).await?;
            let inner = call!(&mut tx, run);
            if dropped {
                drop(tx);
            } else {
                tx.rollback().await?;
            }
            inner
        }
    }
}
