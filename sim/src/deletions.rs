//! What the world knows of objects that come and go: each was named after it was there, and went when nobody could need it.
//!
//! Invariants: 3, an entry names only what is in the bucket when it becomes durable; 8, what is deleted is not referred to, has
//! not been for the grace, and is behind a checkpoint of that age. All of it is by the world's own replay and clock.

use std::collections::BTreeMap;

use alluvium_log::format::entry;
use alluvium_log::format::messages::OperationKind;
use alluvium_log::paths::{ClusterPaths, ShardPaths};
use alluvium_log::{ObjectRef, State, TablePlace};
use alluvium_record::ShardId;
use bytes::Bytes;
use uuid::Uuid;

use crate::checkers::durable::partition;
use crate::history::{History, Microseconds};
use crate::world::Replayed;

/// When each object that is in the bucket came there first.
#[derive(Debug, Default)]
pub(crate) struct Objects {
    since_us: BTreeMap<String, Microseconds>,
}

/// What is looked at when an object is deleted.
pub(crate) struct Deletion<'a> {
    pub(crate) path: &'a str,
    pub(crate) now_us: Microseconds,
    /// How long entries and garbage stay.
    pub(crate) grace_us: Microseconds,
    pub(crate) paths: &'a ClusterPaths,
    pub(crate) replayed: &'a Replayed,
    pub(crate) history: &'a History,
}

impl Objects {
    pub(crate) fn stored(&mut self, path: &str, now_us: Microseconds) {
        self.since_us.entry(path.to_owned()).or_insert(now_us);
    }

    /// What an entry names that is not there.
    pub(crate) fn missing(&self, bytes: &Bytes, paths: &ShardPaths) -> Vec<String> {
        let Ok(entry) = entry::decode(bytes) else { return Vec::new() };
        let segments = entry.message.segments.iter().filter_map(|segment| Uuid::from_slice(&segment.id).ok());
        let mut named: Vec<String> = segments.map(|id| paths.segment(id).to_string()).collect();
        for operation in &entry.message.operations {
            let Some(OperationKind::ReplaceRuns(message)) = &operation.kind else { continue };
            let id = message.file.as_ref().and_then(|file| Uuid::from_slice(&file.id).ok());
            if let (Some(id), Ok(topic_partition)) = (id, partition(&message.topic, message.partition)) {
                let (base_offset, last_offset) = (message.base_offset, message.last_offset);
                named.push(paths.table(TablePlace { topic_partition, base_offset, last_offset }, id).to_string());
            }
        }
        named.retain(|path| !self.since_us.contains_key(path));
        named
    }

    /// An object goes; what is wrong about that.
    pub(crate) fn deleted(&mut self, deletion: &Deletion<'_>) -> Option<String> {
        self.since_us.remove(deletion.path);
        let path = deletion.path;
        let (shard, object) = object_at(path, deletion.paths, deletion.replayed)?;
        let states = deletion.replayed.get(&shard)?;
        if states.last()?.references(object) > 0 {
            return Some(format!("{path} is deleted, and runs refer to it"));
        }
        let is_young = |since_us: Microseconds| deletion.now_us.saturating_sub(since_us) < deletion.grace_us;
        // Since when nobody needs it, and the entry that a checkpoint has to cover.
        let (free_us, number) = match (object, freed(states, object)) {
            // What came late into a slot that had been collected was never needed.
            (ObjectRef::Entry(number), _) => (slot_us(deletion.history, shard, number)?, number),
            (_, Some(freed)) => (slot_us(deletion.history, shard, freed)?, freed),
            // Nobody ever named it: that nobody ever will is seen when somebody does.
            (_, None) => return None,
        };
        if is_young(free_us) {
            let ms = deletion.now_us.saturating_sub(free_us) / 1000;
            return Some(format!("{path} is deleted {ms} ms after it became garbage"));
        }
        let prefix = deletion.paths.shard(shard).checkpoint_prefix();
        let covered = self.since_us.range(prefix.clone()..).take_while(|(path, _)| path.starts_with(&prefix)).any(
            |(path, since_us)| {
                ShardPaths::parse_number(path).is_some_and(|covering| covering >= number) && !is_young(*since_us)
            },
        );
        (!covered).then(|| format!("{path} is deleted, and no checkpoint that is old enough covers entry {number}"))
    }
}

fn object_at(path: &str, paths: &ClusterPaths, replayed: &Replayed) -> Option<(ShardId, ObjectRef)> {
    let name = path.rsplit('/').next().unwrap_or_default();
    replayed.keys().find_map(|shard| {
        let paths = paths.shard(*shard);
        let object = if path.starts_with(&paths.entry_prefix()) {
            ShardPaths::parse_number(path).map(ObjectRef::Entry)
        } else if path.starts_with(&paths.segment_prefix()) {
            Uuid::parse_str(name).ok().map(ObjectRef::Segment)
        } else if path.starts_with(&paths.table_prefix()) {
            ShardPaths::parse_table(path).map(|(_, id)| ObjectRef::Table(id))
        } else {
            None
        };
        Some((*shard, object?))
    })
}

/// The entry that took the last reference to an object, when it ever had one.
fn freed(states: &[State], object: ObjectRef) -> Option<u64> {
    states.iter().rev().find(|state| state.references(object) > 0).map(|state| state.entry_number() + 1)
}

fn slot_us(history: &History, shard: ShardId, number: u64) -> Option<Microseconds> {
    let is_it = |slot: &&crate::history::SlotWritten| slot.shard == shard && slot.number == number && !slot.again;
    history.slots.iter().find(is_it).map(|slot| slot.at_us)
}
