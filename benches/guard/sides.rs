//! Sides of a comparison, measured in turns: whatever else the machine does meets all of them.

use std::time::{Duration, Instant};

use futures_util::future::LocalBoxFuture;

use crate::cluster::Result;

/// One way to do a thing. What comes before it, to make the conditions the same, is not measured.
pub(crate) struct Side<'a> {
    name: &'static str,
    sample: Box<dyn FnMut() -> LocalBoxFuture<'a, Result<Duration>> + 'a>,
}

impl<'a> Side<'a> {
    pub(crate) fn new<F>(name: &'static str, mut sample: impl FnMut() -> F + 'a) -> Self
    where
        F: Future<Output = Result<Duration>> + 'a,
    {
        Self { name, sample: Box::new(move || Box::pin(sample())) }
    }
}

/// What one side took.
#[derive(Clone)]
pub(crate) struct Measured {
    pub(crate) name: &'static str,
    sorted: Vec<Duration>,
}

impl Measured {
    pub(crate) fn median(&self) -> Duration {
        self.quantile(50)
    }

    pub(crate) fn p95(&self) -> Duration {
        self.quantile(95)
    }

    fn quantile(&self, percent: usize) -> Duration {
        self.sorted[(self.sorted.len() - 1) * percent / 100]
    }
}

/// Runs all sides in turns, each round beginning with another one.
pub(crate) async fn interleave(rounds: usize, mut sides: Vec<Side<'_>>) -> Result<Vec<Measured>> {
    let warm_up = (rounds / 10).max(2);
    let mut taken = vec![Vec::with_capacity(rounds); sides.len()];
    let count = sides.len();
    for round in 0..warm_up + rounds {
        for turn in 0..count {
            let number = (round + turn) % count;
            let side = &mut sides[number];
            let time = (side.sample)().await.map_err(|error| format!("{}: {error}", side.name))?;
            if round >= warm_up {
                taken[number].push(time);
            }
        }
    }
    let measured = sides.iter().zip(taken).map(|(side, mut sorted)| {
        sorted.sort_unstable();
        Measured { name: side.name, sorted }
    });
    Ok(measured.collect())
}

/// How long this takes.
pub(crate) async fn timed<T, E>(work: impl Future<Output = std::result::Result<T, E>>) -> Result<Duration>
where
    E: Into<Box<dyn std::error::Error>>,
{
    let began = Instant::now();
    work.await.map_err(Into::into)?;
    Ok(began.elapsed())
}
