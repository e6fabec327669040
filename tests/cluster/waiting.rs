//! Waiting for a condition.

use std::time::Duration;

use alluvium_infra::Runtime;

/// How often a condition is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// Waits until the condition holds, and returns how long that took.
pub(crate) async fn eventually(
    runtime: &Runtime,
    longest: Duration,
    what: &str,
    mut condition: impl AsyncFnMut() -> bool,
) -> Duration {
    let begun = runtime.monotonic();
    while !condition().await {
        assert!(runtime.monotonic() - begun < longest, "not within {longest:?}: {what}");
        runtime.sleep(LOOK_INTERVAL).await;
    }
    runtime.monotonic() - begun
}
