//! What the HTTP door looks at: a node in whatever phase of its life.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use alluvium_compactor::{Compactor, CompactorCounters};
use alluvium_infra::Runtime;
use alluvium_infra::store::{Metered, StorePrices};

use crate::Server;
use crate::context::Node;

/// What is known of a node before it serves.
#[derive(Debug)]
pub struct ObservedParts {
    /// The store, as everybody on this node uses it.
    pub store: Arc<Metered>,
    /// What its requests cost.
    pub prices: StorePrices,
    /// When the store has been silent for longer, it is asked before the node is called ready. An idle node asks little.
    pub store_silence_max: Duration,
    /// The most series of group lag in one scrape.
    pub group_series_max: usize,
    /// The most topics in one scrape.
    pub topic_series_max: usize,
    /// The version of the program.
    pub version: &'static str,
    /// Clock and tasks.
    pub runtime: Runtime,
}

/// A node as the HTTP door sees it. Cloning shares it.
#[derive(Clone)]
pub struct Observed {
    inner: Arc<Inner>,
}

struct Inner {
    parts: ObservedParts,
    started_ms: i64,
    node: OnceLock<Arc<Node>>,
    compactor: OnceLock<Compactor>,
    /// Those of a node that has no compactor.
    no_compaction: CompactorCounters,
    draining: AtomicBool,
}

impl std::fmt::Debug for Observed {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Observed").finish_non_exhaustive()
    }
}

impl Observed {
    /// A node that is starting.
    pub fn new(parts: ObservedParts) -> Observed {
        let started_ms = parts.runtime.now_ms();
        Observed {
            inner: Arc::new(Inner {
                parts,
                started_ms,
                node: OnceLock::new(),
                compactor: OnceLock::new(),
                no_compaction: CompactorCounters::default(),
                draining: AtomicBool::new(false),
            }),
        }
    }

    /// From now on the node serves through `server`.
    pub fn serving(&self, server: &Server) {
        // A node serves once; a second call changes nothing.
        let _kept = self.inner.node.set(server.node.clone());
    }

    /// From now on the node compacts.
    pub fn compacting(&self, compactor: &Compactor) {
        let _kept = self.inner.compactor.set(compactor.clone());
    }

    /// From now on the node is ending.
    pub fn draining(&self) {
        self.inner.draining.store(true, Ordering::Relaxed);
    }

    pub(super) fn parts(&self) -> &ObservedParts {
        &self.inner.parts
    }

    pub(super) fn started_ms(&self) -> i64 {
        self.inner.started_ms
    }

    /// The node, once it serves.
    pub(super) fn node(&self) -> Option<&Arc<Node>> {
        self.inner.node.get()
    }

    pub(super) fn compactor_counters(&self) -> &CompactorCounters {
        self.inner.compactor.get().map_or(&self.inner.no_compaction, Compactor::counters)
    }

    pub(super) fn is_draining(&self) -> bool {
        self.inner.draining.load(Ordering::Relaxed)
    }
}
