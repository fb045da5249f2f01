//! What is left on the machine after the tests.

use std::{
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use fixture_guard_test_support::{self as support, PoolMode, Rerun};
use tokio::io::{AsyncBufReadExt, BufReader};

#[tokio::test]
async fn servers_end_after_the_process_that_started_them_was_killed() {
    let test = support::test_path!();
    if support::inside(&test) {
        let server = support::postgres("killed-pg.internal").await;
        let database = server.storefront().await;
        let hosts = format!("host=killed-pg.internal dbname={}", database.name());
        let bouncer = support::pgbouncer(&[("storefront", &hosts)], PoolMode::Session).await;
        println!("\nready {}:{} {}:{}", server.address(), server.port(), bouncer.address(), bouncer.port());
        std::future::pending::<()>().await;
    }

    // Servers of its own, since the shared ones have a longer patience.
    let mut child = Rerun::new().env("FIXTURE_GUARD_TEST_IDLE_SECONDS", "2").spawn(&test).await;
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let addresses: Vec<SocketAddr> = loop {
        let line = lines.next_line().await.unwrap().expect("the child gets ready");
        if let Some(addresses) = line.strip_prefix("ready ") {
            break addresses.split(' ').map(|address| address.parse().unwrap()).collect();
        }
    };
    let answer = |address: &SocketAddr| TcpStream::connect_timeout(address, Duration::from_secs(1)).is_ok();
    assert!(addresses.iter().all(answer), "{addresses:?}");

    child.kill().await.unwrap();

    // Two seconds of patience, a look every second, and the shutdown. Asking by connecting would be using it.
    let killed = Instant::now();
    tokio::time::sleep(Duration::from_secs(5)).await;
    while addresses.iter().any(answer) {
        assert!(killed.elapsed() < Duration::from_secs(30), "{addresses:?} still answer");
        tokio::time::sleep(Duration::from_secs(4)).await;
    }
}
