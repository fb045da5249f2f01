//! Any string, as a PostgreSQL, MySQL and SQLite DSN.

#![no_main]

#[path = "../../guard-core/tests/property/mod.rs"]
#[expect(dead_code, reason = "the other target writes its DSNs")]
mod property;

libfuzzer_sys::fuzz_target!(|dsn: &str| {
    property::check_postgres(dsn);
    property::check_mysql(dsn);
    property::check_sqlite(dsn);
});
