//! Reading the log to its end, and what to do when it cannot be read.
//!
//! Invariants: 7, what is read is believed only while the last look at the log is recent; 10, whoever is told "no" is told after
//! such a look. A log that contradicts itself breaks the shard for good.

use alluvium_infra::store::StoreError;

use super::Look;
use super::group::{Rider, expire};
use super::task::ShardTask;
use crate::apply::ApplyError;
use crate::operation::CommitError;
use crate::replay::{CatchUpError, replay};
use crate::state::ObjectRef;

/// Looks that are tried when each takes longer than half the log retention.
const LOOKS_MAX: usize = 3;

/// What a look at the log found.
#[derive(PartialEq, Eq)]
enum Seen {
    /// Its end.
    End,
    /// It cannot be told: entries may have been collected.
    TooLate,
}

impl ShardTask {
    /// Reads the log to its end.
    pub(super) async fn catch_up(&mut self) -> Result<(), CatchUpError> {
        if let Some(broken) = &self.broken {
            return Err(broken.clone().into());
        }
        for _ in 0..LOOKS_MAX {
            let look = self.begin_look();
            let seen = match self.is_past(self.looked) {
                true => Seen::TooLate,
                false => self.replay(self.looked).await?,
            };
            if seen == Seen::TooLate {
                self.resync(look).await?;
            }
            // The answer is as old as the moment before the first read, by the clock that the replies have brought.
            if !self.is_past(look) {
                self.looked = look;
                self.looked_serial = self.looks;
                self.heard = self.runtime.monotonic();
                self.counters.looked(&self.runtime);
                self.counters.looks.increment();
                return Ok(());
            }
            self.looked = look;
        }
        Err(CatchUpError::Store(StoreError::Timeout))
    }

    /// Applies the entries that followed, as long as the last look at the log is recent enough to believe what is read.
    async fn replay(&mut self, last: Look) -> Result<Seen, CatchUpError> {
        let number = self.state.entry_number();
        let (tail, store, runtime) = (self.tail.clone(), self.store.clone(), self.runtime.clone());
        let (retention, turns) = (self.rules.log_retention, &mut self.turns);
        let result = replay(
            self.store.as_ref(),
            &self.paths,
            &mut self.state,
            || !last.is_past(retention, store.as_ref(), &runtime),
            |entry| {
                turns.saw(&entry.message.node, entry.message.timestamp_ms);
                if !entry.data.is_empty() {
                    tail.insert(ObjectRef::Entry(entry.message.number), vec![entry.data.clone()]);
                }
            },
        )
        .await;
        if self.state.entry_number() > number {
            self.publish();
        }
        match result {
            Ok(replayed) => {
                self.counters.entries_read.add(replayed.entries);
                self.checkpointer.followed(replayed.entries, replayed.bytes, &self.published.newest());
                Ok(if replayed.stopped { Seen::TooLate } else { Seen::End })
            }
            Err(error) => {
                if let CatchUpError::Apply(broken) = &error {
                    self.break_with(broken.clone());
                }
                Err(error)
            }
        }
    }

    /// Builds the state anew from the newest checkpoint: the entries that followed ours may be gone.
    async fn resync(&mut self, look: Look) -> Result<(), CatchUpError> {
        match crate::recover::recover(self.store.as_ref(), &self.paths).await {
            // Too old to be shown to anybody: the caller looks again.
            Ok(_) if self.is_past(look) => Ok(()),
            Ok(recovered) => {
                tracing::info!(
                    from = self.state.entry_number(),
                    to = recovered.state.entry_number(),
                    "state was built anew after a long pause"
                );
                self.state = recovered.state;
                self.publish();
                Ok(())
            }
            Err(crate::recover::RecoverError::CatchUp(error)) => Err(error),
            // Whoever stands still while he reads finds holes where collection has passed meanwhile: no damage, look again.
            Err(_) if self.is_past(look) => Err(CatchUpError::Store(StoreError::Timeout)),
            Err(error) => {
                let broken = ApplyError::Inconsistent { number: self.state.entry_number(), reason: error.to_string() };
                self.break_with(broken.clone());
                Err(broken.into())
            }
        }
    }

    pub(super) fn break_with(&mut self, error: ApplyError) {
        if self.broken.is_none() {
            tracing::error!(%error, shard = self.paths.shard().0, "the shard's log cannot be read: refusing all commits");
        }
        self.broken = Some(error);
    }

    pub(super) fn begin_look(&mut self) -> Look {
        self.looks += 1;
        Look::begin(self.store.as_ref(), &self.runtime)
    }

    /// Whether slots behind what was seen at `look` may have been collected (invariant 7).
    pub(super) fn is_past(&self, look: Look) -> bool {
        look.is_past(self.rules.log_retention, self.store.as_ref(), &self.runtime)
    }

    /// Reads the log to its end for `riders`, for as long as one of them waits. Whether there is still one.
    pub(super) async fn look(&mut self, riders: &mut Vec<Rider>) -> bool {
        let mut backoff = self.rules.slot.backoff_min;
        loop {
            match self.catch_up().await {
                Ok(()) => return true,
                Err(CatchUpError::Store(error)) => {
                    tracing::debug!(%error, "store does not answer: nothing is committed until it does");
                    expire(riders, &self.runtime, || CommitError::Unavailable(error.to_string()));
                    if riders.is_empty() {
                        return false;
                    }
                    self.runtime.sleep(backoff).await;
                    backoff = (backoff * 2).min(self.rules.slot.backoff_max);
                }
                // The loop that called us answers with the reason.
                Err(CatchUpError::Apply(_) | CatchUpError::Closed) => return true,
            }
        }
    }
}
