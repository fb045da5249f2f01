//! Ready-made resets, because every suite writes the same one.
//!
//! ```no_run
//! # use fixture_guard_core::{GuardedTransaction, reset};
//! # async fn example(tx: &mut GuardedTransaction) -> Result<(), fixture_guard_core::Error> {
//! let report = reset::all_tables(tx).except(["countries"]).restart_identity().await?;
//! println!("{report}"); // emptied 3 of 23 tables: 100 rows of orders (deleted), …
//! # Ok(())
//! # }
//! ```
//!
//! They take what only a guard makes, a [`GuardedTransaction`](crate::GuardedTransaction): a fixture names it as its
//! parameter instead of `&mut PgConnection`. A bare connection does not compile.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Deserialize;

use crate::damage::Count;
use crate::reason::{Code, Reason, Rule};

pub use crate::database::reset::{AllTables, all_tables};

/// Names under which migration tools keep what they have run. A reset keeps tables of these names in every schema: a
/// database that was migrated and does not know it any more is broken.
///
/// In order: sqlx, diesel, `SeaORM`, refinery; Rails, Ecto, dbmate and golang-migrate; Flyway; Liquibase; Prisma;
/// Alembic; Django; goose.
///
/// ```
/// # use fixture_guard_core as fixture_guard;
/// assert!(fixture_guard::reset::MIGRATION_TABLES.contains(&"_sqlx_migrations"));
/// ```
pub const MIGRATION_TABLES: [&str; 12] = [
    "_sqlx_migrations",
    "__diesel_schema_migrations",
    "seaql_migrations",
    "refinery_schema_history",
    "schema_migrations",
    "flyway_schema_history",
    "databasechangelog",
    "databasechangeloglock",
    "_prisma_migrations",
    "alembic_version",
    "django_migrations",
    "goose_db_version",
];

/// One schema, for [`AllTables::only`]. The name is the schema's own, without quotes.
///
/// ```no_run
/// # use fixture_guard_core::{GuardedTransaction, reset};
/// # async fn example(tx: &mut GuardedTransaction) -> Result<(), fixture_guard_core::Error> {
/// reset::all_tables(tx).only(reset::schema("public")).await?;
/// # Ok(())
/// # }
/// ```
pub fn schema(name: impl Into<String>) -> Schemas {
    schemas([name])
}

/// Several schemas, for [`AllTables::only`].
///
/// ```no_run
/// # use fixture_guard_core::{GuardedTransaction, reset};
/// # async fn example(tx: &mut GuardedTransaction) -> Result<(), fixture_guard_core::Error> {
/// reset::all_tables(tx).only(reset::schemas(["shop", "billing"])).await?;
/// # Ok(())
/// # }
/// ```
pub fn schemas(names: impl IntoIterator<Item = impl Into<String>>) -> Schemas {
    Schemas(names.into_iter().map(Into::into).collect())
}

/// Some schemas of a database, made by [`schema`] and [`schemas`].
///
/// ```no_run
/// # use fixture_guard_core as fixture_guard;
/// use fixture_guard::{Error, GuardedTransaction, reset};
///
/// async fn reset_only(tx: &mut GuardedTransaction, schemas: reset::Schemas) -> Result<reset::ResetReport, Error> {
///     reset::all_tables(tx).only(schemas).await
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schemas(pub(crate) Vec<String>);

/// What a reset emptied.
///
/// ```
/// # use fixture_guard_core as fixture_guard;
/// fn say(report: &fixture_guard::reset::ResetReport) {
///     println!("{report}"); // emptied 2 of 23 tables: 12 rows of categories (deleted), …
///     println!("kept {}", report.kept.join(", "));
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResetReport {
    /// The tables that held rows, in the order in which they were made. A table that held none is not touched.
    pub emptied: Vec<EmptiedTable>,
    /// The tables that were kept by name, by the caller's or by [`MIGRATION_TABLES`].
    pub kept: Vec<String>,
    /// How many tables were looked at.
    pub looked_at: usize,
    /// How many sequences begin anew.
    pub restarted: usize,
}

