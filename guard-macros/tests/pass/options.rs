//! Every option, and how it stands in the `Fixture`.

use std::time::Duration;

use fixture_guard::{Fixture, GuardedTransaction, OnSuccess, PgPool, destructive_fixture};

use crate::run;

const LINE: u32 = line!() + 1;
#[destructive_fixture(
    hosts = ["*-staging*", r"localhost"],
    databases = ["storefront"],
    environment = "staging",
    tables = ["categories", "public.cms_blocks", r#""Weird Name""#],
    max_rows = 10_000u64,
    reach = ["trigger:audit_log", "inherits:_hyper_*"],
    statement_timeout = "2m",
    lock_timeout = "500ms",
    on_success = "rollback",
    crate = ::fixture_guard,
)]
async fn all(tx: &mut GuardedTransaction) -> Option<&'static Fixture> {
    tx.fixture()
}

#[destructive_fixture]
async fn none(tx: &mut GuardedTransaction) -> Option<&'static Fixture> {
    tx.fixture()
}

#[destructive_fixture(crate = "fixture_guard", max_rows = 0, on_success = "commit")]
async fn r#as(tx: &mut GuardedTransaction) -> Option<&'static Fixture> {
    tx.fixture()
}

const LINE_OF_THE_POSTPONED: u32 = line!() + 1;
#[destructive_fixture(max_rows = 7)]
#[tracing::instrument(skip(tx))]
async fn postponed(tx: &mut GuardedTransaction) -> Option<&'static Fixture> {
    tx.fixture()
}

#[test]
fn hands_every_option_to_the_fixture() {
    let fixture = run(all(&PgPool::disposable())).unwrap();

    assert_eq!(fixture.name, "all");
    assert_eq!(fixture.hosts, ["*-staging*", "localhost"]);
    assert_eq!(fixture.databases, ["storefront"]);
    assert_eq!(fixture.environment, Some("staging"));
    assert_eq!(fixture.tables, ["categories", "public.cms_blocks", "\"Weird Name\""]);
    assert_eq!(fixture.max_rows, Some(10_000));
    assert_eq!(fixture.reach, ["trigger:audit_log", "inherits:_hyper_*"]);
    assert_eq!(fixture.statement_timeout, Some(Duration::from_mins(2)));
    assert_eq!(fixture.lock_timeout, Some(Duration::from_millis(500)));
    assert_eq!(fixture.on_success, OnSuccess::Rollback);
}

#[test]
fn leaves_out_what_was_not_said() {
    let fixture = run(none(&PgPool::disposable())).unwrap();

    assert!(fixture.hosts.is_empty() && fixture.tables.is_empty());
    assert_eq!((fixture.environment, fixture.max_rows), (None, None));

    let fixture = run(r#as(&PgPool::disposable())).unwrap();

    assert_eq!((fixture.name, fixture.max_rows, fixture.on_success), ("as", Some(0), OnSuccess::Commit));
}

#[test]
fn knows_where_its_attribute_stands() {
    let place = &run(all(&PgPool::disposable())).unwrap().place;

    assert_eq!((place.file, place.line, place.column), (file!(), LINE, 1));
    assert_eq!((place.module_path, place.manifest_dir), (module_path!(), Some(env!("CARGO_MANIFEST_DIR"))));

    let fixture = run(postponed(&PgPool::disposable())).unwrap();

    assert_eq!((fixture.place.line, fixture.max_rows), (LINE_OF_THE_POSTPONED, Some(7)));
}
