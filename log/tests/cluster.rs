//! The log of a cluster on a memory store: many shards, coordinators, forwarded appends, pushed entries, probing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use alluvium_infra::Runtime;
use alluvium_infra::runtime::Instant;
use alluvium_infra::store::{MemoryStore, Metered, Payload, Store};
use alluvium_log::{
    Append, AppendOutcome, AppendRejection, AppendSource, BatchToAppend, CommitError, CommittedOffset,
    ConsumerGroupChange, ConsumerMemberRecord, ForwardError, Log, LogOptions, Operation, Peers, Rejection,
};
use alluvium_record::batch::{BatchBuilder, RecordBatch};
use alluvium_record::{Compression, NodeId, ShardId, TopicId, TopicPartition};
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use uuid::Uuid;

async fn open(store: &Arc<dyn Store>, shard_count: u32, runtime: &Runtime) -> Log {
    let options = LogOptions { shard_count, ..LogOptions::default() };
    Log::open(store.clone(), options, runtime.clone()).await.expect("opens")
}

fn memory(runtime: &Runtime) -> Arc<dyn Store> {
    Arc::new(MemoryStore::new(runtime.clone()))
}

fn batch(value: &str, producer: Option<(i64, i32)>) -> RecordBatch {
    let mut builder = BatchBuilder::new(Compression::None);
    if let Some((id, sequence)) = producer {
        builder = builder.producer(id, 0, sequence);
    }
    builder.push(7, None, Some(Bytes::copy_from_slice(value.as_bytes())), Vec::new()).expect("fits");
    builder.build(0)
}

fn create(log: &Log, name: &str, partition_count: i32) -> (TopicId, Operation) {
    let id = TopicId(log.runtime().random_uuid());
    let operation = Operation::CreateTopic {
        id,
        name: name.to_owned(),
        partition_count,
        replication_factor: 1,
        configs: BTreeMap::new(),
        shard_count: log.shard_count(),
    };
    (id, operation)
}

async fn create_topic(log: &Log, name: &str, partition_count: i32) -> TopicId {
    let (id, operation) = create(log, name, partition_count);
    log.commit_topic(operation, None).await.expect("topic is new");
    id
}

fn one(place: TopicPartition, value: &str, producer: Option<(i64, i32)>) -> Append {
    Append { batches: vec![BatchToAppend::new(place, batch(value, producer))], source: AppendSource::Inline }
}

fn soon(runtime: &Runtime) -> Instant {
    runtime.monotonic() + Duration::from_secs(30)
}

async fn append(log: &Log, place: TopicPartition, value: &str, producer: Option<(i64, i32)>) -> AppendOutcome {
    let shard = log.view().shard_of(place).and_then(|shard| log.shard(shard)).expect("open");
    let outcomes = shard.append(one(place, value, producer), soon(log.runtime())).outcome().await.expect("is answered");
    outcomes.into_iter().next().expect("one outcome")
}

fn offset(outcome: &AppendOutcome) -> i64 {
    match outcome {
        AppendOutcome::Appended { base_offset, .. } | AppendOutcome::Duplicate { base_offset, .. } => *base_offset,
        AppendOutcome::Rejected(rejection) => panic!("not appended: {rejection}"),
    }
}

fn end(log: &Log, place: TopicPartition) -> i64 {
    log.view().partition(place).expect("exists").high_watermark()
}

#[test]
fn partitions_live_in_their_shards_and_come_and_go_as_one_topic() {
    Runtime::simulate(1, |runtime| async move {
        let store = memory(&runtime);
        let log = open(&store, 4, &runtime).await;
        assert_eq!(log.shards().len(), 4);
        let topic = create_topic(&log, "orders", 16).await;
        let spread: std::collections::BTreeSet<ShardId> =
            (0..16).map(|partition| log.view().shard_of(TopicPartition { topic, partition }).expect("known")).collect();
        assert_eq!(spread.len(), 4, "16 partitions reach all shards");
        for partition in 0..16 {
            let place = TopicPartition { topic, partition };
            assert_eq!(offset(&append(&log, place, "one", None).await), 0);
        }
        let more = Operation::CreatePartitions { id: topic, new_count: 40 };
        log.commit_topic(more.clone(), None).await.expect("grows");
        assert!(matches!(
            log.commit_topic(more, None).await,
            Err(CommitError::Rejected(Rejection::PartitionCountNotLarger { current: 40, requested: 40 }))
        ));
        assert_eq!(offset(&append(&log, TopicPartition { topic, partition: 39 }, "new", None).await), 0);

        // Another node, from the bucket alone.
        let other = open(&store, 1, &runtime).await;
        let view = other.view();
        assert_eq!(view.partition_count(), 40);
        assert_eq!(view.partitions().count(), 40);
        assert_eq!(end(&other, TopicPartition { topic, partition: 7 }), 1);
        for state in view.states() {
            alluvium_log::invariants::check_state(state).expect("holds");
        }
        other.commit_topic(Operation::DeleteTopic { id: topic }, None).await.expect("goes");
        let view = log.catch_up().await.expect("catches up");
        assert!(view.topic(topic).is_none());
        for state in view.states() {
            assert_eq!(state.partition_count(), 0);
        }
    });
}

