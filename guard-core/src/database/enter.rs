//! The way in: judged, connected, asked, judged again, ready for the body.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgPool};

use super::background::{Background, Connections, at_home};
use super::inspect::{identify, look_up};
use super::record::{Journal, Record};
use super::refusals::{
    begun_before, closed_pool, inside_another, no_connection, not_armed, not_sealed, refuse, unknown,
};
use super::run::Scope;
use super::session::{Failure, Session};
use super::target::Kind;
use super::transaction::{GuardedTransaction, Judged, Stamp, budget, reach};
use super::watch::Watch;
use crate::addresses::Addresses;
use crate::error::Error;
use crate::fixture::{Fixture, Narrowing, Place};
use crate::identity::Identity;
use crate::judge::{Clearance, Facts, judge, reached_directly, standby};
use crate::policy::Policy;
use crate::postgres::{self, Arm, Counters, Functions, Lasting, Turn, sqlstate};
use crate::reason::{Code, Reason, Rule};
use crate::refusal::{Stage, Subject};
use crate::surroundings::Surroundings;
use crate::target::Target;
use crate::time_limits::TimeLimits;

/// How long a run waits for its turn before it gives up.
pub(super) const TURN_LIMIT: Duration = Duration::from_mins(1);

impl GuardedTransaction {
    /// Judges, connects, asks the server, judges again, and makes the transaction ready for a body.
    pub(super) async fn open(
        subject: Subject,
        fixture: Option<&'static Fixture>,
        kind: Kind<'_>,
        policy: Option<Arc<Policy>>,
        record: &mut Record,
    ) -> Result<Self, Error> {
        let narrowing = narrowing(subject, fixture)?;
        let policy = match policy {
            Some(policy) => policy,
            None => of_process(subject)?,
        };
        let journal = record.under(&policy);
        let (target, dialed) = resolve(subject, kind)?;
        record.target(&target);
        let addresses = at_home(look_up(&policy, &target)).await;
        let facts = Facts {
            target: &target,
            surroundings: Surroundings::of_process(),
            narrowing,
            addresses: addresses.as_ref(),
            identity: None,
        };
        let journal = match (judge(&policy, &facts), journal) {
            (Ok(_), Ok(journal)) => journal,
            (verdict, journal) => {
                let mut reasons = verdict.err().unwrap_or_default();
                reasons.extend(journal.err());
                return Err(refuse(subject, Some(target), Stage::BeforeConnecting, reasons));
            }
        };
        Asking { subject, fixture, policy, target, addresses, narrowing, journal }.open(&dialed, record).await
    }
}

/// Where the connection that was judged comes from.
enum Dialed {
    Pool(PgPool, Arc<PgConnectOptions>),
    Options(Box<PgConnectOptions>),
}

impl Dialed {
    fn connections(&self) -> Arc<Connections> {
        let background = Background::of_process();
        match self {
            Self::Pool(pool, judged) => background.of_pool(pool, Arc::clone(judged)),
            Self::Options(judged) => background.of_options((**judged).clone()),
        }
    }

    /// How many sessions the caller's own pool has.
    fn sessions(&self) -> u64 {
        match self {
            Self::Pool(pool, _) => pool.size().into(),
            Self::Options(_) => 0,
        }
    }
}

fn resolve(subject: Subject, kind: Kind<'_>) -> Result<(Target, Dialed), Error> {
    match kind {
        Kind::Pool(pool) => {
            let options = pool.connect_options();
            Ok((Target::from(&*options), Dialed::Pool(pool, options)))
        }
        Kind::Options(options) => Ok((Target::from(&*options), Dialed::Options(options))),
        Kind::Dsn(dsn) => match Target::from_postgres_dsn(&dsn) {
            Ok((target, options)) => Ok((target, Dialed::Options(Box::new(options)))),
            Err(invalid) => {
                let reason = Reason::from(&invalid);
                Err(refuse(subject, None, Stage::BeforeConnecting, vec![reason]))
            }
        },
        Kind::Nested(_) | Kind::Unset => unreachable!("there is nothing to open"),
    }
}

fn of_process(subject: Subject) -> Result<Arc<Policy>, Error> {
    let compiled_in = subject.fixture.and_then(|(_, place)| place.manifest_dir);
    Policy::of_process(compiled_in).map_err(|error| {
        let reason = Reason::from(&error);
        refuse(subject, None, Stage::BeforeConnecting, vec![reason])
    })
}

pub(super) fn narrowing(
    subject: Subject,
    fixture: Option<&'static Fixture>,
) -> Result<Option<&'static Narrowing>, Error> {
    fixture.map(Fixture::narrowing).transpose().map_err(|error| {
        let place = fixture.map_or(Place::new("", 0, 0, None), Fixture::place);
        let reason = Reason::new(
            Code::InvalidPolicy,
            Rule::attribute(place, "hosts"),
            error.to_string(),
            "write patterns that name the disposable databases, as in `*-staging*`",
        );
        refuse(subject, None, Stage::BeforeConnecting, vec![reason])
    })
}

