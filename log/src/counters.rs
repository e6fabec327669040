//! What a shard counts, for those who watch a node.
//!
//! Invariant: counting never waits and decides nothing.

use alluvium_infra::Runtime;
use alluvium_infra::metrics::{Counter, Latencies};
use alluvium_infra::runtime::Instant;
use parking_lot::Mutex;

/// What became of an append that was sent to the node that leads the shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForwardOutcome {
    /// It was committed there, or its batches were refused one by one.
    Answered,
    /// The other node answered with an error.
    Failed,
    /// It never left this node: it is committed here.
    NotSent,
    /// No answer came; each batch has a sequence number, so it is committed here.
    CommittedHere,
    /// No answer came, and nobody knows what became of it.
    Unknown,
}

impl ForwardOutcome {
    /// All, in the order of their ordinals.
    pub const ALL: [ForwardOutcome; 5] = [
        ForwardOutcome::Answered,
        ForwardOutcome::Failed,
        ForwardOutcome::NotSent,
        ForwardOutcome::CommittedHere,
        ForwardOutcome::Unknown,
    ];

    /// Its name in metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ForwardOutcome::Answered => "answered",
            ForwardOutcome::Failed => "failed",
            ForwardOutcome::NotSent => "not_sent",
            ForwardOutcome::CommittedHere => "committed_here",
            ForwardOutcome::Unknown => "unknown",
        }
    }
}

/// The counters of one shard on this node.
#[derive(Debug, Default)]
pub struct ShardCounters {
    /// Entries that this node wrote.
    pub entries_own: Counter,
    /// Entries that other nodes pushed here and that were applied.
    pub entries_pushed: Counter,
    /// Entries that were read from the store and applied.
    pub entries_read: Counter,
    /// Slots that another node had taken when this one wrote.
    pub slots_lost: Counter,
    /// From the write of a slot until it was known who holds it.
    pub commits: Latencies,
    /// Times the log was read to its end.
    pub looks: Counter,
    forwards: [Counter; ForwardOutcome::ALL.len()],
    looked_at: Mutex<Option<Instant>>,
}

impl ShardCounters {
    /// The end of the log was seen now.
    pub(crate) fn looked(&self, runtime: &Runtime) {
        *self.looked_at.lock() = Some(runtime.monotonic());
    }

    /// When the end of the log was last seen.
    #[must_use]
    pub fn looked_at(&self) -> Option<Instant> {
        *self.looked_at.lock()
    }

    pub(crate) fn forwarded(&self, outcome: ForwardOutcome) {
        self.forwards[outcome as usize].increment();
    }

    /// Appends that were forwarded, by what became of them.
    #[must_use]
    pub fn forwards(&self, outcome: ForwardOutcome) -> u64 {
        self.forwards[outcome as usize].get()
    }
}
