//! The world that nodes and clients live in: time, the bucket, the network's whims, the trace and the history.
//!
//! Owns everything that outlives a node. Invariants: one seed, one trace, byte for byte; after [`World::heal`] nothing goes
//! wrong any more.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use alluvium_infra::Runtime;
use alluvium_infra::runtime::Instant;
use alluvium_infra::store::MemoryStore;
use alluvium_log::State;
use alluvium_log::apply::{apply, genesis};
use alluvium_log::format::entry;
use alluvium_log::paths::{ClusterPaths, ShardPaths};
use alluvium_record::{ShardId, TopicId};
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::deletions::{Deletion, Objects};
use crate::faults::{Faults, NetworkFault, NodeFault, PeerFault, PeerFrame, Planned, StoreFault};
use crate::history::{Call, History, Microseconds, Operation, Outcome, Sample, SlotWritten};
use crate::random::Random;
use crate::records::Look;
use crate::scenario::Scenario;

/// A fault that was injected.
#[derive(Clone, Debug)]
pub struct Injected {
    /// Its key.
    pub key: u64,
    /// When.
    pub at_us: Microseconds,
    /// What, for people.
    pub what: String,
}

/// The states of each shard, after each entry from the first on.
pub type Replayed = BTreeMap<ShardId, Vec<State>>;

/// The world of one run.
#[derive(Debug)]
pub struct World {
    /// The world's own clock and tasks, which never freeze.
    pub runtime: Runtime,
    /// The seed.
    pub seed: u64,
    /// The scenario as this seed plays it.
    pub scenario: Scenario,
    /// The bucket.
    pub bucket: Arc<MemoryStore>,
    /// Where things lie in the bucket.
    pub paths: ClusterPaths,
    faults: Faults,
    started: Instant,
    healed: AtomicBool,
    tracing: bool,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    trace: String,
    history: History,
    injected: Vec<Injected>,
    counts: BTreeMap<(bool, u32), u64>,
    uploads: BTreeMap<u32, u64>,
    /// Who lets faults happen that befall a node in the middle of something.
    striking: Option<mpsc::UnboundedSender<Planned>>,
    frames: BTreeMap<(u32, u32), u64>,
    batches: u64,
    attempts: u64,
    /// The state of each shard after each entry, by an independent replay.
    replayed: Replayed,
    cut_off: BTreeMap<(u32, u32), Microseconds>,
    store_cut: BTreeMap<u32, Microseconds>,
    spared: BTreeSet<u32>,
    flipped: BTreeMap<(u32, String), u32>,
    objects: Objects,
}

impl World {
    /// A new world.
    pub fn new(runtime: Runtime, seed: u64, scenario: Scenario, faults: Faults, tracing: bool) -> Arc<Self> {
        let started = runtime.monotonic();
        let history = History {
            linked: scenario.linked,
            healthy: scenario.is_healthy(),
            compacts: scenario.compacts,
            ..History::default()
        };
        Arc::new(Self {
            bucket: Arc::new(MemoryStore::new(runtime.clone()).with_parts_of(scenario.upload_part_bytes)),
            paths: ClusterPaths::new(""),
            runtime,
            seed,
            scenario,
            faults,
            started,
            healed: AtomicBool::new(true),
            tracing,
            inner: Mutex::new(Inner {
                trace: String::new(),
                history,
                injected: Vec::new(),
                counts: BTreeMap::new(),
                uploads: BTreeMap::new(),
                striking: None,
                frames: BTreeMap::new(),
                batches: 0,
                attempts: 0,
                replayed: Replayed::new(),
                cut_off: BTreeMap::new(),
                store_cut: BTreeMap::new(),
                spared: BTreeSet::new(),
                flipped: BTreeMap::new(),
                objects: Objects::default(),
            }),
        })
    }

    /// Microseconds since the run began.
    pub fn now_us(&self) -> Microseconds {
        self.runtime.monotonic().saturating_duration_since(self.started).as_micros() as u64
    }

    /// Writes a line of the trace.
    pub fn note(&self, who: std::fmt::Arguments<'_>, what: impl FnOnce() -> String) {
        if self.tracing {
            let now_us = self.now_us();
            let (seconds, fraction) = (now_us / 1_000_000, now_us % 1_000_000);
            let text = what();
            // Writing into a string cannot fail.
            let _written =
                writeln!(self.inner.lock().trace, "{seconds:>6}.{fraction:06} {:<6} {text}", who.to_string());
        }
    }

