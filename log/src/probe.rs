//! The start-up probe: a store that ignores put-if-absent would lose records, so it is refused before the first one.
//!
//! Sequential puts find stores that ignore the condition; racing puts find those that check it and then write without
//! holding on to it. Both are tried, and the object that is found has to be the winner's.

use alluvium_infra::Runtime;
use alluvium_infra::store::{Payload, Store, StoreError, StorePath};
use bytes::Bytes;
use futures_util::future::join_all;

use crate::paths::ClusterPaths;

/// Races that are run; each has [`RACERS`] puts to one key.
const RACES: usize = 4;
const RACERS: usize = 8;

/// Why a store cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ProbeError {
    /// The condition has no effect.
    #[error(
        "{store} ignores `If-None-Match: *` ({finding}): alluvium would lose records on it. \
         Use a store with conditional writes: Amazon S3, MinIO, Google Cloud Storage, Azure, a local folder"
    )]
    ConditionIgnored {
        /// The store.
        store: String,
        /// What was seen.
        finding: String,
    },
    /// The store did not answer.
    #[error("{store}: {error}")]
    Store {
        /// The store.
        store: String,
        /// What it said.
        error: StoreError,
    },
}

/// Probes the store below the cluster's root and cleans up.
///
/// # Errors
/// When the store does not honour put-if-absent or does not answer.
pub async fn probe(store: &dyn Store, paths: &ClusterPaths, runtime: &Runtime) -> Result<(), ProbeError> {
    let races = (0..RACES).map(|race| async move {
        let path = paths.probe(runtime.unique_uuid());
        let result = run_race(store, runtime, &path, race == 0).await;
        if let Err(error) = store.delete(&path).await {
            tracing::debug!(%path, %error, "object of the start-up probe was not deleted");
        }
        result
    });
    join_all(races).await.into_iter().collect()
}

async fn run_race(
    store: &dyn Store,
    runtime: &Runtime,
    path: &StorePath,
    one_after_another: bool,
) -> Result<(), ProbeError> {
    let racers: Vec<Bytes> = (0..RACERS).map(|_| Bytes::copy_from_slice(runtime.random_uuid().as_bytes())).collect();
    let mut results = Vec::new();
    if one_after_another {
        for racer in &racers[..2] {
            results.push(store.put_if_absent(path, Payload::from(racer.clone())).await);
        }
    } else {
        results = join_all(racers.iter().map(|racer| store.put_if_absent(path, Payload::from(racer.clone())))).await;
    }
    let winners: Vec<usize> =
        results.iter().enumerate().filter(|(_, result)| result.is_ok()).map(|(index, _)| index).collect();
    let ignored = |finding: String| ProbeError::ConditionIgnored { store: store.describe(), finding };
    if winners.len() > 1 {
        let count = winners.len();
        return Err(ignored(format!("{count} writers created one key")));
    }
    let failure = results.into_iter().find_map(|result| match result {
        Err(error) if !matches!(error, StoreError::AlreadyExists | StoreError::Conflict) => Some(error),
        _ => None,
    });
    let found = match (store.get(path).await, failure) {
        (Ok(found), _) => found,
        (Err(_), Some(error)) | (Err(error), None) => {
            return Err(ProbeError::Store { store: store.describe(), error });
        }
    };
    match winners.first() {
        Some(winner) if racers[*winner] != found => {
            Err(ignored("the key holds what a refused writer wrote".to_owned()))
        }
        _ => Ok(()),
    }
}
