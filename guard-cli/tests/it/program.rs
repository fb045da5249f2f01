//! Runs the program as a user's shell does, in a directory and an environment of its own.

use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The policy that most tests stand on, with the incident's names.
pub(crate) const POLICY: &str = r#"
[environments.local]
destructive = true
hosts = ["localhost"]

[environments.staging]
destructive = true
hosts = ["*-staging*"]
databases = ["storefront*"]

[environments.production]
hosts = ["prod-*"]
"#;

/// A directory with a policy.
pub(crate) fn directory(policy: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("fixture-guard.toml"), policy).unwrap();
    directory
}

/// The program, with nothing in its environment.
pub(crate) fn program(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fixture-guard"));
    command.env_clear().current_dir(directory).stdin(Stdio::null());
    command
}

/// What a run said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

pub(crate) fn run(directory: &Path, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Said {
    said(&program(directory).args(arguments).output().unwrap())
}

/// Runs it with `input` on standard input.
pub(crate) fn run_with_input(command: &mut Command, input: &[u8]) -> Said {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // a program that does not read closes the pipe
    let _ = child.stdin.take().unwrap().write_all(input);
    said(&child.wait_with_output().unwrap())
}

pub(crate) fn said(output: &Output) -> Said {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let code = output.status.code().expect("it ends by itself");
    Said { code, out: text(&output.stdout), err: text(&output.stderr) }
}
