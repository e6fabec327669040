//! The doors: what Kafka clients talk to.
//!
//! Flow of a request: [`listener`] -> [`connection`] (frames, bounded memory, order) -> [`dispatch`] (header, version,
//! body) -> one file of [`kafka`] per API -> ingest, reader, coordinator and log -> [`errors`], the one map to Kafka's codes.
//!
//! Invariants:
//! 1. What is not served is not advertised, and what is advertised is dispatched (one table, exhaustive matches).
//! 2. No input from the network makes this crate panic or hold memory beyond its limits.
//! 3. What was accepted before a shutdown is answered before the drain ends, or the drain runs out of time.

mod answer_errors;
mod config;
mod connection;
mod context;
mod dispatch;
mod door_counters;
mod errors;
mod fetch_memory;
mod fetch_session;
pub mod http;
mod kafka;
mod leadership;
mod listener;
mod nodes;
pub mod rest;
mod settings;
mod topics;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use alluvium_cluster::Cluster;
use alluvium_coordinator::consumer_group::{ConsumerGroupSettings, MigrationPolicy};
use alluvium_coordinator::transaction::{TransactionParts, TransactionSettings, Transactions};
use alluvium_coordinator::{CoordinatorParts, Coordinators, GroupSettings};
use alluvium_infra::Runtime;
use alluvium_infra::shutdown::{DrainTimedOut, Shutdown};
use alluvium_ingest::Ingest;
use alluvium_log::Log;
use alluvium_log::format::node::NodeListener;
use alluvium_reader::Reader;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

pub use settings::{GroupMigration, InvalidSetting, ListenerSettings, ServerSettings};

use context::Node;
use door_counters::DoorCounters;
use fetch_memory::FetchMemory;
use fetch_session::FetchSessions;
use leadership::leadership;
use listener::{BoundListener, ListenerParts};
use nodes::Nodes;
use rest::{Rest, RestCounters, RestSettings};

/// What the front door stands on.
pub struct ServerParts {
    /// The log of the cluster.
    pub log: Log,
    /// This node's part in the cluster; nothing for a process that stands alone.
    pub cluster: Option<Cluster>,
    /// Where produced batches go.
    pub ingest: Ingest,
    /// Where fetched batches come from.
    pub reader: Reader,
    /// The addresses that clients connect to.
    pub listeners: Listeners,
    /// Settings of the door.
    pub settings: ServerSettings,
    /// Clock, randomness and tasks.
    pub runtime: Runtime,
    /// Triggered from outside to stop; the server has a child of its own that it drains.
    pub shutdown: Shutdown,
}

/// Why the front door could not be opened.
#[derive(Debug, Error)]
pub enum StartServerError {
    /// A setting cannot be served.
    #[error(transparent)]
    Setting(#[from] InvalidSetting),
    /// An address cannot be listened on.
    #[error("cannot listen on {bind}: {error}")]
    Bind {
        /// The address as given.
        bind: String,
        /// What the system said.
        error: std::io::Error,
    },
}

/// A running front door.
pub struct Server {
    node: Arc<Node>,
    local_addrs: Vec<SocketAddr>,
    shutdown: Shutdown,
    groups: Coordinators,
    transactions: Transactions,
    runtime: Runtime,
    drain_max: Duration,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Server").field("local_addrs", &self.local_addrs).finish_non_exhaustive()
    }
}

/// Addresses that are taken and not served yet: a node announces them before it serves.
#[derive(Debug)]
pub struct Listeners(Vec<BoundListener>);

impl Listeners {
    /// Takes the addresses of the settings.
    ///
    /// # Errors
    /// When a setting cannot be used or an address cannot be listened on.
    pub async fn bind(settings: &ServerSettings) -> Result<Self, StartServerError> {
        settings.validate()?;
        let mut listeners = Vec::with_capacity(settings.listeners.len());
        for listener in &settings.listeners {
            let refuse = |error| StartServerError::Bind { bind: listener.bind.clone(), error };
            let socket = TcpListener::bind(&listener.bind).await.map_err(refuse)?;
            let address = socket.local_addr().map_err(refuse)?;
            listeners.push(BoundListener { socket, address, settings: listener.clone() });
        }
        Ok(Self(listeners))
    }

    /// The addresses that other nodes tell their clients.
    #[must_use]
    pub fn announced(&self) -> Vec<NodeListener> {
        self.0.iter().map(BoundListener::announced).collect()
    }
}