    /// A stream of randomness for one part of the world.
    pub fn random(&self, label: u64) -> Random {
        Random::new(self.seed, label)
    }

    /// Faults begin.
    pub fn begin(&self) {
        self.healed.store(false, Ordering::Relaxed);
    }

    /// Faults end.
    pub fn heal(&self) {
        self.healed.store(true, Ordering::Relaxed);
        let now_us = self.now_us();
        let mut inner = self.inner.lock();
        inner.history.healed_us = now_us;
        inner.cut_off.clear();
        inner.store_cut.clear();
        inner.striking = None;
        drop(inner);
        self.note(format_args!("world"), || "healed".to_owned());
    }

    /// Whether faults have ended; clients start nothing new then.
    pub fn is_healed(&self) -> bool {
        self.healed.load(Ordering::Relaxed)
    }

    fn count(&self, store: bool, who: u32) -> u64 {
        let mut inner = self.inner.lock();
        let count = inner.counts.entry((store, who)).or_default();
        *count += 1;
        *count
    }

    /// The fault of the next store request of a node, and a stream for its delays.
    pub fn store_fault(&self, node: u32, writes: bool) -> (Option<StoreFault>, Random) {
        let count = self.count(true, node);
        let random = Random::new(self.seed, 0x0570_4e00 ^ (u64::from(node) << 40) ^ count);
        if self.is_spared(node) {
            return (None, random);
        }
        let fault = self.faults.store(node, count, writes);
        if let Some((key, fault)) = fault {
            self.injected(key, || format!("node {node}, store request {count}: {fault:?}"));
        }
        (fault.map(|(_, fault)| fault), random)
    }

    /// From now on a node's store requests go well, or suffer again.
    pub fn spare(&self, node: u32, spared: bool) {
        let mut inner = self.inner.lock();
        if spared {
            inner.spared.insert(node)
        } else {
            inner.spared.remove(&node)
        };
    }

    /// Whether a read of an object may arrive with a wrong bit. Twice it may: what is damaged three times is damaged.
    pub fn may_flip(&self, node: u32, path: &str) -> bool {
        let mut inner = self.inner.lock();
        let count = inner.flipped.entry((node, path.to_owned())).or_default();
        *count += 1;
        *count <= 2
    }

    fn is_spared(&self, node: u32) -> bool {
        self.is_healed() || self.inner.lock().spared.contains(&node)
    }

    /// What the next store request of a node will suffer, for reads that have to damage their own reply.
    pub fn peek_read_fault(&self, node: u32) -> Option<StoreFault> {
        if self.is_spared(node) {
            return None;
        }
        let count = self.inner.lock().counts.get(&(true, node)).copied().unwrap_or_default() + 1;
        self.faults.store(node, count, false).map(|(_, fault)| fault)
    }

    /// The fault of the next request of a client, and a stream for its delays.
    pub fn network_fault(&self, client: u32) -> (Option<NetworkFault>, Random) {
        let count = self.count(false, client);
        let random = Random::new(self.seed, 0x6e65_7400 ^ (u64::from(client) << 40) ^ count);
        if self.is_healed() {
            return (None, random);
        }
        let fault = self.faults.network(client, count);
        if let Some((key, fault)) = fault {
            self.injected(key, || format!("client {client}, request {count}: {fault:?}"));
        }
        (fault.map(|(_, fault)| fault), random)
    }

    /// Faults that befall nodes in the middle of something, until the world heals.
    pub fn strikes(&self) -> mpsc::UnboundedReceiver<Planned> {
        let (striking, struck) = mpsc::unbounded_channel();
        self.inner.lock().striking = Some(striking);
        struck
    }

    /// A node asks the store for something about an upload in parts: it may die of that.
    pub fn uploading(&self, node: u32) {
        if self.is_spared(node) {
            return;
        }
        let mut inner = self.inner.lock();
        let count = inner.uploads.entry(node).or_default();
        *count += 1;
        let Some((key, crash)) = self.faults.upload(node, *count) else { return };
        let at_ms = crash.after_ms;
        let fault = NodeFault::Crash { down_ms: crash.down_ms };
        if let Some(striking) = &inner.striking {
            // Nobody strikes any more when the run is over.
            let _struck = striking.send(Planned { key, at_ms, node, fault });
        }
    }

