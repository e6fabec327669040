//! What goes wrong, decided from the seed.
//!
//! Every place where something can go wrong has a key: whether it does, and how, follows from the seed and the key alone. A
//! run can therefore be repeated with only some of its faults, which is how a fault list is shrunk.

use std::collections::BTreeSet;

use crate::random::Random;
use crate::scenario::Scenario;

/// What a store request suffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreFault {
    /// Applied, and the reply is lost: the client waits for its timeout.
    ReplyLost,
    /// Lost on the way: the client waits for its timeout, nothing is applied.
    RequestLost,
    /// The client gives up, the request is applied so many milliseconds later.
    Late(u64),
    /// 409, nothing applied.
    Conflict,
    /// 409, applied all the same.
    ConflictApplied,
    /// 412 although there is nothing.
    Precondition,
    /// 429.
    Throttled,
    /// 503, nothing applied.
    Unavailable,
    /// 503 after it was applied.
    UnavailableApplied,
    /// Answered after so many milliseconds more.
    Slow(u64),
    /// A read that breaks off.
    Truncated,
    /// A read with one wrong bit, where checksums cover it.
    FlippedBit,
}

/// What a request to a node suffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkFault {
    /// It never arrives.
    RequestLost,
    /// Its answer never arrives.
    AnswerLost,
    /// It arrives twice, the second time so many milliseconds later.
    Doubled(u64),
    /// It arrives so many milliseconds later.
    Delayed(u64),
    /// The client goes away after so many milliseconds, and the node drops what it was doing for it.
    Cancelled(u64),
}

/// What a frame between two nodes suffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerFault {
    /// It never arrives.
    Lost,
    /// It arrives twice.
    Doubled,
    /// It arrives so many milliseconds later, behind others.
    Overtaken(u64),
}

/// What a frame between two nodes is, as far as faults go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerFrame {
    /// An append for the leader, which comes once and in order or not at all.
    Forward,
    /// An entry that was committed.
    Push,
    /// All others: the answer to an append, a ping.
    Other,
}

/// What happens to a node at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeFault {
    /// All its tasks end; it starts again so many milliseconds later.
    Crash {
        /// Pause before it starts again.
        down_ms: u64,
    },
    /// All its tasks stand still.
    Freeze {
        /// How long.
        for_ms: u64,
    },
    /// Its wall clock jumps.
    ClockJump {
        /// By how much.
        by_ms: i64,
    },
    /// A client cannot reach it.
    CutOff {
        /// The client, by its number modulo three: several are cut off together.
        clients: u32,
        /// How long.
        for_ms: u64,
    },
    /// Another node and it cannot reach each other.
    LinkCut {
        /// The other one.
        other: u32,
        /// Whether frames to the other one still arrive.
        one_way: bool,
        /// How long.
        for_ms: u64,
    },
    /// It cannot reach the store.
    StoreCut {
        /// How long.
        for_ms: u64,
    },
}

/// A node that dies at a request of an upload in parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UploadCrash {
    /// Milliseconds after the request was sent: it may be on its way, or answered.
    pub after_ms: u64,
    /// Pause before the node starts again.
    pub down_ms: u64,
}

/// A node fault with its time.
#[derive(Clone, Copy, Debug)]
pub struct Planned {
    /// Its key.
    pub key: u64,
    /// When.
    pub at_ms: u64,
    /// The node.
    pub node: u32,
    /// What.
    pub fault: NodeFault,
}

/// The faults of a run.
#[derive(Debug)]
pub struct Faults {
    seed: u64,
    store_per_mille: u32,
    network_per_mille: u32,
    peer_per_mille: u32,
    upload_per_mille: u32,
    slow_ms_max: u64,
    late_ms_max: u64,
    /// Only these keys, when a list is being shrunk or replayed.
    only: Option<BTreeSet<u64>>,
}

const STORE: u64 = 1 << 60;
const NETWORK: u64 = 2 << 60;
const PLANNED: u64 = 3 << 60;
const PEER: u64 = 4 << 60;
const UPLOAD: u64 = 5 << 60;

impl Faults {
    /// The faults of a seed; only those whose keys are in `only`, when it is given.
    #[must_use]
    pub fn new(seed: u64, scenario: &Scenario, only: Option<BTreeSet<u64>>) -> Self {
        Self {
            seed,
            store_per_mille: scenario.store_faults_per_mille,
            network_per_mille: scenario.network_faults_per_mille,
            peer_per_mille: scenario.peer_faults_per_mille,
            upload_per_mille: scenario.upload_crashes_per_mille,
            slow_ms_max: 4_000,
            late_ms_max: if scenario.retention_ms > 0 { scenario.retention_ms * 3 } else { 60_000 },
            only,
        }
    }

    fn wanted(&self, key: u64) -> bool {
        self.only.as_ref().is_none_or(|only| only.contains(&key))
    }

