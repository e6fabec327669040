//! Flushes of one shard: a small one rides in its entry, a large one is put as a segment first. Uploads run in parallel, commits follow in
//! the order of the flushes.
//!
//! Invariants: a segment is committed only after its upload is confirmed (metadata never precedes the data it names); an
//! upload that failed is never committed, so its batches are definitely not written.

use std::sync::{Arc, Weak};

use alluvium_infra::Runtime;
use alluvium_infra::runtime::Instant;
use alluvium_log::format::segment;
use alluvium_log::{Append, AppendOutcome, AppendSource, AppendTicket, BatchToAppend, Log, Shard};
use bytes::BytesMut;
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use tokio::sync::mpsc;

use crate::batcher::{Batcher, Call};
use crate::counters::{FlushKind, IngestCounters};
use crate::{AppendError, Appended, IngestSettings};

/// What the buffer held.
#[derive(Debug)]
pub(crate) struct Flush {
    pub(crate) calls: Vec<Call>,
    pub(crate) bytes: usize,
    /// When it left the buffer.
    pub(crate) taken_at: Instant,
}

/// A flush whose bytes are where they have to be.
struct Placed {
    calls: Vec<Call>,
    /// For each batch of `append`, its call and its index in the call.
    origins: Vec<(usize, usize)>,
    append: Result<Append, AppendError>,
    deadline: Instant,
    taken_at: Instant,
}

pub(crate) struct Flusher {
    log: Log,
    shard: Shard,
    settings: IngestSettings,
    runtime: Runtime,
    batcher: Weak<Batcher>,
    counters: Arc<IngestCounters>,
}

impl Flusher {
    pub(crate) fn new(
        log: Log,
        shard: Shard,
        settings: IngestSettings,
        runtime: Runtime,
        batcher: Weak<Batcher>,
        counters: Arc<IngestCounters>,
    ) -> Self {
        Self { log, shard, settings, runtime, batcher, counters }
    }

    pub(crate) async fn run(self, mut queue: mpsc::Receiver<Flush>) {
        let flusher = Arc::new(self);
        let mut placing = FuturesOrdered::new();
        let mut open = true;
        while open || !placing.is_empty() {
            let room = placing.len() < flusher.settings.segment_uploads_max.max(1);
            tokio::select! {
                biased;
                Some(placed) = placing.next(), if !placing.is_empty() => flusher.commit(placed),
                flush = queue.recv(), if open && room => match flush {
                    Some(flush) => placing.push_back(flusher.clone().place(flush)),
                    None => open = false,
                },
            }
        }
    }

    /// Sorts the batches by partition and puts them as a segment when they are too large to ride in the entry.
    async fn place(self: Arc<Self>, flush: Flush) -> Placed {
        let Flush { mut calls, bytes, taken_at } = flush;
        let deadline = calls.iter().map(|call| call.deadline).max().unwrap_or_else(|| self.runtime.monotonic());
        let mut sorted: Vec<(usize, usize, BatchToAppend)> = Vec::new();
        for (call_index, call) in calls.iter_mut().enumerate() {
            let batches = std::mem::take(&mut call.batches);
            sorted.extend(batches.into_iter().map(|(index, batch)| (call_index, index, batch)));
        }
        // Stable: batches of one partition keep the order in which they came.
        sorted.sort_by_key(|(_, _, batch)| batch.topic_partition);
        let origins = sorted.iter().map(|(call, index, _)| (*call, *index)).collect();
        let mut batches: Vec<BatchToAppend> = sorted.into_iter().map(|(_, _, batch)| batch).collect();
        let kind = if bytes <= self.settings.inline_bytes_max { FlushKind::Inline } else { FlushKind::Segment };
        self.counters.flush_begun(kind, bytes as u64);
        let append = if kind == FlushKind::Inline {
            join_small(&mut batches, bytes);
            Ok(Append { batches, source: AppendSource::Inline })
        } else {
            self.upload(batches, deadline).await
        };
        Placed { calls, origins, append, deadline, taken_at }
    }

