//! Appends that the leader did not take although it took later ones: nothing is written twice, nothing in the wrong order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use alluvium_infra::Runtime;
use alluvium_infra::runtime::Instant;
use alluvium_infra::store::{MemoryStore, Payload, Store};
use alluvium_log::{
    Append, AppendOutcome, AppendRejection, AppendSource, BatchToAppend, CommitError, ForwardError, Log, LogOptions,
    Operation, Peers,
};
use alluvium_record::batch::BatchBuilder;
use alluvium_record::{Compression, NodeId, ShardId, TopicId, TopicPartition};
use bytes::Bytes;
use tokio::sync::oneshot;

/// A leader that does nothing with the second append that it is sent.
#[derive(Debug)]
struct SkipsTheSecond {
    leader: Log,
    count: std::sync::atomic::AtomicU32,
    /// What it takes from somebody else before it answers the third.
    meanwhile: Option<BatchToAppend>,
}

impl Peers for SkipsTheSecond {
    fn leader(&self, _: ShardId) -> Option<NodeId> {
        Some(NodeId(2))
    }

    fn forward(
        &self,
        _: NodeId,
        shard: ShardId,
        append: &Append,
        deadline: Instant,
    ) -> oneshot::Receiver<Result<Vec<AppendOutcome>, ForwardError>> {
        let (reply, answer) = oneshot::channel();
        let count = self.count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        if count == 1 {
            drop(reply.send(Err(ForwardError::NotSent("its time was up".to_owned()))));
            return answer;
        }
        let shard = self.leader.shard(shard).expect("open");
        let ticket = shard.append_here(append.clone(), deadline);
        let meanwhile = self.meanwhile.clone().filter(|_| count == 2);
        self.leader.runtime().spawn("peer", async move {
            let outcomes = ticket.outcome().await;
            if let Some(batch) = meanwhile {
                let append = Append { batches: vec![batch], source: AppendSource::Inline };
                shard.append_here(append, deadline).outcome().await.expect("is written");
            }
            drop(reply.send(outcomes.map_err(ForwardError::from)));
        });
        answer
    }

    fn push(&self, _: ShardId, _: u64, _: Payload) {}

    fn all_connected(&self) -> bool {
        true
    }
}

fn batch(place: TopicPartition, producer: Option<(i64, i32)>) -> BatchToAppend {
    batch_of_epoch(place, producer, 0)
}

fn batch_of_epoch(place: TopicPartition, producer: Option<(i64, i32)>, epoch: i16) -> BatchToAppend {
    let mut builder = BatchBuilder::new(Compression::None);
    if let Some((id, sequence)) = producer {
        builder = builder.producer(id, epoch, sequence);
    }
    builder.push(7, None, Some(Bytes::from_static(b"x")), Vec::new()).expect("fits");
    BatchToAppend::new(place, builder.build(0))
}

type Answer = Result<Vec<AppendOutcome>, CommitError>;

/// A partition and, for an idempotent producer, its id and sequence number.
type Sent = (i32, Option<(i64, i32)>);

/// Sends three appends at once through a node whose leader skips the second; what each was answered and where the partitions end.
async fn send(runtime: Runtime, appends: [Vec<Sent>; 3]) -> (Vec<Answer>, Vec<i64>) {
    send_while(runtime, appends, None).await
}

/// The same while this producer's next epoch begins on this partition, before the third is answered.
async fn send_while(runtime: Runtime, appends: [Vec<Sent>; 3], fenced: Option<(i32, i64)>) -> (Vec<Answer>, Vec<i64>) {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(runtime.clone()));
    let open = || Log::open(store.clone(), LogOptions::default(), runtime.clone());
    let (node, leader) = (open().await.expect("opens"), open().await.expect("opens"));
    let topic = TopicId(runtime.random_uuid());
    let create = Operation::CreateTopic {
        id: topic,
        name: "orders".to_owned(),
        partition_count: 2,
        replication_factor: 1,
        configs: BTreeMap::new(),
        shard_count: 1,
    };
    leader.commit_topic(create, None).await.expect("topic is new");
    node.catch_up().await.expect("catches up");
    let fence = |(partition, id)| batch_of_epoch(TopicPartition { topic, partition }, Some((id, 0)), 1);
    node.attach(Arc::new(SkipsTheSecond { leader, count: 0.into(), meanwhile: fenced.map(fence) }));
    let deadline = runtime.monotonic() + Duration::from_secs(30);
    let tickets = appends.map(|batches| {
        let batches = batches
            .into_iter()
            .map(|(partition, producer)| batch(TopicPartition { topic, partition }, producer))
            .collect();
        node.meta().append(Append { batches, source: AppendSource::Inline }, deadline)
    });
    let mut answers = Vec::new();
    for ticket in tickets {
        answers.push(ticket.outcome().await);
    }
    let view = node.catch_up().await.expect("catches up");
    let ends =
        [0, 1].map(|partition| view.partition(TopicPartition { topic, partition }).expect("exists").high_watermark());
    (answers, ends.to_vec())
}

#[test]
fn what_nobody_numbered_is_not_written_behind_what_came_later() {
    Runtime::simulate(1, |runtime| async move {
        let (answers, ends) = send(runtime, [vec![(0, None)], vec![(0, None)], vec![(0, None)]]).await;
        assert!(matches!(answers[1], Err(CommitError::Unavailable(_))), "{answers:?}");
        assert!(matches!(answers[2].as_deref(), Ok([AppendOutcome::Appended { base_offset: 1, .. }])), "{answers:?}");
        assert_eq!(ends, [2, 0]);
    });
}

#[test]
fn what_was_refused_for_want_of_the_one_before_is_written_after_it() {
    Runtime::simulate(2, |runtime| async move {
        let numbered = |sequence| vec![(0, Some((9, sequence)))];
        let (answers, ends) = send(runtime, [numbered(0), numbered(1), numbered(2)]).await;
        let offsets: Vec<i64> = answers
            .iter()
            .map(|answer| match answer.as_deref() {
                Ok([AppendOutcome::Appended { base_offset, .. }]) => *base_offset,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!((offsets, ends), (vec![0, 1, 2], vec![3, 0]));
    });
}

#[test]
fn what_the_leader_took_beside_a_refused_batch_is_not_written_twice() {
    Runtime::simulate(3, |runtime| async move {
        let numbered = |sequence| vec![(0, Some((9, sequence)))];
        let both = vec![(0, Some((9, 2))), (1, None)];
        let (answers, ends) = send(runtime, [numbered(0), numbered(1), both]).await;
        let refused = AppendRejection::OutOfOrderSequence { expected: 1, found: 2 };
        let expected =
            [AppendOutcome::Rejected(refused), AppendOutcome::Appended { base_offset: 0, log_start_offset: 0 }];
        assert_eq!(answers[2].as_deref().expect("is answered"), expected);
        assert_eq!(ends, [2, 1], "the batch that nobody numbered is there once");
    });
}

#[test]
fn what_the_leader_took_is_not_refused_because_its_producer_was_fenced_since() {
    Runtime::simulate(4, |runtime| async move {
        let numbered = |sequence| vec![(0, Some((9, sequence)))];
        let both = vec![(0, Some((9, 2))), (1, Some((8, 0)))];
        let (answers, ends) = send_while(runtime, [numbered(0), numbered(1), both], Some((1, 8))).await;
        assert!(matches!(answers[2], Err(CommitError::Unknown)), "{answers:?}");
        assert_eq!(ends, [3, 2]);
    });
}
