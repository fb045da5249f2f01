//! A script of ours on this machine, with the machine's own programs.

use std::{
    env,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Seek},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    os::unix::{
        fs::{DirBuilderExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, geteuid, kill_process_group};

use crate::{environment, error::Unavailable, state};

/// `initdb`, `postgres` and PgBouncer refuse to run as root. `nobody` always exists.
const NOBODY: u32 = 65534;

/// A process group that was started; not yet a server that answers.
pub(crate) struct Process {
    child: Child,
    directory: PathBuf,
    /// Kept open, since it goes with the directory.
    log: File,
    pub(crate) address: SocketAddr,
}

impl Process {
    /// What it wrote, if it has ended.
    pub(crate) fn ended(&mut self) -> Option<String> {
        self.child.try_wait().ok().flatten()?;
        let mut log = String::new();
        let read = self.log.rewind().and_then(|()| self.log.read_to_string(&mut log));
        Some(read.map_or_else(|error| error.to_string(), |_| log))
    }

    /// Ends the whole group at once and removes its directory.
    pub(crate) fn kill(&mut self) {
        if let Some(group) = Pid::from_raw(self.child.id().cast_signed()) {
            // Errors say that it is gone already.
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// The directory of `initdb` and `postgres`: the newest, or the one of the major version that was asked for.
pub(crate) fn programs() -> Result<PathBuf, Unavailable> {
    let major = environment::forced_major();
    let mut versions: Vec<_> = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().collect();
    versions.retain(|version| major.as_ref().is_none_or(|major| version.file_name() == major.as_str()));
    versions.sort_by_key(|version| version.file_name().to_str().and_then(|name| name.parse::<u32>().ok()));
    let mut candidates: Vec<PathBuf> =
        versions.iter().rev().map(|version| version.path().join("bin")).collect();
    if major.is_none() {
        let config = Command::new("pg_config").arg("--bindir").output();
        candidates.extend(config.map(|output| String::from_utf8_lossy(&output.stdout).trim().into()));
        candidates.extend(environment::search_path());
    }
    // A link on PATH leads to where the others are.
    let real = candidates.iter().filter_map(|directory| fs::canonicalize(directory.join("initdb")).ok());
    real.filter_map(|initdb| initdb.parent().map(Path::to_owned))
        .find(|directory| directory.join("postgres").exists())
        .ok_or_else(|| {
            let version = major.map_or(String::new(), |major| format!("-{major}"));
            Unavailable::new(format!(
                "this machine has no `initdb` and `postgres`: install them with `apt-get install postgresql{version}`"
            ))
        })
}

/// A program that Debian puts where only root's PATH looks.
pub(crate) fn program(name: &str, package: &str) -> Result<PathBuf, Unavailable> {
    let mut directories = environment::search_path();
    directories.push("/usr/sbin".into());
    directories.into_iter().map(|directory| directory.join(name)).find(|path| path.exists()).ok_or_else(
        || {
            Unavailable::new(format!(
                "this machine has no `{name}`: install it with `apt-get install {package}`"
            ))
        },
    )
}

/// A loopback address that nobody else has, with the port that is asked for, so that two servers can both have 5432.
/// Where all of them are taken, or there are none besides 127.0.0.1, any free port.
pub(crate) fn free_address(port: u16) -> Result<SocketAddr, Unavailable> {
    let own = (0..8).map(|_| {
        let [.., a, b, c] = u64::from_str_radix(&state::random(), 16).unwrap_or(0).to_be_bytes();
        SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 1 + a % 254, b, 1 + c % 254)), port)
    });
    let any = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
    own.chain([any])
        .find_map(|address| TcpListener::bind(address).ok()?.local_addr().ok())
        .ok_or_else(|| Unavailable::new("no loopback address can be listened on"))
}

/// The end of this local address as /proc/net/tcp writes it.
pub(crate) fn socket(address: SocketAddr) -> String {
    let IpAddr::V4(ip) = address.ip() else { return format!(":{:04X}", address.port()) };
    format!("{:08X}:{:04X}", u32::from_le_bytes(ip.octets()), address.port())
}

/// Makes a directory of its own for the user that the server runs as, beside the state that it must not read.
pub(crate) fn directory(name: &str) -> Result<PathBuf, Unavailable> {
    let path = env::temp_dir().join(format!("fixture-guard-{name}-{}", &state::random()[..8]));
    let make = || {
        DirBuilder::new().mode(0o700).create(&path)?;
        if geteuid().is_root() { chown(&path, Some(NOBODY), Some(NOBODY)) } else { Ok(()) }
    };
    make().map_err(|error| Unavailable::because(&format!("cannot make {}", path.display()), &error))?;
    Ok(path)
}

/// Starts `script` for a server that will listen on `address` and keep its files in `directory`.
pub(crate) fn start(
    script: &str,
    arguments: &[String],
    variables: &[(&str, String)],
    directory: PathBuf,
    address: SocketAddr,
) -> Result<Process, Unavailable> {
    let mut command = Command::new("sh");
    command
        .args(["-c", script, "sh"])
        .args(arguments)
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .current_dir("/")
        // Its own group and none of our streams: `cargo test | tail` would wait for it, and nextest call the test leaky.
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    if geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    let mut spawn = || {
        let log = OpenOptions::new().create_new(true).read(true).append(true).open(directory.join("log"))?;
        io::Result::Ok((command.stderr(log.try_clone()?).spawn()?, log))
    };
    let (child, log) = spawn().map_err(|error| Unavailable::because("cannot run sh", &error))?;
    Ok(Process { child, directory, log, address })
}
