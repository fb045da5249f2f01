//! Every run is written down, as one line and as one span.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use fixture_guard::{Code, Environment, Error, JournalRule, Outcome, Policy, Stage, destructive_fixture};
use futures_util::FutureExt;
use serde_json::{Value, json};
use sqlx::{Executor, PgConnection};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::support::{self, APP_PASSWORD, Database, Rerun, STAGING};

#[destructive_fixture]
async fn empty_blocks(conn: &mut PgConnection) -> Result<(), Error> {
    conn.execute("DELETE FROM cms_blocks").await.expect("the body runs");
    Ok(())
}

#[destructive_fixture(tables = ["coupons"])]
async fn empty_blocks_undeclared(conn: &mut PgConnection) -> Result<(), Error> {
    conn.execute("DELETE FROM cms_blocks").await.expect("the body runs");
    Ok(())
}

#[destructive_fixture]
async fn panics(conn: &mut PgConnection) -> Result<(), Error> {
    conn.execute("DELETE FROM cms_blocks").await.expect("the body runs");
    panic!("on purpose");
}

/// A policy that knows the database as disposable and writes to this file.
fn journalling(database: &Database, path: &Path, rule: JournalRule) -> Arc<Policy> {
    let host = database.server().address().to_string();
    let tests = Environment::destructive("tests").host(&host).unwrap();
    Arc::new(Policy::new().environment(tests).unwrap().harmless_word("preprod").journal(path, rule))
}

/// The lines of a journal, each of which fits the committed schema.
pub(crate) fn lines(path: &Path) -> Vec<Value> {
    let schema = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/journal.schema.json");
    let schema = serde_json::from_str(&std::fs::read_to_string(schema).unwrap()).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "the last line is whole");
    assert!(!text.contains(APP_PASSWORD), "the journal shows the password");
    let read = |line: &str| {
        let value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let wrong: Vec<String> = schema.iter_errors(&value).map(|error| error.to_string()).collect();
        assert!(wrong.is_empty(), "{wrong:?}: {line}");
        value
    };
    text.lines().map(read).collect()
}

fn file() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("runs.jsonl");
    (directory, file)
}

#[tokio::test]
async fn writes_down_who_removed_what_and_where() {
    let staging = support::postgres(STAGING).await.storefront().await;
    let blocks = staging.rows("cms_blocks").await;
    let (_directory, file) = file();
    let policy = journalling(&staging, &file, JournalRule::Required);

    let line = line!() + 1;
    empty_blocks(policy.judging(staging.options())).await.unwrap();

    let [run] = &lines(&file)[..] else { panic!("one line for one run") };
    assert_eq!(run["fixture"], "empty_blocks");
    assert!(run["place"].as_str().unwrap().starts_with("tests/it/journal.rs:"), "{run}");
    assert!(run["called"].as_str().unwrap().starts_with(&format!("tests/it/journal.rs:{line}:")), "{run}");
    assert!(run["target"].as_str().unwrap().starts_with(staging.name()), "{run}");
    assert_eq!(run["environment"], "tests");
    assert_eq!(run["identity"]["database"], staging.name());
    assert_eq!(run["identity"]["system_identifier"], staging.server().system_identifier());
    assert_eq!((&run["verdict"], &run["outcome"]), (&json!("cleared"), &json!("committed")));
    assert_eq!(run["damage"][0]["table"], "cms_blocks");
    assert_eq!(run["damage"][0]["deleted"]["rows"], json!(blocks));
    assert_eq!(run["rehearsal"], false);
    assert_eq!(run["loosenings"], json!(["`preprod` is declared harmless"]));
    assert_eq!(staging.rows("cms_blocks").await, 0);
}

