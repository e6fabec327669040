//! Tasks without which a node is not alive: a panic of one is remembered and told to whoever waits for it.
//!
//! Invariants: the first failure is kept for good; a task that ends by itself or is dropped with its runtime has not failed.

use std::any::Any;
use std::collections::BTreeMap;
use std::future::Future;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::{Arc, OnceLock};

use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{JoinHandle, Runtime};

/// The essential tasks of a runtime.
#[derive(Debug, Default)]
pub(super) struct EssentialTasks {
    running: Mutex<BTreeMap<&'static str, usize>>,
    failure: OnceLock<EssentialFailure>,
    failed: Notify,
}

/// A task that others depend on has panicked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the task \"{task}\" panicked: {message}")]
pub struct EssentialFailure {
    /// Its name.
    pub task: &'static str,
    /// What it said.
    pub message: String,
}

/// Counts a task as long as it lives.
struct Running {
    tasks: Arc<EssentialTasks>,
    name: &'static str,
}

impl Running {
    fn begin(tasks: Arc<EssentialTasks>, name: &'static str) -> Running {
        *tasks.running.lock().entry(name).or_default() += 1;
        Running { tasks, name }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(count) = self.tasks.running.lock().get_mut(self.name) {
            *count -= 1;
        }
    }
}

impl Runtime {
    /// Runs `future` in a task of its own that the process cannot live without: its panic ends
    /// [`Runtime::essential_failed`].
    pub fn spawn_essential<F>(&self, name: &'static str, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let running = Running::begin(self.essential.clone(), name);
        self.spawn(name, async move {
            match AssertUnwindSafe(future).catch_unwind().await {
                Ok(output) => output,
                Err(panicked) => {
                    let failure = EssentialFailure { task: name, message: message(panicked.as_ref()) };
                    // The first failure is the cause of the others.
                    let _kept = running.tasks.failure.set(failure);
                    running.tasks.failed.notify_waiters();
                    resume_unwind(panicked)
                }
            }
        })
    }

    /// How many essential tasks of each name run now.
    pub fn essential_running(&self) -> BTreeMap<&'static str, usize> {
        self.essential.running.lock().clone()
    }

    /// The first failure of an essential task.
    pub fn essential_failure(&self) -> Option<EssentialFailure> {
        self.essential.failure.get().cloned()
    }

    /// Waits for the first failure of an essential task.
    pub async fn essential_failed(&self) -> EssentialFailure {
        loop {
            let mut failed = std::pin::pin!(self.essential.failed.notified());
            // From here on no notification is missed.
            failed.as_mut().enable();
            if let Some(failure) = self.essential_failure() {
                return failure;
            }
            failed.await;
        }
    }
}

fn message(panicked: &(dyn Any + Send)) -> String {
    let text = panicked.downcast_ref::<&str>().copied();
    text.or_else(|| panicked.downcast_ref::<String>().map(String::as_str)).unwrap_or("(no message)").to_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_panic_is_told_to_whoever_waits_and_kept() {
        Runtime::simulate(1, |runtime| async move {
            let waiting = runtime.spawn("waiting", {
                let runtime = runtime.clone();
                async move { runtime.essential_failed().await }
            });
            let healthy = runtime.spawn_essential("shard", std::future::pending::<()>());
            let other = runtime.clone();
            let failing = runtime.spawn_essential("flusher", async move {
                other.sleep(Duration::from_secs(1)).await;
                panic!("no {}", "room");
            });
            assert_eq!(runtime.essential_running(), BTreeMap::from([("shard", 1), ("flusher", 1)]));
            assert!(failing.await.unwrap_err().is_panic());
            let expected = EssentialFailure { task: "flusher", message: "no room".to_owned() };
            assert_eq!(waiting.await.unwrap(), expected);
            assert_eq!(runtime.essential_failed().await, expected);
            assert_eq!(runtime.essential_running(), BTreeMap::from([("shard", 1), ("flusher", 0)]));
            drop(healthy);
        });
    }

    #[test]
    fn ending_and_being_dropped_are_no_failures() {
        Runtime::simulate(1, |runtime| async move {
            runtime.spawn_essential("short", async {}).await.unwrap();
            let node = runtime.fork();
            let crashed = node.spawn_essential("shard", std::future::pending::<()>());
            node.crash();
            assert!(crashed.await.unwrap_err().is_cancelled());
            assert_eq!((runtime.essential_failure(), node.essential_failure()), (None, None));
            assert_eq!(node.essential_running(), BTreeMap::from([("shard", 0)]));
        });
    }
}
