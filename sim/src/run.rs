//! One run: build the world, let clients and faults loose, heal, drain, read everything back, check.
//!
//! Invariant: the report depends on nothing but the options.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::{Arc, Once};
use std::time::Duration;

use alluvium_infra::Runtime;
use alluvium_infra::store::Store;
use alluvium_log::{CatchUpError, State, TransactionRecord};
use alluvium_record::{TopicId, TopicPartition};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::checkers::{self, Violation};
use crate::cluster::Cluster;
use crate::collector;
use crate::faults::{Faults, NodeFault, Planned};
use crate::history::{FinalPartition, Operation, Outcome, Seen};
use crate::node::{Node, Running};
use crate::peers::{self, host_name};
use crate::scenario::Scenario;
use crate::serve::serve;
use crate::world::{Injected, World};
use crate::{sweep, workload};

/// How long clients may take to end after all faults have ended.
const DRAIN: Duration = Duration::from_secs(5 * 60);

/// How long transactions may last after all faults have ended and their timeouts have passed.
const TRANSACTIONS_MAX: Duration = Duration::from_secs(120);

/// What is run.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// The seed.
    pub seed: u64,
    /// The scenario.
    pub scenario: &'static Scenario,
    /// Only these faults of the seed; all of them when `None`.
    pub only: Option<BTreeSet<u64>>,
    /// Whether the trace is written.
    pub tracing: bool,
}

/// What came of it.
#[derive(Debug)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// Every violation that was found, the gravest first.
    pub violations: Vec<Violation>,
    /// The trace, if it was to be written.
    pub trace: String,
    /// Faults that were injected, in their order.
    pub injected: Vec<Injected>,
    /// Operations of clients.
    pub calls: usize,
    /// Entries of the log.
    pub entries: usize,
    /// Time that passed in the run.
    pub simulated: Duration,
}

thread_local! {
    static PANICS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// A panic of the code under test is a finding, not the end of the simulation.
fn catch_panics() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if tokio::runtime::Handle::try_current().is_ok() {
                PANICS.with_borrow_mut(|panics| panics.push(panic.to_string()));
            } else {
                usual(panic);
            }
        }));
    });
    PANICS.with_borrow_mut(Vec::clear);
}

/// Runs one seed.
#[must_use]
pub fn run(options: &RunOptions) -> Report {
    catch_panics();
    let scenario = options.scenario.for_seed(options.seed);
    let faults = Faults::new(options.seed, &scenario, options.only.clone());
    let (seed, tracing) = (options.seed, options.tracing);
    let mut report = Runtime::simulate(seed, async move |runtime| {
        let world = World::new(runtime, seed, scenario, faults, tracing);
        play(&world).await;
        let simulated = Duration::from_micros(world.now_us());
        let (history, trace, injected, replayed) = world.finish();
        let violations = checkers::check(&history, &replayed, &world.paths);
        Report {
            seed,
            violations,
            trace,
            injected,
            calls: history.calls.len(),
            entries: history.slots.len(),
            simulated,
        }
    });
    for panic in PANICS.with_borrow_mut(std::mem::take) {
        report.violations.insert(0, Violation { invariant: 0, what: format!("panic: {panic}") });
    }
    report
}

async fn play(world: &Arc<World>) {
    let scenario = &world.scenario;
    let network = peers::network(world);
    let nodes: Vec<Arc<Node>> = (0..scenario.nodes).map(|id| Node::new(world.clone(), id, network.clone())).collect();
    for node in &nodes {
        node.start().await;
    }
    let made = make_topics(world);
    let topics: Vec<(TopicId, i32)> = made.iter().map(|(topic, partitions, _)| (*topic, *partitions)).collect();
    let cluster = Arc::new(Cluster { world: world.clone(), nodes, network, topics: Mutex::new(topics.clone()) });
    for (index, (topic, partitions, settings)) in made.into_iter().enumerate() {
        let create = Operation::CreateTopic { topic, name: format!("t{index}"), partitions, settings };
        cluster.call(0, 0, create, Duration::from_secs(30)).await;
    }
    if scenario.retention_ms > 0 && !scenario.compacts {
        let grace = Duration::from_millis(scenario.retention_ms);
        drop(world.runtime.spawn("collector", collector::collect(world.clone(), grace)));
    }
    world.begin();
    let misfortunes = world.runtime.spawn("misfortunes", strike(cluster.clone(), world.planned()));
    drop(world.runtime.spawn("sudden misfortunes", strike_at_once(cluster.clone(), world.strikes())));
    let clients = workload::start(&cluster);
    let busy = async {
        for client in clients {
            // A client that panicked has been heard of already.
            let _ended = client.await;
        }
    };
    tokio::pin!(busy);
    let patience = Duration::from_millis(scenario.duration_ms);
    let mut ended = world.runtime.timeout(patience, &mut busy).await.is_ok();
    // Faults of nodes end before the world heals.
    let _struck = misfortunes.await;
    world.heal();
    cluster.network.heal_all();
    if !ended {
        ended = world.runtime.timeout(DRAIN, &mut busy).await.is_ok();
    }
    if !ended {
        world.finding(12, format!("clients do not come to an end within {} s after all faults", DRAIN.as_secs()));
    }
    // What is still on its way arrives.
    world.runtime.sleep(Duration::from_secs(30)).await;
    set_clocks_right(&cluster);
    await_transactions(&cluster).await;
    settle(&cluster).await;
}

