//! A store in the memory of this process, for tests and for trying things: what is written is gone with the process.
//!
//! Reads are slices of what was written; nothing is copied unless a payload came in several parts.

use std::collections::BTreeMap;
use std::ops::{Bound, Range};

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;

use super::upload::{check_lengths, foreign_part, unknown_upload};
use super::{ListPage, ObjectInfo, PartId, Payload, Store, StoreError, StorePath, UploadId};
use crate::Runtime;
use crate::limits::UPLOAD_PART_BYTES;

/// A store in memory.
#[derive(Debug)]
pub struct MemoryStore {
    objects: Mutex<BTreeMap<String, Object>>,
    /// Parts by index, of uploads by id.
    uploads: Mutex<BTreeMap<String, BTreeMap<usize, Bytes>>>,
    /// Bytes of all parts of an upload but the last.
    part_bytes: usize,
    runtime: Runtime,
}

#[derive(Clone, Debug)]
struct Object {
    bytes: Bytes,
    last_modified_ms: i64,
}

impl MemoryStore {
    /// An empty store.
    pub fn new(runtime: Runtime) -> MemoryStore {
        MemoryStore { objects: Mutex::default(), uploads: Mutex::default(), part_bytes: UPLOAD_PART_BYTES, runtime }
    }

    /// The same, where uploads have parts of another length.
    #[must_use]
    pub fn with_parts_of(self, part_bytes: usize) -> MemoryStore {
        MemoryStore { part_bytes, ..self }
    }

    /// How many objects there are.
    pub fn object_count(&self) -> usize {
        self.objects.lock().len()
    }

    /// How many uploads were begun and neither finished nor aborted.
    pub fn upload_count(&self) -> usize {
        self.uploads.lock().len()
    }

    fn object(&self, payload: Payload) -> Object {
        Object { bytes: payload.into_bytes(), last_modified_ms: self.runtime.now_ms() }
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn put_if_absent(&self, path: &StorePath, payload: Payload) -> Result<(), StoreError> {
        let object = self.object(payload);
        let mut objects = self.objects.lock();
        if objects.contains_key(path.as_str()) {
            return Err(StoreError::AlreadyExists);
        }
        objects.insert(path.as_str().to_owned(), object);
        Ok(())
    }

    async fn put(&self, path: &StorePath, payload: Payload) -> Result<(), StoreError> {
        let object = self.object(payload);
        self.objects.lock().insert(path.as_str().to_owned(), object);
        Ok(())
    }

    async fn get(&self, path: &StorePath) -> Result<Bytes, StoreError> {
        self.objects.lock().get(path.as_str()).map(|object| object.bytes.clone()).ok_or(StoreError::NotFound)
    }

    async fn get_range(&self, path: &StorePath, range: Range<u64>) -> Result<Bytes, StoreError> {
        let whole = self.get(path).await?;
        let length = whole.len() as u64;
        if range.end > length || range.start > range.end {
            return Err(StoreError::Truncated {
                path: path.clone(),
                expected: range.end.saturating_sub(range.start),
                actual: length.saturating_sub(range.start),
            });
        }
        // Both ends are at most the length, which is a usize.
        Ok(whole.slice(range.start as usize..range.end as usize))
    }

    async fn list(&self, prefix: &str, start_after: Option<&str>, limit: usize) -> Result<ListPage, StoreError> {
        let objects = self.objects.lock();
        let from = match start_after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let mut page = ListPage::default();
        for (key, object) in objects.range::<str, _>((from, Bound::Unbounded)) {
            if !key.starts_with(prefix) {
                break;
            }
            if page.objects.len() == limit {
                page.truncated = true;
                break;
            }
            page.objects.push(ObjectInfo {
                path: StorePath::from(key.as_str()),
                size: object.bytes.len() as u64,
                last_modified_ms: object.last_modified_ms,
            });
        }
        Ok(page)
    }

    async fn delete(&self, path: &StorePath) -> Result<(), StoreError> {
        self.objects.lock().remove(path.as_str());
        Ok(())
    }

    async fn begin_upload(&self, _path: &StorePath) -> Result<UploadId, StoreError> {
        let id = self.runtime.unique_uuid().to_string();
        self.uploads.lock().insert(id.clone(), BTreeMap::new());
        Ok(UploadId(id))
    }

    async fn put_part(
        &self,
        _path: &StorePath,
        upload: &UploadId,
        index: usize,
        payload: Payload,
    ) -> Result<PartId, StoreError> {
        let bytes = payload.into_bytes();
        let mut uploads = self.uploads.lock();
        let parts = uploads.get_mut(&upload.0).ok_or_else(|| unknown_upload(upload))?;
        parts.insert(index, bytes);
        Ok(PartId(index.to_string()))
    }

    async fn finish_upload(&self, path: &StorePath, upload: &UploadId, parts: &[PartId]) -> Result<(), StoreError> {
        let mut uploads = self.uploads.lock();
        let sent = uploads.get(&upload.0).ok_or_else(|| unknown_upload(upload))?;
        let named = |(index, part): (usize, &PartId)| {
            let sent = sent.get(&index).filter(|_| part.0 == index.to_string());
            sent.cloned().ok_or_else(|| foreign_part(index))
        };
        let parts: Vec<Bytes> = parts.iter().enumerate().map(named).collect::<Result<_, _>>()?;
        check_lengths(self.part_bytes, parts.iter().map(|part| part.len() as u64))?;
        let object = self.object(Payload(parts));
        uploads.remove(&upload.0);
        self.objects.lock().insert(path.as_str().to_owned(), object);
        Ok(())
    }

    async fn abort_upload(&self, _path: &StorePath, upload: &UploadId) -> Result<(), StoreError> {
        self.uploads.lock().remove(&upload.0);
        Ok(())
    }

    fn clock_ms(&self) -> Option<i64> {
        Some(self.runtime.now_ms())
    }

    fn describe(&self) -> String {
        "memory:// (gone when the process ends)".to_owned()
    }
}
