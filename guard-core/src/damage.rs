//! What a body did to the rows, and whether it was declared.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::fixture::Place;
use crate::reason::{Code, Reason, Rule};

/// What a body did, table by table, read before the guard commits or undoes it.
///
/// It follows PostgreSQL's locks, which no statement that writes to a table can do without; what is not a table does
/// not show: rights, functions, large objects, values that `nextval` and `setval` used up, other databases.
///
/// ```no_run
/// # use fixture_guard_core as fixture_guard;
/// # async fn reset_db(_: &sqlx::PgPool) -> sqlx::Result<()> { Ok(()) }
/// # async fn example(pool: sqlx::PgPool) {
/// let observed = fixture_guard::observe(reset_db(&pool)).await;
/// let damage = observed.runs[0].damage.as_ref().expect("the run was not lost");
/// assert_eq!(damage.removed().at_most(), Some(2_847));
/// assert!(damage.table("orders").is_none());
/// println!("{damage}"); // removed 2,847 rows from categories (truncated)
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Damage {
    tables: Vec<TableDamage>,
}

/// What a body did to one table.
///
/// ```
/// # use fixture_guard_core as fixture_guard;
/// fn losses(damage: &fixture_guard::Damage) -> Vec<String> {
///     damage.tables().iter().map(|table| format!("{}: {}", table.table, table.removed())).collect()
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct TableDamage {
    /// The table, as the server spells it. A partition counts as the table it belongs to, unless it was declared by
    /// itself, and a column's own sequence as the table of the column.
    pub table: String,
    /// Rows inserted.
    pub inserted: Count,
    /// Rows updated.
    pub updated: Count,
    /// Rows deleted, one by one or by a foreign key's cascade.
    pub deleted: Count,
    /// Rows that a TRUNCATE or DROP removed.
    pub emptied: Count,
    /// What happened to the table as a whole.
    pub changes: Vec<Change>,
    #[serde(skip)]
    pub(crate) declared: bool,
}

/// What happened to a table as a whole.
///
/// ```
/// # use fixture_guard_core as fixture_guard;
/// use fixture_guard::{Change, TableDamage};
///
/// fn is_gone(table: &TableDamage) -> bool {
///     table.changes.contains(&Change::Dropped)
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Change {
    /// Emptied by TRUNCATE.
    Truncated,
    /// Dropped.
    Dropped,
    /// Created.
    Created,
    /// Altered; for a table that was not declared, or locked as for that.
    Altered,
    /// A materialised view that was filled anew.
    Refreshed,
    /// A sequence, or one of the table's own, was set back or altered.
    Restarted,
}

/// A number of rows, and how far it can be trusted.
///
/// ```
/// # use fixture_guard_core as fixture_guard;
/// use fixture_guard::Count;
///
/// assert_eq!(Count::Exact(2_847).to_string(), "2,847 rows");
/// assert_eq!(Count::AtMost(13).to_string(), "at most 13 rows");
/// assert_eq!(Count::Unknown.to_string(), "an unknown number of rows");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "count", content = "rows", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Count {
    /// Exactly this many.
    Exact(u64),
    /// This many or fewer: a savepoint was rolled back (a PL/pgSQL block with an exception makes one too), and the
    /// server's counters hold its rows as well; or a table was both emptied or rewritten and filled again. Where another
    /// session's transaction was aborted meanwhile, it cannot be told from such a savepoint: the number stays, its name
    /// does not.
    AtMost(u64),
    /// Not counted: the rows that a TRUNCATE or DROP removes are known only for declared tables with `max_rows`, and
    /// what happens behind a foreign table is not known at all.
    Unknown,
}

impl Count {
    const NONE: Self = Self::Exact(0);

    /// The number that it cannot exceed, if there is one.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// use fixture_guard::Count;
    ///
    /// assert_eq!((Count::AtMost(13).at_most(), Count::Unknown.at_most()), (Some(13), None));
    /// ```
    #[must_use]
    pub fn at_most(self) -> Option<u64> {
        match self {
            Self::Exact(rows) | Self::AtMost(rows) => Some(rows),
            Self::Unknown => None,
        }
    }