/// Ids whose transactions are open or not finished, by the word of the log.
fn transactions_under_way(world: &World) -> Vec<Arc<TransactionRecord>> {
    let states = world.shards().into_iter().filter_map(|shard| world.durable_state(shard));
    let under_way = |state: State| {
        let all = state.unfinished_transactions().chain(state.overdue_transactions(i64::MAX));
        all.cloned().collect::<Vec<_>>()
    };
    states.flat_map(under_way).collect()
}

/// Who began a transaction by a clock that was ahead has it last until all clocks are there. That would be hours.
fn set_clocks_right(cluster: &Cluster) {
    let deadlines = transactions_under_way(&cluster.world).into_iter().map(|record| record.deadline_ms());
    let Some(latest_ms) = deadlines.max() else { return };
    for node in &cluster.nodes {
        let behind_ms = node.running().map_or(0, |running| latest_ms - running.runtime.now_ms());
        if behind_ms > 0 {
            node.jump(behind_ms);
        }
    }
}

/// Transactions that nobody ends any more come to their end by themselves.
async fn await_transactions(cluster: &Arc<Cluster>) {
    let world = &cluster.world;
    let begun = world.runtime.monotonic();
    loop {
        let under_way = transactions_under_way(world);
        if under_way.is_empty() {
            return;
        }
        if world.runtime.monotonic() - begun > TRANSACTIONS_MAX {
            for record in under_way {
                let (id, number, status) = (&record.transactional_id, record.number, record.status);
                world.finding(9, format!("transaction {number} of {id} hangs, it is {status:?}"));
            }
            return;
        }
        if !world.scenario.linked {
            // Nodes that nobody tells anything look now and then, as those do that somebody fetches from.
            for running in cluster.nodes.iter().filter_map(|node| node.running()) {
                let looking = world.runtime.timeout(Duration::from_secs(10), catch_up_with_all(&running));
                drop(looking.await);
            }
        }
        world.runtime.sleep(Duration::from_secs(5)).await;
    }
}

/// Bytes that a topic keeps where there is compaction.
const RETENTION_BYTES: u64 = 8_000;

type Made = (TopicId, i32, Vec<(String, String)>);

fn make_topics(world: &World) -> Vec<Made> {
    let id = || TopicId(world.runtime.random_uuid());
    let mut topics = vec![(id(), 2, Vec::new()), (id(), 1, Vec::new())];
    if world.scenario.compacts {
        let settings = |settings: &[(&str, String)]| {
            settings.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
        };
        let (limited, compacted) = (id(), id());
        topics.push((limited, 1, settings(&[("retention.bytes", RETENTION_BYTES.to_string())])));
        topics.push((
            compacted,
            2,
            settings(&[
                ("cleanup.policy", "compact".to_owned()),
                ("min.cleanable.dirty.ratio", "0.1".to_owned()),
                ("delete.retention.ms", checkers::DELETE_RETENTION_MS.to_string()),
            ]),
        ));
        world.history(|history| {
            history.retention_bytes.insert(limited, RETENTION_BYTES);
            history.compacted.insert(compacted);
        });
    }
    topics
}

/// Lets node faults happen at their times. Returns when the last of them is over.
async fn strike(cluster: Arc<Cluster>, planned: Vec<Planned>) {
    let runtime = cluster.world.runtime.clone();
    let befall = |planned| runtime.spawn("misfortune", befall(cluster.clone(), planned));
    let striking: Vec<_> = planned.into_iter().map(befall).collect();
    for striking in striking {
        let _struck = striking.await;
    }
}

/// Lets node faults happen as they come up, until the world heals.
async fn strike_at_once(cluster: Arc<Cluster>, mut strikes: mpsc::UnboundedReceiver<Planned>) {
    while let Some(planned) = strikes.recv().await {
        drop(cluster.world.runtime.spawn("misfortune", befall(cluster.clone(), planned)));
    }
}

