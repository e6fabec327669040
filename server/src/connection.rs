//! One client connection: frames in, responses out.
//!
//! Two tasks share a connection. The reader takes one frame after the other, starts each request and queues it; the
//! writer (in [`writer`]) answers them in the order of arrival.
//!
//! Invariants:
//! 1. Responses leave in the order in which their requests arrived.
//! 2. A Produce frame is admitted by ingest before its body is read, any other large frame by the node's request
//!    memory: bytes in memory are bounded whatever peers claim.
//! 3. A frame has a buffer of its own of exactly its size, so that a slice of it pins nothing else.
//! 4. At most `requests_in_flight_max` requests of a connection wait for their turn, and as many for their answers.
//! 5. What is not Kafka closes the connection with one log line.

mod writer;

use std::sync::Arc;
use std::time::Duration;

use alluvium_infra::runtime::Instant;
use alluvium_ingest::ProducerPresence;
use alluvium_protocol::apis::ApiName;
use alluvium_protocol::frame::{FRAME_LENGTH_BYTES, FrameError, FrameLimits, frame_length};
use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use thiserror::Error;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use crate::context::{Client, Node};
use crate::dispatch::{self, CloseReason, ProduceAdmission, Started};
use crate::door_counters::RequestOutcome;

/// Bytes of the read buffer that small frames are taken from.
const READ_BUFFER_BYTES: usize = 8 * 1024;
/// The part of a frame that tells whether it is a Produce request: key, version and correlation id.
const PEEKED_BYTES: usize = 8;
/// A frame that holds memory while it trickles in more slowly than this, in bytes per millisecond, is given up.
const TRANSFER_BYTES_PER_MS_MIN: usize = 16;
/// Frames up to this size are read without asking for request memory.
const SMALL_FRAME_BYTES: usize = 16 * 1024;

/// What a connection is made with.
pub(crate) struct ConnectionParts {
    pub(crate) node: Arc<Node>,
    pub(crate) stream: TcpStream,
    pub(crate) client: Client,
    /// Memory for frames other than Produce, shared by all connections, in bytes.
    pub(crate) request_memory: Arc<Semaphore>,
    /// Cancelled when the node drains: no further frame is read.
    pub(crate) draining: CancellationToken,
}

/// One started request and the memory of its frame.
struct Queued {
    started: Started,
    /// Room for its frame, if that is large.
    memory: Option<OwnedSemaphorePermit>,
    arrival: Arrival,
}

/// Which request came when. Its end is counted when this is dropped.
struct Arrival {
    node: Arc<Node>,
    /// The number of its API.
    code: i16,
    /// When its last byte was here.
    at: Instant,
    outcome: RequestOutcome,
}

impl Arrival {
    fn ended(mut self, outcome: RequestOutcome) {
        self.outcome = outcome;
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        let latency = self.node.runtime.monotonic().saturating_duration_since(self.at);
        self.node.counters.api(self.code).ended_after(self.outcome, latency);
    }
}