    /// What becomes of request number `count` of a node to the store.
    #[must_use]
    pub fn store(&self, node: u32, count: u64, writes: bool) -> Option<(u64, StoreFault)> {
        let key = STORE | (u64::from(node) << 40) | count;
        let mut random = Random::new(self.seed, key);
        if !random.chance(self.store_per_mille) || !self.wanted(key) {
            return None;
        }
        let fault = match (writes, random.below(9)) {
            (true, 0 | 1) => StoreFault::ReplyLost,
            (true, 2) => StoreFault::Late(random.between(500, self.late_ms_max)),
            (true, 3) => StoreFault::Conflict,
            (true, 4) => StoreFault::ConflictApplied,
            (true, 5) => StoreFault::Precondition,
            (true, 6) => StoreFault::UnavailableApplied,
            (false, 0 | 1) => StoreFault::Truncated,
            (false, 2 | 3) => StoreFault::Unavailable,
            (false, 4) => StoreFault::RequestLost,
            (false, 5) => StoreFault::FlippedBit,
            (_, 7) => random.pick(&[StoreFault::Throttled, StoreFault::Unavailable, StoreFault::RequestLost]),
            _ => StoreFault::Slow(random.between(50, self.slow_ms_max)),
        };
        Some((key, fault))
    }

    /// What becomes of request number `count` of a client to a node.
    #[must_use]
    pub fn network(&self, client: u32, count: u64) -> Option<(u64, NetworkFault)> {
        let key = NETWORK | (u64::from(client) << 40) | count;
        let mut random = Random::new(self.seed, key);
        if !random.chance(self.network_per_mille) || !self.wanted(key) {
            return None;
        }
        let fault = match random.below(6) {
            0 => NetworkFault::RequestLost,
            1 => NetworkFault::AnswerLost,
            2 => NetworkFault::Doubled(random.between(0, 3_000)),
            3 => NetworkFault::Cancelled(random.between(0, 60)),
            _ => NetworkFault::Delayed(random.between(10, 2_000)),
        };
        Some((key, fault))
    }

    /// What becomes of frame number `count` from one node to another.
    #[must_use]
    pub fn peer(&self, from: u32, to: u32, count: u64, frame: PeerFrame) -> Option<(u64, PeerFault)> {
        let key = PEER | (u64::from(from) << 48) | (u64::from(to) << 40) | count;
        let mut random = Random::new(self.seed, key);
        if !random.chance(self.peer_per_mille) || !self.wanted(key) {
            return None;
        }
        let late_ms = random.between(1, 2_500);
        let fault = match (frame, random.below(3)) {
            (PeerFrame::Forward, _) | (_, 0) => PeerFault::Lost,
            (PeerFrame::Push, 1) => PeerFault::Doubled,
            _ => PeerFault::Overtaken(late_ms),
        };
        Some((key, fault))
    }

    /// Whether a node dies at its request number `count` about an upload in parts.
    #[must_use]
    pub fn upload(&self, node: u32, count: u64) -> Option<(u64, UploadCrash)> {
        let key = UPLOAD | (u64::from(node) << 40) | count;
        let mut random = Random::new(self.seed, key);
        if !random.chance(self.upload_per_mille) || !self.wanted(key) {
            return None;
        }
        Some((key, UploadCrash { after_ms: random.between(0, 50), down_ms: random.between(0, 3_000) }))
    }

    /// The faults of nodes, by time.
    #[must_use]
    pub fn planned(&self, scenario: &Scenario) -> Vec<Planned> {
        let mut planned = Vec::new();
        let kinds = [
            scenario.crashes,
            scenario.freezes,
            scenario.clock_jumps,
            scenario.partitions,
            scenario.link_cuts,
            scenario.store_cuts,
        ];
        for (kind, count) in kinds.into_iter().enumerate() {
            for index in 0..count {
                let key = PLANNED | ((kind as u64) << 32) | u64::from(index);
                let mut random = Random::new(self.seed, key);
                let fault = match kind {
                    0 => NodeFault::Crash { down_ms: random.between(0, 3_000) },
                    1 => NodeFault::Freeze { for_ms: random.between(100, scenario.freeze_ms_max) },
                    2 => NodeFault::ClockJump { by_ms: random.between(0, 14_400_000) as i64 - 7_200_000 },
                    3 => NodeFault::CutOff { clients: random.below(3) as u32, for_ms: random.between(100, 6_000) },
                    4 => NodeFault::LinkCut {
                        other: random.below(u64::from(scenario.nodes)) as u32,
                        one_way: random.chance(400),
                        for_ms: random.between(100, 12_000),
                    },
                    _ => NodeFault::StoreCut { for_ms: random.between(100, 12_000) },
                };
                // Most happen while clients are busy, which is early.
                let busy_ms = if random.chance(700) { scenario.duration_ms / 5 } else { scenario.duration_ms };
                let at_ms = random.below(busy_ms.max(1));
                let node = random.below(u64::from(scenario.nodes)) as u32;
                if self.wanted(key) {
                    planned.push(Planned { key, at_ms, node, fault });
                }
            }
        }
        planned.sort_by_key(|planned| (planned.at_ms, planned.key));
        planned
    }
}
