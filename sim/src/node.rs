//! A node: the real log, cluster, ingest, reader and group coordinator on a simulated store and network.
//!
//! Owns the life of a node: start, freeze, crash, start again with nothing but the bucket. Invariant: what a node does for a
//! request happens in tasks of its own runtime, so that freezing and crashing reach it wherever it waits.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use alluvium_cluster::testing::Network;
use alluvium_cluster::{Cluster, JoinError};
use alluvium_compactor::{AllShards, Compactor, CompactorParts, CompactorSettings};
use alluvium_coordinator::Leadership;
use alluvium_infra::Runtime;
use alluvium_infra::store::Store;
use alluvium_ingest::{Ingest, IngestSettings};
use alluvium_log::{Log, LogOptions, OpenLogError};
use alluvium_reader::{Reader, ReaderSettings};
use alluvium_record::ShardId;
use parking_lot::Mutex;

use crate::groups::Groups;
use crate::history::Outage;
use crate::leadership::{Beliefs, LinkedLeadership};
use crate::peers::{cluster_settings, host_name};
use crate::scenario::Scenario;
use crate::store::SimulatedStore;
use crate::transactions::Transactions;
use crate::world::World;

/// Attempts of a node to start; each lasts half a second and more.
const STARTS_MAX: u32 = 200;
/// How many of them have to do with a store that fails.
const STARTS_WITH_FAULTS_MAX: u32 = 12;

/// One node, whether it runs or not.
pub struct Node {
    /// Its number.
    pub id: u32,
    world: Arc<World>,
    /// Gives each start its own tasks and randomness, and keeps the wall clock's jumps.
    base: Runtime,
    network: Network,
    life: Mutex<Life>,
}

#[derive(Default)]
struct Life {
    incarnation: u32,
    /// Crashes so far: whoever starts the node stops when there was another one.
    crashes: u32,
    runtime: Option<Runtime>,
    running: Option<Arc<Running>>,
}

