//! Transactions in the log: what it takes, what it refuses, and what readers may see.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use alluvium_infra::Runtime;
use alluvium_infra::store::{MemoryStore, Store};
use alluvium_log::format::checkpoint;
use alluvium_log::invariants::check_state;
use alluvium_log::{
    Append, AppendOutcome, AppendRejection, AppendSource, BatchToAppend, CommitError, CommittedOffset, Log, LogOptions,
    Operation, Partition, Rejection, TransactionRejection, TransactionStatus, TransactionTag,
};
use alluvium_record::batch::BatchBuilder;
use alluvium_record::{Compression, ShardId, TopicId, TopicPartition};
use bytes::Bytes;

const ID: &str = "billing";
const PRODUCER: i64 = 4000;
const TIMEOUT_MS: i32 = 60_000;

/// A log with one topic of four partitions.
struct World {
    log: Log,
    store: Arc<dyn Store>,
    runtime: Runtime,
    topic: TopicId,
}

impl World {
    async fn new(shard_count: u32) -> Self {
        let runtime = Runtime::seeded(3);
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new(runtime.clone()));
        let options = LogOptions { shard_count, ..LogOptions::default() };
        let log = Log::open(store.clone(), options, runtime.clone()).await.expect("opens");
        let topic = TopicId(runtime.random_uuid());
        let operation = Operation::CreateTopic {
            id: topic,
            name: "orders".to_owned(),
            partition_count: 4,
            replication_factor: 1,
            configs: BTreeMap::new(),
            shard_count,
        };
        log.commit_topic(operation, None).await.expect("topic is new");
        let world = Self { log, store, runtime, topic };
        world.init(None, 0).await.expect("a new id");
        world
    }

    fn at(&self, partition: i32) -> TopicPartition {
        TopicPartition { topic: self.topic, partition }
    }

    fn shard_of(&self, partition: i32) -> ShardId {
        self.log.view().shard_of(self.at(partition)).expect("is known")
    }

    fn partition(&self, partition: i32) -> Partition {
        self.log.view().partition(self.at(partition)).expect("is known").clone()
    }

    async fn commit(&self, shard: ShardId, operation: Operation) -> Result<(), Rejection> {
        match self.log.shard(shard).expect("is open").commit(operation, None).await {
            Ok(_) => Ok(()),
            Err(CommitError::Rejected(rejection)) => Err(rejection),
            Err(other) => panic!("{other}"),
        }
    }

    async fn commit_home(&self, operation: Operation) -> Result<(), Rejection> {
        self.commit(self.log.group_shard(ID), operation).await
    }

    async fn init(&self, seen: Option<(i64, i16)>, epoch: i16) -> Result<(), Rejection> {
        self.init_as(seen, epoch, false).await
    }

    async fn init_as(&self, seen: Option<(i64, i16)>, epoch: i16, repeatable: bool) -> Result<(), Rejection> {
        let operation = Operation::InitTransaction {
            transactional_id: ID.to_owned(),
            timeout_ms: TIMEOUT_MS,
            seen,
            producer_id: PRODUCER,
            epoch,
            repeatable,
        };
        self.commit_home(operation).await
    }

    async fn add(&self, epoch: i16, partitions: &[i32], groups: &[&str]) -> Result<(), Rejection> {
        let place = |partition: &i32| (self.at(*partition), self.shard_of(*partition));
        let operation = Operation::AddToTransaction {
            transactional_id: ID.to_owned(),
            producer_id: PRODUCER,
            epoch,
            partitions: partitions.iter().map(place).collect(),
            groups: groups.iter().map(|group| ((*group).to_owned(), self.log.group_shard(group))).collect(),
        };
        self.commit_home(operation).await
    }

    async fn end(&self, epoch: i16, number: u64, commit: bool, next_epoch: i16) -> Result<(), Rejection> {
        self.end_when(epoch, number, commit, next_epoch, false).await
    }

    async fn end_when(
        &self,
        epoch: i16,
        number: u64,
        commit: bool,
        next_epoch: i16,
        overdue_only: bool,
    ) -> Result<(), Rejection> {
        let operation = Operation::EndTransaction {
            transactional_id: ID.to_owned(),
            producer_id: PRODUCER,
            epoch,
            number,
            commit,
            next_producer_id: PRODUCER,
            next_epoch,
            overdue_only,
        };
        self.commit_home(operation).await
    }

    /// Appends `count` records in a transaction.
    async fn append(
        &self,
        partition: i32,
        (epoch, sequence): (i16, i32),
        count: i32,
        tag: Option<TransactionTag>,
    ) -> AppendOutcome {
        let mut builder =
            BatchBuilder::new(Compression::None).producer(PRODUCER, epoch, sequence).transactional(tag.is_some());
        for _ in 0..count {
            builder.push(7, None, Some(Bytes::from_static(b"value")), Vec::new()).expect("fits");
        }
        let batch = BatchToAppend { transaction: tag, ..BatchToAppend::new(self.at(partition), builder.build(0)) };
        let append = Append { batches: vec![batch], source: AppendSource::Inline };
        let deadline = self.runtime.monotonic() + Duration::from_secs(30);
        let shard = self.log.shard(self.shard_of(partition)).expect("is open");
        shard.append(append, deadline).outcome().await.expect("an outcome").remove(0)
    }

    fn offset(&self, group: &str) -> Option<i64> {
        let view = self.log.view();
        view.group(group).and_then(|group| group.offset(self.at(0))).map(|offset| offset.offset)
    }

    async fn offsets(&self, group: &str, offset: i64, tag: TransactionTag, epoch: i16) -> Result<(), Rejection> {
        let committed = CommittedOffset { offset, leader_epoch: -1, metadata: String::new(), commit_ms: 5 };
        let operation = Operation::CommitTransactionOffsets {
            group: group.to_owned(),
            producer_id: PRODUCER,
            epoch,
            transaction: tag,
            offsets: vec![(self.at(0), committed)],
        };
        self.commit(self.log.group_shard(group), operation).await
    }

    fn status(&self) -> TransactionStatus {
        self.log.view().transaction(ID).expect("is known").status
    }

    /// Each state survives a checkpoint, and another node that replays the log comes to the same.
    async fn check(&self) {
        let other = Log::open(self.store.clone(), LogOptions::default(), self.runtime.clone()).await.expect("opens");
        for shard in self.log.shards() {
            let state = shard.state();
            check_state(&state).expect("holds");
            let decoded = checkpoint::decode(&checkpoint::encode(&state).into_bytes()).expect("readable");
            check_state(&decoded).expect("holds");
            assert_eq!(checkpoint::state_bytes(&decoded), checkpoint::state_bytes(&state));
            let replayed = other.shard(shard.id()).expect("is open").catch_up().await.expect("replays");
            assert_eq!(checkpoint::state_bytes(&replayed), checkpoint::state_bytes(&state));
        }
    }
}

