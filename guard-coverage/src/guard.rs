//! Which functions run only behind the guard.

use std::collections::{HashMap, HashSet};

use crate::facts::Callee;
use crate::value::FunctionId;
use crate::workspace::Workspace;

/// Who calls a function.
#[derive(Clone, Copy, Debug)]
struct Edge {
    caller: FunctionId,
    /// With a connection that the guard made.
    guarded: bool,
}

/// One call of a function: the file, and the call's number in it.
pub(crate) type CallSite = (u32, usize);

/// The calls of every function of the workspace.
pub(crate) fn call_sites(workspace: &Workspace<'_>) -> HashMap<FunctionId, Vec<CallSite>> {
    let mut sites: HashMap<FunctionId, Vec<CallSite>> = HashMap::new();
    for (file, facts) in (0_u32..).zip(workspace.facts) {
        for (number, call) in facts.calls.iter().enumerate() {
            for callee in workspace.callees(&call.callee, file) {
                sites.entry(callee).or_default().push((file, number));
            }
        }
    }
    sites
}

/// The functions whose bodies run only behind the guard: marked ones, and those that nobody else calls.
///
/// By name, and careful: a function with one caller that is not guarded is not, nor is one that nobody calls.
pub(crate) fn guarded(
    workspace: &Workspace<'_>,
    sites: &HashMap<FunctionId, Vec<CallSite>>,
) -> HashSet<FunctionId> {
    let mut marked = HashSet::new();
    let mut callers: HashMap<FunctionId, Vec<Edge>> = HashMap::new();
    for function in workspace.facts.iter().flat_map(|facts| &facts.functions) {
        if function.is_guarded {
            marked.insert(function.id);
        }
        let foreign = function.implements.as_ref().is_some_and(|name| !workspace.is_trait(name));
        if function.is_entry || foreign || function.is_closure {
            continue;
        }
        let edges = sites.get(&function.id).into_iter().flatten().map(|&(file, number)| {
            let call = &workspace.facts[file as usize].calls[number];
            let caller = workspace.root(FunctionId { file, index: call.function });
            Edge { caller, guarded: call.guarded && !matches!(call.callee, Callee::Macro(_)) }
        });
        let edges: Vec<_> = edges.filter(|edge| edge.caller != function.id).collect();
        if !edges.is_empty() {
            callers.insert(function.id, edges);
        }
    }
    // first all that have callers, then without those that somebody calls unguarded, until nothing changes
    let mut safe: HashSet<FunctionId> = callers.keys().copied().collect();
    loop {
        let is_safe =
            |edge: &Edge| edge.guarded || marked.contains(&edge.caller) || safe.contains(&edge.caller);
        let lost: Vec<_> = safe.iter().filter(|id| !callers[id].iter().all(is_safe)).copied().collect();
        if lost.is_empty() {
            break;
        }
        for id in lost {
            safe.remove(&id);
        }
    }
    // what only calls itself in a circle is behind nothing
    let mut behind = marked;
    loop {
        let reached =
            |id: &FunctionId| callers[id].iter().any(|edge| edge.guarded || behind.contains(&edge.caller));
        let more: Vec<_> = safe.iter().filter(|id| !behind.contains(id) && reached(id)).copied().collect();
        if more.is_empty() {
            return behind;
        }
        behind.extend(more);
    }
}
