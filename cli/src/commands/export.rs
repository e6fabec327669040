//! `alluvium export`: the Parquet files of a topic, for other query engines.

use std::io::Write;

use alluvium_infra::tls;
use alluvium_log::{Log, ObjectRef, TableRun, Topic};
use alluvium_record::TopicPartition;
use serde_json::json;

use super::Context;
use crate::failure::Failure;
use crate::output::{print_json, size};
use crate::startup::flags::{self, NodeFlags, StoreFlags};
use crate::startup::settings::NodeSettings;
use crate::startup::store::existing_log;

/// List the Parquet files of a topic for DuckDB, Spark, Polars and others
///
/// The files are ordinary Parquet and hold each record once. What is not in files yet is said on stderr: `alluvium compact --once`
/// merges what is due. A file that a merge replaces stays for at least an hour, so a list is good for that long.
/// docs/guides/query.md has examples.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The topic
    topic: String,
    /// Form of the list
    #[arg(short, long, value_enum, default_value = "lines")]
    output: Output,
    /// Only these partitions. May be repeated
    #[arg(short, long, value_delimiter = ',')]
    partition: Vec<i32>,
    /// s3://bucket/prefix, gs://bucket/prefix, az://container/prefix or file:///folder
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    #[command(flatten)]
    store_flags: StoreFlags,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Output {
    /// A URI, or a path of a local folder, on each line
    Lines,
    /// Files with offsets, rows, bytes and times, and what is not in files
    Json,
    /// A statement for DuckDB that reads all of them
    Sql,
}

/// A file of the list.
struct File {
    uri: String,
    partition: i32,
    base_offset: i64,
    last_offset: i64,
    rows: u64,
    bytes: u64,
    min_timestamp: i64,
    max_timestamp: i64,
}

/// What the files of a topic are, and what they are not.
#[derive(Default)]
struct Listed {
    files: Vec<File>,
    /// Partitions with runs that are not in files: first offset, end, bytes.
    raw: Vec<(i32, i64, i64, u64)>,
    /// Partitions whose first file begins before the log start: the log start.
    cut: Vec<(i32, i64)>,
}

pub(crate) fn run(arguments: Arguments, context: &Context) -> Result<(), Failure> {
    tls::install();
    let loaded = flags::load(&NodeFlags::default(), arguments.store.as_deref(), &arguments.store_flags, None)?;
    context.block_on(export(&arguments, &loaded.settings, context))
}

async fn export(arguments: &Arguments, settings: &NodeSettings, context: &Context) -> Result<(), Failure> {
    let log = existing_log(settings, "export", &context.runtime).await?;
    let view = log.view();
    let unknown = || Failure::failed(format!("there is no topic {}", arguments.topic));
    let topic = view.topic_by_name(&arguments.topic).ok_or_else(unknown)?;
    if let Some(absent) = arguments.partition.iter().find(|partition| !(0..topic.partition_count).contains(*partition))
    {
        return Err(Failure::failed(format!("{} has no partition {absent}", topic.name)));
    }
    let base = base_of(&settings.store)?;
    let mut listed = Listed::default();
    for partition in 0..topic.partition_count {
        if arguments.partition.is_empty() || arguments.partition.contains(&partition) {
            listed.add(&log, topic, partition, &base);
        }
    }
    let mut out = std::io::stdout().lock();
    match arguments.output {
        Output::Lines => listed.files.iter().try_for_each(|file| writeln!(out, "{}", file.uri))?,
        Output::Json => {
            drop(out);
            print_json(&listed.document(&topic.name))?;
        }
        Output::Sql => writeln!(out, "{}", listed.statement(&topic.name)?)?,
    }
    listed.complain(&topic.name);
    Ok(())
}

