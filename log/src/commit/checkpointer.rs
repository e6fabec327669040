//! When a checkpoint is due, and writing it beside the commit loop.
//!
//! Invariants: 5, a checkpoint's bytes depend on nothing but its entry number, so writing it twice is harmless; the head
//! hint names only a checkpoint that was written.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use alluvium_infra::Runtime;
use alluvium_infra::runtime::JoinHandle;
use alluvium_infra::store::{Payload, Store};
use bytes::Bytes;

use crate::format::checkpoint;
use crate::format::cluster::HeadHint;
use crate::paths::ShardPaths;
use crate::state::State;

/// Entries are worth a checkpoint once there is one for each so many bytes of it: large states are written rarely.
const CHECKPOINT_BYTES_PER_ENTRY: u64 = 16 * 1024;

/// A node that only follows waits so many times as long before it writes a checkpoint.
const FOLLOWER_PATIENCE: u64 = 2;

/// At closing, so many entries are worth a checkpoint: two PUTs now instead of as many GETs at the next start.
const CLOSING_ENTRIES_MIN: u64 = 16;

#[derive(Debug)]
pub(crate) struct Checkpointer {
    store: Arc<dyn Store>,
    paths: ShardPaths,
    runtime: Runtime,
    entries_min: u64,
    entry_bytes_max: u64,
    entries_since: u64,
    bytes_since: u64,
    written: Arc<Written>,
    writing: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Written {
    busy: AtomicBool,
    number: AtomicU64,
    bytes: AtomicU64,
}

impl Checkpointer {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        paths: ShardPaths,
        runtime: Runtime,
        rules: &super::CommitRules,
        recovered: &crate::recover::Recovered,
    ) -> Self {
        let written = Written::default();
        written.number.store(recovered.checkpoint, Ordering::Relaxed);
        written.bytes.store(recovered.checkpoint_bytes, Ordering::Relaxed);
        Self {
            store,
            paths,
            runtime,
            entries_min: rules.checkpoint_entries,
            entry_bytes_max: rules.checkpoint_entry_bytes,
            entries_since: recovered.state.entry_number() - recovered.checkpoint,
            bytes_since: recovered.replayed_bytes,
            written: Arc::new(written),
            writing: None,
        }
    }

    /// Counts entries that were applied and writes a checkpoint beside the loop when one is due.
    pub(crate) fn applied(&mut self, entries: u64, bytes: u64, state: &Arc<State>) {
        self.entries_since += entries;
        self.bytes_since += bytes;
        let last_bytes = self.written.bytes.load(Ordering::Relaxed);
        let due = self.entries_since >= self.entries_min.max(last_bytes / CHECKPOINT_BYTES_PER_ENTRY)
            || self.bytes_since >= self.entry_bytes_max.max(last_bytes.saturating_mul(4));
        if !due || self.written.busy.swap(true, Ordering::AcqRel) {
            return;
        }
        self.entries_since = 0;
        self.bytes_since = 0;
        let writing = write(self.store.clone(), self.paths.clone(), state.clone(), self.written.clone());
        self.writing = Some(self.runtime.spawn("checkpoint", writing));
    }

    /// Counts entries of other nodes. Whoever commits writes the checkpoints; this node does when nobody seems to.
    pub(crate) fn followed(&mut self, entries: u64, bytes: u64, state: &Arc<State>) {
        self.entries_since += entries;
        self.bytes_since += bytes;
        let last_bytes = self.written.bytes.load(Ordering::Relaxed);
        let due = self.entries_since
            >= FOLLOWER_PATIENCE * self.entries_min.max(last_bytes / CHECKPOINT_BYTES_PER_ENTRY)
            || self.bytes_since >= FOLLOWER_PATIENCE * self.entry_bytes_max.max(last_bytes.saturating_mul(4));
        if !due || self.written.busy.swap(true, Ordering::AcqRel) {
            return;
        }
        self.entries_since = 0;
        self.bytes_since = 0;
        let since = state.entry_number().saturating_sub(self.entries_min);
        let (store, paths, state, written) =
            (self.store.clone(), self.paths.clone(), state.clone(), self.written.clone());
        self.writing = Some(self.runtime.spawn("checkpoint", async move {
            let hint = store.get(&paths.head()).await.ok();
            let hint = hint.and_then(|bytes| serde_json::from_slice::<HeadHint>(&bytes).ok());
            if hint.is_some_and(|hint| hint.checkpoint >= since) {
                written.busy.store(false, Ordering::Release);
                return;
            }
            write(store, paths, state, written).await;
        }));
    }

    /// Writes a checkpoint for a quick next start, if enough has happened to be worth it.
    pub(crate) async fn close(&mut self, state: &Arc<State>) {
        if let Some(writing) = self.writing.take() {
            // It says itself when it fails.
            let _ended = writing.await;
        }
        if self.entries_since >= CLOSING_ENTRIES_MIN.min(self.entries_min)
            && !self.written.busy.swap(true, Ordering::AcqRel)
        {
            write(self.store.clone(), self.paths.clone(), state.clone(), self.written.clone()).await;
        }
    }
}

async fn write(store: Arc<dyn Store>, paths: ShardPaths, state: Arc<State>, written: Arc<Written>) {
    let number = state.entry_number();
    let payload = checkpoint::encode(&state);
    let bytes = payload.len() as u64;
    match store.put(&paths.checkpoint(number), payload).await {
        Ok(()) => {
            written.number.store(number, Ordering::Relaxed);
            written.bytes.store(bytes, Ordering::Relaxed);
            let hint = HeadHint { entry: number, checkpoint: number };
            let json = serde_json::to_vec(&hint).unwrap_or_default();
            if let Err(error) = store.put(&paths.head(), Payload::from(Bytes::from(json))).await {
                tracing::info!(%error, "head hint was not written: the next start lists checkpoints instead");
            }
            tracing::debug!(number, bytes, "checkpoint written");
        }
        Err(error) => tracing::warn!(number, %error, "checkpoint was not written: trying again later"),
    }
    written.busy.store(false, Ordering::Release);
}
