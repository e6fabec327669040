//! The topics of the cluster as groups of the consumer protocol see them.
//!
//! Invariant: a snapshot is never older than one that was given out before, and two of the same topics are one.

use std::sync::Arc;
use std::time::Duration;

use alluvium_infra::Runtime;
use alluvium_log::Shard;
use parking_lot::Mutex;

use crate::consumer_group::Topics;

/// How long a member that joins waits for the log to say whether its topics exist.
const LOOK_MAX: Duration = Duration::from_secs(2);

/// Snapshots of the meta shard's topics.
#[derive(Debug)]
pub(super) struct TopicSnapshots {
    meta: Shard,
    newest: Mutex<(u64, Arc<Topics>)>,
}

impl TopicSnapshots {
    pub(super) fn new(meta: Shard) -> Arc<TopicSnapshots> {
        Arc::new(TopicSnapshots { meta, newest: Mutex::default() })
    }

    /// The shard that has all topics.
    pub(super) fn meta(&self) -> &Shard {
        &self.meta
    }

    /// Reads the log to its end if one of these topics is unknown. Without an answer of the store it stays unknown.
    pub(super) async fn look_for(&self, mut names: impl Iterator<Item = &String>, runtime: &Runtime) {
        let state = self.meta.state();
        if names.any(|name| state.topic_by_name(name).is_none()) {
            let caught_up = runtime.timeout(LOOK_MAX, self.meta.catch_up()).await;
            if !matches!(caught_up, Ok(Ok(_))) {
                tracing::debug!("the log does not say whether a subscribed topic exists");
            }
        }
    }

    /// All topics that this node knows now.
    pub(super) fn snapshot(&self) -> Arc<Topics> {
        let mut newest = self.newest.lock();
        let state = self.meta.state();
        if state.entry_number() > newest.0 {
            let topics = Topics::new(state.topics().map(|topic| (topic.name.clone(), topic.id, topic.partition_count)));
            if *newest.1 != topics {
                newest.1 = Arc::new(topics);
            }
            newest.0 = state.entry_number();
        }
        newest.1.clone()
    }
}
