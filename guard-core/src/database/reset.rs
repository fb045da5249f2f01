//! The reset that everyone writes.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::time::Duration;

use super::session::Failure;
use super::transaction::GuardedTransaction;
use crate::error::Error;
use crate::postgres::{self, sqlstate};
use crate::reason::{Code, Reason, Rule};
use crate::reset::{Inventory, MIGRATION_TABLES, Plan, ResetReport, Schemas};

/// The server ends a statement of a guarded transaction after a minute; this is for a server that says nothing at all.
const LIMIT: Duration = Duration::from_secs(130);

/// Empties all tables that hold rows.
///
/// It is a builder that is awaited. Without more it takes every table of every schema but the server's own, temporary
/// ones, those of extensions, and [what migration tools keep](MIGRATION_TABLES).
///
/// ```no_run
/// # use fixture_guard_core::{GuardedTransaction, reset};
/// # async fn example(tx: &mut GuardedTransaction) -> Result<(), fixture_guard_core::Error> {
/// reset::all_tables(tx).except(["countries", "public.\"Time Zones\""]).only(reset::schema("public")).await?;
/// # Ok(())
/// # }
/// ```
///
/// The proof that it runs under a guard is its parameter: a bare connection does not compile.
///
/// ```compile_fail,E0308
/// # use fixture_guard_core::reset;
/// async fn unguarded(conn: &mut sqlx::PgConnection) -> Result<(), fixture_guard_core::Error> {
///     reset::all_tables(conn).await?; // expected `&mut GuardedTransaction`
///     Ok(())
/// }
/// ```
///
/// # How
///
/// One question finds the tables that hold rows; a table that holds none is not written to, so a clean database costs
/// only that. One answer empties them: few rows by `DELETE` and many by `TRUNCATE`, whichever is faster, all in one
/// statement each. No `CASCADE` is ever used. Foreign keys are respected whatever their action, cycles included;
/// partitioned tables are emptied as a whole, and inheritance is followed nowhere. Row triggers do not fire: a table that
/// has them on `DELETE` is truncated.
///
/// While one transaction has something to empty, others that want to empty something in the same database wait for its
/// end. Transactions that find everything empty do not wait.
///
/// # Errors
///
/// [`Error::Refused`], with every reason, if the reset emptied nothing because
/// - a name in [`except`](AllTables::except) or [`only`](AllTables::only) does not exist,
/// - a table that is kept refers to rows that would go, or is a partition of a table that would be emptied,
/// - a table has partitions on another server (foreign tables themselves are never touched),
/// - the role may neither delete all rows of a table nor truncate it.
///
/// [`Error::Broken`] if the server stopped it half way; then the whole transaction can only be rolled back.
pub fn all_tables(tx: &mut GuardedTransaction) -> AllTables<'_> {
    AllTables { tx, except: Vec::new(), only: None, restart_identity: false }
}

/// A reset that is yet to be awaited, made by [`all_tables`].
///
/// ```no_run
/// # use fixture_guard_core as fixture_guard;
/// # async fn example(tx: &mut fixture_guard::GuardedTransaction) -> Result<(), fixture_guard::Error> {
/// let reset = fixture_guard::reset::all_tables(tx).except(["countries"]);
/// let report = reset.await?;
/// # let _ = report;
/// # Ok(())
/// # }
/// ```
#[must_use = "a reset does nothing unless it is awaited"]
pub struct AllTables<'t> {
    tx: &'t mut GuardedTransaction,
    except: Vec<String>,
    only: Option<Schemas>,
    restart_identity: bool,
}