/// A table that a reset emptied.
///
/// ```
/// # use fixture_guard_core as fixture_guard;
/// fn rows_of(report: &fixture_guard::reset::ResetReport, table: &str) -> Option<u64> {
///     report.emptied.iter().find(|emptied| emptied.table == table)?.rows.at_most()
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EmptiedTable {
    /// The table, as the server spells it.
    pub table: String,
    /// How many rows it held when the reset looked: exact for small tables, unknown for large ones.
    pub rows: Count,
    /// How they were removed.
    pub by: Means,
}

/// How a table was emptied.
///
/// ```
/// # use fixture_guard_core as fixture_guard;
/// use fixture_guard::reset::{Means, ResetReport};
///
/// fn truncated(report: &ResetReport) -> usize {
///     report.emptied.iter().filter(|table| table.by == Means::Truncate).count()
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Means {
    /// By `DELETE`, which is fast for few rows.
    Delete,
    /// By `TRUNCATE`, which costs the same for any number of rows.
    Truncate,
}

/// `emptied 2 of 23 tables: 12 rows of categories (deleted), an unknown number of rows of orders (truncated)`.
impl fmt::Display for ResetReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "emptied {} of {} tables", self.emptied.len(), self.looked_at)?;
        for (position, table) in self.emptied.iter().enumerate() {
            f.write_str(if position == 0 { ": " } else { ", " })?;
            fmt::Display::fmt(table, f)?;
        }
        Ok(())
    }
}

/// `12 rows of categories (deleted)`.
impl fmt::Display for EmptiedTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = match self.by {
            Means::Delete => "deleted",
            Means::Truncate => "truncated",
        };
        write!(f, "{} of {} ({by})", self.rows, self.table)
    }
}

/// Rows of a table are counted up to here. A table with more is too large for `DELETE`, whatever refers to it.
pub(crate) const BOUND: u64 = 2_000;

/// What the server answers to `tables.sql`.
#[derive(Debug, Deserialize)]
pub(crate) struct Inventory {
    looked_at: usize,
    unknown: Vec<String>,
    abroad: Vec<Abroad>,
    partitions: Vec<KeptPartition>,
    tables: Vec<Table>,
    keys: Vec<Key>,
    /// The keys of kept tables that refer to rows which would be removed.
    referring: Vec<i64>,
    kept: Vec<String>,
    sequences: Vec<String>,
}

/// A table of which other servers hold a part.
#[derive(Debug, Deserialize)]
struct Abroad {
    table: String,
    partitions: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct KeptPartition {
    partition: String,
    root: String,
}

/// A table that is not kept. There are none if none of them holds a row.
#[derive(Debug, Clone, Deserialize)]
struct Table {
    id: i64,
    name: String,
    /// As in a statement: `ONLY public.categories`.
    sql: String,
    /// Up to one more than [`BOUND`]; `None` if they cannot be counted, and there may be some.
    rows: Option<u64>,
    /// Whether this role's `DELETE` is sure to remove all rows.
    deletes: bool,
    /// Whether this role may `TRUNCATE`.
    truncates: bool,
    /// Whether it has checks that may be due at the end of the transaction only.
    defers: bool,
}

/// A foreign key whose referenced table is not kept.
#[derive(Debug, Clone, Deserialize)]
struct Key {
    id: i64,
    name: String,
    child: i64,
    child_name: String,
    parent: i64,
}

/// How the tables that hold rows are emptied.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Emptied by `TRUNCATE`, and those that refer to them, which may be empty: PostgreSQL wants them in the same
    /// statement. In the order in which every reset locks them.
    pub(crate) truncate: Vec<String>,
    /// Emptied by `DELETE`, in one statement: its foreign keys are checked when all of it is done, so that neither
    /// their order nor cycles matter.
    pub(crate) delete: Vec<String>,
    /// Whether a `TRUNCATE` may meet checks that are due.
    pub(crate) may_be_pending: bool,
    pub(crate) restart: Vec<String>,
    pub(crate) report: ResetReport,
}

