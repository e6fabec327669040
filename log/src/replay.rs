//! Reading the log forward: from where a state ends to where the log ends.
//!
//! Invariants: entries are applied in order, each verified; a missing entry is the end of the log only when nothing lies
//! behind it.

use alluvium_infra::store::{Store, StoreError};
use futures_util::future::join_all;

use crate::apply::{ApplyError, apply};
use crate::format::entry::{self, Entry};
use crate::paths::ShardPaths;
use crate::reread::{RereadError, decode_patiently};
use crate::state::State;

/// How many entries are read at the same time when many are waiting.
const READ_AHEAD_MAX: usize = 16;

/// Why the log could not be read to its end.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CatchUpError {
    /// The store did not answer; trying again may help.
    #[error("store: {0}")]
    Store(#[from] StoreError),
    /// The log holds what this release cannot apply.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The log is closed.
    #[error("shutting down")]
    Closed,
}

/// What was read.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Replayed {
    /// Entries applied.
    pub entries: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Whether reading stopped because what is read could not be believed any more.
    pub stopped: bool,
}

/// Applies every entry that follows on `state`, as long as `believable` says so after each read; `each` sees them as they
/// are applied.
///
/// # Errors
/// When the store does not answer or an entry does not fit. `state` then stands behind the last good entry.
pub async fn replay(
    store: &dyn Store,
    paths: &ShardPaths,
    state: &mut State,
    believable: impl Fn() -> bool,
    mut each: impl FnMut(&Entry),
) -> Result<Replayed, CatchUpError> {
    let mut replayed = Replayed::default();
    let mut width = 1;
    loop {
        let first = state.entry_number() + 1;
        let slots = (first..first + width as u64).map(|number| paths.entry(number)).collect::<Vec<_>>();
        let reads = slots.iter().map(|path| store.get(path));
        for (path, object) in slots.iter().zip(join_all(reads).await) {
            if !believable() {
                replayed.stopped = true;
                return Ok(replayed);
            }
            let bytes = match object {
                Ok(bytes) => bytes,
                Err(StoreError::NotFound) => return Ok(replayed),
                Err(error) => return Err(error.into()),
            };
            let length = bytes.len() as u64;
            let entry = match decode_patiently(store, path, bytes, entry::decode).await {
                Ok(entry) => entry,
                Err(RereadError::Store(error)) => return Err(error.into()),
                Err(RereadError::Format(error)) => return Err(ApplyError::from(error).into()),
            };
            let next = apply(state, &entry)?;
            #[cfg(debug_assertions)]
            if let Err(broken) = crate::invariants::check_step(state, &next) {
                return Err(inconsistent(&entry, &broken).into());
            }
            *state = next;
            each(&entry);
            replayed.entries += 1;
            replayed.bytes += length;
        }
        width = (width * 2).min(READ_AHEAD_MAX);
    }
}

#[cfg(debug_assertions)]
fn inconsistent(entry: &Entry, broken: &crate::invariants::Broken) -> ApplyError {
    ApplyError::Inconsistent { number: entry.message.number, reason: broken.to_string() }
}
