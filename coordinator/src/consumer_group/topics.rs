//! The topics of the cluster, as far as assigning partitions needs to know them: a snapshot that the caller supplies.

use std::collections::BTreeMap;

use alluvium_record::TopicId;

/// The id and the size of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicSize {
    /// Its id.
    pub id: TopicId,
    /// How many partitions it has.
    pub partition_count: i32,
}

/// All topics at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topics {
    by_name: BTreeMap<String, TopicSize>,
    names: BTreeMap<TopicId, String>,
}

impl Topics {
    /// A snapshot of these topics: name, id and number of partitions.
    pub fn new(topics: impl IntoIterator<Item = (String, TopicId, i32)>) -> Topics {
        let mut snapshot = Topics::default();
        for (name, id, partition_count) in topics {
            snapshot.names.insert(id, name.clone());
            snapshot.by_name.insert(name, TopicSize { id, partition_count });
        }
        snapshot
    }

    /// The topic of this name.
    pub fn by_name(&self, name: &str) -> Option<TopicSize> {
        self.by_name.get(name).copied()
    }

    /// The name of a topic.
    pub fn name(&self, id: TopicId) -> Option<&str> {
        self.names.get(&id).map(String::as_str)
    }

    /// All topics, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, TopicSize)> {
        self.by_name.iter().map(|(name, size)| (name.as_str(), *size))
    }
}