impl Inventory {
    /// How to empty what holds rows, or everything that speaks against it.
    pub(crate) fn plan(&self) -> Result<Plan, Vec<Reason>> {
        let mut reasons = self.reasons();
        let by_id: BTreeMap<i64, &Table> = self.tables.iter().map(|table| (table.id, table)).collect();
        let mut truncated: BTreeSet<i64> = BTreeSet::new();
        // from the largest to the smallest: what is truncated with a large table needs no decision of its own
        let mut dirty: Vec<&Table> = self.tables.iter().filter(|table| table.rows != Some(0)).collect();
        dirty.sort_by_key(|table| std::cmp::Reverse(table.rows.unwrap_or(u64::MAX)));
        for table in &dirty {
            if truncated.contains(&table.id) {
                continue;
            }
            let together = self.together(table.id, &by_id);
            let fast = table.deletes
                && together.as_ref().map_or(true, |all| {
                    self.work(table, &by_id, &truncated) <= WORTH_A_TRUNCATE * all.len() as u64
                });
            match together {
                Ok(all) if !fast => truncated.extend(all),
                Err(obstacle) if !table.deletes => reasons.push(not_permitted(table, &obstacle)),
                Ok(_) | Err(_) => {}
            }
        }
        if !reasons.is_empty() {
            return Err(reasons);
        }
        dirty.sort_by_key(|table| table.id);
        let means = |table: &Table| {
            if truncated.contains(&table.id) { Means::Truncate } else { Means::Delete }
        };
        let emptied = dirty.iter().map(|table| EmptiedTable {
            table: table.name.clone(),
            rows: table.rows.filter(|rows| *rows <= BOUND).map_or(Count::Unknown, Count::Exact),
            by: means(table),
        });
        let deleted = dirty.iter().filter(|table| means(table) == Means::Delete);
        Ok(Plan {
            truncate: truncated.iter().map(|id| by_id[id].sql.clone()).collect(),
            delete: deleted.map(|table| table.sql.clone()).collect(),
            may_be_pending: truncated.iter().any(|id| by_id[id].defers),
            restart: self.sequences.clone(),
            report: ResetReport {
                emptied: emptied.collect(),
                kept: self.kept.clone(),
                looked_at: self.looked_at,
                restarted: self.sequences.len(),
            },
        })
    }

    /// The same with `DELETE` alone, for tables whose due checks do not let them be truncated.
    pub(crate) fn plan_without_truncate(mut self) -> Result<Plan, Vec<Reason>> {
        for table in &mut self.tables {
            table.truncates = false;
        }
        self.plan()
    }

    /// Everything that speaks against any way of emptying.
    fn reasons(&self) -> Vec<Reason> {
        let mut reasons = Vec::new();
        let kept = Rule::built_in("what a reset keeps must exist");
        for name in &self.unknown {
            let (what, example) = match name.strip_suffix(".*") {
                Some(schema) => (format!("the schema {schema} does not exist"), "correct the name in `only`"),
                None => (
                    format!("the table {name}, which is to be kept, does not exist"),
                    "correct the name in `except`",
                ),
            };
            reasons.push(Reason::new(Code::MissingTable, kept.clone(), what, example));
        }
        for Abroad { table, partitions } in &self.abroad {
            reasons.push(Reason::new(
                Code::ForeignTable,
                Rule::built_in("a reset does not leave its server"),
                format!("{table} has partitions on another server: {}", partitions.join(", ")),
                format!("keep it with `except([{table:?}])`, and empty its own partitions by name"),
            ));
        }
        for KeptPartition { partition, root } in &self.partitions {
            reasons.push(Reason::new(
                Code::KeptTable,
                Rule::built_in("a partitioned table is emptied as a whole"),
                format!("{partition}, which is to be kept, is a partition of {root}"),
                format!("keep all of it with `except([{root:?}])`, and empty its other partitions by name"),
            ));
        }
        for key in self.keys.iter().filter(|key| self.referring.contains(&key.id)) {
            let parent =
                self.tables.iter().find(|table| table.id == key.parent).map_or("?", |table| &table.name);
            reasons.push(Reason::new(
                Code::KeptTable,
                Rule::built_in("what a reset keeps stays as it is"),
                format!("{} is kept, and its rows refer to {parent} by {}", key.child_name, key.name),
                format!("keep {parent} too, or let {} be emptied", key.child_name),
            ));
        }
        reasons
    }

