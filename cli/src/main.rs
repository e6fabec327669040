//! The one binary: reads the command line, runs one subcommand, and turns its end into an exit code.
//!
//! Invariants:
//! 1. An error is one line on stderr that says what to do; exit code 1 for what failed, 2 for a wrong command line or
//!    a wrong setting.
//! 2. Results go to stdout, everything else (logs, progress, questions) to stderr.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line program prints")]

mod client;
mod commands;
mod failure;
mod output;
mod startup;

use std::process::ExitCode;

fn main() -> ExitCode {
    commands::main()
}
