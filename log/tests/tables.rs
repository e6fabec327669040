//! Compaction in the log: which replacements it believes, and what becomes garbage.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use alluvium_infra::Runtime;
use alluvium_infra::limits::TABLE_AGE_MS_MAX;
use alluvium_infra::store::{MemoryStore, Store};
use alluvium_log::format::checkpoint;
use alluvium_log::invariants::check_state;
use alluvium_log::paths::ShardPaths;
use alluvium_log::{
    Append, AppendSource, BatchToAppend, CommitError, Log, LogOptions, ObjectRef, Operation, Partition, RecordTotal,
    Rejection, Replacement, ReplacementFile, TablePlace, TableRun, runs_digest,
};
use alluvium_record::batch::BatchBuilder;
use alluvium_record::{Compression, TopicId, TopicPartition, batch_sum};
use bytes::Bytes;
use uuid::Uuid;

struct World {
    log: Log,
    runtime: Runtime,
    topic: TopicId,
}

impl World {
    async fn new() -> Self {
        let runtime = Runtime::seeded(5);
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new(runtime.clone()));
        let log = Log::open(store, LogOptions::default(), runtime.clone()).await.expect("opens");
        let topic = TopicId(runtime.random_uuid());
        let operation = Operation::CreateTopic {
            id: topic,
            name: "orders".to_owned(),
            partition_count: 2,
            replication_factor: 1,
            configs: BTreeMap::new(),
            shard_count: 1,
        };
        log.meta().commit(operation, None).await.expect("topic is new");
        Self { log, runtime, topic }
    }

    fn at(&self, partition: i32) -> TopicPartition {
        TopicPartition { topic: self.topic, partition }
    }

    fn partition(&self, partition: i32) -> Partition {
        self.log.view().partition(self.at(partition)).expect("is known").clone()
    }

    /// One entry that appends a batch of two records to each of the partitions.
    async fn append(&self, partitions: &[i32], source: AppendSource) {
        let batch = |partition: &i32| {
            let mut builder = BatchBuilder::new(Compression::None);
            for _ in 0..2 {
                builder.push(7, None, Some(Bytes::from_static(b"value")), Vec::new()).expect("fits");
            }
            BatchToAppend::new(self.at(*partition), builder.build(0))
        };
        let append = Append { batches: partitions.iter().map(batch).collect(), source };
        let deadline = self.runtime.monotonic() + Duration::from_secs(30);
        self.log.meta().append(append, deadline).outcome().await.expect("is written");
    }

    async fn append_segment(&self, partitions: &[i32]) -> ObjectRef {
        let id = self.runtime.random_uuid();
        self.append(partitions, AppendSource::Segment { id, created_ms: self.runtime.now_ms() }).await;
        ObjectRef::Segment(id)
    }

    /// A replacement of runs as they are, by a file that holds all of it.
    fn replacement(&self, partition: i32, base_offset: i64, last_offset: i64) -> Replacement {
        let known = self.partition(partition);
        let runs = known.runs_between(base_offset, last_offset).expect("runs end there");
        let read = runs.iter().filter_map(|run| known.table(run));
        let in_files = read.fold(RecordTotal::default(), |total, table| {
            total + RecordTotal { count: table.record_count, sum: table.sum }
        });
        let raw = RecordTotal { count: (last_offset - base_offset + 1) as u64 - in_files.count, sum: u128::MAX };
        let written = raw + in_files;
        let table = TableRun {
            record_count: written.count,
            sum: written.sum,
            footer_bytes: 10,
            min_timestamp: 7,
            tombstone_horizon_ms: i64::MAX,
        };
        Replacement {
            topic_partition: self.at(partition),
            base_offset,
            last_offset,
            inputs_digest: runs_digest(&runs),
            raw,
            removed: RecordTotal::default(),
            file: Some(ReplacementFile { id: self.runtime.random_uuid(), length: 100, max_timestamp: 9, table }),
            cleaned_to: None,
        }
    }

    async fn commit(&self, operation: Operation) -> Result<(), Rejection> {
        let result = match self.log.meta().commit(operation, None).await {
            Ok(_) => Ok(()),
            Err(CommitError::Rejected(rejection)) => Err(rejection),
            Err(other) => panic!("{other}"),
        };
        let state = self.log.meta().state();
        check_state(&state).expect("holds");
        let decoded = checkpoint::decode(&checkpoint::encode(&state).into_bytes()).expect("readable");
        check_state(&decoded).expect("holds");
        assert_eq!(checkpoint::state_bytes(&decoded), checkpoint::state_bytes(&state));
        assert_eq!(decoded.referenced_objects().collect::<Vec<_>>(), state.referenced_objects().collect::<Vec<_>>(),);
        result
    }

    async fn replace(&self, replacement: &Replacement) -> Result<(), Rejection> {
        self.commit(Operation::ReplaceRuns { replacement: Box::new(replacement.clone()) }).await
    }

    fn garbage(&self) -> Vec<ObjectRef> {
        self.log.meta().state().garbage().map(|(object, _)| object).collect()
    }
}

