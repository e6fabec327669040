//! Where a table's bytes come from: any part of an object.
//!
//! What must stay true: a read gives exactly the bytes asked for, or an error.

use std::ops::Range;
use std::sync::Arc;

use alluvium_infra::store::{Store, StoreError, StorePath};
use async_trait::async_trait;
use bytes::Bytes;

/// An object that can be read in parts. Callers put their caches, retries and limits behind it.
#[async_trait]
pub trait RangedFile: Send + Sync {
    /// Exactly these bytes.
    async fn read(&self, range: Range<u64>) -> Result<Bytes, StoreError>;
}

/// An object of a store, read directly.
#[derive(Clone, Debug)]
pub struct StoreFile {
    /// Where it is.
    pub store: Arc<dyn Store>,
    /// Its key.
    pub path: StorePath,
}

#[async_trait]
impl RangedFile for StoreFile {
    async fn read(&self, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.store.get_range(&self.path, range).await
    }
}

/// A whole file in memory.
#[async_trait]
impl RangedFile for Bytes {
    async fn read(&self, range: Range<u64>) -> Result<Bytes, StoreError> {
        let within = usize::try_from(range.start).ok().zip(usize::try_from(range.end).ok());
        match within.filter(|(start, end)| start <= end && *end <= self.len()) {
            Some((start, end)) => Ok(self.slice(start..end)),
            None => Err(StoreError::Other(format!("bytes {range:?} of {}", self.len()))),
        }
    }
}
