//! The response side of a connection: awaits the started requests in order and writes their frames without copying.
//!
//! Invariants:
//! 1. Frames leave in queue order. Responses that are ready together leave in one vectored write.
//! 2. When the client has gone, requests that only wait are dropped and all others are still carried out.
//! 3. When the node drains, requests that only wait are given up; what was accepted is answered.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures_util::FutureExt;
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Queued;
use crate::context::Node;
use crate::dispatch::{CloseReason, Frames};
use crate::door_counters::RequestOutcome;

/// Slices given to the kernel in one call.
const SLICES_PER_WRITE_MAX: usize = 64;
/// Ready responses are gathered up to this many bytes before they are written.
const GATHERED_BYTES_MAX: usize = 1024 * 1024;

/// What the response side works with.
pub(super) struct Writer {
    pub(super) half: OwnedWriteHalf,
    pub(super) queued: mpsc::Receiver<Queued>,
    pub(super) gone: CancellationToken,
    pub(super) draining: CancellationToken,
    pub(super) node: Arc<Node>,
    pub(super) stall_max: Duration,
}

/// Writes responses until the queue is closed and empty, or the connection has to be closed.
pub(super) async fn write_replies(mut writer: Writer) {
    let mut waiting: Option<Queued> = None;
    loop {
        let next = match waiting.take() {
            Some(queued) => queued,
            None => match writer.queued.recv().await {
                Some(queued) => queued,
                None => break,
            },
        };
        let Some(reply) = writer.resolve(next).await else { continue };
        let mut frames = match reply {
            Ok(frames) => frames,
            Err(reason) => {
                writer.close(&reason);
                break;
            }
        };
        let gathered = writer.gather_ready(&mut frames);
        if !writer.gone.is_cancelled()
            && let Err(error) = writer.write(frames).await
        {
            tracing::debug!(%error, "cannot write a response");
            writer.gone.cancel();
        }
        match gathered {
            Gathered::Drained => {}
            Gathered::Waiting(queued) => waiting = Some(*queued),
            Gathered::Failed(reason) => {
                writer.close(&reason);
                break;
            }
        }
    }
    // Unstarted requests are carried out even though nobody hears of them; a closing error has dropped the rest.
    let _ = writer.half.shutdown().await;
}

/// What came after the responses that were ready.
enum Gathered {
    Drained,
    Waiting(Box<Queued>),
    Failed(CloseReason),
}

impl Writer {
    /// Awaits one reply; `None` when it was given up.
    async fn resolve(&mut self, queued: Queued) -> Option<Result<Frames, CloseReason>> {
        let Queued { started, memory, arrival } = queued;
        let reply = if started.waits {
            // Those it waits for may need this memory to get in.
            drop(memory);
            tokio::select! {
                reply = started.reply => Some(reply),
                () = self.gone.cancelled() => None,
                () = self.draining.cancelled() => None,
            }
        } else {
            let reply = started.reply.await;
            drop(memory);
            Some(reply)
        };
        arrival.ended(outcome(reply.as_ref()));
        if reply.is_none() && self.draining.is_cancelled() {
            // Later responses must not overtake the one that is missing.
            self.gone.cancel();
        }
        reply
    }

    /// Adds the frames of following requests that are ready already.
    fn gather_ready(&mut self, frames: &mut Frames) -> Gathered {
        while frames.bytes() < GATHERED_BYTES_MAX && frames.slices.len() < SLICES_PER_WRITE_MAX {
            let Ok(mut queued) = self.queued.try_recv() else { return Gathered::Drained };
            let Some(reply) = (&mut queued.started.reply).now_or_never() else {
                return Gathered::Waiting(Box::new(queued));
            };
            queued.arrival.ended(outcome(Some(&reply)));
            match reply {
                Ok(more) => frames.append(more),
                Err(reason) => return Gathered::Failed(reason),
            }
        }
        Gathered::Drained
    }

    fn close(&mut self, reason: &CloseReason) {
        tracing::info!(%reason, "connection closed by this node");
        self.gone.cancel();
    }

    async fn write(&mut self, frames: Frames) -> std::io::Result<()> {
        let Frames { slices, held: _until_written } = frames;
        let mut rest: VecDeque<Bytes> = slices.into();
        while !rest.is_empty() {
            let slices: Vec<IoSlice<'_>> =
                rest.iter().take(SLICES_PER_WRITE_MAX).map(|bytes| IoSlice::new(bytes)).collect();
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
        }
        Ok(())
    }
}

/// How a request ended; `None` when it was given up.
fn outcome(reply: Option<&Result<Frames, CloseReason>>) -> RequestOutcome {
    match reply {
        Some(Ok(_)) => RequestOutcome::Answered,
        Some(Err(_)) => RequestOutcome::Closed,
        None => RequestOutcome::GivenUp,
    }
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
    fn advancing_crosses_slices_and_drops_empty_ones() {
        let mut rest = VecDeque::from([Bytes::from_static(b"ab"), Bytes::new(), Bytes::from_static(b"cde")]);
        advance(&mut rest, 3);
        assert_eq!(rest, [Bytes::from_static(b"de")]);
        advance(&mut rest, 2);
        assert!(rest.is_empty());
    }
}
