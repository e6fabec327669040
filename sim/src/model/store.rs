//! What the bucket and time do by themselves: late puts land, hints land, old entries are collected, time passes.

use super::Bounds;
use super::bug::{Bug, Bugs};
use super::trace::Event;
use super::world::{Entry, Phase, SLOTS, World};

pub(super) fn steps(world: &World, bounds: Bounds, bugs: Bugs, push: &mut impl FnMut(Event, World)) {
    for slot in 0..SLOTS {
        if world.slots[slot].is_none() {
            land_late(world, slot, push);
        } else if is_collectable(world, slot, bounds, bugs) {
            let mut after = *world;
            after.slots[slot] = None;
            push(Event::Collected { slot: slot as u8 }, after);
        }
    }
    for number in 1..=SLOTS as u8 {
        if world.hints_late & (1 << number) != 0 {
            let mut after = *world;
            after.hints_late &= !(1 << number);
            after.hint = number;
            push(Event::HintLanded { number }, after);
        }
    }
    if world.now < bounds.ticks {
        tick(world, push);
    }
}

fn land_late(world: &World, slot: usize, push: &mut impl FnMut(Event, World)) {
    for bit in 0..8 {
        if world.puts_late[slot] & (1 << bit) != 0 {
            let entry = Entry::new(bit / 2, bit % 2 == 1);
            let mut after = *world;
            after.puts_late[slot] &= !(1 << bit);
            after.land(slot, entry);
            push(Event::LatePutLanded { slot: slot as u8, entry }, after);
        }
    }
}

/// Covered by a checkpoint, and both older than the retention on the store's clock.
fn is_collectable(world: &World, slot: usize, bounds: Bounds, bugs: Bugs) -> bool {
    let is_old = |written: u8| world.now >= written + bounds.kept_ticks;
    let covers = |written: &Option<u8>| {
        written.is_some_and(|written| is_old(written) || bugs.has(Bug::CollectBehindFreshCheckpoint))
    };
    world.slots[slot].is_some_and(|object| is_old(object.written)) && world.checkpoints[slot + 1..].iter().any(covers)
}

/// Time passes. The own clock of a node that is frozen stands still.
fn tick(world: &World, push: &mut impl FnMut(Event, World)) {
    for frozen in [[false, false], [true, false], [false, true], [true, true]] {
        let is_possible = |index: usize| match world.writers[index].phase {
            Phase::Down => !frozen[index],
            // An old look is the same whether it gets older awake or not.
            Phase::Idle => !frozen[index] || !world.writers[index].looked.old,
            // Awake it would know more: that is the case that is easier for it.
            _ => frozen[index],
        };
        if !is_possible(0) || !is_possible(1) {
            continue;
        }
        let mut after = *world;
        after.now += 1;
        for (writer, is_frozen) in after.writers.iter_mut().zip(frozen) {
            writer.looked.old |= !is_frozen;
        }
        push(Event::TimePassed { frozen }, after);
    }
}
