//! Nodes that write one shard without knowing of each other, on a store as slow as S3, in simulated time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use alluvium_infra::Runtime;
use alluvium_infra::store::{MemoryStore, Metered, Modelled, Store, StoreModel};
use alluvium_log::{Append, AppendSource, BatchToAppend, Log, LogOptions, Operation};
use alluvium_record::batch::BatchBuilder;
use alluvium_record::{Compression, TopicId, TopicPartition};
use bytes::Bytes;
use futures_util::future::join_all;

const LENGTH: Duration = Duration::from_secs(30);

/// What each of the racers wrote, and the puts of all.
async fn race(writers: i32, runtime: Runtime) -> (Vec<usize>, u64) {
    let store = Modelled::new(Arc::new(MemoryStore::new(runtime.clone())), StoreModel::s3(), runtime.clone());
    let metered = Metered::new(store, runtime.clone());
    let open = |number: i32| {
        let options = LogOptions { node: format!("writer-{number}"), ..LogOptions::default() };
        Log::open(metered.clone() as Arc<dyn Store>, options, runtime.clone())
    };
    let topic = TopicId(runtime.random_uuid());
    let operation = Operation::CreateTopic {
        id: topic,
        name: "raced".to_owned(),
        partition_count: 1,
        replication_factor: 1,
        configs: BTreeMap::new(),
        shard_count: 1,
    };
    open(0).await.expect("opens").meta().commit(operation, None).await.expect("topic is new");
    let logs = join_all((0..writers).map(open)).await;
    let (puts, end) = (metered.snapshot().puts(), runtime.monotonic() + LENGTH);
    let racing = logs.into_iter().map(|log| write(log.expect("opens"), topic, end, runtime.clone()));
    let counts = join_all(racing).await;
    (counts, metered.snapshot().puts() - puts)
}

/// Writes one record after another; each waits no longer than an HTTP call does.
async fn write(log: Log, topic: TopicId, end: alluvium_infra::runtime::Instant, runtime: Runtime) -> usize {
    let mut builder = BatchBuilder::new(Compression::None);
    builder.push(7, None, Some(Bytes::from_static(b"x")), Vec::new()).expect("fits");
    let batch = builder.build(0);
    let mut count = 0;
    while runtime.monotonic() < end {
        let batches = vec![BatchToAppend::new(TopicPartition { topic, partition: 0 }, batch.clone())];
        let deadline = runtime.monotonic() + Duration::from_secs(10);
        let append = Append { batches, source: AppendSource::Inline };
        log.meta().append(append, deadline).outcome().await.expect("it gets its turn");
        count += 1;
    }
    count
}

#[test]
fn whoever_is_alone_writes_as_fast_as_the_store() {
    let (counts, puts) = Runtime::simulate(1, |runtime| race(1, runtime));
    assert!(counts[0] > 600, "{counts:?}");
    assert_eq!(puts as usize, counts[0]);
}

#[test]
fn all_that_race_take_turns_and_few_puts_are_in_vain() {
    for (writers, least) in [(2, 300), (10, 300), (50, 300)] {
        let (counts, puts) = Runtime::simulate(7, move |runtime| race(writers, runtime));
        let (fewest, most): (usize, usize) = (*counts.iter().min().unwrap(), *counts.iter().max().unwrap());
        let all: usize = counts.iter().sum();
        assert!(all >= least, "{writers} wrote {all}");
        assert!(most <= 2 * fewest + 1, "{writers} writers: {counts:?}");
        assert!(puts <= 7 * all as u64, "{writers} writers, {all} entries, {puts} puts");
    }
}
