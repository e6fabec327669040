//! Asking before something is deleted.

use std::io::{BufRead, IsTerminal, Write};

use crate::failure::Failure;

/// Asks the question when a person is there to answer it; without one, `--yes` has to be given.
pub(crate) fn confirmed(question: &str) -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage("deleting needs --yes when nobody can be asked"));
    }
    eprint!("{question} [y/N] ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}
