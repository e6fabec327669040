//! Who is up, as one node sees it now, and which of them is advised for what.
//!
//! Invariants: a snapshot never changes; two nodes that see the same members advise the same leaders; when a member comes or
//! goes, only shards that it leads or led get another leader.

use alluvium_log::format::node::NodeListener;
use alluvium_record::{NodeId, ShardId, TopicPartition};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// A node that is up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Kafka broker id.
    pub id: NodeId,
    /// New at each start.
    pub incarnation: Uuid,
    /// Availability zone, Kafka's rack.
    pub zone: Option<String>,
    /// Where clients reach it.
    pub listeners: Vec<NodeListener>,
    /// Where other nodes reach it.
    pub peer_address: String,
    /// Release that it runs.
    pub version: String,
    /// When it started, milliseconds since 1970 by the store's clock.
    pub started_ms: i64,
    /// Whether this node can send it appends now; true for this node itself.
    pub linked: bool,
}

/// All nodes that are up, this one included.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Members {
    members: Vec<Member>,
}

impl Members {
    /// A snapshot of `members`, in any order, each id once.
    #[must_use]
    pub fn new(mut members: Vec<Member>) -> Self {
        members.sort_by_key(|member| member.id);
        members.dedup_by_key(|member| member.id);
        Self { members }
    }

    /// All of them, by id.
    #[must_use]
    pub fn all(&self) -> &[Member] {
        &self.members
    }

    /// The member with this id.
    #[must_use]
    pub fn get(&self, id: NodeId) -> Option<&Member> {
        self.members.binary_search_by_key(&id, |member| member.id).ok().and_then(|index| self.members.get(index))
    }

    /// The node that is advised for a shard.
    #[must_use]
    pub fn leader(&self, shard: ShardId) -> Option<&Member> {
        best(self.members.iter(), &shard.0.to_be_bytes())
    }

    /// The node of this zone that is advised for a shard: the leader when it is there.
    #[must_use]
    pub fn leader_in_zone(&self, shard: ShardId, zone: &str) -> Option<&Member> {
        best(self.in_zone(zone), &shard.0.to_be_bytes())
    }

    /// The node of this zone that is advised for reading a partition, so that each block is cached once in a zone.
    #[must_use]
    pub fn replica_in_zone(&self, topic_partition: TopicPartition, zone: &str) -> Option<&Member> {
        let mut key = [0; 20];
        key[..16].copy_from_slice(topic_partition.topic.as_bytes());
        key[16..].copy_from_slice(&topic_partition.partition.to_be_bytes());
        best(self.in_zone(zone), &key)
    }

    /// The node that is named as the controller: the one with the lowest id.
    #[must_use]
    pub fn controller(&self) -> Option<&Member> {
        self.members.first()
    }

    fn in_zone(&self, zone: &str) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(move |member| member.zone.as_deref() == Some(zone))
    }
}

/// Rendezvous: the member with the highest hash of key and id.
fn best<'a>(members: impl Iterator<Item = &'a Member>, key: &[u8]) -> Option<&'a Member> {
    members.max_by_key(|member| (weight(key, member.id), std::cmp::Reverse(member.id)))
}

/// The first eight bytes of SHA-256 over key and node id, big endian.
fn weight(key: &[u8], id: NodeId) -> u64 {
    let hash = Sha256::new().chain_update(key).chain_update(id.0.to_be_bytes()).finalize();
    hash.iter().take(8).fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use alluvium_record::TopicId;

    use super::*;

    fn member(id: i32, zone: Option<&str>) -> Member {
        Member {
            id: NodeId(id),
            incarnation: Uuid::from_u128(id as u128),
            zone: zone.map(str::to_owned),
            listeners: Vec::new(),
            peer_address: format!("node-{id}:7000"),
            version: "1".to_owned(),
            started_ms: 0,
            linked: true,
        }
    }

    #[test]
    fn leaders_are_a_function_of_who_is_up() {
        let one = Members::new(vec![member(2, None), member(1, None), member(3, None)]);
        let other = Members::new(vec![member(3, None), member(2, None), member(1, None)]);
        assert_eq!(one, other);
        let ids: Vec<i32> = one.all().iter().map(|member| member.id.0).collect();
        assert_eq!(ids, [1, 2, 3]);
        assert_eq!(one.controller().map(|member| member.id), Some(NodeId(1)));
        assert_eq!(one.get(NodeId(2)).map(|member| member.id), Some(NodeId(2)));
        assert_eq!(one.get(NodeId(4)), None);
        assert_eq!(Members::default().leader(ShardId(0)), None);
    }

    #[test]
    fn a_node_that_goes_hands_on_only_what_it_led() {
        let all = Members::new((0..5).map(|id| member(id, None)).collect());
        let fewer = Members::new((0..4).map(|id| member(id, None)).collect());
        let mut led = 0;
        for shard in (0..1000).map(ShardId) {
            let (before, after) = (all.leader(shard).expect("a leader").id, fewer.leader(shard).expect("a leader").id);
            if before == NodeId(4) {
                led += 1;
            } else {
                assert_eq!(before, after);
            }
        }
        assert!((120..280).contains(&led), "{led} of 1000 shards were led by one of five nodes");
    }

    #[test]
    fn the_hash_is_the_layout_s() {
        // SHA-256 of eight zero bytes begins with af5570f5a1810b7a.
        assert_eq!(weight(&0_u32.to_be_bytes(), NodeId(0)), 0xaf55_70f5_a181_0b7a);
    }

    #[test]
    fn zones_have_leaders_of_their_own() {
        let zone = |id| if id % 2 == 0 { "a" } else { "b" };
        let members = Members::new((0..6).map(|id| member(id, Some(zone(id)))).collect());
        let mut readers = std::collections::BTreeSet::new();
        for number in 0..50 {
            let leader = members.leader(ShardId(number)).expect("a leader");
            let in_zone = members.leader_in_zone(ShardId(number), leader.zone.as_deref().expect("a zone"));
            assert_eq!(in_zone, Some(leader), "the leader leads in its own zone");
            assert_eq!(members.leader_in_zone(ShardId(number), "c"), None);
            let partition = TopicPartition::new(TopicId::from_bytes([7; 16]), number as i32);
            let reader = members.replica_in_zone(partition, "b").expect("a reader");
            assert_eq!(reader.zone.as_deref(), Some("b"));
            readers.insert(reader.id);
        }
        assert_eq!(readers.len(), 3, "partitions are spread over the nodes of a zone");
    }
}
