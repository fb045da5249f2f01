//! From every call that sends SQL to the statements that it can send, also through functions that pass it on.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::Kind;
use crate::expand::{Expanded, Origin, substituted};
use crate::facts::{CallPlace, Sink};
use crate::guard::{CallSite, call_sites, guarded};
use crate::names::PROOF;
use crate::sql;
use crate::value::{FunctionId, V, Value};
use crate::workspace::Workspace;

/// Through how many functions a text is followed.
const LEVELS: usize = 5;
/// How deep a value is rebuilt.
const DEPTH: usize = 14;

/// A destructive statement, and the call that sends it.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    /// The function, never a closure.
    pub(crate) function: FunctionId,
    pub(crate) place: CallPlace,
    /// The name of what sends it.
    pub(crate) call: Box<str>,
    pub(crate) kind: Kind,
    pub(crate) tables: Vec<String>,
    pub(crate) statement: Statement,
    pub(crate) is_guarded: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum Statement {
    /// SQL, and where its verb is written.
    Text { statement: String, origin: Origin },
    /// A statement of a builder: the source at the place says it.
    Typed,
}

/// Every destructive statement that the workspace sends.
pub(crate) fn sent(workspace: &Workspace<'_>) -> Vec<Sent> {
    let sites = call_sites(workspace);
    let behind = guarded(workspace, &sites);
    let mut follow = Follow { workspace, sites, behind, found: Vec::new(), temporary: HashMap::new() };
    follow.all();
    follow.without_temporary()
}

struct Follow<'w, 'f> {
    workspace: &'w Workspace<'f>,
    sites: HashMap<FunctionId, Vec<CallSite>>,
    behind: HashSet<FunctionId>,
    found: Vec<Sent>,
    /// The temporary tables that a function makes.
    temporary: HashMap<FunctionId, HashSet<String>>,
}

/// Text that a function sends and that its callers give.
struct Passed {
    through: FunctionId,
    text: V,
    call: Box<str>,
    is_guarded: bool,
    level: usize,
}

impl Follow<'_, '_> {
    fn all(&mut self) {
        let mut waiting = Vec::new();
        for (file, facts) in (0_u32..).zip(self.workspace.facts) {
            for sink in &facts.sinks {
                if self.workspace.holds(sink, file) {
                    self.sink(file, sink, &mut waiting);
                }
            }
        }
        let mut seen = HashSet::new();
        while let Some(passed) = waiting.pop() {
            let sites = self.sites.get(&passed.through).cloned().unwrap_or_default();
            for (file, number) in sites {
                if passed.level < LEVELS && seen.insert((shape(&passed.text), file, number)) {
                    self.call(&passed, file, number, &mut waiting);
                }
            }
        }
    }

    fn is_behind(&self, function: FunctionId) -> bool {
        self.behind.contains(&self.workspace.root(function))
    }

    fn sink(&mut self, file: u32, sink: &Sink, waiting: &mut Vec<Passed>) {
        let function = FunctionId { file, index: sink.function };
        let to_proof = |executor: &V| self.workspace.type_of(executor, file, 8) == Some(PROOF);
        let is_guarded =
            sink.guarded || sink.executor.as_ref().is_some_and(to_proof) || self.is_behind(function);
        if let Some(typed) = &sink.typed
            && typed.destroys()
        {
            self.found.push(Sent {
                function: self.workspace.root(function),
                place: CallPlace { call: typed.span, ..sink.place },
                call: sink.name.clone(),
                kind: typed.kind,
                tables: typed.table.iter().map(ToString::to_string).collect(),
                statement: Statement::Typed,
                is_guarded,
            });
        }
        if let Some(text) = &sink.text {
            let texts = self.workspace.expand(text);
            self.judge(&texts, function, sink.place, &sink.name, is_guarded, &HashSet::new());
            Self::pass(text, &sink.name, is_guarded, 0, waiting);
        }
    }

