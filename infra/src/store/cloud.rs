//! S3 and compatibles, Google Cloud Storage and Azure Blob Storage, through object_store.
//!
//! Owns two clients per store: one that never retries, for `put_if_absent` (a hidden retry would answer "already exists" for
//! our own write), and one that retries a few times within seconds, for all else.
//! Invariants:
//! 1. `put_if_absent` sends one request.
//! 2. Every reply's `Date` header moves the store's clock, forward only.
//! 3. An error names what a person can do about it: bucket missing, permission denied, unavailable.

use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use object_store::list::{PaginatedListOptions, PaginatedListStore};
use object_store::multipart::{MultipartStore, PartId as ClientPartId};
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};

use super::open::{StoreOptions, StoreUrl};
use super::{ListPage, ObjectInfo, OpenStoreError, PartId, Payload, Store, StoreError, StorePath, UploadId};
use crate::Runtime;

mod builders;
mod clock;
mod failure;

use clock::StoreClock;
use failure::Failures;

/// The most keys that a store returns for one LIST request.
const LIST_KEYS_MAX: usize = 1000;

/// What object_store's clients can do together.
pub(crate) trait Client: ObjectStore + PaginatedListStore + MultipartStore {}
impl<T: ObjectStore + PaginatedListStore + MultipartStore> Client for T {}

/// The two clients of one store, see the module's contract.
pub(crate) struct Clients {
    pub(crate) once: Arc<dyn Client>,
    pub(crate) retrying: Arc<dyn Client>,
}

/// A bucket, or a part of it under a prefix.
pub(crate) struct CloudStore {
    clients: Clients,
    clock: Arc<StoreClock>,
    failures: Failures,
    /// Empty, or ends with a slash.
    prefix: String,
    description: String,
}

/// Opens the bucket without sending a request.
pub(crate) fn open(
    url: &StoreUrl<'_>,
    options: &StoreOptions,
    _runtime: &Runtime,
) -> Result<Arc<dyn Store>, OpenStoreError> {
    crate::tls::install();
    let clock = Arc::new(StoreClock::default());
    let clients = match url.scheme {
        "gs" => builders::google(url, options, &clock)?,
        "az" | "azure" => builders::azure(url, options, &clock)?,
        _ => builders::s3(url, options, &clock)?,
    };
    let endpoint = builders::endpoint_of(url, options);
    let description = match &endpoint {
        Some(endpoint) => format!("{} at {endpoint}", url.text),
        None => url.text.to_owned(),
    };
    Ok(Arc::new(CloudStore {
        clients,
        clock,
        failures: Failures::new(url.bucket, endpoint.as_deref()),
        prefix: if url.prefix.is_empty() { String::new() } else { format!("{}/", url.prefix) },
        description,
    }))
}

impl CloudStore {
    fn location(&self, path: &StorePath) -> Path {
        Path::from(format!("{}{path}", self.prefix))
    }

    fn info(&self, meta: &ObjectMeta) -> Option<ObjectInfo> {
        let key = meta.location.as_ref().strip_prefix(&self.prefix)?;
        // Keys that are none of ours (another program's, in a shared bucket) are not shown.
        let path = StorePath::parse(key).ok()?;
        Some(ObjectInfo { path, size: meta.size, last_modified_ms: meta.last_modified.timestamp_millis() })
    }

    async fn write(
        &self,
        client: &dyn Client,
        path: &StorePath,
        payload: Payload,
        mode: PutMode,
    ) -> Result<(), StoreError> {
        let options = PutOptions { mode, ..PutOptions::default() };
        let payload: PutPayload = payload.0.into_iter().collect();
        let location = self.location(path);
        let written = clock::observed(client.put_opts(&location, payload, options)).await;
        written.map(|_| ()).map_err(|failed| self.failures.classify(&failed.error, failed.status))
    }

    async fn read(&self, path: &StorePath, range: Option<Range<u64>>) -> Result<Bytes, StoreError> {
        let options = GetOptions { range: range.clone().map(GetRange::Bounded), ..GetOptions::default() };
        let location = self.location(path);
        let read = clock::observed(async {
            let result = self.clients.retrying.get_opts(&location, options).await?;
            let promised = result.range.end.saturating_sub(result.range.start);
            Ok((promised, result.bytes().await?))
        });
        match (read.await, range) {
            (Ok((promised, bytes)), range) => {
                let expected = range.map_or(promised, |range| range.end.saturating_sub(range.start));
                match bytes.len() as u64 {
                    actual if actual == expected => Ok(bytes),
                    actual => Err(StoreError::Truncated { path: path.clone(), expected, actual }),
                }
            }
            // The object ends before the range begins.
            (Err(failed), Some(range)) if failed.status == Some(416) => Err(StoreError::Truncated {
                path: path.clone(),
                expected: range.end.saturating_sub(range.start),
                actual: 0,
            }),
            (Err(failed), range) => match self.failures.classify(&failed.error, failed.status) {
                StoreError::Unavailable(_) if failed.status.is_some_and(|status| status < 300) => {
                    // The reply began well and broke off.
                    let expected = range.map_or(0, |range| range.end.saturating_sub(range.start));
                    Err(StoreError::Truncated { path: path.clone(), expected, actual: 0 })
                }
                error => Err(error),
            },
        }
    }
}

