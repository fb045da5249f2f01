//! What must be true after a run.

use std::collections::BTreeMap;

use fixture_guard::{Change, Count, Damage, RunEnding, RunReport};

use super::bodies::{Body, Former, Frame, Way};
use super::fixtures::{DECLARED, Trace};
use super::world::{Place, Relation, SERVER_LINES, Snapshot, lines, session};

/// Something that must not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// Which check found it.
    pub(crate) kind: &'static str,
    /// What it found.
    pub(crate) text: String,
}

pub(super) fn finding(kind: &'static str, text: impl Into<String>) -> Finding {
    Finding { kind, text: text.into() }
}

/// What a run became.
pub(super) struct Ended {
    pub(super) runs: Vec<RunReport>,
    pub(super) trace: Trace,
    /// Whether the returned error says that the body ended the transaction.
    pub(super) escaped: bool,
}

impl Ended {
    /// Whether the outermost run was committed.
    pub(super) fn kept(&self) -> bool {
        self.runs.last().is_some_and(|run| run.ending == RunEnding::Committed)
    }

    pub(super) fn escaped(&self) -> bool {
        self.escaped || self.runs.iter().any(|run| run.ending == RunEnding::Escaped)
    }

    /// Whether the body's own run was committed, or is part of one that was.
    fn inner_kept(&self) -> bool {
        let inner = self.runs.iter().find(|run| run.fixture != "around");
        inner.is_some_and(|run| matches!(run.ending, RunEnding::Committed | RunEnding::Nested))
    }
}

/// The damage of a report, if it is known. Only this function reads the field.
fn damage_of(run: &RunReport) -> Option<&Damage> {
    run.damage.as_ref()
}

/// How one relation differs.
#[derive(Debug)]
struct Difference<'s> {
    before: Option<&'s Relation>,
    after: Option<&'s Relation>,
    gone: u64,
    new: u64,
    updated: u64,
}

impl Difference<'_> {
    fn relation(&self) -> &Relation {
        self.before.or(self.after).expect("it is in one of them")
    }

    fn text(&self) -> String {
        let Self { before, after, gone, new, updated } = self;
        let name = |relation: Option<&Relation>| {
            relation.map_or("nothing".to_owned(), |relation| relation.name.clone())
        };
        let (before, after) = (name(*before), name(*after));
        format!("{before} -> {after}: {gone} rows gone, {new} new, {updated} updated")
    }
}

fn differences<'s>(before: &'s Snapshot, after: &'s Snapshot) -> Vec<Difference<'s>> {
    let oids = before
        .relations
        .keys()
        .chain(after.relations.keys().filter(|oid| !before.relations.contains_key(oid)));
    oids.filter_map(|oid| {
        let (old, new) = (before.relations.get(oid), after.relations.get(oid));
        if let (Some(old), Some(new)) = (old, new)
            && (&old.name, old.file, &old.rows) == (&new.name, new.file, &new.rows)
        {
            return None;
        }
        let empty = BTreeMap::new();
        let (old_rows, new_rows) = (old.map_or(&empty, |r| &r.rows), new.map_or(&empty, |r| &r.rows));
        let count = |n: usize| u64::try_from(n).expect("few rows");
        Some(Difference {
            before: old,
            after: new,
            gone: count(old_rows.keys().filter(|uid| !new_rows.contains_key(*uid)).count()),
            new: count(new_rows.keys().filter(|uid| !old_rows.contains_key(*uid)).count()),
            updated: count(
                old_rows
                    .iter()
                    .filter(|(uid, row)| new_rows.get(*uid).is_some_and(|new| new != *row))
                    .count(),
            ),
        })
    })
    .collect()
}