#[test]
fn what_a_crash_between_shards_leaves_is_swept_and_nothing_else() {
    Runtime::simulate(2, |runtime| async move {
        let store = memory(&runtime);
        let log = open(&store, 4, &runtime).await;
        let kept = create_topic(&log, "kept", 8).await;
        let (lost, operation) = create(&log, "lost", 8);
        // A node that dies after the copies: the meta shard never hears of the topic.
        for shard in log.shards().into_iter().skip(1) {
            shard.commit(operation.clone(), None).await.expect("a copy");
        }
        let copies = |log: &Log| log.view().states().skip(1).filter(|state| state.topic(lost).is_some()).count();
        log.sweep().await;
        assert_eq!(copies(&log), 3, "too young: the topic may be in the making");
        runtime.sleep(Duration::from_secs(11 * 60)).await;
        log.sweep().await;
        assert_eq!(copies(&log), 0);
        for partition in 0..8 {
            assert!(log.view().partition(TopicPartition { topic: kept, partition }).is_some());
        }
        // The name was never taken.
        create_topic(&log, "lost", 8).await;
    });
}

#[test]
fn more_shards_serve_new_topics_and_old_ones_stay() {
    Runtime::simulate(3, |runtime| async move {
        let store = memory(&runtime);
        let (log, other) = (open(&store, 1, &runtime).await, open(&store, 1, &runtime).await);
        let old = create_topic(&log, "old", 8).await;
        let group_shard = log.group_shard("g");
        log.meta().commit(Operation::SetShardCount { count: 8 }, None).await.expect("grows");
        let fewer = log.meta().commit(Operation::SetShardCount { count: 2 }, None).await;
        assert!(matches!(fewer, Err(CommitError::Rejected(Rejection::OutOfBounds { .. }))));
        let mut changes = log.subscribe();
        while log.shards().len() < 8 {
            changes.changed().await;
        }
        let new = create_topic(&log, "new", 64).await;
        assert_eq!(log.group_shard("g"), group_shard);
        let shards = |topic| log.view().topic(topic).expect("known").shards().len();
        assert_eq!((shards(old), shards(new)), (1, 8));
        let mut changes = other.subscribe();
        other.catch_up().await.expect("catches up");
        while other.shards().len() < 8 {
            changes.changed().await;
        }
        other.catch_up().await.expect("catches up");
        assert_eq!(offset(&append(&other, TopicPartition { topic: new, partition: 63 }, "x", None).await), 0);
    });
}

#[test]
fn a_coordinator_that_was_taken_over_from_commands_nothing() {
    Runtime::simulate(4, |runtime| async move {
        let store = memory(&runtime);
        let (one, two) = (open(&store, 1, &runtime).await, open(&store, 1, &runtime).await);
        let topic = create_topic(&one, "orders", 1).await;
        let commit = |offset| Operation::CommitOffsets {
            group: "g".to_owned(),
            offsets: vec![(
                TopicPartition { topic, partition: 0 },
                CommittedOffset { offset, leader_epoch: -1, metadata: String::new(), commit_ms: 0 },
            )],
        };
        let nobody = one.meta().commit_as(1, commit(1), None).await;
        assert!(matches!(nobody, Err(CommitError::Rejected(Rejection::NotCoordinator { epoch: 0, .. }))));
        let take_over = |node| Operation::TakeOver { node, incarnation: Uuid::from_u128(node as u128) };
        let first = one.meta().commit(take_over(1), None).await.expect("takes over").entry_number;
        one.meta().commit_as(first, commit(5), None).await.expect("commits");
        let second = two.meta().commit(take_over(2), None).await.expect("takes over").entry_number;
        assert!(second > first);
        two.meta().commit_as(second, commit(9), None).await.expect("commits");
        // The first one has not heard of it.
        let zombie = one.meta().commit_as(first, commit(6), None).await;
        assert!(
            matches!(zombie, Err(CommitError::Rejected(Rejection::NotCoordinator { epoch, node: 2 })) if epoch == second)
        );
        let state = one.meta().state();
        let known = state.group("g").and_then(|group| group.offset(TopicPartition { topic, partition: 0 }));
        assert_eq!(known.map(|known| known.offset), Some(9));
    });
}

