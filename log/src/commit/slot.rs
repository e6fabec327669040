//! Writing one slot of the log, with every ambiguity resolved.
//!
//! Invariants: 6, each slot has one winner. Whatever the store answers but success is answered by reading the slot: a
//! conflict may be our own write whose reply was lost, a timeout may have been applied, a 409 may have written nothing.
//! The same bytes go to the same slot until the slot holds somebody's entry, or until the store has refused each of several attempts
//! for good, as it does when this node may not write: then nothing of ours can be there, now or later.

use std::time::Duration;

use alluvium_infra::Runtime;
use alluvium_infra::planted::{self, Bug};
use alluvium_infra::store::{Payload, Store, StoreError, StorePath};
use futures_util::future;
use uuid::Uuid;

use crate::format::FormatError;
use crate::format::entry::{self, Entry};
use crate::reread::{RereadError, decode_patiently};

/// How a slot is written.
#[derive(Debug, Clone, Copy)]
pub struct SlotRules {
    /// When a put has not been answered for so long, the identical bytes are put once more beside it.
    pub hedge_after: Duration,
    /// First pause between attempts; doubles up to `backoff_max`.
    pub backoff_min: Duration,
    /// Longest pause between attempts.
    pub backoff_max: Duration,
}

/// Who holds the slot.
#[derive(Debug)]
pub enum SlotOutcome {
    /// Our entry does.
    Won,
    /// Another writer's entry does.
    Lost(Box<Entry>),
    /// The slot holds what this release cannot read.
    Unreadable(FormatError),
    /// Nothing was written, and nothing will be: the store does not take it from us.
    Refused(StoreError),
}

/// How often the store may refuse for good before it is believed: permissions take a while to reach all of its parts.
const REFUSALS_MAX: u32 = 4;

/// What one put, or two of the identical bytes, came to.
struct Put {
    result: Result<(), StoreError>,
    /// Whether none of it can have been written.
    is_definite: bool,
}

impl From<Result<(), StoreError>> for Put {
    fn from(result: Result<(), StoreError>) -> Self {
        let is_definite = result.as_ref().is_err_and(StoreError::is_definite);
        Self { result, is_definite }
    }
}

/// Puts `payload`, which carries `id`, into the slot at `path`. Returns only when it is known who holds the slot, or that we never shall; the
/// caller may stop waiting, but has to resolve the slot again before it uses the shard.
pub async fn write_slot(
    store: &dyn Store,
    runtime: &Runtime,
    path: &StorePath,
    payload: &Payload,
    id: Uuid,
    rules: SlotRules,
) -> SlotOutcome {
    let mut backoff = rules.backoff_min;
    let (mut failures, mut refusals, mut is_definite) = (0_u32, 0, true);
    loop {
        let exists;
        let put = put_hedged(store, runtime, path, payload, rules.hedge_after).await;
        is_definite &= put.is_definite;
        match put.result {
            Ok(()) => return SlotOutcome::Won,
            Err(error) if is_definite && refusals + 1 == REFUSALS_MAX => return SlotOutcome::Refused(error),
            Err(StoreError::AlreadyExists) if planted::is(Bug::ExistsMeansWon) => return SlotOutcome::Won,
            Err(error) => {
                exists = error == StoreError::AlreadyExists;
                refusals += u32::from(is_definite);
                tracing::debug!(%path, %error, "put of entry was not confirmed: reading the slot");
            }
        }
        match store.get(path).await {
            Ok(bytes) => match decode_patiently(store, path, bytes, entry::decode).await {
                Ok(entry) if exists && planted::is(Bug::ExistsMeansLost) => return SlotOutcome::Lost(Box::new(entry)),
                Ok(entry) if entry.message.id.as_ref() == id.as_bytes() => return SlotOutcome::Won,
                Ok(entry) => return SlotOutcome::Lost(Box::new(entry)),
                Err(RereadError::Format(error)) => return SlotOutcome::Unreadable(error),
                Err(RereadError::Store(error)) => {
                    tracing::debug!(%path, %error, "entry arrived damaged and could not be read again");
                }
            },
            // Nobody's yet: the same bytes go to the same slot again.
            Err(StoreError::NotFound) => {}
            Err(error) => {
                failures += 1;
                // Once when it starts and then rarely: an outage is one event, not thousands of lines.
                if failures.is_power_of_two() && failures >= 4 {
                    tracing::warn!(%path, %error, failures, "store does not answer: still resolving the slot");
                }
            }
        }
        let jitter = Duration::from_millis(runtime.random_below(backoff.as_millis() as u64 / 2 + 1));
        runtime.sleep(backoff + jitter).await;
        backoff = (backoff * 2).min(rules.backoff_max);
    }
}

/// One put, and a second with the identical bytes when the first takes long: whichever succeeds.
async fn put_hedged(
    store: &dyn Store,
    runtime: &Runtime,
    path: &StorePath,
    payload: &Payload,
    hedge_after: Duration,
) -> Put {
    let first = store.put_if_absent(path, payload.clone());
    tokio::pin!(first);
    tokio::select! {
        biased;
        result = &mut first => return result.into(),
        () = runtime.sleep(hedge_after) => {}
    }
    let second = store.put_if_absent(path, payload.clone());
    tokio::pin!(second);
    let (earlier, other) = tokio::select! {
        biased;
        result = &mut first => (Put::from(result), future::Either::Left(second)),
        result = &mut second => (Put::from(result), future::Either::Right(first)),
    };
    if is_telling(&earlier.result) {
        return earlier;
    }
    let later = Put::from(other.await);
    Put { is_definite: earlier.is_definite && later.is_definite, ..later }
}

/// Whether somebody's entry is in the slot now: there is nothing more to wait for, it is time to read it. A put that is
/// dropped can only write the same bytes to the same slot.
fn is_telling(result: &Result<(), StoreError>) -> bool {
    matches!(result, Ok(()) | Err(StoreError::AlreadyExists))
}