    /// Every table that must be truncated together with this one: those that refer to it, and those that refer to them.
    fn together(&self, id: i64, by_id: &BTreeMap<i64, &Table>) -> Result<BTreeSet<i64>, Cow<'static, str>> {
        let mut all = BTreeSet::new();
        let mut next = vec![id];
        while let Some(id) = next.pop() {
            if !all.insert(id) {
                continue;
            }
            let table = by_id[&id];
            if !table.truncates {
                return Err(format!("this role has no TRUNCATE on {}", table.name).into());
            }
            for key in self.keys.iter().filter(|key| key.parent == id) {
                if !by_id.contains_key(&key.child) {
                    return Err(
                        format!("{}, which is kept, refers to it by {}", key.child_name, key.name).into()
                    );
                }
                next.push(key.child);
            }
        }
        Ok(all)
    }

    /// What a `DELETE` of all rows costs, in microseconds.
    ///
    /// Measured on PostgreSQL 15: half a microsecond for a row; five for each foreign key that must be checked for it,
    /// and, where no index helps, another one for each sixty rows that the check has to read.
    fn work(&self, table: &Table, by_id: &BTreeMap<i64, &Table>, truncated: &BTreeSet<i64>) -> u64 {
        let Some(rows) = table.rows.filter(|rows| *rows <= BOUND) else { return u64::MAX };
        let checks = self.keys.iter().filter(|key| key.parent == table.id).map(|key| {
            let child = by_id.get(&key.child).filter(|child| !truncated.contains(&child.id));
            5 + child.map_or(0, |child| child.rows.unwrap_or(BOUND) / 60)
        });
        rows / 2 + rows * checks.sum::<u64>()
    }
}

/// A `DELETE` that takes longer than this, in microseconds, for each table that would have to be truncated instead, is
/// the slower of the two. Measured: a `TRUNCATE` takes 2,500 a table with the data on disk, and 700 in memory.
const WORTH_A_TRUNCATE: u64 = 1_500;

