//! One shape for what YAML, TOML and `.env` files hold.

use saphyr::{LoadableYamlNode, Scalar, Yaml};

/// A value of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
    /// Numbers and the like, in which no database is named.
    Other,
}

impl Node {
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The value at a key.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        match self {
            Self::Map(entries) => entries.iter().find(|(known, _)| known == key).map(|(_, node)| node),
            _ => None,
        }
    }

    /// As a map of variables: compose files write them as a map, or as a list of `NAME=value`.
    pub(super) fn variables(&self) -> Option<Node> {
        match self {
            Self::List(items) => {
                let pair = |item: &Node| {
                    let (name, value) = item.text()?.split_once('=')?;
                    is_name(name).then(|| (name.to_owned(), Node::Text(value.to_owned())))
                };
                let pairs: Option<Vec<_>> = items.iter().map(pair).collect();
                pairs.filter(|pairs| !pairs.is_empty()).map(Node::Map)
            }
            _ => None,
        }
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// The error's place only: a parser's message may quote the file.
pub(super) fn yaml(text: &str) -> Result<Node, String> {
    let filled = filled(text);
    let read = |text: &str| -> Result<Node, String> {
        let documents = Yaml::load_from_str(text)
            .map_err(|error| format!("line {} is no YAML", error.marker().line()))?;
        Ok(Node::List(documents.iter().map(from_yaml).collect()))
    };
    // the parser wants a closing bracket deeper than its key; the standard's other readers do not
    read(&filled).or_else(|problem| read(&deeper(&filled)).map_err(|_| problem))
}

/// Closing brackets at the beginning of a line, far to the right.
fn deeper(text: &str) -> String {
    const DEEP: usize = 40;
    let line = |line: &str| match line.trim_start() {
        closing if closing.starts_with([']', '}']) => format!("{:DEEP$}{closing}\n", ""),
        _ => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

/// Puts the default in for each `{{ get_env(name="A", default="b") }}` of a template, and a variable that is unknown
/// for one without a default. What follows a `$` is a pipeline's and stays.
fn filled(text: &str) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("{{") {
        filled.push_str(&rest[..at]);
        let template = &rest[at..];
        let Some(length) = template.lines().next().and_then(|line| line.find("}}")) else {
            filled.push_str("{{");
            rest = &template[2..];
            continue;
        };
        let (template, after) = template.split_at(length + 2);
        if filled.ends_with('$') {
            filled.push_str(template);
        } else {
            filled.push_str(default_of(template).unwrap_or("$FIXTURE_GUARD_UNKNOWN"));
        }
        rest = after;
    }
    filled + rest
}

/// `b` in `default="b"`, `default(value="b")` and `default('b')`.
fn default_of(template: &str) -> Option<&str> {
    let (_, after) = template.split_once("default")?;
    let start = after.find(['"', '\''])?;
    let quote = after[start..].chars().next()?;
    let (default, _) = after[start + 1..].split_once(quote)?;
    (!default.is_empty()).then_some(default)
}

fn from_yaml(yaml: &Yaml<'_>) -> Node {
    match yaml {
        Yaml::Value(Scalar::String(text)) | Yaml::Representation(text, ..) => {
            Node::Text(text.clone().into_owned())
        }
        Yaml::Sequence(items) => Node::List(items.iter().map(from_yaml).collect()),
        Yaml::Mapping(entries) => Node::Map(
            entries
                .iter()
                .filter_map(|(key, value)| Some((key.as_str()?.to_owned(), from_yaml(value))))
                .collect(),
        ),
        Yaml::Tagged(_, inner) => from_yaml(inner),
        _ => Node::Other,
    }
}

pub(super) fn toml(text: &str) -> Result<Node, String> {
    let table: toml::Table = toml::from_str(text).map_err(|error| {
        let line =
            error.span().map_or(1, |span| 1 + text.get(..span.start).unwrap_or(text).matches('\n').count());
        format!("line {line} is no TOML")
    })?;
    Ok(from_toml(&toml::Value::Table(table)))
}

fn from_toml(value: &toml::Value) -> Node {
    match value {
        toml::Value::String(text) => Node::Text(text.clone()),
        toml::Value::Array(items) => Node::List(items.iter().map(from_toml).collect()),
        toml::Value::Table(table) => {
            Node::Map(table.iter().map(|(key, value)| (key.clone(), from_toml(value))).collect())
        }
        _ => Node::Other,
    }
}

/// Lines of `NAME=value`. Nothing is put in for `$NAME`: what this process's environment holds is another matter.
pub(super) fn dotenv(text: &str) -> Node {
    let variable = |line: &str| {
        let line = line.trim();
        let line = line.strip_prefix("export ").unwrap_or(line);
        let (name, value) = line.split_once('=')?;
        let (name, value) = (name.trim(), value.trim());
        let value = match value.chars().next() {
            Some(quote @ ('"' | '\'')) => value[1..].split(quote).next().unwrap_or_default(),
            _ => value.split(" #").next().unwrap_or_default().trim_end(),
        };
        is_name(name).then(|| (name.to_owned(), Node::Text(value.to_owned())))
    };
    Node::Map(text.lines().filter_map(variable).collect())
}
