//! For any string: no panic, no other place than an allowed one, and no password in any output.
//!
//! The suite runs each property a thousand times. Before a release, and after a change below `src/target/`, run
//! the long form (about ten minutes on one core), and the fuzz targets, which `fuzz/README.md` describes:
//!
//! ```text
//! PROPTEST_CASES=3000000 cargo test --release -p fixture-guard-core --features mysql,sqlite --test properties
//! ```
//!
//! A DSN that fails belongs into `tests/spellings.rs`, by hand and with the reason.

#![cfg(all(feature = "mysql", feature = "sqlite"))]

mod property;

use std::path::Path;
use std::sync::LazyLock;

use proptest::collection::vec;
use proptest::prelude::*;

use property::{
    check_mysql, check_postgres, check_secret, check_sqlite, is_allowed, write_dsn, write_secret,
};

fn config() -> ProptestConfig {
    let default = ProptestConfig::default();
    ProptestConfig { cases: default.cases.max(1_000), failure_persistence: None, ..default }
}

/// Numbers for a writer; where they run out, it takes the first of everything.
fn choices(numbers: &[u16]) -> impl FnMut(usize) -> usize {
    let mut numbers = numbers.iter();
    move |below| numbers.next().map_or(0, |number| usize::from(*number) % below)
}

static CORPUS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/corpus/postgres-dsn.csv");
    let rows = csv::Reader::from_path(path).unwrap().into_records().map(Result::unwrap);
    rows.map(|row| serde_json::from_str(&row[2]).unwrap()).collect()
});

fn check_all(dsn: &str) {
    check_postgres(dsn);
    check_mysql(dsn);
    check_sqlite(dsn);
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_written_dsn_leads_every_client_to_an_allowed_place(numbers in vec(any::<u16>(), 0..80)) {
        check_all(&write_dsn(&mut choices(&numbers)));
    }

    #[test]
    fn a_mutated_row_of_the_corpus_leads_every_client_to_an_allowed_place(
        (one, other) in (any::<prop::sample::Selector>(), any::<prop::sample::Selector>()),
        (cut, join) in (any::<prop::sample::Index>(), any::<prop::sample::Index>()),
    ) {
        let (one, other) = (one.select(&*CORPUS), other.select(&*CORPUS));
        let boundary = |text: &str, index: &prop::sample::Index| {
            text.char_indices().map(|(at, _)| at).nth(index.index(text.chars().count())).unwrap()
        };
        let spliced = format!("{}{}", &one[..boundary(one, &cut)], &other[boundary(other, &join)..]);
        check_all(&spliced);
    }

    #[test]
    fn any_text_leads_every_client_to_an_allowed_place(text in "(postgres|mysql|sqlite)(:|://)\\PC{0,60}") {
        check_all(&text);
    }

    #[test]
    fn no_output_holds_the_password(numbers in vec(any::<u16>(), 0..8)) {
        check_secret(&write_secret(&mut choices(&numbers)));
    }
}

/// The port of libpq's parser is a parser: without this, a property that compares with nothing would pass.
#[test]
fn the_port_of_libpq_reads_what_libpq_reads() {
    let read = |uri: &str| {
        property::libpq(uri)
            .map(|found| found.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(" "))
    };
    for (uri, expected) in [
        ("postgresql://u:p%40@h1:1,h2:2/db?host=h3", Some("user=u password=p@ dbname=db host=h3")),
        ("postgresql://h1,h2:2/db", Some("host=h1,h2 dbname=db")),
        ("postgres://[::1]:5432/db#f", Some("host=::1 dbname=db#f")),
        ("postgres:///db?service=x", Some("dbname=db service=x")),
        ("postgres://h?x=1", None),
        ("postgres://h?host", None),
        ("postgres://h/%00", None),
        ("POSTGRES://h", None),
    ] {
        assert_eq!(read(uri).as_deref(), expected, "{uri}");
    }
}

/// A writer whose DSNs are all refused would prove nothing.
#[test]
fn many_written_dsns_are_allowed() {
    let mut state = 1_u64;
    let mut choose = move |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    let allowed = (0..10_000).filter(|_| is_allowed(&write_dsn(&mut choose))).count();
    assert!(allowed > 200, "{allowed} of 10,000 are allowed");
}
