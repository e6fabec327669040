//! A bad day, seed by seed: producers, consumers and two nodes on a store where a share of all requests goes wrong, in
//! simulated time. What must hold, whatever the seed:
//!
//! 1. what was acknowledged is readable at exactly its offset, and offsets are dense;
//! 2. an idempotent producer that tries again with the same sequence has each of its batches in the log once;
//! 3. what was answered with a definite failure never appears;
//! 4. what a consumer read at an offset is what is there in the end, and no high watermark goes back;
//! 5. all nodes, and a replay from zero, hold the same state.
//!
//! `ALLUVIUM_TEST_SEEDS` sets how many seeds run (200), `ALLUVIUM_TEST_SEED` runs one of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use alluvium_infra::Runtime;
use alluvium_infra::store::{Faulty, MemoryStore, Modelled, Store, StoreModel};
use alluvium_ingest::AppendError;
use alluvium_log::{Append, AppendOutcome, AppendSource, BatchToAppend};
use alluvium_record::TopicPartition;
use alluvium_record::batch::RecordBatch;
use alluvium_tests::node::{Node, NodeOptions};
use alluvium_tests::records;
use futures_util::future::join_all;
use parking_lot::Mutex;

use crate::corner::at;

const PARTITIONS: i32 = 2;
const ROUNDS: usize = 12;
/// Batches that a producer has under way at the same time.
const WINDOW: usize = 3;

#[test]
fn bad_day() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let seeds = match number("ALLUVIUM_TEST_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("ALLUVIUM_TEST_SEEDS").unwrap_or(200),
    };
    let mut told = Told::default();
    for seed in seeds.clone() {
        let seen = std::panic::catch_unwind(|| Runtime::simulate(seed, |runtime| day(seed, runtime)));
        match seen {
            Ok(seen) => told.add(&seen),
            Err(panic) => {
                println!("failed: seed {seed}; run it alone with ALLUVIUM_TEST_SEED={seed}");
                std::panic::resume_unwind(panic);
            }
        }
    }
    println!("ok {} bad days: {told:?}", seeds.end - seeds.start);
    if seeds.end - seeds.start >= 100 {
        assert!(told.unknown > 0 && told.duplicates > 0 && told.refused > 0, "the days were not bad enough: {told:?}");
    }
}

/// What producers heard, to see that the days are bad enough.
#[derive(Debug, Default)]
struct Told {
    acknowledged: usize,
    duplicates: usize,
    unknown: usize,
    refused: usize,
    faults: u64,
}

impl Told {
    fn add(&mut self, other: &Told) {
        self.acknowledged += other.acknowledged;
        self.duplicates += other.duplicates;
        self.unknown += other.unknown;
        self.refused += other.refused;
        self.faults += other.faults;
    }
}

/// The values that somebody wrote, by what they may expect of the log.
#[derive(Default)]
struct Ledger {
    acknowledged: Vec<(TopicPartition, i64, String)>,
    refused: Vec<String>,
    idempotent: Vec<String>,
    seen: Vec<(TopicPartition, i64, String)>,
    told: Told,
}

#[derive(Clone)]
struct Day {
    runtime: Runtime,
    store: Arc<dyn Store>,
    faulty: Arc<Faulty>,
    options: NodeOptions,
    patience: Duration,
    nodes: Arc<Mutex<Vec<Arc<Node>>>>,
    ledger: Arc<Mutex<Ledger>>,
}

impl Day {
    fn node(&self, index: usize) -> Arc<Node> {
        let nodes = self.nodes.lock();
        nodes[index % nodes.len()].clone()
    }

    async fn open(&self) -> Arc<Node> {
        loop {
            match Node::open(self.faulty.clone(), &self.options, &self.runtime).await {
                Ok(node) => return Arc::new(node),
                Err(_bad_luck) => self.runtime.sleep(Duration::from_millis(100)).await,
            }
        }
    }
}

