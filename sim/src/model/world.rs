//! What there is: the bucket, the writers, the operations, and the one log that everything is judged by.
//!
//! Time counts in halves of the log retention: one tick is more than a commit may take, two are enough for an entry to be
//! collected. What happens within a tick happens in every order.

use super::Bounds;

/// Slots of the log.
pub const SLOTS: usize = 3;
/// Operations; the first two are writer A's, the others writer B's.
pub const OPERATIONS: usize = 4;
/// The operation that [`DEPENDENT`] needs in the log before it.
pub const NEEDED: u8 = 0;
/// The operation that is refused while [`NEEDED`] is not in the log.
pub const DEPENDENT: u8 = 2;

/// An entry with one operation. Its id is new whenever the code draws a new one for the same slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Entry(u8);

impl Entry {
    pub(crate) fn new(operation: u8, redrawn: bool) -> Self {
        Self(operation * 2 + u8::from(redrawn))
    }

    pub(crate) fn operation(self) -> u8 {
        self.0 / 2
    }

    pub(crate) fn is_redrawn(self) -> bool {
        self.0 % 2 == 1
    }

    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// An object in a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Object {
    pub(crate) entry: Entry,
    pub(crate) written: u8,
}

/// What the client of an operation knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Status {
    /// It is not part of this search.
    Unused,
    /// Nobody asked for it yet.
    Pristine,
    /// No answer yet.
    Pending,
    /// It is in the log.
    Acknowledged,
    /// It is not in the log and never will be.
    NotWritten,
    /// It may be in the log or not.
    Unknown,
    /// Refused with a reason that was true.
    Rejected,
}

/// Where a writer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Phase {
    /// Not running.
    Down,
    /// Waits for requests.
    Idle,
    /// About to put its entry.
    Put,
    /// About to read the slot, as the put was not confirmed.
    Read,
    /// Reads on from its state to the end of the log.
    Replay,
    /// About to choose a checkpoint.
    Base,
    /// Reads on from the checkpoint.
    Rebuild,
    /// About to list what is behind the end that it found.
    Ensure,
}

/// Why a writer looks at the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Purpose {
    /// A reader asked, or a commit without anyone who waits for it.
    Serve,
    /// A commit goes on afterwards.
    Commit,
    /// The node starts.
    Open,
}

/// What a node knew of time at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Moment {
    /// The newest time that the store had told.
    pub(crate) clock: u8,
    /// Whether a tick has passed since on the node's own clock.
    pub(crate) old: bool,
}

/// One node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Writer {
    pub(crate) phase: Phase,
    pub(crate) purpose: Purpose,
    /// Entries in its state. Which ones need not be kept: they are the log's, or the search has ended.
    pub(crate) head: u8,
    /// Entries in the state that recovery builds.
    pub(crate) rebuilt: u8,
    /// Whether recovery applied what is not in the log.
    pub(crate) astray: bool,
    /// The newest time that the store told.
    pub(crate) clock: u8,
    pub(crate) looked: Moment,
    pub(crate) started: Moment,
    /// Whether this commit has looked.
    pub(crate) has_looked: bool,
    /// Whether the client still waits.
    pub(crate) waiting: bool,
    /// Whether what the operation needs had been acknowledged before it was asked for.
    pub(crate) owed: bool,
    /// What is being written.
    pub(crate) entry: Entry,
    /// Entries that had been acknowledged when the look began.
    pub(crate) floor: u8,
}

/// A broken invariant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Violation {
    /// 1: what was acknowledged is not readable where it was.
    AcknowledgedIsGone,
    /// 2: a node's state is shorter than it was.
    StateWentBack,
    /// 4: an operation is in the log twice.
    WrittenTwice,
    /// 5: a node's state is no prefix of the log.
    NoPrefix,
    /// 6: what was answered "not written" is in the log.
    NotWrittenAppeared,
    /// 7: acknowledged, but the slot is not the log's.
    AcknowledgedIntoCollectedSlot,
    /// 7: nothing disturbed a commit, and it ended in a collected slot or in doubt.
    DoubtWithoutCause,
    /// 8: a node takes a log that has lost nothing for damaged.
    HealthyLogCalledDamaged,
    /// 10: what had been acknowledged before a look began is not in the state after it.
    LookMissedAcknowledged,
    /// 10: refused, although what it needs had been acknowledged before it was asked for.
    RejectedFromStaleHead,
}

