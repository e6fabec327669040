//! The newest value of something, published by one owner to many who wait for it.
//!
//! As tokio's `watch`, with one difference: those who wait are woken in the order in which they began to wait, where tokio
//! spreads them over several lists by thread-local randomness. A simulated run could not be repeated with that.
//!
//! Invariants: a reader never sees an older value after a newer one; nobody who waits misses the last value.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::planted::{self, Bug};

/// The owner's side. Waiting readers are told when it is dropped.
#[derive(Debug)]
pub struct Publisher<T> {
    shared: Arc<Shared<T>>,
}

/// A reader's side. Each remembers which value it saw last.
#[derive(Debug)]
pub struct Subscription<T> {
    shared: Arc<Shared<T>>,
    seen: u64,
}

#[derive(Debug)]
struct Shared<T> {
    newest: Mutex<Newest<T>>,
    changed: Notify,
}

#[derive(Debug)]
struct Newest<T> {
    value: T,
    version: u64,
    closed: bool,
}

/// The publisher is gone: there will be no newer value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nobody publishes any more")]
pub struct PublisherGone;

/// A publisher of `value` and its first subscription, which counts `value` as seen.
pub fn published<T: Clone>(value: T) -> (Publisher<T>, Subscription<T>) {
    let newest = Mutex::new(Newest { value, version: 0, closed: false });
    let shared = Arc::new(Shared { newest, changed: Notify::new() });
    (Publisher { shared: shared.clone() }, Subscription { shared, seen: 0 })
}

impl<T: Clone> Publisher<T> {
    /// The newest value.
    pub fn newest(&self) -> T {
        self.shared.newest.lock().value.clone()
    }

    /// Publishes `value` and wakes everybody who waits.
    pub fn publish(&self, value: T) {
        {
            let mut newest = self.shared.newest.lock();
            newest.value = value;
            newest.version += 1;
        }
        if !planted::is(Bug::NoWake) {
            self.shared.changed.notify_waiters();
        }
    }
}

impl<T> Drop for Publisher<T> {
    fn drop(&mut self) {
        self.shared.newest.lock().closed = true;
        self.shared.changed.notify_waiters();
    }
}

impl<T> Clone for Subscription<T> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), seen: self.seen }
    }
}

impl<T: Clone> Subscription<T> {
    /// The newest value.
    pub fn newest(&self) -> T {
        self.shared.newest.lock().value.clone()
    }

    /// The newest value, which counts as seen from now on.
    pub fn newest_seen(&mut self) -> T {
        let newest = self.shared.newest.lock();
        self.seen = newest.version;
        newest.value.clone()
    }

    /// Waits for a value that was not seen yet, and counts it as seen.
    ///
    /// # Errors
    /// When there is none and there will be none.
    pub async fn changed(&mut self) -> Result<(), PublisherGone> {
        loop {
            let waiting = self.shared.changed.notified();
            tokio::pin!(waiting);
            // Listen first, look then: a value published in between is not missed.
            waiting.as_mut().enable();
            {
                let newest = self.shared.newest.lock();
                if newest.version > self.seen {
                    self.seen = newest.version;
                    return Ok(());
                }
                if newest.closed {
                    return Err(PublisherGone);
                }
            }
            waiting.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Runtime;

    #[test]
    fn those_who_wait_are_woken_in_order_and_miss_nothing() {
        Runtime::simulate(1, |runtime| async move {
            let (publisher, subscription) = published(0);
            let woken = Arc::new(Mutex::new(Vec::new()));
            for reader in 0..20 {
                let (mut subscription, woken) = (subscription.clone(), woken.clone());
                runtime.spawn("reader", async move {
                    while subscription.changed().await.is_ok() {
                        woken.lock().push((subscription.newest(), reader));
                    }
                });
            }
            runtime.sleep(Duration::from_millis(1)).await;
            publisher.publish(1);
            runtime.sleep(Duration::from_millis(1)).await;
            publisher.publish(2);
            runtime.sleep(Duration::from_millis(1)).await;
            let expected: Vec<(i32, i32)> =
                (1..=2).flat_map(|value| (0..20).map(move |reader| (value, reader))).collect();
            assert_eq!(*woken.lock(), expected);
        });
    }

    #[test]
    fn the_last_value_is_seen_before_the_end() {
        Runtime::simulate(1, |_| async move {
            let (publisher, mut subscription) = published(0);
            publisher.publish(1);
            drop(publisher);
            assert_eq!(subscription.changed().await, Ok(()));
            assert_eq!(subscription.newest_seen(), 1);
            assert_eq!(subscription.changed().await, Err(PublisherGone));
        });
    }
}
