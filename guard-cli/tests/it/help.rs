//! Every example in a help text, run.

use std::process::{Command, Stdio};

use fixture_guard_core::marker;
use fixture_guard_test_support::{self as support, APP_PASSWORD, STAGING};
use sqlx::ConnectOptions;

use crate::program::{directory, program, run, said};

/// The subcommands, as the program itself lists them.
fn subcommands() -> Vec<String> {
    let help = run(std::path::Path::new("."), ["--help"]).out;
    let (_, list) = help.split_once("Commands:\n").expect("a list of commands");
    list.lines()
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  ").filter(|line| !line.starts_with(' ')))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

fn examples(arguments: &[&str]) -> Vec<String> {
    let said = run(std::path::Path::new("."), arguments);
    assert_eq!(said.code, 0, "{said:?}");
    said.out.lines().filter_map(|line| line.trim().strip_prefix("$ ")).map(str::to_owned).collect()
}

/// In a directory with a policy and a source file, on a marked database that may be destroyed: there every example is fine.
#[tokio::test]
async fn every_example_in_a_help_text_does_what_it_says() {
    let database = support::postgres(STAGING).await.empty_database().await;
    let policy = format!(
        "[environments.staging]\ndestructive = true\nhosts = [\"{}\"]\n",
        database.server().address()
    );
    let mut all = examples(&["--help"]);
    let subcommands = subcommands();
    assert!(subcommands.len() >= 5, "{subcommands:?}");
    for subcommand in &subcommands {
        let examples = examples(&[subcommand, "--help"]);
        assert!(!examples.is_empty(), "`{subcommand} --help` has no example");
        assert!(
            examples.iter().all(|line| line.contains(&format!("fixture-guard {subcommand}"))),
            "{examples:?}"
        );
        all.extend(examples);
    }

    let bin = std::path::Path::new(env!("CARGO_BIN_EXE_fixture-guard")).parent().unwrap();
    for example in all {
        let directory = directory(&policy);
        std::fs::write(directory.path().join("lib.rs"), "fn nothing() {}\n").unwrap();
        if example.ends_with("fixture-guard init") {
            std::fs::remove_file(directory.path().join("fixture-guard.toml")).unwrap();
        }
        marker::write(&mut database.admin().await, "staging").await.unwrap();
        let mut shell = Command::new("sh");
        shell.env_clear().env("PATH", format!("{}:/usr/bin:/bin", bin.display()));
        shell.env("DATABASE_URL", database.server().admin_options(database.name()).to_url_lossy().as_str());
        shell.args(["-ec", &example]).current_dir(directory.path()).stdin(Stdio::null());
        let said = said(&shell.output().unwrap());
        assert_eq!(said.code, 0, "{example}: {said:?}");
        assert!(!said.out.contains(APP_PASSWORD) && !said.err.contains(APP_PASSWORD), "{example}");
        assert!(!said.out.is_empty(), "{example} says nothing");
    }
}

#[test]
fn every_shell_gets_a_script_that_knows_the_subcommands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(std::path::Path::new("."), ["completions", shell]);
        assert_eq!(script.code, 0, "{script:?}");
        for subcommand in subcommands() {
            assert!(script.out.contains(&subcommand), "{shell} does not know {subcommand}");
        }
    }
    let directory = tempfile::tempdir().unwrap();
    let script = run(directory.path(), ["completions", "bash"]).out;
    std::fs::write(directory.path().join("completions"), script).unwrap();
    let syntax = Command::new("bash").arg("-n").arg(directory.path().join("completions")).output().unwrap();
    assert!(syntax.status.success(), "{syntax:?}");
}

#[test]
fn there_is_a_manual_page_of_the_program_and_of_each_subcommand() {
    let page = run(std::path::Path::new("."), ["man"]);
    assert!(page.code == 0 && page.out.contains(".TH fixture-guard 1"), "{page:?}");
    for subcommand in subcommands() {
        let page = run(std::path::Path::new("."), ["man", &subcommand]);
        assert!(
            page.code == 0 && page.out.contains(&format!(".TH fixture-guard-{subcommand} 1")),
            "{page:?}"
        );
    }
    let missing = run(std::path::Path::new("."), ["man", "nonsense"]);
    assert!(missing.code == 2 && missing.err.contains("there is no subcommand `nonsense`"), "{missing:?}");
}

#[test]
fn the_version_is_the_packages() {
    let said = said(&program(std::path::Path::new(".")).arg("--version").output().unwrap());
    assert_eq!(
        (said.code, said.out.as_str()),
        (0, concat!("fixture-guard ", env!("CARGO_PKG_VERSION"), "\n"))
    );
}

/// The commands that the documents tell people to type are understood.
#[test]
fn the_documents_commands_are_commands() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut commands = 0;
    for document in ["README.md", "docs/ci.md"] {
        let text = std::fs::read_to_string(root.join(document)).unwrap();
        let blocks =
            text.split("\n```").filter(|block| block.starts_with("sh\n") || block.starts_with("yaml\n"));
        for line in blocks.flat_map(str::lines) {
            let line = line.trim().trim_start_matches("- ").trim_start_matches("run: ");
            let Some(arguments) = line.strip_prefix("fixture-guard ") else { continue };
            let arguments = arguments.split('#').next().unwrap_or_default().split_whitespace();
            // with `--help` at the end everything before it is read, and nothing is done
            let said = run(&root, arguments.chain(["--help"]));
            assert_eq!(said.code, 0, "{document}: {line}: {said:?}");
            commands += 1;
        }
    }
    assert!(commands >= 10, "{commands} commands");
}

/// Who guards fixtures does not build a command line.
#[test]
fn the_library_does_not_depend_on_the_program() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for package in ["", "guard-core", "guard-macros"] {
        let manifest = std::fs::read_to_string(root.join(package).join("Cargo.toml")).unwrap();
        let manifest: toml::Table = manifest.parse().unwrap();
        for dependency in manifest["dependencies"].as_table().unwrap().keys() {
            let programs = ["fixture-guard-cli", "clap", "anstream", "saphyr", "strsim"];
            assert!(!programs.contains(&dependency.as_str()), "{package} depends on {dependency}");
        }
    }
}
