//! What shards bring: producers that keep several requests under way, on a store as slow as S3, with 1, 2, 4 and 8 shards.
//!
//! In simulated time, so processors cost nothing and every run gives the same numbers: what is seen is the store's latency and
//! bandwidth alone. `cargo run --release -p alluvium-ingest --example shards`

#![allow(clippy::print_stdout, reason = "it prints a table")]

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use alluvium_infra::Runtime;
use alluvium_infra::runtime::Instant;
use alluvium_infra::store::{MemoryStore, Metered, Modelled, Store, StoreModel};
use alluvium_ingest::{AppendReply, Ingest, IngestSettings, PartitionAppend};
use alluvium_log::{Log, LogOptions, Operation};
use alluvium_record::batch::BatchBuilder;
use alluvium_record::{Compression, TopicId, TopicPartition};
use bytes::Bytes;
use futures_util::future::join_all;

/// Producers that do the same.
struct Load {
    name: &'static str,
    producers: i32,
    request_bytes: usize,
    in_flight: usize,
}

const LOADS: [Load; 3] = [
    Load { name: "1 KiB, 1 under way, 512 producers", producers: 512, request_bytes: 1 << 10, in_flight: 1 },
    Load { name: "64 KiB, 5 under way, 64 producers", producers: 64, request_bytes: 64 << 10, in_flight: 5 },
    Load { name: "512 KiB, 5 under way, 128 producers", producers: 128, request_bytes: 512 << 10, in_flight: 5 },
];
const SHARDS: [u32; 4] = [1, 2, 4, 8];
const LENGTH: Duration = Duration::from_secs(3);
const DEADLINE: Duration = Duration::from_secs(30);

/// What one run showed.
struct Seen {
    mib_per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    puts_per_second: f64,
}

fn main() {
    println!("| load | shards | MiB/s | against 1 shard | p50, ms | p99, ms | PUTs/s |");
    println!("|---|---|---|---|---|---|---|");
    for load in &LOADS {
        let mut first = None;
        for shards in SHARDS {
            let seen = run(load, shards);
            let against = seen.mib_per_second / *first.get_or_insert(seen.mib_per_second);
            println!(
                "| {} | {shards} | {:.1} | {against:.2} | {:.0} | {:.0} | {:.0} |",
                load.name, seen.mib_per_second, seen.p50_ms, seen.p99_ms, seen.puts_per_second
            );
        }
    }
}

fn run(load: &'static Load, shards: u32) -> Seen {
    Runtime::simulate(1, move |runtime| async move {
        let store = Modelled::new(Arc::new(MemoryStore::new(runtime.clone())), StoreModel::s3(), runtime.clone());
        let metered = Metered::new(store, runtime.clone());
        let store: Arc<dyn Store> = metered.clone();
        let options = LogOptions { shard_count: shards, ..LogOptions::default() };
        let log = Log::open(store, options, runtime.clone()).await.expect("opens");
        let topic = create_topic(&log, load.producers).await;
        let ingest = Ingest::start(log, IngestSettings::default(), runtime.clone());
        let (puts_before, begun) = (metered.snapshot().puts(), runtime.monotonic());
        let producing = (0..load.producers).map(|partition| {
            let place = TopicPartition { topic, partition };
            produce(load, ingest.clone(), place, begun + LENGTH, runtime.clone())
        });
        let mut latencies: Vec<Duration> = join_all(producing).await.into_iter().flatten().collect();
        latencies.sort_unstable();
        let seconds = (runtime.monotonic() - begun).as_secs_f64();
        let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
        Seen {
            mib_per_second: (latencies.len() * load.request_bytes) as f64 / f64::from(1 << 20) / seconds,
            p50_ms: at(0.5),
            p99_ms: at(0.99),
            puts_per_second: (metered.snapshot().puts() - puts_before) as f64 / seconds,
        }
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

/// Keeps requests under way until `end`, and returns how long each took.
async fn produce(load: &Load, ingest: Ingest, place: TopicPartition, end: Instant, runtime: Runtime) -> Vec<Duration> {
    let mut builder = BatchBuilder::new(Compression::None);
    builder.push(7, None, Some(Bytes::from(vec![b'x'; load.request_bytes])), Vec::new()).expect("it fits");
    let records = builder.build(0).bytes;
    let presence = ingest.connect();
    let (mut under_way, mut latencies) = (VecDeque::<(Instant, AppendReply)>::new(), Vec::new());
    loop {
        let now = runtime.monotonic();
        if under_way.len() < load.in_flight && now < end {
            let permit = ingest.admit(records.len()).await;
            let append = PartitionAppend { topic_partition: place, records: records.clone(), transaction: None };
            under_way.push_back((now, ingest.append(permit, vec![append], now + DEADLINE, &presence)));
            continue;
        }
        let Some((sent, reply)) = under_way.pop_front() else { return latencies };
        for result in reply.await {
            let appended = result.expect("it is appended");
            assert!(!appended.duplicate, "nothing is sent twice");
        }
        latencies.push(runtime.monotonic() - sent);
    }
}
