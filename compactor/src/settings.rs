//! What can be set about the compactor.

use std::time::Duration;

use alluvium_infra::limits;

/// How many times as long few bytes wait to be merged.
pub const MERGE_IDLE_AGES: u32 = 6;

/// Settings of the compactor.
#[derive(Debug, Clone)]
pub struct CompactorSettings {
    /// How often work is looked for when there was none.
    pub pick_interval: Duration,
    /// Runs of a partition become a file when they have so many bytes together,
    pub merge_bytes_min: u64,
    /// or when the oldest is so old and they have [`CompactorSettings::merge_idle_bytes_min`],
    pub merge_age: Duration,
    /// see there,
    pub merge_idle_bytes_min: u64,
    /// or when the oldest is so old, however few bytes they have.
    pub merge_idle_age: Duration,
    /// Bytes of runs that become one file, unless one alone is longer.
    pub file_bytes_max: u64,
    /// Files that are shorter, and than a quarter of the longest, are merged when there are enough of them side by side.
    pub small_file_bytes: u64,
    /// How many are enough.
    pub small_files_min: usize,
    /// Rows of a row group of a file.
    pub row_group_rows_max: usize,
    /// Bytes of the parts that longer files are uploaded in: what stores ask for, but for those of tests.
    pub upload_part_bytes: usize,
    /// Memory for the keys of a compaction by key.
    pub key_memory_bytes: usize,
    /// How often retention is looked at.
    pub retention_interval: Duration,
    /// How often garbage is deleted.
    pub collect_interval: Duration,
    /// How often the store is listed for what nobody refers to.
    pub orphan_interval: Duration,
    /// How long garbage stays, and how old the checkpoint must be that knows it as garbage.
    pub garbage_grace: Duration,
    /// How long an object stays that no entry ever named.
    pub orphan_age: Duration,
    /// How long entries stay behind a checkpoint, and checkpoints behind newer ones.
    pub log_retention: Duration,
    /// How long a partition whose job has failed is left alone, the first time.
    pub failure_pause: Duration,
}

impl Default for CompactorSettings {
    fn default() -> Self {
        let minutes = |count: u64| Duration::from_secs(60 * count);
        Self {
            pick_interval: Duration::from_secs(10),
            merge_bytes_min: limits::MERGE_BYTES_MIN as u64,
            merge_age: minutes(10),
            merge_idle_bytes_min: limits::MERGE_IDLE_BYTES_MIN as u64,
            merge_idle_age: MERGE_IDLE_AGES * minutes(10),
            file_bytes_max: limits::TABLE_BYTES_TARGET as u64,
            small_file_bytes: limits::SMALL_TABLE_BYTES as u64,
            small_files_min: 4,
            row_group_rows_max: limits::TABLE_ROW_GROUP_ROWS_MAX,
            upload_part_bytes: limits::UPLOAD_PART_BYTES,
            key_memory_bytes: limits::KEY_MEMORY_BYTES_MAX,
            retention_interval: minutes(5),
            collect_interval: minutes(10),
            orphan_interval: minutes(60),
            garbage_grace: Duration::from_millis(limits::GARBAGE_GRACE_MS_MIN),
            orphan_age: Duration::from_millis(limits::ORPHAN_AGE_MS_MIN),
            log_retention: Duration::from_millis(limits::ORPHAN_AGE_MS_MIN),
            failure_pause: minutes(1),
        }
    }
}

impl CompactorSettings {
    /// The same, with everything due at once that can be done at all.
    #[must_use]
    pub fn at_once(self) -> Self {
        Self { merge_age: Duration::ZERO, merge_idle_bytes_min: 0, merge_idle_age: Duration::ZERO, ..self }
    }
}
