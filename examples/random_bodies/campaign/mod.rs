//! A campaign of random bodies: each runs behind the guard on a real server, and a superuser compares every row.

mod bodies;
mod checks;
mod fixtures;
mod random;
mod world;

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use fixture_guard::{Error, Outcome, RunEnding, observe};
use futures_util::FutureExt;
use sqlx::Executor;
use tokio::time::timeout;

pub(crate) use bodies::Shape;
use bodies::{Action, Body, Former, Frame, Step, Way};
pub(crate) use checks::Finding;
use checks::{Ended, finding, next_user, rows, server_sessions};
use fixtures::{Run, call};
use world::{Snapshot, World, settled};

/// A run that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(75);

/// A campaign that is under way.
pub(crate) struct Campaign {
    seed: u64,
    shape: Shape,
    world: World,
    /// How many runs ended in which way.
    pub(crate) endings: Endings,
}

/// How many runs ended in which way.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Endings {
    committed: u32,
    rolled_back: u32,
    refused: u32,
    escaped: u32,
}

impl fmt::Display for Endings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { committed, rolled_back, refused, escaped } = self;
        write!(f, "{committed} committed, {rolled_back} rolled back, {refused} refused, {escaped} escaped")
    }
}

/// A finding, and how to see it again.
#[derive(Debug)]
pub(crate) struct Failure {
    /// What is wrong.
    pub(crate) finding: Finding,
    /// The number of the body.
    pub(crate) number: u64,
    /// The statements that are needed.
    pub(crate) steps: Vec<usize>,
    body: String,
    answers: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "[{}] {}", self.finding.kind, self.finding.text)?;
        write!(f, "{}", self.body)?;
        for (number, answer) in self.answers.iter().enumerate() {
            write!(f, "\n  answer {number}: {answer}")?;
        }
        Ok(())
    }
}

impl Campaign {
    /// Starts the servers.
    pub(crate) async fn new(seed: u64, shape: Shape) -> Self {
        Self { seed, shape, world: World::new(shape).await, endings: Endings::default() }
    }

    /// Runs body `number`; with `steps`, only these of its statements.
    ///
    /// # Errors
    ///
    /// The first finding.
    pub(crate) async fn run(&mut self, number: u64, steps: Option<&[usize]>) -> Result<(), Box<Failure>> {
        let body = self.body(number, steps);
        let (found, answers) = self.check(&body).await;
        let Err(finding) = found else { return Ok(()) };
        let steps = steps.map_or_else(|| (0..body.steps.len()).collect(), <[usize]>::to_vec);
        Err(Box::new(Failure { finding, number, steps, body: body.to_string(), answers }))
    }

    /// Takes away the statements without which the finding is the same.
    pub(crate) async fn shrink(&mut self, mut failure: Box<Failure>) -> Box<Failure> {
        self.world.leave().await;
        for step in failure.steps.clone().into_iter().rev() {
            let fewer: Vec<_> = failure.steps.iter().copied().filter(|other| *other != step).collect();
            if let Err(smaller) = self.run(failure.number, Some(&fewer)).await
                && smaller.finding.kind == failure.finding.kind
            {
                failure = smaller;
            }
            self.world.leave().await;
        }
        failure
    }

    fn body(&self, number: u64, steps: Option<&[usize]>) -> Body {
        let mut body = Body::random(self.seed, number, self.shape);
        if let Some(steps) = steps {
            body.steps = steps.iter().filter_map(|step| body.steps.get(*step).cloned()).collect();
        }
        body
    }

    async fn check(&mut self, body: &Body) -> (Result<(), Finding>, Vec<String>) {
        if !self.world.place().await.warm {
            self.warm_up().await;
        }
        let (found, answers) = self.run_and_compare(body).await;
        if found.is_err() {
            self.world.leave().await;
        }
        (found, answers)
    }

    /// The pool's session has seen a guarded run and sqlx's statements before.
    async fn warm_up(&mut self) {
        let step = Step { action: Action::Sql("SELECT 1".to_owned()), swallows: false };
        let body = Body {
            declared: 0,
            max_rows: None,
            reach: true,
            rehearsal: false,
            frame: Frame::Alone,
            former: Former::Clean,
            steps: vec![step],
            way: Way::Ok,
        };
        let policy = self.world.policy(&body);
        let pooled = self.shape.pooled;
        let place = self.world.place().await;
        call(policy.judging(&place.pool), &Run::new(&body)).await.expect("a run that does nothing");
        if !pooled {
            next_user(&body, place, false).await.expect("a run that does nothing leaves nothing");
        }
        place.warm = true;
    }

    async fn run_and_compare(&mut self, body: &Body) -> (Result<(), Finding>, Vec<String>) {
        let policy = self.world.policy(body);
        let pooled = self.shape.pooled;
        let place = self.world.place().await;
        if body.former != Former::Clean {
            let mut former = place.pool.acquire().await.expect("a connection");
            for statement in body.former.statements() {
                let _ = former.execute(sqlx::raw_sql(*statement)).await; // fixture-guard: allow(an unguarded neighbor)
            }
        }

        let run = Run::new(body);
        let observed = {
            let pool = &place.pool;
            let future = async {
                tokio::select! {
                    biased;
                    returned = call(policy.judging(pool), &run) => Some(returned),
                    () = run.dropped.notified() => None,
                }
            };
            timeout(LIMIT, observe(AssertUnwindSafe(future).catch_unwind())).await
        };
        let trace = run.trace();
        let answers = trace.answers.clone();
        let Ok(observed) = observed else {
            return (Err(finding("hang", format!("no end after {LIMIT:?}"))), answers);
        };
        let mut answers = answers;
        let mut escaped = false;
        match &observed.returned {
            Ok(Some(Err(error))) => {
                answers.push(error.to_string());
                if let Some(Error::Broken(broken)) = Error::in_sqlx(error) {
                    escaped = *broken.outcome() == Outcome::Escaped;
                }
            }
            Err(panic) if panic.downcast_ref::<&str>() != Some(&"the body panics") => {
                return (Err(finding("panic", "the guard panicked")), answers);
            }
            _ => {}
        }
        let ended = Ended { runs: observed.runs, trace, escaped };
        for run in &ended.runs {
            answers.push(format!("{} {:?}", run.fixture, run.ending));
        }

        if body.former != Former::Clean {
            // the guard left the former user's transaction as it was; the pool's next user ends it
            let mut former = place.pool.acquire().await.expect("a connection");
            let _ = former.execute(sqlx::raw_sql("ROLLBACK")).await;
        }
        if !settled(&mut place.admin).await {
            return (Err(finding("next-user", "a session stays in its transaction")), answers);
        }
        let after = Snapshot::take(&mut place.admin).await;
        let next = next_user(body, place, ended.kept() || ended.escaped()).await;
        let sessions = if pooled && !(body.changes_session() && (ended.kept() || ended.escaped())) {
            server_sessions(place).await
        } else {
            Ok(())
        };
        let found = rows(body, &ended, &self.world.before, &after, pooled).and(next).and(sessions);
        if after != self.world.before {
            self.world.leave().await;
        }
        self.count(&ended);
        (found, answers)
    }

    fn count(&mut self, ended: &Ended) {
        let endings = &mut self.endings;
        if ended.escaped() {
            endings.escaped += 1;
        } else if ended.kept() {
            endings.committed += 1;
        } else if ended.runs.iter().any(|run| run.ending == RunEnding::Refused) {
            endings.refused += 1;
        } else {
            endings.rolled_back += 1;
        }
    }
}
