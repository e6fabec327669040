//! The response side of a connection: awaits the started requests in order and writes their frames without copying.
//!
//! Invariants:
//! 1. Frames leave in queue order. Responses that are ready together leave in one vectored write.
//! 2. When the client has gone, requests that only wait and those that have no place yet are dropped; all others are still
//!    carried out.
//! 3. When the node drains, requests that only wait are given up; what was accepted is answered.
//! 4. A long response is written in pieces, and other tasks have their turn between them.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures_util::FutureExt;
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_util::sync::CancellationToken;

use super::{Arrival, Queued};
use crate::context::Node;
use crate::dispatch::{CloseReason, Frames, InPlace, Reply, Started};
use crate::door_counters::RequestOutcome;

/// Slices given to the kernel in one call.
const SLICES_PER_WRITE_MAX: usize = 64;
/// Bytes given to the kernel in one call: it takes megabytes at once, and lets nobody else have the processor until it has copied them.
const PIECE_BYTES_MAX: usize = 512 * 1024;
/// Ready responses are gathered up to this many bytes before they are written.
const GATHERED_BYTES_MAX: usize = 1024 * 1024;

/// What the response side works with.
pub(super) struct Writer {
    pub(super) half: OwnedWriteHalf,
    pub(super) gone: CancellationToken,
    pub(super) draining: CancellationToken,
    pub(super) node: Arc<Node>,
    pub(super) stall_max: Duration,
}

/// A request that has its place, and its response to come.
struct Placed {
    reply: Reply,
    /// As [`Started::Waiting`].
    waits: bool,
    /// As [`Started::Placing`]: others of its kind may follow before it is answered.
    leads_on: bool,
    memory: Option<OwnedSemaphorePermit>,
    arrival: Arrival,
}

/// What has not got its place yet.
struct Coming {
    queued: mpsc::Receiver<Queued>,
    /// The first of them. What places it goes on where it was left.
    next: Option<Queued>,
    gone: CancellationToken,
}

/// What happened next.
enum Event {
    /// The first request that has its place is answered, or was given up.
    Answered(Option<Result<Frames, CloseReason>>),
    /// Another request has its place; none when there will be no more.
    Placed(Option<Placed>),
}

/// Writes responses until the queue is closed and empty, or the connection has to be closed.
pub(super) async fn write_replies(mut writer: Writer, queued: mpsc::Receiver<Queued>) {
    let placed_max = writer.node.settings.requests_in_flight_max;
    let mut coming = Coming { queued, next: None, gone: writer.gone.clone() };
    let mut placed: VecDeque<Placed> = VecDeque::new();
    loop {
        let may_follow = placed.len() < placed_max && placed.back().is_some_and(|last| last.leads_on);
        let event = match placed.front_mut() {
            None => Event::Placed(coming.place(true, &writer.half).await),
            Some(first) => tokio::select! {
                biased;
                reply = writer.resolve(first) => Event::Answered(reply),
                more = coming.place(false, &writer.half), if may_follow => Event::Placed(more),
            },
        };
        let reply = match event {
            Event::Placed(Some(more)) => {
                placed.push_back(more);
                continue;
            }
            Event::Placed(None) => break,
            Event::Answered(reply) => reply,
        };
        if let Some(answered) = placed.pop_front() {
            answered.arrival.ended(outcome(reply.as_ref()));
        }
        let gathered = match reply {
            None => continue,
            Some(Ok(mut frames)) => {
                let gathered = gather_ready(&mut frames, &mut placed, &mut coming, &writer.half);
                writer.write_unless_gone(frames).await;
                gathered
            }
            Some(Err(reason)) => Err(reason),
        };
        if let Err(reason) = gathered {
            writer.close(&reason);
            break;
        }
    }
    // Requests that act are carried out even though nobody hears of them; a closing error has dropped the rest.
    let _ = writer.half.shutdown().await;
}

/// Adds the frames of following requests that are ready already.
fn gather_ready(
    frames: &mut Frames,
    placed: &mut VecDeque<Placed>,
    coming: &mut Coming,
    half: &OwnedWriteHalf,
) -> Result<(), CloseReason> {
    while frames.bytes() < GATHERED_BYTES_MAX && frames.slices.len() < SLICES_PER_WRITE_MAX {
        let Some(first) = placed.front_mut() else {
            let Some(Some(more)) = coming.place(true, half).now_or_never() else { break };
            placed.push_back(more);
            continue;
        };
        let Some(reply) = (&mut first.reply).now_or_never() else { break };
        if let Some(answered) = placed.pop_front() {
            answered.arrival.ended(outcome(Some(&reply)));
        }
        frames.append(reply?);
    }
    Ok(())
}