impl Violation {
    /// The number and the words of the invariant.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::AcknowledgedIsGone => "1: acknowledged is readable at its offset forever",
            Self::StateWentBack => "2: what readers of a node saw does not go back",
            Self::WrittenTwice => "4: an operation is in the log at most once",
            Self::NoPrefix => "5: every node's state is a prefix of the one log",
            Self::NotWrittenAppeared => "6: what was answered \"not written\" is never in the log",
            Self::AcknowledgedIntoCollectedSlot => "7: nobody acknowledges into a slot that collection has passed",
            Self::DoubtWithoutCause => "7: a commit that nothing disturbed does not end in doubt",
            Self::HealthyLogCalledDamaged => "8: a log that has lost nothing can be read",
            Self::LookMissedAcknowledged => "10: a look is never older than an acknowledged commit",
            Self::RejectedFromStaleHead => "10: nothing is refused from a stale head",
        }
    }
}

/// Everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct World {
    pub(crate) now: u8,
    pub(crate) slots: [Option<Object>; SLOTS],
    /// The log: who came first in each slot. It outlives collection.
    pub(crate) log: [Option<Entry>; SLOTS],
    /// When the checkpoint of so many entries was written.
    pub(crate) checkpoints: [Option<u8>; SLOTS + 1],
    pub(crate) hint: u8,
    /// Hints on their way, one bit each.
    pub(crate) hints_late: u8,
    /// Puts on their way that nobody waits for: for each slot one bit per entry.
    pub(crate) puts_late: [u8; SLOTS],
    pub(crate) puts_given_up: u8,
    pub(crate) looks: u8,
    pub(crate) crashes: u8,
    pub(crate) operations: [Status; OPERATIONS],
    pub(crate) writers: [Writer; 2],
    pub(crate) violation: Option<Violation>,
}

impl World {
    pub(crate) fn new(bounds: Bounds) -> Self {
        let writer = Writer {
            phase: Phase::Idle,
            purpose: Purpose::Serve,
            head: 0,
            rebuilt: 0,
            astray: false,
            clock: 0,
            looked: Moment::default(),
            started: Moment::default(),
            has_looked: false,
            waiting: false,
            owed: false,
            entry: Entry(0),
            floor: 0,
        };
        let mut operations = [Status::Pristine; OPERATIONS];
        for (operation, status) in operations.iter_mut().enumerate() {
            if operation % 2 >= bounds.operations[operation / 2] as usize {
                *status = Status::Unused;
            }
        }
        Self {
            now: 0,
            slots: [None; SLOTS],
            log: [None; SLOTS],
            checkpoints: [None; SLOTS + 1],
            hint: 0,
            hints_late: 0,
            puts_late: [0; SLOTS],
            puts_given_up: bounds.late_puts,
            looks: bounds.looks,
            crashes: bounds.crashes,
            operations,
            writers: [writer; 2],
            violation: None,
        }
    }

    pub(crate) fn violate(&mut self, violation: Violation) {
        self.violation.get_or_insert(violation);
    }

    /// The object in the slot behind `head` entries.
    pub(crate) fn object_behind(&self, head: u8) -> Option<Object> {
        self.slots.get(head as usize).copied().flatten()
    }

    /// Writes `entry` into an absent slot: it is the log's if nobody was there before.
    pub(crate) fn land(&mut self, slot: usize, entry: Entry) {
        self.slots[slot] = Some(Object { entry, written: self.now });
        if self.log[slot].is_some() {
            return;
        }
        let operation = entry.operation();
        let elsewhere = self.log.iter().flatten().any(|other| other.operation() == operation);
        self.log[slot] = Some(entry);
        if elsewhere {
            self.violate(Violation::WrittenTwice);
        }
        if matches!(self.operations[operation as usize], Status::NotWritten | Status::Rejected) {
            self.violate(Violation::NotWrittenAppeared);
        }
    }

    pub(crate) fn is_in_log(&self, operation: u8) -> bool {
        self.log.iter().flatten().any(|entry| entry.operation() == operation)
    }

    /// How many entries the log has up to the last one that was acknowledged.
    pub(crate) fn acknowledged_end(&self) -> u8 {
        let acknowledged = |entry: &Option<Entry>| {
            entry.is_some_and(|entry| self.operations[entry.operation() as usize] == Status::Acknowledged)
        };
        self.log.iter().rposition(acknowledged).map_or(0, |slot| slot as u8 + 1)
    }

