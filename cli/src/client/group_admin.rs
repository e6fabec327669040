//! Changing what a group has committed, and deleting groups, from outside: without being a member.

use std::collections::BTreeMap;

use alluvium_protocol::errors::ErrorCode;
use alluvium_protocol::message;
use alluvium_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use alluvium_protocol::messages::offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
use alluvium_protocol::messages::{
    DeleteGroupsRequest, OffsetCommitRequest, OffsetDeleteRequest, OffsetFetchRequest, StrBytes,
};

use super::group_describe::absent;
use super::{ClientError, Cluster};

/// The last version with one group a request.
const OFFSET_FETCH_VERSION_MAX: i16 = 7;
/// The last version that names topics.
const OFFSET_COMMIT_VERSION_MAX: i16 = 9;
const OFFSET_DELETE_VERSION_MAX: i16 = 0;
const DELETE_GROUPS_VERSION_MAX: i16 = 2;
/// The generation of whoever is no member.
const NO_GENERATION: i32 = -1;

/// A partition by the name of its topic.
pub(crate) type NamedPartition = (String, i32);

/// A committed offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Committed {
    pub(crate) offset: i64,
    pub(crate) metadata: String,
}

impl Cluster {
    /// All offsets that a group has committed.
    pub(crate) async fn committed_offsets(
        &mut self,
        group: &str,
    ) -> Result<BTreeMap<NamedPartition, Committed>, ClientError> {
        let request = message!(OffsetFetchRequest { group_id: StrBytes::from(group), topics: None });
        let answer = self
            .at_coordinator(group, &request, OFFSET_FETCH_VERSION_MAX, |answer| {
                let all = answer.topics.iter().flat_map(|topic| &topic.partitions);
                let first = all.map(|partition| partition.error_code).find(|code| *code != 0);
                refused(group, first.unwrap_or(answer.error_code))
            })
            .await?;
        let mut committed = BTreeMap::new();
        for topic in &answer.topics {
            for partition in topic.partitions.iter().filter(|partition| partition.committed_offset >= 0) {
                let metadata = partition.metadata.as_ref().map_or_else(String::new, ToString::to_string);
                let found = Committed { offset: partition.committed_offset, metadata };
                committed.insert((topic.name.to_string(), partition.partition_index), found);
            }
        }
        Ok(committed)
    }

    /// Commits offsets for a group without members; makes the group when there is none.
    pub(crate) async fn set_offsets(
        &mut self,
        group: &str,
        offsets: &BTreeMap<NamedPartition, i64>,
    ) -> Result<(), ClientError> {
        let mut topics: BTreeMap<&str, Vec<OffsetCommitRequestPartition>> = BTreeMap::new();
        for ((topic, partition), offset) in offsets {
            topics.entry(topic).or_default().push(message!(OffsetCommitRequestPartition {
                partition_index: *partition,
                committed_offset: *offset,
                committed_leader_epoch: -1,
                committed_metadata: Some(StrBytes::default()),
            }));
        }
        let topic = |(name, partitions)| message!(OffsetCommitRequestTopic { name: StrBytes::from(name), partitions });
        let request = message!(OffsetCommitRequest {
            group_id: StrBytes::from(group),
            generation_id_or_member_epoch: NO_GENERATION,
            topics: topics.into_iter().map(topic).collect(),
        });
        self.at_coordinator(group, &request, OFFSET_COMMIT_VERSION_MAX, |answer| {
            answer.topics.iter().try_for_each(|topic| {
                topic.partitions.iter().try_for_each(|partition| {
                    let what = format!("group {group}, topic {}, partition {}", topic.name, partition.partition_index);
                    not_empty(group, ClientError::refused(what, partition.error_code, None))
                })
            })
        })
        .await?;
        Ok(())
    }

    /// Forgets committed offsets of a group, of topics that no member reads.
    pub(crate) async fn delete_offsets(
        &mut self,
        group: &str,
        partitions: &[NamedPartition],
    ) -> Result<(), ClientError> {
        let mut topics: BTreeMap<&str, Vec<OffsetDeleteRequestPartition>> = BTreeMap::new();
        for (topic, partition) in partitions {
            let partition = message!(OffsetDeleteRequestPartition { partition_index: *partition });
            topics.entry(topic).or_default().push(partition);
        }
        let topic = |(name, partitions)| message!(OffsetDeleteRequestTopic { name: StrBytes::from(name), partitions });
        let request = message!(OffsetDeleteRequest {
            group_id: StrBytes::from(group),
            topics: topics.into_iter().map(topic).collect(),
        });
        self.at_coordinator(group, &request, OFFSET_DELETE_VERSION_MAX, |answer| {
            refused(group, answer.error_code)?;
            answer.topics.iter().try_for_each(|topic| {
                topic.partitions.iter().try_for_each(|partition| {
                    let what = format!("group {group}, topic {}, partition {}", topic.name, partition.partition_index);
                    match ErrorCode::from_code(partition.error_code) {
                        Some(code @ ErrorCode::GroupSubscribedToTopic) => Err(ClientError::Refused {
                            what,
                            code,
                            message: ": a member of the group reads the topic; stop it first".to_owned(),
                        }),
                        _ => ClientError::refused(what, partition.error_code, None),
                    }
                })
            })
        })
        .await?;
        Ok(())
    }

    /// Deletes a group without members, with all that it has committed.
    pub(crate) async fn delete_group(&mut self, group: &str) -> Result<(), ClientError> {
        let request = message!(DeleteGroupsRequest { groups_names: vec![StrBytes::from(group)] });
        self.at_coordinator(group, &request, DELETE_GROUPS_VERSION_MAX, |answer| {
            answer.results.iter().try_for_each(|result| refused(group, result.error_code))
        })
        .await?;
        Ok(())
    }
}

fn refused(group: &str, code: i16) -> Result<(), ClientError> {
    if code == ErrorCode::GroupIdNotFound.code() {
        return Err(absent(group));
    }
    not_empty(group, ClientError::refused(format!("group {group}"), code, None))
}

/// Says what to do where members stand in the way.
fn not_empty(group: &str, result: Result<(), ClientError>) -> Result<(), ClientError> {
    let members = [ErrorCode::NonEmptyGroup, ErrorCode::UnknownMemberId, ErrorCode::RebalanceInProgress];
    match result {
        Err(ClientError::Refused { what, code, .. }) if members.contains(&code) => Err(ClientError::Refused {
            what,
            code,
            message: format!(": the group has members; stop them first (`alluvium group describe {group}` shows them)"),
        }),
        other => other,
    }
}