    async fn upload(&self, batches: Vec<BatchToAppend>, deadline: Instant) -> Result<Append, AppendError> {
        let shard = &self.shard;
        let id = self.runtime.unique_uuid();
        let created_ms = self.runtime.now_ms();
        let path = shard.paths().segment(id);
        let payload = segment::encode(shard.paths().shard(), id, created_ms, &batches);
        let upload = async {
            loop {
                match self.log.store().put(&path, payload.clone()).await {
                    Ok(()) => return,
                    Err(error) => {
                        tracing::debug!(%path, %error, "segment was not put: trying again until the deadline");
                        self.runtime.sleep(UPLOAD_RETRY).await;
                    }
                }
            }
        };
        match self.runtime.timeout_at(deadline, upload).await {
            Ok(()) => Ok(Append { batches, source: AppendSource::Segment { id, created_ms } }),
            Err(_elapsed) => Err(AppendError::Unavailable("the store did not take the segment in time".to_owned())),
        }
    }

    /// Hands the flush to the log, in order, and waits for the answer in a task of its own.
    fn commit(self: &Arc<Self>, placed: Placed) {
        let Placed { calls, origins, append, deadline, taken_at } = placed;
        match append {
            Ok(append) => {
                let ticket = self.shard.append(append, deadline);
                let flusher = self.clone();
                drop(self.runtime.spawn("flush", async move {
                    answer(calls, &origins, ticket).await;
                    flusher.answered(taken_at);
                }));
            }
            Err(error) => {
                calls.into_iter().for_each(|call| call.answer(|| error.clone()));
                self.answered(taken_at);
            }
        }
    }

    fn answered(&self, taken_at: Instant) {
        self.counters.flush_answered(self.runtime.monotonic().saturating_duration_since(taken_at));
        if let Some(batcher) = self.batcher.upgrade() {
            batcher.finished();
        }
    }
}

/// Batches that are smaller than this on average are copied together.
const SMALL_BATCH_BYTES: usize = 4096;

/// Copies many small batches into one buffer, so that what is kept in memory lies together and pins no request.
fn join_small(batches: &mut [BatchToAppend], bytes: usize) {
    if batches.len() < 2 || bytes / batches.len() >= SMALL_BATCH_BYTES {
        return;
    }
    let mut joined = BytesMut::with_capacity(bytes);
    batches.iter().for_each(|batch| joined.extend_from_slice(&batch.batch.bytes));
    let joined = joined.freeze();
    let mut from = 0;
    for batch in batches {
        let to = from + batch.batch.bytes.len();
        batch.batch.bytes = joined.slice(from..to);
        from = to;
    }
}

/// Pause between attempts to put a segment, on top of the store's own.
const UPLOAD_RETRY: std::time::Duration = std::time::Duration::from_millis(200);

async fn answer(mut calls: Vec<Call>, origins: &[(usize, usize)], ticket: AppendTicket) {
    match ticket.outcome().await {
        Ok(outcomes) => {
            for ((call, index), outcome) in origins.iter().zip(outcomes) {
                let call = &mut calls[*call];
                call.results[*index] = Some(result(outcome, call.sent[*index].log_append_time_ms));
            }
            calls.into_iter().for_each(|call| call.answer(|| AppendError::TimedOutUnknown));
        }
        Err(error) => {
            let error = AppendError::from(error);
            calls.into_iter().for_each(|call| call.answer(|| error.clone()));
        }
    }
}

fn result(outcome: AppendOutcome, log_append_time_ms: Option<i64>) -> Result<Appended, AppendError> {
    match outcome {
        AppendOutcome::Appended { base_offset, log_start_offset } => {
            Ok(Appended { base_offset, log_append_time_ms, log_start_offset, duplicate: false })
        }
        // The time of the first write is not remembered: as Kafka does, none is told.
        AppendOutcome::Duplicate { base_offset, log_start_offset } => {
            Ok(Appended { base_offset, log_append_time_ms: None, log_start_offset, duplicate: true })
        }
        AppendOutcome::Rejected(rejection) => Err(rejection.into()),
    }
}
