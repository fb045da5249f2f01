//! `fixture-guard`.

fn main() -> std::process::ExitCode {
    fixture_guard_cli::main(std::env::args_os(), fixture_guard_cli::Invocation::Program)
}