fn id_of(replacement: &Replacement) -> Uuid {
    replacement.file.expect("has a file").id
}

#[tokio::test(start_paused = true)]
async fn runs_carry_the_sum_of_their_batches() {
    let world = World::new().await;
    world.append(&[0, 1], AppendSource::Inline).await;
    world.append(&[0], AppendSource::Inline).await;
    let mut builder = BatchBuilder::new(Compression::None);
    for _ in 0..2 {
        builder.push(7, None, Some(Bytes::from_static(b"value")), Vec::new()).expect("fits");
    }
    let crc = builder.build(0).header.crc;
    let sums: Vec<u64> = world.partition(0).runs().map(|run| run.sum).collect();
    assert_eq!(sums, [batch_sum(0, 2, crc), batch_sum(2, 2, crc)]);
}

#[tokio::test(start_paused = true)]
async fn a_segment_is_garbage_when_its_last_run_is_replaced() {
    let world = World::new().await;
    let segment = world.append_segment(&[0, 1]).await;
    world.append(&[0], AppendSource::Inline).await;
    let first = world.replacement(0, 0, 3);
    world.replace(&first).await.expect("is believed");
    let run = *world.partition(0).run_at(2).expect("is there");
    assert_eq!((run.object, run.base_offset, run.last_offset), (ObjectRef::Table(id_of(&first)), 0, 3));
    assert_eq!(world.garbage(), []);
    let other = world.replacement(1, 0, 1);
    world.replace(&other).await.expect("is believed");
    assert_eq!(world.garbage(), [segment]);
    let state = world.log.meta().state();
    let (object, garbage) = state.garbage().next().expect("one");
    assert_eq!(garbage.entry_number, state.entry_number());
    let paths = world.log.meta().paths();
    assert!(garbage.path(object, paths).expect("a path").as_str().contains("/segment/"));
    world
        .commit(Operation::ForgetObjects { objects: vec![segment, ObjectRef::Table(id_of(&other))] })
        .await
        .expect("goes");
    assert_eq!(world.garbage(), []);
    // What is not on the list makes no entry; nothing at all makes one that changes nothing.
    let number = world.log.meta().state().entry_number();
    world.commit(Operation::ForgetObjects { objects: vec![segment] }).await.expect("is no error");
    assert_eq!(world.log.meta().state().entry_number(), number);
    world.commit(Operation::ForgetObjects { objects: Vec::new() }).await.expect("goes");
    assert_eq!(world.log.meta().state().entry_number(), number + 1);
    assert_eq!(world.log.meta().state().references(ObjectRef::Table(id_of(&other))), 1);
    // A file is replaced by another one, which knows its path.
    let again = world.replacement(0, 0, 3);
    world.replace(&again).await.expect("is believed");
    assert_eq!(world.garbage(), [ObjectRef::Table(id_of(&first))]);
    let state = world.log.meta().state();
    let (object, garbage) = state.garbage().next().expect("one");
    let path = garbage.path(object, paths).expect("a path");
    let place = TablePlace { topic_partition: world.at(0), base_offset: 0, last_offset: 3 };
    assert_eq!(ShardPaths::parse_table(path.as_str()), Some((place, id_of(&first))));
}

