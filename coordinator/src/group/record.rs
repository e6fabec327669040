//! The durable form of a group, which is the log's.

pub use alluvium_log::{GroupRecord, MemberRecord};

/// Bytes of all text and payloads of a record, to be held against the limit.
pub(super) fn payload_bytes(record: &GroupRecord) -> usize {
    let text_bytes = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let member_bytes = |member: &MemberRecord| {
        let ids = member.member_id.len()
            + text_bytes(&member.instance_id)
            + member.client_id.len()
            + member.client_host.len();
        ids + member.subscription.len() + member.assignment.len()
    };
    record.group.len()
        + record.protocol_type.len()
        + text_bytes(&record.protocol)
        + text_bytes(&record.leader)
        + record.members.iter().map(member_bytes).sum::<usize>()
}
