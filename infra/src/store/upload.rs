//! Objects that come in parts, for what is too large to be held in memory.
//!
//! Invariants:
//! 1. Nothing appears under the key before all parts are there; what is aborted leaves nothing.
//! 2. All parts but the last have [`UPLOAD_PART_BYTES`], or what a test has in place of it; an object that fits into one part is one
//!    plain PUT.
//! 3. Memory is bounded: one part that is being gathered, and [`UPLOAD_PARTS_IN_FLIGHT_MAX`] that are being sent.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use super::{Payload, Store, StoreError, StorePath};
use crate::Runtime;
use crate::limits::{UPLOAD_PART_BYTES, UPLOAD_PARTS_IN_FLIGHT_MAX, UPLOAD_PARTS_MAX};
use crate::runtime::JoinHandle;

/// The store's name for an upload that was begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadId(pub String);

/// The store's name for a part that it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartId(pub String);

/// An object on its way, in parts when it does not fit into one. It must be finished or aborted.
#[derive(Debug)]
pub struct LargeUpload {
    store: Arc<dyn Store>,
    path: StorePath,
    runtime: Runtime,
    part_bytes: usize,
    upload: Option<UploadId>,
    gathered: Vec<Bytes>,
    gathered_bytes: usize,
    sending: VecDeque<JoinHandle<Result<PartId, StoreError>>>,
    sent: Vec<PartId>,
    bytes: u64,
}

impl LargeUpload {
    /// An object without bytes; nothing is asked of the store yet.
    pub fn new(store: Arc<dyn Store>, path: StorePath, runtime: Runtime) -> LargeUpload {
        LargeUpload {
            store,
            path,
            runtime,
            part_bytes: UPLOAD_PART_BYTES,
            upload: None,
            gathered: Vec::new(),
            gathered_bytes: 0,
            sending: VecDeque::new(),
            sent: Vec::new(),
            bytes: 0,
        }
    }

    /// The same, in parts of another length: for stores that take such parts, which are those of tests.
    #[must_use]
    pub fn in_parts_of(self, part_bytes: usize) -> LargeUpload {
        LargeUpload { part_bytes, ..self }
    }

    /// Bytes that were written until now.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Adds bytes at the end; waits while enough parts are on their way. After an error only [`LargeUpload::abort`] is left.
    pub async fn write(&mut self, mut bytes: Bytes) -> Result<(), StoreError> {
        self.bytes += bytes.len() as u64;
        while self.gathered_bytes + bytes.len() > self.part_bytes {
            let rest = bytes.split_off(self.part_bytes - self.gathered_bytes);
            self.gather(bytes);
            self.send_part().await?;
            bytes = rest;
        }
        self.gather(bytes);
        Ok(())
    }

    /// Sends what is left; then the object is there. After an error it may be, unless the error is definite.
    pub async fn finish(mut self) -> Result<u64, StoreError> {
        let finished = self.try_finish().await;
        if finished.is_err() {
            self.abort().await;
            return finished;
        }
        finished
    }

    /// Throws away what was sent. Where the store does not answer, its parts are left to the store's own rules.
    pub async fn abort(&mut self) {
        for sending in self.sending.drain(..) {
            // A part that arrives behind the abort would stay.
            let _ended = sending.await;
        }
        let Some(upload) = self.upload.take() else { return };
        if let Err(error) = self.store.abort_upload(&self.path, &upload).await {
            tracing::info!(path = %self.path, %error, "an upload in parts was not aborted: the store keeps its parts for a while");
        }
    }

    async fn try_finish(&mut self) -> Result<u64, StoreError> {
        if self.upload.is_none() {
            let whole = Payload(std::mem::take(&mut self.gathered));
            self.store.put(&self.path, whole).await?;
            return Ok(self.bytes);
        }
        if self.gathered_bytes > 0 {
            self.send_part().await?;
        }
        while !self.sending.is_empty() {
            self.wait_for_one().await?;
        }
        if let Some(upload) = &self.upload {
            self.store.finish_upload(&self.path, upload, &self.sent).await?;
        }
        Ok(self.bytes)
    }

    fn gather(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.gathered_bytes += bytes.len();
            self.gathered.push(bytes);
        }
    }

    async fn send_part(&mut self) -> Result<(), StoreError> {
        let index = self.sent.len() + self.sending.len();
        if index >= UPLOAD_PARTS_MAX {
            return Err(StoreError::Unsupported(format!("{} has more than {UPLOAD_PARTS_MAX} parts", self.path)));
        }
        let upload = match &self.upload {
            Some(upload) => upload.clone(),
            None => {
                let upload = self.store.begin_upload(&self.path).await?;
                self.upload.insert(upload).clone()
            }
        };
        while self.sending.len() >= UPLOAD_PARTS_IN_FLIGHT_MAX {
            self.wait_for_one().await?;
        }
        let payload = Payload(std::mem::take(&mut self.gathered));
        self.gathered_bytes = 0;
        let (store, path) = (Arc::clone(&self.store), self.path.clone());
        let sending = async move { store.put_part(&path, &upload, index, payload).await };
        self.sending.push_back(self.runtime.spawn("upload part", sending));
        Ok(())
    }

    /// The oldest part on its way.
    async fn wait_for_one(&mut self) -> Result<(), StoreError> {
        let Some(sending) = self.sending.pop_front() else { return Ok(()) };
        let ended = sending.await;
        let part = ended.map_err(|error| StoreError::Other(format!("a part was not sent: {error}")))??;
        self.sent.push(part);
        Ok(())
    }
}

/// Whether the lengths of parts are those that every store takes.
pub(crate) fn check_lengths(part_bytes: usize, lengths: impl ExactSizeIterator<Item = u64>) -> Result<(), StoreError> {
    let part_bytes = part_bytes as u64;
    let count = lengths.len();
    if count == 0 {
        return Err(StoreError::Unsupported("an upload without parts".to_owned()));
    }
    for (index, length) in lengths.enumerate() {
        let is_last = index + 1 == count;
        if length > part_bytes || (!is_last && length != part_bytes) {
            return Err(StoreError::Unsupported(format!("part {index} of {count} has {length} bytes")));
        }
    }
    Ok(())
}

pub(crate) fn unknown_upload(upload: &UploadId) -> StoreError {
    StoreError::Other(format!("there is no upload {}", upload.0))
}

pub(crate) fn foreign_part(index: usize) -> StoreError {
    StoreError::Other(format!("part {index} was not sent"))
}
