//! `alluvium consume`: records of a topic become lines.

mod grouped;
mod print;
mod start;

use std::collections::BTreeMap;
use std::time::Duration;

use super::Context;
use super::encoding::Encoding;
use crate::client::consumer::{Consumer, Fetched};
use crate::client::offsets::OffsetPoint;
use crate::client::{ClientFlags, Cluster, Isolation};
use crate::failure::Failure;
use print::Printer;
use start::StartPoint;

/// How long one request waits for records; the answer comes at once when there are some.
const POLL_WAIT_MAX: Duration = Duration::from_millis(500);

/// Read records; ends at the end of the topic unless --follow is given
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The topic
    topic: String,
    /// Where to begin: earliest, latest, an offset, -N for the last N records of each partition, a time such as
    /// 2026-01-31T12:00:00Z, or an age such as -5m
    #[arg(long, value_name = "POINT", default_value = "earliest", allow_hyphen_values = true)]
    from: StartPoint,
    /// Partitions to read (default: all). May be repeated
    #[arg(short, long, value_delimiter = ',')]
    partition: Vec<i32>,
    /// Go on at the end of the topic and wait for more
    #[arg(short, long)]
    follow: bool,
    /// End after so many records
    #[arg(short = 'n', long)]
    count: Option<u64>,
    /// Read as a member of this consumer group: begin at its committed offsets and commit what was printed
    #[arg(short, long, conflicts_with = "partition")]
    group: Option<String>,
    /// Which records of transactions are read
    #[arg(long, value_enum, default_value = "read_uncommitted", value_name = "LEVEL")]
    isolation: Isolation,
    /// Form of keys and values
    #[arg(long, value_enum, default_value = "text")]
    format: Encoding,
    /// Print keys before values, with a tab or this between them
    #[arg(short = 'K', long, value_name = "TEXT", num_args = 0..=1, default_missing_value = "\t")]
    keys: Option<String>,
    /// Print partition and offset before each record
    #[arg(long)]
    offsets: bool,
    /// Print the time of each record
    #[arg(long)]
    timestamps: bool,
    /// Print the headers of each record
    #[arg(long)]
    headers: bool,
    /// Print everything about each record
    #[arg(short, long)]
    verbose: bool,
    /// Print a JSON document for each record
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    client: ClientFlags,
}

pub(crate) fn run(arguments: Arguments, context: &Context) -> Result<(), Failure> {
    context.block_on(async {
        let mut cluster = Cluster::connect(&arguments.client, &context.runtime).await?;
        cluster.set_isolation(arguments.isolation);
        let topic = cluster.topic(&arguments.topic, false).await?;
        let mut reading = Reading {
            printer: Printer::new(&arguments),
            remaining: arguments.count.unwrap_or(u64::MAX),
            ends: BTreeMap::new(),
            follow: arguments.follow,
        };
        if let Some(group) = &arguments.group {
            return grouped::read(cluster, topic, group, arguments.from, &mut reading).await;
        }
        let partitions = start::partitions(&topic, &arguments.partition)?;
        let positions = start::positions(&mut cluster, &topic, &partitions, arguments.from).await?;
        if !reading.follow {
            reading.ends = cluster.offsets(&topic, &partitions, OffsetPoint::Latest).await?;
        }
        let mut consumer = Consumer::new(cluster, topic, positions);
        while reading.goes_on(&mut consumer) {
            let fetched = consumer.poll(POLL_WAIT_MAX).await?;
            reading.print(&fetched)?;
        }
        Ok(())
    })
}

/// What is left to be read.
struct Reading {
    printer: Printer,
    remaining: u64,
    /// Where each partition ended at the start; without --follow nothing from there on is read.
    ends: BTreeMap<i32, i64>,
    follow: bool,
}

impl Reading {
    /// Whether there is more to be read. Partitions that are read to their end are left.
    fn goes_on(&self, consumer: &mut Consumer) -> bool {
        if self.remaining == 0 {
            return false;
        }
        if self.follow {
            return true;
        }
        let done: Vec<i32> = consumer
            .positions()
            .iter()
            .filter(|(partition, position)| self.ends.get(partition).is_none_or(|end| *position >= end))
            .map(|(partition, _)| *partition)
            .collect();
        for partition in done {
            consumer.leave(partition);
        }
        !consumer.positions().is_empty()
    }

    /// Prints records up to the end or the count, and gives the position behind the last one of each partition.
    fn print(&mut self, fetched: &[Fetched]) -> Result<BTreeMap<i32, i64>, Failure> {
        let mut printed = BTreeMap::new();
        for Fetched { partition, records } in fetched {
            let end = self.ends.get(partition).copied().filter(|_| !self.follow).unwrap_or(i64::MAX);
            for record in records.iter().filter(|record| record.offset < end) {
                if self.remaining == 0 {
                    break;
                }
                self.remaining -= 1;
                self.printer.record(*partition, record)?;
                printed.insert(*partition, record.offset + 1);
            }
        }
        self.printer.flush()?;
        Ok(printed)
    }
}
