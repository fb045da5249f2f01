//! The committed JSON Schema is the one of this code.
//!
//! To write it anew:
//!
//! ```text
//! FIXTURE_GUARD_WRITE_SCHEMA=1 cargo test -p fixture-guard-core --features schema --test schema
//! ```

#![cfg(feature = "schema")]

use std::path::Path;

use fixture_guard_core::Policy;
use serde_json::Value;

#[test]
#[expect(clippy::disallowed_methods, reason = "tells whether to write the file")]
fn the_committed_schema_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas/fixture-guard.schema.json");
    let schema = serde_json::to_string_pretty(&Policy::schema()).unwrap() + "\n";
    if std::env::var_os("FIXTURE_GUARD_WRITE_SCHEMA").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &schema).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap();
    assert!(committed == schema, "the schema differs; FIXTURE_GUARD_WRITE_SCHEMA=1 writes it anew");
}

#[test]
fn every_table_is_closed_and_every_key_is_described() {
    fn walk(schema: &Value, at: &str, tables: &mut usize) {
        if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
            *tables += 1;
            assert_eq!(schema.get("additionalProperties"), Some(&Value::Bool(false)), "{at} is open");
            for (key, property) in properties {
                assert!(property.get("description").is_some(), "{at}.{key} has no description");
                let page = include_str!("../../docs/policy.md");
                let named = [format!("`{key}`"), format!("] {key}`"), format!("[{key}]"), format!("[{key}.")];
                assert!(named.iter().any(|name| page.contains(name)), "docs/policy.md misses {at}.{key}");
                walk(property, &format!("{at}.{key}"), tables);
            }
        }
        for (name, definition) in schema.get("definitions").and_then(Value::as_object).into_iter().flatten() {
            walk(definition, name, tables);
        }
    }
    let mut tables = 0;
    walk(&Policy::schema(), "fixture-guard.toml", &mut tables);
    assert!(tables >= 4, "{tables} tables");
}
