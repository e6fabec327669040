//! `alluvium scrub`: proves what is in the store.

use std::sync::Arc;

use alluvium_compactor::{AllShards, Compactor, CompactorParts, ScrubProgress};
use alluvium_infra::{store, tls};
use alluvium_log::{Log, LogOptions};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::Context;
use crate::failure::Failure;
use crate::output::{print_json, size};
use crate::startup::flags::{self, NodeFlags, StoreFlags};
use crate::startup::settings::NodeSettings;
use crate::startup::store::{log_not_opened, not_opened};

/// Prove a topic, or everything, from the manifest to the last byte
///
/// Reads every run that the log names: checksums of batches and files, offsets, counts and sums of records. Changes nothing.
/// Ends with 1 when something is missing, damaged, or not what the log says.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Only this topic
    topic: Option<String>,
    /// s3://bucket/prefix, gs://bucket/prefix, az://container/prefix or file:///folder
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    #[command(flatten)]
    store_flags: StoreFlags,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: Arguments, context: &Context) -> Result<(), Failure> {
    tls::install();
    let loaded = flags::load(&NodeFlags::default(), arguments.store.as_deref(), &arguments.store_flags, None)?;
    context.block_on(scrub(&arguments, &loaded.settings, context))
}

async fn scrub(arguments: &Arguments, settings: &NodeSettings, context: &Context) -> Result<(), Failure> {
    let runtime = &context.runtime;
    let store = store::open(&settings.store, &settings.store_options(), runtime).map_err(|error| not_opened(&error))?;
    let options = LogOptions { node: "scrub".to_owned(), probe: false, ..settings.log_options() };
    let log =
        Log::open(store, options, runtime.clone()).await.map_err(|error| log_not_opened(&error, &settings.store))?;
    let topic = match &arguments.topic {
        None => None,
        Some(name) => {
            let topic = log.view().topic_by_name(name).map(|topic| topic.id);
            Some(topic.ok_or_else(|| Failure::failed(format!("there is no topic {name}")))?)
        }
    };
    let settings = settings.compactor_settings();
    let compactor = Compactor::new(CompactorParts { log, duty: Arc::new(AllShards), settings });
    // Shown on a terminal alone.
    let bar = ProgressBar::new(0).with_style(style());
    let report = compactor
        .scrub(topic, |ScrubProgress { bytes, bytes_total, .. }| {
            bar.set_length(bytes_total);
            bar.set_position(bytes);
        })
        .await;
    bar.finish_and_clear();
    let ScrubProgress { bytes, runs, records, .. } = report.progress;
    if arguments.json {
        let finding = |finding: &alluvium_compactor::ScrubFinding| json!({"place": finding.place, "reason": finding.reason, "is_unknown": finding.is_unknown});
        let findings: Vec<_> = report.findings.iter().map(finding).collect();
        print_json(&json!({"bytes": bytes, "runs": runs, "records_in_files": records, "findings": findings}))?;
    } else {
        for finding in &report.findings {
            println!("{}: {}", finding.place, finding.reason);
        }
        println!("{runs} runs with {} were read, {records} records of files were counted and summed", size(bytes));
    }
    match report.findings.len() {
        0 => Ok(()),
        count => Err(Failure::failed(format!("{count} runs are not what the log says"))),
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{bar:40} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}
