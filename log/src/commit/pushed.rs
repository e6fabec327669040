//! Entries of other nodes: those that were pushed to us, and when to look for those that were not.
//!
//! Invariants: a pushed entry is applied only when it follows on the state by number and by the hash of the entry before; one
//! that does not is left for the store to tell. A push is no look at the log: it says nothing about what was collected.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use alluvium_infra::planted::{self, Bug};
use tokio::sync::Notify;

use super::task::ShardTask;
use crate::apply::apply;
use crate::format::entry::{self, Entry};
use crate::state::ObjectRef;

/// Entries that came early and are kept.
const EARLY_MAX: usize = 64;

/// Counts who waits for records of a shard.
#[derive(Debug, Clone, Default)]
pub(crate) struct Waiting(Arc<(AtomicUsize, Notify)>);

/// Held by whoever waits for records.
#[derive(Debug)]
pub struct WaitingGuard(Waiting);

impl Waiting {
    pub(crate) fn begin(&self) -> WaitingGuard {
        if self.0.0.fetch_add(1, Ordering::AcqRel) == 0 {
            self.0.1.notify_one();
        }
        WaitingGuard(self.clone())
    }

    pub(crate) fn is_anybody(&self) -> bool {
        self.0.0.load(Ordering::Acquire) > 0
    }

    /// Until somebody waits.
    pub(crate) async fn somebody(&self) {
        while !self.is_anybody() {
            self.0.1.notified().await;
        }
    }
}

impl Drop for WaitingGuard {
    fn drop(&mut self) {
        self.0.0.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Pushed entries that wait for those before them, by number.
#[derive(Debug, Default)]
pub(crate) struct Early(BTreeMap<u64, (Entry, u64)>);

impl ShardTask {
    /// Applies what was pushed, as far as it follows. Whether something is missing in between.
    pub(crate) fn take_pushed(&mut self, pushed: Vec<bytes::Bytes>) -> bool {
        for bytes in pushed {
            match entry::decode(&bytes) {
                Ok(entry) if entry.message.number > self.state.entry_number() => {
                    let length = bytes.len() as u64;
                    self.early.0.insert(entry.message.number, (entry, length));
                }
                // Known already.
                Ok(_) => {}
                Err(error) => tracing::debug!(%error, "a pushed entry cannot be read"),
            }
        }
        let before = self.state.entry_number();
        let mut bytes = 0;
        while let Some((number, _)) = self.early.0.first_key_value()
            && (*number <= self.state.entry_number() + 1 || planted::is(Bug::PushWithoutCheck))
            && let Some((_, (mut entry, length))) = self.early.0.pop_first()
        {
            if planted::is(Bug::PushWithoutCheck) {
                entry.message.number = self.state.entry_number() + 1;
                entry.message.previous_hash = self.state.entry_hash().to_field();
            }
            if entry.message.number <= self.state.entry_number() {
                continue;
            }
            match apply(&self.state, &entry) {
                Ok(next) => {
                    self.state = next;
                    bytes += length;
                    self.turns.saw(&entry.message.node, entry.message.timestamp_ms);
                    if !entry.data.is_empty() {
                        self.tail.insert(ObjectRef::Entry(entry.message.number), vec![entry.data]);
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, shard = self.paths.shard().0, "a pushed entry does not follow: asking the store");
                    self.early.0.clear();
                    return true;
                }
            }
        }
        while self.early.0.len() > EARLY_MAX {
            self.early.0.pop_last();
        }
        let applied = self.state.entry_number() - before;
        if applied > 0 {
            self.counters.entries_pushed.add(applied);
            self.publish();
            self.heard = self.runtime.monotonic();
            self.checkpointer.followed(applied, bytes, &self.published.newest());
        }
        !self.early.0.is_empty()
    }
}
