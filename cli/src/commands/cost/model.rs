//! How many requests, bytes and hours a load comes to, by the way the code really works.
//!
//! - A flush a shard goes when its interval has passed and something waits, or when the buffer is full. One of up to
//!   `inline_bytes` is one PUT, a larger one two. Commits of offsets ride along or make an entry of their own.
//! - 1,000 entries, or 64 MiB of them, are followed by a checkpoint and a head: two PUTs.
//! - A node writes its heartbeat and reads another's record every 6 s, and lists the nodes every 30 s.
//! - What was just written is read from memory. Consumers that are behind read blocks of 512 KiB.
//! - A merge reads each raw run of its partition with a GET, writes parts of 8 MiB, reads them back, and commits an entry.
//! - Functions take turns at a shard: whoever waits looks for the others' entries, and pays for a PUT that came too late now and then.
//! - A call of the reader reads one partition. Each of its sandboxes reads each entry once, and looks for the next one in each call.
//! - What is committed inline is pushed to the nodes of other zones; of a segment only its name is.
//!
//! Invariants: nothing is random; what is not asked for costs nothing; more load never makes fewer requests.

use alluvium_infra::limits;

use super::load::{COMMIT_SECONDS, Functions, Load, Nodes, Parts, Topic};

/// Seconds of a month as providers bill it: 730 hours.
pub(super) const MONTH_SECONDS: f64 = 730.0 * 3_600.0;

const ENTRIES_PER_CHECKPOINT: f64 = 1_000.0;
const ENTRY_BYTES_PER_CHECKPOINT: f64 = 64.0 * 1024.0 * 1024.0;
const PUTS_PER_CHECKPOINT: f64 = 2.0;
const HEARTBEAT_SECONDS: f64 = 6.0;
const DISCOVERY_SECONDS: f64 = 30.0;
/// Members of groups commit their offsets every 5 s unless told otherwise.
const OFFSET_COMMIT_SECONDS: f64 = 5.0;
const BLOCK_BYTES: f64 = 512.0 * 1024.0;
const PART_BYTES: f64 = 8.0 * 1024.0 * 1024.0;
/// Files below this size are put together, four at a time.
const SMALL_FILE_BYTES: f64 = limits::SMALL_TABLE_BYTES as f64;
const SMALL_FILES_MERGED: f64 = 4.0;
/// Raw runs with less than this wait so many times as long.
const TINY_MERGE_BYTES: f64 = 64.0 * 1024.0;
const TINY_MERGE_AGES: f64 = 6.0;
/// Entries stay for a day after they were merged, whatever the retention is.
const ENTRY_GRACE_SECONDS: f64 = 24.0 * 3_600.0;
const COLLECTION_SECONDS: f64 = 3_600.0;
const KEYS_PER_LIST: f64 = 1_000.0;
/// What one shard takes of uncontended commits in a second.
const COMMITS_PER_SHARD_MAX: f64 = 1.0 / COMMIT_SECONDS;
/// What a compactor function gets done in a second, and what it needs to begin.
const COMPACTOR_BYTES_PER_SECOND: f64 = 20.0 * 1024.0 * 1024.0;
const COMPACTOR_START_SECONDS: f64 = 1.0;
/// What a call of the reader brings unless it is asked for more (`max_bytes`).
const READER_ANSWER_BYTES: f64 = 1024.0 * 1024.0;
/// What one shard takes in a second of calls that race for it, however many they are. This and the two that follow fit the example
/// `racers` of the room ingest (docs/performance.md), whose 2, 5, 10 and 50 writers pay for 1.8, 2.5, 3.1 and 5.4 PUTs and 3.9, 11.6,
/// 20.3 and 86.9 GETs in a call.
const RACING_COMMITS_PER_SHARD_MAX: f64 = 13.0;
/// Refused PUTs of a call among so many writers: this often the root of their number.
const REFUSED_PUTS: f64 = 0.63;
/// GETs of a call for each writer: its entry, and a look that found none yet.
const GETS_PER_WRITER: f64 = 2.0;
/// A shard that is busier than this part of the time is not reckoned with: calls wait ever longer.
const BUSY_MAX: f64 = 0.95;

/// What is used in a second, and what is kept.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Usage {
    pub(super) puts: f64,
    pub(super) gets: f64,
    pub(super) lists: f64,
    pub(super) deletes: f64,
    /// Bytes that are kept once the retention is reached.
    pub(super) stored_bytes: f64,
    pub(super) node_processors: f64,
    pub(super) node_gibibytes: f64,
    pub(super) load_balancers: f64,
    pub(super) load_balancer_bytes: f64,
    pub(super) function_requests: f64,
    pub(super) function_gibibyte_seconds: f64,
    pub(super) schedules: f64,
    pub(super) zone_bytes: f64,
    /// Entries that are written, of all shards; part of `puts`.
    pub(super) entries: f64,
    /// What compaction takes of `puts` and `gets`.
    pub(super) compaction_puts: f64,
    pub(super) compaction_gets: f64,
}

