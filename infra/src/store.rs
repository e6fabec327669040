//! The object store port: bytes and preconditions, never Kafka.
//!
//! Owns: the trait that every store fulfils, its implementations (memory, local folder, S3, Google Cloud Storage, Azure)
//! and the wrappers (metering, faults, a model of S3's speed).
//! Invariants, checked for every store by `tests/store_conformance.rs`:
//! 1. `put_if_absent` has one winner per key, and makes one attempt: whatever it answers but `Ok`, the caller reads the key.
//! 2. An object appears whole or not at all, and is never changed by `put_if_absent`.
//! 3. `get_range` gives exactly the bytes asked for or an error.
//! 4. `list` is in the byte order of the keys, and sees what was written before it began.
//! 5. An object that comes in parts appears when its upload is finished, and never when it is not.

use std::fmt::Debug;
use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;

#[cfg(feature = "cloud")]
mod cloud;
mod error;
mod faulty;
mod folder;
mod memory;
mod metered;
mod modelled;
mod open;
mod path;
mod prices;
mod upload;

pub use error::{OpenStoreError, StoreError};
pub use faulty::{Fault, FaultRule, Faulty, InjectedFault};
pub use folder::FolderStore;
pub use memory::MemoryStore;
pub use metered::{Metered, OperationSnapshot, StoreOperation, StoreOutcome, StoreSnapshot};
pub use modelled::{Modelled, StoreModel};
pub use open::{StoreCredentials, StoreOptions, open};
pub use path::{InvalidStorePath, STORE_PATH_BYTES_MAX, STORE_PATH_PART_BYTES_MAX, StorePath};
pub use prices::{InvalidPrices, StorePrices};
pub use upload::{LargeUpload, PartId, UploadId};

/// The bytes of an object in parts, so that nothing needs to be copied together before it is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Payload(pub Vec<Bytes>);

impl Payload {
    /// The bytes in all parts.
    pub fn len(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    /// Whether there is no byte in any part.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Bytes::is_empty)
    }

    /// All parts in one piece; free when there is one part.
    pub fn into_bytes(self) -> Bytes {
        error::concatenate(self)
    }
}

impl From<Bytes> for Payload {
    fn from(bytes: Bytes) -> Payload {
        Payload(vec![bytes])
    }
}

impl From<Vec<Bytes>> for Payload {
    fn from(parts: Vec<Bytes>) -> Payload {
        Payload(parts)
    }
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Payload {
        Payload(vec![Bytes::from(bytes)])
    }
}

impl From<&'static [u8]> for Payload {
    fn from(bytes: &'static [u8]) -> Payload {
        Payload(vec![Bytes::from_static(bytes)])
    }
}

/// One object in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Its key.
    pub path: StorePath,
    /// Its length in bytes.
    pub size: u64,
    /// When the store says it was written, in milliseconds since 1970.
    pub last_modified_ms: i64,
}

/// A part of a listing, in the byte order of the keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListPage {
    /// At most as many as were asked for.
    pub objects: Vec<ObjectInfo>,
    /// Whether more follow: ask again with `start_after` set to the last key.
    pub truncated: bool,
}