    /// Remembers that a fault was injected.
    pub fn injected(&self, key: u64, what: impl FnOnce() -> String) {
        let at_us = self.now_us();
        self.inner.lock().injected.push(Injected { key, at_us, what: what() });
    }

    /// Node faults of this run.
    pub fn planned(&self) -> Vec<Planned> {
        self.faults.planned(&self.scenario)
    }

    /// Cuts clients off a node for a while.
    pub fn cut_off(&self, clients: u32, node: u32, duration: Duration) {
        let until = self.now_us() + duration.as_micros() as u64;
        self.inner.lock().cut_off.insert((clients, node), until);
    }

    /// Whether a client reaches a node now.
    pub fn reaches(&self, client: u32, node: u32) -> bool {
        let now_us = self.now_us();
        self.inner.lock().cut_off.get(&(client % 3, node)).is_none_or(|until| *until <= now_us)
    }

    /// Cuts a node off the store for a while.
    pub fn cut_off_store(&self, node: u32, duration: Duration) {
        let until = self.now_us() + duration.as_micros() as u64;
        self.inner.lock().store_cut.insert(node, until);
    }

    /// Whether a node and the store reach each other now.
    pub fn reaches_store(&self, node: u32) -> bool {
        let now_us = self.now_us();
        self.inner.lock().store_cut.get(&node).is_none_or(|until| *until <= now_us)
    }

    /// The fault of the next frame from one node to another.
    pub fn peer_fault(&self, from: u32, to: u32, frame: PeerFrame) -> Option<PeerFault> {
        if self.is_healed() {
            return None;
        }
        let count = {
            let mut inner = self.inner.lock();
            let count = inner.frames.entry((from, to)).or_default();
            *count += 1;
            *count
        };
        let (key, fault) = self.faults.peer(from, to, count, frame)?;
        self.injected(key, || format!("frame {count} from node {from} to {to} ({frame:?}): {fault:?}"));
        self.note(format_args!("n{from}"), || format!("frame to n{to} ({frame:?}): {fault:?}"));
        Some(fault)
    }

    /// A number for a new batch.
    pub fn next_batch(&self) -> u64 {
        let mut inner = self.inner.lock();
        inner.batches += 1;
        inner.batches
    }

    /// A number for a new attempt at a transaction.
    pub fn next_attempt(&self) -> u64 {
        let mut inner = self.inner.lock();
        inner.attempts += 1;
        inner.attempts
    }

    /// An operation begins.
    pub fn ask(&self, client: u32, node: u32, operation: Operation) -> usize {
        self.note(format_args!("c{client}"), || format!("-> n{node} {operation}"));
        let asked_us = self.now_us();
        let mut inner = self.inner.lock();
        inner.history.calls.push(Call {
            client,
            node,
            operation,
            asked_us,
            answered_us: None,
            returned_us: None,
            outcome: Outcome::Unknown,
            deliveries: 0,
        });
        inner.history.calls.len() - 1
    }

    /// The network delivered an operation to its node.
    pub fn delivered(&self, call: usize) {
        self.inner.lock().history.calls[call].deliveries += 1;
    }

    /// A client knows the outcome of its operation.
    pub fn returned(&self, call: usize, outcome: &Outcome, answered_us: Option<Microseconds>) {
        let now_us = self.now_us();
        let client = {
            let mut inner = self.inner.lock();
            let call = &mut inner.history.calls[call];
            call.outcome = outcome.clone();
            call.answered_us = answered_us;
            call.returned_us = Some(now_us);
            call.client
        };
        self.note(format_args!("c{client}"), || format!("<- {outcome}"));
    }

    /// Changes the history.
    pub fn history<R>(&self, change: impl FnOnce(&mut History) -> R) -> R {
        change(&mut self.inner.lock().history)
    }

    /// Something is wrong that the run sees by itself.
    pub fn finding(&self, invariant: u8, what: String) {
        self.note(format_args!("world"), || format!("invariant {invariant}: {what}"));
        self.inner.lock().history.findings.push((invariant, what));
    }

