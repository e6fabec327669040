//! What the clients' own tests take for granted of a broker: its node id, and how many partitions a
//! topic has that is made on first use.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::rdkafka_records::{SHORT, config};
use crate::suite::unique;

/// Prints node id and partition count with a blank between them.
pub fn run() -> ExitCode {
    match probe() {
        Ok((node, partitions)) => {
            println!("{node} {partitions}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn probe() -> Result<(i32, usize)> {
    let settings = [("group.id", "probe"), ("allow.auto.create.topics", "true")];
    let consumer: BaseConsumer = config(&settings).create()?;
    let topic = unique("probe");
    let deadline = Instant::now() + SHORT;
    loop {
        let metadata = consumer.fetch_metadata(Some(&topic), SHORT)?;
        let partitions = metadata.topics().first().map_or(0, |topic| topic.partitions().len());
        if partitions > 0 {
            let node = metadata.brokers().first().context("no broker in the metadata")?.id();
            return Ok((node, partitions));
        }
        ensure!(Instant::now() < deadline, "no topic was made on first use within {} s", SHORT.as_secs());
        std::thread::sleep(Duration::from_millis(100));
    }
}
