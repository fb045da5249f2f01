//! SQLite through sqlx.

use std::borrow::Cow;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use percent_encoding::percent_decode_str;
use sqlx::sqlite::SqliteConnectOptions;

use super::{Endpoint, Flaw, InvalidDsn, Part, Target};

impl Target {
    /// Reads a SQLite DSN as sqlx and SQLite do, down to the real file.
    ///
    /// Looks at the file system: the target of a link is the file behind it.
    ///
    /// ```
    /// let (target, _options) = fixture_guard_core::Target::from_sqlite_dsn("sqlite::memory:")?;
    /// assert!(matches!(target.endpoint(), fixture_guard_core::Endpoint::Memory { .. }));
    /// # Ok::<(), fixture_guard_core::InvalidDsn>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidDsn`] if sqlx cannot parse it; the message shows nothing of the string.
    pub fn from_sqlite_dsn(dsn: &str) -> Result<(Self, SqliteConnectOptions), InvalidDsn> {
        let options = SqliteConnectOptions::from_str(dsn).map_err(|_| InvalidDsn)?;
        let parameters = dsn.split_once('?').map_or("", |(_, parameters)| parameters);
        let parameters = || url::form_urlencoded::parse(parameters.as_bytes());
        let name = options.get_filename().to_string_lossy();
        let in_memory = parameters().any(|(key, value)| key == "mode" && value == "memory");
        let mut target = Self::opened(&name, in_memory);
        // with one of these sqlx escapes the name and puts it into a URI of its own
        if name.starts_with("file:") && !is_own_memory(&name) {
            for (key, _) in parameters().filter(|(key, _)| matches!(&**key, "immutable" | "vfs")) {
                target.flag(Flaw::InnerUri(key.into_owned()));
            }
        }
        // sqlx does not check the scheme: `postgres://…` is the name of a file to it
        if !dsn.starts_with("sqlite:") {
            target.flag(Flaw::Scheme);
        }
        if dsn.chars().any(char::is_control) {
            target.flag(Flaw::Space);
        }
        Ok((target, options))
    }
}

/// The file that SQLite will open.
impl From<&SqliteConnectOptions> for Target {
    fn from(options: &SqliteConnectOptions) -> Self {
        // the options do not tell whether their flag for memory is set: then the file is judged, which is stricter
        Self::opened(&options.get_filename().to_string_lossy(), false)
    }
}

impl Target {
    /// What SQLite opens by `name`, with or without the flag for a database in memory.
    ///
    /// `SQLITE_OPEN_URI` is always on in sqlx, so a name that begins with `file:` is parsed and decoded once more
    /// (<https://www.sqlite.org/uri.html>), and a mode that it holds replaces the flag.
    fn opened(name: &str, in_memory: bool) -> Self {
        let (name, in_memory) = match name.strip_prefix("file:") {
            Some(_) if is_own_memory(name) => return Self::memory(),
            Some(uri) => inner_uri(uri, in_memory),
            None => (Cow::Borrowed(name), in_memory),
        };
        if in_memory || name == ":memory:" {
            return Self::memory();
        }
        let (path, flaw) = real_path(Path::new(&*name));
        let base = std::env::current_dir().and_then(|directory| directory.canonicalize()).unwrap_or_default();
        let below = path.strip_prefix(&base).unwrap_or(&path);
        let endpoint = Endpoint::File { shown: below.to_string_lossy().into_owned(), path };
        let mut target = Self::new(endpoint, String::new(), String::new());
        target.flag_control(|| Part::File, &name);
        if let Some(flaw) = flaw {
            target.flag(flaw);
        }
        // the path joins what stands between two slashes
        if super::holds_credentials(&name) {
            target.flag(Flaw::Credentials);
            target.conceal();
        }
        target
    }

    fn memory() -> Self {
        Self::new(Endpoint::Memory, String::new(), String::new())
    }
}

/// The name that sqlx makes for `:memory:`: `file:sqlx-in-memory-` and a number.
fn is_own_memory(name: &str) -> bool {
    let number = name.strip_prefix("file:sqlx-in-memory-").unwrap_or_default();
    !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())
}

/// The file's name in `file:` + `uri`, and whether it is a database in memory.
///
/// SQLite obeys the last of several modes, and decodes in its own way: anything but plain `mode=memory` is a file.
fn inner_uri(uri: &str, flag: bool) -> (Cow<'static, str>, bool) {
    let uri = uri.split('#').next().unwrap_or_default();
    let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
    let path = match path.strip_prefix("//") {
        Some(rest) => rest.find('/').map_or("", |slash| &rest[slash..]),
        None => path,
    };
    let unclear = query.contains('%') || query.split('&').any(|pair| pair.starts_with("vfs"));
    let mut modes = query.split('&').filter_map(|pair| pair.strip_prefix("mode=")).peekable();
    let in_memory = if modes.peek().is_some() { modes.all(|mode| mode == "memory") } else { flag };
    (percent_decode_str(path).decode_utf8_lossy().into_owned().into(), in_memory && !unclear)
}

/// The absolute path with links and dot segments resolved, and what keeps it from saying which file it is.
fn real_path(name: &Path) -> (PathBuf, Option<Flaw>) {
    if name.as_os_str().is_empty() {
        // SQLite opens a private temporary file: harmless, and never what a DSN was meant to say
        return (PathBuf::new(), Some(Flaw::Unresolved(io::ErrorKind::InvalidInput)));
    }
    let absolute = match std::path::absolute(name) {
        Ok(path) => path,
        Err(error) => return (name.to_owned(), Some(Flaw::Unresolved(error.kind()))),
    };
    // Resolve what exists; nothing that does not exist can be a link.
    for ancestor in absolute.ancestors() {
        match ancestor.canonicalize() {
            Ok(real) => {
                let missing = absolute.strip_prefix(ancestor).unwrap_or(Path::new(""));
                let climbs = missing.components().any(|part| part == Component::ParentDir);
                let flaw = if climbs { Some(Flaw::Segments) } else { hard_links(&real, missing) };
                return (real.join(missing), flaw);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound && !is_link(ancestor) => {}
            Err(error) => return (absolute.clone(), Some(Flaw::Unresolved(error.kind()))),
        }
    }
    (absolute, Some(Flaw::Unresolved(io::ErrorKind::NotFound)))
}

/// A link to nothing: SQLite would create the file behind it.
fn is_link(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|metadata| metadata.is_symlink())
}

#[cfg(unix)]
fn hard_links(real: &Path, missing: &Path) -> Option<Flaw> {
    use std::os::unix::fs::MetadataExt;
    if !missing.as_os_str().is_empty() {
        return None;
    }
    match real.metadata() {
        Ok(metadata) if metadata.is_file() && metadata.nlink() > 1 => Some(Flaw::HardLinks(metadata.nlink())),
        Ok(_) => None,
        Err(error) => Some(Flaw::Unresolved(error.kind())),
    }
}

#[cfg(not(unix))]
fn hard_links(_: &Path, _: &Path) -> Option<Flaw> {
    None
}