impl Server {
    /// Begins to coordinate consumer groups and transactions and serves from then on.
    pub async fn start(parts: ServerParts) -> Result<Server, StartServerError> {
        let ServerParts { log, cluster, ingest, reader, listeners: Listeners(listeners), settings, runtime, shutdown } =
            parts;
        settings.validate()?;
        let local_addrs = listeners.iter().map(|listener| listener.address).collect();
        let announced = listeners.iter().map(BoundListener::announced).collect();
        let leadership = leadership(cluster.as_ref(), &settings, &runtime);
        let nodes = Nodes::new(cluster, &settings, announced);
        let shutdown = shutdown.child();
        let draining = CancellationToken::new();
        let groups = Coordinators::start(CoordinatorParts {
            log: log.clone(),
            leadership: leadership.clone(),
            settings: group_settings(&settings),
            consumer_settings: consumer_group_settings(&settings),
            offsets_retention: Duration::from_millis(settings.offsets_retention_ms),
            runtime: runtime.clone(),
        });
        let transactions = Transactions::start(TransactionParts {
            log: log.clone(),
            leadership,
            settings: transaction_settings(&settings),
            runtime: runtime.clone(),
        });
        let node = Arc::new(Node {
            log,
            nodes,
            ingest,
            reader,
            groups: groups.clone(),
            transactions: transactions.clone(),
            fetch_sessions: FetchSessions::new(settings.fetch_sessions_max, runtime.clone()),
            fetch_memory: FetchMemory::default(),
            counters: DoorCounters::default(),
            rest_counters: RestCounters::default(),
            settings: settings.clone(),
            runtime: runtime.clone(),
        });
        let parts = ListenerParts {
            connections: Arc::new(Semaphore::new(settings.connections_max.min(Semaphore::MAX_PERMITS))),
            request_memory: Arc::new(Semaphore::new(settings.request_memory_bytes_max.min(Semaphore::MAX_PERMITS))),
            shutdown: shutdown.clone(),
            draining: draining.clone(),
            node: node.clone(),
        };
        for listener in listeners {
            shutdown.spawn_essential(&runtime, "listener", listener::accept(listener, parts.clone()));
        }
        let stopping = shutdown.clone();
        runtime.spawn("server shutdown", async move {
            stopping.triggered().await;
            draining.cancel();
        });
        let drain_max = Duration::from_millis(settings.drain_ms_max);
        Ok(Server { node, local_addrs, shutdown, groups, transactions, runtime, drain_max })
    }

    /// The HTTP API of this node. Its requests end with the server's shutdown.
    pub fn rest(&self, settings: RestSettings) -> Rest {
        Rest::of(self.node.clone(), settings, self.shutdown.clone())
    }

    /// The addresses listened on, in the order of the settings.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.local_addrs
    }

    /// The first address listened on.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addrs[0]
    }

    /// Stops accepting and reading, answers what was accepted, and closes all connections. Ingest and the log must
    /// still be running; drain and close them afterwards.
    pub async fn drain(&self) -> Result<(), DrainTimedOut> {
        self.shutdown.trigger();
        self.groups.resign();
        self.transactions.resign();
        self.shutdown.drain(&self.runtime, self.drain_max).await
    }
}

fn consumer_group_settings(settings: &ServerSettings) -> ConsumerGroupSettings {
    ConsumerGroupSettings {
        session_timeout_ms: settings.group_consumer_session_timeout_ms,
        heartbeat_interval_ms: settings.group_consumer_heartbeat_interval_ms,
        members_max: settings.group_members_max,
        migration: match settings.group_consumer_migration {
            GroupMigration::Disabled => MigrationPolicy::Disabled,
            GroupMigration::Upgrade => MigrationPolicy::Upgrade,
            GroupMigration::Downgrade => MigrationPolicy::Downgrade,
            GroupMigration::Bidirectional => MigrationPolicy::Bidirectional,
        },
        ..ConsumerGroupSettings::default()
    }
}

fn transaction_settings(settings: &ServerSettings) -> TransactionSettings {
    TransactionSettings {
        timeout_max: Duration::from_millis(settings.transaction_timeout_ms_max),
        id_expiration: Duration::from_millis(settings.transactional_id_expiration_ms),
    }
}

fn group_settings(settings: &ServerSettings) -> GroupSettings {
    GroupSettings {
        session_timeout_ms_min: settings.group_session_timeout_ms_min,
        session_timeout_ms_max: settings.group_session_timeout_ms_max,
        initial_rebalance_delay_ms: settings.group_initial_rebalance_delay_ms,
        members_max: settings.group_members_max,
        ..GroupSettings::default()
    }
}