fn here(implicit: bool) -> Option<TransactionTag> {
    Some(TransactionTag::Here { transactional_id: ID.into(), implicit })
}

fn refused(rejection: TransactionRejection) -> AppendOutcome {
    AppendOutcome::Rejected(AppendRejection::Transaction(rejection))
}

fn appended(base_offset: i64) -> AppendOutcome {
    AppendOutcome::Appended { base_offset, log_start_offset: 0 }
}

#[tokio::test(start_paused = true)]
async fn in_one_shard_the_first_batch_begins_and_the_end_is_one_entry() {
    let world = World::new(1).await;
    assert_eq!(world.append(0, (0, 0), 3, here(true)).await, appended(0));
    assert_eq!(world.append(1, (0, 0), 2, here(true)).await, appended(0));
    assert_eq!(world.append(0, (0, 3), 1, here(true)).await, appended(3));
    assert_eq!((world.partition(0).high_watermark(), world.partition(0).last_stable_offset()), (4, 0));
    assert_eq!(world.status(), TransactionStatus::Ongoing);
    let before = world.log.meta().state().entry_number();
    world.end(0, 1, true, 1).await.expect("commits");
    assert_eq!(world.log.meta().state().entry_number(), before + 1);
    assert_eq!(world.status(), TransactionStatus::CompleteCommit);
    for (partition, end) in [(0, 5), (1, 3)] {
        let found = world.partition(partition);
        assert_eq!((found.high_watermark(), found.last_stable_offset()), (end, end));
        assert_eq!(found.aborted_transactions(0, i64::MAX).count(), 0);
    }
    // The next one, in the next epoch, aborts.
    assert_eq!(world.append(0, (1, 0), 2, here(true)).await, appended(5));
    world.end(1, 2, false, 2).await.expect("aborts");
    let found = world.partition(0);
    assert_eq!((found.high_watermark(), found.last_stable_offset()), (8, 8));
    let aborted: Vec<_> = found.aborted_transactions(0, 8).map(|one| (one.first_offset, one.last_offset)).collect();
    assert_eq!(aborted, [(5, 7)]);
    assert_eq!(found.aborted_transactions(8, 9).count(), 0);
    assert_eq!(found.aborted_transactions(0, 5).count(), 0);
    world.check().await;
}

