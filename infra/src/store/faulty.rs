//! A store that fails as object stores fail, by script or by chance: for tests and simulation.
//!
//! Invariants:
//! 1. A fault does exactly what its name says to the object and to the reply; requests without a fault pass unchanged.
//! 2. With a seeded runtime the same seed injects the same faults into the same requests.
//! 3. Scripted rules go first, in the order they were added; then chance decides.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;

use super::metered::StoreOperation;
use super::{ListPage, PartId, Payload, Store, StoreError, StorePath, UploadId};
use crate::Runtime;

/// One way in which an object store misbehaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The request is carried out, its reply is lost: the caller sees a broken connection.
    ReplyLost,
    /// The caller sees a timeout at once; the request is carried out after this long. Reads just time out.
    LatePut(Duration),
    /// Answered with 409; nothing is written.
    Conflict409,
    /// Answered with 412 although nothing is written, and whatever the key holds.
    Precondition412,
    /// Answered with 403; nothing is done.
    Denied403,
    /// Answered with 429; nothing is done.
    Throttle429,
    /// Answered with 503; nothing is done.
    Unavailable503,
    /// Answered with 503 although the request is carried out.
    Unavailable503AfterApply,
    /// Carried out after this long, and then answered rightly.
    Slow(Duration),
    /// Carried out, and then answered only after this long.
    SlowReply(Duration),
    /// No answer and nothing done: the caller sees a timeout after this long.
    Lost(Duration),
    /// A read that breaks off half way. Writes are not touched.
    TruncatedRead,
    /// A read whose reply has one wrong bit. Writes are not touched.
    FlippedBit,
}

/// When a scripted fault strikes: at the requests that match, after `skip` of them, `times` times.
#[derive(Clone, Debug)]
pub struct FaultRule {
    /// Only this kind of request; `None` for every kind.
    pub operation: Option<StoreOperation>,
    /// Only keys (or list prefixes) that contain this text; empty for every key.
    pub path_contains: String,
    /// How many matching requests pass first.
    pub skip: u64,
    /// How many matching requests fail then.
    pub times: u64,
    /// What happens to them.
    pub fault: Fault,
}

impl FaultRule {
    /// The next request of this kind, whatever its key.
    pub fn next(operation: StoreOperation, fault: Fault) -> FaultRule {
        FaultRule { operation: Some(operation), path_contains: String::new(), skip: 0, times: 1, fault }
    }

    /// The request number `nth` (from 1) of this kind whose key contains `path_contains`.
    pub fn nth(nth: u64, operation: StoreOperation, path_contains: &str, fault: Fault) -> FaultRule {
        FaultRule {
            operation: Some(operation),
            path_contains: path_contains.to_owned(),
            skip: nth.saturating_sub(1),
            times: 1,
            fault,
        }
    }

    /// Every request of this kind whose key contains `path_contains`, until the rules are cleared.
    pub fn always(operation: StoreOperation, path_contains: &str, fault: Fault) -> FaultRule {
        FaultRule {
            operation: Some(operation),
            path_contains: path_contains.to_owned(),
            skip: 0,
            times: u64::MAX,
            fault,
        }
    }
}

/// A fault that strikes a share of requests.
#[derive(Clone, Debug)]
struct Chance {
    operation: Option<StoreOperation>,
    fault: Fault,
    share: f64,
}

/// One fault that was injected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InjectedFault {
    /// The kind of the request.
    pub operation: StoreOperation,
    /// Its key or list prefix.
    pub path: String,
    /// What happened to it.
    pub fault: Fault,
}

/// How many injected faults are remembered.
const INJECTED_MAX: usize = 10_000;

/// A store that misbehaves as told.
#[derive(Debug)]
pub struct Faulty {
    inner: Arc<dyn Store>,
    runtime: Runtime,
    rules: Mutex<Vec<FaultRule>>,
    chances: Mutex<Vec<Chance>>,
    injected: Mutex<Vec<InjectedFault>>,
    injected_count: AtomicU64,
    down: AtomicBool,
}

