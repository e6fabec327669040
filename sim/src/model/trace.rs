//! What happened, in words: one step a line, with the bucket and the nodes after it.

use std::fmt;

use super::world::{Entry, Phase, Status, World};

/// How a put was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    /// Written.
    Ok,
    /// Written, and the reply lost.
    Lost,
    /// 412: there is an object.
    Exists,
    /// 409 or 412 without a reason, and nothing written.
    Spurious,
    /// Nobody waits for it any more; it may land at any time.
    GivenUp,
}

/// One step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are the same in each: who, which slot, what")]
pub enum Event {
    /// A client asks a node for an operation.
    Asked { by: u8, operation: u8, looks: bool },
    /// A reader asks a node for the end of the log.
    AskedToCatchUp { by: u8 },
    /// An entry is put.
    Put { by: u8, slot: u8, entry: Entry, answered: Answered },
    /// A slot is read after a put.
    SlotRead { by: u8, slot: u8, found: Option<Entry> },
    /// A slot cannot be read.
    SlotReadFailed { by: u8, slot: u8 },
    /// A slot arrives damaged as often as it is read.
    SlotDamaged { by: u8, slot: u8 },
    /// A client is told that its time is over.
    DeadlinePassed { by: u8, answer: Status },
    /// A slot is read on the way to the end of the log.
    EntryRead { by: u8, slot: u8, found: Option<Entry> },
    /// A look at the log fails and begins anew.
    LookFailed { by: u8 },
    /// Recovery reads a checkpoint, or finds none.
    CheckpointRead { by: u8, number: u8 },
    /// Recovery lists what is behind the end that it found.
    Listed { by: u8, behind: Option<u8> },
    /// A node writes a checkpoint.
    CheckpointWritten { by: u8, number: u8 },
    /// A node ends.
    Crashed { by: u8 },
    /// A node starts.
    Started { by: u8 },
    /// A hint arrives in the bucket.
    HintLanded { number: u8 },
    /// A put that was given up on arrives in the bucket.
    LatePutLanded { slot: u8, entry: Entry },
    /// An entry is collected.
    Collected { slot: u8 },
    /// More time passes than a commit may take.
    TimePassed { frozen: [bool; 2] },
}

/// The steps to a state, each with what it led to.
#[derive(Debug)]
pub struct Trace {
    /// First to last.
    pub steps: Vec<(Event, World)>,
}

struct Found(Option<Entry>);

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(entry) => write!(f, "{entry}"),
            None => write!(f, "absent"),
        }
    }
}

fn name(by: u8) -> char {
    if by == 0 { 'A' } else { 'B' }
}

/// Operations of A are a1 and a2, those of B b1 and b2.
fn operation_name(operation: u8) -> String {
    format!("{}{}", if operation < 2 { 'a' } else { 'b' }, operation % 2 + 1)
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", operation_name(self.operation()), if self.is_redrawn() { "'" } else { "" })
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unused | Self::Pristine => "-",
            Self::Pending => "pending",
            Self::Acknowledged => "acknowledged",
            Self::NotWritten => "not written",
            Self::Unknown => "unknown",
            Self::Rejected => "rejected",
        })
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Asked { by, operation, looks } => {
                let how = if looks { ", and looks at the log first" } else { "" };
                write!(f, "{} is asked for {}{how}", name(by), operation_name(operation))
            }
            Self::AskedToCatchUp { by } => write!(f, "{} is asked for the end of the log", name(by)),
            Self::Put { by, slot, entry, answered } => {
                write!(f, "{} puts {entry} to log/{}: {answered}", name(by), slot + 1)
            }
            Self::SlotRead { by, slot, found } | Self::EntryRead { by, slot, found } => {
                write!(f, "{} reads log/{}: {}", name(by), slot + 1, Found(found))
            }
            Self::SlotReadFailed { by, slot } => write!(f, "{} reads log/{}: the store fails", name(by), slot + 1),
            Self::SlotDamaged { by, slot } => write!(f, "{} reads log/{}: damaged, each time", name(by), slot + 1),
            Self::DeadlinePassed { by, answer } => write!(f, "{}'s client is out of time: {answer}", name(by)),
            Self::LookFailed { by } => write!(f, "{}'s look fails and begins anew", name(by)),
            Self::CheckpointRead { by, number: 0 } => write!(f, "{} finds no checkpoint", name(by)),
            Self::CheckpointRead { by, number } => write!(f, "{} reads checkpoint/{number}", name(by)),
            Self::Listed { by, behind: None } => write!(f, "{} lists the log: nothing behind its end", name(by)),
            Self::Listed { by, behind: Some(slot) } => {
                write!(f, "{} lists the log: log/{} is there", name(by), slot + 1)
            }
            Self::CheckpointWritten { by, number } => write!(f, "{} writes checkpoint/{number}", name(by)),
            Self::Crashed { by } => write!(f, "{} crashes", name(by)),
            Self::Started { by } => write!(f, "{} starts and recovers", name(by)),
            Self::HintLanded { number } => write!(f, "the head hint becomes {number}"),
            Self::LatePutLanded { slot, entry } => write!(f, "a put given up on lands: log/{} = {entry}", slot + 1),
            Self::Collected { slot } => write!(f, "log/{} is collected", slot + 1),
            Self::TimePassed { frozen } => match frozen {
                [false, false] => write!(f, "long time passes"),
                [true, false] => write!(f, "long time passes, A frozen"),
                [false, true] => write!(f, "long time passes, B frozen"),
                [true, true] => write!(f, "long time passes, A and B frozen"),
            },
        }
    }
}

impl fmt::Display for Answered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "ok",
            Self::Lost => "written, reply lost",
            Self::Exists => "412",
            Self::Spurious => "409 or 412, nothing written",
            Self::GivenUp => "no answer, given up",
        })
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (event, world)) in self.steps.iter().enumerate() {
            writeln!(f, "{:>3}. {:<58} | {}", number + 1, event.to_string(), Glance(world))?;
        }
        Ok(())
    }
}

/// The state in a line: time, slots, checkpoints, then each writer's phase, length of its state and clock.
struct Glance<'a>(&'a World);

impl fmt::Display for Glance<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let world = self.0;
        write!(f, "t{} log", world.now)?;
        for (slot, log) in world.slots.iter().zip(world.log) {
            match (slot, log) {
                (Some(object), log) if log == Some(object.entry) => write!(f, " {}", object.entry)?,
                (Some(object), _) => write!(f, " {}!", object.entry)?,
                (None, Some(entry)) => write!(f, " ({entry})")?,
                (None, None) => write!(f, " .")?,
            }
        }
        let newest = world.newest_checkpoint();
        if newest > 0 {
            write!(f, " checkpoint {newest}")?;
        }
        if world.hint > 0 {
            write!(f, " hint {}", world.hint)?;
        }
        for (index, writer) in world.writers.iter().enumerate() {
            write!(f, " | {} ", name(index as u8))?;
            match writer.phase {
                Phase::Down => write!(f, "Down")?,
                phase => write!(f, "{phase:?} {} t{}/{}", writer.head, writer.looked.clock, writer.clock)?,
            }
        }
        Ok(())
    }
}
