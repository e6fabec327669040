//! Ingest: record batches of producers become durable.
//!
//! Flow: [`admit`] (bounded bytes in flight, checks) -> [`request`] (split over shards) -> [`batcher`] (one buffer a shard, a pace)
//! -> [`flush`] (small: rides in the entry; large: segment first) -> commit in [`alluvium_log`] -> answers.
//!
//! Invariants: the order of calls to [`Ingest::append`] is the order of the log for each partition; bytes in flight never
//! exceed the budget; a batch is answered exactly once, and as failed only when it is not in the log.

mod admit;
mod batcher;
mod counters;
mod error;
mod flush;
mod presence;
mod request;
mod settings;

use std::collections::BTreeMap;
use std::sync::Arc;

use alluvium_infra::Runtime;
use alluvium_infra::runtime::Instant;
use alluvium_log::{Log, TransactionTag};
use alluvium_record::{ShardId, TopicPartition};
use bytes::Bytes;
use futures_util::future::join_all;
use parking_lot::RwLock;

pub use admit::Permit;
pub use counters::{BatchOutcome, FlushKind, IngestCounters};
pub use error::AppendError;
pub use presence::ProducerPresence;
pub use request::AppendReply;
pub use settings::IngestSettings;

use admit::Admission;
use batcher::{Batcher, Call};
use presence::Presences;

/// The record batch that a client sends for one partition.
#[derive(Debug, Clone)]
pub struct PartitionAppend {
    /// The partition.
    pub topic_partition: TopicPartition,
    /// The records of the request: one record batch.
    pub records: Bytes,
    /// The transaction that a transactional batch is part of.
    pub transaction: Option<TransactionTag>,
}

/// A batch that is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Offset of its first record.
    pub base_offset: i64,
    /// The timestamp that its records got, for topics with LogAppendTime.
    pub log_append_time_ms: Option<i64>,
    /// First offset of the partition.
    pub log_start_offset: i64,
    /// Whether it was written by an earlier request.
    pub duplicate: bool,
}

/// Takes record batches and makes them durable. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Ingest {
    admission: Admission,
    presences: Arc<Presences>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    log: Log,
    settings: IngestSettings,
    runtime: Runtime,
    counters: Arc<IngestCounters>,
    batchers: RwLock<Batchers>,
}

/// One batcher for each shard that was produced to.
#[derive(Debug, Default)]
struct Batchers {
    by_shard: BTreeMap<ShardId, Arc<Batcher>>,
    draining: bool,
}

impl Ingest {
    /// Starts the task that flushes.
    #[must_use]
    pub fn start(log: Log, settings: IngestSettings, runtime: Runtime) -> Self {
        let presences = Arc::new(Presences::new(runtime.clone()));
        let admission = Admission::new(settings.bytes_in_flight_max);
        let shared = Arc::new(Shared { log, settings, runtime, counters: Arc::default(), batchers: RwLock::default() });
        Self { admission, presences, shared }
    }

    /// Waits for room for a request of so many bytes. The permit rides with the request until it is answered.
    pub async fn admit(&self, bytes: usize) -> Permit {
        self.admission.admit(bytes).await
    }

    /// Bytes that may still come in before [`Ingest::admit`] waits.
    #[must_use]
    pub fn bytes_available(&self) -> usize {
        self.admission.available()
    }

    /// Bytes that may come in before [`Ingest::admit`] waits, when none are there.
    #[must_use]
    pub fn bytes_in_flight_max(&self) -> usize {
        self.admission.bytes_max()
    }

    /// What this node's ingest counts.
    #[must_use]
    pub fn counters(&self) -> &IngestCounters {
        &self.shared.counters
    }

    /// Takes the batches of one request. The order of calls is the order of the log; the reply has one result a
    /// partition, in the order of `partitions`.
    pub fn append(
        &self,
        permit: Permit,
        partitions: Vec<PartitionAppend>,
        deadline: Instant,
        presence: &ProducerPresence,
    ) -> AppendReply {
        request::begin(&self.shared, permit, partitions, deadline, presence, |shard, call| self.buffer(shard, call))
    }

    fn buffer(&self, shard: ShardId, call: Call) {
        if let Some(batcher) = self.shared.batchers.read().by_shard.get(&shard) {
            batcher.buffer(call);
            return;
        }
        let Some(open) = self.shared.log.shard(shard) else {
            call.answer(|| AppendError::Unavailable(format!("shard {shard} is not open yet")));
            return;
        };
        let mut batchers = self.shared.batchers.write();
        if batchers.draining {
            call.answer(|| AppendError::ShuttingDown);
            return;
        }
        let start = || {
            let Shared { log, settings, runtime, counters, .. } = &*self.shared;
            let (settings, runtime, counters) = (settings.clone(), runtime.clone(), counters.clone());
            Batcher::start(log.clone(), open, settings, runtime, self.presences.clone(), counters)
        };
        batchers.by_shard.entry(shard).or_insert_with(start).buffer(call);
    }

    /// A connection that produces: knowing that its client waits lets a flush go at once.
    #[must_use]
    pub fn connect(&self) -> ProducerPresence {
        ProducerPresence::new(self.presences.clone())
    }

    /// Takes no more, flushes what is there, and returns when everything is answered.
    pub async fn drain(&self) {
        let batchers: Vec<Arc<Batcher>> = {
            let mut batchers = self.shared.batchers.write();
            batchers.draining = true;
            batchers.by_shard.values().cloned().collect()
        };
        join_all(batchers.iter().map(|batcher| batcher.drain())).await;
    }
}