    fn plus(self, other: Self) -> Self {
        match (self, other) {
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
            (Self::Exact(a), Self::Exact(b)) => Self::Exact(a.saturating_add(b)),
            (Self::Exact(a) | Self::AtMost(a), Self::Exact(b) | Self::AtMost(b)) => {
                Self::AtMost(a.saturating_add(b))
            }
        }
    }

    fn is_none(self) -> bool {
        self == Self::NONE || self == Self::AtMost(0)
    }
}

/// `2,847 rows`, `at most 13 rows`, `an unknown number of rows`.
impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (prefix, rows) = match self {
            Self::Exact(rows) => ("", *rows),
            Self::AtMost(rows) => ("at most ", *rows),
            Self::Unknown => return f.write_str("an unknown number of rows"),
        };
        let noun = if rows == 1 { "row" } else { "rows" };
        write!(f, "{prefix}{} {noun}", Thousands(rows))
    }
}

/// `2847` as `2,847`.
struct Thousands(u64);

impl fmt::Display for Thousands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (position, digit) in digits.chars().enumerate() {
            if position > 0 && (digits.len() - position).is_multiple_of(3) {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

impl TableDamage {
    /// Rows that are gone: deleted, truncated, dropped.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// fn is_harmless(table: &fixture_guard::TableDamage) -> bool {
    ///     table.removed() == fixture_guard::Count::Exact(0)
    /// }
    /// ```
    #[must_use]
    pub fn removed(&self) -> Count {
        self.deleted.plus(self.emptied)
    }
}

/// `removed 2,847 rows from categories (truncated)`.
impl fmt::Display for TableDamage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if !self.removed().is_none() {
            parts.push(format!("removed {} from", self.removed()));
        }
        if !self.inserted.is_none() {
            parts.push(format!("inserted {} into", self.inserted));
        }
        if !self.updated.is_none() {
            parts.push(format!("updated {} of", self.updated));
        }
        if parts.is_empty() {
            parts.push("changed no row of".to_owned());
        }
        write!(f, "{} {}", parts.join(", "), self.table)?;
        if !self.changes.is_empty() {
            let changes: Vec<_> = self.changes.iter().map(ToString::to_string).collect();
            write!(f, " ({})", changes.join(", "))?;
        }
        Ok(())
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "truncated",
            Self::Dropped => "dropped",
            Self::Created => "created",
            Self::Altered => "altered",
            Self::Refreshed => "refreshed",
            Self::Restarted => "sequence restarted",
        })
    }
}

impl Damage {
    /// The tables, by name.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// fn names(damage: &fixture_guard::Damage) -> Vec<&str> {
    ///     damage.tables().iter().map(|table| table.table.as_str()).collect()
    /// }
    /// ```
    #[must_use]
    pub fn tables(&self) -> &[TableDamage] {
        &self.tables
    }

    /// One table, by the name that the server spells.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// fn removed_orders(damage: &fixture_guard::Damage) -> Option<u64> {
    ///     damage.table("orders")?.removed().at_most()
    /// }
    /// ```
    #[must_use]
    pub fn table(&self, name: &str) -> Option<&TableDamage> {
        self.tables.iter().find(|damage| damage.table == name)
    }

    /// Rows that are gone from all tables together.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// assert_eq!(fixture_guard::Damage::default().removed().at_most(), Some(0));
    /// ```
    #[must_use]
    pub fn removed(&self) -> Count {
        self.tables.iter().map(TableDamage::removed).fold(Count::NONE, Count::plus)
    }

    /// Whether nothing was written.
    ///
    /// ```
    /// # use fixture_guard_core as fixture_guard;
    /// assert!(fixture_guard::Damage::default().is_none());
    /// ```
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.tables.is_empty()
    }
}

/// One line for each table.
impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.tables.is_empty() {
            return f.write_str("nothing was written");
        }
        for (position, table) in self.tables.iter().enumerate() {
            if position > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{table}")?;
        }
        Ok(())
    }
}

/// The survey's answer.
#[derive(Debug, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "facts of the server, in its own words")]
pub(crate) struct Survey {
    /// Whether the session is as it was, so that the connection can be used again.
    pub(crate) clean: bool,
    /// Whether the guard still has what it noted before the body.
    pub(crate) known: bool,
    /// Whether the server counted the rows that were written.
    counting: bool,
    exact: bool,
    touched: Vec<Touched>,
}

