//! Objects that runs refer to: what they are, where they are, how often they are referred to, and what nobody refers to any more.
//!
//! Invariant 8: an object is on the garbage list from the entry on that took the last reference to it, until it is forgotten; nothing
//! that a run refers to is on it. (Entries are not listed: what the log itself needs decides about them.)

use alluvium_infra::store::StorePath;
use alluvium_record::TopicPartition;
use rpds::RedBlackTreeMapSync;
use uuid::Uuid;

use super::partition::Run;
use crate::paths::ShardPaths;

/// The object that holds a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ObjectRef {
    /// The data part of an entry.
    Entry(u64),
    /// A segment.
    Segment(Uuid),
    /// A Parquet file, which holds one run and nothing else.
    Table(Uuid),
    /// No object: compaction left no record of the run.
    Nothing,
}

/// Which run a Parquet file was made for. Its path says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TablePlace {
    /// The partition.
    pub topic_partition: TopicPartition,
    /// First offset of the run.
    pub base_offset: i64,
    /// Last offset of the run.
    pub last_offset: i64,
}

/// An object that nobody refers to any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Garbage {
    /// The entry that took the last reference.
    pub entry_number: u64,
    /// Its timestamp, milliseconds since 1970.
    pub since_ms: i64,
    /// Of a Parquet file, what its path says.
    pub place: Option<TablePlace>,
}

impl Garbage {
    /// Where the object is.
    #[must_use]
    pub fn path(&self, object: ObjectRef, paths: &ShardPaths) -> Option<StorePath> {
        match (object, self.place) {
            (ObjectRef::Entry(number), _) => Some(paths.entry(number)),
            (ObjectRef::Segment(id), _) => Some(paths.segment(id)),
            (ObjectRef::Table(id), Some(place)) => Some(paths.table(place, id)),
            (ObjectRef::Table(_), None) | (ObjectRef::Nothing, _) => None,
        }
    }
}

/// How often runs refer to each object of a shard, and what they do not refer to any more.
#[derive(Debug, Clone)]
pub(crate) struct Objects {
    references: RedBlackTreeMapSync<ObjectRef, u32>,
    pub(crate) garbage: RedBlackTreeMapSync<ObjectRef, Garbage>,
}

impl Default for Objects {
    fn default() -> Self {
        Self { references: RedBlackTreeMapSync::new_sync(), garbage: RedBlackTreeMapSync::new_sync() }
    }
}

impl Objects {
    /// How many runs refer to an object.
    pub(crate) fn references(&self, object: ObjectRef) -> u32 {
        self.references.get(&object).copied().unwrap_or(0)
    }

    pub(crate) fn referenced(&self) -> impl Iterator<Item = ObjectRef> {
        self.references.keys().copied()
    }

    /// Takes note of a new run.
    pub(crate) fn refer(&mut self, object: ObjectRef) {
        if object != ObjectRef::Nothing {
            let count = self.references(object) + 1;
            self.references.insert_mut(object, count);
        }
    }

    /// Takes note that a run went with an entry.
    pub(crate) fn release(&mut self, topic_partition: TopicPartition, run: &Run, entry_number: u64, since_ms: i64) {
        let count = self.references(run.object);
        if count > 1 {
            self.references.insert_mut(run.object, count - 1);
            return;
        }
        self.references.remove_mut(&run.object);
        let place = match run.object {
            ObjectRef::Entry(_) | ObjectRef::Nothing => return,
            ObjectRef::Segment(_) => None,
            ObjectRef::Table(_) => {
                let (base_offset, last_offset) = (run.base_offset, run.last_offset);
                Some(TablePlace { topic_partition, base_offset, last_offset })
            }
        };
        self.garbage.insert_mut(run.object, Garbage { entry_number, since_ms, place });
    }
}
