//! `alluvium-sim`: runs seeds, replays histories, keeps known bad seeds from coming back.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool speaks on its terminal")]

mod seeds;

use std::path::PathBuf;
use std::process::ExitCode;

use alluvium_sim::replay;
use alluvium_sim::run::{RunOptions, run};
use alluvium_sim::scenario::{SCENARIOS, Scenario, by_name};
use alluvium_sim::{planting, shrink};
use anyhow::{Context, Result, bail};
use clap::Parser;

/// Deterministic simulation of Alluvium: one seed, one history.
#[derive(Debug, Parser)]
#[command(name = "alluvium-sim", version)]
struct Arguments {
    /// Runs one seed and prints its trace.
    #[arg(long, value_name = "N", conflicts_with_all = ["seeds", "replay", "ci", "minutes"])]
    seed: Option<u64>,
    /// Runs many seeds, from A up to but not including B; stops at the first violation.
    #[arg(long, value_name = "A..B", conflicts_with_all = ["replay", "ci", "minutes"])]
    seeds: Option<seeds::SeedRange>,
    /// Repeats the run of a history file and compares the traces.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["ci", "minutes"])]
    replay: Option<PathBuf>,
    /// Runs the known bad seeds, then `--count` seeds of mixed scenarios.
    #[arg(long, conflicts_with = "minutes")]
    ci: bool,
    /// Runs seeds until so many minutes have passed.
    #[arg(long, value_name = "MINUTES")]
    minutes: Option<u64>,
    /// Seeds that `--ci` runs.
    #[arg(long, default_value_t = 2000)]
    count: u64,
    /// First seed of `--ci` and `--minutes`.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// The scenario: `--scenarios` lists them.
    #[arg(long, default_value = "mixed")]
    scenario: String,
    /// Seeds that run at the same time.
    #[arg(long, default_value_t = 1)]
    jobs: usize,
    /// Says nothing of a run but what is wrong.
    #[arg(long)]
    quiet: bool,
    /// Where the history of a violation is written.
    #[arg(long, default_value = ".")]
    out: PathBuf,
    /// Writes the history of `--seed` to this file.
    #[arg(long, value_name = "FILE", requires = "seed")]
    save: Option<PathBuf>,
    /// Plants a bug (in builds with the feature `planted-bugs`).
    #[arg(long, value_name = "BUG")]
    plant: Option<String>,
    /// Lists the scenarios.
    #[arg(long)]
    scenarios: bool,
}

fn main() -> ExitCode {
    match start(&Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn start(arguments: &Arguments) -> Result<ExitCode> {
    if arguments.scenarios {
        SCENARIOS.iter().for_each(|scenario| println!("{:<10} {}", scenario.name, scenario.about));
        return Ok(ExitCode::SUCCESS);
    }
    let Some(scenario) = by_name(&arguments.scenario) else {
        let names: Vec<&str> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
        bail!("there is no scenario \"{}\": try one of {}", arguments.scenario, names.join(", "));
    };
    if let Some(path) = &arguments.replay {
        let report = replay::replay(path)?;
        println!("same trace, {} lines", report.trace.lines().count());
        report.violations.iter().for_each(|violation| println!("{violation}"));
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(seed) = arguments.seed {
        return one(arguments, scenario, seed);
    }
    seeds::many(arguments, scenario)
}

/// Runs one seed with its trace.
fn one(arguments: &Arguments, scenario: &'static Scenario, seed: u64) -> Result<ExitCode> {
    plant(arguments.plant.as_deref())?;
    let options = RunOptions { seed, scenario, only: None, tracing: true };
    let report = run(&options);
    if !arguments.quiet {
        print!("{}", report.trace);
    }
    if let Some(path) = &arguments.save {
        let text = replay::render(&options, arguments.plant.clone(), &report);
        std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))?;
    }
    println!(
        "seed {seed}, {}: {} operations, {} entries, {} faults, {} s simulated, {} violations",
        scenario.name,
        report.calls,
        report.entries,
        report.injected.len(),
        report.simulated.as_secs(),
        report.violations.len()
    );
    report.violations.iter().for_each(|violation| println!("{violation}"));
    Ok(if report.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn plant(bug: Option<&str>) -> Result<()> {
    match bug {
        None => Ok(()),
        Some(bug) => planting::plant_named(bug).map_err(|reason| anyhow::anyhow!("{bug} cannot be planted: {reason}")),
    }
}

/// Tells all about the violation of a seed, with as few faults as it takes.
fn tell(arguments: &Arguments, scenario: &'static Scenario, seed: u64) -> Result<()> {
    plant(arguments.plant.as_deref())?;
    let options = RunOptions { seed, scenario, only: None, tracing: false };
    let report = run(&options);
    println!("\nseed {seed} of scenario {} violates:", scenario.name);
    report.violations.iter().for_each(|violation| println!("  {violation}"));
    let Some(first) = report.violations.first() else { bail!("seed {seed} does not fail when it is run again") };
    let keys: Vec<u64> = report.injected.iter().map(|injected| injected.key).collect();
    println!("shrinking {} faults", keys.len());
    let few = shrink::shrink(&options, first.invariant, &keys);
    let options = RunOptions { only: Some(few), tracing: true, ..options };
    let report = run(&options);
    println!("{} faults are enough:", report.injected.len());
    for injected in &report.injected {
        println!("  {:>10.3} s  {}", injected.at_us as f64 / 1e6, injected.what);
    }
    report.violations.iter().for_each(|violation| println!("  {violation}"));
    let path = arguments.out.join(format!("sim-{}-{seed}.history", scenario.name));
    std::fs::write(&path, replay::render(&options, arguments.plant.clone(), &report))
        .with_context(|| format!("writing {}", path.display()))?;
    println!("history: {0}\nagain:   cargo xtask sim --replay {0}", path.display());
    Ok(())
}
