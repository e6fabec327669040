//! Membership in a classic consumer group: join, share the partitions out, heartbeat, commit, leave.
//!
//! The coordinator may move at any time: requests follow it until time is up.
//!
//! Only one topic is read by a member of ours, but as the leader of a group it has to assign what others read too.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use alluvium_protocol::consumer::{
    CONSUMER_PROTOCOL_TYPE, decode_assignment, decode_subscription, encode_assignment, encode_subscription,
};
use alluvium_protocol::errors::ErrorCode;
use alluvium_protocol::message;
use alluvium_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use alluvium_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use alluvium_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use alluvium_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use alluvium_protocol::messages::{
    ConsumerProtocolAssignment, ConsumerProtocolSubscription, HeartbeatRequest, JoinGroupRequest, JoinGroupResponse,
    LeaveGroupRequest, OffsetCommitRequest, OffsetFetchRequest, RequestResponsePair, StrBytes, SyncGroupRequest,
    consumer_protocol_assignment,
};

use super::connection::Connection;
use super::{ClientError, Cluster};

/// The last versions in the older form of each message (one group a request), which every server has.
const JOIN_GROUP_VERSION_MAX: i16 = 5;
const SYNC_GROUP_VERSION_MAX: i16 = 4;
const HEARTBEAT_VERSION_MAX: i16 = 4;
const LEAVE_GROUP_VERSION_MAX: i16 = 2;
const OFFSET_COMMIT_VERSION_MAX: i16 = 8;
const OFFSET_FETCH_VERSION_MAX: i16 = 7;
const SUBSCRIPTION_VERSION: i16 = 0;
const ASSIGNOR: &str = "range";
const SESSION_TIMEOUT_MS: i32 = 30_000;
const REBALANCE_TIMEOUT_MS: i32 = 60_000;

/// A member of a group, in one of its generations.
#[derive(Debug)]
pub(crate) struct Membership {
    group: String,
    topic: String,
    coordinator: Arc<Connection>,
    member_id: StrBytes,
    generation: i32,
    assigned: Vec<i32>,
}

impl Membership {
    /// Joins a group to read a topic, and waits for a share of its partitions.
    pub(crate) async fn join(cluster: &mut Cluster, group: &str, topic: &str) -> Result<Membership, ClientError> {
        let coordinator = cluster.coordinator(group).await?.connection;
        let mut membership = Membership {
            group: group.to_owned(),
            topic: topic.to_owned(),
            coordinator,
            member_id: StrBytes::default(),
            generation: -1,
            assigned: Vec::new(),
        };
        membership.rejoin(cluster).await?;
        Ok(membership)
    }

    /// The partitions of this member.
    pub(crate) fn assigned(&self) -> &[i32] {
        &self.assigned
    }

    /// Takes part in a rebalance: afterwards there is a new share.
    pub(crate) async fn rejoin(&mut self, cluster: &mut Cluster) -> Result<(), ClientError> {
        let (deadline, mut tries) = (cluster.deadline(), 0);
        loop {
            let error = match self.rejoin_once(cluster).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            match error.code() {
                Some(ErrorCode::RebalanceInProgress | ErrorCode::IllegalGeneration | ErrorCode::MemberIdRequired) => {}
                Some(ErrorCode::UnknownMemberId) => self.member_id = StrBytes::default(),
                _ => {
                    cluster.pause(error, &mut tries, deadline).await?;
                    self.coordinator = cluster.coordinator(&self.group).await?.connection;
                }
            }
            if cluster.runtime().monotonic() >= deadline {
                return ClientError::refused(self.named(), ErrorCode::RequestTimedOut.code(), None);
            }
        }
    }

    fn named(&self) -> String {
        format!("group {}", self.group)
    }

    async fn rejoin_once(&mut self, cluster: &mut Cluster) -> Result<(), ClientError> {
        let joined = self.join_group(cluster).await?;
        self.generation = joined.generation_id;
        let assignments = match joined.leader == self.member_id {
            true => self.assign(cluster, &joined).await?,
            false => Vec::new(),
        };
        let request = message!(SyncGroupRequest {
            group_id: StrBytes::from(self.group.as_str()),
            generation_id: self.generation,
            member_id: self.member_id.clone(),
            assignments,
        });
        let synced = self.coordinator.call(&request, SYNC_GROUP_VERSION_MAX).await?;
        ClientError::refused(self.named(), synced.error_code, None)?;
        self.assigned.clear();
        if synced.assignment.is_empty() {
            return Ok(());
        }
        let (_version, assignment) = decode_assignment(synced.assignment).map_err(|error| self.codec(error))?;
        let own = assignment.assigned_partitions.iter().filter(|share| share.topic.as_str() == self.topic);
        self.assigned = own.flat_map(|share| share.partitions.iter().copied()).collect();
        self.assigned.sort_unstable();
        Ok(())
    }

