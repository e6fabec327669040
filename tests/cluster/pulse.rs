//! The pulse of the store: how long a small PUT of the test's own takes, all the time. When the store or this machine stands
//! still, so does every client, and no cluster could change that.

use std::sync::Arc;
use std::time::Duration;

use alluvium_infra::Runtime;
use alluvium_infra::runtime::Instant;
use alluvium_infra::shutdown::Shutdown;
use alluvium_infra::store::{Store, StorePath};
use alluvium_tests::places;
use bytes::Bytes;
use parking_lot::Mutex;

/// Between two beats.
const PAUSE: Duration = Duration::from_millis(200);

/// Runs until it is dropped.
#[derive(Debug)]
pub(crate) struct Pulse {
    /// When each PUT began and ended.
    beats: Arc<Mutex<Vec<(Instant, Instant)>>>,
    end: Shutdown,
}

impl Pulse {
    /// `None`: there is no store, which was said.
    pub(crate) fn start(runtime: &Runtime) -> Option<Pulse> {
        let store = places::server("pulse", "minio")?.one;
        let (beats, end) = (Arc::default(), Shutdown::new());
        drop(runtime.spawn("pulse", beat(store, Arc::clone(&beats), end.clone(), runtime.clone())));
        Some(Pulse { beats, end })
    }

    /// How long the slowest PUT took of those that were under way in this time.
    pub(crate) fn slowest(&self, from: Instant, to: Instant) -> Duration {
        let beats = self.beats.lock();
        let reaching = beats.iter().filter(|(begun, ended)| *ended >= from && *begun <= to);
        reaching.map(|(begun, ended)| *ended - *begun).max().unwrap_or_default()
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.end.trigger();
    }
}

async fn beat(store: Arc<dyn Store>, beats: Arc<Mutex<Vec<(Instant, Instant)>>>, end: Shutdown, runtime: Runtime) {
    let path = StorePath::from("pulse");
    while !end.is_triggered() {
        let begun = runtime.monotonic();
        store.put(&path, Bytes::from_static(b"beat").into()).await.expect("the store takes a PUT");
        beats.lock().push((begun, runtime.monotonic()));
        runtime.sleep(PAUSE).await;
    }
}
