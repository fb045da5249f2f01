//! The incident's host names, for one process and its children: nothing on the machine is changed.

use std::{
    fmt::Write,
    fs,
    net::IpAddr,
    path::Path,
    process::{Command, ExitCode, Stdio},
    sync::LazyLock,
};

use rustix::process::geteuid;

use crate::{environment, error::Unavailable};

/// Binds a private hosts file over the machine's, in a mount namespace that only the program sees. The file's name is
/// gone before the program starts, so nothing is left behind.
const BIND: &str = r#"f=$(mktemp) && printf %s "$0" >"$f" && chmod 644 "$f" && mount --bind "$f" /etc/hosts && rm "$f" && exec "$@""#;

/// In the environment of a program that [`enter`] has started.
const ENTERED: &str = "FIXTURE_GUARD_TEST_NAMES";

/// On which side of [`enter`] a program is.
#[derive(Debug)]
pub enum Entered {
    /// The names resolve: do the work.
    Inside,
    /// The program has run inside, and this is how it ended: end likewise.
    Outside(ExitCode),
}

/// Runs this program once more, with the same arguments, where the given names resolve to the given addresses and all
/// others as before.
///
/// ```no_run
/// # use fixture_guard_test_support::{self as support, names::{self, Entered}};
/// # use std::process::ExitCode;
/// fn main() -> ExitCode {
///     let production = "172.17.0.2".parse().expect("an address");
///     match names::enter(&[(support::PRODUCTION, production)]) {
///         Ok(Entered::Outside(code)) => return code,
///         Ok(Entered::Inside) => {}
///         Err(error) => panic!("{error}"),
///     }
///     // `support::INCIDENT_DSN` reaches that address here
///     ExitCode::SUCCESS
/// }
/// ```
///
/// # Errors
///
/// If the machine allows no mount namespace, with what to change.
pub fn enter(names: &[(&str, IpAddr)]) -> Result<Entered, Unavailable> {
    if inside() {
        return Ok(Entered::Inside);
    }
    let program = std::env::current_exe()
        .map_err(|error| Unavailable::because("cannot find this program's file", &error))?;
    let names: Vec<_> = names.iter().map(|&(name, address)| (name.to_owned(), address)).collect();
    let status = command(&program, &names)?
        .args(std::env::args_os().skip(1))
        .env(ENTERED, "1")
        .status()
        .map_err(|error| Unavailable::because("cannot run this program again", &error))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(Entered::Outside(code.map_or(ExitCode::FAILURE, ExitCode::from)))
}

/// Whether this program was started by [`enter`].
#[must_use]
pub fn inside() -> bool {
    environment::variable(ENTERED).is_some()
}

/// A command that runs `program` where these names resolve to these addresses. A name may have several.
pub(crate) fn command(program: &Path, names: &[(String, IpAddr)]) -> Result<Command, Unavailable> {
    if names.is_empty() {
        return Ok(Command::new(program));
    }
    let mut hosts = String::new();
    for (name, address) in names {
        let _ = writeln!(hosts, "{address} {name}");
    }
    hosts.push_str(&fs::read_to_string("/etc/hosts").unwrap_or_default());
    let mut command = Command::new("unshare");
    command.args(namespace()?).args(["sh", "-c", BIND, &hosts]).arg(program);
    Ok(command)
}

/// The arguments with which this machine allows a mount namespace.
fn namespace() -> Result<&'static [&'static str], Unavailable> {
    static ALLOWED: LazyLock<Result<&[&str], Unavailable>> = LazyLock::new(|| {
        // Root needs no user namespace, and inside one could not start a server as another user.
        let root: &[&str] = &["--mount"];
        let user: &[&str] = &["--user", "--map-current-user", "--keep-caps", "--mount"];
        let mut last = String::new();
        for way in [root, user].into_iter().skip(usize::from(!geteuid().is_root())) {
            let bind = ["sh", "-c", BIND, "", "true"];
            match Command::new("unshare").args(way).args(bind).stdin(Stdio::null()).output() {
                Ok(output) if output.status.success() => return Ok(way),
                Ok(output) => String::from_utf8_lossy(&output.stderr).trim().clone_into(&mut last),
                Err(error) => last = error.to_string(),
            }
        }
        Err(Unavailable::new(format!(
            "host names of its own need a mount namespace, and `unshare` was refused one ({last}): allow user namespaces \
             (`sysctl kernel.unprivileged_userns_clone=1 kernel.apparmor_restrict_unprivileged_userns=0`), or run as \
             root, in a container with `--cap-add SYS_ADMIN`"
        )))
    });
    ALLOWED.clone()
}
