//! The batcher of a shard: one buffer for all its partitions and all clients, flushed at a pace.
//!
//! A flush goes when the buffer is full; at once when nothing is in flight and every producer waits for us; otherwise a
//! linger after the first batch and at most one in `flush_interval`. While a commit is in flight, a small buffer waits for
//! it (it could not be committed sooner), a large one starts its upload. When idle, nothing happens.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use alluvium_infra::Runtime;
use alluvium_infra::runtime::Instant;
use alluvium_log::{BatchToAppend, Log, Shard};
use alluvium_record::RecordBatch;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, oneshot};

use crate::admit::Permit;
use crate::counters::IngestCounters;
use crate::flush::{Flush, Flusher};
use crate::presence::{Company, Presences, Unanswered};
use crate::{AppendError, Appended, IngestSettings};

/// After a full flush the next small one keeps this distance; after a smaller one, proportionally less.
const SMALL_FLUSH_DISTANCE: Duration = Duration::from_millis(5);

/// One result a partition.
pub(crate) type Results = Vec<Result<Appended, AppendError>>;

/// What is kept of a batch until it is answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SentBatch {
    /// The append time that it got.
    pub(crate) log_append_time_ms: Option<i64>,
    records: u32,
    bytes: u32,
}

impl SentBatch {
    pub(crate) fn new(batch: &RecordBatch, log_append_time_ms: Option<i64>) -> Self {
        let records = u32::try_from(batch.header.record_count).unwrap_or(0);
        Self { log_append_time_ms, records, bytes: u32::try_from(batch.bytes.len()).unwrap_or(u32::MAX) }
    }
}

/// A request in the buffer.
#[derive(Debug)]
pub(crate) struct Call {
    /// Results so far; `None` where a batch waits for its flush.
    pub(crate) results: Vec<Option<Result<Appended, AppendError>>>,
    /// What is kept of each batch.
    pub(crate) sent: Vec<SentBatch>,
    /// Batches by index of their partition in the request.
    pub(crate) batches: Vec<(usize, BatchToAppend)>,
    /// Their bytes.
    pub(crate) bytes: usize,
    pub(crate) deadline: Instant,
    pub(crate) reply: oneshot::Sender<Results>,
    pub(crate) counters: Arc<IngestCounters>,
    /// Room for the request, which may have other parts in other shards.
    pub(crate) _permit: Arc<Permit>,
    pub(crate) _unanswered: Unanswered,
}

#[derive(Debug, Default)]
struct Buffer {
    calls: Vec<Call>,
    bytes: usize,
    first_at: Option<Instant>,
    draining: bool,
}

/// The buffer and the handle on its task.
#[derive(Debug)]
pub(crate) struct Batcher {
    runtime: Runtime,
    settings: IngestSettings,
    buffer: Mutex<Buffer>,
    presences: Arc<Presences>,
    /// Flushes that are not answered yet.
    pub(crate) in_flight: AtomicUsize,
    /// Something that the pace depends on has changed.
    pub(crate) wake: Arc<Notify>,
    idle: Notify,
}

impl Drop for Batcher {
    fn drop(&mut self) {
        // The pace has nothing to keep any more.
        self.wake.notify_one();
    }
}

impl Batcher {
    pub(crate) fn start(
        log: Log,
        shard: Shard,
        settings: IngestSettings,
        runtime: Runtime,
        presences: Arc<Presences>,
        counters: Arc<IngestCounters>,
    ) -> Arc<Self> {
        let batcher = Arc::new(Self {
            runtime: runtime.clone(),
            settings: settings.clone(),
            buffer: Mutex::default(),
            presences,
            in_flight: AtomicUsize::new(0),
            wake: Arc::new(Notify::new()),
            idle: Notify::new(),
        });
        let (flushes, queue) = mpsc::channel(settings.segment_uploads_max.max(1));
        let flusher = Flusher::new(log, shard, settings, runtime.clone(), Arc::downgrade(&batcher), counters);
        drop(runtime.spawn_essential("flusher", flusher.run(queue)));
        batcher.presences.add_pace(batcher.wake.clone());
        drop(runtime.spawn_essential("batcher", pace(Arc::downgrade(&batcher), batcher.wake.clone(), flushes)));
        batcher
    }

    /// Takes a call with at least one batch. The order of calls is the order of the log.
    pub(crate) fn buffer(&self, call: Call) {
        {
            let mut buffer = self.buffer.lock();
            if buffer.draining {
                drop(buffer);
                call.answer(|| AppendError::ShuttingDown);
                return;
            }
            buffer.first_at.get_or_insert_with(|| self.runtime.monotonic());
            buffer.bytes += call.bytes;
            buffer.calls.push(call);
        }
        self.wake.notify_one();
    }