    /// The newest checkpoint.
    pub(crate) fn newest_checkpoint(&self) -> u8 {
        self.checkpoints.iter().rposition(Option::is_some).unwrap_or(0) as u8
    }

    /// Forgets what can make no difference any more, so that equal futures are one state, and checks what holds always.
    pub(crate) fn settle(&mut self, bounds: Bounds) {
        for slot in 0..SLOTS {
            if let Some(object) = &mut self.slots[slot]
                && object.written + bounds.kept_ticks > bounds.ticks
            {
                // It stays until the end: nothing lands here any more.
                object.written = bounds.ticks;
                self.puts_late[slot] = 0;
            }
        }
        for written in self.checkpoints.iter_mut().flatten() {
            if *written + bounds.kept_ticks > bounds.ticks {
                *written = bounds.ticks;
            }
        }
        for index in 0..self.writers.len() {
            let mut own = self.operations[index * 2..index * 2 + 2].iter();
            let has_future = self.looks > 0 || own.any(|status| *status == Status::Pristine);
            let writer = &mut self.writers[index];
            writer.settle();
            if writer.phase == Phase::Idle && !has_future {
                // It will never look at a clock again.
                writer.clock = 0;
                writer.looked = Moment::default();
            }
        }
        self.settle_operations();
        let covered = self.newest_checkpoint();
        for slot in 0..self.acknowledged_end() as usize {
            let stays = self.slots[slot].is_some_and(|object| Some(object.entry) == self.log[slot]);
            if !stays && slot as u8 >= covered {
                self.violate(Violation::AcknowledgedIsGone);
            }
        }
    }
}

impl World {
    /// An answer matters only while it can still turn out to be wrong; of what is acknowledged the last entry stands for all
    /// before it.
    fn settle_operations(&mut self) {
        let end = self.acknowledged_end();
        for operation in 0..OPERATIONS as u8 {
            let status = &mut self.operations[operation as usize];
            let in_log = self.log.iter().position(|entry| entry.is_some_and(|entry| entry.operation() == operation));
            let is_stood_for = *status == Status::Acknowledged && in_log.is_some_and(|slot| slot as u8 + 1 < end);
            let can_land = self.puts_late.iter().any(|late| late >> (operation * 2) & 3 != 0);
            let is_over = matches!(*status, Status::NotWritten | Status::Rejected) && !can_land;
            if is_stood_for || is_over {
                *status = Status::Unknown;
            }
        }
    }

    /// Whether the log had this operation when the last acknowledgement was given.
    pub(crate) fn is_acknowledged(&self, operation: u8) -> bool {
        let acknowledged = &self.log[..self.acknowledged_end() as usize];
        acknowledged.iter().flatten().any(|entry| entry.operation() == operation)
    }
}

impl Writer {
    /// Fields that are not read again before they are written get one value.
    fn settle(&mut self) {
        let is_recovering = matches!(self.phase, Phase::Base | Phase::Rebuild | Phase::Ensure);
        let is_looking = is_recovering || self.phase == Phase::Replay;
        let is_writing = matches!(self.phase, Phase::Put | Phase::Read);
        let is_committing = is_writing || (is_looking && self.purpose == Purpose::Commit);
        if self.phase == Phase::Replay && self.floor <= self.head {
            self.floor = 0;
        }
        if !is_recovering {
            self.rebuilt = 0;
            self.astray = false;
        }
        if !is_looking {
            self.purpose = Purpose::Serve;
            self.floor = 0;
        }
        if !is_looking && !is_writing {
            self.started = Moment::default();
        }
        if !is_committing {
            self.entry = Entry(0);
            self.has_looked = false;
            self.waiting = false;
            self.owed = false;
        }
        if self.phase == Phase::Down {
            self.head = 0;
            self.clock = 0;
            self.looked = Moment::default();
        }
    }

    /// Whether so much time passed since the node looked that slots behind its state may have been collected.
    pub(crate) fn is_past_retention(&self) -> bool {
        self.clock > self.looked.clock || self.looked.old
    }

    /// What the node knows of time.
    pub(crate) fn moment(&self) -> Moment {
        Moment { clock: self.clock, old: false }
    }
}
