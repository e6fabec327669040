//! A run in a file: a line of JSON that says how to repeat it, and its trace.
//!
//! Invariant: a file of another version, of an unknown scenario, or with another trace than the code gives today is refused.

use std::collections::BTreeSet;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::run::{Report, RunOptions, run};
use crate::scenario::by_name;

/// What the first line says it is.
pub const FORMAT: &str = "alluvium-sim-history";
/// Changes whenever the same seed means another run.
pub const VERSION: u32 = 2;

/// The first line of a history file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// Always [`FORMAT`].
    pub format: String,
    /// Always [`VERSION`].
    pub version: u32,
    /// The scenario.
    pub scenario: String,
    /// The seed.
    pub seed: u64,
    /// The faults that were injected; all of the seed's when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub faults: Option<Vec<u64>>,
    /// The bug that was planted, by its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planted: Option<String>,
    /// What was violated.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub violations: Vec<String>,
}

/// Why a history file cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The file cannot be read.
    #[error("{path}: {error}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// It is no history file.
    #[error("{path} is not a history file of alluvium-sim: {reason}")]
    Malformed {
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// It was written by another version.
    #[error("{path} has version {found}, this build replays version {VERSION}: run its seed again to make a new one")]
    Version {
        /// The file.
        path: String,
        /// Its version.
        found: u64,
    },
    /// Nobody knows its scenario.
    #[error("{path} names the scenario \"{scenario}\", which does not exist")]
    UnknownScenario {
        /// The file.
        path: String,
        /// The scenario.
        scenario: String,
    },
    /// A planted bug is needed and cannot be had.
    #[error("{path} was made with the planted bug {bug}: {reason}")]
    Planted {
        /// The file.
        path: String,
        /// The bug.
        bug: String,
        /// What to do.
        reason: &'static str,
    },
    /// The code gives another trace.
    #[error("the trace differs from {path} at line {line}:\n  file: {expected}\n  now:  {found}")]
    Differs {
        /// The file.
        path: String,
        /// Line of the file.
        line: usize,
        /// What it says.
        expected: String,
        /// What the run says.
        found: String,
    },
}

/// The text of a history file.
#[must_use]
pub fn render(options: &RunOptions, planted: Option<String>, report: &Report) -> String {
    let header = Header {
        format: FORMAT.to_owned(),
        version: VERSION,
        scenario: options.scenario.name.to_owned(),
        seed: options.seed,
        faults: options.only.as_ref().map(|only| only.iter().copied().collect()),
        planted,
        violations: report.violations.iter().map(ToString::to_string).collect(),
    };
    let header = serde_json::to_string(&header).unwrap_or_default();
    format!("{header}\n{}", report.trace)
}

/// Reads a history file: how to repeat the run, and its text.
///
/// # Errors
/// When it cannot be read or is not for this build.
pub fn read(path: &Path) -> Result<(Header, RunOptions, String), ReplayError> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| ReplayError::Read { path: name.clone(), error })?;
    let malformed = |reason: String| ReplayError::Malformed { path: name.clone(), reason };
    let first = text.lines().next().unwrap_or_default();
    let value: serde_json::Value = serde_json::from_str(first).map_err(|error| malformed(error.to_string()))?;
    if value.get("format").and_then(serde_json::Value::as_str) != Some(FORMAT) {
        return Err(malformed(format!("its first line does not say \"format\": \"{FORMAT}\"")));
    }
    let found = value.get("version").and_then(serde_json::Value::as_u64).unwrap_or_default();
    if found != u64::from(VERSION) {
        return Err(ReplayError::Version { path: name, found });
    }
    let header: Header = serde_json::from_value(value).map_err(|error| malformed(error.to_string()))?;
    let Some(scenario) = by_name(&header.scenario) else {
        return Err(ReplayError::UnknownScenario { path: name, scenario: header.scenario });
    };
    let only = header.faults.as_ref().map(|faults| faults.iter().copied().collect::<BTreeSet<u64>>());
    let options = RunOptions { seed: header.seed, scenario, only, tracing: true };
    Ok((header, options, text))
}

/// Repeats the run of a history file and compares the traces.
///
/// # Errors
/// When the file cannot be used or the traces differ.
pub fn replay(path: &Path) -> Result<Report, ReplayError> {
    let (header, options, text) = read(path)?;
    let name = path.display().to_string();
    if let Some(bug) = &header.planted {
        crate::planting::plant_named(bug).map_err(|reason| ReplayError::Planted {
            path: name.clone(),
            bug: bug.clone(),
            reason,
        })?;
    }
    let report = run(&options);
    let expected: Vec<&str> = text.lines().skip(1).collect();
    let found: Vec<&str> = report.trace.lines().collect();
    let lines = expected.len().max(found.len());
    for index in 0..lines {
        let (left, right) = (expected.get(index).copied(), found.get(index).copied());
        if left != right {
            return Err(ReplayError::Differs {
                path: name,
                line: index + 2,
                expected: left.unwrap_or("(the end)").to_owned(),
                found: right.unwrap_or("(the end)").to_owned(),
            });
        }
    }
    Ok(report)
}
