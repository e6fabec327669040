//! Ingest: record batches of producers become durable.
//!
//! Flow: [`admit`] (bounded bytes in flight, checks) -> [`batcher`] (one buffer over all partitions and clients, a pace)
//! -> [`flush`] (small: rides in the entry; large: segment first) -> commit in [`alluvium_log`] -> answers.
//!
//! Invariants: the order of calls to [`Ingest::append`] is the order of the log for each partition; bytes in flight never
//! exceed the budget; a batch is answered exactly once, and as failed only when it is not in the log.

mod admit;
mod batcher;
mod error;
mod flush;
mod presence;
mod settings;

use std::sync::Arc;

use alluvium_infra::Runtime;
use alluvium_infra::runtime::Instant;
use alluvium_log::Log;
use alluvium_record::TopicPartition;
use bytes::Bytes;

pub use admit::Permit;
pub use batcher::AppendReply;
pub use error::AppendError;
pub use presence::ProducerPresence;
pub use settings::IngestSettings;

use admit::Admission;
use batcher::Batcher;
use presence::Presences;

/// The record batch that a client sends for one partition.
#[derive(Debug, Clone)]
pub struct PartitionAppend {
    /// The partition.
    pub topic_partition: TopicPartition,
    /// The records of the request: one record batch.
    pub records: Bytes,
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
    batcher: Arc<Batcher>,
    presences: Arc<Presences>,
}

impl Ingest {
    /// Starts the task that flushes.
    #[must_use]
    pub fn start(log: Log, settings: IngestSettings, runtime: Runtime) -> Self {
        let presences = Arc::new(Presences::new(runtime.clone()));
        let admission = Admission::new(settings.bytes_in_flight_max);
        let batcher = Batcher::start(log, settings, runtime, presences.clone());
        Self { admission, batcher, presences }
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

    /// Takes the batches of one request. The order of calls is the order of the log; the reply has one result a
    /// partition, in the order of `partitions`.
    pub fn append(
        &self,
        permit: Permit,
        partitions: Vec<PartitionAppend>,
        deadline: Instant,
        presence: &ProducerPresence,
    ) -> AppendReply {
        self.batcher.append(permit, partitions, deadline, presence)
    }

    /// A connection that produces: knowing that its client waits lets a flush go at once.
    #[must_use]
    pub fn connect(&self) -> ProducerPresence {
        ProducerPresence::new(self.presences.clone())
    }

    /// Takes no more, flushes what is there, and returns when everything is answered.
    pub async fn drain(&self) {
        self.batcher.drain().await;
    }
}
