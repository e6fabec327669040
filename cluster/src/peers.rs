//! What the log asks of the cluster: who leads a shard, forward this append, push this entry.
//!
//! Invariants: nothing here waits; a forwarded append is answered exactly once (see `requests`).

use std::sync::Arc;

use alluvium_infra::limits;
use alluvium_infra::runtime::Instant;
use alluvium_infra::store::Payload;
use alluvium_log::{Append, ForwardError, Peers};
use alluvium_record::{NodeId, ShardId};
use tokio::sync::oneshot;

use crate::appends;
use crate::frame;
use crate::messages::{FrameKind, PushMessage};
use crate::node::Node;
use crate::requests::{Answer, answer};

/// The cluster as the log sees it.
#[derive(Debug)]
pub(crate) struct ClusterPeers(pub(crate) Arc<Node>);

impl Peers for ClusterPeers {
    fn leader(&self, shard: ShardId) -> Option<NodeId> {
        let members = self.0.members();
        members.leader(shard).filter(|leader| leader.id != self.0.id() && leader.linked).map(|leader| leader.id)
    }

    fn forward(&self, to: NodeId, shard: ShardId, append: &Append, deadline: Instant) -> oneshot::Receiver<Answer> {
        let (reply, answered) = oneshot::channel();
        self.0.counters.appends_forwarded.increment();
        self.0.forward(to, shard, append, deadline, reply);
        answered
    }

    fn push(&self, shard: ShardId, number: u64, entry: Payload) {
        let links = self.0.table.lock().links();
        for link in links {
            let kind = FrameKind::Push(PushMessage { shard: shard.0, number });
            let taken = link.outbox.push(frame::encode(0, kind, entry.clone()));
            let counters = &self.0.counters;
            let counter = if taken { &counters.pushes_sent } else { &counters.pushes_dropped };
            counter.increment();
        }
    }

    fn all_connected(&self) -> bool {
        self.0.table.lock().all_connected()
    }
}

impl Node {
    fn forward(&self, to: NodeId, shard: ShardId, append: &Append, deadline: Instant, reply: oneshot::Sender<Answer>) {
        let not_sent = |reason: &str| Err(ForwardError::NotSent(reason.to_owned()));
        let now = self.runtime.monotonic();
        if deadline <= now {
            return answer(reply, not_sent("its time is up"));
        }
        let Some(link) = self.table.lock().link(to) else {
            return answer(reply, not_sent("there is no link to the leader"));
        };
        let expires = deadline.min(now + self.settings.answer_wait);
        let (message, data) = appends::encode(shard, append, expires - now);
        let Some(number) = link.requests.begin(reply, append.batches.len(), expires) else { return };
        let frame = frame::encode(number, FrameKind::Forward(message), data);
        let refusal = if frame.len() > limits::PEER_FRAME_BYTES_MAX {
            Some("it is longer than a frame")
        } else if link.outbox.request(number, frame) {
            None
        } else {
            Some("too much waits to be sent to the leader")
        };
        if let Some(reason) = refusal {
            link.requests.resolve(number, not_sent(reason));
        }
    }
}
