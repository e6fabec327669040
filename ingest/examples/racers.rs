//! What it costs when writers that know nothing of each other race for one shard, as cloud functions do: each has a log of its own on
//! one store as slow as S3, and writes one call after another.
//!
//! In simulated time, as the example `shards`. `cargo run --release -p alluvium-ingest --example racers`

#![allow(clippy::print_stdout, reason = "it prints a table")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use alluvium_infra::Runtime;
use alluvium_infra::store::{MemoryStore, Metered, Modelled, Store, StoreModel};
use alluvium_ingest::{Ingest, IngestSettings, PartitionAppend};
use alluvium_log::{Log, LogOptions, Operation};
use alluvium_record::batch::BatchBuilder;
use alluvium_record::{Compression, TopicId, TopicPartition};
use bytes::Bytes;
use futures_util::future::join_all;

const WRITERS: [i32; 6] = [1, 2, 5, 10, 20, 50];
const CALL_BYTES: usize = 100_000;
const LENGTH: Duration = Duration::from_secs(60);
const DEADLINE: Duration = Duration::from_secs(120);

fn main() {
    println!(
        "| writers | calls/s | p50, ms | p99, ms | longest, ms | fewest and most calls of a writer | PUTs a call | GETs a call |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for writers in WRITERS {
        println!("{}", run(writers));
    }
}

fn run(writers: i32) -> String {
    Runtime::simulate(1, move |runtime| async move {
        let store = Modelled::new(Arc::new(MemoryStore::new(runtime.clone())), StoreModel::s3(), runtime.clone());
        let metered = Metered::new(store, runtime.clone());
        let store: Arc<dyn Store> = metered.clone();
        let open = |number: i32| {
            let options = LogOptions { node: format!("writer-{number}"), ..LogOptions::default() };
            Log::open(store.clone(), options, runtime.clone())
        };
        let topic = create_topic(&open(-1).await.expect("opens"), writers).await;
        let logs = join_all((0..writers).map(open)).await;
        let (before, begun) = (metered.snapshot(), runtime.monotonic());
        let racing = logs.into_iter().zip(0..).map(|(log, partition)| {
            let place = TopicPartition { topic, partition };
            write(log.expect("opens"), place, runtime.clone())
        });
        let calls: Vec<Vec<Duration>> = join_all(racing).await;
        let seconds = (runtime.monotonic() - begun).as_secs_f64();
        let (fewest, most) = (calls.iter().map(Vec::len).min(), calls.iter().map(Vec::len).max());
        let mut took: Vec<Duration> = calls.into_iter().flatten().collect();
        took.sort_unstable();
        let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
        let (count, after) = (took.len() as f64, metered.snapshot());
        format!(
            "| {writers} | {:.1} | {:.0} | {:.0} | {:.0} | {}, {} | {:.1} | {:.1} |",
            count / seconds,
            at(0.5),
            at(0.99),
            at(1.0),
            fewest.unwrap_or(0),
            most.unwrap_or(0),
            (after.puts() - before.puts()) as f64 / count,
            (after.gets() - before.gets()) as f64 / count,
        )
    })
}

async fn create_topic(log: &Log, partition_count: i32) -> TopicId {
    let id = TopicId(log.runtime().random_uuid());
    let operation = Operation::CreateTopic {
        id,
        name: "load".to_owned(),
        partition_count,
        replication_factor: 1,
        configs: BTreeMap::new(),
        shard_count: log.shard_count(),
    };
    log.commit_topic(operation, None).await.expect("the topic is new");
    id
}

/// Writes one call after another, and returns how long each took.
async fn write(log: Log, place: TopicPartition, runtime: Runtime) -> Vec<Duration> {
    let ingest = Ingest::start(log, IngestSettings::default(), runtime.clone());
    let mut builder = BatchBuilder::new(Compression::None);
    builder.push(7, None, Some(Bytes::from(vec![b'x'; CALL_BYTES])), Vec::new()).expect("it fits");
    let records = builder.build(0).bytes;
    let (presence, end, mut took) = (ingest.connect(), runtime.monotonic() + LENGTH, Vec::new());
    while runtime.monotonic() < end {
        let begun = runtime.monotonic();
        let permit = ingest.admit(records.len()).await;
        let append = PartitionAppend { topic_partition: place, records: records.clone(), transaction: None };
        for result in ingest.append(permit, vec![append], begun + DEADLINE, &presence).await {
            result.expect("it is appended");
        }
        took.push(runtime.monotonic() - begun);
    }
    took
}
