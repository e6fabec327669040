//! What a store can answer when it does not do what was asked.

use super::{Payload, StorePath};

/// Why an operation on a store failed.
///
/// After a failed write only [`StoreError::is_definite`] errors say that nothing was written; after any other the object may
/// exist now or later.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The object does not exist.
    #[error("the object does not exist")]
    NotFound,
    /// The condition failed: an object exists under this key (it may be our own, from an attempt whose reply was lost).
    #[error("an object exists under this key already")]
    AlreadyExists,
    /// The store saw a competing write of the same key; nothing is known about either.
    #[error("the store reports a competing write of this key")]
    Conflict,
    /// The store asks for fewer requests.
    #[error("the store asks for fewer requests (429 or 503 SlowDown)")]
    Throttled,
    /// The store cannot be reached or cannot serve, for now.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// No answer within the time allowed.
    #[error("the store did not answer in time")]
    Timeout,
    /// The store refuses these credentials, or the folder's permissions forbid it.
    #[error("permission denied: {0}")]
    PermissionDenied(String),
    /// The bucket (or container) does not exist.
    #[error("the bucket does not exist: {0}")]
    BucketMissing(String),
    /// The object is shorter than the range that was asked for, or the reply broke off.
    #[error("{path} has {actual} bytes where {expected} were expected")]
    Truncated {
        /// The object.
        path: StorePath,
        /// Bytes that were asked for.
        expected: u64,
        /// Bytes that came.
        actual: u64,
    },
    /// The store cannot do this at all.
    #[error("not supported by this store: {0}")]
    Unsupported(String),
    /// Anything else, in the store's words.
    #[error("{0}")]
    Other(String),
}

impl StoreError {
    /// Whether the same request may succeed a little later.
    pub fn is_retryable(&self) -> bool {
        match self {
            StoreError::Conflict
            | StoreError::Throttled
            | StoreError::Unavailable(_)
            | StoreError::Timeout
            | StoreError::Truncated { .. } => true,
            StoreError::NotFound
            | StoreError::AlreadyExists
            | StoreError::PermissionDenied(_)
            | StoreError::BucketMissing(_)
            | StoreError::Unsupported(_)
            | StoreError::Other(_) => false,
        }
    }

    /// Whether a *single* write attempt that got this answer has certainly written nothing.
    pub fn is_definite(&self) -> bool {
        match self {
            StoreError::PermissionDenied(_) | StoreError::BucketMissing(_) | StoreError::Unsupported(_) => true,
            StoreError::NotFound
            | StoreError::AlreadyExists
            | StoreError::Conflict
            | StoreError::Throttled
            | StoreError::Unavailable(_)
            | StoreError::Timeout
            | StoreError::Truncated { .. }
            | StoreError::Other(_) => false,
        }
    }
}

/// Why a store could not be opened. Each message is one line that says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenStoreError {
    /// The URL cannot be understood.
    #[error(
        "\"{url}\" is not a store: {reason} (expected s3://bucket/prefix, gs://bucket/prefix, az://container/prefix, file:///folder or memory://)"
    )]
    InvalidUrl {
        /// The URL as it was given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// This build has no support for the scheme.
    #[error("this build of alluvium cannot open {0}:// stores (it was built without the feature \"cloud\")")]
    NotBuilt(String),
    /// There are no credentials, or only half of them.
    #[error("no credentials for {url}: {reason}")]
    Credentials {
        /// The URL of the store.
        url: String,
        /// What is missing and how to give it.
        reason: String,
    },
    /// The folder cannot be made or written.
    #[error("the folder {folder} cannot be used: {reason}")]
    Folder {
        /// The folder.
        folder: String,
        /// What went wrong.
        reason: String,
    },
    /// The client for the store refused its configuration.
    #[error("{url} cannot be opened: {reason}")]
    Configuration {
        /// The URL of the store.
        url: String,
        /// The client's words.
        reason: String,
    },
}

/// Puts the parts of a payload together; free when there is one part.
pub(crate) fn concatenate(payload: Payload) -> bytes::Bytes {
    let length = payload.len();
    let mut parts = payload.0;
    if parts.len() == 1
        && let Some(only) = parts.pop()
    {
        return only;
    }
    let mut whole = bytes::BytesMut::with_capacity(length);
    for part in &parts {
        whole.extend_from_slice(part);
    }
    whole.freeze()
}