#[test]
fn a_group_of_the_new_protocol_survives_checkpoints_and_changes_kind() {
    Runtime::simulate(5, |runtime| async move {
        let store = memory(&runtime);
        let log = open(&store, 1, &runtime).await;
        let member = |id: &str, epoch| ConsumerMemberRecord {
            member_id: id.to_owned(),
            member_epoch: epoch,
            subscribed_topics: vec!["orders".to_owned()],
            ..ConsumerMemberRecord::default()
        };
        let change = |epoch, put, remove: &[&str]| Operation::PutConsumerGroup {
            change: ConsumerGroupChange {
                group: "g".to_owned(),
                epoch,
                assignment_epoch: epoch,
                put,
                remove: remove.iter().map(|id| (*id).to_owned()).collect(),
                updated_ms: 1,
            },
        };
        log.meta().commit(change(1, vec![member("a", 1), member("b", 1)], &[]), None).await.expect("written");
        log.meta().commit(change(2, vec![member("b", 2)], &["a"]), None).await.expect("written");
        let state = log.meta().state();
        let group = state.group("g").and_then(|group| group.consumer()).expect("of the new protocol").clone();
        assert_eq!((group.epoch, group.members.size()), (2, 1));
        assert_eq!(group.members.get("b").map(|member| member.member_epoch), Some(2));
        let bytes = alluvium_log::format::checkpoint::encode(&state).into_bytes();
        let decoded = alluvium_log::format::checkpoint::decode(&bytes).expect("reads back");
        assert_eq!(decoded.group("g").and_then(|group| group.consumer()), Some(&group));
        let refused = log.meta().commit(Operation::DeleteGroup { group: "g".to_owned() }, None).await;
        assert!(matches!(refused, Err(CommitError::Rejected(Rejection::GroupNotEmpty))));
    });
}

/// A peer that hands appends to another log and lets the test decide what becomes of the answer.
#[derive(Debug)]
struct ToOther {
    other: Log,
    answers: Mutex<Answers>,
    pushed: Mutex<Vec<(u64, Bytes)>>,
    /// Whether there is a leader elsewhere.
    leads: std::sync::atomic::AtomicBool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answers {
    Given,
    /// It is committed there, and the answer is lost.
    Lost,
    /// It never gets there.
    NotSent,
}

impl ToOther {
    fn new(other: &Log) -> Arc<Self> {
        Arc::new(Self {
            other: other.clone(),
            answers: Mutex::new(Answers::Given),
            pushed: Mutex::default(),
            leads: true.into(),
        })
    }

    fn set(&self, answers: Answers) {
        *self.answers.lock() = answers;
    }
}

impl Peers for ToOther {
    fn leader(&self, _: ShardId) -> Option<NodeId> {
        self.leads.load(std::sync::atomic::Ordering::Relaxed).then_some(NodeId(2))
    }

    fn forward(
        &self,
        _: NodeId,
        shard: ShardId,
        append: &Append,
        deadline: Instant,
    ) -> oneshot::Receiver<Result<Vec<AppendOutcome>, ForwardError>> {
        let (reply, answer) = oneshot::channel();
        let answers = *self.answers.lock();
        if answers == Answers::NotSent {
            drop(reply.send(Err(ForwardError::NotSent("no link".to_owned()))));
            return answer;
        }
        let ticket = self.other.shard(shard).expect("open").append_here(append.clone(), deadline);
        self.other.runtime().spawn("peer", async move {
            let outcome = ticket.outcome().await.map_err(ForwardError::from);
            let said = if answers == Answers::Lost { Err(ForwardError::Unknown) } else { outcome };
            drop(reply.send(said));
        });
        answer
    }

