//! The log on a memory store: commits, races, lost replies, recovery.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use alluvium_infra::Runtime;
use alluvium_infra::store::{Fault, FaultRule, Faulty, MemoryStore, Store, StoreOperation};
use alluvium_log::format::checkpoint;
use alluvium_log::{
    Append, AppendOutcome, AppendRejection, AppendSource, BatchToAppend, CommitError, Log, LogOptions, Operation,
    Rejection,
};
use alluvium_record::batch::{BatchBuilder, RecordBatch};
use alluvium_record::{Compression, TopicId, TopicPartition};
use bytes::Bytes;

fn options() -> LogOptions {
    LogOptions::default()
}

fn batch(values: &[&str], producer: Option<(i64, i16, i32)>) -> RecordBatch {
    let mut builder = BatchBuilder::new(Compression::None);
    if let Some((id, epoch, sequence)) = producer {
        builder = builder.producer(id, epoch, sequence);
    }
    for value in values {
        builder.push(7, None, Some(Bytes::copy_from_slice(value.as_bytes())), Vec::new()).expect("fits");
    }
    builder.build(0)
}

async fn create_topic(log: &Log, name: &str, partition_count: i32) -> TopicId {
    let id = TopicId(log.runtime().random_uuid());
    let operation = Operation::CreateTopic {
        id,
        name: name.to_owned(),
        partition_count,
        replication_factor: 1,
        configs: BTreeMap::new(),
        shard_count: 1,
    };
    log.meta().commit(operation, None).await.expect("topic is new");
    id
}

async fn append(log: &Log, batches: Vec<BatchToAppend>) -> Result<Vec<AppendOutcome>, CommitError> {
    let deadline = log.runtime().monotonic() + Duration::from_secs(30);
    log.meta().append(Append { batches, source: AppendSource::Inline }, deadline).outcome().await
}

fn at(topic: TopicId, partition: i32, batch: RecordBatch) -> BatchToAppend {
    BatchToAppend::new(TopicPartition { topic, partition }, batch)
}

fn offset(outcome: &AppendOutcome) -> i64 {
    match outcome {
        AppendOutcome::Appended { base_offset, .. } => *base_offset,
        other => panic!("not appended: {other:?}"),
    }
}

fn state_bytes(log: &Log) -> Vec<u8> {
    checkpoint::state_bytes(&log.meta().state())
}

#[tokio::test(start_paused = true)]
async fn offsets_are_dense_over_partitions_and_entries() {
    let runtime = Runtime::seeded(1);
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(runtime.clone()));
    let log = Log::open(store.clone(), options(), runtime.clone()).await.expect("opens");
    let topic = create_topic(&log, "orders", 2).await;
    let first = append(&log, vec![at(topic, 0, batch(&["a", "b"], None)), at(topic, 1, batch(&["c"], None))])
        .await
        .expect("is written");
    assert_eq!(first.iter().map(offset).collect::<Vec<_>>(), [0, 0]);
    let second = append(&log, vec![at(topic, 0, batch(&["d"], None)), at(topic, 0, batch(&["e"], None))])
        .await
        .expect("is written");
    assert_eq!(second.iter().map(offset).collect::<Vec<_>>(), [2, 3]);
    let partition = TopicPartition { topic, partition: 0 };
    assert_eq!(log.meta().state().partition(partition).expect("exists").high_watermark(), 4);
    alluvium_log::invariants::check_state(&log.meta().state()).expect("holds");

    let again = Log::open(store, options(), runtime).await.expect("opens again");
    assert_eq!(state_bytes(&again), state_bytes(&log));
    assert_eq!(again.cluster_id(), log.cluster_id());
}