/// One relation that was locked for writing.
#[derive(Debug, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "facts of the server's, as it tells them")]
struct Touched {
    name: String,
    declared: bool,
    /// As in `pg_class`; unknown if it was dropped and the body took away what tells.
    kind: Option<String>,
    dropped: bool,
    created: bool,
    /// Whether it has another file than before.
    rewritten: bool,
    /// Whether its columns or properties are others than before.
    reshaped: bool,
    /// Whether the guard, or a run around this one, held it already.
    held: bool,
    /// Whether what its counters held before is known.
    noted: bool,
    /// For a table with another file: whether that one was begun empty, or is.
    empty: Option<bool>,
    /// Whether that file came with rows, as CLUSTER makes one.
    paged: bool,
    /// Whether it is unknown which file it had, so that a TRUNCATE would not show.
    unseen: bool,
    exclusive: bool,
    rows: Option<u64>,
    inserted: u64,
    updated: u64,
    deleted: u64,
}

impl Survey {
    pub(crate) fn read(answer: &str) -> Result<Self, String> {
        serde_json::from_str(answer)
            .map_err(|error| format!("the server's answer has another shape: {error}"))
    }

    /// The damage, with partitions and own sequences counted as their table.
    pub(crate) fn damage(&self) -> Damage {
        let mut tables: BTreeMap<&str, TableDamage> = BTreeMap::new();
        let dropped = |name: &str| {
            self.touched.iter().any(|other| other.dropped && other.declared && other.name == name)
        };
        for touched in &self.touched {
            let mut one =
                touched.damage(if self.counting { Counting::of(self.exact) } else { Counting::Off });
            // a declared table that was dropped and created again is the declared table
            one.declared |= touched.created && dropped(&touched.name);
            match tables.entry(&touched.name) {
                std::collections::btree_map::Entry::Vacant(entry) => {
                    entry.insert(one);
                }
                std::collections::btree_map::Entry::Occupied(mut entry) => entry.get_mut().add(one),
            }
        }
        Damage { tables: tables.into_values().collect() }
    }
}

/// What can be said of the rows that a relation held before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Emptied {
    No,
    /// A TRUNCATE and an ALTER that rewrites both give it a new file, and one of them did.
    Perhaps,
    Yes,
}

/// What can be said of the server's counters of written rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counting {
    /// They hold rows of this body only.
    Exact,
    /// They may hold others.
    Bound,
    /// The server does not count.
    Off,
}

impl Counting {
    fn of(exact: bool) -> Self {
        if exact { Self::Exact } else { Self::Bound }
    }
}

impl Touched {
    fn damage(&self, counting: Counting) -> TableDamage {
        let kind = self.kind.as_deref();
        let exact = counting == Counting::Exact && self.noted;
        let count = |rows: u64| match rows {
            _ if kind == Some("f") => Count::Unknown,
            _ if counting == Counting::Off && !self.holds_no_rows() => Count::Unknown,
            // zero is an upper bound that cannot be beaten
            0 => Count::NONE,
            rows if exact => Count::Exact(rows),
            rows => Count::AtMost(rows),
        };
        // rows that the body inserted itself are among the deleted ones
        let deleted = match count(self.deleted) {
            Count::Exact(rows) if rows > 0 && self.inserted > 0 => Count::AtMost(rows),
            deleted => deleted,
        };
        let emptied = self.emptied(counting);
        let rows = match (emptied, self.rows) {
            (Emptied::No, _) | (_, Some(0)) => Count::NONE,
            // the partitions of a declared table were noted with it; those of any other went by names of their own
            _ if self.holds_no_rows() && (self.declared || !self.dropped || kind != Some("p")) => Count::NONE,
            (_, None) => Count::Unknown,
            (Emptied::Perhaps, Some(rows)) => Count::AtMost(rows),
            (Emptied::Yes, Some(rows)) => Count::Exact(rows),
        };
        TableDamage {
            table: self.name.clone(),
            inserted: count(self.inserted),
            updated: count(self.updated),
            // what was deleted before or after is among the rows that were counted, or was not there before the body
            deleted: if rows.is_none() { deleted } else { Count::NONE },
            emptied: rows,
            changes: self.changes(emptied),
            declared: self.declared,
        }
    }