fn texts(differences: &[Difference<'_>]) -> String {
    differences.iter().map(Difference::text).collect::<Vec<_>>().join("; ")
}

/// Compares the rows with what the reports say.
pub(super) fn rows(
    body: &Body,
    ended: &Ended,
    before: &Snapshot,
    after: &Snapshot,
    pooled: bool,
) -> Result<(), Finding> {
    let changed = differences(before, after);
    if ended.runs.iter().any(|run| run.ending == RunEnding::Unknown) {
        return Err(finding("unknown", "the outcome is unknown, and no connection failed"));
    }
    if ended.escaped() {
        if !ended.trace.ended {
            return Err(finding("escaped", "the body did not end the transaction, and the report says so"));
        }
        if pooled || body.asks_to_write() {
            return Ok(());
        }
    } else if ended.kept() {
        return committed(body, ended, &changed);
    }
    // dropped after the last statement's answer: in the middle of COMMIT it is unknown whether it happened
    let unfinished = matches!(body.way, Way::Panic | Way::Dropped | Way::DroppedInFlight);
    // behind a pooler, a body that ended its transaction and then panicked leaves nothing to ask
    if pooled && unfinished && ended.trace.ended {
        return Ok(());
    }
    if body.way == Way::DroppedInFlight && ended.trace.answers.len() >= body.steps.len() {
        return Ok(());
    }
    if !changed.is_empty() {
        return Err(finding("changed", format!("nothing was kept: {}", texts(&changed))));
    }
    let lines: Vec<_> = before
        .catalog
        .iter()
        .filter(|line| !after.catalog.contains(line))
        .map(|line| format!("- {line}"))
        .chain(
            after
                .catalog
                .iter()
                .filter(|line| !before.catalog.contains(line))
                .map(|line| format!("+ {line}")),
        )
        .collect();
    if !lines.is_empty() {
        return Err(finding("changed", format!("nothing was kept: {}", lines.join("; "))));
    }
    Ok(())
}

fn committed(body: &Body, ended: &Ended, changed: &[Difference<'_>]) -> Result<(), Finding> {
    if matches!(body.frame, Frame::Fixture { .. }) && !ended.inner_kept() && !changed.is_empty() {
        return Err(finding("changed", format!("the nested run was undone: {}", texts(changed))));
    }
    let declared = DECLARED[body.declared];
    let is_declared = |relation: &Relation| {
        declared.contains(&relation.name.as_str()) || declared.contains(&relation.root.as_str())
    };
    let nested = matches!(body.frame, Frame::Fixture { .. });
    // the deferred triggers of a nested fixture fire at the end of the run around it, which declares no table
    let defers = nested && declared.contains(&"queue");
    if !declared.is_empty()
        && !defers
        && let Some(difference) = changed.iter().find(|difference| !is_declared(difference.relation()))
    {
        return Err(finding("undeclared", difference.text()));
    }
    let gone: u64 = changed.iter().filter(|d| d.relation().kind == "r").map(|d| d.gone).sum();
    if body.max_rows.is_some_and(|budget| gone > budget) {
        return Err(finding("budget", format!("{gone} rows are gone: {}", texts(changed))));
    }
    let Some(damage) = ended.runs.last().and_then(damage_of) else { return Ok(()) };
    if damage.is_none() && !changed.is_empty() {
        return Err(finding("nothing-written", texts(changed)));
    }
    let count = |found: Count, truth: u64, of: &str, is_exact: bool| {
        let wrong = match found {
            Count::Exact(rows) if is_exact => rows != truth,
            Count::Exact(rows) | Count::AtMost(rows) => rows < truth,
            _ => false,
        };
        let text = || format!("{of}: {found:?}, and it is {truth}; {damage}; {}", texts(changed));
        if wrong { Err(finding("count", text())) } else { Ok(()) }
    };
    for table in damage.tables() {
        if table.table.parse::<u64>().is_ok() {
            return Err(finding("name", format!("a number in place of a name: {table}")));
        }
    }
    count(damage.removed(), gone, "removed from all", true)?;
    // the report is the outer run's
    let declared = if nested { &[] } else { declared };
    if !body.moves_tables() {
        let mut by_table: BTreeMap<&str, u64> = BTreeMap::new();
        for difference in changed.iter().filter(|d| d.relation().kind == "r" && d.before.is_some()) {
            let relation = difference.relation();
            // without declared tables a partition that is dropped is reported by its own name
            if relation.root != relation.name && declared.is_empty() {
                continue;
            }
            let itself = declared.contains(&relation.name.as_str());
            *by_table.entry(if itself { &relation.name } else { &relation.root }).or_default() +=
                difference.gone;
        }
        for (name, gone) in by_table {
            let bare = name.rsplit_once('.').map_or(name, |(_, bare)| bare);
            let matches = |table: &&fixture_guard::TableDamage| table.table == name || table.table == bare;
            match damage.tables().iter().find(matches) {
                // a search path can make two tables have one name
                Some(table) if !DECLARED[body.declared].contains(&"shelf.plain") => {
                    count(table.removed(), gone, name, true)?;
                }
                None if gone > 0 => {
                    return Err(finding("name", format!("{gone} rows of {name} are gone: {damage}")));
                }
                _ => {}
            }
        }
    }
    let sum = |of: fn(&fixture_guard::TableDamage) -> Count| {
        damage.tables().iter().map(of).try_fold((0, true), |(sum, exact), rows| {
            Some((sum + rows.at_most()?, exact && matches!(rows, Count::Exact(_))))
        })
    };
    let tables = || changed.iter().filter(|d| d.relation().kind == "r");
    if let Some((inserted, exact)) = sum(|table| table.inserted) {
        let truth = tables().map(|d| d.new).sum();
        let found = if exact { Count::Exact(inserted) } else { Count::AtMost(inserted) };
        let only_inserted = damage.removed() == Count::Exact(0)
            && damage.tables().iter().all(|table| {
                !table.changes.contains(&Change::Refreshed) && !table.changes.contains(&Change::Truncated)
            });
        count(found, truth, "inserted", only_inserted)?;
    }
    if let Some((updated, _)) = sum(|table| table.updated)
        && !body.any(|sql| sql.contains("COLUMN"))
    {
        count(Count::AtMost(updated), tables().map(|d| d.updated).sum(), "updated", false)?;
    }
    Ok(())
}

/// The pool's next user finds a session as before the run.
pub(super) async fn next_user(body: &Body, place: &mut Place, kept: bool) -> Result<(), Finding> {
    let dirty = |text: String| finding("next-user", text);
    if !place.neighbors.is_empty() {
        return Ok(());
    }
    let found = session(&place.pool).await.map_err(|error| dirty(error.to_string()))?;
    let mut different: Vec<_> =
        found.iter().filter(|line| !place.session.contains(line)).map(|line| format!("+ {line}")).collect();
    different
        .extend(place.session.iter().filter(|line| !found.contains(line)).map(|line| format!("- {line}")));
    if !different.is_empty() {
        return Err(dirty(different.join("; ")));
    }
    for number in 1..=3 {
        let asked = sqlx::AssertSqlSafe(format!("SELECT {number}"));
        let answer = sqlx::query_scalar::<_, i32>(asked).fetch_one(&place.pool).await;
        if !answer.as_ref().is_ok_and(|answer| *answer == number) {
            return Err(dirty(format!("SELECT {number} answers {answer:?}")));
        }
    }
    if kept || body.former != Former::Clean {
        return Ok(());
    }
    for table in ["plain", "events", "parent"] {
        let select = sqlx::AssertSqlSafe(format!("SELECT * FROM {table}"));
        if let Err(error) = sqlx::query(select).fetch_all(&place.pool).await {
            return Err(finding("stale", format!("SELECT * FROM {table}: {error}")));
        }
    }
    Ok(())
}

/// Each server session of PgBouncer is clean.
pub(super) async fn server_sessions(place: &mut Place) -> Result<(), Finding> {
    let dirty = |text: String| finding("server-session", text);
    let mut all = Vec::new();
    // each holds a transaction, so that the next one gets another server session
    for client in &mut place.neighbors {
        let asked =
            tokio::time::timeout(std::time::Duration::from_secs(15), lines(client, SERVER_LINES)).await;
        let found = asked.map_err(|_| dirty("no server session is free".to_owned()))?;
        all.extend(found.map_err(|error| dirty(error.to_string()))?);
    }
    for client in &mut place.neighbors {
        lines(client, "ROLLBACK").await.map_err(|error| dirty(error.to_string()))?;
    }
    all.retain(|line| !line.starts_with("process "));
    if all.is_empty() { Ok(()) } else { Err(dirty(all.join("; "))) }
}
