//! Entries with data that the jobs of one pass have in common.
//!
//! Small flushes ride in entries, each with records of many partitions, and a job is about one partition: without this, each entry
//! would be asked for as often as it has partitions.
//!
//! Invariants: at most [`MERGE_SHARED_BYTES_MAX`] are held, and nothing once a pass is over; what is held is what the store gave,
//! and whoever finds it damaged asks the store again.

use std::collections::HashMap;
use std::sync::Arc;

use alluvium_infra::store::StorePath;
use bytes::Bytes;
use parking_lot::Mutex;

/// Bytes of entries that are held.
const MERGE_SHARED_BYTES_MAX: usize = 32 << 20;

/// Entries that were read. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct SharedEntries {
    held: Arc<Mutex<Held>>,
}

#[derive(Debug, Default)]
struct Held {
    entries: HashMap<StorePath, Bytes>,
    bytes: usize,
}

impl SharedEntries {
    pub(crate) fn get(&self, path: &StorePath) -> Option<Bytes> {
        self.held.lock().entries.get(path).cloned()
    }

    /// Whether there is room for more: an entry that would not be kept is not worth reading as a whole.
    pub(crate) fn has_room(&self) -> bool {
        self.held.lock().bytes < MERGE_SHARED_BYTES_MAX
    }

    pub(crate) fn put(&self, path: &StorePath, bytes: &Bytes) {
        let mut held = self.held.lock();
        if held.bytes + bytes.len() <= MERGE_SHARED_BYTES_MAX
            && held.entries.insert(path.clone(), bytes.clone()).is_none()
        {
            held.bytes += bytes.len();
        }
    }

    /// Forgets one that is damaged, as it was read.
    pub(crate) fn remove(&self, path: &StorePath) {
        let mut held = self.held.lock();
        if let Some(bytes) = held.entries.remove(path) {
            held.bytes -= bytes.len();
        }
    }

    /// The pass is over.
    pub(crate) fn clear(&self) {
        *self.held.lock() = Held::default();
    }
}
