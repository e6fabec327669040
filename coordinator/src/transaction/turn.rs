//! One request at a time for each transactional id, on this node.
//!
//! Owns: the ids that somebody is busy with. Invariants: who waits is served in order of arrival; an id that nobody is busy
//! with takes no room.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// Ids that requests are under way for at one time, before requests for others are sent away.
const IDS_MAX: usize = 100_000;

type Queues = Arc<Mutex<BTreeMap<String, Arc<AsyncMutex<()>>>>>;

/// The queues of all ids.
#[derive(Debug, Default)]
pub(super) struct Turns {
    queues: Queues,
}

/// Held by the request whose turn it is.
#[derive(Debug)]
pub(super) struct Turn {
    // The guard goes before the place, which then sees whether somebody waits.
    _guard: OwnedMutexGuard<()>,
    _place: Place,
}

/// A place in the queue of an id.
#[derive(Debug)]
struct Place {
    queues: Queues,
    id: String,
    queue: Option<Arc<AsyncMutex<()>>>,
}

impl Turns {
    /// Waits for the turn of a request for `id`; none when too many ids are busy.
    pub(super) async fn take(&self, id: &str) -> Option<Turn> {
        let place = self.place(id)?;
        let queue = place.queue.clone()?;
        let guard = queue.lock_owned().await;
        Some(Turn { _guard: guard, _place: place })
    }

    fn place(&self, id: &str) -> Option<Place> {
        let mut queues = self.queues.lock();
        let queue = match queues.get(id) {
            Some(queue) => queue.clone(),
            None if queues.len() >= IDS_MAX => return None,
            None => queues.entry(id.to_owned()).or_default().clone(),
        };
        Some(Place { queues: self.queues.clone(), id: id.to_owned(), queue: Some(queue) })
    }

    #[cfg(test)]
    fn busy(&self) -> usize {
        self.queues.lock().len()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut queues = self.queues.lock();
        drop(self.queue.take());
        if queues.get(&self.id).is_some_and(|queue| Arc::strong_count(queue) == 1) {
            queues.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use alluvium_infra::Runtime;

    use super::*;

    #[test]
    fn requests_for_one_id_wait_for_each_other_and_leave_nothing_behind() {
        Runtime::simulate(1, |runtime| async move {
            let turns = Arc::new(Turns::default());
            let order = Arc::new(Mutex::new(Vec::new()));
            let tasks: Vec<_> = (0..5)
                .map(|number| {
                    let (turns, order, clock) = (turns.clone(), order.clone(), runtime.clone());
                    runtime.spawn("request", async move {
                        let _turn = turns.take("a").await.unwrap();
                        order.lock().push((number, "begins"));
                        clock.sleep(Duration::from_millis(10)).await;
                        order.lock().push((number, "ends"));
                    })
                })
                .collect();
            let other = turns.take("b").await.unwrap();
            assert_eq!(turns.busy(), 1, "nobody else has begun");
            runtime.sleep(Duration::from_millis(5)).await;
            assert_eq!(turns.busy(), 2);
            // Two that give up: one while it waits, one that has its turn.
            tasks[2].abort();
            tasks[0].abort();
            runtime.sleep(Duration::from_millis(100)).await;
            let expected =
                [(0, "begins"), (1, "begins"), (1, "ends"), (3, "begins"), (3, "ends"), (4, "begins"), (4, "ends")];
            assert_eq!(*order.lock(), expected);
            assert_eq!(turns.busy(), 1);
            drop(other);
            assert_eq!(turns.busy(), 0);
        });
    }

    #[test]
    fn who_gives_up_last_cleans_up() {
        Runtime::simulate(2, |runtime| async move {
            let turns = Turns::default();
            let first = turns.take("a").await.unwrap();
            let waiting = runtime.timeout(Duration::from_millis(1), turns.take("a")).await;
            assert!(waiting.is_err());
            drop(first);
            assert_eq!(turns.busy(), 0);
        });
    }
}
