//! Clock, randomness, sleeping and spawning behind one cheap handle.
//!
//! Owns: the wall clock and the source of randomness of a process (or of one simulated node).
//! Invariants:
//! 1. [`Runtime::system`] uses the wall clock and the randomness of the operating system.
//! 2. [`Runtime::seeded`] gives the same numbers for the same seed in the same order of calls, and its wall clock
//!    moves only with tokio's clock (and with [`Runtime::shift_wall_clock`]), so that a paused tokio clock decides all time.
//! 3. Sleeping and timeouts always go through tokio's clock.
//! 4. A panic of an essential task is told to whoever waits for it ([`Runtime::spawn_essential`]).
//! 5. The tasks of one seeded runtime can be frozen and ended together (`simulation`): it is one simulated node.

use std::future::Future;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use parking_lot::Mutex;
use tracing::Instrument;
use uuid::Uuid;

pub use tokio::task::JoinHandle;
pub use tokio::time::Instant;
pub use tokio::time::error::Elapsed;

pub use computing::{ComputeError, Courtesy};
pub use essential::EssentialFailure;
use essential::EssentialTasks;

/// Where the wall clock of a seeded runtime starts: 2026-01-01T00:00:00Z in milliseconds.
pub const SEEDED_EPOCH_MS: i64 = 1_767_225_600_000;

/// Clock, randomness and tasks. Cloning is cheap and shares both.
#[derive(Clone, Debug)]
pub struct Runtime {
    source: Arc<Source>,
    essential: Arc<EssentialTasks>,
}

#[derive(Debug)]
enum Source {
    System,
    Seeded(Seeded),
}

#[derive(Debug)]
struct Seeded {
    random: Mutex<SplitMix>,
    start: OnceLock<Instant>,
    shift_ms: AtomicI64,
    #[cfg(any(test, feature = "simulation"))]
    tasks: simulated::Tasks,
}

impl Runtime {
    /// The clock and randomness of the operating system.
    pub fn system() -> Runtime {
        Runtime { source: Arc::new(Source::System), essential: Arc::default() }
    }

    /// Repeatable randomness from `seed`, and a wall clock that follows tokio's (possibly paused) clock.
    pub fn seeded(seed: u64) -> Runtime {
        Runtime {
            source: Arc::new(Source::Seeded(Seeded {
                random: Mutex::new(SplitMix { state: seed }),
                start: OnceLock::new(),
                shift_ms: AtomicI64::new(0),
                #[cfg(any(test, feature = "simulation"))]
                tasks: simulated::Tasks::default(),
            })),
            essential: Arc::default(),
        }
    }

    /// A runtime with randomness of its own, derived from this one: for a second simulated node. The system's stays the system's.
    pub fn fork(&self) -> Runtime {
        match &*self.source {
            Source::System => Runtime::system(),
            Source::Seeded(seeded) => {
                let forked = Runtime::seeded(self.random_u64());
                if let (Source::Seeded(child), Some(start)) = (&*forked.source, seeded.start.get()) {
                    let _unset = child.start.set(*start);
                    child.shift_ms.store(seeded.shift_ms.load(Ordering::Relaxed), Ordering::Relaxed);
                }
                forked
            }
        }
    }

