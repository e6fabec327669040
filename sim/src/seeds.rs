//! Running many seeds: ranges, jobs, progress, the list of known bad seeds.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use alluvium_infra::Runtime;
use alluvium_sim::run::{RunOptions, run};
use alluvium_sim::scenario::{Scenario, by_name};
use anyhow::{Context, Result, bail};

use crate::Arguments;

/// Seeds that were found to be bad once: one a line, `scenario seed  # what it found`.
const KNOWN: &str = include_str!("../seeds.txt");
/// The first line of that file.
const KNOWN_HEADER: &str = "# alluvium-sim seeds, version 1";

/// Seeds from one number up to another, which is not included.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SeedRange {
    from: u64,
    to: u64,
}

impl FromStr for SeedRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = |number: &str| number.parse::<u64>().map_err(|error| format!("{number:?}: {error}"));
        let (from, to) = text.split_once("..").ok_or("a range is written A..B")?;
        let (from, to) = (parse(from)?, parse(to)?);
        if from < to { Ok(Self { from, to }) } else { Err(format!("{from} is not below {to}")) }
    }
}

/// What is done, for everybody who does it.
struct Work<'a> {
    arguments: &'a Arguments,
    scenario: &'static Scenario,
    next: AtomicU64,
    to: u64,
    done: AtomicU64,
    operations: AtomicU64,
    simulated_ms: AtomicU64,
    stop: AtomicBool,
    failed: Mutex<Option<u64>>,
    clock: Runtime,
    started: alluvium_infra::runtime::Instant,
    until: Option<Duration>,
}

/// Runs what the arguments ask for.
pub(crate) fn many(arguments: &Arguments, scenario: &'static Scenario) -> Result<ExitCode> {
    let (from, to) = match (&arguments.seeds, arguments.ci, arguments.minutes) {
        (Some(range), _, _) => (range.from, range.to),
        (None, true, _) => (arguments.from, arguments.from + arguments.count),
        (None, false, Some(_)) => (arguments.from, u64::MAX),
        _ => bail!("nothing to do: give --seed, --seeds, --replay, --minutes or --ci"),
    };
    if arguments.ci && !known_are_good(arguments)? {
        return Ok(ExitCode::FAILURE);
    }
    let clock = Runtime::system();
    let started = clock.monotonic();
    let work = Work {
        arguments,
        scenario,
        next: AtomicU64::new(from),
        to,
        done: AtomicU64::new(0),
        operations: AtomicU64::new(0),
        simulated_ms: AtomicU64::new(0),
        stop: AtomicBool::new(false),
        failed: Mutex::new(None),
        clock,
        started,
        until: arguments.minutes.map(|minutes| Duration::from_secs(minutes * 60)),
    };
    std::thread::scope(|scope| {
        for _ in 0..arguments.jobs.max(1) {
            scope.spawn(|| work.run());
        }
    });
    work.report(true);
    let failed = *work.failed.lock().map_err(|_| anyhow::anyhow!("a job has panicked"))?;
    match failed {
        Some(seed) => {
            crate::tell(arguments, scenario, seed)?;
            Ok(ExitCode::FAILURE)
        }
        None => Ok(ExitCode::SUCCESS),
    }
}

impl Work<'_> {
    fn run(&self) {
        if crate::plant(self.arguments.plant.as_deref()).is_err() {
            self.stop.store(true, Ordering::Relaxed);
        }
        while !self.stop.load(Ordering::Relaxed) {
            let seed = self.next.fetch_add(1, Ordering::Relaxed);
            let is_late = self.until.is_some_and(|until| self.clock.monotonic() - self.started > until);
            if seed >= self.to || is_late {
                return;
            }
            let report = run(&RunOptions { seed, scenario: self.scenario, only: None, tracing: false });
            self.operations.fetch_add(report.calls as u64, Ordering::Relaxed);
            self.simulated_ms.fetch_add(report.simulated.as_millis() as u64, Ordering::Relaxed);
            if !report.violations.is_empty() {
                self.stop.store(true, Ordering::Relaxed);
                if let Ok(mut failed) = self.failed.lock() {
                    *failed = Some(failed.map_or(seed, |other| other.min(seed)));
                }
            }
            let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
            if done.is_multiple_of(100) {
                self.report(false);
            }
        }
    }

    fn report(&self, last: bool) {
        let is_terminal = std::io::stdout().is_terminal();
        let done = self.done.load(Ordering::Relaxed);
        if !last && (self.arguments.quiet || (!is_terminal && !done.is_multiple_of(500))) {
            return;
        }
        let seconds = (self.clock.monotonic() - self.started).as_secs_f64();
        let start = if is_terminal { "\r" } else { "" };
        let end = if is_terminal && !last { "" } else { "\n" };
        print!(
            "{start}{done} seeds of {} in {seconds:.1} s, {:.1} ms each; {} operations, {:.1} h simulated{end}",
            self.scenario.name,
            seconds * 1000.0 / done.max(1) as f64,
            self.operations.load(Ordering::Relaxed),
            self.simulated_ms.load(Ordering::Relaxed) as f64 / 3_600_000.0
        );
        let _flushed = std::io::stdout().flush();
    }
}

/// Runs the known bad seeds. Whether none of them is bad any more.
fn known_are_good(arguments: &Arguments) -> Result<bool> {
    let known = parse_known(KNOWN)?;
    for (scenario, seed) in &known {
        let report = run(&RunOptions { seed: *seed, scenario, only: None, tracing: false });
        if !report.violations.is_empty() {
            crate::tell(arguments, scenario, *seed)?;
            return Ok(false);
        }
    }
    println!("{} known seeds are good", known.len());
    Ok(true)
}

fn parse_known(text: &str) -> Result<Vec<(&'static Scenario, u64)>> {
    let mut lines = text.lines();
    let header = lines.next().unwrap_or_default();
    if header != KNOWN_HEADER {
        bail!("seeds.txt begins with \"{header}\", this build reads \"{KNOWN_HEADER}\"");
    }
    let mut known = Vec::new();
    for line in lines.map(|line| line.split('#').next().unwrap_or_default().trim()).filter(|line| !line.is_empty()) {
        let (name, seed) =
            line.split_once(' ').with_context(|| format!("seeds.txt: \"{line}\" is not \"scenario seed\""))?;
        let scenario = by_name(name).with_context(|| format!("seeds.txt: there is no scenario \"{name}\""))?;
        let seed = seed.trim().parse().with_context(|| format!("seeds.txt: \"{line}\" has no seed"))?;
        known.push((scenario, seed));
    }
    Ok(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_known_seeds_is_read_and_refused_when_it_is_of_another_version() {
        parse_known(KNOWN).expect("the list in the repository is good");
        assert!(parse_known("# alluvium-sim seeds, version 2\n").is_err());
        assert!(parse_known(&format!("{KNOWN_HEADER}\nnothing 1\n")).is_err());
        assert!(parse_known(&format!("{KNOWN_HEADER}\nmixed one\n")).is_err());
    }

    #[test]
    fn ranges() {
        assert!("1..5".parse::<SeedRange>().is_ok());
        assert!("5..5".parse::<SeedRange>().is_err());
        assert!("5".parse::<SeedRange>().is_err());
    }
}
