//! What a node knows of the others, and who of them it takes for up. No I/O and no clock: times are given.
//!
//! A node is up for this one
//! - when there is a link with it, in either direction, and it said neither goodbye nor that it cannot reach the store;
//! - without a link, when its record is fresh, its address does not refuse connections and a third node reports a link to it;
//! - for the moment between the end of a link and the first attempt to open it again, when it was up before.
//!
//! Invariants:
//! 1. Of two incarnations with one id one counts: the younger, unless only the older one gives a sign of life.
//! 2. What is said about one incarnation never touches another.
//! 3. A node whose record is unreadable to this one is no proof of death as long as there is a link.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use alluvium_infra::runtime::Instant;
use alluvium_log::format::node::NodeRecord;
use alluvium_record::NodeId;
use uuid::Uuid;

use crate::link::Link;
use crate::members::Member;
use crate::outbox::Outbox;
use crate::store_clock::GRANULARITY_MS;

/// The other nodes.
#[derive(Debug)]
pub(crate) struct Table {
    own: NodeId,
    fresh_for_ms: i64,
    report_for: Duration,
    peers: BTreeMap<NodeId, Peer>,
    /// By reporter: whom it has links with, and when it said so.
    reports: BTreeMap<NodeId, (BTreeSet<(NodeId, Uuid)>, Instant)>,
}

#[derive(Debug)]
struct Peer {
    record: NodeRecord,
    /// The newest sign of life, by the store's clock.
    seen_ms: i64,
    /// When a sign of life was last looked for.
    looked_ms: i64,
    link: Option<Arc<Link>>,
    inbound: BTreeMap<u64, Arc<Outbox>>,
    departed: bool,
    /// It says that it cannot reach the store.
    storeless: bool,
    /// The last attempt to connect was refused.
    refused: bool,
    /// Connecting was tried since there was a link.
    tried: bool,
    /// What was published last.
    was_up: bool,
    /// A task cares for the link.
    dialed: bool,
}

/// Why a node is up or down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Linked,
    Reported,
    Reconnecting,
    Storeless,
    Departed,
    Stale,
    Refused,
    Unreported,
}

impl Standing {
    pub(crate) fn is_up(self) -> bool {
        matches!(self, Standing::Linked | Standing::Reported | Standing::Reconnecting)
    }

    /// In words, for a log line.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Standing::Linked => "there is a link",
            Standing::Reported => "another node has a link to it",
            Standing::Reconnecting => "its link ended just now",
            Standing::Storeless => "it cannot reach the store",
            Standing::Departed => "it left",
            Standing::Stale => "its heartbeats stopped",
            Standing::Refused => "its address refuses connections",
            Standing::Unreported => "no node has a link to it",
        }
    }
}

/// How something was learned about a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// It is written in the bucket.
    Record,
    /// The node said so itself, just now.
    Hello,
}

/// What became of what was learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Learned {
    /// It counts.
    Taken,
    /// Another incarnation counts.
    Superseded,
}

/// A change of who is up, for the log.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) id: NodeId,
    pub(crate) address: String,
    pub(crate) standing: Standing,
}

/// Whom to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) id: NodeId,
    pub(crate) incarnation: Uuid,
    pub(crate) address: String,
}

impl Table {
    pub(crate) fn new(own: NodeId, fresh_for: Duration, report_for: Duration) -> Self {
        let fresh_for_ms = fresh_for.as_millis() as i64 + GRANULARITY_MS;
        Self { own, fresh_for_ms, report_for, peers: BTreeMap::new(), reports: BTreeMap::new() }
    }