#[tokio::test]
async fn writes_down_what_was_refused_and_why() {
    let staging = support::postgres(STAGING).await.storefront().await;
    let before = staging.all_rows().await;
    let (_directory, file) = file();
    let policy = journalling(&staging, &file, JournalRule::Optional);

    empty_blocks(policy.judging("postgres://app:hunter2@prod-db.internal/shop")).await.unwrap_err();
    empty_blocks(policy.judging(staging.options().database("nowhere"))).await.unwrap_err();
    empty_blocks_undeclared(policy.judging(staging.options())).await.unwrap_err();

    let runs = lines(&file);
    let told: Vec<_> = runs
        .iter()
        .map(|run| (&run["outcome"], &run["body"], &run["reasons"][0]["code"], run["identity"].is_null()))
        .collect();
    assert_eq!(
        told,
        [
            (&json!("refused"), &json!("not_run"), &json!("FG001"), true),
            (&json!("refused"), &json!("not_run"), &json!("FG014"), true),
            (&json!("rolled_back"), &json!("succeeded"), &json!("FG052"), false),
        ]
    );
    assert!(runs.iter().all(|run| run["verdict"] == "refused"));
    assert!(!std::fs::read_to_string(&file).unwrap().contains("hunter2"));
    assert_eq!(staging.all_rows().await, before);
}

#[tokio::test]
async fn writes_down_a_body_that_did_not_finish() {
    let staging = support::postgres(STAGING).await.storefront().await;
    let before = staging.all_rows().await;
    let (_directory, file) = file();
    let policy = journalling(&staging, &file, JournalRule::Required);

    let run = std::panic::AssertUnwindSafe(panics(policy.judging(staging.options())));
    run.catch_unwind().await.unwrap_err();

    let [run] = &lines(&file)[..] else { panic!("one line for one run") };
    assert_eq!((&run["body"], &run["outcome"]), (&json!("unfinished"), &json!("rolled_back")));
    assert_eq!(run["damage"], Value::Null);
    assert_eq!(staging.all_rows().await, before);
}

#[tokio::test]
async fn writes_down_a_shared_transaction_after_what_was_nested_in_it() {
    let staging = support::postgres(STAGING).await.storefront().await;
    let before = staging.all_rows().await;
    let (_directory, file) = file();
    let policy = journalling(&staging, &file, JournalRule::Required);

    let mut tx = fixture_guard::begin(policy.judging(staging.options())).await.unwrap();
    empty_blocks(&mut tx).await.unwrap();
    tx.rollback().await.unwrap();
    drop(fixture_guard::begin(policy.judging(staging.options())).await.unwrap());

    let runs = lines(&file);
    let told: Vec<_> = runs.iter().map(|run| (&run["fixture"], &run["outcome"])).collect();
    let (nested, rolled_back) = (json!("nested"), json!("rolled_back"));
    assert_eq!(
        told,
        [(&json!("empty_blocks"), &nested), (&Value::Null, &rolled_back), (&Value::Null, &rolled_back)]
    );
    // a neighbour's transaction that was aborted meanwhile makes a count a bound
    let damage = |run: &Value| run["damage"].to_string().replace("at_most", "exact");
    assert_eq!(damage(&runs[1]), damage(&runs[0]));
    assert_eq!(staging.all_rows().await, before);
}

#[tokio::test]
async fn refuses_before_it_connects_when_the_journal_must_be_written_and_cannot() {
    let staging = support::postgres(STAGING).await.storefront().await;
    let before = staging.all_rows().await;
    let (directory, _) = file();
    let nowhere = directory.path().join("missing/runs.jsonl");

    let policy = journalling(&staging, &nowhere, JournalRule::Required);
    let error = empty_blocks(policy.judging(staging.options())).await.unwrap_err();

    let refusal = error.refusal().expect("a refusal");
    assert_eq!(refusal.stage(), Stage::BeforeConnecting);
    assert_eq!(refusal.reasons()[0].code(), Code::Journal, "{refusal}");
    assert_eq!(staging.all_rows().await, before);
}

#[tokio::test]
async fn goes_on_when_the_journal_may_be_missing() {
    let staging = support::postgres(STAGING).await.storefront().await;
    let (directory, _) = file();
    let nowhere = directory.path().join("missing/runs.jsonl");

    let policy = journalling(&staging, &nowhere, JournalRule::Optional);
    empty_blocks(policy.judging(staging.options())).await.unwrap();

    assert_eq!(staging.rows("cms_blocks").await, 0);
}

#[tokio::test]
async fn says_that_it_committed_when_the_disk_is_full_afterwards() {
    let staging = support::postgres(STAGING).await.storefront().await;

    let policy = journalling(&staging, Path::new("/dev/full"), JournalRule::Required);
    let error = empty_blocks(policy.judging(staging.options())).await.unwrap_err();

    let broken = error.broken().expect("the run broke off");
    assert_eq!(*broken.outcome(), Outcome::Committed, "{broken}");
    assert!(broken.found().contains("/dev/full"), "{broken}");
    assert_eq!(staging.rows("cms_blocks").await, 0);
}