impl Faulty {
    /// A store that behaves like `inner` until told otherwise.
    pub fn new(inner: Arc<dyn Store>, runtime: Runtime) -> Arc<Faulty> {
        Arc::new(Faulty {
            inner,
            runtime,
            rules: Mutex::default(),
            chances: Mutex::default(),
            injected: Mutex::default(),
            injected_count: AtomicU64::new(0),
            down: AtomicBool::new(false),
        })
    }

    /// Adds a rule behind those that are there.
    pub fn script(&self, rule: FaultRule) {
        self.rules.lock().push(rule);
    }

    /// From now on this share (0 to 1) of requests of this kind (`None`: every kind) suffers `fault`.
    pub fn chance(&self, operation: Option<StoreOperation>, fault: Fault, share: f64) {
        self.chances.lock().push(Chance { operation, fault, share });
    }

    /// A mix of everything a store does on a bad day, at this share of requests.
    pub fn bad_day(&self, share: f64) {
        let writes = [
            Fault::ReplyLost,
            Fault::LatePut(Duration::from_millis(300)),
            Fault::Conflict409,
            Fault::Precondition412,
            Fault::Unavailable503AfterApply,
        ];
        let all = [Fault::Throttle429, Fault::Unavailable503, Fault::Slow(Duration::from_millis(200))];
        for fault in writes {
            self.chance(Some(StoreOperation::PutIfAbsent), fault, share / 8.0);
        }
        for fault in all {
            self.chance(None, fault, share / 8.0);
        }
        for operation in [StoreOperation::Get, StoreOperation::GetRange] {
            self.chance(Some(operation), Fault::TruncatedRead, share / 8.0);
        }
    }

    /// Takes the whole store away (every request fails as unreachable, nothing is done) or brings it back.
    pub fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    /// Forgets all rules and chances; the store behaves again.
    pub fn clear(&self) {
        self.rules.lock().clear();
        self.chances.lock().clear();
        self.set_down(false);
    }

    /// The faults injected so far (the first ten thousand of them).
    pub fn injected(&self) -> Vec<InjectedFault> {
        self.injected.lock().clone()
    }

    /// How many faults were injected so far.
    pub fn injected_count(&self) -> u64 {
        self.injected_count.load(Ordering::Relaxed)
    }

    fn decide(&self, operation: StoreOperation, path: &str) -> Option<Fault> {
        let fault = self.scripted(operation, path).or_else(|| self.by_chance(operation))?;
        self.injected_count.fetch_add(1, Ordering::Relaxed);
        let mut injected = self.injected.lock();
        if injected.len() < INJECTED_MAX {
            injected.push(InjectedFault { operation, path: path.to_owned(), fault: fault.clone() });
        }
        tracing::debug!(%operation, path, ?fault, "store fault injected");
        Some(fault)
    }

    fn scripted(&self, operation: StoreOperation, path: &str) -> Option<Fault> {
        let mut rules = self.rules.lock();
        let mut struck = None;
        for rule in rules.iter_mut() {
            if rule.operation.is_some_and(|wanted| wanted != operation) || !path.contains(&rule.path_contains) {
                continue;
            }
            if rule.skip > 0 {
                rule.skip -= 1;
            } else if struck.is_none() {
                rule.times -= 1;
                struck = Some(rule.fault.clone());
            }
        }
        rules.retain(|rule| rule.times > 0);
        struck
    }

    fn by_chance(&self, operation: StoreOperation) -> Option<Fault> {
        let chances = self.chances.lock();
        for chance in chances.iter() {
            if chance.operation.is_none_or(|wanted| wanted == operation)
                && self.runtime.random_fraction() < chance.share
            {
                return Some(chance.fault.clone());
            }
        }
        None
    }