/// The usage of a load.
pub(super) fn usage(load: &Load) -> Usage {
    let mut usage = Usage::default();
    match &load.parts {
        Parts::Nodes(nodes) => of_nodes(load, nodes, &mut usage),
        Parts::Functions(functions) => of_functions(load, functions, &mut usage),
    }
    usage.puts += PUTS_PER_CHECKPOINT * checkpoints(load, usage.entries);
    if load.compaction {
        compact(load, &mut usage);
    }
    keep(load, &mut usage);
    usage
}

/// Flushes a second of something that comes by chance and is flushed at most once in an interval.
fn flushes(arrivals: f64, interval: f64) -> f64 {
    if arrivals <= 0.0 {
        return 0.0;
    }
    // The interval, and when nothing came in it, the wait for the next arrival.
    1.0 / (interval + (-arrivals * interval).exp() / arrivals)
}

/// Entries a second of one shard, and how many of them have a segment beside them.
fn entries_of_shard(load: &Load, nodes: &Nodes) -> (f64, f64) {
    let requests = load.requests_per_second() / load.shards;
    let bytes = load.bytes_per_second() / load.shards;
    let interval = if nodes.producers_wait { COMMIT_SECONDS } else { nodes.flush_interval.max(COMMIT_SECONDS) };
    let paced = flushes(requests, interval);
    // Full buffers go at once, beside each other: their segments are not bounded by the pace of commits.
    let flushed = paced.max(bytes / nodes.flush_bytes);
    let flush_bytes = if flushed > 0.0 { bytes / flushed } else { 0.0 };
    let segments = if flush_bytes > nodes.inline_bytes { flushed } else { 0.0 };
    let offsets =
        if load.records_per_second() > 0.0 { load.consumers / OFFSET_COMMIT_SECONDS / load.shards } else { 0.0 };
    let entries = flushes(flushed + offsets, COMMIT_SECONDS).max(flushed.min(COMMITS_PER_SHARD_MAX));
    (entries, segments)
}

fn of_nodes(load: &Load, nodes: &Nodes, usage: &mut Usage) {
    let (entries, segments) = entries_of_shard(load, nodes);
    usage.entries = entries * load.shards;
    usage.puts = (entries + segments) * load.shards + nodes.count / HEARTBEAT_SECONDS;
    let behind_bytes = load.bytes_per_second() * load.consumers * load.behind;
    usage.gets = nodes.count / HEARTBEAT_SECONDS + behind_bytes / BLOCK_BYTES;
    usage.lists = nodes.count / DISCOVERY_SECONDS;
    usage.node_processors = nodes.count * nodes.processors;
    usage.node_gibibytes = nodes.count * nodes.memory_gibibytes;
    let client_bytes = load.bytes_per_second() * (1.0 + load.consumers);
    if nodes.load_balancer {
        usage.load_balancers = 1.0;
        usage.load_balancer_bytes = client_bytes;
    }
    // What is committed inline is pushed to all other nodes, most of them in other zones.
    let zones = nodes.count.min(3.0);
    let pushed = if segments > 0.0 { 0.0 } else { load.bytes_per_second() * (nodes.count - 1.0) };
    usage.zone_bytes = client_bytes * nodes.cross_zone + pushed * (1.0 - 1.0 / zones);
}

/// Refused PUTs and GETs of a call that meets others, so that they are so many together.
pub(super) fn race(writers: f64) -> (f64, f64) {
    let met = (writers - 1.0).min(1.0);
    (REFUSED_PUTS * writers.sqrt() * met, GETS_PER_WRITER * writers * met)
}

/// How long a call takes when so many a second come by chance to one shard: a queue whose calls all take the same time.
fn seconds_in_turn(calls: f64, call_seconds: f64) -> f64 {
    let busy = (calls / RACING_COMMITS_PER_SHARD_MAX).min(BUSY_MAX);
    call_seconds + busy / (1.0 - busy) / (2.0 * RACING_COMMITS_PER_SHARD_MAX)
}

/// Sandboxes that so many calls a second need, with those that come at the same moment by chance.
fn sandboxes(calls: f64, call_seconds: f64) -> f64 {
    let at_once = calls * call_seconds;
    (at_once + 2.0 * at_once.sqrt()).ceil()
}

/// Calls a second of one consumer of all topics: one for each partition, each time that it asks.
fn polls(load: &Load, functions: &Functions) -> f64 {
    let topics = load.topics.iter().filter(|topic| topic.records_per_second > 0.0);
    let of = |topic: &Topic| {
        let bytes = topic.bytes_per_second() / topic.partitions;
        topic.partitions * (1.0 / functions.poll_seconds).max(bytes / READER_ANSWER_BYTES)
    };
    topics.map(of).sum()
}