impl Coming {
    /// The next request as soon as it has its place; none when there will be no more. Unless it is `alone`, it comes beside
    /// earlier ones that are not answered yet: then only those come that may.
    async fn place(&mut self, alone: bool, half: &OwnedWriteHalf) -> Option<Placed> {
        loop {
            let next = match &mut self.next {
                Some(next) => next,
                none => match self.queued.recv().await {
                    Some(queued) => none.insert(queued),
                    None if alone => return None,
                    None => std::future::pending().await,
                },
            };
            if matches!(next.started, Started::Placing(_)) && is_closed_by_client(half) {
                // This node stood still or was busy: much may be left to read before the end shows.
                self.gone.cancel();
            }
            let reply = match &mut next.started {
                Started::Placing(placing) => tokio::select! {
                    biased;
                    () = self.gone.cancelled() => None,
                    reply = placing => Some(reply),
                },
                Started::Acting(_) | Started::Waiting(_) if alone => None,
                Started::Acting(_) | Started::Waiting(_) => std::future::pending().await,
            };
            let Some(Queued { started, memory, arrival }) = self.next.take() else { continue };
            let (reply, waits, leads_on) = match (started, reply) {
                (Started::Acting(reply), _) => (reply, false, false),
                (Started::Waiting(reply), _) => (reply, true, false),
                (Started::Placing(_), Some(InPlace(reply))) => (reply, false, true),
                (Started::Placing(_), None) => {
                    arrival.ended(RequestOutcome::GivenUp);
                    continue;
                }
            };
            return Some(Placed { reply, waits, leads_on, memory, arrival });
        }
    }
}

impl Writer {
    /// Awaits one reply; `None` when it was given up.
    async fn resolve(&self, placed: &mut Placed) -> Option<Result<Frames, CloseReason>> {
        if !placed.waits {
            return Some((&mut placed.reply).await);
        }
        // Those it waits for may need this memory to get in.
        placed.memory = None;
        let reply = tokio::select! {
            reply = &mut placed.reply => Some(reply),
            () = self.gone.cancelled() => None,
            () = self.draining.cancelled() => None,
        };
        if reply.is_none() && self.draining.is_cancelled() {
            // Later responses must not overtake the one that is missing.
            self.gone.cancel();
        }
        reply
    }

    async fn write_unless_gone(&mut self, frames: Frames) {
        if !self.gone.is_cancelled()
            && let Err(error) = self.write(frames).await
        {
            tracing::debug!(%error, "cannot write a response");
            self.gone.cancel();
        }
    }

    fn close(&mut self, reason: &CloseReason) {
        tracing::info!(%reason, "connection closed by this node");
        self.gone.cancel();
    }

    async fn write(&mut self, frames: Frames) -> std::io::Result<()> {
        let Frames { slices, held: _until_written } = frames;
        let mut rest: VecDeque<Bytes> = slices.into();
        while !rest.is_empty() {
            let slices = piece(&rest);
            let writing = self.half.write_vectored(&slices);
            let written = match self.node.runtime.timeout(self.stall_max, writing).await {
                Ok(written) => written?,
                Err(_elapsed) => return Err(std::io::ErrorKind::TimedOut.into()),
            };
            self.node.counters.sent_bytes.add(written as u64);
            if written == 0 {
                return Err(std::io::ErrorKind::WriteZero.into());
            }
            advance(&mut rest, written);
            if !rest.is_empty() {
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }
}

/// Whether the client has closed its side, however much of what it sent before is still to be read.
fn is_closed_by_client(half: &OwnedWriteHalf) -> bool {
    let ready = half.ready(Interest::READABLE).now_or_never();
    ready.is_some_and(|ready| ready.is_ok_and(|ready| ready.is_read_closed()))
}

/// How a request ended; `None` when it was given up.
fn outcome(reply: Option<&Result<Frames, CloseReason>>) -> RequestOutcome {
    match reply {
        Some(Ok(_)) => RequestOutcome::Answered,
        Some(Err(_)) => RequestOutcome::Closed,
        None => RequestOutcome::GivenUp,
    }
}

/// What is written next.
fn piece(rest: &VecDeque<Bytes>) -> Vec<IoSlice<'_>> {
    let mut left = PIECE_BYTES_MAX;
    let mut slices = Vec::with_capacity(rest.len().min(SLICES_PER_WRITE_MAX));
    for bytes in rest.iter().take(SLICES_PER_WRITE_MAX) {
        let length = bytes.len().min(left);
        slices.push(IoSlice::new(&bytes[..length]));
        left -= length;
        if left == 0 {
            break;
        }
    }
    slices
}

/// Drops the first `written` bytes.
fn advance(rest: &mut VecDeque<Bytes>, mut written: usize) {
    while let Some(front) = rest.front_mut() {
        if written < front.len() {
            front.advance(written);
            return;
        }
        written -= front.len();
        rest.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_ends_within_a_slice_when_it_is_full() {
        let lengths = |rest: &[usize]| -> Vec<usize> {
            let rest = rest.iter().map(|length| Bytes::from(vec![0; *length])).collect();
            piece(&rest).iter().map(|slice| slice.len()).collect()
        };
        assert_eq!(lengths(&[3, 0, 4]), [3, 0, 4]);
        assert_eq!(lengths(&[PIECE_BYTES_MAX - 1, 5, 6]), [PIECE_BYTES_MAX - 1, 1]);
        assert_eq!(lengths(&[PIECE_BYTES_MAX, 5]), [PIECE_BYTES_MAX]);
        assert_eq!(lengths(&[1; SLICES_PER_WRITE_MAX + 1]).len(), SLICES_PER_WRITE_MAX);
    }

    #[test]
    fn advancing_crosses_slices_and_drops_empty_ones() {
        let mut rest = VecDeque::from([Bytes::from_static(b"ab"), Bytes::new(), Bytes::from_static(b"cde")]);
        advance(&mut rest, 3);
        assert_eq!(rest, [Bytes::from_static(b"de")]);
        advance(&mut rest, 2);
        assert!(rest.is_empty());
    }
}