/// A node that has started.
pub struct Running {
    /// The node's number.
    pub node: u32,
    /// How often it had started before.
    pub incarnation: u32,
    /// Its clock and tasks.
    pub runtime: Runtime,
    /// The log.
    pub log: Log,
    /// Produce.
    pub ingest: Ingest,
    /// Fetch.
    pub reader: Reader,
    /// Groups.
    pub groups: Groups,
    /// Transactions.
    pub transactions: Transactions,
    /// Its part in the cluster; none when it stands alone.
    pub cluster: Option<Cluster>,
    /// Its compactor, where the scenario has them.
    pub compactor: Option<Compactor>,
    /// The world around it.
    pub world: Arc<World>,
    in_flight: AtomicU64,
    sampled: Mutex<BTreeMap<ShardId, u64>>,
}

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The log cannot be opened.
    #[error(transparent)]
    Log(#[from] OpenLogError),
    /// The cluster cannot be joined.
    #[error(transparent)]
    Join(#[from] JoinError),
}

impl Node {
    /// A node that has not started.
    #[must_use]
    pub fn new(world: Arc<World>, id: u32, network: Network) -> Arc<Self> {
        let base = world.runtime.fork();
        Arc::new(Self { id, world, base, network, life: Mutex::default() })
    }

    /// What runs now, if anything does.
    pub fn running(&self) -> Option<Arc<Running>> {
        self.life.lock().running.clone()
    }

    /// Starts, and tries again until it works or the node crashes.
    pub async fn start(self: &Arc<Self>) {
        let crashes = self.life.lock().crashes;
        for attempt in 0..STARTS_MAX {
            // Reading a long log without a fault in between is not what is asked of a store that fails every fifth time.
            self.world.spare(self.id, attempt >= STARTS_WITH_FAULTS_MAX);
            let runtime = self.base.fork();
            let incarnation = {
                let mut life = self.life.lock();
                if life.crashes != crashes {
                    // Whoever crashed it starts it again.
                    return;
                }
                life.runtime = Some(runtime.clone());
                life.incarnation += 1;
                life.incarnation
            };
            let network = self.world.scenario.linked.then(|| self.network.clone());
            let opening = Running::open(self.world.clone(), self.id, incarnation, runtime.clone(), network);
            match runtime.spawn("start", opening).await {
                Ok(Ok(running)) => {
                    let numbers: Vec<u64> =
                        running.log.shards().iter().map(|shard| shard.state().entry_number()).collect();
                    self.world.note(format_args!("n{}", self.id), || format!("runs, at entry {numbers:?}"));
                    let running = Arc::new(running);
                    running.sample();
                    self.life.lock().running = Some(running);
                    self.world.spare(self.id, false);
                    return;
                }
                Ok(Err(error)) => {
                    self.world.note(format_args!("n{}", self.id), || format!("does not start: {error}"));
                    self.check_start_error(&error);
                    // The process ends, and whatever it had begun.
                    runtime.crash();
                    self.world.runtime.sleep(Duration::from_millis(500)).await;
                }
                // Crashed while it started; whoever crashed it starts it again.
                Err(_aborted) => return,
            }
        }
        self.world.finding(12, format!("node {} did not start in {STARTS_MAX} attempts", self.id));
    }

    /// Bad luck with the store is no finding; a log that cannot be read is.
    fn check_start_error(&self, error: &StartError) {
        let text = error.to_string();
        let damage = ["missing although", "cannot be", "does not fit", "another history", "does not follow"];
        if damage.iter().any(|words| text.contains(words)) {
            self.world.finding(8, format!("node {} cannot start: {text}", self.id));
        }
    }

    /// Ends all its tasks wherever they are, and starts again after `down`.
    pub async fn crash(self: &Arc<Self>, down: Duration) {
        let from_us = self.world.now_us();
        let runtime = {
            let mut life = self.life.lock();
            life.running = None;
            life.crashes += 1;
            life.runtime.take()
        };
        let Some(runtime) = runtime else { return };
        self.world.note(format_args!("n{}", self.id), || "crashes".to_owned());
        runtime.crash();
        self.world.runtime.sleep(down).await;
        self.start().await;
        self.outage(from_us);
    }

    /// Ends all its tasks for good.
    pub fn stop(&self) {
        let runtime = {
            let mut life = self.life.lock();
            life.running = None;
            life.crashes += 1;
            life.runtime.take()
        };
        if let Some(runtime) = runtime {
            runtime.crash();
        }
    }

    /// Stands still for a while.
    pub async fn freeze(&self, duration: Duration) {
        let from_us = self.world.now_us();
        let Some(runtime) = self.life.lock().runtime.clone() else { return };
        self.world.note(format_args!("n{}", self.id), || format!("freezes for {} ms", duration.as_millis()));
        runtime.freeze();
        self.world.runtime.sleep(duration).await;
        runtime.thaw();
        self.world.note(format_args!("n{}", self.id), || "thaws".to_owned());
        self.outage(from_us);
    }

    /// Moves its wall clock.
    pub fn jump(&self, by_ms: i64) {
        self.world.note(format_args!("n{}", self.id), || format!("clock jumps by {by_ms} ms"));
        self.base.shift_wall_clock(by_ms);
        if let Some(runtime) = &self.life.lock().runtime {
            runtime.shift_wall_clock(by_ms);
        }
    }

    fn outage(&self, from_us: u64) {
        let outage = Outage { node: self.id, from_us, to_us: self.world.now_us() };
        self.world.history(|history| history.outages.push(outage));
    }
}

pub(crate) fn log_options(scenario: &Scenario, node: u32) -> LogOptions {
    let mut options = LogOptions {
        node: format!("node-{node}"),
        probe: false,
        shard_count: scenario.shards,
        tail_bytes_max: scenario.tail_bytes_max,
        ..LogOptions::default()
    };
    options.commit.checkpoint_entries = scenario.checkpoint_entries;
    options.commit.plan.run_bytes_max = 1_000;
    if scenario.retention_ms > 0 {
        options.commit.log_retention = Duration::from_millis(scenario.retention_ms);
        options.commit.look_after = Duration::from_millis(scenario.retention_ms / 5).min(options.commit.look_after);
    }
    options
}

impl Running {
    /// Opens everything that a node is made of.
    ///
    /// # Errors
    /// When the log cannot be opened or the cluster cannot be joined.
    pub async fn open(
        world: Arc<World>,
        node: u32,
        incarnation: u32,
        runtime: Runtime,
        network: Option<Network>,
    ) -> Result<Self, StartError> {
        let store: Arc<dyn Store> = Arc::new(SimulatedStore::new(world.clone(), node, runtime.clone()));
        let log = Log::open(store, log_options(&world.scenario, node), runtime.clone()).await?;
        let ingest = Ingest::start(log.clone(), ingest_settings(&world.scenario), runtime.clone());
        let reader = Reader::new(log.clone(), reader_settings(), runtime.clone());
        let cluster = match network {
            Some(network) => {
                let transport = network.host(&host_name(node));
                Some(Cluster::start(log.clone(), cluster_settings(node), transport, runtime.clone()).await?)
            }
            None => None,
        };
        if let Some(cluster) = &cluster {
            let (failed, world) = (cluster.failed(), world.clone());
            drop(runtime.spawn("failed", async move {
                let reason = failed.await;
                world.finding(12, format!("node {node} gives up: {reason}"));
            }));
        }
        let leadership: Arc<dyn Leadership> = match &cluster {
            Some(cluster) => LinkedLeadership::start(cluster.clone(), world.clone(), &runtime),
            None => Beliefs::start(world.clone(), node, &runtime),
        };
        let groups = Groups::start(log.clone(), leadership.clone(), runtime.clone());
        let transactions = Transactions::start(log.clone(), leadership, runtime.clone());
        let compactor = world.scenario.compacts.then(|| {
            let settings = compactor_settings(&world.scenario);
            Compactor::start(CompactorParts { log: log.clone(), duty: Arc::new(AllShards), settings })
        });
        Ok(Self {
            node,
            incarnation,
            runtime,
            log,
            ingest,
            reader,
            groups,
            transactions,
            cluster,
            compactor,
            world,
            in_flight: AtomicU64::new(0),
            sampled: Mutex::default(),
        })
    }

    /// Remembers the published states that are other ones than the last time.
    pub fn sample(&self) {
        let mut sampled = self.sampled.lock();
        for shard in self.log.shards() {
            let state = shard.state();
            let number = state.entry_number();
            if sampled.insert(shard.id(), number) != Some(number) {
                self.world.sample(self.node, self.incarnation, state);
            }
        }
    }

    /// Counts bytes that were admitted, until the guard is dropped.
    pub fn count_bytes(self: &Arc<Self>, bytes: u64) -> BytesInFlight {
        let now = self.in_flight.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let bound = self.world.scenario.bytes_in_flight_max as u64;
        let node = self.node;
        self.world.history(|history| {
            let peak = history.bytes_in_flight.entry(node).or_insert((0, bound));
            peak.0 = peak.0.max(now);
        });
        BytesInFlight { running: self.clone(), bytes }
    }
}

/// Bytes of a request that is not answered.
pub struct BytesInFlight {
    running: Arc<Running>,
    bytes: u64,
}

impl Drop for BytesInFlight {
    fn drop(&mut self) {
        self.running.in_flight.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

fn ingest_settings(scenario: &Scenario) -> IngestSettings {
    IngestSettings {
        bytes_in_flight_max: scenario.bytes_in_flight_max,
        inline_bytes_max: scenario.inline_bytes_max,
        flush_bytes_max: scenario.inline_bytes_max * 4,
        ..IngestSettings::default()
    }
}

/// Files of a few batches, within seconds. What may still be named is never an orphan here.
pub(crate) fn compactor_settings(scenario: &Scenario) -> CompactorSettings {
    let grace = Duration::from_millis(scenario.retention_ms);
    CompactorSettings {
        pick_interval: Duration::from_millis(500),
        merge_age: Duration::from_secs(2),
        merge_idle_bytes_min: 0,
        merge_idle_age: Duration::from_secs(2),
        file_bytes_max: 20_000,
        small_file_bytes: 10_000,
        small_files_min: 3,
        row_group_rows_max: 16,
        upload_part_bytes: scenario.upload_part_bytes,
        retention_interval: Duration::from_secs(3),
        collect_interval: grace / 4,
        orphan_interval: grace / 2,
        garbage_grace: grace,
        log_retention: grace,
        failure_pause: Duration::from_secs(2),
        ..CompactorSettings::default()
    }
}

/// The block caches evict by a clock of their own, so they are as large as it takes for nothing to be evicted; the tail,
/// which is in front of them, is what forgets.
fn reader_settings() -> ReaderSettings {
    ReaderSettings { replay_distance_bytes: 3_000, ..ReaderSettings::default() }
}
