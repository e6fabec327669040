//! Transactional ids that nobody has used for long go.

use std::sync::Arc;
use std::time::Duration;

use alluvium_infra::runtime::Instant;
use alluvium_log::{Operation, State};

use super::Shared;
use super::post::Post;

/// Ids that one operation removes.
const BATCH_MAX: usize = 1000;
/// At least so long passes from one look for old ids to the next; Kafka's
/// `transaction.remove.expired.transaction.cleanup.interval.ms`.
const PAUSE: Duration = Duration::from_secs(3600);
/// How long a removal may take.
const REMOVAL_MAX: Duration = Duration::from_secs(30);

/// The shortest time from one look for old ids to the next, in milliseconds.
pub(super) fn pause_ms(shared: &Shared) -> i64 {
    expiration_ms(shared).min(i64::try_from(PAUSE.as_millis()).unwrap_or(i64::MAX))
}

fn expiration_ms(shared: &Shared) -> i64 {
    i64::try_from(shared.settings.id_expiration.as_millis()).unwrap_or(i64::MAX)
}

/// Removes what is too old. Gives the earliest time at which anything else may be, milliseconds since 1970.
pub(super) async fn expire(shared: &Shared, post: &Arc<Post>) -> i64 {
    let (now_ms, expiration_ms) = (shared.runtime.now_ms(), expiration_ms(shared));
    let again_ms = now_ms.saturating_add(pause_ms(shared));
    let (old, next_ms) = too_old(&post.shard().state(), now_ms, expiration_ms);
    if old.is_empty() {
        return next_ms.max(again_ms);
    }
    let Ok(state) = post.look().await else { return again_ms };
    let (old, next_ms) = too_old(&state, now_ms, expiration_ms);
    for ids in old.chunks(BATCH_MAX) {
        if !shared.serves(post) {
            break;
        }
        let deadline: Instant = shared.runtime.monotonic() + REMOVAL_MAX;
        match post.commit(Operation::ExpireTransactions { ids: ids.to_vec() }, deadline).await {
            Ok(_) => {
                tracing::info!(shard = %post.shard().id(), count = ids.len(), "unused transactional ids have expired")
            }
            Err(error) => {
                tracing::debug!(shard = %post.shard().id(), %error, "unused transactional ids stay for now");
                return again_ms;
            }
        }
    }
    next_ms.max(again_ms)
}

/// Ids that are too old, and when the next one may be.
fn too_old(state: &State, now_ms: i64, expiration_ms: i64) -> (Vec<(String, i64)>, i64) {
    let mut old = Vec::new();
    // An id that comes later is not older than now.
    let mut next_ms = now_ms.saturating_add(expiration_ms);
    for record in state.transactions() {
        let expires_ms = record.updated_ms.saturating_add(expiration_ms);
        if record.status.is_under_way() {
            continue;
        }
        if expires_ms <= now_ms {
            old.push((record.transactional_id.clone(), record.updated_ms));
        } else {
            next_ms = next_ms.min(expires_ms);
        }
    }
    (old, next_ms)
}
