//! Finds the policy's file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use once_cell::sync::OnceCell;

use super::file::in_directory;
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
    /// `compiled_in`, the directory that the attribute was compiled in.
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
    /// If a file is found and cannot be a policy. A broken file is never passed over.
    pub fn of_process(compiled_in: Option<&'static str>) -> Result<Arc<Self>, PolicyError> {
        static PROCESS: OnceCell<Arc<Policy>> = OnceCell::new();
        let policy = PROCESS.get_or_try_init(|| {
            let at_run_time = Surroundings::of_process().get("CARGO_MANIFEST_DIR");
            // a leftover of another crate's run must not put the file of this one aside
            let mut file = None;
            for start in at_run_time.into_iter().chain(compiled_in).map(Path::new) {
                file = find(start)?;
                if file.is_some() {
                    break;
                }
            }
            let policy = file.map_or_else(|| Ok(Self::built_in()), |file| Self::load(&file));
            policy.map(Arc::new)
        })?;
        Ok(Arc::clone(policy))
    }
}

/// The nearest `fixture-guard.toml` in this directory or one above it.
fn find(start: &Path) -> Result<Option<PathBuf>, PolicyError> {
    for directory in start.ancestors() {
        let file = in_directory(directory);
        match file.try_exists() {
            Ok(true) => return Ok(Some(file)),
            Ok(false) => {}
            Err(error) => {
                return Err(PolicyError::new(
                    format!("cannot tell whether there is a policy: {error}"),
                    "let this user read the directory",
                )
                .at(&file, None));
            }
        }
    }
    Ok(None)
}
