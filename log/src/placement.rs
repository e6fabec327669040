//! Which shard things belong to. Part of the layout: these functions are never changed.
//!
//! Invariant: the answer depends on nothing but the arguments, which are recorded (the shard count of a topic with the topic, that
//! of groups with the cluster), so nothing ever moves.

use alluvium_record::{PartitionIndex, ShardId, TopicId};
use sha2::{Digest, Sha256};

/// The shard that holds the topics, and everything in a cluster with one shard.
pub const META_SHARD: ShardId = ShardId(0);

/// The shard of a partition whose topic is spread over `shard_count` shards.
#[must_use]
pub fn shard_of_partition(topic: TopicId, partition: PartitionIndex, shard_count: u32) -> ShardId {
    if shard_count <= 1 {
        return META_SHARD;
    }
    let mut hasher = Sha256::new();
    hasher.update(topic.as_bytes());
    hasher.update(partition.to_be_bytes());
    // The remainder fits: it is smaller than the divisor.
    ShardId((first8(hasher) % u64::from(shard_count)) as u32)
}

/// The shard of a consumer group or a transactional id in a cluster that was created with `shard_count` shards.
#[must_use]
pub fn shard_of_id(id: &str, shard_count: u32) -> ShardId {
    if shard_count <= 1 {
        return META_SHARD;
    }
    let mut hasher = Sha256::new();
    hasher.update(id.as_bytes());
    ShardId((first8(hasher) % u64::from(shard_count)) as u32)
}

fn first8(hasher: Sha256) -> u64 {
    let hash: [u8; 32] = hasher.finalize().into();
    hash[..8].iter().fold(0, |value, byte| (value << 8) | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_fixed_for_ever() {
        let topic = TopicId::from_bytes([7; 16]);
        let places: Vec<u32> = (0..8).map(|partition| shard_of_partition(topic, partition, 4).0).collect();
        assert_eq!(places, [0, 1, 2, 3, 0, 2, 2, 3]);
        assert_eq!(shard_of_id("orders", 4), ShardId(0));
        assert_eq!(shard_of_partition(topic, 3, 1), META_SHARD);
    }

    #[test]
    fn partitions_spread_evenly() {
        let mut counts = [0_u32; 8];
        for partition in 0..8_000 {
            counts[shard_of_partition(TopicId::from_bytes([9; 16]), partition, 8).0 as usize] += 1;
        }
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
    }
}
