//! `fixture-guard init`: a first policy, made of what the project's files say, for a person to review.
//!
//! It errs on the side of too little: nothing is declared disposable but loopback and containers.

mod draft;
mod dsn;
mod files;
mod found;
mod tree;

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use fixture_guard_core::{FILE_NAME, Policy};

use crate::arguments::InitArguments;
use crate::ending::{Ending, Problem};
use crate::output;

pub(crate) fn run(arguments: &InitArguments) -> Result<Ending, Problem> {
    let directory = &arguments.directory;
    let file = directory.join(FILE_NAME);
    if !arguments.print && file.symlink_metadata().is_ok() {
        return Err(exists(&file));
    }
    if !directory.is_dir() {
        return Err(Problem::unknown(format!("{} is not a directory", directory.display())));
    }
    if !arguments.print
        && let Some(above) = above(directory)?
    {
        return Err(Problem::refused(format!(
            "{} holds here, and a file here would shadow it",
            above.display()
        ))
        .help("add to that file; `fixture-guard init --print` shows what would have been written"));
    }
    let read = files::read(directory);
    for problem in &read.problems {
        output::note(&format!("passed over: {problem}"));
    }
    let text = draft::write(&read);
    // what is written is a policy, or it is not written
    Policy::parse(&text, &file)
        .map_err(|error| Problem::unknown(format!("the draft is no policy: {error}")))?;
    if arguments.print {
        output::result(&text)?;
        return Ok(Ending::Fine);
    }
    let created = OpenOptions::new().write(true).create_new(true).open(&file);
    match created.and_then(|mut created| created.write_all(text.as_bytes())) {
        Ok(()) => {
            output::result(&format!("wrote {}: review it before you rely on it\n", file.display()))?;
            Ok(Ending::Fine)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(exists(&file)),
        Err(error) => Err(Problem::unknown(format!("{} cannot be written: {error}", file.display()))),
    }
}

/// The nearest policy in a directory above this one.
fn above(directory: &Path) -> Result<Option<PathBuf>, Problem> {
    let unknown =
        |file: &Path, error| Problem::unknown(format!("{} cannot be read: {error}", file.display()));
    let directory = directory.canonicalize().map_err(|error| unknown(directory, error))?;
    for file in directory.ancestors().skip(1).map(|above| above.join(FILE_NAME)) {
        match file.symlink_metadata() {
            Ok(_) => return Ok(Some(file)),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(unknown(&file, error)),
        }
    }
    Ok(None)
}

fn exists(file: &Path) -> Problem {
    Problem::refused(format!("{} is there already, and stays as it is", file.display()))
        .help("`fixture-guard init --print` shows what would have been written")
}