    /// Milliseconds since 1970-01-01T00:00:00Z by the wall clock, which may jump.
    #[allow(clippy::disallowed_methods, reason = "this is the clock that everybody else is sent to")]
    pub fn now_ms(&self) -> i64 {
        match &*self.source {
            Source::System => std::time::SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |elapsed| i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX)),
            Source::Seeded(seeded) => {
                let start = *seeded.start.get_or_init(Instant::now);
                let elapsed = Instant::now().saturating_duration_since(start);
                SEEDED_EPOCH_MS
                    .saturating_add(i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX))
                    .saturating_add(seeded.shift_ms.load(Ordering::Relaxed))
            }
        }
    }

    /// Moves the wall clock of a seeded runtime by `shift_ms`, back or forth; the monotonic clock does not notice.
    /// The system's clock stays as it is.
    pub fn shift_wall_clock(&self, shift_ms: i64) {
        if let Source::Seeded(seeded) = &*self.source {
            seeded.shift_ms.fetch_add(shift_ms, Ordering::Relaxed);
        }
    }

    /// A clock that never goes back, for measuring and for deadlines.
    #[allow(clippy::disallowed_methods, reason = "this is the clock that everybody else is sent to")]
    pub fn monotonic(&self) -> Instant {
        Instant::now()
    }

    /// Waits for `duration`.
    #[allow(clippy::disallowed_methods, reason = "this is the sleep that everybody else is sent to")]
    pub async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    /// Waits until `deadline`; returns at once when it has passed.
    #[allow(clippy::disallowed_methods, reason = "this is the sleep that everybody else is sent to")]
    pub async fn sleep_until(&self, deadline: Instant) {
        tokio::time::sleep_until(deadline).await;
    }

    /// Runs `future` for at most `duration`, then drops it.
    #[allow(clippy::disallowed_methods, reason = "this is the timeout that everybody else is sent to")]
    pub async fn timeout<F: Future>(&self, duration: Duration, future: F) -> Result<F::Output, Elapsed> {
        tokio::time::timeout(duration, future).await
    }

    /// Runs `future` until `deadline` at most, then drops it.
    #[allow(clippy::disallowed_methods, reason = "this is the timeout that everybody else is sent to")]
    pub async fn timeout_at<F: Future>(&self, deadline: Instant, future: F) -> Result<F::Output, Elapsed> {
        tokio::time::timeout_at(deadline, future).await
    }

    /// 64 random bits.
    #[allow(clippy::disallowed_methods, reason = "this is the randomness that everybody else is sent to")]
    pub fn random_u64(&self) -> u64 {
        match &*self.source {
            Source::System => {
                // A version 4 id has six fixed bits; folding one half onto the other covers each with a random bit.
                let (high, low) = Uuid::new_v4().as_u64_pair();
                high ^ low.rotate_left(32)
            }
            Source::Seeded(seeded) => seeded.random.lock().next(),
        }
    }

    /// A random number below `bound`, or 0 when `bound` is 0. Its bias is below `bound` / 2^64.
    pub fn random_below(&self, bound: u64) -> u64 {
        // The high half of the product is below `bound`.
        ((u128::from(self.random_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// A random number in [0, 1).
    pub fn random_fraction(&self) -> f64 {
        // 53 bits are what the mantissa holds.
        (self.random_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A random (version 4) id.
    #[allow(clippy::disallowed_methods, reason = "this is the randomness that everybody else is sent to")]
    pub fn random_uuid(&self) -> Uuid {
        match &*self.source {
            Source::System => Uuid::new_v4(),
            Source::Seeded(_) => uuid::Builder::from_random_bytes(self.random_bytes()).into_uuid(),
        }
    }

    /// An id that sorts by the time of this clock (version 7).
    pub fn unique_uuid(&self) -> Uuid {
        let [bytes @ .., _, _, _, _, _, _] = self.random_bytes();
        let now_ms = u64::try_from(self.now_ms()).unwrap_or(0);
        uuid::Builder::from_unix_timestamp_millis(now_ms, &bytes).into_uuid()
    }

    fn random_bytes(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.random_u64().to_le_bytes());
        bytes[8..].copy_from_slice(&self.random_u64().to_le_bytes());
        bytes
    }

    /// Runs `future` in a task of its own. The task keeps running when the handle is dropped.
    #[allow(clippy::disallowed_methods, reason = "this is the spawn that everybody else is sent to")]
    pub fn spawn<F>(&self, name: &'static str, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        #[cfg(any(test, feature = "simulation"))]
        if let Source::Seeded(seeded) = &*self.source {
            let handle = tokio::spawn(seeded.tasks.gate(future));
            seeded.tasks.register(handle.abort_handle());
            return handle;
        }
        tokio::spawn(future.instrument(tracing::debug_span!("task", name)))
    }

    /// Runs `work` on the pool for blocking calls.
    #[allow(clippy::disallowed_methods, reason = "this is the spawn that everybody else is sent to")]
    pub fn spawn_blocking<F, T>(&self, work: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        tokio::task::spawn_blocking(work)
    }

    /// Runs `work` that keeps a core busy for milliseconds away from the tasks, on as many threads as there are processors, which let
    /// everything else go first. A seeded runtime runs it in place: nothing that it simulates may depend on how fast a thread is.
    pub async fn compute<F, T>(&self, work: F) -> Result<T, ComputeError>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        match &*self.source {
            Source::System => computing::compute(work).await,
            Source::Seeded(_) => Ok(work()),
        }
    }

    /// How many threads [`Runtime::compute`] works on: 1 in a seeded runtime.
    pub fn compute_threads(&self) -> usize {
        match &*self.source {
            Source::System => computing::thread_count(),
            Source::Seeded(_) => 1,
        }
    }

    /// Stops polling all tasks of this seeded runtime while time goes on, as a function is frozen or a machine suspended.
    #[cfg(any(test, feature = "simulation"))]
    pub fn freeze(&self) {
        if let Source::Seeded(seeded) = &*self.source {
            seeded.tasks.freeze();
        }
    }

    /// Ends [`Runtime::freeze`]: tasks that were due go on.
    #[cfg(any(test, feature = "simulation"))]
    pub fn thaw(&self) {
        if let Source::Seeded(seeded) = &*self.source {
            seeded.tasks.thaw();
        }
    }

    /// Ends all tasks of this seeded runtime wherever they are, for good: whatever they would have done next is not done.
    #[cfg(any(test, feature = "simulation"))]
    pub fn crash(&self) {
        if let Source::Seeded(seeded) = &*self.source {
            seeded.tasks.crash();
        }
    }

    /// Runs a whole test or simulation in one thread with a paused clock: time passes only when every task waits.
    #[cfg(any(test, feature = "simulation"))]
    #[allow(clippy::expect_used, reason = "a current-thread runtime needs nothing that could be missing")]
    pub fn simulate<F, Fut>(seed: u64, scenario: F) -> Fut::Output
    where
        F: FnOnce(Runtime) -> Fut,
        Fut: Future,
    {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .expect("a current-thread runtime can be built")
            .block_on(async {
                let runtime = Runtime::seeded(seed);
                let _epoch = runtime.now_ms();
                scenario(runtime).await
            })
    }
}

/// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
#[derive(Debug)]
struct SplitMix {
    state: u64,
}

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

mod computing;
mod essential;
#[cfg(any(test, feature = "simulation"))]
mod simulated;
#[cfg(test)]
mod tests;