/// Lets a fault happen to a node when its time has passed, and waits until it is over.
async fn befall(cluster: Arc<Cluster>, Planned { key, at_ms, node, fault }: Planned) {
    let world = &cluster.world;
    world.runtime.sleep(Duration::from_millis(at_ms)).await;
    world.injected(key, || format!("node {node}: {fault:?}"));
    let at = &cluster.nodes[node as usize];
    match fault {
        NodeFault::Crash { down_ms } => at.crash(Duration::from_millis(down_ms)).await,
        NodeFault::Freeze { for_ms } => at.freeze(Duration::from_millis(for_ms)).await,
        NodeFault::ClockJump { by_ms } => at.jump(by_ms),
        NodeFault::LinkCut { other, one_way, for_ms } => {
            world.note(format_args!("world"), || {
                let arrow = if one_way { "->" } else { "and" };
                format!("node {other} {arrow} node {node}: cut for {for_ms} ms")
            });
            let both = (host_name(other), host_name(node));
            cluster.network.cut_direction(&both.0, &both.1);
            if !one_way {
                cluster.network.cut_direction(&both.1, &both.0);
            }
            world.runtime.sleep(Duration::from_millis(for_ms)).await;
            cluster.network.heal(&both.0, &both.1);
        }
        NodeFault::StoreCut { for_ms } => {
            world.note(format_args!("world"), || format!("node {node} is cut off the store for {for_ms} ms"));
            world.cut_off_store(node, Duration::from_millis(for_ms));
            world.runtime.sleep(Duration::from_millis(for_ms)).await;
        }
        NodeFault::CutOff { clients, for_ms } => {
            world.note(format_args!("world"), || format!("clients {clients} are cut off node {node} for {for_ms} ms"));
            world.cut_off(clients, node, Duration::from_millis(for_ms));
            world.runtime.sleep(Duration::from_millis(for_ms)).await;
        }
    }
}

/// Every node reads the log to its end; a fresh one reads all records.
async fn settle(cluster: &Arc<Cluster>) {
    let world = &cluster.world;
    for node in &cluster.nodes {
        let Some(running) = node.running() else {
            world.finding(12, format!("node {} does not run although all faults have ended", node.id));
            continue;
        };
        let catching_up = catch_up_with_all(&running);
        match world.runtime.timeout(Duration::from_secs(60), catching_up).await {
            Ok(Ok(())) => running.sample(),
            Ok(Err(error)) => world.finding(5, format!("node {} cannot read the log: {error}", node.id)),
            Err(_elapsed) => world.finding(12, format!("node {} does not catch up", node.id)),
        }
    }
    let fresh = cluster.nodes.len() as u32;
    read_as_fresh(world, fresh).await;
    if world.scenario.compacts {
        sweep::sweep(cluster).await;
        read_as_fresh(world, fresh).await;
    }
    if let Ok(page) = world.bucket.list("", None, usize::MAX).await {
        for object in page.objects {
            if let Ok(bytes) = world.bucket.get(&object.path).await {
                world.history(|history| history.objects.insert(object.path.to_string(), bytes));
            }
        }
    }
}

/// A node that knows nothing reads everything, and goes.
async fn read_as_fresh(world: &Arc<World>, node: u32) {
    let runtime = world.runtime.fork();
    match Running::open(world.clone(), node, 1, runtime.clone(), None).await {
        Ok(running) => read_everything(world, Arc::new(running)).await,
        Err(error) => world.finding(5, format!("a fresh node cannot start: {error}")),
    }
    if world.scenario.compacts {
        runtime.crash();
    }
}

/// Reads all shards to their end, those too that were added a moment ago.
async fn catch_up_with_all(running: &Running) -> Result<(), CatchUpError> {
    loop {
        let view = running.log.catch_up().await?;
        if running.log.shards().len() >= view.shard_count() as usize {
            return Ok(());
        }
        running.runtime.sleep(Duration::from_millis(100)).await;
    }
}

async fn read_everything(world: &Arc<World>, running: Arc<Running>) {
    let view = running.log.view();
    running.sample();
    world.history(|history| {
        history.final_states = view.states().map(|state| (state.shard(), state.clone())).collect();
    });
    let mut settled = true;
    for (topic_partition, partition) in view.partitions() {
        let mut read = FinalPartition {
            at_us: world.now_us(),
            log_start: partition.log_start_offset(),
            high_watermark: partition.high_watermark(),
            last_stable: partition.last_stable_offset(),
            ..FinalPartition::default()
        };
        let all = read_up_to(&running, topic_partition, (read.log_start, read.high_watermark), false).await;
        let committed = read_up_to(&running, topic_partition, (read.log_start, read.last_stable), true).await;
        settled &= all.is_some() && committed.is_some();
        read.records = all.unwrap_or_default();
        read.committed = committed.unwrap_or_default().into_iter().map(|seen| seen.offset).collect();
        world.history(|history| history.contents.insert(topic_partition, read));
    }
    world.history(|history| history.settled = settled);
}

/// Reads a partition: everything, or what a consumer of committed records is given.
async fn read_up_to(
    running: &Arc<Running>,
    topic_partition: TopicPartition,
    (mut offset, end): (i64, i64),
    committed: bool,
) -> Option<Vec<Seen>> {
    let mut read = Vec::new();
    while offset < end {
        let fetch = Operation::Fetch { topic_partition, offset, bytes_max: 1 << 20, wait_ms: 0, committed };
        match serve(running.clone(), fetch).await {
            Outcome::Fetched { records, hidden, next, .. } if next > offset => {
                offset = next;
                let is_given = |seen: &Seen| !committed || !(seen.is_marker() || hidden.contains(&seen.offset));
                read.extend(records.into_iter().filter(is_given));
            }
            other => {
                let world = &running.world;
                world.finding(1, format!("{topic_partition} cannot be read at {offset} in the end: {other}"));
                return None;
            }
        }
    }
    Some(read)
}
