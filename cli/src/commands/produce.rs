//! `alluvium produce`: lines of stdin, or arguments, become records.

mod input;
mod report;

use alluvium_infra::Runtime;
use alluvium_record::{Compression, Header};
use bytes::Bytes;
use tokio::sync::mpsc;

use super::Context;
use super::encoding::Encoding;
use crate::client::producer::{OutgoingRecord, ProduceOptions, Producer};
use crate::client::{ClientFlags, Cluster};
use crate::failure::Failure;
use input::LineFormat;
use report::Report;

/// Write records: each line of stdin is one, or each VALUE that is given
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The topic; servers may make it on this occasion
    topic: String,
    /// Values to write in place of stdin
    #[arg(value_name = "VALUE")]
    values: Vec<String>,
    /// Form of keys and values
    #[arg(short, long, value_enum, default_value = "text")]
    format: Encoding,
    /// Each line is a JSON document with key, value, headers, timestamp and partition, as `consume --json` prints them
    #[arg(long, conflicts_with_all = ["format", "key", "key_separator", "header", "values"])]
    records: bool,
    /// Key of every record
    #[arg(short, long, conflicts_with = "key_separator")]
    key: Option<String>,
    /// What divides key and value in a line; a line without it has no key
    #[arg(short = 'K', long, value_name = "TEXT")]
    key_separator: Option<String>,
    /// Header of every record. May be repeated
    #[arg(short = 'H', long, value_name = "NAME=VALUE", value_parser = header)]
    header: Vec<(String, String)>,
    /// An empty value becomes none, which deletes the key where a topic is compacted
    #[arg(long)]
    empty_as_null: bool,
    /// Partition of every record (default: by key as the Java client does it; without a key, in turns)
    #[arg(short, long)]
    partition: Option<i32>,
    /// Codec
    #[arg(short = 'z', long, value_enum, default_value = "none")]
    compression: Codec,
    /// When a write counts as done: all when it is durable, 1 the same on Alluvium, 0 when it is sent
    #[arg(long, value_enum, default_value = "all")]
    acks: Acks,
    /// Do without idempotence: a record may be written twice when an answer is lost
    #[arg(long)]
    no_idempotence: bool,
    /// Print partition and offset of each record
    #[arg(short, long)]
    verbose: bool,
    /// Print partition and offset of each record as JSON lines
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    client: ClientFlags,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Codec {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Acks {
    All,
    #[value(name = "1")]
    Leader,
    #[value(name = "0")]
    None,
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

pub(crate) fn run(arguments: Arguments, context: &Context) -> Result<(), Failure> {
    context.block_on(async {
        let format = arguments.line_format()?;
        let cluster = Cluster::connect(&arguments.client, &context.runtime).await?;
        let producer = Producer::start(cluster, &arguments.topic, arguments.options()).await?;
        let report = Report::new(&arguments.topic, arguments.verbose, arguments.json, arguments.values.is_empty());
        let mut work = Work { producer, format, report };
        let ended = match arguments.values.is_empty() {
            true => work.write_stdin(&context.runtime).await,
            false => work.write_values(&arguments.values).await,
        };
        // What was acknowledged before an error is told as well.
        work.tell()?;
        work.report.end(ended.is_ok());
        ended
    })
}

impl Arguments {
    fn line_format(&self) -> Result<LineFormat, Failure> {
        if self.records {
            return Ok(LineFormat::Records { partition: self.partition });
        }
        let key = self.key.as_ref().map(|key| self.format.decode(key.as_bytes())).transpose();
        let headers = self
            .header
            .iter()
            .map(|(name, value)| Header::new(name.clone(), Some(Bytes::copy_from_slice(value.as_bytes()))));
        Ok(LineFormat::Values {
            encoding: self.format,
            key: key.map_err(|reason| Failure::usage(format!("the key is {reason}")))?,
            key_separator: self.key_separator.clone().filter(|separator| !separator.is_empty()),
            headers: headers.collect(),
            empty_as_null: self.empty_as_null,
            partition: self.partition,
        })
    }

    fn options(&self) -> ProduceOptions {
        ProduceOptions {
            acks: match self.acks {
                Acks::All => -1,
                Acks::Leader => 1,
                Acks::None => 0,
            },
            idempotent: !self.no_idempotence,
            compression: match self.compression {
                Codec::None => Compression::None,
                Codec::Gzip => Compression::Gzip,
                Codec::Snappy => Compression::Snappy,
                Codec::Lz4 => Compression::Lz4,
                Codec::Zstd => Compression::Zstd,
            },
        }
    }
}

struct Work {
    producer: Producer,
    format: LineFormat,
    report: Report,
}

impl Work {
    async fn write_values(&mut self, values: &[String]) -> Result<(), Failure> {
        for (index, value) in values.iter().enumerate() {
            self.push_line(index as u64 + 1, value.as_bytes()).await?;
        }
        Ok(self.producer.finish().await?)
    }

    /// Batches fill while lines come faster than they are written; a line that comes alone goes at once.
    async fn write_stdin(&mut self, runtime: &Runtime) -> Result<(), Failure> {
        let (send, mut lines) = mpsc::channel(input::CHUNKS_WAITING_MAX);
        // Not waited for: at an error it may still sit in a read that nobody can end.
        drop(runtime.spawn_blocking(move || input::read_lines(std::io::stdin().lock(), &send)));
        let mut number = 0;
        loop {
            tokio::select! {
                biased;
                () = self.producer.arrived() => {
                    self.producer.settle().await?;
                    self.tell()?;
                }
                chunk = lines.recv() => {
                    let Some(chunk) = chunk else { break };
                    for line in chunk? {
                        number += 1;
                        self.push_line(number, &line).await?;
                    }
                    self.tell()?;
                }
            }
            if lines.is_empty() && !self.producer.is_waiting() {
                self.producer.flush().await?;
            }
        }
        Ok(self.producer.finish().await?)
    }

    async fn push_line(&mut self, number: u64, line: &[u8]) -> Result<(), Failure> {
        let record: OutgoingRecord =
            self.format.record(line).map_err(|reason| Failure::failed(format!("line {number} is {reason}")))?;
        self.report.read(line.len());
        Ok(self.producer.push(record).await?)
    }

    fn tell(&mut self) -> Result<(), Failure> {
        for acknowledged in self.producer.take_acknowledged() {
            self.report.written(&acknowledged)?;
        }
        self.report.flush()
    }
}
