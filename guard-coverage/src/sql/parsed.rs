//! Statements that a real parser takes, judged by their syntax tree.

use std::ops::ControlFlow;

use sqlparser::ast::{
    AlterTableOperation, Delete, FromTable, MergeAction, Statement, TableFactor, TableWithJoins,
    visit_statements,
};
use sqlparser::dialect::{Dialect, GenericDialect, MySqlDialect, PostgreSqlDialect, SQLiteDialect};
use sqlparser::parser::Parser;

use super::tokens::{HOLE, HOLE_END, Sort};
use super::{Destruction, Source};
use crate::Kind;

/// What a hole is called while the parser reads it.
const NAME: &str = "fixture_guard_hole_";

/// What the statement destroys, or nothing if no parser takes it.
pub(super) fn judge(source: &Source<'_>) -> Option<Vec<Destruction>> {
    // bodies of functions and blocks are judged on their own, and no dialect takes all of them
    if source.word(0, "DO") {
        return Some(Vec::new());
    }
    let (text, holes) = without_holes(source.raw());
    let dialects: [&dyn Dialect; 4] =
        [&PostgreSqlDialect {}, &MySqlDialect {}, &SQLiteDialect {}, &GenericDialect {}];
    let parsed = dialects.into_iter().find_map(|dialect| Parser::parse_sql(dialect, &text).ok())?;
    let mut found = Vec::new();
    for statement in &parsed {
        collect(source, &holes, statement, &mut found);
    }
    Some(found)
}

fn collect(source: &Source<'_>, holes: &[String], statement: &Statement, found: &mut Vec<Destruction>) {
    // What is only explained is not run.
    if let Statement::Explain { analyze: false, .. } = statement {
        let options = source.raw().to_ascii_lowercase();
        if !options.contains("analy") {
            return;
        }
    }
    // A definition runs nothing now; bodies in quotes are judged on their own.
    if matches!(statement, Statement::CreateTrigger(_) | Statement::CreateFunction(_)) {
        return;
    }
    let mut nth: Vec<(&str, usize)> = Vec::new();
    let _ = visit_statements(statement, |nested| {
        if let Some((kind, keyword, tables)) = judged(nested) {
            let before = nth.iter().filter(|(word, _)| *word == keyword).count();
            nth.push((keyword, before));
            let at = place(source, keyword, before);
            let tables = tables.into_iter().map(|table| with_holes(&table, holes)).collect();
            found.push(source.destruction(kind, tables, at));
        }
        ControlFlow::<()>::Continue(())
    });
}

/// Where the keyword stands for the nth time.
fn place(source: &Source<'_>, keyword: &str, nth: usize) -> usize {
    let words = source.statement.iter().filter(|token| token.sort == Sort::Word);
    let mut places = words.filter(|token| token.is(source.text, keyword)).map(|token| token.span.start);
    places.nth(nth).unwrap_or(source.start())
}

fn judged(statement: &Statement) -> Option<(Kind, &'static str, Vec<String>)> {
    let one = |name: &dyn std::fmt::Display| vec![name.to_string()];
    match statement {
        Statement::Truncate(truncate) => {
            let tables = truncate.table_names.iter().map(|table| table.name.to_string()).collect();
            Some((Kind::Truncate, "TRUNCATE", tables))
        }
        Statement::Delete(delete) => Some((Kind::Delete, "DELETE", deleted(delete))),
        Statement::Update(update) if update.selection.is_none() => {
            Some((Kind::Update, "UPDATE", table(&update.table).into_iter().collect()))
        }
        Statement::Merge(merge) => {
            let deletes =
                merge.clauses.iter().any(|clause| matches!(clause.action, MergeAction::Delete { .. }));
            deletes.then(|| (Kind::Merge, "MERGE", factor(&merge.table).into_iter().collect()))
        }
        Statement::Drop { temporary: true, .. } => None,
        Statement::Drop { names, .. } => {
            Some((Kind::Drop, "DROP", names.iter().map(ToString::to_string).collect()))
        }
        Statement::DropFunction(drop) => Some((
            Kind::Drop,
            "DROP",
            drop.func_desc.iter().map(|function| function.name.to_string()).collect(),
        )),
        Statement::DropProcedure { proc_desc, .. } => {
            Some((Kind::Drop, "DROP", proc_desc.iter().map(|procedure| procedure.name.to_string()).collect()))
        }
        Statement::DropTrigger(drop) => Some((Kind::Drop, "DROP", one(&drop.trigger_name))),
        Statement::DropDomain(drop) => Some((Kind::Drop, "DROP", one(&drop.name))),
        Statement::DropPolicy(drop) => Some((Kind::Drop, "DROP", one(&drop.table_name))),
        Statement::DropExtension(drop) => {
            Some((Kind::Drop, "DROP", drop.names.iter().map(ToString::to_string).collect()))
        }
        Statement::DropOperator(_)
        | Statement::DropOperatorFamily(_)
        | Statement::DropOperatorClass(_)
        | Statement::DropSecret { .. }
        | Statement::DropConnector { .. } => Some((Kind::Drop, "DROP", Vec::new())),
        Statement::AlterTable(alter) => {
            let drops = |operation: &AlterTableOperation| {
                matches!(
                    operation,
                    AlterTableOperation::DropColumn { .. }
                        | AlterTableOperation::DropConstraint { .. }
                        | AlterTableOperation::DropPrimaryKey { .. }
                        | AlterTableOperation::DropForeignKey { .. }
                        | AlterTableOperation::DropIndex { .. }
                        | AlterTableOperation::DropPartitions { .. }
                        | AlterTableOperation::DropProjection { .. }
                )
            };
            alter.operations.iter().any(drops).then(|| (Kind::Alter, "ALTER", one(&alter.name)))
        }
        _ => None,
    }
}

fn deleted(delete: &Delete) -> Vec<String> {
    // the parser takes MySQL's modifiers for tables
    let modifiers = ["LOW_PRIORITY", "QUICK", "IGNORE"];
    let tables = delete.tables.iter().map(ToString::to_string);
    let tables: Vec<_> = tables.filter(|table| !modifiers.contains(&&*table.to_uppercase())).collect();
    if !tables.is_empty() {
        return tables;
    }
    let (FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from)) = &delete.from;
    from.iter().filter_map(table).collect()
}

fn table(table: &TableWithJoins) -> Option<String> {
    factor(&table.relation)
}

fn factor(factor: &TableFactor) -> Option<String> {
    match factor {
        TableFactor::Table { name, .. } => Some(name.to_string()),
        _ => None,
    }
}

/// The text with a name for each hole, and what they stand for.
fn without_holes(text: &str) -> (String, Vec<String>) {
    let mut plain = String::with_capacity(text.len());
    let mut holes = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(HOLE) {
        let (name, after) = after.split_once(HOLE_END).unwrap_or((after, ""));
        plain.push_str(before);
        plain.push_str(NAME);
        plain.push_str(&holes.len().to_string());
        plain.push('_');
        holes.push(format!("{{{name}}}"));
        rest = after;
    }
    plain.push_str(rest);
    (plain, holes)
}

fn with_holes(name: &str, holes: &[String]) -> String {
    let mut shown = name.to_owned();
    for (at, hole) in holes.iter().enumerate() {
        if !shown.contains(NAME) {
            break;
        }
        shown = shown.replace(&format!("{NAME}{at}_"), hole);
    }
    shown
}
