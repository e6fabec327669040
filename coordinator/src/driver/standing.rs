//! Where the coordinators of a node stand, for those who watch it. Nothing is taken over for an answer.

use std::collections::BTreeMap;

use alluvium_record::ShardId;

use super::Coordinators;
use super::seat::Seat;
use crate::group::GroupFilter;

/// One shard that holds groups, as this node's coordinator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardStanding {
    /// The shard.
    pub shard: ShardId,
    /// The epoch of this node's term; nothing when it does not coordinate the shard's groups.
    pub epoch: Option<u64>,
    /// Take-overs that this node has begun since its start.
    pub take_overs: u64,
    /// Groups that this node coordinates, by Kafka's names of their type and state.
    pub groups: BTreeMap<(&'static str, &'static str), u64>,
}

impl Coordinators {
    /// All shards that hold groups, by number.
    pub fn standing(&self) -> Vec<ShardStanding> {
        self.shared.seats.iter().map(|seat| seat.standing()).collect()
    }
}

impl Seat {
    fn standing(&self) -> ShardStanding {
        let mut groups = BTreeMap::new();
        let term = self.seated();
        // A term that has just ended has no groups.
        let listed = term.as_ref().and_then(|term| term.read(|table| table.list(&GroupFilter::default())).ok());
        for group in listed.into_iter().flatten() {
            *groups.entry((group.group_type, group.state)).or_default() += 1;
        }
        let (shard, take_overs) = (self.shard().id(), self.take_overs());
        ShardStanding { shard, epoch: term.map(|term| term.epoch()), take_overs, groups }
    }
}
