//! Committed offsets that nobody uses any more go after their retention (KIP-211), and empty groups with them.
//!
//! Only the coordinator of a group looks: it knows who is a member.

use std::sync::Arc;
use std::time::Duration;

use alluvium_log::{Operation, View};

use super::Coordinators;
use super::term::Term;
use crate::group::{OffsetAge, Response};

/// Kafka's `offsets.retention.check.interval.ms`.
const CHECK_INTERVAL: Duration = Duration::from_secs(600);

/// Looks for expired offsets now and then, until the coordinators resign.
pub(super) async fn run(coordinators: Coordinators, retention: Duration) {
    let retention_ms = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
    let shared = &coordinators.shared;
    loop {
        tokio::select! {
            () = shared.resigned.cancelled() => return,
            () = shared.runtime.sleep(CHECK_INTERVAL) => {}
        }
        let view = shared.log.view();
        for term in shared.seats.iter().filter_map(|seat| seat.seated()) {
            expire(&view, &term, retention_ms).await;
        }
    }
}

async fn expire(view: &View, term: &Arc<Term>, retention_ms: i64) {
    let state = term.shard().state();
    for (group, known) in state.groups() {
        if known.has_pending_offsets() {
            // A transaction is about to commit offsets of the group, so it is in use.
            continue;
        }
        let ages = known.offsets().map(|(topic_partition, offset)| OffsetAge {
            key: *topic_partition,
            topic: view.topic(topic_partition.topic).map(|topic| topic.name.clone()).unwrap_or_default(),
            commit_ms: offset.commit_ms,
        });
        let now_ms = term.now_ms();
        let Ok(expired) = term.read(|groups| groups.expired(now_ms, retention_ms, group, ages)) else { return };
        if expired.group {
            match term.ask(|groups, now, ticket| groups.delete(now, ticket, group)).await {
                Ok(Response::Delete(Ok(()))) => tracing::info!(group, "an unused consumer group has expired"),
                _ => tracing::debug!(group, "an unused consumer group stays for now"),
            }
        } else if !expired.offsets.is_empty() {
            let count = expired.offsets.len();
            let operation = Operation::DeleteOffsets { group: group.to_owned(), partitions: expired.offsets };
            match term.commit(operation, None).await {
                Ok(_) => tracing::info!(group, count, "unused committed offsets have expired"),
                Err(error) => tracing::warn!(group, %error, "expired offsets could not be removed"),
            }
        }
    }
}