/// What stands before the key of an object: the URL of the store, or the folder as an absolute path.
fn base_of(store: &str) -> Result<String, Failure> {
    let store = store.trim_start_matches("model+");
    match store.strip_prefix("file://") {
        None => Ok(store.trim_end_matches('/').to_owned()),
        Some(folder) => {
            let folder = std::path::absolute(folder)?;
            let folder = folder.to_str().ok_or_else(|| Failure::failed("the name of the folder is not UTF-8"))?;
            Ok(folder.trim_end_matches('/').to_owned())
        }
    }
}

impl Listed {
    fn add(&mut self, log: &Log, topic: &Topic, partition: i32, base: &str) {
        let view = log.view();
        let place = TopicPartition { topic: topic.id, partition };
        let (Some(found), Some(shard)) = (view.partition(place), view.shard_of(place)) else { return };
        let paths = log.paths().shard(shard);
        let log_start = found.log_start_offset();
        let mut raw: Option<(i64, i64, u64)> = None;
        for run in found.runs() {
            if let (ObjectRef::Table(_), Some(table), Some(path)) =
                (run.object, found.table(run), run.path(place, &paths))
            {
                let TableRun { record_count, min_timestamp, .. } = *table;
                self.files.push(File {
                    uri: format!("{base}/{path}"),
                    partition,
                    base_offset: run.base_offset,
                    last_offset: run.last_offset,
                    rows: record_count,
                    bytes: u64::from(run.length),
                    min_timestamp,
                    max_timestamp: run.max_timestamp,
                });
                if run.base_offset < log_start {
                    self.cut.push((partition, log_start));
                }
            } else if run.object != ObjectRef::Nothing {
                let (first, _, bytes) = raw.unwrap_or((run.base_offset.max(log_start), 0, 0));
                raw = Some((first, run.last_offset + 1, bytes + u64::from(run.length)));
            }
        }
        self.raw.extend(raw.map(|(first, end, bytes)| (partition, first, end, bytes)));
    }

    fn document(&self, topic: &str) -> serde_json::Value {
        let file = |file: &File| {
            json!({
                "uri": file.uri, "partition": file.partition, "base_offset": file.base_offset,
                "last_offset": file.last_offset, "rows": file.rows, "bytes": file.bytes,
                "min_timestamp": file.min_timestamp, "max_timestamp": file.max_timestamp,
            })
        };
        let raw = |(partition, first, end, bytes): &(i32, i64, i64, u64)| json!({"partition": partition, "from_offset": first, "end_offset": end, "bytes": bytes});
        let cut = |(partition, start): &(i32, i64)| json!({"partition": partition, "log_start_offset": start});
        json!({
            "topic": topic,
            "files": self.files.iter().map(file).collect::<Vec<_>>(),
            "not_in_files": self.raw.iter().map(raw).collect::<Vec<_>>(),
            "begins_before_log_start": self.cut.iter().map(cut).collect::<Vec<_>>(),
        })
    }

    /// The partition of a record is that of its file, and stands in the path.
    fn statement(&self, topic: &str) -> Result<String, Failure> {
        if self.files.is_empty() {
            return Err(Failure::failed(format!(
                "{topic} has no Parquet file yet: alluvium compact --once makes them"
            )));
        }
        let files: Vec<String> =
            self.files.iter().map(|file| format!("  '{}'", file.uri.replace('\'', "''"))).collect();
        Ok(format!("SELECT * FROM read_parquet([\n{}\n], filename = true);", files.join(",\n")))
    }

    /// Says what the files do not have, and what they have too much.
    fn complain(&self, topic: &str) {
        let rows: u64 = self.files.iter().map(|file| file.rows).sum();
        let bytes: u64 = self.files.iter().map(|file| file.bytes).sum();
        eprintln!("{topic}: {} files with {rows} rows, {}", self.files.len(), size(bytes));
        for (partition, first, end, bytes) in &self.raw {
            eprintln!("{topic}/{partition}: offsets {first} to {} are not in files yet, {}", end - 1, size(*bytes));
        }
        for (partition, start) in &self.cut {
            eprintln!(
                "{topic}/{partition}: its first file has records before the log start, take those from offset {start} on"
            );
        }
    }
}
