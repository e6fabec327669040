//! What a reader counts, for those who watch a node.

use alluvium_infra::metrics::Counter;

/// Where bytes may be at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheKind {
    /// The newest records, in memory since their commit. Asked for each run that is read.
    Tail,
    /// Blocks for consumers near the end.
    Live,
    /// Blocks for consumers far behind, who are served from those of the others too.
    Replay,
}

impl CacheKind {
    /// All, in the order of their ordinals.
    pub const ALL: [CacheKind; 3] = [CacheKind::Tail, CacheKind::Live, CacheKind::Replay];

    /// Its name in metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            CacheKind::Tail => "tail",
            CacheKind::Live => "live",
            CacheKind::Replay => "replay",
        }
    }
}

/// The counters of a node's reader.
#[derive(Debug, Default)]
pub struct ReaderCounters {
    hits: [Counter; CacheKind::ALL.len()],
    misses: [Counter; CacheKind::ALL.len()],
    /// Fetches that found less than they wanted and began to wait.
    pub waits: Counter,
    /// Waiting fetches that were woken because a partition of theirs had changed.
    pub wakeups: Counter,
    /// Bytes of records that were handed out.
    pub bytes: Counter,
}

impl ReaderCounters {
    /// How often what was wanted was there.
    #[must_use]
    pub fn hits(&self, cache: CacheKind) -> u64 {
        self.hits[cache as usize].get()
    }

    /// How often it was not.
    #[must_use]
    pub fn misses(&self, cache: CacheKind) -> u64 {
        self.misses[cache as usize].get()
    }

    pub(crate) fn asked(&self, cache: CacheKind, found: bool) {
        let counters = if found { &self.hits } else { &self.misses };
        counters[cache as usize].increment();
    }
}
