//! Reading the log to its end, from the state (`replay.rs`) or from a checkpoint (`recover.rs`).
//!
//! What is known of the log is as old as the moment before the first request of the look. What a look returns is believed
//! only while that is less than half the retention ago by the clock of the reply.

use super::bug::{Bug, Bugs};
use super::commit;
use super::trace::Event;
use super::world::{Phase, Purpose, SLOTS, Status, Violation, World};

/// `catch_up`: begins with a checkpoint when the state is too old to read on from.
pub(super) fn start(world: &mut World, index: usize, purpose: Purpose, bugs: Bugs) {
    if world.writers[index].is_past_retention() && !bugs.has(Bug::SkipResync) {
        return recover(world, index, purpose);
    }
    let floor = world.acknowledged_end();
    let writer = &mut world.writers[index];
    writer.purpose = purpose;
    writer.floor = floor;
    writer.started = writer.moment();
    writer.phase = Phase::Replay;
}

/// `recover`: from the newest checkpoint.
pub(super) fn recover(world: &mut World, index: usize, purpose: Purpose) {
    let floor = world.acknowledged_end();
    let writer = &mut world.writers[index];
    writer.purpose = purpose;
    writer.floor = floor;
    writer.started = writer.moment();
    writer.rebuilt = 0;
    writer.astray = false;
    writer.phase = Phase::Base;
}

pub(super) fn steps(world: &World, index: usize, bugs: Bugs, push: &mut impl FnMut(Event, World)) {
    let by = index as u8;
    let writer = &world.writers[index];
    let mut after = *world;
    after.writers[index].clock = world.now;
    match writer.phase {
        Phase::Replay => {
            let event = read_on(&mut after, index, bugs);
            let is_over = writer.purpose == Purpose::Commit && after.writers[index].phase != Phase::Replay;
            push(event, after);
            if is_over && after.violation.is_none() {
                let mut after = *world;
                refuse(&mut after, index, Status::NotWritten);
                push(Event::DeadlinePassed { by, answer: Status::NotWritten }, after);
            }
        }
        Phase::Base => {
            let number = match world.hint {
                hint if hint > 0 && bugs.has(Bug::TrustHint) => hint,
                _ => world.newest_checkpoint(),
            };
            let writer = &mut after.writers[index];
            writer.rebuilt = number;
            writer.phase = Phase::Rebuild;
            push(Event::CheckpointRead { by, number }, after);
        }
        Phase::Rebuild => {
            let found = world.object_behind(writer.rebuilt).map(|object| object.entry);
            let slot = writer.rebuilt;
            let writer = &mut after.writers[index];
            match found {
                Some(entry) => {
                    writer.astray |= world.log[slot as usize] != Some(entry);
                    writer.rebuilt += 1;
                }
                None => writer.phase = Phase::Ensure,
            }
            push(Event::EntryRead { by, slot, found }, after);
        }
        _ => {
            let event = ensure(&mut after, index, bugs);
            push(event, after);
        }
    }
    failed(world, index, bugs, push);
}

/// The store does not answer: the look begins anew.
fn failed(world: &World, index: usize, bugs: Bugs, push: &mut impl FnMut(Event, World)) {
    let writer = &world.writers[index];
    let by = index as u8;
    let mut after = *world;
    match writer.purpose {
        Purpose::Open => recover(&mut after, index, Purpose::Open),
        purpose => start(&mut after, index, purpose, bugs),
    }
    push(Event::LookFailed { by }, after);
}

/// One GET of `replay`.
fn read_on(world: &mut World, index: usize, bugs: Bugs) -> Event {
    let by = index as u8;
    let slot = world.writers[index].head;
    let found = world.object_behind(slot).map(|object| object.entry);
    let event = Event::EntryRead { by, slot, found };
    let purpose = world.writers[index].purpose;
    let Some(entry) = found else {
        looked(world, index, bugs);
        if world.writers[index].is_past_retention() && !bugs.has(Bug::ReplayWithoutClock) {
            recover(world, index, purpose);
        } else {
            finish(world, index, bugs);
        }
        return event;
    };
    if world.writers[index].is_past_retention() && !bugs.has(Bug::ReplayWithoutClock) && !bugs.has(Bug::SkipResync) {
        recover(world, index, purpose);
        return event;
    }
    if world.log[slot as usize] != Some(entry) {
        world.violate(Violation::NoPrefix);
    }
    world.writers[index].head += 1;
    event
}

/// `ensure_nothing_behind`, and what comes of it.
fn ensure(world: &mut World, index: usize, bugs: Bugs) -> Event {
    let by = index as u8;
    let end = world.writers[index].rebuilt;
    let purpose = world.writers[index].purpose;
    let behind = (end..SLOTS as u8).find(|slot| world.slots[*slot as usize].is_some());
    let event = Event::Listed { by, behind };
    let writer = &mut world.writers[index];
    let is_late = writer.clock > writer.started.clock;
    if is_late && !bugs.has(Bug::RecoverWithoutClock) {
        let is_hole = behind.is_some_and(|slot| slot > end);
        if bugs.has(Bug::ShowBeforeClock) && !is_hole {
            show(world, index);
        }
        recover(world, index, purpose);
        return event;
    }
    if behind.is_some_and(|slot| slot > end) {
        world.violate(Violation::HealthyLogCalledDamaged);
        return event;
    }
    show(world, index);
    looked(world, index, bugs);
    finish(world, index, bugs);
    event
}

/// What recovery built becomes the node's state.
fn show(world: &mut World, index: usize) {
    let writer = &mut world.writers[index];
    let (is_astray, goes_back) = (writer.astray, writer.rebuilt < writer.head);
    writer.head = writer.rebuilt;
    if is_astray {
        world.violate(Violation::NoPrefix);
    } else if goes_back {
        world.violate(Violation::StateWentBack);
    }
}

/// The log was seen to its end, at the moment when the look began.
pub(super) fn looked(world: &mut World, index: usize, bugs: Bugs) {
    let writer = &mut world.writers[index];
    writer.looked = writer.started;
    if bugs.has(Bug::ClockAtEndOfLook) {
        writer.looked.clock = writer.clock;
    }
}

fn finish(world: &mut World, index: usize, bugs: Bugs) {
    let writer = &mut world.writers[index];
    if writer.head < writer.floor {
        world.violate(Violation::LookMissedAcknowledged);
        return;
    }
    if writer.purpose == Purpose::Commit {
        writer.has_looked = true;
        commit::plan(world, index, bugs);
    } else {
        writer.phase = Phase::Idle;
    }
}

/// Answers the client, if it still waits, and ends the commit.
pub(super) fn refuse(world: &mut World, index: usize, status: Status) {
    answer(world, index, status);
    world.writers[index].phase = Phase::Idle;
}

/// Answers the client, if it still waits.
pub(super) fn answer(world: &mut World, index: usize, status: Status) {
    let writer = &mut world.writers[index];
    if !writer.waiting {
        return;
    }
    writer.waiting = false;
    let operation = writer.entry.operation();
    world.operations[operation as usize] = status;
    if matches!(status, Status::NotWritten | Status::Rejected) && world.is_in_log(operation) {
        world.violate(Violation::NotWrittenAppeared);
    }
}
