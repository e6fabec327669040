//! Finding the newest state of a shard at start: head hint, checkpoint, entries.
//!
//! Invariants: the hint is never trusted, it only says where to begin to look; a gap in the log is an error, never silently the end.

use alluvium_infra::store::{Store, StoreError};

use crate::apply::genesis;
use crate::format::FormatError;
use crate::format::checkpoint;
use crate::format::cluster::HeadHint;
use crate::paths::ShardPaths;
use crate::replay::{CatchUpError, replay};
use crate::reread::{RereadError, decode_patiently};
use crate::state::State;

/// How many objects one LIST call returns at most.
const LIST_PAGE: usize = 1000;

/// Why a shard could not be recovered.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RecoverError {
    /// The store did not answer or the log holds what cannot be applied.
    #[error(transparent)]
    CatchUp(#[from] CatchUpError),
    /// A checkpoint cannot be read, and neither an older one nor the entries lead to where it was.
    #[error("checkpoint {number}: {error}")]
    Checkpoint {
        /// Its entry number.
        number: u64,
        /// What is wrong with it.
        error: FormatError,
    },
    /// An entry is missing although later ones are there.
    #[error(
        "entry {missing} of the log is missing although entry {later} is there: objects were deleted from the bucket"
    )]
    MissingEntry {
        /// The first one that is missing.
        missing: u64,
        /// One that is there.
        later: u64,
    },
}

impl From<StoreError> for RecoverError {
    fn from(error: StoreError) -> Self {
        Self::CatchUp(error.into())
    }
}

/// The newest state, and the checkpoint that it was built from.
#[derive(Debug)]
pub struct Recovered {
    /// The state after the last entry.
    pub state: State,
    /// Entry number of the checkpoint, 0 for none.
    pub checkpoint: u64,
    /// Length of the checkpoint in bytes.
    pub checkpoint_bytes: u64,
    /// Bytes of the entries that were replayed.
    pub replayed_bytes: u64,
}

/// Reads the newest state of a shard.
///
/// # Errors
/// When the store does not answer, or what it holds is damaged, incomplete or newer than this release.
pub async fn recover(store: &dyn Store, paths: &ShardPaths) -> Result<Recovered, RecoverError> {
    let hint = read_hint(store, paths).await?;
    // The hint may be old, and entries behind its checkpoint may have been collected for a newer one: it only says where to
    // begin to look.
    let hinted = hint.map_or(0, |hint| hint.checkpoint);
    let (mut base, mut damaged) = newest_checkpoint(store, paths, hinted).await?;
    if base.is_none() && hinted > 0 {
        (base, damaged) = newest_checkpoint(store, paths, 0).await?;
    }
    let (mut state, checkpoint_bytes) = base.unwrap_or_else(|| (genesis(paths.shard()), 0));
    let checkpoint = state.entry_number();
    let replayed = replay(store, paths, &mut state, || true, |_| {}).await?;
    if let Some((number, error)) = damaged
        && state.entry_number() < number
    {
        // The entries that are left do not lead to where the damaged checkpoint was.
        return Err(RecoverError::Checkpoint { number, error });
    }
    ensure_nothing_behind(store, paths, &state, hint).await?;
    Ok(Recovered { state, checkpoint, checkpoint_bytes, replayed_bytes: replayed.bytes })
}

async fn read_hint(store: &dyn Store, paths: &ShardPaths) -> Result<Option<HeadHint>, RecoverError> {
    match store.get(&paths.head()).await {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
        Err(StoreError::NotFound) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn load(store: &dyn Store, paths: &ShardPaths, number: u64) -> Result<Option<(State, u64)>, RecoverError> {
    let bytes = match store.get(&paths.checkpoint(number)).await {
        Ok(bytes) => bytes,
        Err(StoreError::NotFound) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let length = bytes.len() as u64;
    let state = match decode_patiently(store, &paths.checkpoint(number), bytes, checkpoint::decode).await {
        Ok(state) => state,
        Err(RereadError::Store(error)) => return Err(error.into()),
        Err(RereadError::Format(error)) => return Err(RecoverError::Checkpoint { number, error }),
    };
    if state.entry_number() != number || state.shard() != paths.shard() {
        let error = FormatError::malformed("checkpoint", "it is for another entry or shard");
        return Err(RecoverError::Checkpoint { number, error });
    }
    Ok(Some((state, length)))
}

/// A state and the length of its checkpoint in bytes.
type Loaded = (State, u64);
/// The number of a checkpoint that cannot be read, and why.
type Damaged = (u64, FormatError);

/// The newest checkpoint from entry `from` on that can be read, and the newest one if it is another and cannot. Without a
/// readable one the entries may still all be there.
async fn newest_checkpoint(
    store: &dyn Store,
    paths: &ShardPaths,
    from: u64,
) -> Result<(Option<Loaded>, Option<Damaged>), RecoverError> {
    let mut numbers = Vec::new();
    let prefix = paths.checkpoint_prefix();
    let mut after = from.checked_sub(1).map(|before| paths.checkpoint(before).to_string());
    loop {
        let page = store.list(&prefix, after.as_deref(), LIST_PAGE).await?;
        numbers.extend(page.objects.iter().filter_map(|object| ShardPaths::parse_number(object.path.as_ref())));
        after = page.objects.last().map(|object| object.path.as_ref().to_owned());
        if !page.truncated || after.is_none() {
            break;
        }
    }
    numbers.sort_unstable();
    let mut damaged = None;
    for number in numbers.into_iter().rev() {
        match load(store, paths, number).await {
            Ok(Some(found)) => return Ok((Some(found), damaged)),
            Ok(None) => {}
            Err(RecoverError::Checkpoint { number, error }) => {
                tracing::warn!(number, %error, "checkpoint cannot be read: trying an older one, or all entries");
                damaged.get_or_insert((number, error));
            }
            Err(error) => return Err(error),
        }
    }
    Ok((None, damaged))
}

/// A log that seems to end must not go on behind a hole.
async fn ensure_nothing_behind(
    store: &dyn Store,
    paths: &ShardPaths,
    state: &State,
    hint: Option<HeadHint>,
) -> Result<(), RecoverError> {
    let end = state.entry_number();
    let missing = end + 1;
    if let Some(hint) = hint
        && hint.entry > end
    {
        return Err(RecoverError::MissingEntry { missing, later: hint.entry });
    }
    let last = paths.entry(end);
    let page = store.list(&paths.entry_prefix(), Some(last.as_ref()), 2).await?;
    let first = page.objects.iter().filter_map(|object| ShardPaths::parse_number(object.path.as_ref())).min();
    match first {
        // Entries that were written while we looked are no hole: then the missing one is there now.
        Some(later) if later > missing => Err(RecoverError::MissingEntry { missing, later }),
        _ => Ok(()),
    }
}