    /// Whether the rows in it are none of its own: they are counted where they are, or nothing would be lost.
    fn holds_no_rows(&self) -> bool {
        matches!(self.kind.as_deref(), Some("p" | "v" | "m" | "S"))
    }

    fn emptied(&self, counting: Counting) -> Emptied {
        if self.dropped {
            return Emptied::Yes;
        }
        if self.unseen && !self.holds_no_rows() {
            return Emptied::Perhaps;
        }
        if self.created || !self.rewritten || self.holds_no_rows() {
            return Emptied::No;
        }
        let has_rows = self.empty == Some(false);
        match (has_rows, self.reshaped || self.paged, self.inserted > 0) {
            // without counters it is unknown whether its rows are new
            (true, _, _) if counting == Counting::Off => Emptied::Perhaps,
            (false, _, _) | (true, false, true) => Emptied::Yes,
            (true, true, true) => Emptied::Perhaps,
            // it has rows, and none of them is new: CLUSTER, or an ALTER
            (true, _, false) => Emptied::No,
        }
    }

    fn changes(&self, emptied: Emptied) -> Vec<Change> {
        let kind = self.kind.as_deref();
        if self.dropped {
            return vec![Change::Dropped];
        }
        if self.created {
            return vec![Change::Created];
        }
        if kind == Some("S") {
            return vec![Change::Restarted];
        }
        if kind == Some("m") {
            return vec![if self.rewritten || !self.exclusive { Change::Refreshed } else { Change::Altered }];
        }
        let mut changes = Vec::new();
        // an ALTER that rewrites an empty table has truncated nothing
        let truncated = emptied == Emptied::Yes || emptied == Emptied::Perhaps && self.reshaped;
        if truncated && !(self.reshaped && self.rows == Some(0)) {
            changes.push(Change::Truncated);
        }
        let locked = self.exclusive && !self.held && kind != Some("p");
        let kept_file = !truncated && (self.rewritten || locked);
        if self.reshaped || kept_file {
            changes.push(Change::Altered);
        }
        changes
    }
}

impl TableDamage {
    fn add(&mut self, other: Self) {
        self.inserted = self.inserted.plus(other.inserted);
        self.updated = self.updated.plus(other.updated);
        self.deleted = self.deleted.plus(other.deleted);
        self.emptied = self.emptied.plus(other.emptied);
        self.changes.extend(other.changes);
        self.changes.sort_unstable();
        self.changes.dedup();
        self.declared &= other.declared;
    }
}

/// What a run declared.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Declared<'a> {
    pub(crate) tables: &'a [&'a str],
    pub(crate) max_rows: Option<u64>,
    pub(crate) place: Option<Place>,
}

/// Whether the damage is within what was declared. Pure.
pub(crate) fn within(damage: &Damage, declared: &Declared<'_>) -> Result<(), Vec<Reason>> {
    let mut reasons = Vec::new();
    let rule = |option| match declared.place {
        Some(place) => Rule::attribute(place, option),
        None => Rule::built_in("declared damage"),
    };
    if !declared.tables.is_empty() {
        for table in damage.tables.iter().filter(|table| !table.declared) {
            reasons.push(Reason::new(
                Code::UndeclaredTable,
                rule("tables"),
                format!("the body {table}, which is not among the declared tables"),
                "add the table to `tables`, if the fixture means to change it",
            ));
        }
    }
    if let Some(budget) = declared.max_rows {
        let removed = damage.removed();
        let found = match removed.at_most() {
            Some(rows) if rows <= budget => None,
            _ => Some(format!("the body removed {removed}, and `max_rows` is {budget}")),
        };
        if let Some(found) = found {
            let help = match removed {
                Count::Unknown => {
                    "declare `tables`, and let the role read every row of them (no row security, `SELECT`): rows are counted \
                     before they are truncated"
                }
                _ => "raise `max_rows`, if the fixture means to remove that many",
            };
            reasons.push(Reason::new(Code::TooManyRows, rule("max_rows"), found, help));
        }
    }
    if reasons.is_empty() { Ok(()) } else { Err(reasons) }
}