    /// Takes in what a record or a greeting says.
    pub(crate) fn learn(&mut self, record: NodeRecord, source: Source, now_ms: i64, now: Instant) -> Learned {
        let id = NodeId(record.node_id);
        let seen_ms = if source == Source::Hello { now_ms } else { record.heartbeat_ms };
        if id == self.own {
            return Learned::Superseded;
        }
        let Some(peer) = self.peers.get(&id) else {
            self.peers.insert(id, Peer::new(record, seen_ms, now_ms));
            return Learned::Taken;
        };
        if peer.record.incarnation != record.incarnation {
            let age = |record: &NodeRecord| (record.started_ms, record.incarnation);
            let younger = age(&record) > age(&peer.record);
            let alive = source == Source::Hello || seen_ms + self.fresh_for_ms >= now_ms;
            if !younger && (!alive || self.standing(peer, now).is_up()) {
                return Learned::Superseded;
            }
            let dialed = peer.dialed;
            if let Some(old) = self.peers.insert(id, Peer { dialed, ..Peer::new(record, seen_ms, now_ms) }) {
                old.close();
            }
            self.reports.remove(&id);
            return Learned::Taken;
        }
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.seen_ms = peer.seen_ms.max(seen_ms);
            peer.looked_ms = peer.looked_ms.max(now_ms);
            peer.record = record;
        }
        Learned::Taken
    }

    /// The record of a node is gone or cannot be of use: whatever is known of its life is what links show.
    pub(crate) fn record_gone(&mut self, id: NodeId) {
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.seen_ms = i64::MIN;
        }
    }

    /// A link to a node is open. `false` when another incarnation counts.
    pub(crate) fn linked(&mut self, id: NodeId, incarnation: Uuid, link: Arc<Link>) -> bool {
        let Some(peer) = self.peer(id, incarnation) else { return false };
        (peer.refused, peer.tried) = (false, false);
        peer.link = Some(link);
        true
    }

    /// The link to a node has ended.
    pub(crate) fn unlinked(&mut self, id: NodeId, incarnation: Uuid, now_ms: i64) {
        if let Some(peer) = self.peer(id, incarnation) {
            peer.link = None;
            peer.seen_ms = peer.seen_ms.max(now_ms);
        }
    }

    /// A node has connected to this one.
    pub(crate) fn inbound(&mut self, id: NodeId, incarnation: Uuid, connection: u64, outbox: Arc<Outbox>) -> bool {
        let Some(peer) = self.peer(id, incarnation) else { return false };
        (peer.refused, peer.tried) = (false, false);
        peer.inbound.insert(connection, outbox);
        true
    }

    /// A connection from a node has ended.
    pub(crate) fn inbound_ended(&mut self, id: NodeId, incarnation: Uuid, connection: u64, now_ms: i64) {
        if let Some(peer) = self.peer(id, incarnation) {
            peer.inbound.remove(&connection);
            peer.seen_ms = peer.seen_ms.max(now_ms);
        }
    }

    /// Connecting to a node did not work.
    pub(crate) fn attempt_failed(&mut self, id: NodeId, incarnation: Uuid, refused: bool) {
        if let Some(peer) = self.peer(id, incarnation) {
            (peer.refused, peer.tried) = (refused, true);
        }
    }

    /// A node said goodbye.
    pub(crate) fn departed(&mut self, id: NodeId, incarnation: Uuid) {
        if let Some(peer) = self.peer(id, incarnation) {
            peer.departed = true;
        }
    }

    /// A node told whether it reaches the store.
    pub(crate) fn told_storeless(&mut self, id: NodeId, storeless: bool) {
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.storeless = storeless;
        }
    }

    /// A node told with whom it has links. `true` when it names one that is not known here.
    pub(crate) fn report(&mut self, from: NodeId, linked: BTreeSet<(NodeId, Uuid)>, now: Instant) -> bool {
        let own = self.own;
        let stranger = linked.iter().any(|(id, _)| *id != own && !self.peers.contains_key(id));
        self.reports.insert(from, (linked, now));
        stranger
    }

    /// Whom to connect to for a link with this node; `None` when nobody is to.
    pub(crate) fn target(&self, id: NodeId) -> Option<Target> {
        let peer = self.peers.get(&id).filter(|peer| !peer.departed)?;
        Some(Target { id, incarnation: peer.record.incarnation, address: peer.record.peer_address.clone() })
    }

    /// Nodes without anybody who cares for their link; from now on the caller does.
    pub(crate) fn take_undialed(&mut self) -> Vec<NodeId> {
        let undialed = self.peers.iter_mut().filter(|(_, peer)| !peer.dialed && !peer.departed);
        undialed
            .map(|(id, peer)| {
                peer.dialed = true;
                *id
            })
            .collect()
    }

    /// Whether whoever cares for the link of this node may stop. A node without any sign of life is forgotten.
    pub(crate) fn give_up(&mut self, id: NodeId, now: Instant) -> bool {
        let Some(peer) = self.peers.get(&id) else { return true };
        let gone = matches!(self.standing(peer, now), Standing::Departed | Standing::Stale);
        if gone && peer.inbound.is_empty() && peer.link.is_none() {
            self.peers.remove(&id);
            self.reports.remove(&id);
            return true;
        }
        let departed = peer.departed;
        if departed && let Some(peer) = self.peers.get_mut(&id) {
            peer.dialed = false;
        }
        departed
    }

    /// Forgets nodes that left and whose last connection has ended.
    pub(crate) fn forget_departed(&mut self) {
        self.peers.retain(|_, peer| {
            let gone = peer.departed && !peer.dialed && peer.link.is_none() && peer.inbound.is_empty();
            !gone
        });
    }

    /// Whether this node knows whether `id` lives without reading its record.
    pub(crate) fn has_any_link(&self, id: NodeId) -> bool {
        self.peers.get(&id).is_some_and(Peer::has_any_link)
    }

    /// The link that appends to a node go over.
    pub(crate) fn link(&self, id: NodeId) -> Option<Arc<Link>> {
        self.peers.get(&id).and_then(|peer| peer.link.clone())
    }

    /// All links that entries are pushed over.
    pub(crate) fn links(&self) -> Vec<Arc<Link>> {
        self.peers.values().filter_map(|peer| peer.link.clone()).collect()
    }

    /// Everything that something can be said over.
    pub(crate) fn outboxes(&self) -> Vec<Arc<Outbox>> {
        let of_peer = |peer: &Peer| {
            let link = peer.link.iter().map(|link| link.outbox.clone());
            link.chain(peer.inbound.values().cloned()).collect::<Vec<_>>()
        };
        self.peers.values().flat_map(of_peer).collect()
    }

    /// With whom there are links, in either direction.
    pub(crate) fn linked_nodes(&self) -> Vec<(NodeId, Uuid)> {
        let linked = self.peers.iter().filter(|(_, peer)| peer.has_any_link() && !peer.departed);
        linked.map(|(id, peer)| (*id, peer.record.incarnation)).collect()
    }

    /// Whether every other node that may live has connected to this one, so that it would push what it commits.
    pub(crate) fn all_connected(&self) -> bool {
        self.peers.values().all(|peer| {
            let dead = peer.departed || (!peer.has_any_link() && self.is_stale(peer));
            dead || !peer.inbound.is_empty()
        })
    }

    /// Whether this node is cut off from the store while others are not. When nobody reaches it, nobody is better off elsewhere.
    pub(crate) fn is_cut_off(&self, storeless: bool) -> bool {
        storeless && !self.nobody_reaches_the_store()
    }

    fn nobody_reaches_the_store(&self) -> bool {
        self.peers.values().filter(|peer| peer.has_any_link() && !peer.departed).all(|peer| peer.storeless)
    }

    /// The other nodes that are up, and what changed since this was last asked.
    pub(crate) fn survey(&mut self, storeless: bool, now: Instant) -> (Vec<Member>, Vec<Change>) {
        let outage = storeless && self.nobody_reaches_the_store();
        let standings: Vec<Standing> = self
            .peers
            .values()
            .map(|peer| match self.standing(peer, now) {
                Standing::Storeless if outage => Standing::Linked,
                standing => standing,
            })
            .collect();
        let (mut members, mut changes) = (Vec::new(), Vec::new());
        for ((id, peer), standing) in self.peers.iter_mut().zip(standings) {
            if standing.is_up() != peer.was_up {
                changes.push(Change { id: *id, address: peer.record.peer_address.clone(), standing });
            }
            peer.was_up = standing.is_up();
            if standing.is_up() {
                members.push(member(&peer.record, peer.link.is_some()));
            }
        }
        (members, changes)
    }

    fn standing(&self, peer: &Peer, now: Instant) -> Standing {
        if peer.departed {
            Standing::Departed
        } else if peer.has_any_link() && peer.storeless {
            Standing::Storeless
        } else if peer.has_any_link() {
            Standing::Linked
        } else if self.is_stale(peer) {
            Standing::Stale
        } else if peer.was_up && !peer.tried {
            Standing::Reconnecting
        } else if peer.refused {
            Standing::Refused
        } else if self.is_reported(&peer.record, now) {
            Standing::Reported
        } else {
            Standing::Unreported
        }
    }

    /// Whether the node's heartbeat was too old when it was last looked at. A store that does not answer makes nobody old.
    fn is_stale(&self, peer: &Peer) -> bool {
        peer.seen_ms.saturating_add(self.fresh_for_ms) < peer.looked_ms
    }

    /// Whether a node that this one has a link with has told of a link to `record`'s node.
    fn is_reported(&self, record: &NodeRecord, now: Instant) -> bool {
        let node = (NodeId(record.node_id), record.incarnation);
        self.reports.iter().any(|(reporter, (linked, at))| {
            *reporter != node.0
                && linked.contains(&node)
                && now.saturating_duration_since(*at) <= self.report_for
                && self.peers.get(reporter).is_some_and(Peer::has_any_link)
        })
    }

    fn peer(&mut self, id: NodeId, incarnation: Uuid) -> Option<&mut Peer> {
        self.peers.get_mut(&id).filter(|peer| peer.record.incarnation == incarnation)
    }
}

impl Peer {
    fn new(record: NodeRecord, seen_ms: i64, looked_ms: i64) -> Self {
        Self {
            record,
            seen_ms,
            looked_ms,
            link: None,
            inbound: BTreeMap::new(),
            departed: false,
            storeless: false,
            refused: false,
            tried: false,
            was_up: false,
            dialed: false,
        }
    }

    fn has_any_link(&self) -> bool {
        self.link.is_some() || !self.inbound.is_empty()
    }

    /// Ends its connections: another incarnation has taken its place.
    fn close(&self) {
        self.link.iter().for_each(|link| link.outbox.close());
        self.inbound.values().for_each(|outbox| outbox.close());
    }
}

/// A record as others see it.
pub(crate) fn member(record: &NodeRecord, linked: bool) -> Member {
    Member {
        id: NodeId(record.node_id),
        incarnation: record.incarnation,
        zone: record.zone.clone(),
        listeners: record.listeners.clone(),
        peer_address: record.peer_address.clone(),
        version: record.version.clone(),
        started_ms: record.started_ms,
        linked,
    }
}

#[cfg(test)]
#[path = "tests/table.rs"]
mod tests;