fn not_permitted(table: &Table, obstacle: &str) -> Reason {
    Reason::new(
        Code::NotPermitted,
        Rule::built_in("a reset leaves no row behind"),
        format!(
            "{} cannot be emptied: this role's DELETE would not remove every row (no privilege, row security, or a trigger \
             or rule on it), and it cannot be truncated, because {obstacle}",
            table.name
        ),
        format!("GRANT TRUNCATE ON {0} to the test's role, or keep it with `except([{0:?}])`", table.name),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(id: i64, name: &str, rows: u64) -> Table {
        Table {
            id,
            name: name.to_owned(),
            sql: format!("ONLY public.{name}"),
            rows: Some(rows),
            deletes: true,
            truncates: true,
            defers: false,
        }
    }

    fn key(child: i64, parent: i64) -> Key {
        Key {
            id: child * 100 + parent,
            name: format!("{child}_{parent}"),
            child,
            child_name: format!("t{child}"),
            parent,
        }
    }

    fn inventory(tables: Vec<Table>, keys: Vec<Key>) -> Inventory {
        Inventory {
            looked_at: tables.len(),
            unknown: Vec::new(),
            abroad: Vec::new(),
            partitions: Vec::new(),
            tables,
            keys,
            referring: Vec::new(),
            kept: Vec::new(),
            sequences: Vec::new(),
        }
    }

    fn names(sql: &[String]) -> Vec<&str> {
        sql.iter().map(|sql| sql.trim_start_matches("ONLY public.")).collect()
    }

    #[test]
    fn deletes_few_rows_and_truncates_many() {
        let plan =
            inventory(vec![table(1, "few", 3), table(2, "none", 0), table(3, "many", BOUND + 1)], vec![]);
        let plan = plan.plan().unwrap();
        assert_eq!((names(&plan.delete), names(&plan.truncate)), (vec!["few"], vec!["many"]));
        assert_eq!(
            plan.report.to_string(),
            "emptied 2 of 3 tables: 3 rows of few (deleted), an unknown number of rows of many (truncated)"
        );
    }

    #[test]
    fn truncates_what_refers_to_a_large_table_with_it_and_nothing_else() {
        let tables = vec![
            table(1, "brands", 3),
            table(2, "products", BOUND + 1),
            table(3, "order_items", 0),
            table(4, "refunds", 2),
            table(5, "orders", 2),
        ];
        let keys = vec![key(2, 1), key(3, 2), key(4, 3), key(3, 5)];
        let plan = inventory(tables, keys).plan().unwrap();
        assert_eq!(names(&plan.truncate), ["products", "order_items", "refunds"]);
        assert_eq!(names(&plan.delete), ["brands", "orders"]);
    }

    #[test]
    fn goes_round_a_cycle_once() {
        let tables = vec![table(1, "a", BOUND + 1), table(2, "b", 1)];
        let plan = inventory(tables, vec![key(1, 2), key(2, 1), key(1, 1)]).plan().unwrap();
        assert_eq!(names(&plan.truncate), ["a", "b"]);
    }

    #[test]
    fn truncates_where_checking_a_foreign_key_row_by_row_would_take_long() {
        let large = vec![table(1, "a", 1_000), table(2, "b", 1_000)];
        assert_eq!(names(&inventory(large.clone(), vec![]).plan().unwrap().delete), ["a", "b"]);
        assert_eq!(names(&inventory(large, vec![key(2, 1)]).plan().unwrap().truncate), ["a", "b"]);
        let small = vec![table(1, "a", 100), table(2, "b", 100)];
        assert_eq!(names(&inventory(small, vec![key(2, 1)]).plan().unwrap().delete), ["a", "b"]);
    }

    #[test]
    fn deletes_what_may_not_be_truncated_however_large() {
        let mut tables = vec![table(1, "a", BOUND + 1), table(2, "b", 1)];
        tables[1].truncates = false;
        assert_eq!(names(&inventory(tables.clone(), vec![key(2, 1)]).plan().unwrap().delete), ["a", "b"]);
        // a table that is kept and refers to none of the rows
        tables.pop();
        assert_eq!(names(&inventory(tables, vec![key(2, 1)]).plan().unwrap().delete), ["a"]);
    }

    #[test]
    fn truncates_few_rows_where_a_delete_may_leave_some() {
        let mut tables = vec![table(1, "a", 1)];
        tables[0].deletes = false;
        assert_eq!(names(&inventory(tables.clone(), vec![]).plan().unwrap().truncate), ["a"]);
        tables[0].truncates = false;
        let reasons = inventory(tables, vec![]).plan().unwrap_err();
        assert_eq!(reasons[0].code(), Code::NotPermitted);
        assert!(reasons[0].found().contains("no TRUNCATE on a"), "{}", reasons[0]);
    }

    #[test]
    fn says_everything_that_speaks_against_it() {
        let mut inventory = inventory(vec![table(1, "users", 1)], vec![key(2, 1)]);
        inventory.referring = vec![inventory.keys[0].id];
        inventory.unknown = vec!["categoires".to_owned(), "shopp.*".to_owned()];
        inventory.abroad =
            vec![Abroad { table: "events".to_owned(), partitions: vec!["events_2024".to_owned()] }];
        inventory.partitions =
            vec![KeptPartition { partition: "logs_1".to_owned(), root: "logs".to_owned() }];
        let reasons = inventory.plan().unwrap_err();
        let found: Vec<_> = reasons.iter().map(Reason::found).collect();
        assert_eq!(
            found,
            [
                "the table categoires, which is to be kept, does not exist",
                "the schema shopp does not exist",
                "events has partitions on another server: events_2024",
                "logs_1, which is to be kept, is a partition of logs",
                "t2 is kept, and its rows refer to users by 2_1",
            ]
        );
    }
}
