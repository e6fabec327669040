//! A node's way to the bucket: every request travels in a task of the world, so that it arrives whether or not whoever sent
//! it still lives.
//!
//! Owns the faults of single requests. Invariants: what is applied is applied at one moment of the world's time; a request
//! that was given up may still be applied later.

use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use alluvium_infra::Runtime;
use alluvium_infra::store::{ListPage, PartId, Payload, Store, StoreError, StorePath, UploadId};
use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::oneshot;

use crate::faults::StoreFault;
use crate::world::World;

/// When a node gives up waiting for a reply.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Objects on one page of a listing.
const LIST_PAGE_MAX: usize = 3;
/// Attempts that a plain put makes.
const PUT_ATTEMPTS: u32 = 2;

/// The bucket as one node sees it.
#[derive(Debug)]
pub struct SimulatedStore {
    world: Arc<World>,
    node: u32,
    runtime: Runtime,
    /// What the store's replies last said the time was; -1 before the first.
    clock_ms: AtomicI64,
}

impl SimulatedStore {
    /// The store of a node, whose tasks `runtime` owns.
    #[must_use]
    pub fn new(world: Arc<World>, node: u32, runtime: Runtime) -> Self {
        Self { world, node, runtime, clock_ms: AtomicI64::new(-1) }
    }

    /// Sends a request and waits for its reply.
    async fn send<T, A>(&self, name: &str, path: &str, writes: bool, apply: A) -> Result<T, StoreError>
    where
        T: Send + 'static,
        A: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        let (fault, mut random) = self.world.store_fault(self.node, writes);
        let there = Duration::from_micros(random.between(1_000, if writes { 40_000 } else { 12_000 }));
        let back = Duration::from_micros(random.between(500, 5_000));
        let (reply, answer) = oneshot::channel();
        let (world, node) = (self.world.clone(), self.node);
        let note = {
            let (node, name, path) = (self.node, name.to_owned(), path.to_owned());
            move |world: &World, what: &str| {
                world.note(format_args!("n{node}"), || format!("store {name} {path}: {what}"))
            }
        };
        drop(self.world.runtime.spawn("store request", async move {
            let runtime = world.runtime.clone();
            runtime.sleep(there).await;
            if !world.reaches_store(node) {
                return note(&world, "cut off");
            }
            let result = suffer(&world, fault, apply, &note).await;
            let Some(result) = result else { return };
            runtime.sleep(back).await;
            if !world.reaches_store(node) {
                return note(&world, "answer cut off");
            }
            // Whoever asked may be gone.
            let _gone = reply.send(result);
        }));
        match self.runtime.timeout(TIMEOUT, answer).await {
            Ok(Ok(result)) => {
                self.clock_ms.fetch_max(self.world.runtime.now_ms(), Ordering::Relaxed);
                result
            }
            // The reply will never come, which a client learns from its timeout.
            Ok(Err(_)) => {
                self.runtime.sleep(TIMEOUT).await;
                Err(StoreError::Timeout)
            }
            Err(_elapsed) => Err(StoreError::Timeout),
        }
    }
}

/// Carries a request out as its fault has it. `None` when nobody is answered.
async fn suffer<T>(
    world: &World,
    fault: Option<StoreFault>,
    apply: impl Future<Output = Result<T, StoreError>>,
    note: &impl Fn(&World, &str),
) -> Option<Result<T, StoreError>> {
    let word = |result: &Result<T, StoreError>| match result {
        Ok(_) => "ok".to_owned(),
        Err(error) => error.to_string(),
    };
    if let Some(StoreFault::Slow(ms) | StoreFault::Late(ms)) = fault {
        world.runtime.sleep(Duration::from_millis(ms)).await;
    }
    let refused = match fault {
        Some(StoreFault::RequestLost) => {
            note(world, "lost");
            return None;
        }
        Some(StoreFault::Conflict) => Some(StoreError::Conflict),
        Some(StoreFault::Precondition) => Some(StoreError::AlreadyExists),
        Some(StoreFault::Throttled) => Some(StoreError::Throttled),
        Some(StoreFault::Unavailable) => Some(StoreError::Unavailable("503".to_owned())),
        _ => None,
    };
    if let Some(error) = refused {
        note(world, &format!("not applied, {error}"));
        return Some(Err(error));
    }
    let result = apply.await;
    match fault {
        Some(fault @ (StoreFault::ReplyLost | StoreFault::Late(_))) => {
            note(world, &format!("{fault:?}: {}", word(&result)));
            None
        }
        Some(StoreFault::ConflictApplied) => {
            note(world, &format!("applied ({}), 409", word(&result)));
            Some(Err(StoreError::Conflict))
        }
        Some(StoreFault::UnavailableApplied) => {
            note(world, &format!("applied ({}), 503", word(&result)));
            Some(Err(StoreError::Unavailable("503".to_owned())))
        }
        Some(fault) => {
            note(world, &format!("{fault:?}: {}", word(&result)));
            Some(result)
        }
        None => {
            note(world, &word(&result));
            Some(result)
        }
    }
}

