//! What the test processes of a checkout tell each other about a server: a lock, and a note beside it.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState},
    io::{self, Write},
    net::SocketAddr,
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::PathBuf,
};

use crate::error::Unavailable;

/// Where a running server is, and its superuser's password. A note exists only once the server is ready and filled.
#[derive(Clone)]
pub(crate) struct Note {
    pub(crate) address: SocketAddr,
    pub(crate) password: String,
}

/// The place of one server's lock and note.
#[derive(Clone, Debug)]
pub(crate) struct State {
    directory: PathBuf,
    name: String,
}

impl State {
    /// For a server of this name. Whatever must be equal for two processes to share it is part of `key`.
    pub(crate) fn of(name: &str, key: impl Hash) -> Result<Self, Unavailable> {
        let directory = directory()?;
        let mut hasher = DefaultHasher::new();
        (env!("CARGO_MANIFEST_DIR"), &directory, key).hash(&mut hasher);
        Ok(Self { directory, name: format!("{name}-{:012x}", hasher.finish() >> 16) })
    }

    /// A name that no other server on this machine has.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Waits until no other process is finding or starting this server. The lock goes with the file, and with the process.
    pub(crate) async fn lock(&self) -> Result<File, Unavailable> {
        let path = self.directory.join(format!("{}.lock", self.name));
        let locked = tokio::task::spawn_blocking(move || {
            let file = OpenOptions::new().create(true).append(true).open(path)?;
            file.lock()?;
            io::Result::Ok(file)
        });
        match locked.await {
            Ok(Ok(file)) => Ok(file),
            Ok(Err(error)) => Err(Unavailable::because("cannot lock the servers' state", &error)),
            Err(error) => Err(Unavailable::because("cannot lock the servers' state", &error)),
        }
    }

    pub(crate) fn read(&self) -> Option<Note> {
        let text = fs::read_to_string(self.directory.join(&self.name)).ok()?;
        let (address, password) = text.trim_end().split_once(' ')?;
        Some(Note { address: address.parse().ok()?, password: password.to_owned() })
    }

    pub(crate) fn write(&self, note: &Note) -> Result<(), Unavailable> {
        let half = self.directory.join(format!("{}.new", self.name));
        let write = || {
            let mut file =
                OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&half)?;
            writeln!(file, "{} {}", note.address, note.password)?;
            fs::rename(&half, self.directory.join(&self.name))
        };
        write().map_err(|error| Unavailable::because("cannot write the servers' state", &error))
    }
}

/// A directory that belongs to this user alone, since the notes hold passwords. Not the target directory: a program that
/// is started by hand, or in a doctest, does not know where that is.
fn directory() -> Result<PathBuf, Unavailable> {
    let user = rustix::process::geteuid();
    let path = std::env::temp_dir().join(format!("fixture-guard-tests-{}", user.as_raw()));
    let make = || {
        match DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let found = fs::symlink_metadata(&path)?;
        if !found.is_dir() || found.uid() != user.as_raw() {
            return Err(io::Error::other("it belongs to somebody else"));
        }
        fs::set_permissions(&path, Permissions::from_mode(0o700))
    };
    make().map_err(|error| Unavailable::because(&format!("cannot use {}", path.display()), &error))?;
    Ok(path)
}

/// Sixteen hexadecimal digits that nobody guesses.
pub(crate) fn random() -> String {
    format!("{:016x}", RandomState::new().build_hasher().finish())
}
