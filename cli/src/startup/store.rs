//! Opening the store, and saying what to do when that fails.

use alluvium_infra::Runtime;
use alluvium_infra::store::{self, OpenStoreError, StoreError};
use alluvium_log::paths::ClusterPaths;
use alluvium_log::probe::ProbeError;
use alluvium_log::recover::RecoverError;
use alluvium_log::{CatchUpError, Log, LogOptions, OpenLogError};

use super::settings::NodeSettings;
use crate::failure::Failure;

/// Opens the log of a cluster that is there, to read it: nothing is made, neither a folder nor a cluster.
pub(crate) async fn existing_log(settings: &NodeSettings, node: &str, runtime: &Runtime) -> Result<Log, Failure> {
    let url = &settings.store;
    if let Some(folder) = url.trim_start_matches("model+").strip_prefix("file://")
        && !std::path::Path::new(folder).is_dir()
    {
        return Err(Failure::failed(format!("the store {url} cannot be used: there is no such folder")));
    }
    let store = store::open(url, &settings.store_options(), runtime).map_err(|error| not_opened(&error))?;
    let options = LogOptions { node: node.to_owned(), probe: false, ..settings.log_options() };
    match store.get(&ClusterPaths::new(&options.root).cluster()).await {
        Ok(_) => {}
        Err(StoreError::NotFound) => return Err(Failure::failed(format!("there is no cluster in the store {url}"))),
        Err(error) => {
            let advice = advice(&error, url);
            return Err(Failure::failed(format!("the store {url} cannot be used: {error}{advice}")));
        }
    }
    Log::open(store, options, runtime.clone()).await.map_err(|error| log_not_opened(&error, url))
}

/// A store that could not be opened.
pub(crate) fn not_opened(error: &OpenStoreError) -> Failure {
    match error {
        OpenStoreError::InvalidUrl { .. } => Failure::usage(error),
        OpenStoreError::Folder { .. } => {
            Failure::failed(format!("{error}: choose another folder, or make this one writable for this user"))
        }
        OpenStoreError::NotBuilt(_) | OpenStoreError::Credentials { .. } | OpenStoreError::Configuration { .. } => {
            Failure::failed(error)
        }
    }
}

/// A log that could not be opened.
pub(crate) fn log_not_opened(error: &OpenLogError, store: &str) -> Failure {
    let store_error = match error {
        OpenLogError::Probe(ProbeError::Store { error, .. }) | OpenLogError::Store { error, .. } => Some(error),
        OpenLogError::Recover { error: RecoverError::CatchUp(CatchUpError::Store(error)), .. } => Some(error),
        _ => None,
    };
    match store_error {
        Some(store_error) => {
            Failure::failed(format!("the store {store} cannot be used: {store_error}{}", advice(store_error, store)))
        }
        None => Failure::failed(error),
    }
}

/// What to do about an error of the store, to be set behind the error; nothing where the error says it by itself.
pub(crate) fn advice(error: &StoreError, store: &str) -> &'static str {
    let local = store.starts_with("file:");
    match error {
        StoreError::BucketMissing(_) => "",
        StoreError::PermissionDenied(_) if local => ": make the folder writable for this user, or choose another",
        StoreError::PermissionDenied(_) => {
            ": check the credentials (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY) and that they may read, write, list and \
             delete in this bucket"
        }
        StoreError::Unavailable(_) | StoreError::Timeout => {
            ": check that the store runs and that the endpoint and the network lead to it"
        }
        StoreError::Throttled => ": try again in a while",
        StoreError::Unsupported(_) => {
            ": use a store with conditional writes: Amazon S3, MinIO, Google Cloud Storage, Azure, a local folder"
        }
        StoreError::Other(_) if local => ": check that the disk has room and the folder is whole",
        StoreError::NotFound
        | StoreError::AlreadyExists
        | StoreError::Conflict
        | StoreError::Truncated { .. }
        | StoreError::Other(_) => ": check the URL, the endpoint and the store's own log",
    }
}
