//! Who produces, and whether they wait for us.
//!
//! When every client that has unanswered batches also has nothing more to send, waiting for company is pointless: the flush
//! goes at once. A client whose last batch was answered a moment ago is given that moment to send again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use alluvium_infra::Runtime;
use alluvium_infra::runtime::Instant;
use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;

/// How long a client that was just answered is expected to send again.
const TURNAROUND: Duration = Duration::from_millis(2);

/// All connections that produce.
#[derive(Debug)]
pub(crate) struct Presences {
    runtime: Runtime,
    /// Connections with unanswered requests.
    waiting: AtomicUsize,
    /// Those of them whose client has nothing more to send.
    blocked: AtomicUsize,
    /// Connections that were answered in full and may send again.
    expected: AtomicUsize,
    /// When the last of them was answered.
    answered_at: Mutex<Option<Instant>>,
    /// Who keeps a pace and wants to know when somebody is blocked; one for each shard.
    paces: RwLock<Vec<Arc<Notify>>>,
}

/// What the presences say about a flush.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Company {
    /// Everybody waits for us.
    AllBlocked,
    /// Everybody who is known waits, but somebody who was just answered may send again until then.
    BlockedFrom(Instant),
    /// Somebody is sending.
    Sending,
}

impl Presences {
    pub(crate) fn new(runtime: Runtime) -> Self {
        Self {
            runtime,
            waiting: AtomicUsize::new(0),
            blocked: AtomicUsize::new(0),
            expected: AtomicUsize::new(0),
            answered_at: Mutex::new(None),
            paces: RwLock::default(),
        }
    }

    pub(crate) fn add_pace(&self, wake: Arc<Notify>) {
        self.paces.write().push(wake);
    }

    pub(crate) fn company(&self, now: Instant) -> Company {
        let waiting = self.waiting.load(Ordering::Acquire);
        if waiting == 0 || self.blocked.load(Ordering::Acquire) < waiting {
            return Company::Sending;
        }
        if self.expected.load(Ordering::Acquire) == 0 {
            return Company::AllBlocked;
        }
        match *self.answered_at.lock() {
            Some(at) if at + TURNAROUND > now => Company::BlockedFrom(at + TURNAROUND),
            _ => Company::AllBlocked,
        }
    }
}

/// One connection that produces.
#[derive(Debug)]
pub struct ProducerPresence {
    connection: Arc<Connection>,
}

#[derive(Debug)]
pub(crate) struct Connection {
    all: Arc<Presences>,
    unanswered: AtomicUsize,
    idle: AtomicBool,
    /// The client went away.
    gone: AtomicBool,
    /// Whether this connection is counted as blocked; changed under the lock so that the counts add up.
    counted: Mutex<Counted>,
}

#[derive(Debug, Default)]
struct Counted {
    waiting: bool,
    blocked: bool,
    expected: bool,
}

impl ProducerPresence {
    pub(crate) fn new(all: Arc<Presences>) -> Self {
        Self {
            connection: Arc::new(Connection {
                all,
                unanswered: AtomicUsize::new(0),
                idle: AtomicBool::new(false),
                gone: AtomicBool::new(false),
                counted: Mutex::default(),
            }),
        }
    }

    /// The client has sent all that it wants to send for now.
    pub fn blocked(&self) {
        self.connection.idle.store(true, Ordering::Release);
        self.connection.recount();
    }

    /// Bytes are coming in.
    pub fn reading(&self) {
        self.connection.idle.store(false, Ordering::Release);
        self.connection.recount();
    }

    pub(crate) fn begin(&self) -> Unanswered {
        self.connection.unanswered.fetch_add(1, Ordering::AcqRel);
        self.connection.recount();
        Unanswered { connection: self.connection.clone() }
    }
}

/// One unanswered request of a connection.
#[derive(Debug)]
pub(crate) struct Unanswered {
    connection: Arc<Connection>,
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        let all = &self.connection.all;
        if self.connection.unanswered.fetch_sub(1, Ordering::AcqRel) == 1 {
            *all.answered_at.lock() = Some(all.runtime.monotonic());
        }
        self.connection.recount();
    }
}

impl Drop for ProducerPresence {
    fn drop(&mut self) {
        self.connection.gone.store(true, Ordering::Release);
        self.connection.recount();
    }
}

impl Connection {
    fn recount(&self) {
        let mut counted = self.counted.lock();
        let waiting = self.unanswered.load(Ordering::Acquire) > 0;
        let blocked = waiting && self.idle.load(Ordering::Acquire);
        adjust(&self.all.waiting, &mut counted.waiting, waiting);
        let expected = !waiting && !self.gone.load(Ordering::Acquire);
        adjust(&self.all.expected, &mut counted.expected, expected);
        let became_blocked = blocked && !counted.blocked;
        adjust(&self.all.blocked, &mut counted.blocked, blocked);
        if became_blocked {
            self.all.paces.read().iter().for_each(|wake| wake.notify_one());
        }
    }
}

fn adjust(count: &AtomicUsize, known: &mut bool, now: bool) {
    if *known != now {
        if now {
            count.fetch_add(1, Ordering::AcqRel);
        } else {
            count.fetch_sub(1, Ordering::AcqRel);
        }
        *known = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn everybody_is_blocked_only_when_each_one_is() {
        let runtime = Runtime::seeded(1);
        let all = Arc::new(Presences::new(runtime.clone()));
        let one = ProducerPresence::new(all.clone());
        let two = ProducerPresence::new(all.clone());
        assert_eq!(all.company(runtime.monotonic()), Company::Sending);
        let first = one.begin();
        assert_eq!(all.company(runtime.monotonic()), Company::Sending);
        one.blocked();
        assert_eq!(all.company(runtime.monotonic()), Company::AllBlocked);
        let second = two.begin();
        assert_eq!(all.company(runtime.monotonic()), Company::Sending);
        two.blocked();
        assert_eq!(all.company(runtime.monotonic()), Company::AllBlocked);
        drop(first);
        let soon = runtime.monotonic() + TURNAROUND;
        assert_eq!(all.company(runtime.monotonic()), Company::BlockedFrom(soon));
        runtime.sleep(TURNAROUND).await;
        assert_eq!(all.company(runtime.monotonic()), Company::AllBlocked);
        two.reading();
        assert_eq!(all.company(runtime.monotonic()), Company::Sending);
        drop(second);
        drop((one, two));
        assert_eq!(all.waiting.load(Ordering::Acquire), 0);
        assert_eq!(all.blocked.load(Ordering::Acquire), 0);
        assert_eq!(all.expected.load(Ordering::Acquire), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_waits_again_is_not_waited_for() {
        let runtime = Runtime::seeded(1);
        let all = Arc::new(Presences::new(runtime.clone()));
        let one = ProducerPresence::new(all.clone());
        let first = one.begin();
        drop(first);
        let _second = one.begin();
        one.blocked();
        assert_eq!(all.company(runtime.monotonic()), Company::AllBlocked);
    }
}
