//! What can be set about the reader.

use alluvium_infra::limits;

/// Settings of the reader.
#[derive(Debug, Clone)]
pub struct ReaderSettings {
    /// Bytes of blocks cached for consumers near the end.
    pub block_cache_bytes_max: u64,
    /// Bytes cached for consumers far behind, so that a replay does not evict what the others read: a quarter for blocks, an
    /// eighth for the footers of Parquet files, and the rest for their row groups.
    pub replay_cache_bytes_max: u64,
    /// A consumer is far behind when more bytes than this follow its position.
    pub replay_distance_bytes: u64,
    /// Blocks that are read ahead of a consumer that reads from the store.
    pub read_ahead_blocks: u64,
    /// GETs that run at the same time.
    pub reads_in_flight_max: usize,
}

impl ReaderSettings {
    pub(crate) fn replay_block_cache_bytes_max(&self) -> u64 {
        self.replay_cache_bytes_max / 4
    }

    pub(crate) fn footer_cache_bytes_max(&self) -> u64 {
        self.replay_cache_bytes_max / 8
    }

    pub(crate) fn row_group_cache_bytes_max(&self) -> u64 {
        self.replay_cache_bytes_max - self.replay_block_cache_bytes_max() - self.footer_cache_bytes_max()
    }
}

impl Default for ReaderSettings {
    fn default() -> Self {
        Self {
            block_cache_bytes_max: limits::BLOCK_CACHE_BYTES_MAX as u64,
            replay_cache_bytes_max: limits::REPLAY_CACHE_BYTES_MAX as u64,
            replay_distance_bytes: limits::TAIL_CACHE_BYTES_MAX as u64,
            read_ahead_blocks: 8,
            reads_in_flight_max: limits::READS_IN_FLIGHT_MAX,
        }
    }
}