async fn day(seed: u64, runtime: Runtime) -> Told {
    let memory: Arc<dyn Store> = Arc::new(MemoryStore::new(runtime.clone()));
    let modelled: Arc<dyn Store> = if seed.is_multiple_of(2) {
        Modelled::new(memory.clone(), StoreModel::s3(), runtime.clone())
    } else {
        memory.clone()
    };
    let faulty = Faulty::new(modelled, runtime.clone());
    let mut options = NodeOptions::default();
    options.ingest.inline_bytes_max = 200;
    options.log.commit.checkpoint_entries = 10;
    options.log.tail_bytes_max = if seed.is_multiple_of(3) { 1 } else { 1 << 20 };
    let patience = Duration::from_millis(200 + 400 * (seed % 4));
    let day = Day {
        runtime: runtime.clone(),
        store: memory,
        faulty: faulty.clone(),
        options,
        patience,
        nodes: Arc::default(),
        ledger: Arc::default(),
    };
    let first = day.open().await;
    let topic = first.create_topic("orders", PARTITIONS, &[]).await;
    day.nodes.lock().push(first);
    if seed % 5 < 3 {
        let second = day.open().await;
        day.nodes.lock().push(second);
    }
    faulty.bad_day(0.1 + 0.1 * (seed % 6) as f64);
    let places: Vec<TopicPartition> = (0..PARTITIONS).map(|n| at(topic, n)).collect();
    let idempotent = (0..3).map(|n| idempotent(day.clone(), n, places[n % 2]));
    let plain = (0..2).map(|n| plain(day.clone(), n, places[n % 2]));
    let done = alluvium_infra::shutdown::Shutdown::new();
    let consumers: Vec<_> =
        (0..2).map(|n| runtime.spawn("consumer", consume(day.clone(), n, places[n % 2], done.clone()))).collect();
    let troubles = runtime.spawn("troubles", troubles(day.clone(), done.clone()));
    futures_util::future::join(join_all(idempotent), join_all(plain)).await;
    done.trigger();
    faulty.clear();
    for task in consumers.into_iter().chain([troubles]) {
        task.await.unwrap();
    }
    // Late puts come in, slots in doubt are resolved.
    runtime.sleep(Duration::from_secs(60)).await;
    judge(&day, &places).await;
    let mut told = std::mem::take(&mut day.ledger.lock().told);
    told.faults = faulty.injected_count();
    told
}

/// Sends batches in windows, and all of a window again, in order, until each of them is acknowledged.
async fn idempotent(day: Day, number: usize, place: TopicPartition) {
    let producer_id = 100 + number as i64;
    let mut sequence = 0;
    for round in 0..ROUNDS {
        let mut window = Vec::new();
        for slot in 0..WINDOW {
            let count = 1 + day.runtime.random_below(3) as i32;
            let values: Vec<String> = (0..count).map(|n| format!("p{number} {round} {slot} {n}")).collect();
            let references: Vec<&str> = values.iter().map(String::as_str).collect();
            let batch = records::sequenced(day.runtime.now_ms(), (producer_id, 0, sequence), &references);
            sequence += count;
            window.push((batch, values));
        }
        let mut attempt = 0;
        while !window.is_empty() {
            attempt += 1;
            assert!(attempt < 500, "producer {number} makes no progress");
            let node = day.node(number + attempt / 4);
            let mut replies = Vec::new();
            for (batch, _) in &window {
                replies.push(node.begin(vec![(place, batch.clone())], day.patience).await);
            }
            let answers = join_all(replies).await;
            let mut left = Vec::new();
            for ((batch, values), mut answer) in window.into_iter().zip(answers) {
                let mut ledger = day.ledger.lock();
                match answer.remove(0) {
                    Ok(appended) => {
                        ledger.told.acknowledged += 1;
                        ledger.told.duplicates += usize::from(appended.duplicate);
                        for (value, offset) in values.into_iter().zip(appended.base_offset..) {
                            ledger.idempotent.push(value.clone());
                            ledger.acknowledged.push((place, offset, value));
                        }
                    }
                    Err(error) => {
                        ledger.told.unknown += usize::from(error == AppendError::TimedOutUnknown);
                        ledger.told.refused += usize::from(error != AppendError::TimedOutUnknown);
                        left.push((batch, values));
                    }
                }
            }
            window = left;
        }
    }
}

/// Sends each record once and believes the answer.
async fn plain(day: Day, number: usize, place: TopicPartition) {
    for round in 0..ROUNDS * WINDOW {
        let value = format!("plain{number} {round}");
        let batch = records::batch(day.runtime.now_ms(), &[&value]);
        let node = day.node(number + round / 8);
        let answer = match number {
            0 => node.produce_for(place, batch, day.patience).await.map(|appended| appended.base_offset),
            // Straight into the log, whose answer may come after the deadline and is definite more often.
            _ => append(&node, place, batch, day.patience).await,
        };
        let mut ledger = day.ledger.lock();
        match answer {
            Ok(base_offset) => {
                ledger.told.acknowledged += 1;
                ledger.acknowledged.push((place, base_offset, value));
            }
            Err(AppendError::TimedOutUnknown) => ledger.told.unknown += 1,
            Err(_definite) => {
                ledger.told.refused += 1;
                ledger.refused.push(value);
            }
        }
    }
}

