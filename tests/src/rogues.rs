//! Stores that break the rules of the port, in front of stores that keep them: what the start-up probe must refuse.

use std::ops::Range;
use std::sync::Arc;

use alluvium_infra::store::{ListPage, PartId, Payload, Store, StoreError, StorePath, UploadId};
use async_trait::async_trait;
use bytes::Bytes;

/// How a store treats put-if-absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rogue {
    /// Writes whatever the key holds.
    Overwrites,
    /// Looks whether the key is free, and then writes without holding on to it.
    ChecksThenWrites,
    /// Refuses the second writer and keeps what it sent.
    RefusesAndWrites,
}

/// A store that breaks one rule.
#[derive(Debug)]
pub struct RogueStore {
    inner: Arc<dyn Store>,
    rogue: Rogue,
}

impl RogueStore {
    /// Breaks a rule in front of `inner`.
    pub fn new(inner: Arc<dyn Store>, rogue: Rogue) -> Arc<RogueStore> {
        Arc::new(RogueStore { inner, rogue })
    }
}

#[async_trait]
impl Store for RogueStore {
    async fn put_if_absent(&self, path: &StorePath, payload: Payload) -> Result<(), StoreError> {
        match self.rogue {
            Rogue::Overwrites => self.inner.put(path, payload).await,
            Rogue::ChecksThenWrites => match self.inner.get(path).await {
                Err(StoreError::NotFound) => {
                    // The gap in which another writer finds the key free as well.
                    tokio::task::yield_now().await;
                    self.inner.put(path, payload).await
                }
                Ok(_) => Err(StoreError::AlreadyExists),
                Err(error) => Err(error),
            },
            Rogue::RefusesAndWrites => match self.inner.put_if_absent(path, payload.clone()).await {
                Err(StoreError::AlreadyExists) => {
                    self.inner.put(path, payload).await?;
                    Err(StoreError::AlreadyExists)
                }
                other => other,
            },
        }
    }

    async fn put(&self, path: &StorePath, payload: Payload) -> Result<(), StoreError> {
        self.inner.put(path, payload).await
    }

    async fn get(&self, path: &StorePath) -> Result<Bytes, StoreError> {
        self.inner.get(path).await
    }

    async fn get_range(&self, path: &StorePath, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.inner.get_range(path, range).await
    }

    async fn list(&self, prefix: &str, start_after: Option<&str>, limit: usize) -> Result<ListPage, StoreError> {
        self.inner.list(prefix, start_after, limit).await
    }

    async fn delete(&self, path: &StorePath) -> Result<(), StoreError> {
        self.inner.delete(path).await
    }

    async fn begin_upload(&self, path: &StorePath) -> Result<UploadId, StoreError> {
        self.inner.begin_upload(path).await
    }

    async fn put_part(
        &self,
        path: &StorePath,
        upload: &UploadId,
        index: usize,
        payload: Payload,
    ) -> Result<PartId, StoreError> {
        self.inner.put_part(path, upload, index, payload).await
    }

    async fn finish_upload(&self, path: &StorePath, upload: &UploadId, parts: &[PartId]) -> Result<(), StoreError> {
        self.inner.finish_upload(path, upload, parts).await
    }

    async fn abort_upload(&self, path: &StorePath, upload: &UploadId) -> Result<(), StoreError> {
        self.inner.abort_upload(path, upload).await
    }

    fn clock_ms(&self) -> Option<i64> {
        self.inner.clock_ms()
    }

    fn describe(&self) -> String {
        format!("{} behind a rogue", self.inner.describe())
    }
}
