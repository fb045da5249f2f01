//! Random bodies: a short form of `examples/random_bodies`, with a fixed seed.

use std::time::{Duration, Instant};

use campaign::{Campaign, Shape};

#[path = "../../examples/random_bodies/campaign/mod.rs"]
mod campaign;

/// Bodies of one test. A slow machine runs fewer.
const BODIES: u64 = 48;
const LIMIT: Duration = Duration::from_secs(40);

async fn compare(seed: u64, shape: Shape) {
    let mut campaign = Campaign::new(seed, shape).await;
    let since = Instant::now();
    for number in 0..BODIES {
        if since.elapsed() > LIMIT {
            break;
        }
        if let Err(failure) = campaign.run(number, None).await {
            let failure = campaign.shrink(failure).await;
            let (number, steps) = (failure.number, &failure.steps);
            panic!("seed {seed}, body {number}, statements {steps:?}: {failure}\n{}", campaign.endings);
        }
    }
}

#[tokio::test]
async fn leaves_every_row_that_a_random_body_did_not_declare() {
    compare(1, Shape::default()).await;
}

#[tokio::test]
async fn leaves_every_row_when_a_random_body_is_nested() {
    compare(2, Shape { nested: true, ..Shape::default() }).await;
}

#[tokio::test]
async fn leaves_every_row_when_a_random_body_runs_behind_a_pooler() {
    compare(3, Shape { pooled: true, ..Shape::default() }).await;
}