async fn append(
    node: &Node,
    topic_partition: TopicPartition,
    batch: RecordBatch,
    patience: Duration,
) -> Result<i64, AppendError> {
    let batches = vec![BatchToAppend::new(topic_partition, batch)];
    let deadline = node.runtime.monotonic() + patience;
    let outcomes = node.log.meta().append(Append { batches, source: AppendSource::Inline }, deadline).outcome().await?;
    match outcomes[0] {
        AppendOutcome::Appended { base_offset, .. } => Ok(base_offset),
        ref other => panic!("a record of a plain producer is taken: {other:?}"),
    }
}

/// Follows a partition on one node after another and writes down what it sees.
async fn consume(day: Day, number: usize, place: TopicPartition, done: alluvium_infra::shutdown::Shutdown) {
    let mut next = 0;
    while !done.is_triggered() {
        let node = day.node(number);
        let mut high_watermark = 0;
        for _ in 0..10 {
            match node.fetch(place, next, 300).await {
                Ok(data) => {
                    assert!(data.high_watermark >= high_watermark, "the high watermark went back");
                    high_watermark = data.high_watermark;
                    for record in records::read(&data.slices) {
                        if record.offset >= next {
                            next = record.offset + 1;
                            let seen = (place, record.offset, records::text(&record).to_owned());
                            day.ledger.lock().seen.push(seen);
                        }
                    }
                    assert!(next <= high_watermark, "no offset is shown beyond the high watermark");
                }
                Err(error) => assert!(
                    matches!(
                        error,
                        alluvium_reader::ReadError::Storage(_) | alluvium_reader::ReadError::OffsetOutOfRange { .. }
                    ),
                    "{error}"
                ),
            }
            day.runtime.sleep(Duration::from_millis(30)).await;
        }
    }
}

/// Takes the store away now and then, and replaces a node as if it had crashed: what it had begun goes on without it.
async fn troubles(day: Day, done: alluvium_infra::shutdown::Shutdown) {
    while !done.is_triggered() {
        day.runtime.sleep(Duration::from_millis(300 + day.runtime.random_below(1500))).await;
        if done.is_triggered() {
            return;
        }
        if day.runtime.random_below(2) == 0 {
            day.faulty.set_down(true);
            day.runtime.sleep(Duration::from_millis(100 + day.runtime.random_below(1000))).await;
            day.faulty.set_down(false);
        } else {
            let fresh = day.open().await;
            let mut nodes = day.nodes.lock();
            let index = day.runtime.random_below(nodes.len() as u64) as usize;
            nodes[index] = fresh;
        }
    }
}

async fn judge(day: &Day, places: &[TopicPartition]) {
    let node = Node::open(day.store.clone(), &day.options, &day.runtime).await.expect("the log opens");
    alluvium_log::invariants::check_state(&node.state()).unwrap();
    let mut log = BTreeMap::new();
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for place in places {
        for (value, offset) in node.values(*place).await.into_iter().zip(0_i64..) {
            *times.entry(value.clone()).or_default() += 1;
            log.insert((*place, offset), value);
        }
    }
    compare(&day.ledger.lock(), &log, &times);
    let nodes = day.nodes.lock().clone();
    for other in nodes {
        other.log.meta().catch_up().await.expect("a node survives a bad day");
        assert_eq!(other.state_bytes(), node.state_bytes(), "all nodes hold the same state");
    }
    for object in day.store.list("", None, 100_000).await.unwrap().objects {
        if object.path.as_str().contains("/checkpoint/") || object.path.as_str().ends_with("/head") {
            day.store.delete(&object.path).await.unwrap();
        }
    }
    let from_zero = Node::open(day.store.clone(), &day.options, &day.runtime).await.expect("the log opens");
    assert_eq!(from_zero.state_bytes(), node.state_bytes(), "a replay from zero gives the same state");
}

/// What was told and seen, against what the log holds in the end.
fn compare(ledger: &Ledger, log: &BTreeMap<(TopicPartition, i64), String>, times: &BTreeMap<String, usize>) {
    for (place, offset, value) in &ledger.acknowledged {
        assert_eq!(log.get(&(*place, *offset)), Some(value), "acknowledged at {place} offset {offset}");
    }
    for (place, offset, value) in &ledger.seen {
        assert_eq!(log.get(&(*place, *offset)), Some(value), "read at {place} offset {offset}");
    }
    for (value, count) in times {
        assert_eq!(*count, 1, "{value} is in the log {count} times");
    }
    for value in &ledger.idempotent {
        assert_eq!(times.get(value), Some(&1), "{value}");
    }
    for value in &ledger.refused {
        assert!(!times.contains_key(value), "{value} was answered as not written and is in the log");
    }
}
