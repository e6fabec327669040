//! Connections from other nodes: who comes in, and what they send: pings, appends for a shard, entries they committed.
//!
//! Invariants:
//! 1. Appends of one connection reach the log in the order in which they came.
//! 2. What one peer can have in flight is bounded; what is beyond is answered at once as not done.
//! 3. Whatever a peer sends, this node at worst closes its connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use alluvium_infra::limits;
use alluvium_infra::store::Payload;
use alluvium_record::{NodeId, ShardId};
use bytes::Bytes;
use uuid::Uuid;

use crate::appends;
use crate::frame::{self, Frame};
use crate::handshake::{self, Greeting};
use crate::messages::{AnswerMessage, BatchMessage, ForwardMessage, FrameKind, PushMessage};
use crate::node::Node;
use crate::outbox::Outbox;
use crate::table::{Learned, Source};
use crate::transport::{Connection, FrameReader, FrameWriter, Listener};

/// The pause after accepting did not work, such as for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Takes connections until this node stops.
pub(crate) async fn accept_all(node: Arc<Node>, mut listener: Box<dyn Listener>) {
    let open = Arc::new(AtomicUsize::new(0));
    let mut failing = false;
    while let Some(accepted) = node.shutdown.unless_triggered(listener.accept()).await {
        let failed_before = std::mem::replace(&mut failing, accepted.is_err());
        match accepted {
            Ok(connection) if open.load(Ordering::Relaxed) < limits::PEER_CONNECTIONS_MAX => {
                open.fetch_add(1, Ordering::Relaxed);
                let (node_of_task, open) = (node.clone(), open.clone());
                drop(node.shutdown.spawn(&node.runtime, "peer", async move {
                    serve(&node_of_task, connection).await;
                    open.fetch_sub(1, Ordering::Relaxed);
                }));
            }
            Ok(connection) => node.note_refusal(&connection.remote, -1, "too many connections of peers"),
            Err(error) => {
                if !failed_before {
                    tracing::warn!(node = %node.id(), %error, "a peer's connection could not be accepted; trying again");
                }
                node.runtime.sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve(node: &Arc<Node>, connection: Connection) {
    let Connection { mut reader, mut writer, remote } = connection;
    let greeting = node.runtime.timeout(node.settings.connect_timeout, greet(node, reader.as_mut(), &remote));
    let Ok(Some(greeted)) = greeting.await else { return };
    let refusal = greeted.as_ref().err().map_or("", String::as_str);
    let welcome = handshake::welcome(node, refusal);
    let welcomed = node.runtime.timeout(node.settings.connect_timeout, writer.write(welcome)).await;
    if let (Ok(greeting), Ok(Ok(()))) = (greeted, welcomed)
        && !greeting.question
    {
        Inbound::new(node.clone(), &greeting).run(reader, writer).await;
    }
}

/// Reads who it is. `None` when it is nobody worth an answer.
async fn greet(node: &Arc<Node>, reader: &mut dyn FrameReader, remote: &str) -> Option<Result<Greeting, String>> {
    let hello = match handshake::read_hello(reader).await {
        Ok(hello) => hello,
        Err(reason) => {
            tracing::debug!(node = %node.id(), remote, reason, "no peer");
            return None;
        }
    };
    if !hello.question && !node.is_joined() {
        tracing::debug!(node = %node.id(), remote, "a peer came before this node had joined");
        return None;
    }
    let admitted = handshake::check(node, &hello).and_then(|greeting| admit(node, greeting));
    if let Err(reason) = &admitted {
        node.note_refusal(remote, hello.node_id, reason);
    }
    Some(admitted)
}

/// Whether there may be a link with a peer of this cluster.
fn admit(node: &Arc<Node>, greeting: Greeting) -> Result<Greeting, String> {
    if greeting.question {
        return Ok(greeting);
    }
    if greeting.id == node.id() {
        return Err(format!("node {} is already here", greeting.id));
    }
    match node.learn(greeting.record.clone(), Source::Hello) {
        Learned::Taken => Ok(greeting),
        Learned::Superseded => Err(format!("a younger node {} is up", greeting.id)),
    }
}

/// A connection that another node opened to this one.
#[derive(Debug)]
struct Inbound {
    node: Arc<Node>,
    id: NodeId,
    incarnation: Uuid,
    connection: u64,
    outbox: Arc<Outbox>,
    in_flight: Arc<InFlight>,
}

/// Appends of one connection that are not answered.
#[derive(Debug, Default)]
struct InFlight {
    requests: AtomicUsize,
    bytes: AtomicUsize,
}

impl Inbound {
    fn new(node: Arc<Node>, greeting: &Greeting) -> Self {
        Self {
            id: greeting.id,
            incarnation: greeting.incarnation,
            connection: node.next_connection(),
            outbox: Arc::default(),
            in_flight: Arc::default(),
            node,
        }
    }

    async fn run(self, mut reader: Box<dyn FrameReader>, mut writer: Box<dyn FrameWriter>) {
        let node = &self.node;
        if !node.table.lock().inbound(self.id, self.incarnation, self.connection, self.outbox.clone()) {
            return;
        }
        node.refresh();
        node.stir.notify_waiters();
        let reason = tokio::select! {
            biased;
            () = node.shutdown.triggered() => "this node stops".to_owned(),
            written = self.outbox.write_all(writer.as_mut(), |_| true) => match written {
                Ok(()) => "another incarnation took its place".to_owned(),
                Err(error) => error.to_string(),
            },
            reason = self.read_all(reader.as_mut()) => reason,
        };
        self.outbox.close();
        let now_ms = node.clock.now_ms();
        {
            let mut table = node.table.lock();
            table.inbound_ended(self.id, self.incarnation, self.connection, now_ms);
            table.forget_departed();
        }
        node.refresh();
        node.stir.notify_waiters();
        tracing::debug!(node = %node.id(), peer = %self.id, reason, "connection of a peer ended");
    }

    async fn read_all(&self, reader: &mut dyn FrameReader) -> String {
        let settings = &self.node.settings;
        // A peer pings all the time. A long frame may delay its pings.
        let silence_max = settings.ping_interval * (2 * settings.pings_unanswered_max);
        loop {
            let read = self.node.runtime.timeout(silence_max, reader.read(limits::PEER_FRAME_BYTES_MAX));
            let frame = match read.await {
                Ok(Ok(Some(bytes))) => frame::decode(bytes),
                Ok(Ok(None)) => return "the peer closed it".to_owned(),
                Ok(Err(error)) => return error.to_string(),
                Err(_elapsed) => return "the peer is silent".to_owned(),
            };
            match frame {
                Ok(frame) => self.act(frame),
                Err(error) => {
                    tracing::warn!(node = %self.node.id(), peer = %self.id, %error, "a peer sent what is no frame");
                    return error.to_string();
                }
            }
        }
    }

    fn act(&self, frame: Frame) {
        match frame.kind {
            Some(FrameKind::Ping(links)) => {
                self.node.report(self.id, &links);
                let pong = FrameKind::Pong(self.node.links_message(links.number));
                self.outbox.control(frame::encode(0, pong, Payload::default()));
            }
            Some(FrameKind::Forward(message)) => self.serve_append(frame.request, &message, frame.data),
            Some(FrameKind::Push(PushMessage { shard, number: _ })) => {
                self.node.counters.pushes_received.increment();
                if let Some(shard) = self.node.log.shard(ShardId(shard)) {
                    shard.pushed(frame.data);
                }
            }
            Some(FrameKind::Goodbye(_)) => {
                self.node.table.lock().departed(self.id, self.incarnation);
                self.node.refresh();
            }
            // Later releases may say more.
            _ => {}
        }
    }

    fn serve_append(&self, request: u64, message: &ForwardMessage, data: Bytes) {
        let bytes = data.len() + message.batches.len() * size_of::<BatchMessage>();
        if let Err(reason) = self.begin_append(request, message, data, bytes) {
            self.node.counters.appends_refused.increment();
            self.outbox.control(answer_frame(request, appends::nothing_done(&reason)));
        }
    }

    fn begin_append(&self, request: u64, message: &ForwardMessage, data: Bytes, bytes: usize) -> Result<(), String> {
        let node = &self.node;
        let forwarded = appends::decode(message, data).inspect_err(|reason| {
            tracing::warn!(node = %node.id(), peer = %self.id, reason, "a peer forwarded what is no append");
        })?;
        let shard = node.log.shard(forwarded.shard).ok_or_else(|| format!("shard {} is not open", forwarded.shard))?;
        if !self.in_flight.begin(bytes) {
            return Err("too many appends are in flight".to_owned());
        }
        if !node.served.begin() {
            self.in_flight.end(bytes);
            return Err("shutting down".to_owned());
        }
        node.counters.appends_served.increment();
        let deadline = node.runtime.monotonic() + forwarded.wait;
        let ticket = shard.append_here(forwarded.append, deadline);
        let (node, outbox, in_flight) = (node.clone(), self.outbox.clone(), self.in_flight.clone());
        drop(self.node.runtime.spawn("forwarded append", async move {
            let answer = appends::encode_answer(ticket.outcome().await);
            outbox.control(answer_frame(request, answer));
            in_flight.end(bytes);
            node.served.end();
        }));
        Ok(())
    }
}

fn answer_frame(request: u64, answer: AnswerMessage) -> Payload {
    frame::encode(request, FrameKind::Answer(answer), Payload::default())
}

impl InFlight {
    fn begin(&self, bytes: usize) -> bool {
        let requests = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        let total_bytes = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let fits = requests <= limits::PEER_REQUESTS_IN_FLIGHT_MAX && total_bytes <= limits::PEER_BYTES_IN_FLIGHT_MAX;
        if !fits {
            self.end(bytes);
        }
        fits
    }

    fn end(&self, bytes: usize) {
        self.requests.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}
