//! The tasks of one simulated node: frozen together, and gone together when the node crashes.
//!
//! Invariants: a frozen node's tasks are not polled, whatever time passes; after a crash none of its tasks is polled again.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use tokio::task::AbortHandle;

/// All tasks that were spawned through one seeded runtime.
#[derive(Clone, Debug, Default)]
pub(super) struct Tasks {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    frozen: bool,
    crashed: bool,
    /// Tasks that somebody woke while they were frozen.
    woken: Vec<Waker>,
    running: Vec<AbortHandle>,
    /// When to look for ended tasks.
    prune_at: usize,
}

impl Tasks {
    pub(super) fn gate<F: Future>(&self, future: F) -> Gated<F> {
        Gated { tasks: self.clone(), future: Box::pin(future) }
    }

    pub(super) fn register(&self, task: AbortHandle) {
        let mut inner = self.inner.lock();
        if inner.crashed {
            task.abort();
            return;
        }
        if inner.running.len() >= inner.prune_at {
            inner.running.retain(|task| !task.is_finished());
            inner.prune_at = (inner.running.len() * 2).max(64);
        }
        inner.running.push(task);
    }

    pub(super) fn freeze(&self) {
        self.inner.lock().frozen = true;
    }

    pub(super) fn thaw(&self) {
        let woken = {
            let mut inner = self.inner.lock();
            inner.frozen = false;
            std::mem::take(&mut inner.woken)
        };
        woken.into_iter().for_each(Waker::wake);
    }

    pub(super) fn crash(&self) {
        let running = {
            let mut inner = self.inner.lock();
            inner.crashed = true;
            inner.woken.clear();
            std::mem::take(&mut inner.running)
        };
        running.iter().for_each(AbortHandle::abort);
    }
}

/// A future that stands still while its node is frozen.
pub(super) struct Gated<F> {
    tasks: Tasks,
    future: Pin<Box<F>>,
}

impl<F: Future> Future for Gated<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        {
            let mut inner = self.tasks.inner.lock();
            if inner.crashed {
                return Poll::Pending;
            }
            if inner.frozen {
                inner.woken.push(context.waker().clone());
                return Poll::Pending;
            }
        }
        self.future.as_mut().poll(context)
    }
}
