//! This node, as all its tasks share it: what it says of itself, what it knows of others, and who is told.
//!
//! Lock order: `publishing`, then `table`. No lock is held across an await but `record_turn`, which orders what is written under
//! this node's key.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use alluvium_infra::Runtime;
use alluvium_infra::limits;
use alluvium_infra::metrics::Counter;
use alluvium_infra::published::{Publisher, Subscription, published};
use alluvium_infra::shutdown::Shutdown;
use alluvium_infra::store::Store;
use alluvium_log::Log;
use alluvium_log::format::node::NodeRecord;
use alluvium_record::NodeId;
use parking_lot::Mutex;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::dial;
use crate::members::Members;
use crate::messages::{LinksMessage, NodeMessage};
use crate::settings::ClusterSettings;
use crate::store_clock::StoreClock;
use crate::table::{Change, Learned, Source, Standing, Table, member};
use crate::transport::Transport;

/// What a node did and suffered, for whoever measures.
#[derive(Debug, Default)]
pub struct Counters {
    /// Appends that were sent to a leader, or were to be.
    pub appends_forwarded: Counter,
    /// Of these, how many the leader decided.
    pub appends_decided: Counter,
    /// Appends of other nodes that were taken.
    pub appends_served: Counter,
    /// Appends of other nodes that were turned away: malformed, too many, or for a shard that is not open.
    pub appends_refused: Counter,
    /// Entries that were given to links.
    pub pushes_sent: Counter,
    /// Entries that were not, because too much waited.
    pub pushes_dropped: Counter,
    /// Entries that came from other nodes.
    pub pushes_received: Counter,
    /// Links that were opened.
    pub links_opened: Counter,
    /// Heartbeats that were written.
    pub heartbeats: Counter,
    /// Heartbeats that could not be written.
    pub heartbeats_failed: Counter,
}

/// This node.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) log: Log,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) settings: ClusterSettings,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) runtime: Runtime,
    pub(crate) clock: StoreClock,
    pub(crate) incarnation: Uuid,
    pub(crate) shutdown: Shutdown,
    pub(crate) counters: Counters,
    pub(crate) table: Mutex<Table>,
    /// The own record is written or removed by one at a time.
    pub(crate) record_turn: tokio::sync::Mutex<()>,
    /// Wakes those who wait to connect again.
    pub(crate) stir: Notify,
    /// Asks for a listing before its time: somebody named a node that is not known here.
    pub(crate) look_around: Notify,
    /// Appends of other nodes that are being served.
    pub(crate) served: Served,
    record: Mutex<NodeRecord>,
    publishing: Mutex<()>,
    publisher: Publisher<Arc<Members>>,
    subscription: Subscription<Arc<Members>>,
    failure: Publisher<Option<String>>,
    failure_subscription: Subscription<Option<String>>,
    joined: AtomicBool,
    leaving: AtomicBool,
    /// Heartbeats cannot be written.
    storeless: AtomicBool,
    last_connection: AtomicU64,
    /// Refusals that were logged.
    refusals: Mutex<BTreeSet<String>>,
}

impl Node {
    pub(crate) fn new(
        log: Log,
        settings: ClusterSettings,
        peer_address: String,
        transport: Arc<dyn Transport>,
        runtime: Runtime,
    ) -> Arc<Self> {
        let store = log.store().clone();
        let incarnation = runtime.random_uuid();
        let record = NodeRecord {
            node_id: settings.node_id.0,
            incarnation,
            zone: settings.zone.clone(),
            listeners: settings.listeners.clone(),
            peer_address,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_ms: 0,
            heartbeat_ms: 0,
        };
        let report_for = settings.ping_interval * (settings.pings_unanswered_max + 1);
        let table = Table::new(settings.node_id, settings.fresh_for, report_for);
        let (publisher, subscription) = published(Arc::new(Members::new(vec![member(&record, true)])));
        let (failure, failure_subscription) = published(None);
        Arc::new(Self {
            clock: StoreClock::new(store.clone(), runtime.clone()),
            log,
            store,
            transport,
            runtime,
            incarnation,
            shutdown: Shutdown::new(),
            counters: Counters::default(),
            table: Mutex::new(table),
            record_turn: tokio::sync::Mutex::new(()),
            stir: Notify::new(),
            look_around: Notify::new(),
            served: Served::default(),
            record: Mutex::new(record),
            publishing: Mutex::new(()),
            publisher,
            subscription,
            failure,
            failure_subscription,
            joined: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
            storeless: AtomicBool::new(false),
            last_connection: AtomicU64::new(0),
            refusals: Mutex::default(),
            settings,
        })
    }

    pub(crate) fn id(&self) -> NodeId {
        self.settings.node_id
    }

    /// What this node says of itself.
    pub(crate) fn record(&self) -> NodeRecord {
        self.record.lock().clone()
    }

    /// The record as it is to be written at this moment; the first one says when the node started.
    pub(crate) fn record_now(&self) -> NodeRecord {
        let now_ms = self.clock.now_ms();
        let mut record = self.record.lock();
        if record.heartbeat_ms == 0 {
            record.started_ms = now_ms;
        }
        record.heartbeat_ms = now_ms;
        record.clone()
    }

    /// Others may link with this node from now on.
    pub(crate) fn set_joined(&self) {
        self.joined.store(true, Ordering::Release);
        self.refresh();
    }

