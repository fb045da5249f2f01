//! From something that was started to a server that answers.

use std::{
    io::ErrorKind::ConnectionRefused,
    net::SocketAddr,
    time::{Duration, Instant},
};

use tokio::time::{sleep, timeout};

use crate::{docker, error::Unavailable, local};

/// What a cold start on a loaded machine stays well below; more means that something is wrong.
const READY: Duration = Duration::from_mins(1);
/// Enough for a login on a loaded machine. An address that swallows packets must not be waited for much longer.
pub(crate) const LOGIN: Duration = Duration::from_secs(2);

/// A script of ours that was started, here or there.
pub(crate) enum Launched {
    Container(Box<docker::Container>),
    Process(local::Process),
}

impl Launched {
    /// Waits until `login` succeeds at one of its addresses, and says which.
    ///
    /// It takes no `AsyncFn`: of one that borrows, the compiler cannot tell that it may be sent, and the set-up of some
    /// test frameworks must be.
    pub(crate) async fn answers<T, L>(
        &mut self,
        login: impl Fn(SocketAddr) -> L,
    ) -> Result<(SocketAddr, T), Unavailable>
    where
        L: Future<Output = sqlx::Result<T>>,
    {
        let addresses = match self {
            Self::Container(container) => container.addresses.clone(),
            Self::Process(process) => vec![process.address],
        };
        let began = Instant::now();
        let mut last = "no answer".to_owned();
        while began.elapsed() < READY {
            for (at, &address) in addresses.iter().enumerate() {
                match timeout(LOGIN, login(address)).await {
                    Ok(Ok(session)) => {
                        // It may have begun to listen after a better address was tried.
                        for &better in &addresses[..at] {
                            if let Ok(Ok(session)) = timeout(LOGIN, login(better)).await {
                                return Ok((better, session));
                            }
                        }
                        return Ok((address, session));
                    }
                    Ok(Err(error)) => {
                        last = error.to_string();
                        // Who refuses is there: it is this address, a little later.
                        if !matches!(error, sqlx::Error::Io(io) if io.kind() != ConnectionRefused) {
                            break;
                        }
                    }
                    Err(_) => {}
                }
            }
            if let Some(log) = self.ended().await {
                let log = log.trim_end();
                return Err(Unavailable::new(format!("the server ended while it was starting:\n{log}")));
            }
            sleep(Duration::from_millis(20)).await;
        }
        let seconds = READY.as_secs();
        Err(Unavailable::new(format!(
            "the server did not answer at {addresses:?} within {seconds} s: {last}"
        )))
    }

    /// What it wrote, if it has ended.
    async fn ended(&mut self) -> Option<String> {
        match self {
            Self::Container(container) => container.ended().await,
            Self::Process(process) => process.ended(),
        }
    }
}
