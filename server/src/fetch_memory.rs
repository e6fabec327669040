//! A bound on the record bytes of Fetch responses that are on their way to clients.
//!
//! Invariants:
//! 1. Bytes are counted from when they are read until they are written or dropped: a client that does not read its
//!    responses is counted.
//! 2. While the budget is used up, a fetch still gets [`FETCH_BYTES_GRANTED_MIN`], so that nobody starves. The bound is
//!    therefore soft: budget plus that much for each connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

use crate::dispatch::Frames;

/// Bytes of Fetch responses in memory at which fetches become small.
pub(crate) const FETCH_MEMORY_BYTES_MAX: usize = 256 * 1024 * 1024;
/// What a fetch is granted in any case: a batch of the usual largest size.
const FETCH_BYTES_GRANTED_MIN: usize = 1024 * 1024;

/// The count of a node.
#[derive(Clone, Debug, Default)]
pub(crate) struct FetchMemory {
    in_use: Arc<AtomicUsize>,
}

/// Bytes that are counted until this is dropped.
#[derive(Debug)]
pub(crate) struct HeldBytes {
    bytes: usize,
    in_use: Arc<AtomicUsize>,
}

impl FetchMemory {
    /// The most that a fetch should read now.
    pub(crate) fn grant(&self) -> usize {
        FETCH_MEMORY_BYTES_MAX.saturating_sub(self.in_use()).max(FETCH_BYTES_GRANTED_MIN)
    }

    /// Bytes of responses in memory.
    pub(crate) fn in_use(&self) -> usize {
        self.in_use.load(Ordering::Relaxed)
    }

    /// Counts the bytes of a response.
    pub(crate) fn hold(&self, slices: Vec<Bytes>) -> Frames {
        let bytes = slices.iter().map(Bytes::len).sum();
        self.in_use.fetch_add(bytes, Ordering::Relaxed);
        Frames { slices, held: vec![HeldBytes { bytes, in_use: self.in_use.clone() }] }
    }
}

impl Drop for HeldBytes {
    fn drop(&mut self) {
        self.in_use.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_granted_to_nobody_else() {
        let memory = FetchMemory::default();
        assert_eq!(memory.grant(), FETCH_MEMORY_BYTES_MAX);
        let frames = memory.hold(vec![Bytes::from(vec![0; 1024]), Bytes::from_static(b"abc")]);
        assert_eq!(memory.grant(), FETCH_MEMORY_BYTES_MAX - 1027);
        drop(frames);
        assert_eq!(memory.grant(), FETCH_MEMORY_BYTES_MAX);
        memory.in_use.store(FETCH_MEMORY_BYTES_MAX + 1, Ordering::Relaxed);
        assert_eq!(memory.grant(), FETCH_BYTES_GRANTED_MIN);
    }
}
