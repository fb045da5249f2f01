//! Public bug reports about guards like this one, as small inputs: `tests/cases/cases.json` says for each which exit code
//! and which words a user would expect.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::program::{program, said};

#[test]
fn answers_public_reports_as_their_users_would_expect() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let read = std::fs::read_to_string(cases.join("cases.json")).unwrap();
    let list: Vec<BTreeMap<String, Value>> = serde_json::from_str(&read).unwrap();
    let mut wrong = Vec::new();
    for case in &list {
        let directory = tempfile::tempdir().unwrap();
        let mut command = program(directory.path());
        for (name, value) in case["env"].as_object().unwrap() {
            let value = value.as_str().unwrap();
            if name == "__cwd_env_file" {
                std::fs::write(directory.path().join(".env"), value).unwrap();
            } else {
                command.env(name, value);
            }
        }
        command.args(texts(&case["args"]));
        if let Some(policy) = case["policy"].as_str() {
            command.arg("--policy").arg(cases.join("policies").join(policy));
        }

        let said = said(&command.output().unwrap());

        let text = format!("{}{}", said.out, said.err);
        let expected = match &case["expect_exit"] {
            Value::Array(codes) => codes.iter().filter_map(Value::as_i64).collect(),
            code => vec![code.as_i64().unwrap()],
        };
        let lacks = texts(&case["must_contain"]).any(|word| !text.contains(word));
        let shows = texts(&case["must_not_contain"]).any(|word| text.contains(word));
        if !expected.contains(&said.code.into()) || lacks || shows {
            wrong.push(format!("{}: exit {}, {expected:?} expected\n{text}", case["id"], said.code));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), list.len(), wrong.join("\n"));
}

fn texts(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}
