//! The subcommands: a file for each, with `Arguments` and `run(arguments, context)`.

mod cluster;
mod compact;
mod completions;
mod confirmation;
mod consume;
mod cost;
mod dev;
mod encoding;
mod export;
mod group;
mod inspect;
mod produce;
mod query;
mod reference;
mod scrub;
mod serve;
mod topic;
mod transaction;

use std::process::ExitCode;

use alluvium_infra::Runtime;
use alluvium_infra::runtime::Instant;
use clap::{Parser, Subcommand};

use crate::failure::Failure;

const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed, 2 wrong command line or setting, 130 cut by a signal.\n\
    Environment: ALLUVIUM_BOOTSTRAP for the commands that talk to a server, ALLUVIUM_<SETTING> for dev and serve.";

/// A Kafka-compatible log service whose only durable state is a bucket
#[derive(Debug, Parser)]
#[command(name = "alluvium", version, about, after_help = EXIT_CODES, max_term_width = 110)]
pub(crate) struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Dev(dev::Arguments),
    Serve(serve::Arguments),
    Topic(topic::Arguments),
    Group(group::Arguments),
    Transaction(transaction::Arguments),
    Cluster(cluster::Arguments),
    Produce(produce::Arguments),
    Consume(consume::Arguments),
    Query(query::Arguments),
    Export(export::Arguments),
    Compact(compact::Arguments),
    Cost(cost::Arguments),
    Scrub(scrub::Arguments),
    Inspect(inspect::Arguments),
    Completions(completions::Arguments),
    #[command(hide = true)]
    Reference(reference::Arguments),
}

/// What every subcommand may use.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    /// Clock, randomness and tasks.
    pub(crate) runtime: Runtime,
    /// When the process began.
    pub(crate) started: Instant,
}

impl Context {
    /// Runs a command that waits for others.
    pub(crate) fn block_on<F: Future<Output = Result<(), Failure>>>(&self, future: F) -> Result<(), Failure> {
        let tasks = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::failed(format!("the runtime cannot be started: {error}")))?;
        let ended = tasks.block_on(future);
        // A thread that still reads stdin holds nobody up.
        tasks.shutdown_background();
        ended
    }
}

/// Reads the command line and runs what it asks for.
pub(crate) fn main() -> ExitCode {
    let runtime = Runtime::system();
    let context = Context { started: runtime.monotonic(), runtime };
    let command_line = match CommandLine::try_parse() {
        Ok(command_line) => command_line,
        Err(error) => {
            // Help and version are errors to the parser, and end with 0.
            let _unwritable = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let ended = match command_line.command {
        Command::Dev(arguments) => dev::run(arguments, &context),
        Command::Serve(arguments) => serve::run(arguments, &context),
        Command::Topic(arguments) => topic::run(arguments, &context),
        Command::Group(arguments) => group::run(arguments, &context),
        Command::Transaction(arguments) => transaction::run(arguments, &context),
        Command::Cluster(arguments) => cluster::run(arguments, &context),
        Command::Produce(arguments) => produce::run(arguments, &context),
        Command::Consume(arguments) => consume::run(arguments, &context),
        Command::Query(arguments) => query::run(arguments, &context),
        Command::Export(arguments) => export::run(arguments, &context),
        Command::Compact(arguments) => compact::run(arguments, &context),
        Command::Cost(arguments) => cost::run(arguments, &context),
        Command::Scrub(arguments) => scrub::run(arguments, &context),
        Command::Inspect(arguments) => inspect::run(arguments, &context),
        Command::Completions(arguments) => completions::run(&arguments),
        Command::Reference(arguments) => reference::run(&arguments),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
