//! A commit: plan, put, read the slot on anything but success, win or lose (`commit/task.rs`, `commit/slot.rs`).

use super::bug::{Bug, Bugs};
use super::look::{self, answer, refuse};
use super::trace::{Answered, Event};
use super::world::{DEPENDENT, Entry, NEEDED, Phase, Purpose, SLOTS, Status, Violation, World};
use super::writer;

pub(super) fn steps(world: &World, index: usize, bugs: Bugs, push: &mut impl FnMut(Event, World)) {
    let by = index as u8;
    let writer = &world.writers[index];
    if writer.phase == Phase::Put {
        return put(world, index, bugs, push);
    }
    read(world, index, bugs, push);
    if writer.waiting {
        // The client is answered; the slot is resolved all the same.
        let status = if bugs.has(Bug::AcknowledgeOnTimeout) {
            Status::Acknowledged
        } else if bugs.has(Bug::UnknownIsNotWritten) {
            Status::NotWritten
        } else {
            Status::Unknown
        };
        let mut after = *world;
        answer(&mut after, index, status);
        if status == Status::Acknowledged && world.log[writer.head as usize] != Some(writer.entry) {
            after.violate(Violation::AcknowledgedIsGone);
        }
        push(Event::DeadlinePassed { by, answer: status }, after);
    }
}

/// `attempt`: goes for the next slot, looks before it refuses, or refuses.
pub(super) fn plan(world: &mut World, index: usize, bugs: Bugs) {
    let writer = world.writers[index];
    let known = &world.log[..writer.head as usize];
    let is_needed_known = known.iter().flatten().any(|entry| entry.operation() == NEEDED);
    if writer.entry.operation() == DEPENDENT && !is_needed_known {
        if !writer.has_looked && !bugs.has(Bug::RejectFromStaleHead) {
            return look::start(world, index, Purpose::Commit, bugs);
        }
        if writer.owed {
            world.violate(Violation::RejectedFromStaleHead);
        }
        return refuse(world, index, Status::Rejected);
    }
    if writer.head as usize == SLOTS {
        // There is no slot left in this small world.
        return refuse(world, index, Status::NotWritten);
    }
    let writer = &mut world.writers[index];
    writer.started = writer.moment();
    writer.phase = Phase::Put;
}

/// One `put_if_absent`. A hedged put is one that is given up on and lands late.
fn put(world: &World, index: usize, bugs: Bugs, push: &mut impl FnMut(Event, World)) {
    let by = index as u8;
    let writer = &world.writers[index];
    let slot = writer.head;
    let entry = writer.entry;
    let mut push_put = |answered, after| push(Event::Put { by, slot, entry, answered }, after);
    if world.object_behind(slot).is_none() {
        let mut landed = *world;
        landed.land(slot as usize, entry);
        let mut after = landed;
        after.writers[index].clock = world.now;
        won(&mut after, index, bugs);
        push_put(Answered::Ok, after);
        unconfirmed(&mut landed, index, bugs);
        push_put(Answered::Lost, landed);
    } else {
        let mut after = *world;
        after.writers[index].clock = world.now;
        exists(&mut after, index, bugs);
        push_put(Answered::Exists, after);
    }
    let mut spurious = *world;
    spurious.writers[index].clock = world.now;
    exists(&mut spurious, index, bugs);
    push_put(Answered::Spurious, spurious);
    let bit = 1 << entry.index();
    if world.puts_given_up > 0 && world.puts_late[slot as usize] & bit == 0 {
        let mut after = *world;
        after.puts_given_up -= 1;
        after.puts_late[slot as usize] |= bit;
        unconfirmed(&mut after, index, bugs);
        push_put(Answered::GivenUp, after);
    }
}

/// 412 or 409.
fn exists(world: &mut World, index: usize, bugs: Bugs) {
    if bugs.has(Bug::ExistsMeansLost) {
        again(world, index, bugs);
    } else {
        unconfirmed(world, index, bugs);
    }
}

/// Anything but success is answered by reading the slot.
fn unconfirmed(world: &mut World, index: usize, bugs: Bugs) {
    let writer = &mut world.writers[index];
    if bugs.has(Bug::NewIdWithoutReading) && !writer.entry.is_redrawn() {
        writer.entry = Entry::new(writer.entry.operation(), true);
    } else {
        writer.phase = Phase::Read;
    }
}

/// The slot is read.
fn read(world: &World, index: usize, bugs: Bugs, push: &mut impl FnMut(Event, World)) {
    let by = index as u8;
    let writer = &world.writers[index];
    let slot = writer.head;
    let found = world.object_behind(slot).map(|object| object.entry);
    let mut after = *world;
    after.writers[index].clock = world.now;
    match found {
        None => after.writers[index].phase = Phase::Put,
        Some(entry) if entry == writer.entry => won(&mut after, index, bugs),
        Some(entry) => lost(&mut after, index, entry, bugs),
    }
    push(Event::SlotRead { by, slot, found }, after);
    let mut failed = *world;
    failed.writers[index].phase = Phase::Put;
    push(Event::SlotReadFailed { by, slot }, failed);
    if found.is_some() && world.crashes > 0 {
        // The node takes no more commits, and is started anew.
        let mut damaged = *world;
        let status = if bugs.has(Bug::UnreadableIsNotWritten) { Status::NotWritten } else { Status::Unknown };
        writer::crash(&mut damaged, index, status);
        push(Event::SlotDamaged { by, slot }, damaged);
    }
}

/// The slot holds our entry, if it is still the log's: the clock rule decides.
fn won(world: &mut World, index: usize, bugs: Bugs) {
    let writer = world.writers[index];
    if writer.is_past_retention() && !bugs.has(Bug::SkipClockRule) {
        if writer.waiting && writer.looked.old {
            world.violate(Violation::DoubtWithoutCause);
        }
        return refuse(world, index, Status::Unknown);
    }
    if world.log[writer.head as usize] != Some(writer.entry) {
        let violation = if writer.waiting { Violation::AcknowledgedIntoCollectedSlot } else { Violation::NoPrefix };
        return world.violate(violation);
    }
    world.writers[index].head += 1;
    look::looked(world, index, bugs);
    refuse(world, index, Status::Acknowledged);
}

/// The slot holds another writer's entry. After too long that says nothing: it may have been ours and collected before.
fn lost(world: &mut World, index: usize, entry: Entry, bugs: Bugs) {
    let writer = world.writers[index];
    if writer.is_past_retention() && !bugs.has(Bug::LossIsLook) {
        match bugs.has(Bug::LossIsCertain) {
            true => return again(world, index, bugs),
            false => return refuse(world, index, Status::Unknown),
        }
    }
    if world.log[writer.head as usize] != Some(entry) {
        return world.violate(Violation::NoPrefix);
    }
    world.writers[index].head += 1;
    if bugs.has(Bug::LossIsLook) {
        let writer = &mut world.writers[index];
        writer.looked = writer.started;
        writer.looked.clock = writer.clock;
    }
    again(world, index, bugs);
}

/// Looks, and goes for the next slot if the client still waits.
fn again(world: &mut World, index: usize, bugs: Bugs) {
    let purpose = if world.writers[index].waiting { Purpose::Commit } else { Purpose::Serve };
    look::start(world, index, purpose, bugs);
}
