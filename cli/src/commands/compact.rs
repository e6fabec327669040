//! `alluvium compact --once`: all that the compactor can do now, against the store itself.

use std::sync::Arc;

use alluvium_compactor::{AllShards, Compactor, CompactorParts, RoundReport};
use alluvium_infra::store;
use alluvium_infra::telemetry::TelemetryOptions;
use alluvium_infra::{telemetry, tls};
use alluvium_log::{Log, LogOptions};

use super::Context;
use crate::failure::Failure;
use crate::startup::flags::{self, NodeFlags, StoreFlags};
use crate::startup::settings::NodeSettings;
use crate::startup::store::{log_not_opened, not_opened};

/// Merge records into Parquet files, apply retention, compact keys and delete garbage, once
///
/// Works on the store itself, beside running nodes or without any. Nodes do the same by themselves (setting `compaction`);
/// this does at once what they would do sooner or later. With a topic, nothing is deleted but what its retention says.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Only this topic
    topic: Option<String>,
    /// Do all that can be done now, and end
    #[arg(long, required = true)]
    once: bool,
    /// s3://bucket/prefix, gs://bucket/prefix, az://container/prefix or file:///folder
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    #[command(flatten)]
    store_flags: StoreFlags,
    /// Any setting by its name, such as --set parquet_bytes=64MiB. May be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<String>,
}

pub(crate) fn run(arguments: Arguments, context: &Context) -> Result<(), Failure> {
    tls::install();
    let node = NodeFlags { set: arguments.set.clone(), ..NodeFlags::default() };
    let loaded = flags::load(&node, arguments.store.as_deref(), &arguments.store_flags, None)?;
    // What fails is told by the one who knows it.
    let options = TelemetryOptions { filter: "warn".to_owned(), ..loaded.settings.telemetry_options() };
    telemetry::start(&options).map_err(Failure::usage)?;
    context.block_on(compact(&arguments, &loaded.settings, context))
}

async fn compact(arguments: &Arguments, settings: &NodeSettings, context: &Context) -> Result<(), Failure> {
    let runtime = &context.runtime;
    let store = store::open(&settings.store, &settings.store_options(), runtime).map_err(|error| not_opened(&error))?;
    let options = LogOptions { node: "compact".to_owned(), ..settings.log_options() };
    let log =
        Log::open(store, options, runtime.clone()).await.map_err(|error| log_not_opened(&error, &settings.store))?;
    let topic = match &arguments.topic {
        None => None,
        Some(name) => {
            let view = log.view();
            let topic = view.topic_by_name(name).map(|topic| topic.id);
            Some(topic.ok_or_else(|| Failure::failed(format!("there is no topic {name}")))?)
        }
    };
    let settings = settings.compactor_settings().at_once();
    let compactor = Compactor::new(CompactorParts { log: log.clone(), duty: Arc::new(AllShards), settings });
    let names = log.clone();
    let report = compactor
        .run_once(topic, move |spec| {
            let view = names.view();
            let name = view.topic(spec.topic_partition.topic).map_or("?", |topic| topic.name.as_str());
            eprintln!("{name}/{}: {} runs, {} bytes", spec.topic_partition.partition, spec.runs.len(), spec.bytes());
        })
        .await;
    let counters = compactor.counters();
    let RoundReport { replaced, lost, failed, unreadable, retentions, collected } = report;
    println!(
        "{replaced} files took the place of runs ({} bytes read, {} written, {} records removed), {lost} jobs lost against \
         others, {failed} failed, {unreadable} runs stay raw because of how they were packed; retention moved {retentions} partitions; deleted {} objects of garbage, {} orphans, {} \
         entries, {} checkpoints",
        counters.read_bytes.get(),
        counters.written_bytes.get(),
        counters.records_removed.get(),
        collected.garbage,
        collected.orphans,
        collected.entries,
        collected.checkpoints,
    );
    log.close().await;
    match failed {
        0 => Ok(()),
        failed => Err(Failure::failed(format!(
            "{failed} jobs failed, and what they were to merge is as it was: see the messages above"
        ))),
    }
}
