//! `cargo fixture-guard`: cargo looks for a program of this name, and gives it the subcommand's own name first.

fn main() -> std::process::ExitCode {
    fixture_guard_cli::main(std::env::args_os(), fixture_guard_cli::Invocation::CargoSubcommand)
}
