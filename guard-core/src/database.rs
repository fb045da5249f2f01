//! The only part of the guard that awaits: connect, ask, run, commit.

mod background;
mod enter;
mod guard;
mod guarded_test;
mod inspect;
mod leave;
mod lookup;
mod observe;
mod record;
mod refusals;
pub(crate) mod reset;
mod run;
mod session;
mod target;
mod transaction;
mod watch;

pub use guard::Guard;
pub use guarded_test::{DatabaseUrl, test, test_that_should_panic};
pub use inspect::{Inspection, inspect, look_up};
pub use observe::{Observe, Observed, RunEnding, RunReport, observe};
pub use run::{Answer, AnswerByPanic, AnswerByResult, Returns, Run, begin_fixture, returned, run};
pub use target::{Destination, GuardedConnection, IntoTarget, Judging};
pub use transaction::{GuardedTransaction, begin};