#[tokio::test(start_paused = true)]
async fn who_does_not_belong_is_kept_out() {
    let world = World::new(1).await;
    let unknown = TransactionTag::Here { transactional_id: "nobody".into(), implicit: true };
    assert_eq!(world.append(0, (0, 0), 1, Some(unknown)).await, refused(TransactionRejection::UnknownTransactionalId));
    let never_added = TransactionRejection::InvalidState { status: Some(TransactionStatus::Empty) };
    assert_eq!(world.append(0, (0, 0), 1, here(false)).await, refused(never_added));
    world.add(0, &[0], &[]).await.expect("begins");
    assert_eq!(world.append(0, (0, 0), 1, here(false)).await, appended(0));
    let never_added = TransactionRejection::InvalidState { status: Some(TransactionStatus::Ongoing) };
    assert_eq!(world.append(1, (0, 0), 1, here(false)).await, refused(never_added));
    assert_eq!(world.append(0, (1, 0), 1, here(false)).await, refused(TransactionRejection::Fenced { current: 0 }));
    // A plain batch of a producer that has a transaction open.
    let plain = TransactionRejection::InvalidState { status: None };
    assert_eq!(world.append(0, (0, 1), 1, None).await, refused(plain));
    assert_eq!(world.init(Some((PRODUCER, 0)), 1).await, Err(Rejection::ConcurrentTransactions));
    assert_eq!(world.init(Some((PRODUCER, 5)), 6).await, Err(Rejection::TransactionChanged));
    assert_eq!(world.end(1, 1, true, 2).await, Err(Rejection::ProducerFenced { current: 0 }));
    world.end(0, 1, false, 1).await.expect("aborts");
    let done = Rejection::InvalidTransactionState { status: TransactionStatus::CompleteAbort };
    assert_eq!(world.end(1, 1, true, 2).await, Err(done));
    // What was on its way when the transaction ended.
    let late = AppendOutcome::Rejected(AppendRejection::InvalidProducerEpoch { current: 1, found: 0 });
    assert_eq!(world.append(0, (0, 1), 1, here(true)).await, late);
    assert_eq!(world.append(1, (0, 0), 1, here(true)).await, refused(TransactionRejection::Fenced { current: 1 }));
    world.check().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_keeps_its_epoch_goes_on_with_its_sequence() {
    let world = World::new(1).await;
    world.add(0, &[0], &[]).await.expect("begins");
    assert_eq!(world.append(0, (0, 0), 2, here(false)).await, appended(0));
    world.end(0, 1, true, 0).await.expect("commits");
    // Late, and in no transaction.
    let none = TransactionRejection::InvalidState { status: Some(TransactionStatus::CompleteCommit) };
    assert_eq!(world.append(0, (0, 2), 1, here(false)).await, refused(none));
    world.add(0, &[0], &[]).await.expect("begins");
    let repeated = AppendOutcome::Duplicate { base_offset: 0, log_start_offset: 0 };
    assert_eq!(world.append(0, (0, 0), 2, here(false)).await, repeated);
    assert_eq!(world.append(0, (0, 2), 1, here(false)).await, appended(3));
    world.end(0, 2, false, 0).await.expect("aborts");
    assert_eq!(world.partition(0).aborted_transactions(0, 9).count(), 1);
    world.check().await;
}

#[tokio::test(start_paused = true)]
async fn over_shards_each_is_ended_once_and_what_comes_late_is_refused() {
    let world = World::new(4).await;
    let home = world.log.group_shard(ID);
    let away: Vec<i32> = (0..4).filter(|partition| world.shard_of(*partition) != home).collect();
    let there = away[0];
    let shard = world.shard_of(there);
    world.add(0, &[there], &[]).await.expect("begins");
    let state = world.log.shard(shard).expect("is open").state();
    let tag = TransactionTag::verified(1, world.runtime.now_ms(), &state);
    assert_eq!(world.append(there, (0, 0), 2, Some(tag.clone())).await, appended(0));
    assert_eq!(world.partition(there).last_stable_offset(), 0);
    world.end(0, 1, true, 1).await.expect("is decided");
    assert_eq!(world.status(), TransactionStatus::PrepareCommit);
    assert_eq!(world.add(1, &[there], &[]).await, Err(Rejection::ConcurrentTransactions));
    // Decided, and not yet ended there: it goes with the rest.
    assert_eq!(world.append(there, (0, 2), 1, Some(tag.clone())).await, appended(2));
    let markers = || Operation::WriteMarkers {
        producer_id: PRODUCER,
        epoch: 1,
        number: 1,
        commit: true,
        partitions: vec![world.at(there)],
        groups: Vec::new(),
    };
    world.commit(shard, markers()).await.expect("ends");
    assert_eq!(world.partition(there).last_stable_offset(), 4);
    world.commit(shard, markers()).await.expect("nothing to do");
    assert_eq!(world.partition(there).high_watermark(), 4);
    let late = AppendOutcome::Rejected(AppendRejection::InvalidProducerEpoch { current: 1, found: 0 });
    assert_eq!(world.append(there, (0, 3), 1, Some(tag)).await, late);
    let complete = || Operation::CompleteTransaction { transactional_id: ID.to_owned(), number: 1 };
    world.commit_home(complete()).await.expect("completes");
    world.commit_home(complete()).await.expect("nothing to do");
    assert_eq!(world.status(), TransactionStatus::CompleteCommit);
    // Verified for a transaction that ended meanwhile without a batch there: the marker keeps it out.
    world.add(1, &[there], &[]).await.expect("begins");
    world.end(1, 2, false, 1).await.expect("is decided");
    let operation = Operation::WriteMarkers {
        producer_id: PRODUCER,
        epoch: 1,
        number: 2,
        commit: false,
        partitions: vec![world.at(there)],
        groups: Vec::new(),
    };
    world.commit(shard, operation).await.expect("ends");
    let state = world.log.shard(shard).expect("is open").state();
    let tag = TransactionTag::verified(2, world.runtime.now_ms(), &state);
    let ended = TransactionRejection::InvalidState { status: None };
    assert_eq!(world.append(there, (1, 0), 1, Some(tag)).await, refused(ended));
    let tag = TransactionTag::Verified { number: 3, verified_ms: state.timestamp_ms() - 11 * 60 * 1000 };
    let old = refused(TransactionRejection::VerifiedTooLongAgo);
    assert_eq!(world.append(there, (1, 0), 1, Some(tag)).await, old);
    world.check().await;
}

#[tokio::test(start_paused = true)]
async fn offsets_of_a_group_come_with_the_transaction() {
    for shard_count in [1, 4] {
        let world = World::new(shard_count).await;
        let group = (0..64)
            .map(|n| format!("group-{n}"))
            .find(|group| shard_count == 1 || world.log.group_shard(group) != world.log.group_shard(ID))
            .expect("one is elsewhere");
        let tag = |number| match shard_count {
            1 => here(false).expect("a tag"),
            _ => TransactionTag::Verified { number, verified_ms: world.runtime.now_ms() },
        };
        for (number, commit, expected) in [(1, false, None), (2, true, Some(22))] {
            let epoch = number as i16 - 1;
            world.add(epoch, &[], &[&group]).await.expect("begins");
            world.offsets(&group, 10 * number as i64, tag(number), epoch).await.expect("is taken");
            world.offsets(&group, 11 * number as i64, tag(number), epoch).await.expect("is taken");
            assert_eq!(world.offset(&group), None);
            assert!(world.log.view().group(&group).expect("is known").has_pending_offset(world.at(0)));
            world.end(epoch, number, commit, epoch + 1).await.expect("is decided");
            if shard_count > 1 {
                assert_eq!(world.offset(&group), None);
                let operation = Operation::WriteMarkers {
                    producer_id: PRODUCER,
                    epoch: epoch + 1,
                    number,
                    commit,
                    partitions: Vec::new(),
                    groups: vec![group.clone()],
                };
                world.commit(world.log.group_shard(&group), operation).await.expect("ends");
                let complete = Operation::CompleteTransaction { transactional_id: ID.to_owned(), number };
                world.commit_home(complete).await.expect("completes");
            }
            assert_eq!(world.offset(&group), expected);
            assert!(world.log.view().group(&group).is_none_or(|known| !known.has_pending_offsets()));
            let late = world.offsets(&group, 99, tag(number), epoch).await;
            assert_eq!(late, Err(Rejection::ProducerFenced { current: epoch + 1 }));
        }
        world.check().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_that_is_deleted_takes_no_offsets_of_transactions_that_ended_in_it() {
    let world = World::new(1).await;
    let group = "readers".to_owned();
    let tag = || TransactionTag::Verified { number: 1, verified_ms: world.runtime.now_ms() };
    world.add(0, &[], &[&group]).await.expect("begins");
    world.offsets(&group, 10, tag(), 0).await.expect("is taken");
    let delete = || Operation::DeleteGroup { group: group.clone() };
    assert_eq!(world.commit_home(delete()).await, Err(Rejection::GroupNotEmpty));
    world.end(0, 1, true, 0).await.expect("is decided");
    assert_eq!(world.offset(&group), Some(10));
    world.commit_home(delete()).await.expect("is deleted");
    assert!(world.log.view().group(&group).is_none() && world.log.view().groups().next().is_none());
    assert_eq!(world.commit_home(delete()).await, Err(Rejection::UnknownGroup));

    // What a frozen node had of the transaction comes now.
    let ended = TransactionRejection::InvalidState { status: None };
    assert_eq!(world.offsets(&group, 11, tag(), 0).await, Err(ended.into()));
    assert!(world.log.view().group(&group).is_none());
    world.check().await;

    world.add(0, &[], &[&group]).await.expect("begins");
    let tag = TransactionTag::Verified { number: 2, verified_ms: world.runtime.now_ms() };
    world.offsets(&group, 12, tag, 0).await.expect("is taken");
    world.end(0, 2, true, 0).await.expect("is decided");
    assert_eq!(world.offset(&group), Some(12));
    world.check().await;
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_is_deleted_has_no_offsets_when_the_transaction_commits() {
    let world = World::new(1).await;
    let group = "readers".to_owned();
    let tag = TransactionTag::Verified { number: 1, verified_ms: world.runtime.now_ms() };
    world.add(0, &[], &[&group]).await.expect("begins");
    world.offsets(&group, 10, tag, 0).await.expect("is taken");
    world.log.commit_topic(Operation::DeleteTopic { id: world.at(0).topic }, None).await.expect("is deleted");
    world.end(0, 1, true, 0).await.expect("is decided");
    assert_eq!(world.offset(&group), None);
    assert!(world.log.view().group(&group).is_none());
    world.check().await;
}

#[tokio::test(start_paused = true)]
async fn only_what_is_overdue_times_out_and_only_what_is_silent_expires() {
    let world = World::new(1).await;
    world.add(0, &[0], &[]).await.expect("begins");
    let early = world.end_when(0, 1, false, 1, true).await;
    assert_eq!(early, Err(Rejection::InvalidTransactionState { status: TransactionStatus::Ongoing }));
    let state = world.log.meta().state();
    assert_eq!(state.overdue_transactions(state.timestamp_ms()).count(), 0);
    let deadline_ms = state.next_transaction_deadline_ms().expect("one is open");
    assert_eq!(state.overdue_transactions(deadline_ms).count(), 1);
    world.runtime.sleep(Duration::from_millis(TIMEOUT_MS as u64)).await;
    let seen = |world: &World| world.log.view().transaction(ID).expect("is known").updated_ms;
    let expire = |seen_ms| Operation::ExpireTransactions { ids: vec![(ID.to_owned(), seen_ms)] };
    world.commit_home(expire(seen(&world))).await.expect("nothing to do");
    world.end_when(0, 1, false, 1, true).await.expect("is overdue");
    assert_eq!(world.log.meta().state().next_transaction_deadline_ms(), None);
    world.commit_home(expire(seen(&world) - 1)).await.expect("nothing to do");
    assert!(world.log.view().transaction(ID).is_some());
    world.commit_home(expire(seen(&world))).await.expect("goes");
    assert!(world.log.view().transaction(ID).is_none());
    world.check().await;
}

#[tokio::test(start_paused = true)]
async fn an_abort_of_nothing_raises_the_epoch() {
    let world = World::new(1).await;
    let nothing = Rejection::InvalidTransactionState { status: TransactionStatus::Empty };
    assert_eq!(world.end(0, 0, true, 1).await, Err(nothing));
    world.end(0, 0, false, 1).await.expect("aborts nothing");
    let view = world.log.view();
    let record = view.transaction(ID).expect("is known");
    assert_eq!((record.epoch, record.previous_epoch, record.status), (1, 0, TransactionStatus::CompleteAbort));
    assert_eq!(world.append(0, (1, 0), 1, here(true)).await, appended(0));
    world.end(1, 1, true, 2).await.expect("commits");
    world.check().await;
}

#[tokio::test(start_paused = true)]
async fn a_deleted_topic_does_not_keep_a_transaction_open() {
    let world = World::new(4).await;
    world.add(0, &[0, 1, 2, 3], &[]).await.expect("begins");
    world.log.commit_topic(Operation::DeleteTopic { id: world.topic }, None).await.expect("goes");
    world.end(0, 1, true, 1).await.expect("is decided");
    for shard in world.log.shards() {
        let operation = Operation::WriteMarkers {
            producer_id: PRODUCER,
            epoch: 1,
            number: 1,
            commit: true,
            partitions: (0..4).map(|partition| world.at(partition)).collect(),
            groups: Vec::new(),
        };
        world.commit(shard.id(), operation).await.expect("nothing to do");
    }
    world
        .commit_home(Operation::CompleteTransaction { transactional_id: ID.to_owned(), number: 1 })
        .await
        .expect("ends");
    assert_eq!(world.status(), TransactionStatus::CompleteCommit);
    world.check().await;
}

#[tokio::test(start_paused = true)]
async fn only_the_producer_that_goes_on_may_ask_again() {
    let world = World::new(1).await;
    let previous = || {
        let view = world.log.view();
        let record = view.transaction(ID).expect("is known");
        (record.previous_producer_id, record.previous_epoch, record.status)
    };
    world.end(0, 0, false, 1).await.expect("aborts nothing");
    assert_eq!(previous(), (PRODUCER, 0, TransactionStatus::CompleteAbort));
    world.init_as(Some((PRODUCER, 1)), 2, true).await.expect("goes on");
    assert_eq!(previous(), (PRODUCER, 1, TransactionStatus::Empty));
    world.init_as(Some((PRODUCER, 2)), 3, false).await.expect("another one begins");
    assert_eq!(previous(), (-1, -1, TransactionStatus::Empty));
    world.check().await;
}