#[tokio::test]
async fn a_path_in_the_file_is_relative_to_the_file() {
    let staging = support::postgres(STAGING).await.storefront().await;
    let (directory, file) = file();
    let host = staging.server().address();
    let text = format!(
        "[environments.tests]\ndestructive = true\nhosts = [\"{host}\"]\n\n[journal]\npath = \"runs.jsonl\"\nrequired = true\n"
    );
    let policy = Policy::parse(&text, &directory.path().join("fixture-guard.toml")).unwrap();

    empty_blocks(Arc::new(policy).judging(staging.options())).await.unwrap();

    assert_eq!(lines(&file).len(), 1);
    assert_eq!(staging.rows("cms_blocks").await, 0);
}

/// What `tracing` was told: the fields of each of our spans, and the level of each event in one.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<Span>>>);

#[derive(Default, Debug)]
struct Span {
    fields: BTreeMap<&'static str, String>,
    events: Vec<Level>,
}

thread_local! {
    static ENTERED: std::cell::RefCell<Vec<u64>> = const { std::cell::RefCell::new(Vec::new()) };
}

impl Visit for Span {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.fields.insert(field.name(), format!("{value:?}"));
    }
}

impl Told {
    fn spans(&self) -> std::sync::MutexGuard<'_, Vec<Span>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscriber for Told {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("fixture_guard")
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut span = Span::default();
        attributes.record(&mut span);
        let mut spans = self.spans();
        spans.push(span);
        Id::from_u64(spans.len() as u64)
    }

    fn record(&self, id: &Id, values: &Record<'_>) {
        values.record(&mut self.spans()[usize::try_from(id.into_u64()).unwrap() - 1]);
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let within =
            ENTERED.with_borrow(|entered| entered.last().copied()).expect("an event outside of a run");
        self.spans()[usize::try_from(within).unwrap() - 1].events.push(*event.metadata().level());
    }

    fn enter(&self, id: &Id) {
        ENTERED.with_borrow_mut(|entered| entered.push(id.into_u64()));
    }

    fn exit(&self, _: &Id) {
        ENTERED.with_borrow_mut(Vec::pop);
    }
}

#[tokio::test]
async fn tells_tracing_the_same_in_one_span_for_each_run() {
    // by itself, because tracing remembers for the whole process whom a place in the code interests
    support::rerun!(Rerun::new());
    let staging = support::postgres(STAGING).await.storefront().await;
    let blocks = staging.rows("cms_blocks").await;
    let policy = crate::disposable(&staging);
    let told = Told::default();
    let _here = tracing::subscriber::set_default(told.clone());

    empty_blocks(policy.judging(staging.options())).await.unwrap();
    empty_blocks_undeclared(policy.judging("postgres://app:hunter2@prod-db.internal/shop"))
        .await
        .unwrap_err();
    let wrong = Environment::destructive("tests").host(&staging.server().address().to_string()).unwrap();
    let wrong = Arc::new(Policy::new().environment(wrong.system_identifier(1)).unwrap());
    empty_blocks(wrong.judging(staging.options())).await.unwrap_err();

    let spans = told.spans();
    let [committed, refused, elsewhere] = &spans[..] else { panic!("one span for each run: {spans:#?}") };
    assert_eq!(committed.fields["fixture"], "\"empty_blocks\"");
    assert_eq!(committed.fields["outcome"], "\"committed\"");
    assert_eq!(committed.fields["environment"], "\"tests\"");
    let damage = committed.fields["damage"].replace("at most ", "");
    assert_eq!(damage, format!("\"removed {blocks} rows from cms_blocks\""));
    assert!(committed.fields["called"].contains("tests/it/journal.rs"));
    assert_eq!(committed.events, [Level::INFO]);
    assert_eq!(refused.fields["verdict"], "\"refused\"");
    assert_eq!(refused.events, [Level::WARN], "nothing was connected to");
    assert_eq!(elsewhere.events, [Level::ERROR], "a database that must not be touched was connected to");
    assert!(!format!("{spans:?}").contains("hunter2") && !format!("{spans:?}").contains(APP_PASSWORD));
}