/// Why a connection ends.
#[derive(Debug, Error)]
enum End {
    #[error("the client closed the connection")]
    Closed,
    #[error("the node is shutting down")]
    Draining,
    #[error("the connection was silent for too long")]
    Idle,
    #[error("a request stalled on its way in")]
    Stalled,
    #[error("the connection broke: {0}")]
    Broken(#[from] std::io::Error),
    #[error("{0}")]
    NotAFrame(#[from] FrameError),
    #[error("{0}")]
    Refused(#[from] CloseReason),
    #[error("the response side has ended")]
    WriterEnded,
}

/// Serves a connection until it ends.
pub(crate) async fn serve(parts: ConnectionParts) {
    let ConnectionParts { node, stream, client, request_memory, draining } = parts;
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(peer = %client.peer, %error, "cannot set TCP_NODELAY");
    }
    let (read_half, write_half) = stream.into_split();
    let (queue, queued) = mpsc::channel(node.settings.requests_in_flight_max);
    let gone = CancellationToken::new();
    let peer = client.peer;
    let writing = node.runtime.spawn(
        "connection writer",
        writer::write_replies(
            writer::Writer {
                half: write_half,
                gone: gone.clone(),
                draining: draining.clone(),
                node: node.clone(),
                stall_max: node.settings.transfer_stall_max(),
            },
            queued,
        ),
    );
    let mut reader = ConnectionReader {
        half: BufReader::with_capacity(READ_BUFFER_BYTES, read_half),
        limits: FrameLimits::with_frame_bytes_max(node.settings.request_bytes_max),
        node,
        client: Arc::new(client),
        request_memory,
        queue,
        gone: gone.clone(),
        draining,
        presence: None,
    };
    let end = reader.read_requests().await;
    match &end {
        End::Draining => {}
        End::Closed | End::WriterEnded => gone.cancel(),
        End::Idle | End::Broken(_) | End::Stalled => {
            tracing::debug!(%peer, reason = %end, "connection closed");
            gone.cancel();
        }
        End::NotAFrame(_) | End::Refused(_) => {
            tracing::info!(%peer, reason = %end, "connection closed by this node");
            gone.cancel();
        }
    }
    drop(reader);
    if let Err(error) = writing.await {
        tracing::error!(%peer, %error, "the response side of a connection failed");
    }
}

struct ConnectionReader {
    half: BufReader<OwnedReadHalf>,
    limits: FrameLimits,
    node: Arc<Node>,
    client: Arc<Client>,
    request_memory: Arc<Semaphore>,
    queue: mpsc::Sender<Queued>,
    gone: CancellationToken,
    draining: CancellationToken,
    presence: Option<ProducerPresence>,
}

impl ConnectionReader {
    async fn read_requests(&mut self) -> End {
        loop {
            if let Err(end) = self.read_request().await {
                return end;
            }
        }
    }

    async fn read_request(&mut self) -> Result<(), End> {
        self.wait_for_bytes().await?;
        let mut first4 = [0; FRAME_LENGTH_BYTES];
        self.read_into(&mut first4).await?;
        let length = frame_length(first4, &self.limits)?;
        let mut peeked = [0; PEEKED_BYTES];
        let peeked_bytes = length.min(PEEKED_BYTES);
        self.read_into(&mut peeked[..peeked_bytes]).await?;
        match i16::from_be_bytes([peeked[0], peeked[1]]) {
            code if code == ApiName::Produce.code() => self.take_produce(length, &peeked[..peeked_bytes]).await,
            code => self.take_other(code, length, &peeked[..peeked_bytes]).await,
        }
    }

    /// Reads a Produce frame into room that ingest has given, and hands its batches over before anything else is read.
    async fn take_produce(&mut self, length: usize, peeked: &[u8]) -> Result<(), End> {
        let permit = tokio::select! {
            permit = self.node.ingest.admit(length) => permit,
            () = self.gone.cancelled() => return Err(End::WriterEnded),
        };
        let frame = self.read_frame(length, peeked).await?;
        let arrival = self.arrived(ApiName::Produce.code(), length);
        let presence = self.presence.get_or_insert_with(|| self.node.ingest.connect());
        let admission = ProduceAdmission { permit, presence };
        let started = dispatch::start(&self.node, &self.client, &self.limits, frame, Some(admission)).await;
        self.enqueue(arrival, started, None).await
    }

    async fn take_other(&mut self, code: i16, length: usize, peeked: &[u8]) -> Result<(), End> {
        let memory = self.reserve_memory(length).await?;
        let frame = self.read_frame(length, peeked).await?;
        let arrival = self.arrived(code, length);
        let started = dispatch::start(&self.node, &self.client, &self.limits, frame, None).await;
        self.enqueue(arrival, started, memory).await
    }

    fn arrived(&self, code: i16, length: usize) -> Arrival {
        self.node.counters.arrived(code, FRAME_LENGTH_BYTES + length);
        let at = self.node.runtime.monotonic();
        Arrival { node: self.node.clone(), code, at, outcome: RequestOutcome::GivenUp }
    }

    async fn enqueue(
        &mut self,
        arrival: Arrival,
        started: Result<Started, CloseReason>,
        memory: Option<OwnedSemaphorePermit>,
    ) -> Result<(), End> {
        let started = match started {
            Ok(started) => started,
            Err(reason) => {
                arrival.ended(RequestOutcome::Closed);
                return Err(reason.into());
            }
        };
        self.queue.send(Queued { started, memory, arrival }).await.map_err(|_closed| End::WriterEnded)
    }

    /// Waits until memory for a large frame is free. A frame larger than all of it waits for all of it.
    async fn reserve_memory(&self, length: usize) -> Result<Option<OwnedSemaphorePermit>, End> {
        if length <= SMALL_FRAME_BYTES {
            return Ok(None);
        }
        let bytes = u32::try_from(length.min(self.node.settings.request_memory_bytes_max)).unwrap_or(u32::MAX);
        tokio::select! {
            permit = self.request_memory.clone().acquire_many_owned(bytes) => Ok(permit.ok()),
            () = self.gone.cancelled() => Err(End::WriterEnded),
        }
    }

    /// Waits for the first byte of the next frame, telling ingest meanwhile that this client may be waiting for it.
    async fn wait_for_bytes(&mut self) -> Result<(), End> {
        if !self.half.buffer().is_empty() {
            return self.stop_if_draining();
        }
        self.stop_if_draining()?;
        if let Some(filled) = self.half.fill_buf().now_or_never() {
            return if filled?.is_empty() { Err(End::Closed) } else { Ok(()) };
        }
        if let Some(presence) = &self.presence {
            presence.blocked();
        }
        let arrived = tokio::select! {
            filled = self.node.runtime.timeout(self.node.settings.idle_max(), self.half.fill_buf()) => match filled {
                Ok(Ok([])) => Err(End::Closed),
                Ok(Ok(_)) => Ok(()),
                Ok(Err(error)) => Err(End::Broken(error)),
                Err(_elapsed) => Err(End::Idle),
            },
            () = self.draining.cancelled() => Err(End::Draining),
            () = self.gone.cancelled() => Err(End::WriterEnded),
        };
        if let Some(presence) = &self.presence {
            presence.reading();
        }
        arrived
    }

    fn stop_if_draining(&self) -> Result<(), End> {
        if self.draining.is_cancelled() { Err(End::Draining) } else { Ok(()) }
    }

    async fn read_into(&mut self, target: &mut [u8]) -> Result<(), End> {
        if self.half.buffer().len() >= target.len() {
            self.half.read_exact(target).await?;
            return Ok(());
        }
        let stall_max = self.node.settings.transfer_stall_max();
        match self.node.runtime.timeout(stall_max, self.half.read_exact(target)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof => Err(End::Closed),
            Ok(Err(error)) => Err(End::Broken(error)),
            Err(_elapsed) => Err(End::Stalled),
        }
    }

    /// Reads the rest of a frame into one buffer of exactly its size.
    async fn read_frame(&mut self, length: usize, peeked: &[u8]) -> Result<Bytes, End> {
        let mut frame = BytesMut::with_capacity(length);
        frame.extend_from_slice(peeked);
        let slowest = Duration::from_millis((length / TRANSFER_BYTES_PER_MS_MIN) as u64);
        let deadline = self.node.runtime.monotonic() + self.node.settings.transfer_stall_max() + slowest;
        while frame.len() < length {
            let rest = (length - frame.len()) as u64;
            let mut limited = (&mut self.half).take(rest);
            let read = match limited.read_buf(&mut frame).now_or_never() {
                Some(read) => read?,
                None => {
                    let reading = limited.read_buf(&mut frame);
                    self.node.runtime.timeout_at(deadline, reading).await.map_err(|_elapsed| End::Stalled)??
                }
            };
            if read == 0 {
                return Err(End::Closed);
            }
        }
        Ok(frame.freeze())
    }
}