#[tokio::test(start_paused = true)]
async fn a_replacement_that_is_wrong_or_late_changes_nothing() {
    let world = World::new().await;
    world.append(&[0], AppendSource::Inline).await;
    world.append(&[0], AppendSource::Inline).await;
    world.append(&[0], AppendSource::Inline).await;
    let good = world.replacement(0, 0, 3);
    let mut lost = good.clone();
    lost.raw.count += 1;
    assert!(matches!(world.replace(&lost).await, Err(Rejection::SumsDiffer(_))));
    let mut changed = good.clone();
    changed.raw.sum = 3;
    assert!(matches!(world.replace(&changed).await, Err(Rejection::SumsDiffer(_))));
    // A run that the job passed over is missing in what it read and in what it wrote.
    let mut passed_over = good.clone();
    passed_over.raw.count -= 2;
    let file = passed_over.file.as_mut().expect("has a file");
    file.table.record_count -= 2;
    assert!(matches!(world.replace(&passed_over).await, Err(Rejection::SumsDiffer(_))));
    let mut other = good.clone();
    other.inputs_digest[0] ^= 1;
    assert_eq!(world.replace(&other).await, Err(Rejection::RunsChanged));
    let mut across = good.clone();
    across.last_offset = 2;
    assert_eq!(world.replace(&across).await, Err(Rejection::RunsChanged));
    let mut elsewhere = good.clone();
    elsewhere.topic_partition.partition = 7;
    assert_eq!(world.replace(&elsewhere).await, Err(Rejection::UnknownPartition));
    // An orphan is collected after a day: a file whose upload began six hours ago is not named any more, whoever stood still so long.
    let begun_ago = |ms: u64| {
        let begun_ms = world.runtime.now_ms() as u64 - ms;
        let id = uuid::Builder::from_unix_timestamp_millis(begun_ms, &[7; 10]).into_uuid();
        Replacement { file: good.file.map(|file| ReplacementFile { id, ..file }), ..good.clone() }
    };
    let (old, young) = (begun_ago(TABLE_AGE_MS_MAX + 1_000), begun_ago(TABLE_AGE_MS_MAX - 60_000));
    assert!(matches!(world.replace(&old).await, Err(Rejection::OutOfBounds { what: "age of the file", .. })));
    let mut far = good.clone();
    far.cleaned_to = Some(5);
    assert!(matches!(world.replace(&far).await, Err(Rejection::OutOfBounds { .. })));
    assert_eq!(world.partition(0).runs().count(), 3);
    // Another compactor was faster; then retention took the first run.
    let slow = good.clone();
    let good = young;
    world.replace(&good).await.expect("is believed");
    assert_eq!(world.replace(&slow).await, Err(Rejection::RunsChanged));
    let late = world.replacement(0, 0, 5);
    let delete = Operation::DeleteRecords { topic_partition: world.at(0), before_offset: 4 };
    world.commit(delete).await.expect("moves");
    assert_eq!(world.garbage(), [ObjectRef::Table(id_of(&good))]);
    assert_eq!(world.replace(&late).await, Err(Rejection::RunsChanged));
    world.commit(Operation::DeleteTopic { id: world.topic }).await.expect("goes");
    assert_eq!(world.replace(&late).await, Err(Rejection::UnknownPartition));
}

#[tokio::test(start_paused = true)]
async fn what_is_left_out_leaves_a_run_without_an_object() {
    let world = World::new().await;
    world.append(&[0], AppendSource::Inline).await;
    let segment = world.append_segment(&[0]).await;
    let mut empty = world.replacement(0, 2, 3);
    empty.removed = empty.raw;
    empty.file = None;
    world.replace(&empty).await.expect("is believed");
    let partition = world.partition(0);
    assert_eq!(partition.run_at(3).expect("is there").object, ObjectRef::Nothing);
    assert_eq!((partition.high_watermark(), world.garbage()), (4, vec![segment]));
    let mut all = world.replacement(0, 0, 3);
    // No record is left of the second run, so none is read of it.
    all.raw.count = 2;
    all.file = all.file.map(|file| ReplacementFile { table: TableRun { record_count: 2, ..file.table }, ..file });
    all.cleaned_to = Some(4);
    world.replace(&all).await.expect("is believed");
    assert_eq!(world.partition(0).cleaned_to(), 4);
    world.commit(Operation::DeleteTopic { id: world.topic }).await.expect("goes");
    assert_eq!(world.garbage(), [segment, ObjectRef::Table(id_of(&all))]);
    assert_eq!(world.log.meta().state().referenced_objects().count(), 0);
}
