//! What happens to the connections that go through a proxy.

use std::time::Duration;

use fixture_guard_test_support::{self as support, After, Direction, Fault, Proxy};
use sqlx::{ConnectOptions, Executor, PgConnection};
use tokio::time::timeout;

async fn through(proxy: &Proxy, database: &support::Database) -> PgConnection {
    let options = database.options().host(&proxy.address().to_string()).port(proxy.port());
    options.connect().await.unwrap()
}

async fn proxied() -> (Proxy, support::Database) {
    let server = support::postgres(support::STAGING).await;
    (Proxy::to(server).await, server.database("CREATE TABLE t (n int)").await)
}

#[tokio::test]
async fn counts_connections_and_messages() {
    let (proxy, database) = proxied().await;
    assert_eq!(proxy.accepted(), 0);

    let mut first = through(&proxy, &database).await;
    let _second = through(&proxy, &database).await;
    assert_eq!(proxy.accepted(), 2);

    proxy.fail(Direction::ToServer, After::Messages(usize::MAX), Fault::Cut);
    first.execute("SELECT 1").await.unwrap();
    // a simple query and its row description, row, end and readiness
    assert_eq!((proxy.messages(Direction::ToServer), proxy.messages(Direction::ToClient)), (1, 4));
    assert!(!proxy.failed());
}

#[tokio::test]
async fn cuts_before_or_after_the_server_has_heard_the_message() {
    let (proxy, database) = proxied().await;
    for (let_through, rows) in [(0, 0), (1, 1)] {
        let mut connection = through(&proxy, &database).await;

        proxy.fail(Direction::ToServer, After::Messages(let_through), Fault::Cut);
        connection.execute("INSERT INTO t VALUES (1)").await.unwrap_err();

        assert!(proxy.failed());
        // The server goes on with what it was sent, and this waits for it.
        let gone = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename = 'storefront_app'";
        while sqlx::query_scalar::<_, i64>(gone).fetch_one(&mut database.admin().await).await.unwrap() > 0 {}
        assert_eq!(database.rows("t").await, rows, "{let_through} let through");
    }
}

#[tokio::test]
async fn cuts_in_the_middle_of_an_answer() {
    let (proxy, database) = proxied().await;
    let mut connection = through(&proxy, &database).await;

    proxy.fail(Direction::ToClient, After::Bytes(7), Fault::Cut);
    connection.execute("INSERT INTO t VALUES (1)").await.unwrap_err();

    assert_eq!(proxy.bytes(Direction::ToClient), 7);
    assert_eq!(database.rows("t").await, 1);
}

#[tokio::test]
async fn stalls_until_the_client_gives_up() {
    let (proxy, database) = proxied().await;
    let mut connection = through(&proxy, &database).await;

    proxy.fail(Direction::ToClient, After::Messages(0), Fault::Stall);
    let answer = timeout(Duration::from_millis(200), connection.execute("INSERT INTO t VALUES (1)")).await;

    assert!(answer.is_err(), "no answer came");
    assert_eq!(database.rows("t").await, 1);
    through(&proxy, &database).await.execute("SELECT 1").await.unwrap();
}

#[tokio::test]
async fn delays_what_arrives() {
    let (proxy, database) = proxied().await;
    let mut connection = through(&proxy, &database).await;

    proxy.delay(Duration::from_millis(50));
    let began = std::time::Instant::now();
    connection.execute("SELECT 1").await.unwrap();

    assert!(began.elapsed() >= Duration::from_millis(100), "there and back");
}