    fn check_down(&self) -> Result<(), StoreError> {
        if self.down.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("the store was taken away".to_owned()));
        }
        Ok(())
    }

    /// What the store answers: ids of uploads and parts, and nothing otherwise.
    async fn change(&self, change: Change) -> Result<String, StoreError> {
        self.check_down()?;
        let Some(fault) = self.decide(change.kind.operation(), change.path.as_str()) else {
            return change.apply(&*self.inner).await;
        };
        match fault {
            Fault::ReplyLost => {
                let _lost = change.apply(&*self.inner).await;
                Err(StoreError::Unavailable("the connection broke before the reply".to_owned()))
            }
            Fault::LatePut(delay) => {
                let (inner, runtime) = (Arc::clone(&self.inner), self.runtime.clone());
                // Not awaited: nobody waits for this request any more.
                drop(self.runtime.spawn("late put", async move {
                    runtime.sleep(delay).await;
                    let _late = change.apply(&*inner).await;
                }));
                Err(StoreError::Timeout)
            }
            Fault::Conflict409 => Err(StoreError::Conflict),
            Fault::Precondition412 => Err(StoreError::AlreadyExists),
            Fault::Denied403 => Err(StoreError::PermissionDenied("403".to_owned())),
            Fault::Throttle429 => Err(StoreError::Throttled),
            Fault::Unavailable503 => Err(StoreError::Unavailable("503 before the request was carried out".to_owned())),
            Fault::Unavailable503AfterApply => {
                let _unseen = change.apply(&*self.inner).await;
                Err(StoreError::Unavailable("503 after the request was carried out".to_owned()))
            }
            Fault::Slow(delay) => {
                self.runtime.sleep(delay).await;
                change.apply(&*self.inner).await
            }
            Fault::SlowReply(delay) => {
                let result = change.apply(&*self.inner).await;
                self.runtime.sleep(delay).await;
                result
            }
            Fault::Lost(delay) => {
                self.runtime.sleep(delay).await;
                Err(StoreError::Timeout)
            }
            Fault::TruncatedRead | Fault::FlippedBit => change.apply(&*self.inner).await,
        }
    }

    async fn look<T>(
        &self,
        operation: StoreOperation,
        path: &str,
        read: impl Future<Output = Result<T, StoreError>>,
        damage: impl FnOnce(T, &Fault) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.check_down()?;
        match self.decide(operation, path) {
            None => read.await,
            Some(Fault::ReplyLost) => Err(StoreError::Unavailable("the connection broke before the reply".to_owned())),
            Some(Fault::LatePut(_)) => Err(StoreError::Timeout),
            Some(Fault::Lost(delay)) => {
                self.runtime.sleep(delay).await;
                Err(StoreError::Timeout)
            }
            Some(Fault::Denied403) => Err(StoreError::PermissionDenied("403".to_owned())),
            Some(Fault::Throttle429) => Err(StoreError::Throttled),
            Some(Fault::Unavailable503 | Fault::Unavailable503AfterApply) => {
                Err(StoreError::Unavailable("503".to_owned()))
            }
            Some(Fault::Slow(delay) | Fault::SlowReply(delay)) => {
                self.runtime.sleep(delay).await;
                read.await
            }
            Some(Fault::Conflict409 | Fault::Precondition412) => read.await,
            Some(fault @ (Fault::TruncatedRead | Fault::FlippedBit)) => damage(read.await?, &fault),
        }
    }
}

/// A request that changes something, kept so that it can be carried out later.
struct Change {
    path: StorePath,
    kind: ChangeKind,
}

enum ChangeKind {
    PutIfAbsent(Payload),
    Put(Payload),
    Delete,
    BeginUpload,
    PutPart(UploadId, usize, Payload),
    FinishUpload(UploadId, Vec<PartId>),
    AbortUpload(UploadId),
}

impl ChangeKind {
    fn operation(&self) -> StoreOperation {
        match self {
            ChangeKind::PutIfAbsent(_) => StoreOperation::PutIfAbsent,
            ChangeKind::Put(_) => StoreOperation::Put,
            ChangeKind::Delete => StoreOperation::Delete,
            ChangeKind::BeginUpload => StoreOperation::BeginUpload,
            ChangeKind::PutPart(..) => StoreOperation::PutPart,
            ChangeKind::FinishUpload(..) => StoreOperation::FinishUpload,
            ChangeKind::AbortUpload(_) => StoreOperation::AbortUpload,
        }
    }
}

impl Change {
    fn of(path: &StorePath, kind: ChangeKind) -> Change {
        Change { path: path.clone(), kind }
    }