#[tokio::test(start_paused = true)]
async fn a_second_node_sees_what_the_first_committed_and_neither_overwrites() {
    let runtime = Runtime::seeded(2);
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(runtime.clone()));
    let one = Log::open(store.clone(), options(), runtime.clone()).await.expect("opens");
    let two = Log::open(store.clone(), options(), runtime.clone()).await.expect("opens");
    let topic = create_topic(&one, "orders", 1).await;
    let mut offsets = Vec::new();
    for _ in 0..10 {
        // The second node's view is stale each time: it must neither reject nor collide.
        let from_two = append(&two, vec![at(topic, 0, batch(&["x"], None))]).await.expect("is written");
        let from_one = append(&one, vec![at(topic, 0, batch(&["y"], None))]).await.expect("is written");
        offsets.extend([offset(&from_two[0]), offset(&from_one[0])]);
    }
    assert_eq!(offsets, (0..20).collect::<Vec<_>>());
    two.meta().catch_up().await.expect("catches up");
    assert_eq!(state_bytes(&one), state_bytes(&two));
    let racing = futures_util::future::join_all((0..20).map(|n| {
        let log = if n % 2 == 0 { one.clone() } else { two.clone() };
        async move { append(&log, vec![at(topic, 0, batch(&["z"], None))]).await.expect("is written") }
    }))
    .await;
    let mut offsets: Vec<i64> = racing.iter().map(|outcomes| offset(&outcomes[0])).collect();
    offsets.sort_unstable();
    assert_eq!(offsets, (20..40).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_lost_reply_is_a_success_and_is_written_once() {
    let runtime = Runtime::seeded(3);
    let faulty = Faulty::new(Arc::new(MemoryStore::new(runtime.clone())), runtime.clone());
    let log = Log::open(faulty.clone(), options(), runtime.clone()).await.expect("opens");
    let topic = create_topic(&log, "orders", 1).await;
    for fault in [
        Fault::ReplyLost,
        Fault::Unavailable503AfterApply,
        Fault::Conflict409,
        Fault::Precondition412,
        Fault::Throttle429,
        Fault::Unavailable503,
        Fault::LatePut(Duration::from_millis(300)),
    ] {
        let before =
            log.meta().state().partition(TopicPartition { topic, partition: 0 }).expect("exists").high_watermark();
        faulty.script(FaultRule::next(StoreOperation::PutIfAbsent, fault.clone()));
        let outcomes = append(&log, vec![at(topic, 0, batch(&["a"], None))]).await.expect("is written");
        assert_eq!(offset(&outcomes[0]), before, "{fault:?}");
    }
    let again = Log::open(faulty.clone(), options(), runtime).await.expect("opens again");
    assert_eq!(state_bytes(&again), state_bytes(&log));
}

#[tokio::test(start_paused = true)]
async fn duplicates_are_answered_with_their_offset_and_gaps_are_refused() {
    let runtime = Runtime::seeded(4);
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(runtime.clone()));
    let log = Log::open(store.clone(), options(), runtime.clone()).await.expect("opens");
    let topic = create_topic(&log, "orders", 1).await;
    let first = batch(&["a", "b"], Some((5, 0, 0)));
    let second = batch(&["c"], Some((5, 0, 2)));
    let outcomes =
        append(&log, vec![at(topic, 0, first.clone()), at(topic, 0, first.clone()), at(topic, 0, second.clone())])
            .await
            .expect("is written");
    assert_eq!(outcomes[0], AppendOutcome::Appended { base_offset: 0, log_start_offset: 0 });
    assert_eq!(outcomes[1], AppendOutcome::Duplicate { base_offset: 0, log_start_offset: 0 });
    assert_eq!(outcomes[2], AppendOutcome::Appended { base_offset: 2, log_start_offset: 0 });
    let gap = batch(&["x"], Some((5, 0, 9)));
    let outcomes = append(&log, vec![at(topic, 0, gap), at(topic, 0, second)]).await.expect("is answered");
    assert_eq!(outcomes[0], AppendOutcome::Rejected(AppendRejection::OutOfOrderSequence { expected: 3, found: 9 }));
    assert_eq!(outcomes[1], AppendOutcome::Duplicate { base_offset: 2, log_start_offset: 0 });
    // Another node, from the bucket alone, says the same.
    let other = Log::open(store, options(), runtime).await.expect("opens");
    let outcomes = append(&other, vec![at(topic, 0, first)]).await.expect("is answered");
    assert_eq!(outcomes[0], AppendOutcome::Duplicate { base_offset: 0, log_start_offset: 0 });
}

