//! The durable form of a group, which is the log's.
//!
//! A change replaces what it names and leaves the rest as it is: members put are put whole, so a change that was
//! written twice, or whose fate was unknown and that is written again with more, has the effect of one.

pub use alluvium_log::{ClassicMemberRecord, ConsumerGroupChange, ConsumerGroupRecord, ConsumerMemberRecord};

/// A whole group as one change.
pub(crate) fn as_change(record: &ConsumerGroupRecord) -> ConsumerGroupChange {
    ConsumerGroupChange {
        group: record.group.clone(),
        epoch: record.epoch,
        assignment_epoch: record.assignment_epoch,
        put: record.members.values().map(|member| member.as_ref().clone()).collect(),
        remove: Vec::new(),
        updated_ms: record.updated_ms,
    }
}