    async fn apply(&self, store: &dyn Store) -> Result<String, StoreError> {
        let (path, nothing) = (&self.path, |()| String::new());
        match &self.kind {
            ChangeKind::PutIfAbsent(payload) => store.put_if_absent(path, payload.clone()).await.map(nothing),
            ChangeKind::Put(payload) => store.put(path, payload.clone()).await.map(nothing),
            ChangeKind::Delete => store.delete(path).await.map(nothing),
            ChangeKind::BeginUpload => store.begin_upload(path).await.map(|upload| upload.0),
            ChangeKind::PutPart(upload, index, payload) => {
                store.put_part(path, upload, *index, payload.clone()).await.map(|part| part.0)
            }
            ChangeKind::FinishUpload(upload, parts) => store.finish_upload(path, upload, parts).await.map(nothing),
            ChangeKind::AbortUpload(upload) => store.abort_upload(path, upload).await.map(nothing),
        }
    }
}

fn damaged(path: &StorePath, bytes: &Bytes, fault: &Fault) -> Result<Bytes, StoreError> {
    let half = bytes.len() / 2;
    match fault {
        Fault::FlippedBit if !bytes.is_empty() => {
            let mut wrong = bytes.to_vec();
            wrong[half] ^= 1;
            Ok(Bytes::from(wrong))
        }
        Fault::FlippedBit => Ok(bytes.clone()),
        _ => Err(StoreError::Truncated { path: path.clone(), expected: bytes.len() as u64, actual: half as u64 }),
    }
}

#[async_trait]
impl Store for Faulty {
    async fn put_if_absent(&self, path: &StorePath, payload: Payload) -> Result<(), StoreError> {
        self.change(Change::of(path, ChangeKind::PutIfAbsent(payload))).await.map(drop)
    }

    async fn put(&self, path: &StorePath, payload: Payload) -> Result<(), StoreError> {
        self.change(Change::of(path, ChangeKind::Put(payload))).await.map(drop)
    }

    async fn get(&self, path: &StorePath) -> Result<Bytes, StoreError> {
        let read = self.inner.get(path);
        self.look(StoreOperation::Get, path.as_str(), read, |bytes, fault| damaged(path, &bytes, fault)).await
    }

    async fn get_range(&self, path: &StorePath, range: Range<u64>) -> Result<Bytes, StoreError> {
        let read = self.inner.get_range(path, range);
        self.look(StoreOperation::GetRange, path.as_str(), read, |bytes, fault| damaged(path, &bytes, fault)).await
    }

    async fn list(&self, prefix: &str, start_after: Option<&str>, limit: usize) -> Result<ListPage, StoreError> {
        let read = self.inner.list(prefix, start_after, limit);
        let broken =
            |_page, _fault: &Fault| Err(StoreError::Unavailable("the connection broke in the reply".to_owned()));
        self.look(StoreOperation::List, prefix, read, broken).await
    }

    async fn delete(&self, path: &StorePath) -> Result<(), StoreError> {
        self.change(Change::of(path, ChangeKind::Delete)).await.map(drop)
    }

    async fn begin_upload(&self, path: &StorePath) -> Result<UploadId, StoreError> {
        self.change(Change::of(path, ChangeKind::BeginUpload)).await.map(UploadId)
    }

    async fn put_part(
        &self,
        path: &StorePath,
        upload: &UploadId,
        index: usize,
        payload: Payload,
    ) -> Result<PartId, StoreError> {
        self.change(Change::of(path, ChangeKind::PutPart(upload.clone(), index, payload))).await.map(PartId)
    }

    async fn finish_upload(&self, path: &StorePath, upload: &UploadId, parts: &[PartId]) -> Result<(), StoreError> {
        self.change(Change::of(path, ChangeKind::FinishUpload(upload.clone(), parts.to_vec()))).await.map(drop)
    }

    async fn abort_upload(&self, path: &StorePath, upload: &UploadId) -> Result<(), StoreError> {
        self.change(Change::of(path, ChangeKind::AbortUpload(upload.clone()))).await.map(drop)
    }

    fn clock_ms(&self) -> Option<i64> {
        self.inner.clock_ms()
    }

    fn describe(&self) -> String {
        format!("{}, with faults", self.inner.describe())
    }
}

#[cfg(test)]
mod tests;
