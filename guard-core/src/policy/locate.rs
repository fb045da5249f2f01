//! Finds the policy's file.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::file::{FILE_NAME, in_directory};
use super::{Policy, PolicyError};
use crate::surroundings::Surroundings;

impl Policy {
    /// The nearest `fixture-guard.toml` in `directory` or one above it, or the built-in rules where there is none.
    ///
    /// ```no_run
    /// use fixture_guard_core::Policy;
    ///
    /// let policy = Policy::nearest(std::path::Path::new("/srv/shop/backend"))?; // also /srv/shop/fixture-guard.toml
    /// # Ok::<(), fixture_guard_core::PolicyError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If a file is found and cannot be a policy. A broken file is never passed over.
    pub fn nearest(directory: &Path) -> Result<Self, PolicyError> {
        find(directory)?.map_or_else(|| Ok(Self::built_in()), |file| Self::load(&file))
    }

    /// The policy of this process: the file that is found by walking up from the crate under test, read once, or
    /// the built-in rules where there is none.
    ///
    /// The walk starts at `CARGO_MANIFEST_DIR` as cargo and nextest set it at run time; where that finds nothing, at
    /// `compiled_in`, the directory that the attribute was compiled in. Without `compiled_in`, or where the policy
    /// file of compile time is gone, it starts again at the working directory and at the directory of the executable.
    ///
    /// ```no_run
    /// # use fixture_guard_core as fixture_guard;
    /// let policy = fixture_guard::Policy::of_process(option_env!("CARGO_MANIFEST_DIR"))?;
    /// println!("{:?}", policy.file());
    /// # Ok::<(), fixture_guard::PolicyError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If a file is found and cannot be a policy, if a file has nearly the name of a policy, or if the policy of
    /// compile time is gone.
    pub fn of_process(compiled_in: Option<&'static str>) -> Result<Arc<Self>, PolicyError> {
        /// By where the search began: another crate's fixture in this process may find another file.
        static POLICIES: Mutex<BTreeMap<Option<&'static str>, Arc<Policy>>> = Mutex::new(BTreeMap::new());
        let start = compiled_in;
        let mut policies = POLICIES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(policy) = policies.get(&start) {
            return Ok(Arc::clone(policy));
        }
        let policy = match find_for_process(start)? {
            Some(file) => {
                let known = policies.values().find(|known| known.file() == Some(file.as_path()));
                known.map_or_else(|| Self::load(&file).map(Arc::new), |known| Ok(Arc::clone(known)))?
            }
            None => Arc::new(Self::built_in()),
        };
        policies.insert(start, Arc::clone(&policy));
        Ok(policy)
    }
}

fn find_for_process(compiled_in: Option<&str>) -> Result<Option<PathBuf>, PolicyError> {
    // as `place!` joins them
    let compiled_in = compiled_in.map(|place| {
        place.split_once('\0').map_or((place, None), |(directory, file)| (directory, Some(file)))
    });
    let at_run_time = Surroundings::of_process().get("CARGO_MANIFEST_DIR");
    // a leftover of another crate's run must not put the file of this one aside
    for start in at_run_time.into_iter().chain(compiled_in.map(|(directory, _)| directory)) {
        if let Some(file) = find(Path::new(start))? {
            return Ok(Some(file));
        }
    }
    let lost = compiled_in.and_then(|(_, file)| file);
    if compiled_in.is_some() && lost.is_none() {
        return Ok(None);
    }
    let executable = std::env::current_exe().ok().and_then(|file| Some(file.parent()?.to_owned()));
    for start in std::env::current_dir().ok().into_iter().chain(executable) {
        if let Some(file) = find(&start)? {
            return Ok(Some(file));
        }
    }
    match lost {
        None => Ok(None),
        Some(file) => Err(PolicyError::new(
            "the policy file is gone: it was here when this program was compiled",
            "put the file back, or set CARGO_MANIFEST_DIR to the directory of the package with its policy file; if \
             the project has no policy file any more, compile again",
        )
        .at(Path::new(file), None)),
    }
}

