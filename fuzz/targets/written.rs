//! DSNs as people, tools and accidents write them; the input is a list of choices.

#![no_main]

#[path = "../../guard-core/tests/property/mod.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|numbers: &[u8]| {
    let mut choices = numbers.iter();
    let mut choose = |below: usize| choices.next().map_or(0, |number| usize::from(*number) % below);
    let dsn = property::write_dsn(&mut choose);
    property::check_postgres(&dsn);
    property::check_mysql(&dsn);
    property::check_sqlite(&dsn);
    let mut choices = numbers.iter();
    let mut choose = |below: usize| choices.next().map_or(0, |number| usize::from(*number) % below);
    property::check_secret(&property::write_secret(&mut choose));
});