impl AllTables<'_> {
    /// Keeps these tables as well, written as in SQL: `table`, which is kept in every schema, or `schema.table`. Other
    /// names than lower-case ones are quoted: `"\"Time Zones\""`.
    ///
    /// A name that does not exist is an error, because a misspelt one would be a table lost.
    ///
    /// ```no_run
    /// # use fixture_guard_core::{GuardedTransaction, reset};
    /// # async fn example(tx: &mut GuardedTransaction) -> Result<(), fixture_guard_core::Error> {
    /// reset::all_tables(tx).except(["countries", "billing.tax_rates"]).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn except(mut self, tables: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.except.extend(tables.into_iter().map(Into::into));
        self
    }

    /// Takes only the tables of these schemas; tables of others are kept. Asked twice, it takes both.
    ///
    /// ```no_run
    /// # use fixture_guard_core::{GuardedTransaction, reset};
    /// # async fn example(tx: &mut GuardedTransaction) -> Result<(), fixture_guard_core::Error> {
    /// reset::all_tables(tx).only(reset::schema("public")).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn only(mut self, schemas: Schemas) -> Self {
        self.only.get_or_insert_with(|| Schemas(Vec::new())).0.extend(schemas.0);
        self
    }

    /// Lets the sequences of the tables' columns (`serial`, `identity`) begin anew, also those of tables that are empty
    /// already. The role must own them. Other sequences stay as they are.
    ///
    /// It is undone by a rollback, as the rest is.
    ///
    /// ```no_run
    /// # use fixture_guard_core::{GuardedTransaction, reset};
    /// # async fn example(tx: &mut GuardedTransaction) -> Result<(), fixture_guard_core::Error> {
    /// reset::all_tables(tx).restart_identity().await?; // the next `id` is 1
    /// # Ok(())
    /// # }
    /// ```
    pub fn restart_identity(mut self) -> Self {
        self.restart_identity = true;
        self
    }

    async fn run(self) -> Result<ResetReport, Error> {
        let Self { tx, except, only, restart_identity } = self;
        tx.usable()?;
        let inventory = inventory(tx, &except, only.as_ref(), restart_identity).await?;
        let plan = inventory.plan().map_err(|reasons| tx.refuse_reset(reasons))?;
        if plan.is_empty() {
            return Ok(plan.report);
        }
        let emptied = tx.session.ask_within(LIMIT, postgres::empty(&plan)).await.1;
        let Err(failure) = emptied else { return Ok(plan.report) };
        if !plan.may_be_pending || failure.sqlstate().as_deref() != Some(sqlstate::IN_USE) {
            return Err(tx.reset_failed(&failure));
        }
        // A check of this transaction is due, and PostgreSQL does not truncate under it.
        let undone = tx.session.ask_within(LIMIT, postgres::undo_empty()).await.1;
        undone.map_err(|failure| tx.reset_failed(&failure))?;
        let plan = inventory.plan_without_truncate().map_err(|reasons| tx.refuse_reset(reasons))?;
        let emptied = tx.session.ask_within(LIMIT, postgres::empty(&plan)).await.1;
        emptied.map(|()| plan.report).map_err(|failure| tx.reset_failed(&failure))
    }
}

async fn inventory(
    tx: &mut GuardedTransaction,
    except: &[String],
    only: Option<&Schemas>,
    sequences: bool,
) -> Result<Inventory, Error> {
    let schemas = only.map(|schemas| schemas.0.as_slice());
    let question = postgres::tables(except, &MIGRATION_TABLES, schemas, sequences);
    let (answers, result) = tx.session.ask_within(LIMIT, question).await;
    if let Err(failure) = result {
        let undone = tx.session.ask_within(LIMIT, postgres::undo_tables()).await.1;
        return Err(match (failure.sqlstate().as_deref(), undone) {
            (Some(sqlstate::INVALID_NAME), Ok(())) => tx.refuse_reset(vec![invalid_name(&failure)]),
            _ => tx.reset_failed(&failure),
        });
    }
    serde_json::from_str(answers.get("tables").unwrap_or_default()).map_err(|error| {
        let found = format!("the server's answer has another shape: {error}");
        tx.reset_failed(&Failure::Driver(sqlx::Error::Protocol(found)))
    })
}

fn invalid_name(failure: &Failure) -> Reason {
    Reason::new(
        Code::MissingTable,
        Rule::built_in("what a reset keeps must exist"),
        format!("a name in `except` is none: {failure}"),
        "write `table` or `schema.table`, with quotes around what is not lower case",
    )
}

impl Plan {
    fn is_empty(&self) -> bool {
        self.truncate.is_empty() && self.delete.is_empty() && self.restart.is_empty()
    }
}

impl<'t> IntoFuture for AllTables<'t> {
    type Output = Result<ResetReport, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 't>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl fmt::Debug for AllTables<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AllTables")
            .field("except", &self.except)
            .field("only", &self.only)
            .field("restart_identity", &self.restart_identity)
            .finish_non_exhaustive()
    }
}
