//! The guard's own workspace: nothing in it destroys what no guard stands before, but what says why.

#[test]
fn this_workspace_is_guarded() {
    fixture_guard_coverage::assert_guarded!();
}
