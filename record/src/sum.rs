//! A checksum over batches that adds up: that of a log is the sum of those of its parts, in any order.

use twox_hash::XxHash3_64;

use crate::Offset;

/// The part of one batch in the sum of the batches around it, to be added modulo 2^64.
///
/// XxHash3-64 over base offset, number of records and CRC-32C of the batch, each big endian. The CRC covers all bytes of a batch
/// that are not given by where it stands.
#[must_use]
pub fn batch_sum(base_offset: Offset, record_count: i32, crc: u32) -> u64 {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&base_offset.to_be_bytes());
    bytes[8..12].copy_from_slice(&record_count.to_be_bytes());
    bytes[12..].copy_from_slice(&crc.to_be_bytes());
    XxHash3_64::oneshot(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_of_a_batch_is_fixed_for_ever_and_tells_batches_apart() {
        assert_eq!(batch_sum(0, 1, 0), 0xf901_303c_ed23_726d);
        let all = [(0, 1, 0), (1, 1, 0), (0, 2, 0), (0, 1, 1)].map(|(base, count, crc)| batch_sum(base, count, crc));
        for (at, one) in all.iter().enumerate() {
            assert!(!all[at + 1..].contains(one));
        }
    }
}