    fn push(&self, _: ShardId, number: u64, entry: Payload) {
        self.pushed.lock().push((number, entry.into_bytes()));
    }

    fn all_connected(&self) -> bool {
        true
    }
}

#[test]
fn appends_are_committed_by_the_leader_and_known_there_first() {
    Runtime::simulate(6, |runtime| async move {
        let store = memory(&runtime);
        let (node, leader) = (open(&store, 1, &runtime).await, open(&store, 1, &runtime).await);
        let topic = create_topic(&leader, "orders", 1).await;
        node.catch_up().await.expect("catches up");
        node.attach(ToOther::new(&leader));
        let place = TopicPartition { topic, partition: 0 };
        assert_eq!(offset(&append(&node, place, "a", None).await), 0);
        assert_eq!((end(&leader, place), end(&node, place)), (1, 0));
        // What the leader refuses is refused for good.
        let refused = append(&node, place, "late", Some((9, 4))).await;
        assert_eq!(offset(&refused), 1, "a producer that is not known may start anywhere");
        let refused = append(&node, place, "gap", Some((9, 9))).await;
        assert!(matches!(
            refused,
            AppendOutcome::Rejected(AppendRejection::OutOfOrderSequence { expected: 5, found: 9 })
        ));
    });
}

#[test]
fn numbered_batches_whose_answer_is_lost_are_written_once() {
    Runtime::simulate(7, |runtime| async move {
        let store = memory(&runtime);
        let (node, leader) = (open(&store, 1, &runtime).await, open(&store, 1, &runtime).await);
        let topic = create_topic(&leader, "orders", 1).await;
        node.catch_up().await.expect("catches up");
        let peers = ToOther::new(&leader);
        node.attach(peers.clone());
        let place = TopicPartition { topic, partition: 0 };
        for (sequence, answers) in
            [Answers::Given, Answers::Lost, Answers::NotSent, Answers::Given].into_iter().enumerate()
        {
            peers.set(answers);
            let outcome = append(&node, place, "x", Some((9, sequence as i32))).await;
            assert_eq!(offset(&outcome), sequence as i64, "{answers:?}");
        }
        node.catch_up().await.expect("catches up");
        assert_eq!(end(&node, place), 4);
    });
}

#[test]
fn nobody_claims_to_know_of_a_batch_without_number_whose_answer_is_lost() {
    Runtime::simulate(8, |runtime| async move {
        let store = memory(&runtime);
        let (node, leader) = (open(&store, 1, &runtime).await, open(&store, 1, &runtime).await);
        let topic = create_topic(&leader, "orders", 1).await;
        node.catch_up().await.expect("catches up");
        let peers = ToOther::new(&leader);
        node.attach(peers.clone());
        let place = TopicPartition { topic, partition: 0 };
        peers.set(Answers::Lost);
        let outcome = node.meta().append(one(place, "x", None), soon(&runtime)).outcome().await;
        assert!(matches!(outcome, Err(CommitError::Unknown)), "{outcome:?}");
        peers.set(Answers::NotSent);
        assert_eq!(offset(&append(&node, place, "y", None).await), 1);
        node.catch_up().await.expect("catches up");
        assert_eq!(end(&node, place), 2, "neither twice nor lost");
    });
}

#[test]
fn the_way_may_change_at_any_moment_and_order_stays() {
    Runtime::simulate(9, |runtime| async move {
        let store = memory(&runtime);
        let (node, leader) = (open(&store, 1, &runtime).await, open(&store, 1, &runtime).await);
        let topic = create_topic(&leader, "orders", 1).await;
        node.catch_up().await.expect("catches up");
        let peers = ToOther::new(&leader);
        node.attach(peers.clone());
        let place = TopicPartition { topic, partition: 0 };
        let mut tickets = Vec::new();
        for sequence in 0..300 {
            match runtime.random_below(6) {
                0 => peers.set(Answers::Lost),
                1 => peers.set(Answers::NotSent),
                2 => peers.set(Answers::Given),
                3 => peers.leads.store(false, std::sync::atomic::Ordering::Relaxed),
                4 => peers.leads.store(true, std::sync::atomic::Ordering::Relaxed),
                _ => runtime.sleep(Duration::from_millis(runtime.random_below(3))).await,
            }
            tickets.push(node.meta().append(one(place, "x", Some((9, sequence))), soon(&runtime)));
            // As a client does: at most five requests of a producer are on their way.
            if tickets.len() >= 5 {
                let outcomes = tickets.remove(0).outcome().await.expect("is answered");
                assert_eq!(offset(&outcomes[0]), i64::from(sequence) - 4);
            }
        }
        for (ticket, expected) in tickets.into_iter().zip(296..) {
            assert_eq!(offset(&ticket.outcome().await.expect("is answered")[0]), expected);
        }
        node.catch_up().await.expect("catches up");
        assert_eq!(end(&node, place), 300);
    });
}

#[test]
fn pushed_entries_are_applied_when_they_follow_and_ignored_otherwise() {
    Runtime::simulate(10, |runtime| async move {
        let memory = memory(&runtime);
        let metered = Metered::new(memory.clone(), runtime.clone());
        let store: Arc<dyn Store> = metered.clone();
        let (node, leader) = (open(&store, 1, &runtime).await, open(&memory, 1, &runtime).await);
        let peers = ToOther::new(&node);
        peers.leads.store(false, std::sync::atomic::Ordering::Relaxed);
        leader.attach(peers.clone());
        let topic = create_topic(&leader, "orders", 1).await;
        let place = TopicPartition { topic, partition: 0 };
        for value in ["a", "b", "c"] {
            append(&leader, place, value, None).await;
        }
        let entries: Vec<Bytes> = peers.pushed.lock().iter().map(|(_, entry)| entry.clone()).collect();
        assert_eq!(entries.len(), 4);
        let before = metered.snapshot().requests();
        // Reordered, doubled, and one that is not an entry.
        for index in [1, 3, 3, 0, 2, 0] {
            node.meta().pushed(entries[index].clone());
        }
        node.meta().pushed(Bytes::from_static(b"nonsense"));
        runtime.sleep(Duration::from_millis(1)).await;
        assert_eq!(end(&node, place), 3);
        assert_eq!(metered.snapshot().requests(), before, "pushes cost no request");
        // An entry of another history is not believed.
        let elsewhere = open(&self::memory(&runtime), 1, &runtime).await;
        let stranger = ToOther::new(&node);
        stranger.leads.store(false, std::sync::atomic::Ordering::Relaxed);
        elsewhere.attach(stranger.clone());
        for name in ["p", "q", "r", "s", "t"] {
            create_topic(&elsewhere, name, 1).await;
        }
        for (_, entry) in stranger.pushed.lock().iter() {
            node.meta().pushed(entry.clone());
        }
        runtime.sleep(Duration::from_millis(1)).await;
        assert!(node.view().topic_by_name("t").is_none());
        append(&node, place, "d", None).await;
        assert_eq!(end(&node, place), 4);
    });
}

#[test]
fn who_waits_finds_entries_that_nobody_told_of_and_who_does_not_wait_asks_nothing() {
    Runtime::simulate(11, |runtime| async move {
        let memory = memory(&runtime);
        let metered = Metered::new(memory.clone(), runtime.clone());
        let store: Arc<dyn Store> = metered.clone();
        let (node, other) = (open(&store, 1, &runtime).await, open(&memory, 1, &runtime).await);
        let topic = create_topic(&other, "orders", 1).await;
        let place = TopicPartition { topic, partition: 0 };
        let before = metered.snapshot().requests();
        runtime.sleep(Duration::from_secs(60)).await;
        assert_eq!(metered.snapshot().requests(), before, "nobody waits: nothing is asked");
        let mut changes = node.subscribe();
        let waiting = node.meta().waiting();
        let begun = runtime.monotonic();
        append(&other, place, "a", None).await;
        while node.view().partition(place).is_none_or(|partition| partition.high_watermark() == 0) {
            changes.changed().await;
        }
        assert!(runtime.monotonic() - begun <= Duration::from_millis(1100));
        let before = metered.snapshot().requests();
        runtime.sleep(Duration::from_secs(10)).await;
        let asked = metered.snapshot().requests() - before;
        assert!((5..=12).contains(&asked), "{asked} probes in ten seconds");
        drop(waiting);
        runtime.sleep(Duration::from_secs(2)).await;
        let before = metered.snapshot().requests();
        runtime.sleep(Duration::from_secs(60)).await;
        assert_eq!(metered.snapshot().requests(), before);
    });
}
