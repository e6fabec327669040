//! Mistakes that the protocol could contain, so that the search proves that it would find them.

/// One mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Bug {
    /// "Exists already" is taken for another writer's entry without reading the slot.
    ExistsMeansLost = 1,
    /// A deadline that passes is answered with success.
    AcknowledgeOnTimeout = 1 << 1,
    /// After a put that was not confirmed the slot is not read, and the operation goes there again under a new id.
    NewIdWithoutReading = 1 << 2,
    /// A win is acknowledged however long ago the log was seen.
    SkipClockRule = 1 << 3,
    /// A commit begins without looking, however long ago the log was seen.
    SkipCatchUpRule = 1 << 4,
    /// A node that slept past the retention reads on from where it was instead of starting from a checkpoint.
    SkipResync = 1 << 5,
    /// An operation is refused without looking.
    RejectFromStaleHead = 1 << 6,
    /// A deadline that passes while the slot is in doubt is answered "not written".
    UnknownIsNotWritten = 1 << 7,
    /// A lost slot counts as a look, and its entry is applied however long ago the log was seen.
    LossIsLook = 1 << 8,
    /// A lost slot is certain, however long ago the log was seen: the operation goes for another one.
    LossIsCertain = 1 << 15,
    /// The store's clock of a look is the one at its end.
    ClockAtEndOfLook = 1 << 9,
    /// Recovery takes the checkpoint of the hint without asking for a newer one.
    TrustHint = 1 << 10,
    /// A slot that cannot be read is answered "not written".
    UnreadableIsNotWritten = 1 << 11,
    /// Replay applies what it reads without asking the clock again.
    ReplayWithoutClock = 1 << 12,
    /// Recovery is believed without asking the clock again.
    RecoverWithoutClock = 1 << 13,
    /// What recovery found is shown to readers before the clock is asked again.
    ShowBeforeClock = 1 << 16,
    /// Old entries are collected as soon as a checkpoint covers them, however young that checkpoint is.
    CollectBehindFreshCheckpoint = 1 << 14,
}

impl Bug {
    /// All of them.
    pub const ALL: &[Bug] = &[
        Bug::ExistsMeansLost,
        Bug::AcknowledgeOnTimeout,
        Bug::NewIdWithoutReading,
        Bug::SkipClockRule,
        Bug::SkipCatchUpRule,
        Bug::SkipResync,
        Bug::RejectFromStaleHead,
        Bug::UnknownIsNotWritten,
        Bug::LossIsLook,
        Bug::LossIsCertain,
        Bug::ClockAtEndOfLook,
        Bug::TrustHint,
        Bug::UnreadableIsNotWritten,
        Bug::ReplayWithoutClock,
        Bug::RecoverWithoutClock,
        Bug::ShowBeforeClock,
        Bug::CollectBehindFreshCheckpoint,
    ];
}

/// Some mistakes, or none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bugs(u32);

impl Bugs {
    /// The protocol as it is meant.
    pub const NONE: Bugs = Bugs(0);

    /// These mistakes.
    #[must_use]
    pub fn of(bugs: &[Bug]) -> Self {
        Self(bugs.iter().fold(0, |set, bug| set | *bug as u32))
    }

    /// Whether this one is among them.
    #[must_use]
    pub fn has(self, bug: Bug) -> bool {
        self.0 & bug as u32 != 0
    }
}
