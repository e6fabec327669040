//! Checks and generators for the workspace: `cargo xtask <command>`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool speaks on its terminal")]

mod docs;
mod layout;
mod rooms;
mod sim;
mod sources;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask <command>

  tidy           checks rooms, lengths of files and functions, names, headers
  tidy --shrink  rewrites the list of exceptions when it can shrink
  docs           writes docs/reference/kafka-api.md and the tables of docs/reference/object-layout.md
  docs --check   fails when these files are not what would be written
  sim            runs the simulation: --seed N, --seeds A..B --jobs J, --scenario S, --replay FILE, --minutes M, --ci";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let root = workspace_root();
    let result = match words.as_slice() {
        ["tidy"] => tidy::run(&root, false),
        ["tidy", "--shrink"] => tidy::run(&root, true),
        ["docs"] => docs::write(&root).and_then(|()| layout::write(&root)),
        ["docs", "--check"] => docs::check(&root).and_then(|()| layout::check(&root)),
        ["sim", arguments @ ..] => sim::run(&root, arguments),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn workspace_root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_path_buf()
}