    pub(crate) fn finished(&self) {
        self.in_flight.fetch_sub(1, Ordering::AcqRel);
        self.wake.notify_one();
        self.idle.notify_waiters();
    }

    pub(crate) async fn drain(&self) {
        self.buffer.lock().draining = true;
        self.wake.notify_one();
        loop {
            let idle = self.idle.notified();
            if self.buffer.lock().calls.is_empty() && self.in_flight.load(Ordering::Acquire) == 0 {
                return;
            }
            idle.await;
        }
    }

    /// When the buffer is to be flushed: now, at some time, or when something changes.
    fn due(&self, pace: &Pace, now: Instant) -> Due {
        let buffer = self.buffer.lock();
        let Some(first_at) = buffer.first_at else { return Due::OnChange };
        if buffer.bytes >= self.settings.flush_bytes_max || buffer.draining {
            return Due::Now;
        }
        let interval_over = pace.last_at.map_or(first_at, |at| at + self.settings.flush_interval);
        let paced = (first_at + self.settings.linger).max(interval_over);
        if self.in_flight.load(Ordering::Acquire) > 0 {
            if buffer.bytes <= self.settings.inline_bytes_max {
                return Due::OnChange;
            }
            return Due::at(paced, now);
        }
        match self.presences.company(now) {
            Company::AllBlocked => Due::at(pace.small_flush_from(&self.settings).map_or(now, |at| at.min(paced)), now),
            Company::BlockedFrom(at) => Due::at(at.min(paced), now),
            Company::Sending => Due::at(paced, now),
        }
    }

    fn take(&self) -> Option<Flush> {
        let mut buffer = self.buffer.lock();
        if buffer.calls.is_empty() {
            return None;
        }
        // Whole requests, until a flush is full: what came while flushes were waiting becomes several.
        let (mut bytes, mut count) = (0, 0);
        for call in &buffer.calls {
            bytes += call.bytes;
            count += 1;
            if bytes >= self.settings.flush_bytes_max {
                break;
            }
        }
        let calls: Vec<Call> = buffer.calls.drain(..count).collect();
        buffer.bytes -= bytes;
        buffer.first_at = (!buffer.calls.is_empty()).then(|| self.runtime.monotonic());
        // Counted before the lock is let go, so that a drain never sees neither.
        self.in_flight.fetch_add(1, Ordering::AcqRel);
        Some(Flush { calls, bytes, taken_at: self.runtime.monotonic() })
    }
}

impl Call {
    /// Answers; what has no result yet gets `missing`.
    pub(crate) fn answer(self, missing: impl Fn() -> AppendError) {
        let counted = self.results.into_iter().zip(&self.sent).map(|(result, sent)| {
            let result = result.unwrap_or_else(|| Err(missing()));
            self.counters.ended(&result, sent.records.into(), sent.bytes.into());
            result
        });
        let results = counted.collect();
        // The client may have gone; its batches are answered for by the log.
        drop(self.reply.send(results));
    }
}

enum Due {
    Now,
    At(Instant),
    OnChange,
}

impl Due {
    fn at(at: Instant, now: Instant) -> Self {
        if at <= now { Self::Now } else { Self::At(at) }
    }
}

#[derive(Default)]
struct Pace {
    last_at: Option<Instant>,
    last_bytes: usize,
}

impl Pace {
    fn small_flush_from(&self, settings: &IngestSettings) -> Option<Instant> {
        let share = self.last_bytes.min(settings.inline_bytes_max) as f64 / settings.inline_bytes_max.max(1) as f64;
        // Timers have a grain of a millisecond: what is shorter would be waited for too long.
        let distance = Duration::from_millis(SMALL_FLUSH_DISTANCE.mul_f64(share).as_millis() as u64);
        self.last_at.map(|at| at + distance)
    }
}

/// Flushes the buffer whenever it is due, until nobody holds the batcher any more.
async fn pace(batcher: Weak<Batcher>, wake: Arc<Notify>, flushes: mpsc::Sender<Flush>) {
    let mut pace = Pace::default();
    loop {
        // Held only while something is done, never while waiting.
        let Some(held) = batcher.upgrade() else { return };
        let now = held.runtime.monotonic();
        let due = held.due(&pace, now);
        if let Due::Now = due {
            if let Some(flush) = held.take() {
                pace = Pace { last_at: Some(now), last_bytes: flush.bytes };
                drop(held);
                if flushes.send(flush).await.is_err() {
                    return;
                }
            }
            continue;
        }
        let runtime = held.runtime.clone();
        drop(held);
        let expired = async {
            match due {
                Due::At(at) => runtime.sleep_until(at).await,
                Due::Now | Due::OnChange => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = wake.notified() => {}
            () = expired => {}
        }
    }
}
