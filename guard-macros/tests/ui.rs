//! Every message, as its reader sees it.

#[test]
fn says_what_to_write_instead() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
