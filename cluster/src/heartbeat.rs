//! The own record in the bucket: written every few seconds, read before each writing.
//!
//! Cost: one GET and one PUT per heartbeat (6 s).
//!
//! Two live nodes with one id write the same key. Each finds the other's record in the place of its own sooner or later, and
//! both draw the same conclusion from the two records:
//! - when they started within the time that a heartbeat counts, neither could have seen the other: the younger one stops;
//! - otherwise the older one was taken for dead by the younger one, which asked before it started: the older one stops.
//!
//! A record alone is no proof, it may be the late write of a node that is gone: who is to stop asks the other first, or sees its
//! heartbeat go on.
//!
//! Invariant: a node that has left or failed writes no record any more.

use std::sync::Arc;
use std::time::Duration;

use alluvium_infra::store::StoreError;
use alluvium_log::format::node::NodeRecord;
use uuid::Uuid;

use crate::handshake;
use crate::node::Node;

/// Why a heartbeat was not written.
#[derive(Debug)]
enum BeatError {
    Store(StoreError),
    /// Another node has this id.
    Conflict(NodeRecord),
}

/// Writes heartbeats until this node leaves, stops or fails.
pub(crate) async fn keep_beating(node: Arc<Node>) {
    let mut heart = Heart { node, suspect: None, missed: 0, warned: false };
    let mut wait = heart.interval();
    loop {
        let node = heart.node.clone();
        heart.warn_of_clock();
        if node.shutdown.unless_triggered(node.runtime.sleep(wait)).await.is_none() {
            return;
        }
        let begun = node.runtime.monotonic();
        let _turn = node.record_turn.lock().await;
        if node.is_leaving() || node.shutdown.is_triggered() {
            return;
        }
        let beaten = node.runtime.timeout(node.settings.fresh_for, heart.beat()).await;
        match beaten.unwrap_or(Err(BeatError::Store(StoreError::Timeout))) {
            Ok(()) => {
                heart.beaten();
                wait = heart.interval().saturating_sub(node.runtime.monotonic() - begun);
            }
            Err(BeatError::Store(error)) => {
                heart.missed(&error);
                wait = node.settings.heartbeat_retry;
            }
            Err(BeatError::Conflict(other)) => {
                node.fail(format!(
                    "another node with id {} runs at {}: this one stops; give each node an id of its own",
                    node.id(),
                    other.peer_address
                ));
                return;
            }
        }
    }
}

/// Heartbeats missed in a row until this node calls itself cut off from the store.
const MISSED_MAX: u32 = 3;

struct Heart {
    node: Arc<Node>,
    /// A record that this node would give way to, if its node lives.
    suspect: Option<(Uuid, i64)>,
    /// Heartbeats missed in a row.
    missed: u32,
    warned: bool,
}

impl Heart {
    async fn beat(&mut self) -> Result<(), BeatError> {
        let node = self.node.clone();
        let path = node.log.paths().node(node.id());
        match node.store.get(&path).await {
            Ok(bytes) => {
                // What cannot be read is no record of a node, and is replaced.
                if let Ok(other) = NodeRecord::decode(&bytes)
                    && other.incarnation != node.incarnation
                    && gives_way(&node.record(), &other, node.settings.fresh_for)
                    && self.lives(&other).await
                {
                    return Err(BeatError::Conflict(other));
                }
            }
            Err(StoreError::NotFound) => {}
            Err(error) => return Err(BeatError::Store(error)),
        }
        let record = node.record_now().encode();
        node.store.put(&path, record).await.map_err(BeatError::Store)
    }

    /// Whether the node that wrote `record` is there, as far as this can be known now.
    async fn lives(&mut self, record: &NodeRecord) -> bool {
        let answers = handshake::ask(&self.node, &record.peer_address).await;
        if answers.is_ok_and(|greeting| greeting.incarnation == record.incarnation) {
            return true;
        }
        let suspect = (record.incarnation, record.heartbeat_ms);
        let goes_on = self.suspect.is_some_and(|(before, beat_ms)| before == suspect.0 && beat_ms < suspect.1);
        self.suspect = Some(suspect);
        goes_on
    }

    fn beaten(&mut self) {
        self.node.counters.heartbeats.increment();
        self.node.set_storeless(false);
        if std::mem::take(&mut self.missed) > 0 {
            tracing::info!(node = %self.node.id(), "heartbeats are written again");
        }
    }

    fn missed(&mut self, error: &StoreError) {
        self.node.counters.heartbeats_failed.increment();
        self.missed += 1;
        // One request may fail; a store that does not answer at all has been waited for long enough.
        if self.missed >= MISSED_MAX || *error == StoreError::Timeout {
            self.node.set_storeless(true);
        }
        if self.missed == 1 {
            tracing::warn!(node = %self.node.id(), %error, "heartbeats cannot be written; trying again");
        }
    }

    /// Once: the clock of this machine is off. Membership does not mind, timestamps of records may.
    fn warn_of_clock(&mut self) {
        let difference_ms = self.node.clock.local_difference_ms();
        let difference_ms_max = self.node.settings.clock_difference_max.as_millis() as u64;
        if difference_ms.unsigned_abs() > difference_ms_max && !std::mem::replace(&mut self.warned, true) {
            tracing::warn!(node = %self.node.id(), difference_ms, "the clock of this machine differs from the store's");
        }
    }

    /// The time to the next heartbeat, a little irregular so that two nodes with one id do not keep missing each other.
    fn interval(&self) -> Duration {
        let interval = self.node.settings.heartbeat_interval;
        interval - Duration::from_micros(self.node.runtime.random_below(interval.as_micros() as u64 / 12))
    }
}

/// Whether the node of `own` stops when the one of `other` lives. Of two, one does.
fn gives_way(own: &NodeRecord, other: &NodeRecord, fresh_for: Duration) -> bool {
    let younger = (own.started_ms, own.incarnation) > (other.started_ms, other.incarnation);
    let together = own.started_ms.abs_diff(other.started_ms) <= fresh_for.as_millis() as u64;
    younger == together
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(started_ms: i64, incarnation: u128) -> NodeRecord {
        NodeRecord {
            node_id: 1,
            incarnation: Uuid::from_u128(incarnation),
            zone: None,
            listeners: Vec::new(),
            peer_address: "a:1".to_owned(),
            version: "1".to_owned(),
            started_ms,
            heartbeat_ms: started_ms,
        }
    }

    #[test]
    fn of_two_nodes_with_one_id_exactly_one_gives_way() {
        let fresh_for = Duration::from_secs(8);
        let (first, second) = (record(1_000, 9), record(3_000, 4));
        assert!(gives_way(&second, &first, fresh_for), "started together: the younger");
        assert!(!gives_way(&first, &second, fresh_for));
        let (old, new) = (record(1_000, 9), record(60_000, 4));
        assert!(gives_way(&old, &new, fresh_for), "replaced: the older");
        assert!(!gives_way(&new, &old, fresh_for));
        let (one, other) = (record(5, 1), record(5, 2));
        assert!(gives_way(&other, &one, fresh_for), "at the same moment: the larger incarnation");
        assert!(!gives_way(&one, &other, fresh_for));
    }
}
