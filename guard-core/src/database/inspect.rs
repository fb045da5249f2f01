//! Asking a server who it is, without a run: what the program needs of the guard.

use sqlx::PgConnection;
use sqlx::postgres::PgConnectOptions;

use super::lookup;
use super::refusals::{no_connection, unknown};
use super::session::{Failure, Session};
use crate::addresses::Addresses;
use crate::identity::Identity;
use crate::policy::Policy;
use crate::postgres::{self, Answers, sqlstate};
use crate::reason::Reason;
use crate::target::{Endpoint, Target};

/// A connection of which the guard knows where it ended. Nothing was written, and no transaction is open.
pub struct Inspection {
    session: Session,
    identity: Identity,
}

impl Inspection {
    /// What the server said about itself.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The connection that said so.
    pub fn connection(&mut self) -> &mut PgConnection {
        self.session.connection_mut()
    }

    /// Says goodbye.
    pub async fn close(self) {
        self.session.close().await;
    }
}

impl std::fmt::Debug for Inspection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inspection").field("identity", &self.identity).finish_non_exhaustive()
    }
}

/// Dials as the guard does, asks as the guard does, in a transaction that cannot write, and rolls back. It takes no
/// longer than the guard's own limits. The session is shown to the server as `application`.
///
/// # Errors
///
/// The reason why the server's identity is not known ([`NoConnection`](crate::Code::NoConnection) or
/// [`IdentityUnknown`](crate::Code::IdentityUnknown)).
pub async fn inspect(options: &PgConnectOptions, application: &str) -> Result<Inspection, Reason> {
    let options = options.clone().application_name(application);
    let mut session = Session::dial(&options).await.map_err(|failure| no_connection(&failure))?;
    let asked = match identify(&mut session, postgres::look()).await {
        Ok((identity, _)) => session.execute("ROLLBACK".to_owned()).await.map(|()| identity),
        Err(failure) => Err(failure),
    };
    match asked {
        Ok(identity) => Ok(Inspection { session, identity }),
        Err(failure) => {
            session.close().await;
            Err(unknown(&failure))
        }
    }
}

/// The addresses of the dialed host and of this machine, to compare with the connected server. `networks` of a policy
/// ask for every host of the target.
pub async fn look_up(policy: &Policy, target: &Target) -> Option<Addresses> {
    let every_host = policy.asks_for_addresses();
    let tcp = matches!(target.endpoint(), Endpoint::Tcp { host: Ok(_), .. });
    if every_host || tcp { Some(lookup::look_up(target, every_host).await) } else { None }
}

/// Sends statements that ask for the identity, and reads the answers.
pub(super) async fn identify(
    session: &mut Session,
    statements: String,
) -> Result<(Identity, Answers), Failure> {
    let (answers, result) = session.ask(statements).await;
    match result {
        Ok(()) => {}
        // the role may not ask for the cluster: that is a fact
        Err(failure)
            if answers.get("identity").is_some()
                && failure.sqlstate().as_deref() == Some(sqlstate::DENIED) =>
        {
            session.execute(postgres::AFTER_CLUSTER.to_owned()).await?;
        }
        Err(failure) => return Err(failure),
    }
    let identity = answers.identity().map_err(|found| Failure::Driver(sqlx::Error::Protocol(found)))?;
    Ok((identity, answers))
}
