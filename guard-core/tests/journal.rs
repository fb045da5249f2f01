//! The journal's lines, as others read them.

use std::path::Path;

#[test]
fn the_schema_in_the_repository_is_the_one_of_the_types() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas/journal.schema.json");
    let made = serde_json::to_string_pretty(&fixture_guard_core::journal_schema()).unwrap() + "\n";

    let written = std::fs::read_to_string(&path).unwrap_or_default();

    if written != made {
        let new = path.with_extension("json.new");
        std::fs::write(&new, made).unwrap();
        panic!("a line has another shape now: compare {} and rename it", new.display());
    }
}
