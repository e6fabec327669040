//! `cargo xtask sim`: builds the simulation with its own profile and hands all arguments on to it.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

pub(crate) fn run(root: &Path, arguments: &[&str]) -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(root);
    command.args([
        "run",
        "--quiet",
        "--profile",
        "sim",
        "--package",
        "alluvium-sim",
        "--features",
        "planted-bugs",
        "--",
    ]);
    let status = command.args(arguments).status().context("starting cargo")?;
    if !status.success() {
        bail!("the simulation ended with {status}");
    }
    Ok(())
}
