//! Bugs that can be planted, so that simulation proves that it would find them.
//!
//! Without the feature `planted-bugs` [`is`] is a constant `false` and the compiler removes what it guards.

/// A bug that somebody could make here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// Producers are answered when their entry is handed to the store, not when it holds the slot (invariants 1 and 6).
    AcknowledgeBeforeDurable,
    /// "Exists already" is taken for another writer's entry without reading the slot (invariants 1 and 6).
    ExistsMeansLost,
    /// "Exists already" is taken for our own entry without reading the slot (invariant 6).
    ExistsMeansWon,
    /// A repeated batch of an idempotent producer is written again (invariant 4).
    SkipDuplicateCheck,
    /// Operations are refused without reading the log to its end (invariants 1 and 10).
    RejectFromStaleHead,
    /// Readers see an entry before it holds its slot (invariant 3).
    PublishBeforeWin,
    /// A deadline that passes while the slot is in doubt is answered as "not written" (invariant 6).
    UnknownIsNotWritten,
    /// A win after a pause longer than the retention is acknowledged (invariant 7).
    SkipClockRule,
    /// "Read the log to its end" answers from memory (invariant 10).
    StaleCatchUp,
    /// Replaying an entry leaves out what planning it did (invariant 5).
    ReplayForgets,
    /// A commit does not wake those who wait for it (invariant 12).
    NoWake,
    /// Room for bytes is given back before the request is answered (invariant 12).
    PermitDroppedEarly,
    /// A new log start reaches into records that were not asked to go (invariants 1 and 2).
    LogStartTooFar,
    /// Garbage collection takes what is still referred to (invariant 8).
    CollectReachable,
    /// A pushed entry is applied although it does not follow on the state (invariants 3 and 5).
    PushWithoutCheck,
    /// A win is not pushed to the other nodes (invariant 12).
    NoPush,
    /// Nobody looks for entries of other nodes while fetches wait (invariant 12).
    NoProbe,
    /// A forwarded append without an answer is committed here although nobody numbered its batches (invariant 4).
    ForwardedTwice,
    /// Of a forwarded append that was refused in part, everything is committed again (invariant 4).
    ForwardedAgainWhole,
    /// An append that came later goes its own way while earlier ones are with another node (invariant 4).
    RouterOvertakes,
    /// A coordinator's commands do not name its epoch (invariant 10).
    CoordinatorWithoutEpoch,
    /// What a group reads back is what this node happens to know (invariant 10).
    OffsetsFromMemory,
    /// The markers of one shard are left out (invariant 9).
    MarkerLeftOut,
    /// A batch is let into a transaction that has ended on its partition (invariant 9).
    EndedTakesMore,
    /// Markers keep the epoch of the transaction that they end (invariant 9).
    MarkerKeepsEpoch,
    /// What is open is taken for stable (invariant 9).
    OpenIsStable,
    /// A leader leaves to others what was decided before it led (invariant 9).
    DecisionLeftToOthers,
    /// Offsets of an open transaction are read back (invariant 9).
    PendingOffsetsShow,
    /// Readers are not told that a transaction was aborted (invariant 9).
    AbortForgotten,
    /// Producer id and epoch of a batch are not compared with those of its transactional id (invariant 9).
    ProducerNotCompared,
    /// Who asks for the identity of an open transaction gets it, and the transaction stays open (invariant 9).
    InitLeavesOpen,
    /// Garbage collection does not wait for its grace (invariant 8).
    CollectWithoutGrace,
    /// What no entry named is never looked for (invariant 8).
    OrphansStay,
    /// A merge leaves a record out, and says so (invariant 11).
    MergeDropsRecord,
    /// A merge leaves a record out and says nothing, and the log compares no sums (invariant 11).
    SumsNotConserved,
    /// Compaction by key keeps all records of a key but the newest (invariant 11).
    NewestOfKeyGoes,
    /// A tombstone goes with what it deletes (invariant 11).
    TombstonesGoAtOnce,
    /// A replacement is taken although its runs were deleted meanwhile (invariant 11).
    ReplacementWins,
    /// Retention by bytes goes on until the topic has fewer than it may keep (invariant 11).
    RetentionTakesOneMore,
}

impl Bug {
    /// All of them.
    pub const ALL: &[Bug] = &[
        Bug::AcknowledgeBeforeDurable,
        Bug::ExistsMeansLost,
        Bug::ExistsMeansWon,
        Bug::SkipDuplicateCheck,
        Bug::RejectFromStaleHead,
        Bug::PublishBeforeWin,
        Bug::UnknownIsNotWritten,
        Bug::SkipClockRule,
        Bug::StaleCatchUp,
        Bug::ReplayForgets,
        Bug::NoWake,
        Bug::PermitDroppedEarly,
        Bug::LogStartTooFar,
        Bug::CollectReachable,
        Bug::PushWithoutCheck,
        Bug::NoPush,
        Bug::NoProbe,
        Bug::ForwardedTwice,
        Bug::ForwardedAgainWhole,
        Bug::RouterOvertakes,
        Bug::CoordinatorWithoutEpoch,
        Bug::OffsetsFromMemory,
        Bug::MarkerLeftOut,
        Bug::EndedTakesMore,
        Bug::MarkerKeepsEpoch,
        Bug::OpenIsStable,
        Bug::DecisionLeftToOthers,
        Bug::PendingOffsetsShow,
        Bug::AbortForgotten,
        Bug::ProducerNotCompared,
        Bug::InitLeavesOpen,
        Bug::CollectWithoutGrace,
        Bug::OrphansStay,
        Bug::MergeDropsRecord,
        Bug::SumsNotConserved,
        Bug::NewestOfKeyGoes,
        Bug::TombstonesGoAtOnce,
        Bug::ReplacementWins,
        Bug::RetentionTakesOneMore,
    ];
}

#[cfg(feature = "planted-bugs")]
mod planting {
    use std::cell::Cell;

    use super::Bug;

    thread_local! {
        static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    /// Whether this bug is planted in this thread.
    #[must_use]
    pub fn is(bug: Bug) -> bool {
        PLANTED.get() == Some(bug)
    }

    /// Plants one bug in this thread, or none.
    pub fn plant(bug: Option<Bug>) {
        PLANTED.set(bug);
    }
}

#[cfg(feature = "planted-bugs")]
pub use planting::{is, plant};

/// Whether this bug is planted: never, in this build.
#[cfg(not(feature = "planted-bugs"))]
#[must_use]
#[inline(always)]
pub const fn is(_bug: Bug) -> bool {
    false
}
