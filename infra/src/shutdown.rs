//! One signal, many tasks, a bounded drain.
//!
//! Owns: the tree of cancellation signals of a process and the count of tasks that still run.
//! Invariants:
//! 1. A trigger reaches every clone and every child; a child's trigger does not reach its parent.
//! 2. [`Shutdown::drain`] returns when every guard is dropped and every tracked task has ended, or when time is up.

use std::future::Future;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::Runtime;
use crate::runtime::JoinHandle;

/// The signal to stop, and the count of those who have not stopped yet. Clones share both.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    token: CancellationToken,
    tracker: TaskTracker,
}

/// Holds back the drain until it is dropped: for a request that must be answered.
#[derive(Debug)]
pub struct DrainGuard {
    _token: TaskTrackerToken,
}

/// The drain was cut: this many tasks were still running.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{remaining} tasks were still running after {waited:?}")]
pub struct DrainTimedOut {
    /// Tasks and guards that were left.
    pub remaining: usize,
    /// How long they were waited for.
    pub waited: Duration,
}

impl Shutdown {
    /// A signal that nobody has triggered.
    pub fn new() -> Shutdown {
        Shutdown::default()
    }

    /// Tells everybody to stop. Calling it again does nothing.
    pub fn trigger(&self) {
        self.token.cancel();
    }

    /// Waits for the trigger; returns at once when it has happened.
    pub async fn triggered(&self) {
        self.token.cancelled().await;
    }

    /// Whether the trigger has happened.
    pub fn is_triggered(&self) -> bool {
        self.token.is_cancelled()
    }

    /// A part that can be stopped alone, and stops with this one. It has a drain of its own.
    #[must_use]
    pub fn child(&self) -> Shutdown {
        Shutdown { token: self.token.child_token(), tracker: TaskTracker::new() }
    }

    /// Holds back the drain until the guard is dropped.
    #[must_use]
    pub fn guard(&self) -> DrainGuard {
        DrainGuard { _token: self.tracker.token() }
    }

    /// Runs `future` in a task of its own that the drain waits for. The task must look at [`Shutdown::triggered`] itself.
    pub fn spawn<F>(&self, runtime: &Runtime, name: &'static str, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        runtime.spawn(name, self.tracker.track_future(future))
    }

    /// As [`Shutdown::spawn`], for a task that the process cannot live without ([`Runtime::spawn_essential`]).
    pub fn spawn_essential<F>(&self, runtime: &Runtime, name: &'static str, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        runtime.spawn_essential(name, self.tracker.track_future(future))
    }

    /// Runs `future` until it ends or the trigger comes: `None` when it was the trigger.
    pub async fn unless_triggered<F: Future>(&self, future: F) -> Option<F::Output> {
        self.token.run_until_cancelled(future).await
    }

    /// Triggers, then waits for all tasks and guards, at most for `wait_max`.
    pub async fn drain(&self, runtime: &Runtime, wait_max: Duration) -> Result<(), DrainTimedOut> {
        self.trigger();
        self.tracker.close();
        match runtime.timeout(wait_max, self.tracker.wait()).await {
            Ok(()) => Ok(()),
            Err(_elapsed) => Err(DrainTimedOut { remaining: self.tracker.len(), waited: wait_max }),
        }
    }
}

/// Waits for the first SIGTERM or SIGINT (Ctrl-C) and returns its name.
pub async fn termination_signal() -> std::io::Result<&'static str> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        tokio::select! {
            _ = terminate.recv() => Ok("SIGTERM"),
            _ = interrupt.recv() => Ok("SIGINT"),
        }
    }
    #[cfg(not(unix))]
    {
        tokio::signal::ctrl_c().await.map(|()| "Ctrl-C")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drain_waits_for_tasks_and_guards() {
        Runtime::simulate(1, |runtime| async move {
            let shutdown = Shutdown::new();
            let task = shutdown.spawn(&runtime, "worker", {
                let (shutdown, runtime) = (shutdown.clone(), runtime.clone());
                async move {
                    shutdown.triggered().await;
                    runtime.sleep(Duration::from_secs(3)).await;
                    "ended"
                }
            });
            let begun = runtime.monotonic();
            shutdown.drain(&runtime, Duration::from_secs(10)).await.unwrap();
            assert_eq!(runtime.monotonic() - begun, Duration::from_secs(3));
            assert_eq!(task.await.unwrap(), "ended");
        });
    }

    #[test]
    fn a_drain_is_cut_when_time_is_up() {
        Runtime::simulate(1, |runtime| async move {
            let shutdown = Shutdown::new();
            let guard = shutdown.guard();
            let error = shutdown.drain(&runtime, Duration::from_secs(1)).await.unwrap_err();
            assert_eq!(error, DrainTimedOut { remaining: 1, waited: Duration::from_secs(1) });
            drop(guard);
            shutdown.drain(&runtime, Duration::from_secs(1)).await.unwrap();
        });
    }

    #[test]
    fn a_child_stops_alone_or_with_its_parent() {
        Runtime::simulate(1, |_| async move {
            let parent = Shutdown::new();
            let (one, other) = (parent.child(), parent.child());
            one.trigger();
            assert!(one.is_triggered() && !parent.is_triggered() && !other.is_triggered());
            parent.trigger();
            assert!(other.is_triggered());
            assert_eq!(other.unless_triggered(std::future::pending::<()>()).await, None);
        });
    }
}