/// A run on its way in: what was judged before there was a connection.
struct Asking {
    subject: Subject,
    fixture: Option<&'static Fixture>,
    policy: Arc<Policy>,
    target: Target,
    addresses: Option<Addresses>,
    narrowing: Option<&'static Narrowing>,
    journal: Option<Arc<Journal>>,
}

/// A run that the server made ready.
struct Entered {
    identity: Identity,
    clearance: Clearance,
    stamp: Stamp,
}

/// Why a run cannot begin on a connection.
enum Against {
    /// The connection was closed at the other end, as one may be that an earlier run left idle. Nothing was asked yet.
    Dead(Failure),
    Reasons(Vec<Reason>),
}

impl From<Reason> for Against {
    fn from(reason: Reason) -> Self {
        Self::Reasons(vec![reason])
    }
}

impl From<Vec<Reason>> for Against {
    fn from(reasons: Vec<Reason>) -> Self {
        Self::Reasons(reasons)
    }
}

impl Asking {
    async fn open(self, dialed: &Dialed, record: &mut Record) -> Result<GuardedTransaction, Error> {
        if matches!(dialed, Dialed::Pool(pool, _) if pool.is_closed()) {
            return Err(self.refuse(Stage::Connecting, vec![closed_pool()]));
        }
        let mut renewed = false;
        loop {
            let connections = dialed.connections();
            let mut session = match Session::acquire(&connections).await {
                Ok(acquired) => acquired,
                Err(failure) => return Err(self.refuse(Stage::Connecting, vec![no_connection(&failure)])),
            };
            match self.enter(&mut session, &connections, dialed, record).await {
                Ok(entered) => return Ok(self.entered(session, &connections, entered)),
                Err(Against::Dead(_)) if !renewed => {
                    connections.renew();
                    renewed = true;
                }
                Err(Against::Dead(failure)) => {
                    return Err(self.refuse(Stage::Connected, vec![unknown(&failure)]));
                }
                Err(Against::Reasons(reasons)) => {
                    session.close().await;
                    return Err(self.refuse(Stage::Connected, reasons));
                }
            }
        }
    }

    fn entered(self, session: Session, connections: &Connections, entered: Entered) -> GuardedTransaction {
        let Self { subject, fixture, policy, target, addresses, journal, .. } = self;
        let Entered { identity, clearance, stamp } = entered;
        let limits = TimeLimits::of(fixture, &clearance);
        let watch = Watch::start(subject, connections.options(), &stamp.transaction, limits);
        let judged = Judged { subject, policy, target, addresses, identity, clearance, journal };
        GuardedTransaction::new(session, judged, stamp, limits, watch)
    }

    fn refuse(&self, stage: Stage, reasons: Vec<Reason>) -> Error {
        refuse(self.subject, Some(self.target.clone()), stage, reasons)
    }

    /// Whether the run commits, so that it takes its turn.
    fn turn(&self) -> Turn {
        let commits = self.fixture.is_some_and(|fixture| !fixture.test);
        if commits { Turn::Taken } else { Turn::NotNeeded }
    }

