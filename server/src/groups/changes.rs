//! Writing the durable state of groups to the log, and reading it back.

use alluvium_coordinator::group::{GroupRecord, MemberRecord};
use alluvium_coordinator::{GroupChange, GroupError, PersistError, PersistToken};
use alluvium_log::{CommitError, Operation};

use super::GroupDriver;
use crate::errors::persist_error;

/// Writes one change and reports what became of it.
pub(super) async fn write(driver: GroupDriver, group: String, token: PersistToken, change: GroupChange) {
    let operation = match change {
        GroupChange::Put(record) => Operation::PutGroup { group: to_log(record) },
        GroupChange::PutConsumer(change) => Operation::PutConsumerGroup { change },
        GroupChange::Delete => Operation::DeleteGroup { group: group.clone() },
    };
    let result: Result<(), CommitError> = driver.shared.log.meta().commit(operation, None).await.map(|_| ());
    let result = result.map_err(|error| {
        tracing::warn!(group, %error, "a change of a consumer group was not written");
        persist_error(&error)
    });
    let outdated = result == Err(PersistError::NotCoordinator);
    driver.act(|groups, now| ((), groups.persisted(now, &group, token, result)));
    if outdated {
        take_over(&driver, &group);
    }
}

/// The log holds a newer generation than this node knew: start again from there.
fn take_over(driver: &GroupDriver, group: &str) {
    let state = driver.shared.log.meta().state();
    driver.act(|groups, _now| ((), groups.forget(group, GroupError::NotCoordinator)));
    if let Some(known) = state.group(group) {
        let record = known.record().map(|record| from_log(record));
        driver.act(|groups, now| ((), groups.restore(now, group, record)));
    }
}

/// The coordinator's form of a record of the log.
pub(super) fn from_log(record: &alluvium_log::GroupRecord) -> GroupRecord {
    GroupRecord {
        group: record.group.clone(),
        generation: record.generation,
        protocol_type: record.protocol_type.clone(),
        protocol: record.protocol.clone(),
        leader: record.leader.clone(),
        members: record
            .members
            .iter()
            .map(|member| MemberRecord {
                member_id: member.member_id.clone(),
                instance_id: member.instance_id.clone(),
                client_id: member.client_id.clone(),
                client_host: member.client_host.clone(),
                session_timeout_ms: member.session_timeout_ms,
                rebalance_timeout_ms: member.rebalance_timeout_ms,
                subscription: member.subscription.clone(),
                assignment: member.assignment.clone(),
            })
            .collect(),
        updated_ms: record.updated_ms,
    }
}

/// The log's form of a record of the coordinator.
fn to_log(record: GroupRecord) -> alluvium_log::GroupRecord {
    alluvium_log::GroupRecord {
        group: record.group,
        generation: record.generation,
        protocol_type: record.protocol_type,
        protocol: record.protocol,
        leader: record.leader,
        members: record
            .members
            .into_iter()
            .map(|member| alluvium_log::MemberRecord {
                member_id: member.member_id,
                instance_id: member.instance_id,
                client_id: member.client_id,
                client_host: member.client_host,
                session_timeout_ms: member.session_timeout_ms,
                rebalance_timeout_ms: member.rebalance_timeout_ms,
                // Slices of a request would keep the whole request in memory for as long as the group lives.
                subscription: bytes::Bytes::copy_from_slice(&member.subscription),
                assignment: bytes::Bytes::copy_from_slice(&member.assignment),
            })
            .collect(),
        updated_ms: record.updated_ms,
    }
}
