//! A node: it is asked, it writes checkpoints, it crashes and starts again.

use super::bug::{Bug, Bugs};
use super::commit;
use super::look;
use super::trace::Event;
use super::world::{DEPENDENT, Entry, NEEDED, Phase, Purpose, Status, World};

pub(super) fn steps(world: &World, index: usize, bugs: Bugs, push: &mut impl FnMut(Event, World)) {
    let writer = &world.writers[index];
    let by = index as u8;
    match writer.phase {
        Phase::Down => {
            let mut after = *world;
            // Before the shard is recovered the node reads what the cluster is called.
            after.writers[index].clock = world.now;
            look::recover(&mut after, index, Purpose::Open);
            push(Event::Started { by }, after);
            return;
        }
        Phase::Idle => asked(world, index, bugs, push),
        Phase::Put | Phase::Read => commit::steps(world, index, bugs, push),
        Phase::Replay | Phase::Base | Phase::Rebuild | Phase::Ensure => look::steps(world, index, bugs, push),
    }
    if world.crashes > 0 {
        let mut after = *world;
        crash(&mut after, index, Status::Unknown);
        push(Event::Crashed { by }, after);
    }
    // One that covers less than another is of no use to anybody who does not trust the hint.
    let is_useful = match bugs.has(Bug::TrustHint) {
        true => world.checkpoints[writer.head as usize].is_none(),
        false => writer.head > world.newest_checkpoint(),
    };
    if writer.head > 0 && is_useful {
        let mut after = *world;
        after.checkpoints[writer.head as usize] = Some(world.now);
        if bugs.has(Bug::TrustHint) {
            after.hints_late |= 1 << writer.head;
        }
        push(Event::CheckpointWritten { by, number: writer.head }, after);
    }
}

/// The node ends; its client, if one waits, knows `status`.
pub(super) fn crash(world: &mut World, index: usize, status: Status) {
    world.crashes -= 1;
    look::answer(world, index, status);
    world.writers[index].phase = Phase::Down;
}

/// Requests that come to a node that does nothing.
fn asked(world: &World, index: usize, bugs: Bugs, push: &mut impl FnMut(Event, World)) {
    let by = index as u8;
    if world.looks > 0 {
        let mut after = *world;
        after.looks -= 1;
        look::start(&mut after, index, Purpose::Serve, bugs);
        push(Event::AskedToCatchUp { by }, after);
    }
    // A writer's operations are asked for in their order.
    let mut own = by * 2..by * 2 + 2;
    let next = own.find(|operation| world.operations[*operation as usize] == Status::Pristine);
    if let Some(operation) = next {
        begin(world, index, operation, bugs, push);
    }
}

/// A client asks for an operation. How long ago the node looked decides whether it looks first: within a tick both happen.
fn begin(world: &World, index: usize, operation: u8, bugs: Bugs, push: &mut impl FnMut(Event, World)) {
    let by = index as u8;
    let mut asked = *world;
    asked.operations[operation as usize] = Status::Pending;
    let owed = operation == DEPENDENT && world.is_acknowledged(NEEDED);
    let writer = &mut asked.writers[index];
    writer.entry = Entry::new(operation, false);
    writer.waiting = true;
    writer.has_looked = false;
    writer.owed = owed;
    let must_look = writer.is_past_retention() && !bugs.has(Bug::SkipCatchUpRule);
    if !must_look {
        let mut after = asked;
        commit::plan(&mut after, index, bugs);
        push(Event::Asked { by, operation, looks: false }, after);
    }
    if !bugs.has(Bug::SkipCatchUpRule) {
        look::start(&mut asked, index, Purpose::Commit, bugs);
        push(Event::Asked { by, operation, looks: true }, asked);
    }
}
