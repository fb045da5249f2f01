//! Which files there are, to which package each belongs, and whether that is for tests.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs;
use std::path::{Component, Path, PathBuf};

use ignore::WalkBuilder;

use crate::Skipped;

/// A file of this name lists what is not scanned, in the language of `.gitignore`.
pub(crate) const IGNORE_FILE: &str = ".fixture-guard-ignore";

/// What the walk found below a root.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) files: Vec<SourceFile>,
    pub(crate) skipped: Vec<Skipped>,
}

#[derive(Debug)]
pub(crate) struct SourceFile {
    pub(crate) path: PathBuf,
    /// To show, relative to the root.
    pub(crate) shown: PathBuf,
    /// The folder of its package's `Cargo.toml`.
    pub(crate) package: PathBuf,
    /// In `tests/`, `examples/` or `benches/`, or in a package that only tests depend on.
    pub(crate) is_test_code: bool,
}

pub(crate) fn walk(root: &Path) -> Found {
    let mut found = Found::default();
    let mut manifests: HashMap<PathBuf, Manifest> = HashMap::new();
    let mut files = Vec::new();
    let walker = WalkBuilder::new(root)
        .require_git(false)
        .add_custom_ignore_filename(IGNORE_FILE)
        .filter_entry(|entry| !is_target(entry.path()))
        .sort_by_file_name(OsStr::cmp)
        .build();
    for entry in walker {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                found.skipped.push(unreadable(root, &error));
                continue;
            }
        };
        let path = entry.path();
        if entry.path_is_symlink() {
            if let Some(reason) = link(root, path) {
                found.skipped.push(Skipped { file: shown(root, path), line: None, reason });
            }
            continue;
        }
        let is_file = entry.file_type().is_some_and(|kind| kind.is_file());
        if path.extension() == Some(OsStr::new("rs")) {
            if is_file {
                files.push(path.to_owned());
            } else if entry.file_type().is_some_and(|kind| !kind.is_dir()) {
                let reason = "is no regular file".to_owned();
                found.skipped.push(Skipped { file: shown(root, path), line: None, reason });
            }
        } else if is_file
            && path.file_name() == Some(OsStr::new("Cargo.toml"))
            && let Some(folder) = path.parent()
        {
            manifests.insert(folder.to_owned(), Manifest::read(path));
        }
    }
    let support = support_packages(&manifests);
    // where the root itself stands in its package
    let above = fs::canonicalize(root).ok().and_then(|root| {
        let manifest = root.ancestors().find(|folder| folder.join("Cargo.toml").is_file())?;
        root.strip_prefix(manifest).ok().map(Path::to_owned)
    });
    let above = above.unwrap_or_default();
    for path in files {
        let package = path.ancestors().skip(1).find(|folder| manifests.contains_key(*folder));
        let package = package.map_or_else(|| root.to_owned(), Path::to_owned);
        let relative = shown(root, &path);
        let is_test_code = is_test_folder(&above.join(&relative)) || support.contains(&package);
        found.files.push(SourceFile { path, shown: relative, package, is_test_code });
    }
    found
}

/// Whether one of the folders says so. `src/examples/` is a module like any other, `src/tests/` is not.
fn is_test_folder(path: &Path) -> bool {
    let mut in_source = false;
    let folders = path.parent().into_iter().flat_map(Path::components);
    for folder in folders {
        let Component::Normal(name) = folder else { continue };
        if name == "tests" || (!in_source && (name == "examples" || name == "benches")) {
            return true;
        }
        in_source |= name == "src";
    }
    false
}

/// Cargo's own folder, wherever it is; a folder that is only called so has no tag.
fn is_target(path: &Path) -> bool {
    path.file_name() == Some(OsStr::new("target"))
        && (path.join("CACHEDIR.TAG").exists() || path.with_file_name("Cargo.toml").exists())
}

fn shown(root: &Path, path: &Path) -> PathBuf {
    let relative = path.strip_prefix(root).unwrap_or(path);
    if relative.as_os_str().is_empty() {
        path.file_name().map_or_else(|| path.to_owned(), PathBuf::from)
    } else {
        relative.to_owned()
    }
}

fn unreadable(root: &Path, error: &ignore::Error) -> Skipped {
    let path = match error {
        ignore::Error::WithPath { path, .. } => Some(path.clone()),
        ignore::Error::WithDepth { err, .. } => match &**err {
            ignore::Error::WithPath { path, .. } => Some(path.clone()),
            _ => None,
        },
        _ => None,
    };
    let reason =
        error.io_error().map_or_else(|| error.to_string(), |error| format!("cannot be read: {error}"));
    Skipped { file: path.map_or_else(PathBuf::new, |path| shown(root, &path)), line: None, reason }
}

/// Links are not followed: what they lead to is scanned where it stands, once. `None` if there is nothing to say.
fn link(root: &Path, path: &Path) -> Option<String> {
    match fs::canonicalize(path) {
        Ok(target) => {
            let matters = target.is_dir() || target.extension() == Some(OsStr::new("rs"));
            let inside = fs::canonicalize(root).is_ok_and(|root| target.starts_with(root));
            (matters && !inside).then(|| "is a symbolic link that leads out of the scanned folder".to_owned())
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => (path.extension()
            == Some(OsStr::new("rs")))
        .then(|| "is a symbolic link that leads nowhere".to_owned()),
        Err(error) => Some(format!("is a symbolic link that cannot be followed: {error}")),
    }
}

/// As much of a `Cargo.toml` as it takes to see who depends on whom.
#[derive(Debug, Default)]
struct Manifest {
    name: Option<String>,
    dependencies: Vec<String>,
    test_dependencies: Vec<String>,
}

impl Manifest {
    fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap_or_default();
        let Ok(table) = text.parse::<toml::Table>() else { return Self::default() };
        let mut manifest = Self {
            name: table.get("package").and_then(|package| package.get("name")?.as_str()).map(str::to_owned),
            ..Self::default()
        };
        manifest.add(&table);
        for target in
            table.get("target").and_then(toml::Value::as_table).into_iter().flat_map(toml::Table::values)
        {
            if let Some(target) = target.as_table() {
                manifest.add(target);
            }
        }
        manifest
    }

    fn add(&mut self, table: &toml::Table) {
        for (kind, tests) in
            [("dependencies", false), ("build-dependencies", false), ("dev-dependencies", true)]
        {
            for (key, value) in table.get(kind).and_then(toml::Value::as_table).into_iter().flatten() {
                let name = value.get("package").and_then(toml::Value::as_str).unwrap_or(key).to_owned();
                if tests { self.test_dependencies.push(name) } else { self.dependencies.push(name) }
            }
        }
    }
}

/// The folders of packages that others need for their tests and for nothing else.
fn support_packages(manifests: &HashMap<PathBuf, Manifest>) -> HashSet<PathBuf> {
    let all = |select: fn(&Manifest) -> &Vec<String>| -> HashSet<&String> {
        manifests.values().flat_map(select).collect()
    };
    let used = all(|manifest| &manifest.dependencies);
    let tested = all(|manifest| &manifest.test_dependencies);
    let support = manifests.iter().filter(|(_, manifest)| {
        manifest.name.as_ref().is_some_and(|name| tested.contains(name) && !used.contains(name))
    });
    // a package that depends on itself for its tests is no support
    support
        .filter(|(_, manifest)| {
            let name = manifest.name.as_ref();
            manifests.values().any(|other| {
                other.name.as_ref() != name && name.is_some_and(|name| other.test_dependencies.contains(name))
            })
        })
        .map(|(folder, _)| folder.clone())
        .collect()
}