    /// Hands text with parameters on to those who give them.
    fn pass(text: &V, call: &str, is_guarded: bool, level: usize, waiting: &mut Vec<Passed>) {
        let mut functions = Vec::new();
        text.any(&mut |value| {
            if let Value::Parameter { function, .. } = value
                && !functions.contains(function)
            {
                functions.push(*function);
            }
            false
        });
        for through in functions {
            waiting.push(Passed { through, text: V::clone(text), call: call.into(), is_guarded, level });
        }
    }

    fn call(&mut self, passed: &Passed, file: u32, number: usize, waiting: &mut Vec<Passed>) {
        let call = &self.workspace.facts[file as usize].calls[number];
        if call.is_reference || call.arguments.is_empty() {
            return;
        }
        let callee = self.workspace.function(passed.through);
        let by_path = matches!(call.callee, crate::facts::Callee::Path(_));
        let shift = usize::from(by_path && callee.has_receiver);
        let arguments = call.arguments.get(shift..).unwrap_or_default();
        let text = substituted(&passed.text, passed.through, arguments, DEPTH);
        let function = FunctionId { file, index: call.function };
        let is_guarded = passed.is_guarded || call.guarded || self.is_behind(function);
        // what the function sends by itself is said there
        let own: HashSet<Origin> = self
            .workspace
            .expand(&passed.text)
            .iter()
            .flat_map(|text| {
                sql::destructions(&text.text).into_iter().filter_map(|found| text.origin(found.keyword))
            })
            .collect();
        let texts = self.workspace.expand(&text);
        let name = match &call.callee {
            crate::facts::Callee::Path(path) => path.join("::").into(),
            crate::facts::Callee::Method { name, .. } => format!(".{name}").into(),
            _ => passed.call.clone(),
        };
        self.judge(&texts, function, call.place, &name, is_guarded, &own);
        Self::pass(&text, &passed.call, is_guarded, passed.level + 1, waiting);
    }

    fn judge(
        &mut self,
        texts: &[Expanded],
        function: FunctionId,
        place: CallPlace,
        call: &str,
        is_guarded: bool,
        own: &HashSet<Origin>,
    ) {
        let root = self.workspace.root(function);
        for text in texts {
            let temporary = sql::temporary(&text.text);
            if !temporary.is_empty() {
                self.temporary.entry(root).or_default().extend(temporary);
            }
            for destruction in sql::destructions(&text.text) {
                // a verb that only the run knows is nobody's to mend here
                let Some(origin) = text.origin(destruction.keyword) else { continue };
                if own.contains(&origin) {
                    continue;
                }
                self.found.push(Sent {
                    function: root,
                    place,
                    call: call.into(),
                    kind: destruction.kind,
                    tables: destruction.tables,
                    statement: Statement::Text { statement: destruction.statement, origin },
                    is_guarded,
                });
            }
        }
    }

    /// Leaves out what happens to temporary tables of the same function.
    fn without_temporary(self) -> Vec<Sent> {
        let Self { found, temporary, .. } = self;
        let is_temporary = |sent: &Sent, table: &String| {
            let lower = table.to_lowercase();
            // the last is SQL Server's
            ["pg_temp.", "temp.", "#"].iter().any(|start| lower.starts_with(start))
                || temporary.get(&sent.function).is_some_and(|names| names.contains(&sql::plain(table)))
        };
        found
            .into_iter()
            .filter(|sent| {
                sent.tables.is_empty() || !sent.tables.iter().all(|table| is_temporary(sent, table))
            })
            .collect()
    }
}

/// Equal for texts that are passed on in the same way, so that each call is looked at once for each.
fn shape(text: &V) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.any(&mut |value| {
        std::mem::discriminant(value).hash(&mut hasher);
        match value {
            Value::Text { span, offset, .. } => (span, offset).hash(&mut hasher),
            Value::Parameter { function, index, .. } => (function, index).hash(&mut hasher),
            Value::Constant(path, _) | Value::Returned(path, ..) => path.hash(&mut hasher),
            Value::Field(_, name) | Value::Hole(name) | Value::ReturnedByMethod(_, name, _) => {
                name.hash(&mut hasher);
            }
            _ => {}
        }
        false
    });
    hasher.finish()
}