    async fn join_group(&mut self, cluster: &Cluster) -> Result<JoinGroupResponse, ClientError> {
        let subscription = message!(ConsumerProtocolSubscription { topics: vec![StrBytes::from(self.topic.as_str())] });
        let metadata = encode_subscription(SUBSCRIPTION_VERSION, &subscription).map_err(|error| self.codec(error))?;
        let request = message!(JoinGroupRequest {
            group_id: StrBytes::from(self.group.as_str()),
            session_timeout_ms: SESSION_TIMEOUT_MS,
            rebalance_timeout_ms: REBALANCE_TIMEOUT_MS,
            member_id: self.member_id.clone(),
            protocol_type: StrBytes::from(CONSUMER_PROTOCOL_TYPE),
            protocols: vec![message!(JoinGroupRequestProtocol { name: StrBytes::from(ASSIGNOR), metadata })],
        });
        // The answer comes when all members have joined.
        let patience = cluster.timeout() + std::time::Duration::from_millis(REBALANCE_TIMEOUT_MS as u64);
        let joined = self.coordinator.send(&request, JOIN_GROUP_VERSION_MAX).await?.answer_within(patience).await?;
        if joined.error_code == ErrorCode::MemberIdRequired.code() || joined.error_code == 0 {
            self.member_id = joined.member_id.clone();
        }
        ClientError::refused(self.named(), joined.error_code, None)?;
        Ok(joined)
    }

    /// The leader's part: shares the partitions of every topic out among those who read it.
    async fn assign(
        &self,
        cluster: &mut Cluster,
        joined: &JoinGroupResponse,
    ) -> Result<Vec<SyncGroupRequestAssignment>, ClientError> {
        let mut readers: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for member in &joined.members {
            let (_version, subscription) =
                decode_subscription(member.metadata.clone()).map_err(|error| self.codec(error))?;
            for topic in &subscription.topics {
                readers.entry(topic.to_string()).or_default().insert(member.member_id.to_string());
            }
        }
        let known: BTreeMap<String, usize> =
            cluster.topics().await?.into_iter().map(|topic| (topic.name, topic.partitions.len())).collect();
        let mut shares: BTreeMap<String, Vec<(String, Vec<i32>)>> = BTreeMap::new();
        for (topic, members) in readers {
            let partition_count = known.get(&topic).copied().unwrap_or_default();
            let members: Vec<String> = members.into_iter().collect();
            for (member, partitions) in members.iter().zip(ranges(partition_count, members.len())) {
                shares.entry(member.clone()).or_default().push((topic.clone(), partitions));
            }
        }
        let encode = |member_id: &StrBytes| {
            let own = shares.remove(member_id.as_str()).unwrap_or_default();
            let share = |(topic, partitions): (String, Vec<i32>)| {
                message!(consumer_protocol_assignment::TopicPartition { topic: StrBytes::from(topic), partitions })
            };
            let assignment =
                message!(ConsumerProtocolAssignment { assigned_partitions: own.into_iter().map(share).collect() });
            let assignment = encode_assignment(SUBSCRIPTION_VERSION, &assignment).map_err(|error| self.codec(error))?;
            Ok(message!(SyncGroupRequestAssignment { member_id: member_id.clone(), assignment }))
        };
        joined.members.iter().map(|member| &member.member_id).map(encode).collect()
    }

    fn codec(&self, error: impl std::fmt::Display) -> ClientError {
        ClientError::Codec {
            address: self.coordinator.address().to_owned(),
            api: "the consumer group protocol",
            reason: error.to_string(),
        }
    }

