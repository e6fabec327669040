//! Committed offsets that nobody uses any more go after their retention (KIP-211), and empty groups with them.

use std::time::Duration;

use alluvium_coordinator::group::OffsetAge;
use alluvium_log::Operation;
use tokio_util::sync::CancellationToken;

use super::GroupDriver;

/// Kafka's `offsets.retention.check.interval.ms`.
const CHECK_INTERVAL: Duration = Duration::from_secs(600);

/// Looks for expired offsets now and then, until `stopped`.
pub(super) async fn run(driver: GroupDriver, retention: Duration, stopped: CancellationToken) {
    let retention_ms = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
    loop {
        tokio::select! {
            () = stopped.cancelled() => return,
            () = driver.shared.runtime.sleep(CHECK_INTERVAL) => {}
        }
        expire(&driver, retention_ms).await;
    }
}

async fn expire(driver: &GroupDriver, retention_ms: i64) {
    let state = driver.shared.log.meta().state();
    for (group, known) in state.groups() {
        let ages = known.offsets().map(|(topic_partition, offset)| OffsetAge {
            key: *topic_partition,
            topic: state.topic(topic_partition.topic).map(|topic| topic.name.clone()).unwrap_or_default(),
            commit_ms: offset.commit_ms,
        });
        let expired = {
            let table = driver.shared.table.lock();
            table.groups.expired(driver.now_ms(), retention_ms, group, ages)
        };
        if expired.group {
            match driver.delete(group).await {
                Ok(()) => tracing::info!(group, "an unused consumer group has expired"),
                Err(error) => tracing::debug!(group, %error, "an unused consumer group stays for now"),
            }
        } else if !expired.offsets.is_empty() {
            let count = expired.offsets.len();
            let operation = Operation::DeleteOffsets { group: group.to_owned(), partitions: expired.offsets };
            match driver.shared.log.meta().commit(operation, None).await {
                Ok(_) => tracing::info!(group, count, "unused committed offsets have expired"),
                Err(error) => tracing::warn!(group, %error, "expired offsets could not be removed"),
            }
        }
    }
}
