//! The commit protocol of one shard as a small model, and a search through all its interleavings.
//!
//! Two writers, three slots, four operations. A step is one request to the store with its answer, or one thing that happens
//! to a node or to the bucket; the search takes every step that is possible in every state that can be reached, breadth
//! first, so that the trace to a broken invariant is as short as any. Flow: [`world`] (what there is) -> [`store`] (what the
//! bucket does) -> [`writer`], [`look`] and [`commit`] (what a node does, after `log/src/commit`, `replay.rs`, `recover.rs`).
//!
//! Invariants: the search is deterministic; a state is visited once; whatever breaks an invariant ends the search with the
//! steps that led there. `docs/internals/model.md` says what is modelled and what is not.

#[path = "model/bug.rs"]
pub mod bug;
#[path = "model/commit.rs"]
mod commit;
#[path = "model/look.rs"]
mod look;
#[path = "model/store.rs"]
mod store;
#[path = "model/trace.rs"]
pub mod trace;
#[path = "model/world.rs"]
pub mod world;
#[path = "model/writer.rs"]
mod writer;

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hash, Hasher};

use bug::Bugs;
use trace::{Event, Trace};
use world::{Violation, World};

/// How far the search goes.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// How often much time passes: more than a commit may take.
    pub ticks: u8,
    /// How many ticks an entry and the checkpoint that covers it are kept: one, or two halves.
    pub kept_ticks: u8,
    /// How many crashes there are.
    pub crashes: u8,
    /// How many puts are given up on and land later, if ever.
    pub late_puts: u8,
    /// How often a reader asks a node for the end of the log.
    pub looks: u8,
    /// How many operations each of the two writers has, two at most.
    pub operations: [u8; 2],
    /// Most states that are visited before the search gives up.
    pub states_max: usize,
}

/// What a search found.
#[derive(Debug)]
pub struct Report {
    /// Different states that were reached.
    pub states: usize,
    /// Steps that were taken, those into known states included.
    pub steps: usize,
    /// Most steps on a shortest way to a state.
    pub depth: usize,
    /// Whether every state that can be reached was reached.
    pub complete: bool,
    /// The shortest way to a broken invariant.
    pub counterexample: Option<Counterexample>,
}

/// A broken invariant and how it came to be.
#[derive(Debug)]
pub struct Counterexample {
    /// What is broken.
    pub violation: Violation,
    /// The steps to it.
    pub trace: Trace,
}

/// Searches all states that can be reached within `bounds` by writers that have `bugs`.
#[must_use]
pub fn explore(bounds: Bounds, bugs: Bugs) -> Report {
    let mut search = Search { bounds, bugs, seen: HashSet::default(), came: Vec::new() };
    let first = World::new(bounds);
    search.seen.insert(fingerprint(&first));
    search.came.push((0, 0));
    let mut report = Report { states: 1, steps: 0, depth: 0, complete: true, counterexample: None };
    let mut frontier = vec![(0_u32, first)];
    let mut successors = Vec::new();
    while !frontier.is_empty() {
        let mut next = Vec::new();
        for (index, world) in frontier {
            successors.clear();
            expand(&world, bounds, bugs, &mut successors);
            report.steps += successors.len();
            for (step, (_, world)) in successors.iter().enumerate() {
                if !search.seen.insert(fingerprint(world)) {
                    continue;
                }
                search.came.push((index, step as u16));
                let reached = (search.came.len() - 1) as u32;
                if let Some(violation) = world.violation {
                    report.states = search.came.len();
                    report.complete = false;
                    report.depth += 1;
                    let trace = search.trace(reached);
                    report.counterexample = Some(Counterexample { violation, trace });
                    return report;
                }
                next.push((reached, *world));
            }
            if search.came.len() > bounds.states_max {
                report.states = search.came.len();
                report.complete = false;
                return report;
            }
        }
        report.depth += usize::from(!next.is_empty());
        frontier = next;
    }
    report.states = search.came.len();
    report
}

/// Every step that is possible in `world`, with what it leads to.
fn expand(world: &World, bounds: Bounds, bugs: Bugs, into: &mut Vec<(Event, World)>) {
    let mut push = |event: Event, mut world: World| {
        world.settle(bounds);
        into.push((event, world));
    };
    store::steps(world, bounds, bugs, &mut push);
    for writer in 0..world.writers.len() {
        writer::steps(world, writer, bugs, &mut push);
    }
}

struct Search {
    bounds: Bounds,
    bugs: Bugs,
    /// Fingerprints of the states that were reached.
    seen: HashSet<u64, BuildHasherDefault<Same>>,
    /// For each state the one before it and which of its steps led here.
    came: Vec<(u32, u16)>,
}

impl Search {
    /// The steps to a state, taken once more from the beginning.
    fn trace(&self, reached: u32) -> Trace {
        let mut choices = Vec::new();
        let mut at = reached;
        while at != 0 {
            let (before, step) = self.came[at as usize];
            choices.push(step);
            at = before;
        }
        let mut world = World::new(self.bounds);
        let mut steps = Vec::new();
        for choice in choices.into_iter().rev() {
            let mut successors = Vec::new();
            expand(&world, self.bounds, self.bugs, &mut successors);
            let (event, after) = successors[choice as usize];
            world = after;
            steps.push((event, after));
        }
        Trace { steps }
    }
}

/// 64 bits that stand for a state: two of ten million states share them once in three hundred thousand searches.
fn fingerprint(world: &World) -> u64 {
    let mut mixer = Mixer { hash: 0x9e37_79b9_7f4a_7c15, word: 0 };
    world.hash(&mut mixer);
    mixer.finish()
}

/// A fast hash with good bits: small values are packed into words, words are multiplied and folded.
struct Mixer {
    hash: u64,
    word: u64,
}

impl Mixer {
    fn fold(&mut self, word: u64) {
        let product = u128::from(self.hash ^ word) * 0xe703_7ed1_a0b4_28db_u128;
        self.hash = ((product >> 64) as u64 ^ product as u64).wrapping_add(0x8ebc_6af0_9c88_c6e3).rotate_left(23);
    }

    /// A byte of the state; all its values are smaller than 256.
    fn pack(&mut self, byte: u64) {
        if self.word >> 56 != 0 {
            let word = self.word;
            self.fold(word);
            self.word = 0;
        }
        // Never zero, so that the number of bytes counts.
        self.word = self.word << 8 | (byte + 1);
    }
}

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.pack(u64::from(*byte));
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.pack(u64::from(value));
    }

    fn write_isize(&mut self, value: isize) {
        self.pack(value as u64);
    }

    fn write_usize(&mut self, value: usize) {
        self.pack(value as u64);
    }

    fn finish(&self) -> u64 {
        let product = u128::from(self.hash ^ self.word) * 0xa076_1d64_78bd_642f_u128;
        (product >> 64) as u64 ^ product as u64
    }
}

/// Fingerprints are hashes already.
#[derive(Default)]
struct Same(u64);

impl Hasher for Same {
    fn write(&mut self, _bytes: &[u8]) {}

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
