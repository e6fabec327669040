//! The batcher: one buffer for all partitions and clients, flushed at a pace.
//!
//! A flush goes when the buffer is full; at once when nothing is in flight and every producer waits for us; otherwise a
//! linger after the first batch and at most one in `flush_interval`. While a commit is in flight, a small buffer waits for
//! it (it could not be committed sooner), a large one starts its upload. When idle, nothing happens.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use alluvium_infra::Runtime;
use alluvium_infra::runtime::Instant;
use alluvium_log::{BatchToAppend, Log};
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, oneshot};

use crate::admit::{Permit, check};
use crate::flush::{Flush, Flusher};
use crate::presence::{Company, Presences, ProducerPresence, Unanswered};
use crate::{AppendError, Appended, IngestSettings, PartitionAppend};

/// After a full flush the next small one keeps this distance; after a smaller one, proportionally less.
const SMALL_FLUSH_DISTANCE: Duration = Duration::from_millis(5);

/// One result a partition.
pub(crate) type Results = Vec<Result<Appended, AppendError>>;

/// A request in the buffer.
#[derive(Debug)]
pub(crate) struct Call {
    /// Results so far; `None` where a batch waits for its flush.
    pub(crate) results: Vec<Option<Result<Appended, AppendError>>>,
    /// The append time that a batch got.
    pub(crate) log_append_times: Vec<Option<i64>>,
    /// Batches by index of their partition in the request.
    pub(crate) batches: Vec<(usize, BatchToAppend)>,
    /// Their bytes.
    bytes: usize,
    pub(crate) deadline: Instant,
    pub(crate) reply: oneshot::Sender<Results>,
    _permit: Permit,
    _unanswered: Unanswered,
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
    log: Log,
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
    pub(crate) fn start(log: Log, settings: IngestSettings, runtime: Runtime, presences: Arc<Presences>) -> Arc<Self> {
        let batcher = Arc::new(Self {
            log: log.clone(),
            runtime: runtime.clone(),
            settings: settings.clone(),
            buffer: Mutex::default(),
            presences,
            in_flight: AtomicUsize::new(0),
            wake: Arc::new(Notify::new()),
            idle: Notify::new(),
        });
        let (flushes, queue) = mpsc::channel(settings.segment_uploads_max.max(1));
        let flusher = Flusher::new(log, settings, runtime.clone(), Arc::downgrade(&batcher));
        drop(runtime.spawn("flusher", flusher.run(queue)));
        drop(runtime.spawn(
            "batcher",
            pace(Arc::downgrade(&batcher), batcher.wake.clone(), batcher.presences.clone(), flushes),
        ));
        batcher
    }

    pub(crate) fn append(
        &self,
        permit: Permit,
        partitions: Vec<PartitionAppend>,
        deadline: Instant,
        presence: &ProducerPresence,
    ) -> AppendReply {
        let (reply, answer) = oneshot::channel();
        let count = partitions.len();
        let unanswered = presence.begin();
        let state = self.log.shard().state();
        let now_ms = self.runtime.now_ms();
        let mut call = Call {
            results: Vec::with_capacity(count),
            log_append_times: Vec::with_capacity(count),
            batches: Vec::with_capacity(count),
            bytes: 0,
            deadline,
            reply,
            _unanswered: unanswered,
            _permit: Permit::none(),
        };
        for (index, partition) in partitions.into_iter().enumerate() {
            match check(&state, &partition, now_ms) {
                Ok(admitted) => {
                    call.bytes += admitted.batch.bytes.len();
                    call.results.push(None);
                    call.log_append_times.push(admitted.log_append_time_ms);
                    let topic_partition = partition.topic_partition;
                    call.batches.push((index, BatchToAppend { topic_partition, batch: admitted.batch }));
                }
                Err(error) => {
                    call.results.push(Some(Err(error)));
                    call.log_append_times.push(None);
                }
            }
        }
        if call.bytes * 2 < permit.bytes() {
            // What stays in memory after the answer must not pin a frame that is mostly something else.
            for (_, kept) in &mut call.batches {
                kept.batch.bytes = Bytes::copy_from_slice(&kept.batch.bytes);
            }
        }
        call._permit = permit.unless_dropped_early();
        self.buffer(call);
        AppendReply { answer, count, expired: Box::pin(expire(self.runtime.clone(), deadline)) }
    }

    fn buffer(&self, call: Call) {
        if call.batches.is_empty() {
            call.answer(|| AppendError::Unavailable("nothing was sent".to_owned()));
            return;
        }
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
        Some(Flush { calls, bytes })
    }
}

impl Call {
    /// Answers; what has no result yet gets `missing`.
    pub(crate) fn answer(self, missing: impl Fn() -> AppendError) {
        let results = self.results.into_iter().map(|result| result.unwrap_or_else(|| Err(missing()))).collect();
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
async fn pace(batcher: Weak<Batcher>, wake: Arc<Notify>, presences: Arc<Presences>, flushes: mpsc::Sender<Flush>) {
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
            () = presences.changed.notified() => {}
            () = expired => {}
        }
    }
}

async fn expire(runtime: Runtime, deadline: Instant) {
    runtime.sleep_until(deadline).await;
}

/// The answer to an append: one result a partition, at the latest when the deadline has passed.
pub struct AppendReply {
    answer: oneshot::Receiver<Results>,
    count: usize,
    expired: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl std::fmt::Debug for AppendReply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AppendReply").field("count", &self.count).finish_non_exhaustive()
    }
}

impl Future for AppendReply {
    type Output = Results;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match Pin::new(&mut self.answer).poll(context) {
            Poll::Ready(Ok(results)) => return Poll::Ready(results),
            // Dropped without an answer: whoever had it ended with the outcome in doubt.
            Poll::Ready(Err(_)) => return Poll::Ready(vec![Err(AppendError::TimedOutUnknown); self.count]),
            Poll::Pending => {}
        }
        match self.expired.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(vec![Err(AppendError::TimedOutUnknown); self.count]),
            Poll::Pending => Poll::Pending,
        }
    }
}
