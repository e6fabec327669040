//! `alluvium completions`: scripts for shells.

use std::io::Write;

use clap::CommandFactory;
use clap_complete::Shell;

use super::CommandLine;
use crate::failure::Failure;

/// Print the completion script of a shell
///
/// Bash: alluvium completions bash > /etc/bash_completion.d/alluvium
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut CommandLine::command(), "alluvium", &mut script);
    std::io::stdout().write_all(&script)?;
    Ok(())
}
