//! How a command ends when it does not end well.

use std::process::ExitCode;

/// Why a command did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The command line or a setting is wrong. Nothing was done.
    #[error("{0}")]
    Usage(String),
    /// It was tried and did not work.
    #[error("{0}")]
    Failed(String),
    /// A second signal cut the end short.
    #[error("stopped at once by a second signal")]
    Cut,
    /// A signal ended what was under way.
    #[cfg(feature = "query")]
    #[error("interrupted")]
    Interrupted,
    /// Whoever read our output has gone, which is how pipes end.
    #[error("the reader of the output has gone")]
    OutputClosed,
}

impl Failure {
    /// Something failed, in one line.
    pub(crate) fn failed(message: impl std::fmt::Display) -> Failure {
        Failure::Failed(message.to_string())
    }

    /// The command line is wrong.
    pub(crate) fn usage(message: impl std::fmt::Display) -> Failure {
        Failure::Usage(message.to_string())
    }

    /// Reports on stderr and gives the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        let code = match self {
            Failure::OutputClosed => return ExitCode::SUCCESS,
            Failure::Usage(_) => 2,
            Failure::Failed(_) => 1,
            Failure::Cut => 130,
            #[cfg(feature = "query")]
            Failure::Interrupted => 130,
        };
        // Messages of libraries may have several lines.
        let line: Vec<String> = self.to_string().lines().map(|line| line.trim().to_owned()).collect();
        eprintln!("alluvium: {}", line.join(" "));
        ExitCode::from(code)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Failure {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Failure::OutputClosed,
            _ => Failure::failed(error),
        }
    }
}