    /// Opens the transaction, asks, judges again, and makes it ready for the body.
    ///
    /// The first run on a connection of ours finds neither functions nor seal there; it makes them, after the target was
    /// cleared, and begins again. Where the server is not reached directly they are made for the one transaction.
    async fn enter(
        &self,
        session: &mut Session,
        connections: &Connections,
        dialed: &Dialed,
        record: &mut Record,
    ) -> Result<Entered, Against> {
        let since = Instant::now();
        let turn = self.turn();
        let mut named = false;
        let mut functions = if connections.is_shared() { Functions::Missing } else { Functions::Assumed };
        let mut first = true;
        loop {
            let first = std::mem::take(&mut first);
            let (mut identity, transaction) = match self.ask(session, functions).await {
                Ok(asked) => asked,
                Err(failure) => match (failure.sqlstate().as_deref(), functions) {
                    (Some(state), Functions::Assumed | Functions::HeldFirst)
                        if sqlstate::NOT_MADE.contains(&state) =>
                    {
                        session.undo_open().await.map_err(|failure| unknown(&failure))?;
                        functions = Functions::Missing;
                        continue;
                    }
                    (Some(sqlstate::NOT_HELD), Functions::Assumed) => {
                        functions = Functions::HeldFirst;
                        continue;
                    }
                    (Some(sqlstate::STANDBY), _) => return Err(standby().into()),
                    _ if first && failure.is_broken_connection() => return Err(Against::Dead(failure)),
                    (Some(_), Functions::MadeFirst) => return Err(not_sealed(&failure).into()),
                    _ => return Err(unknown(&failure).into()),
                },
            };
            // the sessions of the pool that the caller passed are the caller's own
            identity.other_sessions = identity.other_sessions.saturating_sub(dialed.sessions());
            record.identity(&identity);
            if !identity.began_here {
                return Err(begun_before().into());
            }
            let clearance = judge(&self.policy, &self.facts(&identity))?;
            let lasting = match functions {
                Functions::Missing if self.is_shared(&identity) => {
                    connections.share();
                    Lasting::Transaction
                }
                Functions::Missing => {
                    functions = Functions::MadeFirst;
                    continue;
                }
                _ => Lasting::Session,
            };
            if let (Turn::Taken, Some(outer)) = (turn, Scope::around(&identity)) {
                return Err(inside_another(&outer).into());
            }
            let transaction = match transaction {
                Some(transaction) => transaction,
                None => self.transaction(session).await.map_err(|failure| unknown(&failure))?,
            };
            let counters = match (functions, dialed) {
                // no hook of a pool wrote on it either
                (Functions::MadeFirst, Dialed::Options(_)) => Counters::Zero,
                _ => Counters::Pending,
            };
            let stamp = Stamp::new(transaction, lasting, counters);
            let limits = TimeLimits::of(self.fixture, &clearance);
            let arm = postgres::arm(&Arm {
                secret: &stamp.secret,
                tables: self.fixture.map_or(&[], |fixture| fixture.tables),
                budget: self.fixture.and_then(|fixture| budget(fixture, &clearance)),
                level: 0,
                reach: &reach(self.fixture, &clearance),
                counters,
                turn,
                lasting,
                limits,
            });
            let Err(failure) = session.begin(arm, limits.lock).await else {
                if turn == Turn::Taken {
                    Scope::enter(self.subject, &identity);
                }
                return Ok(Entered { identity, clearance, stamp });
            };
            functions = match failure.sqlstate().as_deref() {
                // some are here, and others are not
                Some(state)
                    if matches!(functions, Functions::Assumed | Functions::HeldFirst)
                        && sqlstate::NOT_MADE.contains(&state) =>
                {
                    Functions::Missing
                }
                Some(sqlstate::LOCKED | sqlstate::TIMED_OUT)
                    if turn == Turn::Taken && since.elapsed() < TURN_LIMIT =>
                {
                    match lasting {
                        Lasting::Session => Functions::Assumed,
                        Lasting::Transaction => Functions::Missing,
                    }
                }
                _ => return Err(not_armed(self.fixture, &failure, limits).into()),
            };
            session.undo_open().await.map_err(|failure| unknown(&failure))?;
            if functions != Functions::Missing && !std::mem::replace(&mut named, true) {
                self.name_the_holder(session).await.map_err(|failure| unknown(&failure))?;
            }
        }
    }

    /// Whether other clients may get the server session after this transaction, or something writes down what is made.
    fn is_shared(&self, identity: &Identity) -> bool {
        identity.event_triggers || !reached_directly(&self.target, self.addresses.as_ref(), identity)
    }

    /// Opens the transaction and asks the server who it is. Where the guard's functions answer, also which transaction
    /// this is.
    async fn ask(
        &self,
        session: &mut Session,
        functions: Functions,
    ) -> Result<(Identity, Option<String>), Failure> {
        let name = self.subject.fixture.map_or("transaction", |(name, _)| name);
        let (identity, answers) = identify(session, postgres::open(name, functions)).await?;
        Ok((identity, answers.get("transaction").map(str::to_owned)))
    }

    /// Asks which transaction this is.
    async fn transaction(&self, session: &mut Session) -> Result<String, Failure> {
        let (answers, result) = session.ask(postgres::TRANSACTION.to_owned()).await;
        result.map(|()| answers.get("transaction").unwrap_or_default().to_owned())
    }

    /// Names the session that keeps a run waiting, while there is time to do something about it.
    async fn name_the_holder(&self, session: &mut Session) -> Result<(), Failure> {
        let (answers, answered) = session.ask(postgres::at_its_turn()).await;
        answered?;
        if let Some(holder) = answers.get("turn") {
            let found = format!("fixture-guard: {} waits for its turn: {holder} is at it", self.subject);
            tracing::warn!("{found}");
            eprintln!("{found}");
        }
        Ok(())
    }

    fn facts<'a>(&'a self, identity: &'a Identity) -> Facts<'a> {
        Facts {
            target: &self.target,
            surroundings: Surroundings::of_process(),
            narrowing: self.narrowing,
            addresses: self.addresses.as_ref(),
            identity: Some(identity),
        }
    }
}