    /// An object came into being under a path that was empty.
    pub fn object_created(&self, path: &str, bytes: &Bytes) {
        let Some(shard) = shard_of_entry(&self.paths, path) else { return };
        let Some(number) = ShardPaths::parse_number(path) else { return };
        let at_us = self.now_us();
        let problem = {
            let mut inner = self.inner.lock();
            let inner = &mut *inner;
            let replayed = inner.replayed.entry(shard).or_insert_with(|| vec![genesis(shard)]);
            let again = replayed.last().is_some_and(|newest| number <= newest.entry_number());
            inner.history.slots.push(SlotWritten { shard, number, at_us, bytes: bytes.clone(), again });
            let missing = inner.objects.missing(bytes, &self.paths.shard(shard));
            // What comes late into a slot that had been collected, nobody reads.
            for path in missing.iter().filter(|_| !again) {
                inner.history.findings.push((3, format!("entry {number} names {path}, which is not there")));
            }
            if again { None } else { extend(replayed, bytes).err() }
        };
        let of_shard = if shard.0 == 0 { String::new() } else { format!(" of shard {shard}") };
        self.note(format_args!("world"), || format!("entry {number}{of_shard} is durable"));
        if let Some(problem) = problem {
            self.finding(5, format!("entry {number}{of_shard} cannot be applied: {problem}"));
        }
    }

    /// The state of a shard after its newest durable entry, by an independent replay.
    pub fn durable_state(&self, shard: ShardId) -> Option<State> {
        self.inner.lock().replayed.get(&shard).and_then(|states| states.last()).cloned()
    }

    /// An object is in the bucket. Segments are remembered: they may be gone before the end.
    pub fn object_stored(&self, path: &str, bytes: &Bytes) {
        let now_us = self.now_us();
        let mut inner = self.inner.lock();
        inner.objects.stored(path, now_us);
        if path.contains("/segment/") {
            inner.history.segments.insert(path.to_owned(), bytes.clone());
        }
    }

    /// Takes note of an object that a node deletes, and checks that it may go.
    pub fn object_deleted(&self, path: &str) {
        let now_us = self.now_us();
        let problem = {
            let mut inner = self.inner.lock();
            let inner = &mut *inner;
            let is_entry =
                inner.replayed.keys().any(|shard| path.starts_with(&self.paths.shard(*shard).entry_prefix()));
            if is_entry {
                inner.history.collected.push((path.to_owned(), now_us));
            }
            inner.objects.deleted(&Deletion {
                path,
                now_us,
                grace_us: self.scenario.retention_ms * 1000,
                paths: &self.paths,
                replayed: &inner.replayed,
                history: &inner.history,
            })
        };
        if let Some(problem) = problem {
            self.finding(8, problem);
        }
    }

    /// What the records of a topic look like.
    pub fn look(&self, topic: TopicId) -> Look {
        match self.inner.lock().history.is_compacted(topic) {
            true => Look::Keyed,
            false if self.scenario.compacts => Look::Rich,
            false => Look::Plain,
        }
    }

    /// Shards that have entries.
    pub fn shards(&self) -> Vec<ShardId> {
        self.inner.lock().replayed.keys().copied().collect()
    }

    /// Remembers a state that a node has published.
    pub fn sample(&self, node: u32, incarnation: u32, state: Arc<State>) {
        let at_us = self.now_us();
        self.inner.lock().history.samples.push(Sample { node, incarnation, at_us, state });
    }

    /// The history and everything else, in the end.
    pub fn finish(&self) -> (History, String, Vec<Injected>, Replayed) {
        let mut inner = self.inner.lock();
        let inner = &mut *inner;
        (
            std::mem::take(&mut inner.history),
            std::mem::take(&mut inner.trace),
            std::mem::take(&mut inner.injected),
            std::mem::take(&mut inner.replayed),
        )
    }
}

/// The shard whose entry lies at `path`, if one does.
fn shard_of_entry(paths: &ClusterPaths, path: &str) -> Option<ShardId> {
    let shard = ShardId(path.split('/').nth(1)?.parse().ok()?);
    path.starts_with(&paths.shard(shard).entry_prefix()).then_some(shard)
}

fn extend(replayed: &mut Vec<State>, bytes: &Bytes) -> Result<(), String> {
    let entry = entry::decode(bytes).map_err(|error| error.to_string())?;
    let Some(newest) = replayed.last() else { return Ok(()) };
    let next = apply(newest, &entry).map_err(|error| error.to_string())?;
    alluvium_log::invariants::check_step(newest, &next).map_err(|error| error.to_string())?;
    replayed.push(next);
    Ok(())
}
