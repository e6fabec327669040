//! A link: the connection that this node opened to another one. Appends and pushes go out, answers and pings come back.
//!
//! Invariants:
//! 1. A link ends when its connection breaks, when pings stay unanswered, or when this node stops; then every append that
//!    waits for an answer is answered.
//! 2. Whatever comes from the other side counts as an answer to the pings before it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use alluvium_infra::limits;
use alluvium_infra::store::Payload;
use alluvium_record::NodeId;
use uuid::Uuid;

use crate::appends;
use crate::frame;
use crate::messages::FrameKind;
use crate::node::Node;
use crate::outbox::Outbox;
use crate::requests::Requests;
use crate::transport::{Connection, FrameReader};

/// An open link, or one that was.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) id: NodeId,
    pub(crate) incarnation: Uuid,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) requests: Requests,
    unanswered: AtomicU32,
}

impl Link {
    pub(crate) fn new(id: NodeId, incarnation: Uuid) -> Arc<Self> {
        Arc::new(Self {
            id,
            incarnation,
            outbox: Arc::default(),
            requests: Requests::default(),
            unanswered: AtomicU32::new(0),
        })
    }

    /// Carries frames until the link ends. Says why it did.
    pub(crate) async fn run(&self, node: &Arc<Node>, connection: Connection) -> String {
        let Connection { mut reader, mut writer, .. } = connection;
        let reason = tokio::select! {
            biased;
            () = node.shutdown.triggered() => "this node stops".to_owned(),
            written = self.outbox.write_all(writer.as_mut(), |number| self.requests.sending(number)) => match written {
                Ok(()) => "another incarnation took its place".to_owned(),
                Err(error) => error.to_string(),
            },
            reason = self.read_all(node, reader.as_mut()) => reason,
            () = self.keep_time(node) => "pings stay unanswered".to_owned(),
        };
        self.outbox.close();
        self.requests.close();
        reason
    }

    async fn read_all(&self, node: &Arc<Node>, reader: &mut dyn FrameReader) -> String {
        loop {
            let frame = match reader.read(limits::PEER_FRAME_BYTES_MAX).await {
                Ok(Some(bytes)) => frame::decode(bytes),
                Ok(None) => return "the peer closed the connection".to_owned(),
                Err(error) => return error.to_string(),
            };
            self.unanswered.store(0, Ordering::Relaxed);
            match frame {
                Ok(frame) => match frame.kind {
                    Some(FrameKind::Pong(links)) => node.report(self.id, &links),
                    Some(FrameKind::Answer(answer)) => {
                        let decided = self.requests.resolve(frame.request, appends::decode_answer(&answer));
                        if decided {
                            node.counters.appends_decided.increment();
                        }
                    }
                    Some(FrameKind::Goodbye(_)) => {
                        node.table.lock().departed(self.id, self.incarnation);
                        node.refresh();
                    }
                    // Later releases may say more.
                    _ => {}
                },
                Err(error) => return error.to_string(),
            }
        }
    }

    /// Sends pings and gives up appends that were not answered in time. Ends when the other side is silent.
    async fn keep_time(&self, node: &Arc<Node>) {
        let mut number = 0;
        let mut next_ping = node.runtime.monotonic();
        loop {
            let now = node.runtime.monotonic();
            self.requests.expire(now);
            if now >= next_ping {
                if self.unanswered.fetch_add(1, Ordering::Relaxed) >= node.settings.pings_unanswered_max {
                    return;
                }
                number += 1;
                self.outbox.control(frame::encode(0, FrameKind::Ping(node.links_message(number)), Payload::default()));
                next_ping = now + node.settings.ping_interval;
            }
            let wake = self.requests.next_expiry().map_or(next_ping, |expiry| expiry.min(next_ping));
            tokio::select! {
                biased;
                () = self.requests.sooner.notified() => {}
                () = node.runtime.sleep_until(wake) => {}
            }
        }
    }
}
