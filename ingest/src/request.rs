//! One produce request: checked, split over the shards of its partitions, and put together again when all have answered.
//!
//! Invariants: the order of calls is the order of the log for each partition, because a partition has one shard and a shard one
//! batcher; the room of a request is given back when its last part is answered.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use alluvium_infra::Runtime;
use alluvium_infra::runtime::Instant;
use alluvium_log::BatchToAppend;
use alluvium_log::placement::META_SHARD;
use alluvium_record::ShardId;
use bytes::Bytes;
use tokio::sync::oneshot;

use crate::admit::{Admitted, Permit, check};
use crate::batcher::{Call, Results, SentBatch};
use crate::counters::IngestCounters;
use crate::presence::ProducerPresence;
use crate::{AppendError, Appended, PartitionAppend, Shared};

/// The part of a request that one shard commits, before it is handed over.
struct Part {
    positions: Vec<usize>,
    batches: Vec<BatchToAppend>,
    sent: Vec<SentBatch>,
    bytes: usize,
}

/// Checks every partition of a request and hands those that pass to `buffer`, by shard.
pub(crate) fn begin(
    shared: &Shared,
    permit: Permit,
    partitions: Vec<PartitionAppend>,
    deadline: Instant,
    presence: &ProducerPresence,
    mut buffer: impl FnMut(ShardId, Call),
) -> AppendReply {
    let Shared { log, runtime, counters, .. } = shared;
    let (state, now_ms) = (log.meta().state(), runtime.now_ms());
    let mut results: Vec<Option<Result<Appended, AppendError>>> = Vec::with_capacity(partitions.len());
    let mut parts: BTreeMap<ShardId, Part> = BTreeMap::new();
    let mut bytes = 0;
    for (position, partition) in partitions.into_iter().enumerate() {
        let Admitted { batch, log_append_time_ms } = match check(&state, &partition, now_ms) {
            Ok(admitted) => admitted,
            Err(error) => {
                let refused = Err(error);
                counters.ended(&refused, 0, 0);
                results.push(Some(refused));
                continue;
            }
        };
        results.push(None);
        let topic_partition = partition.topic_partition;
        // The meta shard is the one that can say for certain that a topic is unknown.
        let topic = state.topic(topic_partition.topic);
        let shard = topic.map_or(META_SHARD, |topic| topic.shard_of(topic_partition.partition));
        let part = parts.entry(shard).or_insert_with(|| Part {
            positions: Vec::new(),
            batches: Vec::new(),
            sent: Vec::new(),
            bytes: 0,
        });
        bytes += batch.bytes.len();
        part.bytes += batch.bytes.len();
        part.positions.push(position);
        part.sent.push(SentBatch::new(&batch, log_append_time_ms));
        let transaction = partition.transaction;
        part.batches.push(BatchToAppend { transaction, ..BatchToAppend::new(topic_partition, batch) });
    }
    // What stays in memory after the answer must not pin a frame that is mostly something else.
    let copies = bytes * 2 < permit.bytes();
    let permit = Arc::new(permit.unless_dropped_early());
    let waiting = parts
        .into_iter()
        .map(|(shard, part)| {
            let (reply, answer) = oneshot::channel();
            let positions = part.positions.clone();
            buffer(shard, part.into_call(reply, deadline, permit.clone(), presence, copies, counters.clone()));
            Waiting { answer, positions }
        })
        .collect();
    AppendReply { results, waiting, expired: Box::pin(expire(runtime.clone(), deadline)) }
}

impl Part {
    fn into_call(
        self,
        reply: oneshot::Sender<Results>,
        deadline: Instant,
        permit: Arc<Permit>,
        presence: &ProducerPresence,
        copies: bool,
        counters: Arc<IngestCounters>,
    ) -> Call {
        let mut batches: Vec<(usize, BatchToAppend)> = self.batches.into_iter().enumerate().collect();
        if copies {
            for (_, kept) in &mut batches {
                kept.batch.bytes = Bytes::copy_from_slice(&kept.batch.bytes);
            }
        }
        Call {
            results: vec![None; batches.len()],
            sent: self.sent,
            batches,
            bytes: self.bytes,
            deadline,
            reply,
            counters,
            _permit: permit,
            _unanswered: presence.begin(),
        }
    }
}

async fn expire(runtime: Runtime, deadline: Instant) {
    runtime.sleep_until(deadline).await;
}

/// A shard that has not answered.
struct Waiting {
    answer: oneshot::Receiver<Results>,
    /// Where its results go.
    positions: Vec<usize>,
}

/// The answer to an append: one result a partition, at the latest when the deadline has passed.
pub struct AppendReply {
    results: Vec<Option<Result<Appended, AppendError>>>,
    waiting: Vec<Waiting>,
    expired: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl std::fmt::Debug for AppendReply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AppendReply").field("count", &self.results.len()).finish_non_exhaustive()
    }
}

impl AppendReply {
    /// What is known; the rest is in doubt.
    fn take(&mut self) -> Results {
        let results = std::mem::take(&mut self.results);
        results.into_iter().map(|result| result.unwrap_or(Err(AppendError::TimedOutUnknown))).collect()
    }
}

impl Future for AppendReply {
    type Output = Results;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let results = &mut this.results;
        this.waiting.retain_mut(|part| match Pin::new(&mut part.answer).poll(context) {
            Poll::Ready(Ok(answers)) => {
                for (position, answer) in part.positions.iter().zip(answers) {
                    results[*position] = Some(answer);
                }
                false
            }
            // Dropped without an answer: whoever had it ended with the outcome in doubt.
            Poll::Ready(Err(_)) => false,
            Poll::Pending => true,
        });
        if this.waiting.is_empty() {
            return Poll::Ready(this.take());
        }
        match this.expired.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(this.take()),
            Poll::Pending => Poll::Pending,
        }
    }
}
