//! A rehearsal: everything runs, is checked and told, and nothing is kept.

use fixture_guard::{Code, Error, Refusal, RunEnding, Stage, destructive_fixture, observe};
use sqlx::{Executor, PgConnection};
use support::{Direction, Proxy, Rerun};

use crate::disposable;
use crate::support::{self, STAGING};

#[destructive_fixture]
async fn reset_db(conn: &mut PgConnection) -> sqlx::Result<()> {
    conn.execute("DELETE FROM cms_blocks; TRUNCATE categories CASCADE").await?;
    Ok(())
}

#[destructive_fixture(tables = ["coupons"])]
async fn reset_undeclared(conn: &mut PgConnection) -> Result<(), Error> {
    conn.execute("DELETE FROM cms_blocks").await.expect("the body runs");
    Ok(())
}

#[destructive_fixture(on_success = "rollback", tables = ["coupons"])]
async fn rehearse_undeclared(conn: &mut PgConnection) -> Result<(), Error> {
    conn.execute("DELETE FROM cms_blocks").await.expect("the body runs");
    Ok(())
}

fn refusal(result: Result<(), Error>) -> Refusal {
    result.unwrap_err().refusal().cloned().expect("a refusal")
}

#[tokio::test]
async fn keeps_nothing_when_the_process_rehearses() {
    support::rerun!(Rerun::new().env("FIXTURE_GUARD", "rehearse"));
    let staging = support::postgres(STAGING).await.storefront().await;
    let (pool, before) = (staging.pool().await, staging.all_rows().await);

    let observed = observe(reset_db(disposable(&staging).judging(&pool))).await;

    observed.returned.unwrap();
    assert_eq!(observed.runs[0].ending, RunEnding::RolledBack);
    let blocks = u64::try_from(before["cms_blocks"]).unwrap();
    let damage = observed.runs[0].damage.as_ref().unwrap();
    assert_eq!(damage.table("cms_blocks").unwrap().removed().at_most(), Some(blocks));
    assert_eq!(staging.all_rows().await, before);
    let role: String = sqlx::query_scalar("SELECT current_setting('default_transaction_read_only')")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(role, "off");
}

#[tokio::test]
async fn prints_the_damage_of_a_rehearsal_past_the_test_harness() {
    if support::inside(&support::test_path!()) {
        let staging = support::postgres(STAGING).await.storefront().await;
        let before = staging.all_rows().await;
        reset_db(disposable(&staging).judging(staging.options())).await.unwrap();
        assert_eq!(staging.all_rows().await, before);
        return;
    }
    let output = Rerun::new().env("FIXTURE_GUARD", "rehearse").output(&support::test_path!()).await;

    let (stdout, stderr) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr).into_owned());
    assert!(output.status.success(), "{stdout}\n{stderr}");
    let block: Vec<&str> = stderr.lines().skip_while(|line| !line.contains("rehearsed")).collect();
    assert!(
        block[0].starts_with("fixture-guard rehearsed the fixture `reset_db` (tests/it/rehearsal.rs:"),
        "{stderr}"
    );
    let block = block.join("\n");
    for line in
        ["nothing was kept", "target:   storefront_", "rows from cms_blocks", "categories (truncated)"]
    {
        assert!(block.contains(line), "`{line}` is not in:\n{block}");
    }
    assert!(!block.contains(support::APP_PASSWORD));
}

#[tokio::test]
async fn checks_in_a_rehearsal_what_it_checks_before_a_commit() {
    support::rerun!(Rerun::new().env("FIXTURE_GUARD", "rehearse"));
    let staging = support::postgres(STAGING).await.storefront().await;
    let before = staging.all_rows().await;

    for result in [
        reset_undeclared(disposable(&staging).judging(staging.options())).await,
        rehearse_undeclared(disposable(&staging).judging(staging.options())).await,
    ] {
        let refusal = refusal(result);
        assert_eq!(refusal.reasons()[0].code(), Code::UndeclaredTable);
        assert_eq!(refusal.stage(), Stage::RolledBack);
    }
    assert_eq!(staging.all_rows().await, before);
}

#[tokio::test]
async fn refuses_a_wish_that_it_does_not_understand() {
    support::rerun!(Rerun::new().env("FIXTURE_GUARD", "off"));
    let staging = support::postgres(STAGING).await.storefront().await;
    let before = staging.all_rows().await;

    let refusal = refusal(reset_undeclared(disposable(&staging).judging(staging.options())).await);

    let codes: Vec<Code> = refusal.reasons().iter().map(fixture_guard::Reason::code).collect();
    assert_eq!(codes, [Code::UnknownMode]);
    assert_eq!(refusal.stage(), Stage::BeforeConnecting);
    assert!(refusal.to_string().contains("FIXTURE_GUARD=rehearse"), "{refusal}");
    assert_eq!(staging.all_rows().await, before);
}

#[tokio::test]
async fn refuses_an_empty_wish() {
    support::rerun!(Rerun::new().env("FIXTURE_GUARD", ""));
    let staging = support::postgres(STAGING).await.storefront().await;
    let before = staging.all_rows().await;

    let refusal = refusal(reset_undeclared(disposable(&staging).judging(staging.options())).await);

    assert_eq!(refusal.reasons()[0].code(), Code::UnknownMode);
    assert_eq!(staging.all_rows().await, before);
}

#[destructive_fixture(on_success = "rollback")]
async fn told_at_its_end(conn: &mut PgConnection, proxy: &Proxy) -> sqlx::Result<usize> {
    conn.execute("DELETE FROM cms_blocks").await?;
    Ok(proxy.messages(Direction::ToServer))
}

/// The survey and the undoing are one message; what tells the driver goes along with the pool's next one.
#[tokio::test]
async fn costs_no_message_more_than_a_bare_rollback_after_the_body() {
    let staging = support::postgres(STAGING).await.storefront().await;
    let before = staging.all_rows().await;
    let proxy = Proxy::to(staging.server()).await;
    let options = staging.options().host(&proxy.address().to_string()).port(proxy.port());
    let pool = sqlx::postgres::PgPoolOptions::new().max_connections(1).connect_with(options).await.unwrap();
    let policy = crate::known_by_cluster(&staging);
    let bare = {
        let mut tx = pool.begin().await.unwrap();
        tx.execute("DELETE FROM cms_blocks").await.unwrap(); // fixture-guard: allow(to compare with)
        let before = proxy.messages(Direction::ToServer);
        tx.rollback().await.unwrap();
        proxy.messages(Direction::ToServer) - before
    };

    let at_its_end = told_at_its_end(policy.judging(&pool), &proxy).await.unwrap();
    let guarded = proxy.messages(Direction::ToServer) - at_its_end;

    assert_eq!(guarded, bare);
    assert_eq!(staging.all_rows().await, before);
}
