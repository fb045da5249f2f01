//! Which files `#[cfg(test)] mod name;` makes code for tests.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};

use crate::facts::Facts;
use crate::walk::SourceFile;

/// For each file, whether only tests compile it.
pub(crate) fn test_files(files: &[SourceFile], facts: &[Facts]) -> Vec<bool> {
    let numbers: HashMap<&Path, usize> =
        files.iter().enumerate().map(|(number, file)| (file.path.as_path(), number)).collect();
    let mut is_test: Vec<bool> = files.iter().map(|file| file.is_test_code).collect();
    let mut waiting: VecDeque<usize> = (0..files.len()).collect();
    while let Some(number) = waiting.pop_front() {
        for module in &facts[number].modules {
            if !module.is_test_code && !is_test[number] {
                continue;
            }
            let candidates =
                candidates(&files[number].path, &module.inside, &module.name, module.path.as_deref());
            let child = candidates.iter().find_map(|path| numbers.get(path.as_path()));
            if let Some(&child) = child.filter(|child| !is_test[**child]) {
                is_test[child] = true;
                waiting.push_back(child);
            }
        }
    }
    is_test
}

/// Where the compiler looks for a module, the likeliest place first: any file can be a crate's root.
fn candidates(file: &Path, inside: &[Box<str>], name: &str, path: Option<&str>) -> Vec<PathBuf> {
    let folder = file.parent().unwrap_or(Path::new(""));
    let own = file.with_extension("");
    let nested = |base: &Path| inside.iter().fold(base.to_owned(), |folder, module| folder.join(&**module));
    let is_root = own.file_name().is_some_and(|name| ["mod", "lib", "main"].iter().any(|root| name == *root));
    let bases = if is_root { [nested(folder), nested(&own)] } else { [nested(&own), nested(folder)] };
    if let Some(path) = path {
        return bases.iter().map(|base| plain(&base.join(path))).chain([plain(&folder.join(path))]).collect();
    }
    // a raw name's file is called without its mark
    let name = name.trim_start_matches("r#");
    bases.iter().flat_map(|base| [base.join(format!("{name}.rs")), base.join(name).join("mod.rs")]).collect()
}

/// Without `..`, as the walk names files.
pub(crate) fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir if plain.file_name().is_some() => {
                plain.pop();
            }
            std::path::Component::CurDir if !plain.as_os_str().is_empty() => {}
            part => plain.push(part),
        }
    }
    plain
}
