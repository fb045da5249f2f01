//! Statements without text: those of diesel, `sea_orm` and `sea_query`.

use syn::{Expr, ExprCall};

use super::Lower;
use super::places::Ends;
use crate::Kind;
use crate::facts::Path;
use crate::names;
use crate::value::{Span, Typed, V, Value};

pub(super) const SEA: [&str; 4] = ["sea_orm", "sea_query", "sea_orm_migration", "sea_schema"];

impl Lower {
    /// `diesel::delete(users)`, `diesel::update(users)`.
    pub(super) fn diesel(&mut self, path: &Path, name: &str, call: &ExprCall, ends: Ends) -> Option<V> {
        let kind = match name {
            "delete" => Kind::Delete,
            "update" => Kind::Update,
            _ => return None,
        };
        let ours = matches!(&*path[0], "diesel" | "diesel_async")
            || (path.len() == 1 && self.globs.contains("diesel"))
            || (path.len() == 2 && *path[0] == *"dsl" && self.mentions(&["diesel"]));
        if !ours || call.args.len() != 1 {
            return None;
        }
        let target = &call.args[0];
        let whole = self.is_whole_table(target);
        let typed = Typed {
            kind,
            table: table_of(target),
            filtered: !whole,
            pending: false,
            call: format!("diesel::{name}").into(),
            span: ends.span(self.file),
        };
        Some(self.send_typed(typed, false, None, ends))
    }

    /// A table, and neither a query on it nor one of its rows.
    fn is_whole_table(&self, target: &Expr) -> bool {
        match target {
            Expr::Path(path) => {
                path.path.get_ident().is_none_or(|name| self.lookup(&name.to_string()).is_none())
            }
            Expr::MethodCall(call) => {
                !names::FILTERS.contains(&&*call.method.to_string()) && self.is_whole_table(&call.receiver)
            }
            _ => false,
        }
    }

    /// Builders of `sea_query` and `sea_orm`, which send nothing by themselves.
    pub(super) fn builder_of_types(
        &self,
        path: &Path,
        name: &str,
        qualifier: &str,
        ends: Ends,
    ) -> Option<Typed> {
        let sea = || self.mentions(&SEA) || SEA.contains(&&*path[0]);
        let of = |kind, pending, table: Option<&str>| {
            Some(Typed {
                kind,
                table: table.map(Into::into),
                filtered: false,
                pending,
                call: path.join("::").into(),
                span: ends.span(self.file),
            })
        };
        let entity = match qualifier {
            "Entity" if path.len() > 2 => &*path[path.len() - 3],
            other => other,
        };
        match (qualifier, name) {
            ("Query", "delete") | ("Delete", "many" | "one") if sea() => of(Kind::Delete, false, None),
            ("Query", "update") | ("Update", "many") if sea() => of(Kind::Update, false, None),
            ("Table" | "Index" | "Type" | "ForeignKey" | "View", "drop") if sea() => {
                of(Kind::Drop, false, None)
            }
            ("Table", "truncate") if sea() => of(Kind::Truncate, false, None),
            ("Table", "alter") if sea() => of(Kind::Alter, true, None),
            (_, "delete_many" | "delete_by_id") if !qualifier.is_empty() => {
                of(Kind::Delete, false, Some(entity))
            }
            (_, "update_many") if !qualifier.is_empty() => of(Kind::Update, false, Some(entity)),
            (_, "delete")
                if qualifier == "Entity" || (sea() && qualifier.starts_with(char::is_uppercase)) =>
            {
                of(Kind::Delete, false, Some(entity))
            }
            _ => None,
        }
    }
}

/// What destroys as soon as it is called.
pub(super) fn at_once(name: &str, qualifier: &str) -> Option<Kind> {
    match name {
        "drop_database" => Some(Kind::Drop),
        "fresh" | "refresh" | "reset" | "down" if qualifier.contains("Migrator") => Some(Kind::Revert),
        _ => None,
    }
}

pub(super) fn reverts(method: &str, receiver: &V) -> Option<Kind> {
    match method {
        "drop_database" | "force_drop_database" => Some(Kind::Drop),
        "revert_all_migrations" | "revert_last_migration" | "revert_migration" => Some(Kind::Revert),
        "undo"
            if receiver.any(&mut |value| match value {
                Value::Constant(path, _) => path.last().is_some_and(|last| last.contains("MIGRAT")),
                Value::Object(name) => name.contains("Migrat"),
                _ => false,
            }) =>
        {
            Some(Kind::Revert)
        }
        _ => None,
    }
}

pub(super) fn plain(kind: Kind, path: &Path, span: Span) -> Typed {
    Typed { kind, table: None, filtered: false, pending: false, call: path.join("::").into(), span }
}

/// The table that an expression of diesel begins with.
fn table_of(target: &Expr) -> Option<Box<str>> {
    match target {
        Expr::Path(path) => {
            let names: Vec<_> = path.path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            let table = names.iter().rev().find(|name| !["table", "dsl"].contains(&name.as_str()))?;
            Some(table.as_str().into())
        }
        Expr::MethodCall(call) => table_of(&call.receiver),
        _ => None,
    }
}
