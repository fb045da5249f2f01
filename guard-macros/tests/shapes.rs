//! Every shape of function that can be a fixture: it compiles without a lint, and runs as it did before.
//!
//! These are ordinary modules and not trybuild cases, so that clippy sees them as it sees a user's code.
#![warn(clippy::pedantic, clippy::nursery, unused, future_incompatible, missing_debug_implementations)]
#![warn(let_underscore, keyword_idents, single_use_lifetimes, unused_lifetimes, unused_qualifications)]

#[path = "pass/arguments.rs"]
mod arguments;
#[path = "pass/attributes.rs"]
mod attributes;
#[path = "pass/edition_2021.rs"]
mod edition_2021;
#[path = "pass/functions.rs"]
mod functions;
#[path = "pass/generics.rs"]
mod generics;
#[path = "pass/guarded.rs"]
mod guarded;
#[path = "pass/methods.rs"]
mod methods;
#[path = "pass/names.rs"]
mod names;
#[path = "pass/options.rs"]
mod options;
#[path = "pass/renamed.rs"]
mod renamed;
#[path = "pass/returns.rs"]
mod returns;
#[path = "pass/send.rs"]
mod send;
#[path = "pass/way_out.rs"]
mod way_out;
#[path = "pass/without_prelude.rs"]
mod without_prelude;

use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// Runs a future that waits for nothing.
fn run<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits for something"),
    }
}
