//! What a request handler may use: the node it runs on, the client that asked and the request's header.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use alluvium_coordinator::Coordinators;
use alluvium_coordinator::transaction::Transactions;
use alluvium_infra::Runtime;
use alluvium_infra::runtime::Instant;
use alluvium_ingest::Ingest;
use alluvium_log::{Log, Shard, View};
use alluvium_protocol::errors::ErrorCode;
use alluvium_protocol::messages::{StrBytes, Uuid};
use alluvium_reader::Reader;
use alluvium_record::{TopicId, TopicPartition};

use crate::door_counters::DoorCounters;
use crate::fetch_memory::FetchMemory;
use crate::fetch_session::FetchSessions;
use crate::nodes::{Nodes, Roster};
use crate::rest::RestCounters;
use crate::settings::ServerSettings;

/// The epoch of every partition's leader, constant because the object store decides, not a leader.
pub(crate) const LEADER_EPOCH: i32 = 0;

/// How long an answer waits for the store before it becomes a retriable error; less than clients wait by default.
pub(crate) const STORE_WAIT_MAX: Duration = Duration::from_secs(10);
/// The shortest time a client's own timeout is taken to mean; less could not be kept by any object store.
const TIMEOUT_MIN: Duration = Duration::from_secs(1);
/// The longest time a client's own timeout is taken to mean.
const TIMEOUT_MAX: Duration = Duration::from_secs(300);

/// What all connections of a node share.
pub(crate) struct Node {
    pub(crate) log: Log,
    pub(crate) nodes: Nodes,
    pub(crate) ingest: Ingest,
    pub(crate) reader: Reader,
    pub(crate) groups: Coordinators,
    pub(crate) transactions: Transactions,
    pub(crate) fetch_sessions: FetchSessions,
    pub(crate) fetch_memory: FetchMemory,
    pub(crate) counters: DoorCounters,
    pub(crate) rest_counters: RestCounters,
    pub(crate) settings: ServerSettings,
    pub(crate) runtime: Runtime,
}

/// A host and port as clients are told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Endpoint {
    pub(crate) host: StrBytes,
    pub(crate) port: i32,
}

/// One connected client.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    /// Where it connects from.
    pub(crate) peer: SocketAddr,
    /// The address of this node, as this client should use it.
    pub(crate) endpoint: Endpoint,
    /// What it came in by.
    pub(crate) listener: ListenerIdentity,
}

/// What clients said by choosing a listener.
#[derive(Clone, Debug)]
pub(crate) struct ListenerIdentity {
    pub(crate) name: Arc<str>,
    /// They want to produce to nodes of this node's zone.
    pub(crate) zonal: bool,
}

impl RequestContext {
    /// The nodes as this client is told.
    pub(crate) fn roster(&self) -> Roster {
        self.node.nodes.as_seen_by(&self.client)
    }
}

/// One request while it is handled.
#[derive(Clone)]
pub(crate) struct RequestContext {
    pub(crate) node: Arc<Node>,
    pub(crate) client: Arc<Client>,
    pub(crate) client_id: Option<StrBytes>,
    pub(crate) version: i16,
    pub(crate) correlation_id: i32,
    /// When its frame was here.
    pub(crate) received: Instant,
}

/// A snapshot to answer from, and whether it may be behind because the store could not be asked.
pub(crate) struct Known {
    pub(crate) state: View,
    stale: bool,
}

impl Known {
    /// Whether it may be behind, because the log could not be read to its end.
    pub(crate) fn is_stale(&self) -> bool {
        self.stale
    }

    /// The error for something that is absent: `absent` when this view knows, a retriable one when it cannot know.
    pub(crate) fn missing(&self, absent: ErrorCode) -> ErrorCode {
        if self.stale { ErrorCode::LeaderNotAvailable } else { absent }
    }
}

impl Node {
    /// The newest state this node knows.
    pub(crate) fn state(&self) -> View {
        self.log.view()
    }

    /// The shard of a partition whose topic is known, if it is open.
    pub(crate) fn shard_of(&self, topic_partition: TopicPartition) -> Option<Shard> {
        let shard = self.state().shard_of(topic_partition)?;
        self.log.shard(shard)
    }

    /// The known state when it satisfies `sufficient`, or else the state after one catch-up: a stale node must not say no.
    pub(crate) async fn view(&self, sufficient: impl Fn(&View) -> bool) -> Known {
        let state = self.state();
        if sufficient(&state) { Known { state, stale: false } } else { self.fresh_view().await }
    }

    /// The state after a catch-up, or the known one marked as stale.
    pub(crate) async fn fresh_view(&self) -> Known {
        match self.caught_up().await {
            Some(state) => Known { state, stale: false },
            None => Known { state: self.state(), stale: true },
        }
    }

    /// The state after a catch-up; `None` when the store does not answer in time.
    pub(crate) async fn caught_up(&self) -> Option<View> {
        match self.runtime.timeout(STORE_WAIT_MAX, self.log.catch_up()).await {
            Ok(Ok(state)) => Some(state),
            Ok(Err(error)) => {
                tracing::warn!(%error, "cannot catch up with the log");
                None
            }
            Err(_elapsed) => {
                tracing::warn!(waited = ?STORE_WAIT_MAX, "cannot catch up with the log: the store does not answer");
                None
            }
        }
    }

    /// When a request with this timeout of its own must be answered.
    pub(crate) fn deadline(&self, timeout_ms: i32) -> Instant {
        let asked = Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0));
        self.runtime.monotonic() + asked.clamp(TIMEOUT_MIN, TIMEOUT_MAX)
    }
}

/// A topic id from the wire.
pub(crate) fn topic_id(id: Uuid) -> TopicId {
    TopicId::from_bytes(id.to_bytes())
}

/// A topic id for the wire.
pub(crate) fn wire_id(id: TopicId) -> Uuid {
    Uuid::from_bytes(*id.as_bytes())
}