    pub(crate) fn is_joined(&self) -> bool {
        self.joined.load(Ordering::Acquire)
    }

    pub(crate) fn set_leaving(&self) {
        self.leaving.store(true, Ordering::Release);
        self.refresh();
    }

    /// Whether the store can be reached; others are told with the next ping.
    pub(crate) fn set_storeless(&self, storeless: bool) {
        if self.storeless.swap(storeless, Ordering::AcqRel) != storeless {
            self.refresh();
        }
    }

    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Acquire)
    }

    /// A number for a connection that came in.
    pub(crate) fn next_connection(&self) -> u64 {
        self.last_connection.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn members(&self) -> Arc<Members> {
        self.subscription.newest()
    }

    pub(crate) fn subscribe(&self) -> Subscription<Arc<Members>> {
        self.subscription.clone()
    }

    pub(crate) fn failure(&self) -> Subscription<Option<String>> {
        self.failure_subscription.clone()
    }

    /// This node must stop, and why.
    pub(crate) fn fail(&self, message: String) {
        tracing::error!(node = %self.id(), "{message}");
        self.failure.publish(Some(message));
    }

    /// Takes in what is known of a node now, and sees that somebody cares for a link with it.
    pub(crate) fn learn(self: &Arc<Self>, record: NodeRecord, source: Source) -> Learned {
        let learned = self.table.lock().learn(record, source, self.clock.now_ms(), self.runtime.monotonic());
        if self.is_joined() {
            self.dial_new();
        }
        learned
    }

    /// Opens links to nodes that nobody cares for yet.
    pub(crate) fn dial_new(self: &Arc<Self>) {
        let undialed = self.table.lock().take_undialed();
        for id in undialed {
            drop(self.shutdown.spawn(&self.runtime, "dial", dial::keep_link(self.clone(), id, None)));
        }
    }

    /// A node told with whom it has links.
    pub(crate) fn report(&self, from: NodeId, message: &LinksMessage) {
        let linked = message.linked.iter().filter_map(NodeMessage::node).collect();
        let stranger = {
            let mut table = self.table.lock();
            table.told_storeless(from, message.storeless);
            table.report(from, linked, self.runtime.monotonic())
        };
        if stranger {
            self.look_around.notify_one();
        }
        self.refresh();
    }

    /// With whom this node has links, as it tells others.
    pub(crate) fn links_message(&self, number: u64) -> LinksMessage {
        let linked = self.table.lock().linked_nodes();
        LinksMessage {
            number,
            linked: linked.into_iter().map(|(id, incarnation)| NodeMessage::new(id, incarnation)).collect(),
            storeless: self.storeless.load(Ordering::Acquire),
        }
    }

    /// Publishes who is up, when that has changed.
    pub(crate) fn refresh(&self) {
        let _publishing = self.publishing.lock();
        let storeless = self.storeless.load(Ordering::Acquire);
        let (mut members, changes, cut_off) = {
            let mut table = self.table.lock();
            let (members, changes) = table.survey(storeless, self.runtime.monotonic());
            (members, changes, table.is_cut_off(storeless))
        };
        // Who cannot reach the store sends its clients to the others.
        let serves = !self.is_leaving() && !cut_off;
        if serves || members.is_empty() {
            members.push(member(&self.record(), true));
        }
        let members = Members::new(members);
        if *self.subscription.newest() != members {
            self.publisher.publish(Arc::new(members));
        }
        for change in changes {
            self.note(&change);
        }
    }

    fn note(&self, change: &Change) {
        let Change { id, address, standing } = change;
        let (node, reason) = (self.id(), standing.reason());
        if standing.is_up() {
            tracing::info!(%node, peer = %id, %address, reason, "peer is up");
        } else if *standing == Standing::Departed {
            tracing::info!(%node, peer = %id, %address, reason, "peer is gone");
        } else {
            tracing::info!(%node, peer = %id, %address, reason, "peer is down");
        }
    }

    /// Logs that a peer was or is refused; the same only once, since it will try again.
    pub(crate) fn note_refusal(&self, remote: &str, id: i32, reason: &str) {
        let mut refusals = self.refusals.lock();
        if refusals.len() < limits::PEER_CONNECTIONS_MAX && refusals.insert(format!("{id} {reason}")) {
            tracing::warn!(node = %self.id(), peer = id, remote, reason, "no link with this peer");
        }
    }
}

/// Counts appends of other nodes that are being served, so that the end can wait for them.
#[derive(Debug, Default)]
pub(crate) struct Served {
    state: Mutex<ServedState>,
    none: Notify,
}

#[derive(Debug, Default)]
struct ServedState {
    count: usize,
    ended: bool,
}

impl Served {
    /// One more; `false` when none is taken any more.
    pub(crate) fn begin(&self) -> bool {
        let mut state = self.state.lock();
        if state.ended {
            return false;
        }
        state.count += 1;
        true
    }

    /// One less.
    pub(crate) fn end(&self) {
        let none = {
            let mut state = self.state.lock();
            state.count -= 1;
            state.count == 0
        };
        if none {
            self.none.notify_waiters();
        }
    }

    /// Takes none any more, and waits until those that were taken are answered.
    pub(crate) async fn drain(&self) {
        self.state.lock().ended = true;
        loop {
            let none = self.none.notified();
            tokio::pin!(none);
            none.as_mut().enable();
            if self.state.lock().count == 0 {
                return;
            }
            none.await;
        }
    }
}