#[tokio::test(start_paused = true)]
async fn an_outage_longer_than_the_deadline_is_unknown_and_resolves_later() {
    let runtime = Runtime::seeded(5);
    let faulty = Faulty::new(Arc::new(MemoryStore::new(runtime.clone())), runtime.clone());
    let log = Log::open(faulty.clone(), options(), runtime.clone()).await.expect("opens");
    let topic = create_topic(&log, "orders", 1).await;
    faulty.set_down(true);
    let deadline = runtime.monotonic() + Duration::from_secs(2);
    let ticket = log
        .meta()
        .append(Append { batches: vec![at(topic, 0, batch(&["a"], None))], source: AppendSource::Inline }, deadline);
    assert!(matches!(ticket.outcome().await, Err(CommitError::Unknown)));
    // What waited behind it and was never attempted is definitely not written.
    let waiting = log.meta().append(
        Append { batches: vec![at(topic, 0, batch(&["b"], None))], source: AppendSource::Inline },
        runtime.monotonic() + Duration::from_secs(1),
    );
    runtime.sleep(Duration::from_secs(60)).await;
    faulty.set_down(false);
    assert!(matches!(waiting.outcome().await, Err(CommitError::Unavailable(_))));
    let outcomes = append(&log, vec![at(topic, 0, batch(&["c"], None))]).await.expect("is written");
    assert_eq!(offset(&outcomes[0]), 1, "the entry in doubt was resolved first");
}

#[tokio::test(start_paused = true)]
async fn whoever_may_not_write_is_told_so_and_writes_again_when_he_may() {
    let runtime = Runtime::seeded(5);
    let faulty = Faulty::new(Arc::new(MemoryStore::new(runtime.clone())), runtime.clone());
    let log = Log::open(faulty.clone(), options(), runtime.clone()).await.expect("opens");
    let topic = create_topic(&log, "orders", 1).await;
    faulty.script(FaultRule::always(StoreOperation::PutIfAbsent, "", Fault::Denied403));
    let begun = runtime.monotonic();
    let refused = append(&log, vec![at(topic, 0, batch(&["a"], None))]).await;
    assert!(matches!(&refused, Err(CommitError::Unavailable(reason)) if reason.contains("permission")), "{refused:?}");
    let deleted = log.meta().commit(Operation::DeleteTopic { id: topic }, None).await;
    assert!(matches!(&deleted, Err(CommitError::Unavailable(reason)) if reason.contains("permission")), "{deleted:?}");
    assert!(runtime.monotonic() - begun < Duration::from_secs(2), "nobody waits for his deadline");
    faulty.clear();
    let outcomes = append(&log, vec![at(topic, 0, batch(&["b"], None))]).await.expect("is written");
    assert_eq!(offset(&outcomes[0]), 0, "what was refused is not there");
}

#[tokio::test(start_paused = true)]
async fn a_put_that_may_have_been_applied_is_never_called_refused() {
    let runtime = Runtime::seeded(5);
    let faulty = Faulty::new(Arc::new(MemoryStore::new(runtime.clone())), runtime.clone());
    let log = Log::open(faulty.clone(), options(), runtime.clone()).await.expect("opens");
    let topic = create_topic(&log, "orders", 1).await;
    faulty.script(FaultRule::next(StoreOperation::PutIfAbsent, Fault::LatePut(Duration::from_secs(5))));
    faulty.script(FaultRule::always(StoreOperation::PutIfAbsent, "", Fault::Denied403));
    let outcomes = append(&log, vec![at(topic, 0, batch(&["a"], None))]).await.expect("is written, late");
    assert_eq!(offset(&outcomes[0]), 0);
}