fn of_functions(load: &Load, functions: &Functions, usage: &mut Usage) {
    let calls = load.requests_per_second();
    let consuming = if load.records_per_second() > 0.0 { load.consumers } else { 0.0 };
    let polls = consuming * polls(load, functions);
    let offsets = consuming / OFFSET_COMMIT_SECONDS.max(functions.poll_seconds);
    usage.entries = calls + offsets;
    let of_shard = usage.entries / load.shards;
    let call_seconds = seconds_in_turn(of_shard, functions.call_seconds);
    // Whoever comes meets those that have not ended yet.
    let (refused, gets) = race(1.0 + of_shard * call_seconds);
    usage.puts = usage.entries * (1.0 + refused);
    usage.gets = usage.entries * gets + polls + sandboxes(polls, functions.call_seconds) * usage.entries;
    usage.function_requests = usage.entries + polls;
    let seconds = usage.entries * call_seconds + polls * functions.call_seconds;
    usage.function_gibibyte_seconds = seconds * functions.memory_gibibytes;
    if load.compaction {
        let runs = 1.0 / functions.compactor_interval;
        let busy = runs * COMPACTOR_START_SECONDS + load.bytes_per_second() / COMPACTOR_BYTES_PER_SECOND;
        usage.function_requests += runs;
        usage.function_gibibyte_seconds += busy * functions.compactor_gibibytes;
        usage.schedules = runs;
        // A run opens the log: checkpoint, head, the end, and half of the entries since the checkpoint.
        usage.gets += runs * (3.0 + (usage.entries * functions.compactor_interval).min(ENTRIES_PER_CHECKPOINT) / 2.0);
    }
}

fn checkpoints(load: &Load, entries: f64) -> f64 {
    (entries / ENTRIES_PER_CHECKPOINT).max(load.bytes_per_second() / ENTRY_BYTES_PER_CHECKPOINT)
}

/// Jobs a second of a partition with so many bytes a second.
fn merges(load: &Load, bytes: f64) -> f64 {
    if bytes <= 0.0 {
        return 0.0;
    }
    let by_age = if bytes * load.merge_age < TINY_MERGE_BYTES { TINY_MERGE_AGES } else { 1.0 } * load.merge_age;
    (1.0 / by_age).max(bytes / load.merge_bytes)
}

fn compact(load: &Load, usage: &mut Usage) {
    let total = load.records_per_second();
    let entries_per_shard = usage.entries / load.shards;
    let (mut puts, mut gets, mut deletes, mut jobs_of_all) = (0.0, 0.0, 0.0, 0.0);
    for topic in load.topics.iter().filter(|topic| topic.records_per_second > 0.0) {
        let bytes = topic.bytes_per_second() / topic.partitions;
        let requests = load.requests_per_second() * topic.records_per_second / total / topic.partitions;
        // A flush that has something of the partition is one run, and one GET.
        let runs = flushes(requests, 1.0 / entries_per_shard.max(1e-9)).min(requests);
        let jobs = merges(load, bytes);
        let file = bytes / jobs;
        // Small files are put together until they are none any more.
        let levels = (SMALL_FILE_BYTES / file).max(1.0).log(SMALL_FILES_MERGED).ceil();
        let more_jobs: f64 = (1..=levels as i32).map(|level| jobs / SMALL_FILES_MERGED.powi(level)).sum();
        let written = bytes * (1.0 + levels);
        let parts = written / PART_BYTES;
        // An object in one part is one PUT, in more parts two more; then the entry.
        let large = if file > PART_BYTES { 2.0 } else { 0.0 };
        let all = jobs + more_jobs;
        jobs_of_all += all * topic.partitions;
        puts += topic.partitions * (parts.max(all) + large * all + all);
        gets += topic.partitions * (runs + more_jobs * SMALL_FILES_MERGED * 2.0 + parts.max(all) * 2.0);
        deletes += topic.partitions * more_jobs * SMALL_FILES_MERGED;
    }
    usage.compaction_puts = puts;
    usage.compaction_gets = gets;
    usage.entries += jobs_of_all;
    usage.puts += puts;
    usage.gets += gets;
    usage.deletes += deletes + usage.entries;
    usage.lists += load.shards * 4.0 / COLLECTION_SECONDS + usage.entries / KEYS_PER_LIST;
}

fn keep(load: &Load, usage: &mut Usage) {
    let bytes = load.bytes_per_second();
    let retained = bytes * load.retention;
    // Merged, it lies there twice for a day: as a file, and in the entries that it came in.
    let twice =
        if load.compaction { bytes * ENTRY_GRACE_SECONDS.min(load.retention.max(ENTRY_GRACE_SECONDS)) } else { 0.0 };
    usage.stored_bytes = retained + twice;
}

/// What about the load does not fit, in words.
pub(super) fn doubts(load: &Load) -> Vec<String> {
    let mut doubts = Vec::new();
    if let Parts::Functions(_) = &load.parts {
        let calls = load.requests_per_second() / load.shards;
        if calls > RACING_COMMITS_PER_SHARD_MAX * 0.8 {
            doubts.push(format!(
                "{calls:.0} calls a second on each shard are more than functions commit one after the other ({RACING_COMMITS_PER_SHARD_MAX}): \
                 send more records in a call, or take more shards"
            ));
        }
    }
    let bytes = load.bytes_per_second() / load.shards;
    if bytes > 100e6 {
        doubts.push(format!("{:.0} MB/s on each shard were never measured: take more shards", bytes / 1e6));
    }
    if !load.compaction {
        doubts.push("without compaction nothing is ever deleted: storage is what the retention would keep".to_owned());
    }
    doubts
}