/// A place for objects.
///
/// No key may go on from another with a slash (`a` beside `a/b`): a folder cannot hold both, and some S3 servers cannot either.
#[async_trait]
pub trait Store: Send + Sync + Debug + 'static {
    /// Writes an object unless one exists under this key. ONE attempt, no hidden retries: `AlreadyExists`, `Conflict` and every
    /// other error that is not definite mean that the caller must read the key to know what is there.
    async fn put_if_absent(&self, path: &StorePath, payload: Payload) -> Result<(), StoreError>;

    /// Writes an object, replacing any other. For unique keys and for hints; retried inside, a few times within seconds.
    async fn put(&self, path: &StorePath, payload: Payload) -> Result<(), StoreError>;

    /// The whole object.
    async fn get(&self, path: &StorePath) -> Result<Bytes, StoreError>;

    /// Exactly these bytes of the object; [`StoreError::Truncated`] when it has fewer, or when the reply breaks off.
    async fn get_range(&self, path: &StorePath, range: Range<u64>) -> Result<Bytes, StoreError>;

    /// Objects whose keys begin with `prefix` (any text, not only whole parts) and come after `start_after`, at most `limit`.
    async fn list(&self, prefix: &str, start_after: Option<&str>, limit: usize) -> Result<ListPage, StoreError>;

    /// Deletes an object. It is no error when there is none.
    async fn delete(&self, path: &StorePath) -> Result<(), StoreError>;

    /// Begins an object that comes in parts ([`LargeUpload`] does all of it). For unique keys only.
    async fn begin_upload(&self, path: &StorePath) -> Result<UploadId, StoreError>;

    /// One part: the one at `index`, from 0 on, in any order. All but the last have exactly
    /// [`UPLOAD_PART_BYTES`](crate::limits::UPLOAD_PART_BYTES). Sent again, it replaces what was sent before.
    async fn put_part(
        &self,
        path: &StorePath,
        upload: &UploadId,
        index: usize,
        payload: Payload,
    ) -> Result<PartId, StoreError>;

    /// The object appears, made of its parts in order. After an error that is not definite it may have.
    async fn finish_upload(&self, path: &StorePath, upload: &UploadId, parts: &[PartId]) -> Result<(), StoreError>;

    /// Throws the parts away. It is no error when there is no such upload.
    async fn abort_upload(&self, path: &StorePath, upload: &UploadId) -> Result<(), StoreError>;

    /// The newest time that this store has told us (the HTTP `Date` header), in milliseconds since 1970; `None` before the
    /// first reply. Stores on this machine answer with its wall clock.
    fn clock_ms(&self) -> Option<i64>;

    /// What and where this is, for people, without secrets.
    fn describe(&self) -> String;
}

/// A shared store is a store.
#[async_trait]
impl<S: Store + ?Sized> Store for std::sync::Arc<S> {
    async fn put_if_absent(&self, path: &StorePath, payload: Payload) -> Result<(), StoreError> {
        (**self).put_if_absent(path, payload).await
    }

    async fn put(&self, path: &StorePath, payload: Payload) -> Result<(), StoreError> {
        (**self).put(path, payload).await
    }

    async fn get(&self, path: &StorePath) -> Result<Bytes, StoreError> {
        (**self).get(path).await
    }

    async fn get_range(&self, path: &StorePath, range: Range<u64>) -> Result<Bytes, StoreError> {
        (**self).get_range(path, range).await
    }

    async fn list(&self, prefix: &str, start_after: Option<&str>, limit: usize) -> Result<ListPage, StoreError> {
        (**self).list(prefix, start_after, limit).await
    }

    async fn delete(&self, path: &StorePath) -> Result<(), StoreError> {
        (**self).delete(path).await
    }

    async fn begin_upload(&self, path: &StorePath) -> Result<UploadId, StoreError> {
        (**self).begin_upload(path).await
    }

    async fn put_part(
        &self,
        path: &StorePath,
        upload: &UploadId,
        index: usize,
        payload: Payload,
    ) -> Result<PartId, StoreError> {
        (**self).put_part(path, upload, index, payload).await
    }

    async fn finish_upload(&self, path: &StorePath, upload: &UploadId, parts: &[PartId]) -> Result<(), StoreError> {
        (**self).finish_upload(path, upload, parts).await
    }

    async fn abort_upload(&self, path: &StorePath, upload: &UploadId) -> Result<(), StoreError> {
        (**self).abort_upload(path, upload).await
    }

    fn clock_ms(&self) -> Option<i64> {
        (**self).clock_ms()
    }

    fn describe(&self) -> String {
        (**self).describe()
    }
}
