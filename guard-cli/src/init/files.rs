//! The files of a project that may name databases.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::found::{Sighting, sightings};
use super::tree::{self, Node};

/// No configuration is larger.
const LARGEST: u64 = 1 << 20;

/// Every database that the project's files name, and what could not be read.
pub(super) fn read(directory: &Path) -> Read {
    let (mut found, mut problems, mut read) = (Vec::new(), Vec::new(), Vec::new());
    for (file, shape) in files(directory, &mut problems) {
        let shown = file.strip_prefix(directory).unwrap_or(&file).display().to_string().replace('\\', "/");
        match text(&file).and_then(|text| parse(shape, &text)) {
            Ok(node) => {
                found.extend(sightings(&shown, &node));
                read.push(shown);
            }
            Err(problem) => problems.push(format!("{shown}: {problem}")),
        }
    }
    Read { found, files: read, problems }
}

/// The outcome of reading a project.
pub(super) struct Read {
    pub(super) found: Vec<Sighting>,
    /// The files that were read.
    pub(super) files: Vec<String>,
    /// The files that were not, with the reason.
    pub(super) problems: Vec<String>,
}

#[derive(Debug, Clone, Copy)]
enum Shape {
    Variables,
    Yaml,
    Toml,
}

/// What a file of this name holds, if it is one of those that are read.
type ByName = fn(&str) -> Option<Shape>;

/// In a fixed order, so that two runs write the same.
fn files(directory: &Path, problems: &mut Vec<String>) -> Vec<(PathBuf, Shape)> {
    let mut files = Vec::new();
    let of: [(&str, ByName); 3] = [
        ("", in_root),
        (".github/workflows", yaml),
        (".circleci", |name| yaml(name).filter(|_| name.starts_with("config."))),
    ];
    let folders = folders(directory);
    let folders = folders.iter().map(|folder| (folder.as_str(), in_folder as ByName));
    for (below, shape) in of.into_iter().chain(folders) {
        let entries = match fs::read_dir(directory.join(below)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => {
                problems.push(format!("{}: {error}", if below.is_empty() { "." } else { below }));
                continue;
            }
        };
        let mut names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
        names.sort();
        for name in names {
            let file = directory.join(below).join(&name);
            if let Some(shape) = shape(&name.to_string_lossy()).filter(|_| file.is_file()) {
                files.push((file, shape));
            }
        }
    }
    files
}

fn in_root(name: &str) -> Option<Shape> {
    match name {
        ".gitlab-ci.yml" => Some(Shape::Yaml),
        name if name.starts_with(".env") => Some(Shape::Variables),
        name if name.starts_with("compose") || name.starts_with("docker-compose") => yaml(name),
        _ => None,
    }
}

fn in_folder(name: &str) -> Option<Shape> {
    let toml = || extension(name, "toml").then_some(Shape::Toml);
    let variables = || extension(name, "env").then_some(Shape::Variables);
    in_root(name).or_else(|| yaml(name)).or_else(toml).or_else(variables)
}

/// The folders in which projects keep configuration and containers, and the folders directly inside of them.
fn folders(directory: &Path) -> Vec<String> {
    const NAMES: [&str; 15] = [
        "infra",
        "infrastructure",
        "deploy",
        "deployment",
        "deployments",
        "docker",
        ".docker",
        ".devcontainer",
        "ops",
        "env",
        "envs",
        "environments",
        "settings",
        "conf",
        "dev",
    ];
    let below = |folder: &Path| -> Vec<String> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    };
    let chosen = below(directory)
        .into_iter()
        .filter(|name| name.starts_with("config") || NAMES.contains(&name.as_str()));
    let with_inner = |name: String| {
        let inner = below(&directory.join(&name)).into_iter().map(|inner| format!("{name}/{inner}"));
        std::iter::once(name.clone()).chain(inner.collect::<Vec<_>>())
    };
    chosen.flat_map(with_inner).collect()
}

fn yaml(name: &str) -> Option<Shape> {
    (extension(name, "yml") || extension(name, "yaml")).then_some(Shape::Yaml)
}

fn extension(name: &str, wanted: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == wanted)
}

fn text(file: &Path) -> Result<String, String> {
    let mut bytes = Vec::new();
    let opened = fs::File::open(file).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes));
    opened.map_err(|error| error.to_string())?;
    if bytes.len() as u64 > LARGEST {
        return Err("it is larger than 1 MiB".to_owned());
    }
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())
}

fn parse(shape: Shape, text: &str) -> Result<Node, String> {
    match shape {
        Shape::Variables => Ok(tree::dotenv(text)),
        Shape::Yaml => tree::yaml(text),
        Shape::Toml => tree::toml(text),
    }
}
