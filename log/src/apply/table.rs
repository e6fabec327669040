//! What the operations of compaction do to the state.
//!
//! Invariants: 8, what is not referred to any more becomes garbage in the same entry; 11, a replacement covers exactly the runs that it
//! was made from.

use alluvium_infra::planted::{self, Bug};

use super::{Applier, ApplyError};
use crate::format::convert::{partition_of, uuid_of};
use crate::format::convert_table::table_of;
use crate::format::table_messages::{ForgetObjectsMessage, ReplaceRunsMessage};
use crate::state::{ObjectRef, Run, State};

impl Applier {
    pub(super) fn replace_runs(&self, state: &mut State, message: &ReplaceRunsMessage) -> Result<(), ApplyError> {
        let topic_partition = partition_of(&message.topic, message.partition)?;
        let (object, length, max_timestamp, table) = match &message.file {
            Some(file) => {
                (ObjectRef::Table(uuid_of(&file.id)?), file.length, file.max_timestamp, Some(table_of(file)?))
            }
            None => (ObjectRef::Nothing, 0, i64::MIN, None),
        };
        let partition = self.partition_mut(state, topic_partition)?;
        let wins = planted::is(Bug::ReplacementWins);
        if wins {
            partition.log_start_offset = partition.log_start_offset.min(message.base_offset);
        }
        if !wins && partition.runs_between(message.base_offset, message.last_offset).is_none() {
            return Err(self.inconsistent(format!("runs of {topic_partition} that are replaced are not there")));
        }
        let run = Run {
            base_offset: message.base_offset,
            last_offset: message.last_offset,
            object,
            position: 0,
            length,
            segment_end: 0,
            max_timestamp,
            sum: 0,
        };
        let gone = partition.replace_runs(run, table);
        partition.cleaned_to = partition.cleaned_to.max(message.cleaned_to);
        state.objects.refer(object);
        self.release(state, topic_partition, &gone);
        Ok(())
    }

    pub(super) fn forget_objects(&self, state: &mut State, message: &ForgetObjectsMessage) -> Result<(), ApplyError> {
        for id in &message.segments {
            state.objects.garbage.remove_mut(&ObjectRef::Segment(uuid_of(id)?));
        }
        for id in &message.files {
            state.objects.garbage.remove_mut(&ObjectRef::Table(uuid_of(id)?));
        }
        Ok(())
    }
}
