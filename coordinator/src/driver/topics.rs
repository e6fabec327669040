//! The topics of the cluster as groups of the consumer protocol see them.
//!
//! Invariant: a snapshot is never older than one that was given out before, and two of the same topics are one.

use std::sync::Arc;

use alluvium_log::Shard;
use parking_lot::Mutex;

use crate::consumer_group::Topics;

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
