//! The threads that encode and decode: as many as there are processors, and behind everything else.
//!
//! Invariants:
//! 1. Work begins in the order in which it was given, on a bounded number of threads.
//! 2. Where the operating system lets a thread step back (Linux), these do: whoever waits for a record that was just produced does not
//!    wait for the replay of an old one, nor for a merge.
//! 3. A panic ends the work that it happened in and nothing else.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};
use tokio::sync::oneshot;

use crate::limits;

/// Why there is no result of some work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ComputeError {
    /// The work panicked, with these words.
    #[error("it panicked: {0}")]
    Panicked(String),
    /// There are no threads for it, or the process is ending.
    #[error("no thread does it: {0}")]
    NoThread(String),
}

static THREADS: LazyLock<Result<ThreadPool, ThreadPoolBuildError>> = LazyLock::new(|| {
    ThreadPoolBuilder::new()
        .thread_name(|index| format!("compute-{index}"))
        .num_threads(thread_count())
        .start_handler(|_| step_back())
        .build()
});

/// As many as there are processors.
pub(super) fn thread_count() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Counts what some work has done, and lets whoever waits for the processor go first after every [`limits::COMPUTE_PIECE_BYTES`].
///
/// A thread that steps back keeps its processor until the next tick of the system's clock even when others wait, 4 ms in many kernels.
#[derive(Debug, Default)]
pub struct Courtesy {
    bytes: AtomicUsize,
}

impl Courtesy {
    /// So many bytes more were decoded, copied or encoded.
    pub fn worked(&self, bytes: usize) {
        let done = self.bytes.load(Ordering::Relaxed) + bytes;
        let is_piece = done >= limits::COMPUTE_PIECE_BYTES;
        self.bytes.store(if is_piece { 0 } else { done }, Ordering::Relaxed);
        if is_piece {
            std::thread::yield_now();
        }
    }
}

/// Runs `work` on one of the threads.
pub(super) async fn compute<F, T>(work: F) -> Result<T, ComputeError>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let threads = THREADS.as_ref().map_err(|error| ComputeError::NoThread(error.to_string()))?;
    let (done, outcome) = oneshot::channel();
    threads.spawn_fifo(move || {
        let worked = catch_unwind(AssertUnwindSafe(work));
        // Whoever waited may have gone away.
        let _ = done.send(worked.map_err(|panic| ComputeError::Panicked(words(&*panic))));
    });
    outcome.await.map_err(|_| ComputeError::NoThread("the process ends".to_owned()))?
}

fn words(panic: &(dyn Any + Send)) -> String {
    let literal = panic.downcast_ref::<&str>().map(|words| (*words).to_owned());
    literal.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a word".to_owned())
}

/// How far the threads step back: a tenth of the share of a thread that did not, and it goes first when it wakes.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

/// On Linux this is of the thread that calls it; elsewhere it would be of the process.
#[cfg(target_os = "linux")]
fn step_back() {
    let own = rustix::process::getpriority_process(None).unwrap_or(0);
    if let Err(error) = rustix::process::setpriority_process(None, own + NICENESS) {
        tracing::debug!(%error, "threads that compute do not step back");
    }
}

#[cfg(not(target_os = "linux"))]
fn step_back() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_is_done_and_its_panic_is_told() {
        assert_eq!(compute(|| 6 * 7).await, Ok(42));
        let panicked = compute(|| assert_eq!(1, 2, "one is two")).await.expect_err("it panics");
        assert!(panicked.to_string().contains("one is two"), "{panicked}");
        assert_eq!(
            compute(|| std::thread::current().name().map(str::to_owned)).await.map(|name| name.is_some()),
            Ok(true)
        );
    }

    #[test]
    fn a_piece_begins_anew_when_it_is_full() {
        let courtesy = Courtesy::default();
        let done = || courtesy.bytes.load(Ordering::Relaxed);
        courtesy.worked(limits::COMPUTE_PIECE_BYTES - 1);
        assert_eq!(done(), limits::COMPUTE_PIECE_BYTES - 1);
        courtesy.worked(1);
        assert_eq!(done(), 0);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn its_threads_step_back_and_others_do_not() {
        let priority = || rustix::process::getpriority_process(None).expect("a thread has a priority");
        let own = priority();
        let theirs = compute(priority).await.expect("it is computed");
        assert_eq!(theirs, (own + NICENESS).min(19));
        assert_eq!(priority(), own);
    }
}