    /// Asks the coordinator, and another one when it moved. `refusal` finds the error inside the answer.
    async fn ask<Q: RequestResponsePair>(
        &mut self,
        cluster: &mut Cluster,
        request: &Q,
        version_max: i16,
        refusal: impl Fn(&Q::Response) -> Result<(), ClientError>,
    ) -> Result<Q::Response, ClientError> {
        let (deadline, mut tries) = (cluster.deadline(), 0);
        loop {
            let answer = self.coordinator.call(request, version_max).await;
            let error = match answer.and_then(|answer| refusal(&answer).map(|()| answer)) {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            cluster.pause(error, &mut tries, deadline).await?;
            self.coordinator = cluster.coordinator(&self.group).await?.connection;
        }
    }

    /// Says that this member is alive; whether the group wants a rebalance.
    pub(crate) async fn heartbeat(&mut self, cluster: &mut Cluster) -> Result<bool, ClientError> {
        let request = message!(HeartbeatRequest {
            group_id: StrBytes::from(self.group.as_str()),
            generation_id: self.generation,
            member_id: self.member_id.clone(),
        });
        let named = self.named();
        let asked = self
            .ask(cluster, &request, HEARTBEAT_VERSION_MAX, |answer| {
                ClientError::refused(named.clone(), answer.error_code, None)
            })
            .await;
        match asked {
            Ok(_) => Ok(false),
            Err(error) if has_moved_on(&error) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Committed offsets of this member's partitions; those without one are left out.
    pub(crate) async fn committed(&mut self, cluster: &mut Cluster) -> Result<BTreeMap<i32, i64>, ClientError> {
        let topic = message!(OffsetFetchRequestTopic {
            name: StrBytes::from(self.topic.as_str()),
            partition_indexes: self.assigned.clone(),
        });
        let request =
            message!(OffsetFetchRequest { group_id: StrBytes::from(self.group.as_str()), topics: Some(vec![topic]) });
        let named = self.named();
        let answer = self
            .ask(cluster, &request, OFFSET_FETCH_VERSION_MAX, |answer| {
                ClientError::refused(named.clone(), answer.error_code, None)?;
                let mut partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
                partitions.try_for_each(|partition| ClientError::refused(named.clone(), partition.error_code, None))
            })
            .await?;
        let partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
        let committed = partitions.filter(|partition| partition.committed_offset >= 0);
        Ok(committed.map(|partition| (partition.partition_index, partition.committed_offset)).collect())
    }

    /// Commits these offsets: the next ones to be read. Whether they are committed; they are not when the group has moved on
    /// without this member, so that others read from the older ones.
    pub(crate) async fn commit(
        &mut self,
        cluster: &mut Cluster,
        positions: &BTreeMap<i32, i64>,
    ) -> Result<bool, ClientError> {
        let partition = |(partition_index, committed_offset): (&i32, &i64)| {
            message!(OffsetCommitRequestPartition {
                partition_index: *partition_index,
                committed_offset: *committed_offset,
                committed_leader_epoch: -1,
                committed_metadata: Some(StrBytes::default()),
            })
        };
        let topic = message!(OffsetCommitRequestTopic {
            name: StrBytes::from(self.topic.as_str()),
            partitions: positions.iter().map(partition).collect(),
        });
        let request = message!(OffsetCommitRequest {
            group_id: StrBytes::from(self.group.as_str()),
            generation_id_or_member_epoch: self.generation,
            member_id: self.member_id.clone(),
            topics: vec![topic],
        });
        let named = self.named();
        let asked = self
            .ask(cluster, &request, OFFSET_COMMIT_VERSION_MAX, |answer| {
                let mut partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
                partitions.try_for_each(|partition| ClientError::refused(named.clone(), partition.error_code, None))
            })
            .await;
        match asked {
            Ok(_) => Ok(true),
            Err(error) if has_moved_on(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Leaves the group, so that others get the partitions at once.
    pub(crate) async fn leave(&self) -> Result<(), ClientError> {
        let request = message!(LeaveGroupRequest {
            group_id: StrBytes::from(self.group.as_str()),
            member_id: self.member_id.clone(),
        });
        let answer = self.coordinator.call(&request, LEAVE_GROUP_VERSION_MAX).await?;
        ClientError::refused(self.named(), answer.error_code, None)
    }
}

/// Whether the group is in another generation than the member, or on its way there.
fn has_moved_on(error: &ClientError) -> bool {
    matches!(
        error.code(),
        Some(ErrorCode::RebalanceInProgress | ErrorCode::IllegalGeneration | ErrorCode::UnknownMemberId)
    )
}

/// Consecutive ranges, the first ones longer by one where it does not come out even.
fn ranges(partition_count: usize, member_count: usize) -> Vec<Vec<i32>> {
    let (each, more) = (partition_count / member_count.max(1), partition_count % member_count.max(1));
    let mut from = 0;
    (0..member_count)
        .map(|member| {
            let count = each + usize::from(member < more);
            let range = (from..from + count).map(|partition| partition as i32).collect();
            from += count;
            range
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::ranges;

    #[test]
    fn ranges_cover_all_partitions() {
        assert_eq!(ranges(5, 2), [vec![0, 1, 2], vec![3, 4]]);
        assert_eq!(ranges(1, 2), [vec![0], vec![]]);
        assert!(ranges(3, 0).is_empty());
    }
}
