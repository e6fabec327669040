//! Which partition a record goes to that names none.
//!
//! Invariants: with a key it is the partition that the Java client chooses (murmur2). Without one it follows from the request
//! id alone, so that a retry goes where the first attempt went.

/// The partition of a key.
pub(super) fn of_key(key: &[u8], partition_count: i32) -> i32 {
    let positive = (murmur2(key) & 0x7fff_ffff) as i32;
    positive % partition_count.max(1)
}

/// The partition of records without a key, all of one request.
pub(super) fn of_keyless(seed: u64, partition_count: i32) -> i32 {
    let count = partition_count.max(1) as u64;
    (seed % count) as i32
}

/// The 32-bit MurmurHash2 with the seed that Kafka uses.
fn murmur2(data: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const MULTIPLIER: u32 = 0x5bd1_e995;
    let mut hash = SEED ^ data.len() as u32;
    let (words, rest) = data.as_chunks::<4>();
    for word in words {
        let mut mixed = u32::from_le_bytes(*word).wrapping_mul(MULTIPLIER);
        mixed ^= mixed >> 24;
        hash = hash.wrapping_mul(MULTIPLIER) ^ mixed.wrapping_mul(MULTIPLIER);
    }
    if !rest.is_empty() {
        for (index, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * index);
        }
        hash = hash.wrapping_mul(MULTIPLIER);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(MULTIPLIER);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_the_java_client() {
        // The values of Kafka's own test of its hash.
        for (text, hash) in [
            ("21", -973_932_308_i32),
            ("foobar", -790_332_482),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(text.as_bytes()), hash as u32, "{text}");
        }
    }

    #[test]
    fn every_partition_is_one_that_exists() {
        for seed in 0..100_u64 {
            assert!((0..7).contains(&of_keyless(seed, 7)));
            assert!((0..7).contains(&of_key(&seed.to_be_bytes(), 7)));
        }
    }
}