/// A reply that broke off, or one with a wrong bit: only when the request was to suffer it.
fn damaged(path: &StorePath, bytes: &Bytes, fault: Option<StoreFault>, checked: bool) -> Result<Bytes, StoreError> {
    match fault {
        Some(StoreFault::Truncated) => Err(StoreError::Truncated {
            path: path.clone(),
            expected: bytes.len() as u64,
            actual: bytes.len() as u64 / 2,
        }),
        Some(StoreFault::FlippedBit) if checked && !bytes.is_empty() => {
            let mut wrong = bytes.to_vec();
            let middle = wrong.len() / 2;
            wrong[middle] ^= 4;
            Ok(Bytes::from(wrong))
        }
        _ => Ok(bytes.clone()),
    }
}

#[async_trait]
impl Store for SimulatedStore {
    async fn put_if_absent(&self, path: &StorePath, payload: Payload) -> Result<(), StoreError> {
        let (world, at) = (self.world.clone(), path.clone());
        self.send("create", path.as_ref(), true, async move {
            let bytes = payload.into_bytes();
            world.bucket.put_if_absent(&at, Payload::from(bytes.clone())).await?;
            world.object_stored(at.as_ref(), &bytes);
            world.object_created(at.as_ref(), &bytes);
            Ok(())
        })
        .await
    }

    async fn put(&self, path: &StorePath, payload: Payload) -> Result<(), StoreError> {
        let mut attempts = 1;
        loop {
            let (world, at, payload) = (self.world.clone(), path.clone(), payload.clone());
            let result = self
                .send("put", path.as_ref(), true, async move {
                    let bytes = payload.into_bytes();
                    world.bucket.put(&at, Payload::from(bytes.clone())).await?;
                    world.object_stored(at.as_ref(), &bytes);
                    Ok(())
                })
                .await;
            if result.is_ok() || attempts == PUT_ATTEMPTS {
                return result;
            }
            attempts += 1;
        }
    }

    async fn get(&self, path: &StorePath) -> Result<Bytes, StoreError> {
        let (world, at) = (self.world.clone(), path.clone());
        // Entries and checkpoints carry checksums; nothing else is damaged on its way.
        let checked = path.as_str().contains("/log/") || path.as_str().contains("/checkpoint/");
        let damage = self.world.peek_read_fault(self.node);
        let flips = damage == Some(StoreFault::FlippedBit);
        let checked = checked && (!flips || self.world.may_flip(self.node, path.as_str()));
        self.send("get", path.as_ref(), false, async move {
            let bytes = world.bucket.get(&at).await?;
            damaged(&at, &bytes, damage, checked)
        })
        .await
    }

    async fn get_range(&self, path: &StorePath, range: Range<u64>) -> Result<Bytes, StoreError> {
        let (world, at) = (self.world.clone(), path.clone());
        let damage = self.world.peek_read_fault(self.node);
        self.send("get", &format!("{path} {}..{}", range.start, range.end), false, async move {
            let bytes = world.bucket.get_range(&at, range).await?;
            damaged(&at, &bytes, damage, false)
        })
        .await
    }

    async fn list(&self, prefix: &str, start_after: Option<&str>, limit: usize) -> Result<ListPage, StoreError> {
        let (world, prefix_owned) = (self.world.clone(), prefix.to_owned());
        let after = start_after.map(str::to_owned);
        self.send("list", prefix, false, async move {
            world.bucket.list(&prefix_owned, after.as_deref(), limit.min(LIST_PAGE_MAX)).await
        })
        .await
    }

    async fn delete(&self, path: &StorePath) -> Result<(), StoreError> {
        let (world, at) = (self.world.clone(), path.clone());
        self.send("delete", path.as_ref(), true, async move {
            world.object_deleted(at.as_ref());
            world.bucket.delete(&at).await
        })
        .await
    }

    async fn begin_upload(&self, path: &StorePath) -> Result<UploadId, StoreError> {
        let (world, at) = (self.world.clone(), path.clone());
        world.uploading(self.node);
        self.send("begin upload", path.as_ref(), true, async move { world.bucket.begin_upload(&at).await }).await
    }

    async fn put_part(
        &self,
        path: &StorePath,
        upload: &UploadId,
        index: usize,
        payload: Payload,
    ) -> Result<PartId, StoreError> {
        let (world, at, upload) = (self.world.clone(), path.clone(), upload.clone());
        world.uploading(self.node);
        self.send(
            "put part",
            path.as_ref(),
            true,
            async move { world.bucket.put_part(&at, &upload, index, payload).await },
        )
        .await
    }

    async fn finish_upload(&self, path: &StorePath, upload: &UploadId, parts: &[PartId]) -> Result<(), StoreError> {
        let (world, at, upload, parts) = (self.world.clone(), path.clone(), upload.clone(), parts.to_vec());
        world.uploading(self.node);
        self.send("finish upload", path.as_ref(), true, async move {
            world.bucket.finish_upload(&at, &upload, &parts).await?;
            world.object_stored(at.as_ref(), &Bytes::new());
            Ok(())
        })
        .await
    }

    async fn abort_upload(&self, path: &StorePath, upload: &UploadId) -> Result<(), StoreError> {
        let (world, at, upload) = (self.world.clone(), path.clone(), upload.clone());
        self.send("abort upload", path.as_ref(), true, async move { world.bucket.abort_upload(&at, &upload).await })
            .await
    }

    fn clock_ms(&self) -> Option<i64> {
        Some(self.clock_ms.load(Ordering::Relaxed)).filter(|clock_ms| *clock_ms >= 0)
    }

    fn describe(&self) -> String {
        "simulated://".to_owned()
    }
}