/// The nearest `fixture-guard.toml` in this directory or one above it.
fn find(start: &Path) -> Result<Option<PathBuf>, PolicyError> {
    // a crate may be reached through a link, and its workspace lies above the real directory
    let real = match start.canonicalize() {
        Ok(real) => Some(real),
        Err(error) if is_missing(&error) => None,
        Err(error) => return Err(unknown(&error).at(start, None)),
    };
    let lexical = (real.as_deref() != Some(start)).then_some(start);
    for directory in
        real.iter().flat_map(|real| real.ancestors()).chain(lexical.into_iter().flat_map(Path::ancestors))
    {
        let file = in_directory(directory);
        match file.symlink_metadata() {
            // a link to nothing included: reading it says so
            Ok(_) => return Ok(Some(file)),
            Err(error) if is_missing(&error) => {}
            Err(error) => return Err(unknown(&error).at(&file, None)),
        }
        if let Some(misspelt) = misspelt(directory) {
            return Err(PolicyError::new(
                format!("the file has nearly the name of a policy, and is not read as `{FILE_NAME}` is"),
                format!("rename it to `{FILE_NAME}`; if it is not a policy, give it another name"),
            )
            .at(&misspelt, None));
        }
    }
    Ok(None)
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn unknown(error: &io::Error) -> PolicyError {
    PolicyError::new(
        format!("cannot tell whether there is a policy: {error}"),
        "let this user read the directory",
    )
}

/// A file whose name is a policy's but for a mistake. A directory that cannot be listed has none that is known.
fn misspelt(directory: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(directory).ok()?.flatten();
    let mut files: Vec<_> = entries
        .filter(|entry| entry.file_name().to_str().is_some_and(is_misspelt))
        .map(|entry| entry.path())
        .filter(|file| !file.is_dir())
        .collect();
    files.sort();
    files.into_iter().next()
}

/// `fixture_guard.toml`, `Fixture-Guard.toml`, `.fixture-guard.toml`, `fixtureguard.toml`, `fixture-guard.yaml`.
fn is_misspelt(name: &str) -> bool {
    const EXTENSIONS: [&str; 8] = ["toml", "tml", "tmol", "toml.txt", "yaml", "yml", "json", "ini"];
    let lower = name.to_lowercase();
    let Some((stem, extension)) = lower.trim_start_matches('.').split_once('.') else { return false };
    let letters: String = stem.chars().filter(|c| c.is_alphanumeric()).collect();
    // a file of another format is a policy only if its name is right
    let tolerated = if extension.starts_with('t') { 2 } else { 0 };
    EXTENSIONS.contains(&extension) && distance(&letters, "fixtureguard") <= tolerated
}

/// How many letters must be added, removed or replaced.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, b) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_is_recognized_and_others_are_left_alone() {
        for name in [
            "fixture_guard.toml",
            "Fixture-Guard.toml",
            ".fixture-guard.toml",
            "fixtureguard.toml",
            "fixture-guards.toml",
            "fixture-gaurd.toml",
            "fixtures-guard.toml",
            "fixture-guard.yaml",
            "fixture_guard.yml",
            "fixture-guard.json",
            "fixture-guard.toml.txt",
            "fixture-guard.tml",
            "FIXTURE-GUARD.TOML",
            "fixture guard.toml",
        ] {
            assert!(is_misspelt(name), "{name}");
        }
        for name in [
            "fixture-guard.toml.example",
            "fixture-guard.jsonl",
            "fixture-guard.schema.json",
            "fixture-guard",
            "fixture-guard.rs",
            "fixtures.toml",
            "Cargo.toml",
            "fixture-guard.toml.bak",
            "guard.toml",
            "fixture-guard.md",
            "fixture-guard.sarif",
            "",
        ] {
            assert!(!is_misspelt(name), "{name}");
        }
    }

    #[test]
    fn a_policy_is_found_through_a_link_and_a_broken_one_is_never_passed_over() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let text = "[environments.ci]\nhosts = ['db']\n";
        std::fs::create_dir_all(root.join("repo/crates/x")).unwrap();
        std::fs::create_dir_all(root.join("links")).unwrap();
        let file = root.join("repo").join(FILE_NAME);
        std::fs::write(&file, text).unwrap();
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(root.join("repo/crates/x"), root.join("links/x")).unwrap();
            assert_eq!(find(&root.join("links/x")).unwrap().as_ref(), Some(&file));
            std::fs::remove_file(&file).unwrap();
            std::os::unix::fs::symlink("../missing/policy.toml", &file).unwrap();
            let error = Policy::nearest(&root.join("repo/crates/x")).unwrap_err();
            assert!(error.to_string().contains("a link to nothing"), "{error}");
            std::fs::remove_file(&file).unwrap();
        }
        std::fs::create_dir(&file).unwrap();
        let error = Policy::nearest(&root.join("repo/crates/x")).unwrap_err();
        assert!(error.to_string().contains("not a regular file"), "{error}");
    }

    fn leaked(path: &Path) -> &'static str {
        Box::leak(path.to_str().unwrap().to_owned().into_boxed_str())
    }

    #[test]
    fn a_fixture_of_one_crate_does_not_decide_for_another() {
        let root = tempfile::tempdir().unwrap();
        let (one, other) = (root.path().join("one"), root.path().join("other"));
        std::fs::create_dir(&one).unwrap();
        std::fs::create_dir(&other).unwrap();
        std::fs::write(other.join(FILE_NAME), "[environments.ci]\nhosts = ['db']\n").unwrap();
        let of = |directory: &Path| Policy::of_process(Some(leaked(directory))).unwrap();
        assert_eq!(of(&one).file(), None);
        assert_eq!(of(&other).file(), Some(other.canonicalize().unwrap().join(FILE_NAME).as_path()));
        assert_eq!(of(&one).file(), None);
    }

    #[test]
    fn a_policy_that_was_there_when_the_fixture_was_compiled_must_be_there_when_it_runs() {
        let root = tempfile::tempdir().unwrap();
        let gone = root.path().join("gone");
        let policy = leaked(&gone.join(FILE_NAME));
        let compiled_in = leaked(Path::new(&format!("{}\0{policy}", gone.display())));
        for _ in 0..2 {
            let error = Policy::of_process(Some(compiled_in)).unwrap_err();
            assert!(error.to_string().contains("the policy file is gone"), "{error}");
            assert_eq!(error.place(), Some((Path::new(policy), None)));
        }
        std::fs::create_dir(&gone).unwrap();
        std::fs::write(policy, "[environments.ci]\nhosts = ['db']\n").unwrap();
        let found = Policy::of_process(Some(compiled_in)).unwrap();
        assert!(found.file().is_some(), "an error is not remembered");
    }

    #[test]
    fn a_misspelt_file_is_refused_also_below_a_right_one() {
        let root = tempfile::tempdir().unwrap();
        let below = root.path().join("x");
        std::fs::create_dir(&below).unwrap();
        std::fs::write(root.path().join(FILE_NAME), "[environments.ci]\nhosts = ['db']\n").unwrap();
        std::fs::write(root.path().join("fixture_guard.toml"), "").unwrap();
        assert!(Policy::nearest(&below).unwrap().file().is_some(), "the right name is beside it");
        std::fs::write(below.join("fixture_guard.toml"), "").unwrap();
        let error = Policy::nearest(&below).unwrap_err();
        assert!(error.help().contains("rename it to `fixture-guard.toml`"), "{error}");
    }
}