impl Debug for CloudStore {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("CloudStore").field(&self.description).finish()
    }
}

#[async_trait]
impl Store for CloudStore {
    async fn put_if_absent(&self, path: &StorePath, payload: Payload) -> Result<(), StoreError> {
        self.write(&*self.clients.once, path, payload, PutMode::Create).await
    }

    async fn put(&self, path: &StorePath, payload: Payload) -> Result<(), StoreError> {
        self.write(&*self.clients.retrying, path, payload, PutMode::Overwrite).await
    }

    async fn get(&self, path: &StorePath) -> Result<Bytes, StoreError> {
        self.read(path, None).await
    }

    async fn get_range(&self, path: &StorePath, range: Range<u64>) -> Result<Bytes, StoreError> {
        if range.start >= range.end {
            // HTTP has no empty ranges.
            return Ok(Bytes::new());
        }
        self.read(path, Some(range)).await
    }

    async fn list(&self, prefix: &str, start_after: Option<&str>, limit: usize) -> Result<ListPage, StoreError> {
        let full_prefix = format!("{}{prefix}", self.prefix);
        let mut page = ListPage::default();
        let mut page_token = None;
        loop {
            let wanted = limit.saturating_sub(page.objects.len()).saturating_add(1);
            let options = PaginatedListOptions {
                offset: start_after.map(|after| format!("{}{after}", self.prefix)),
                max_keys: Some(wanted.min(LIST_KEYS_MAX)),
                page_token: page_token.take(),
                ..PaginatedListOptions::default()
            };
            let result = clock::observed(self.clients.retrying.list_paginated(Some(&full_prefix), options))
                .await
                .map_err(|failed| self.failures.classify(&failed.error, failed.status))?;
            page.objects.extend(result.result.objects.iter().filter_map(|meta| self.info(meta)));
            page_token = result.page_token;
            if page.objects.len() > limit || page_token.is_none() {
                break;
            }
        }
        page.objects.sort_unstable_by(|one, other| one.path.cmp(&other.path));
        page.truncated = page.objects.len() > limit;
        page.objects.truncate(limit);
        Ok(page)
    }

    async fn delete(&self, path: &StorePath) -> Result<(), StoreError> {
        let location = self.location(path);
        match clock::observed(self.clients.retrying.delete(&location)).await {
            Ok(()) => Ok(()),
            Err(failed) => match self.failures.classify(&failed.error, failed.status) {
                StoreError::NotFound => Ok(()),
                error => Err(error),
            },
        }
    }

    async fn begin_upload(&self, path: &StorePath) -> Result<UploadId, StoreError> {
        let location = self.location(path);
        let begun = clock::observed(self.clients.retrying.create_multipart(&location)).await;
        begun.map(UploadId).map_err(|failed| self.failures.classify(&failed.error, failed.status))
    }

    async fn put_part(
        &self,
        path: &StorePath,
        upload: &UploadId,
        index: usize,
        payload: Payload,
    ) -> Result<PartId, StoreError> {
        let location = self.location(path);
        let payload: PutPayload = payload.0.into_iter().collect();
        let sent = clock::observed(self.clients.retrying.put_part(&location, &upload.0, index, payload)).await;
        sent.map(|part| PartId(part.content_id)).map_err(|failed| self.failures.classify(&failed.error, failed.status))
    }

    async fn finish_upload(&self, path: &StorePath, upload: &UploadId, parts: &[PartId]) -> Result<(), StoreError> {
        let location = self.location(path);
        let parts = parts.iter().map(|part| ClientPartId { content_id: part.0.clone() }).collect();
        let finished = clock::observed(self.clients.retrying.complete_multipart(&location, &upload.0, parts)).await;
        finished.map(|_| ()).map_err(|failed| self.failures.classify(&failed.error, failed.status))
    }

    async fn abort_upload(&self, path: &StorePath, upload: &UploadId) -> Result<(), StoreError> {
        let location = self.location(path);
        match clock::observed(self.clients.retrying.abort_multipart(&location, &upload.0)).await {
            Ok(()) => Ok(()),
            Err(failed) => match self.failures.classify(&failed.error, failed.status) {
                StoreError::NotFound => Ok(()),
                error => Err(error),
            },
        }
    }

    fn clock_ms(&self) -> Option<i64> {
        self.clock.newest_ms()
    }

    fn describe(&self) -> String {
        self.description.clone()
    }
}

#[cfg(test)]
mod tests;