#[tokio::test(start_paused = true)]
async fn an_operation_behind_a_slot_in_doubt_waits_no_longer_than_it_said() {
    let runtime = Runtime::seeded(5);
    let faulty = Faulty::new(Arc::new(MemoryStore::new(runtime.clone())), runtime.clone());
    let log = Log::open(faulty.clone(), options(), runtime.clone()).await.expect("opens");
    let topic = create_topic(&log, "orders", 1).await;
    faulty.set_down(true);
    let deadline = runtime.monotonic() + Duration::from_secs(1);
    let append = Append { batches: vec![at(topic, 0, batch(&["a"], None))], source: AppendSource::Inline };
    assert!(matches!(log.meta().append(append, deadline).outcome().await, Err(CommitError::Unknown)));
    let (begun, five) = (runtime.monotonic(), Duration::from_secs(5));
    let deleted = log.meta().commit(Operation::DeleteTopic { id: topic }, Some(begun + five)).await;
    assert!(matches!(deleted, Err(CommitError::Unknown)), "{deleted:?}");
    assert_eq!(runtime.monotonic() - begun, five);
    faulty.set_down(false);
    log.meta().catch_up().await.expect("reads");
    assert!(log.meta().state().topic(topic).is_some(), "nothing is done for somebody who left");
}

#[tokio::test(start_paused = true)]
async fn operations_are_refused_with_their_reason() {
    let runtime = Runtime::seeded(6);
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(runtime.clone()));
    let log = Log::open(store, options(), runtime).await.expect("opens");
    let topic = create_topic(&log, "orders", 1).await;
    let twice = Operation::CreateTopic {
        id: TopicId(log.runtime().random_uuid()),
        name: "orders".to_owned(),
        partition_count: 1,
        replication_factor: 1,
        configs: BTreeMap::new(),
        shard_count: 1,
    };
    let refused = log.meta().commit(twice, None).await;
    assert!(matches!(refused, Err(CommitError::Rejected(Rejection::TopicExists(_)))));
    let fewer = Operation::CreatePartitions { id: topic, new_count: 1 };
    let refused = log.meta().commit(fewer, None).await;
    assert!(matches!(refused, Err(CommitError::Rejected(Rejection::PartitionCountNotLarger { .. }))));
    append(&log, vec![at(topic, 0, batch(&["a", "b", "c"], None))]).await.expect("is written");
    let topic_partition = TopicPartition { topic, partition: 0 };
    let far = Operation::DeleteRecords { topic_partition, before_offset: 4 };
    assert!(matches!(
        log.meta().commit(far, None).await,
        Err(CommitError::Rejected(Rejection::OffsetOutOfRange { .. }))
    ));
    let middle = Operation::DeleteRecords { topic_partition, before_offset: 2 };
    log.meta().commit(middle, None).await.expect("moves");
    let state = log.meta().state();
    assert_eq!(state.partition(topic_partition).expect("exists").log_start_offset(), 2);
    alluvium_log::invariants::check_state(&state).expect("holds");
    log.meta().commit(Operation::DeleteTopic { id: topic }, None).await.expect("goes");
    let outcomes = append(&log, vec![at(topic, 0, batch(&["a"], None))]).await.expect("is answered");
    assert_eq!(outcomes[0], AppendOutcome::Rejected(AppendRejection::UnknownTopicOrPartition));
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_gives_the_same_state_as_all_entries() {
    let runtime = Runtime::seeded(7);
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(runtime.clone()));
    let mut rules = options();
    rules.commit.checkpoint_entries = 10;
    let log = Log::open(store.clone(), rules.clone(), runtime.clone()).await.expect("opens");
    let topic = create_topic(&log, "orders", 3).await;
    for n in 0..35 {
        append(&log, vec![at(topic, n % 3, batch(&["v"], Some((9, 0, n / 3))))]).await.expect("is written");
    }
    log.close().await;
    runtime.sleep(Duration::from_secs(1)).await;
    let checkpoints = store.list("", None, 1000).await.expect("lists");
    assert!(checkpoints.objects.iter().any(|object| object.path.as_ref().contains("/checkpoint/")));
    let from_checkpoint = Log::open(store.clone(), rules.clone(), runtime.clone()).await.expect("opens");
    for object in checkpoints.objects {
        if object.path.as_ref().contains("/checkpoint/") || object.path.as_ref().ends_with("/head") {
            store.delete(&object.path).await.expect("deletes");
        }
    }
    let from_zero = Log::open(store, rules, runtime).await.expect("opens");
    assert_eq!(state_bytes(&from_checkpoint), state_bytes(&from_zero));
    assert_eq!(state_bytes(&from_checkpoint), state_bytes(&log));
}
