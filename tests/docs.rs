//! What the pages say is what the code has.

use fixture_guard::Code;

#[test]
fn every_code_of_a_refusal_is_explained() {
    let page = include_str!("../docs/refusals.md");
    let missing: Vec<_> = Code::ALL.iter().filter(|code| !page.contains(code.as_str())).collect();
    assert!(missing.is_empty(), "docs/refusals.md does not explain {missing:?}");
}
