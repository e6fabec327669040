//! What groups there are, who is in them and what they were given, in both protocols.
//!
//! The new protocol (KIP-848) has an API of its own, which knows classic groups as absent; the classic API is asked for
//! those. Servers without the new one have classic groups alone.

use std::collections::BTreeMap;

use alluvium_protocol::consumer::{CONSUMER_PROTOCOL_TYPE, decode_assignment, decode_subscription};
use alluvium_protocol::errors::ErrorCode;
use alluvium_protocol::message;
use alluvium_protocol::messages::consumer_group_describe_response as consumer;
use alluvium_protocol::messages::describe_groups_response as classic;
use alluvium_protocol::messages::{ConsumerGroupDescribeRequest, DescribeGroupsRequest, ListGroupsRequest, StrBytes};

use super::connection::Connection;
use super::{ClientError, Cluster};

const LIST_GROUPS_VERSION_MAX: i16 = 5;
const DESCRIBE_GROUPS_VERSION_MAX: i16 = 6;
const CONSUMER_GROUP_DESCRIBE_VERSION_MAX: i16 = 1;
/// Groups asked for in one request.
const GROUPS_AT_ONCE: usize = 100;
/// The state in which the classic protocol shows a group that does not exist.
const STATE_DEAD: &str = "Dead";
/// The word for groups of the classic protocol, which servers before KIP-848 do not send.
const TYPE_CLASSIC: &str = "classic";
/// The word for groups of the new protocol.
const TYPE_CONSUMER: &str = "consumer";

/// A group as its coordinator lists it.
#[derive(Clone, Debug)]
pub(crate) struct ListedGroup {
    pub(crate) group: String,
    /// `classic`, `consumer` or another word of the server.
    pub(crate) group_type: String,
    pub(crate) state: String,
    /// `consumer` for consumers, empty where only offsets were committed.
    pub(crate) protocol_type: String,
    /// Node id.
    pub(crate) coordinator: i32,
}

/// Partitions by topic.
pub(crate) type Share = BTreeMap<String, Vec<i32>>;

/// A member of a group.
#[derive(Clone, Debug, Default)]
pub(crate) struct GroupMember {
    pub(crate) member_id: String,
    /// Of static members.
    pub(crate) instance_id: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) rack: Option<String>,
    /// Of the new protocol.
    pub(crate) epoch: Option<i32>,
    pub(crate) subscribed_topics: Vec<String>,
    pub(crate) subscribed_regex: Option<String>,
    pub(crate) assigned: Share,
    /// What it is to have, in the new protocol.
    pub(crate) target: Option<Share>,
}

/// A group with its members.
#[derive(Clone, Debug)]
pub(crate) struct DescribedGroup {
    pub(crate) group: String,
    pub(crate) group_type: String,
    pub(crate) state: String,
    pub(crate) protocol_type: String,
    /// The assignor.
    pub(crate) protocol: String,
    /// Of the new protocol.
    pub(crate) epoch: Option<i32>,
    /// Of the new protocol.
    pub(crate) assignment_epoch: Option<i32>,
    pub(crate) coordinator: i32,
    pub(crate) members: Vec<GroupMember>,
}

impl Cluster {
    /// All groups of all coordinators, by name.
    pub(crate) async fn groups(&mut self) -> Result<Vec<ListedGroup>, ClientError> {
        let (deadline, mut tries) = (self.deadline(), 0);
        loop {
            match self.groups_once().await {
                Ok(groups) => return Ok(groups),
                Err(error) => self.pause(error, &mut tries, deadline).await?,
            }
        }
    }

    async fn groups_once(&mut self) -> Result<Vec<ListedGroup>, ClientError> {
        let mut groups = BTreeMap::new();
        for node_id in self.node_ids().await? {
            let connection = self.broker(node_id).await?;
            let answer = connection.call(&ListGroupsRequest::default(), LIST_GROUPS_VERSION_MAX).await?;
            ClientError::refused(format!("groups of node {node_id}"), answer.error_code, None)?;
            for listed in answer.groups {
                let group_type = if listed.group_type.is_empty() { TYPE_CLASSIC } else { &listed.group_type };
                let group = ListedGroup {
                    group: listed.group_id.to_string(),
                    group_type: group_type.to_lowercase(),
                    state: listed.group_state.to_string(),
                    protocol_type: listed.protocol_type.to_string(),
                    coordinator: node_id,
                };
                // Two nodes may both show a group that is on its way from one to the other.
                groups.insert(group.group.clone(), group);
            }
        }
        Ok(groups.into_values().collect())
    }

    /// A group with its members. A group that does not exist is an error.
    pub(crate) async fn group(&mut self, group: &str) -> Result<DescribedGroup, ClientError> {
        let (deadline, mut tries) = (self.deadline(), 0);
        loop {
            let called = async {
                let coordinator = self.coordinator(group).await?;
                let described = describe_at(&coordinator.connection, coordinator.node_id, &[group]).await?;
                described.into_iter().next().unwrap_or_else(|| Err(absent(group)))
            };
            match called.await {
                Ok(described) => return Ok(described),
                Err(error) => self.pause(error, &mut tries, deadline).await?,
            }
        }
    }

    /// The members of groups that were listed: many with few requests. What has gone or moved since is left out.
    pub(crate) async fn members_of(
        &mut self,
        listed: &[ListedGroup],
    ) -> Result<BTreeMap<String, DescribedGroup>, ClientError> {
        let mut by_coordinator: BTreeMap<i32, Vec<&str>> = BTreeMap::new();
        for group in listed {
            by_coordinator.entry(group.coordinator).or_default().push(&group.group);
        }
        let mut described = BTreeMap::new();
        for (node_id, groups) in by_coordinator {
            let connection = self.broker(node_id).await?;
            for some in groups.chunks(GROUPS_AT_ONCE) {
                for group in describe_at(&connection, node_id, some).await?.into_iter().flatten() {
                    described.insert(group.group.clone(), group);
                }
            }
        }
        Ok(described)
    }
}

/// The error for a group that is not there.
pub(super) fn absent(group: &str) -> ClientError {
    ClientError::Refused {
        what: format!("group {group}"),
        code: ErrorCode::GroupIdNotFound,
        message: ": there is no such group; `alluvium group list` shows those that there are".to_owned(),
    }
}

/// Describes groups at their coordinator: first those of the new protocol, then the others.
async fn describe_at(
    connection: &Connection,
    coordinator: i32,
    groups: &[&str],
) -> Result<Vec<Result<DescribedGroup, ClientError>>, ClientError> {
    let ids = |groups: &[&str]| groups.iter().map(|group| StrBytes::from(*group)).collect::<Vec<_>>();
    let request = message!(ConsumerGroupDescribeRequest { group_ids: ids(groups) });
    let found = match connection.call(&request, CONSUMER_GROUP_DESCRIBE_VERSION_MAX).await {
        Ok(answer) => answer.groups,
        Err(ClientError::NotServed { .. }) => Vec::new(),
        Err(error) => return Err(error),
    };
    let mut described = Vec::with_capacity(groups.len());
    let mut rest: Vec<&str> = groups.to_vec();
    for group in found {
        let elsewhere = [ErrorCode::GroupIdNotFound, ErrorCode::UnsupportedVersion].map(ErrorCode::code);
        if !elsewhere.contains(&group.error_code) {
            rest.retain(|name| *name != group.group_id.as_str());
            described.push(of_consumer(group, coordinator));
        }
    }
    if !rest.is_empty() {
        let request = message!(DescribeGroupsRequest { groups: ids(&rest) });
        let answer = connection.call(&request, DESCRIBE_GROUPS_VERSION_MAX).await?;
        described.extend(answer.groups.into_iter().map(|group| of_classic(group, coordinator)));
    }
    Ok(described)
}

fn of_consumer(group: consumer::DescribedGroup, coordinator: i32) -> Result<DescribedGroup, ClientError> {
    let what = format!("group {}", group.group_id);
    ClientError::refused(what, group.error_code, group.error_message.as_ref())?;
    let share = |assignment: &consumer::Assignment| -> Share {
        let of = |topic: &consumer::TopicPartitions| (topic.topic_name.to_string(), sorted(&topic.partitions));
        assignment.topic_partitions.iter().map(of).collect()
    };
    let text = |text: &Option<StrBytes>| text.as_ref().map(ToString::to_string);
    let member = |member: &consumer::Member| GroupMember {
        member_id: member.member_id.to_string(),
        instance_id: text(&member.instance_id),
        client_id: member.client_id.to_string(),
        client_host: host(&member.client_host),
        rack: text(&member.rack_id),
        epoch: Some(member.member_epoch),
        subscribed_topics: member.subscribed_topic_names.iter().map(ToString::to_string).collect(),
        subscribed_regex: text(&member.subscribed_topic_regex).filter(|regex| !regex.is_empty()),
        assigned: share(&member.assignment),
        target: Some(share(&member.target_assignment)),
    };
    Ok(DescribedGroup {
        group: group.group_id.to_string(),
        group_type: TYPE_CONSUMER.to_owned(),
        state: group.group_state.to_string(),
        protocol_type: CONSUMER_PROTOCOL_TYPE.to_owned(),
        protocol: group.assignor_name.to_string(),
        epoch: Some(group.group_epoch),
        assignment_epoch: Some(group.assignment_epoch),
        coordinator,
        members: group.members.iter().map(member).collect(),
    })
}

fn of_classic(group: classic::DescribedGroup, coordinator: i32) -> Result<DescribedGroup, ClientError> {
    let not_found = group.error_code == ErrorCode::GroupIdNotFound.code();
    if not_found || (group.error_code == 0 && group.group_state.as_str() == STATE_DEAD) {
        return Err(absent(&group.group_id));
    }
    ClientError::refused(format!("group {}", group.group_id), group.error_code, group.error_message.as_ref())?;
    let of_consumers = group.protocol_type.as_str() == CONSUMER_PROTOCOL_TYPE;
    let member = |member: &classic::DescribedGroupMember| {
        let mut described = GroupMember {
            member_id: member.member_id.to_string(),
            instance_id: member.group_instance_id.as_ref().map(ToString::to_string),
            client_id: member.client_id.to_string(),
            client_host: host(&member.client_host),
            ..GroupMember::default()
        };
        // What members of other protocols say to each other is their own; so is what cannot be read.
        if of_consumers && let Ok((_version, subscription)) = decode_subscription(member.member_metadata.clone()) {
            described.subscribed_topics = subscription.topics.iter().map(ToString::to_string).collect();
            described.rack = subscription.rack_id.as_ref().map(ToString::to_string);
        }
        if of_consumers && let Ok((_version, assignment)) = decode_assignment(member.member_assignment.clone()) {
            let shares = assignment.assigned_partitions.iter();
            described.assigned = shares.map(|share| (share.topic.to_string(), sorted(&share.partitions))).collect();
        }
        described
    };
    Ok(DescribedGroup {
        members: group.members.iter().map(member).collect(),
        group: group.group_id.to_string(),
        group_type: TYPE_CLASSIC.to_owned(),
        state: group.group_state.to_string(),
        protocol_type: group.protocol_type.to_string(),
        protocol: group.protocol_data.to_string(),
        epoch: None,
        assignment_epoch: None,
        coordinator,
    })
}

fn sorted(partitions: &[i32]) -> Vec<i32> {
    let mut partitions = partitions.to_vec();
    partitions.sort_unstable();
    partitions
}

/// Kafka puts a slash before addresses.
fn host(text: &str) -> String {
    text.strip_prefix('/').unwrap_or(text).to_owned()
}

#[cfg(test)]
mod tests {
    use alluvium_protocol::consumer::{encode_assignment, encode_subscription};
    use alluvium_protocol::messages::{
        ConsumerProtocolAssignment, ConsumerProtocolSubscription, consumer_protocol_assignment,
    };
    use bytes::Bytes;

    use super::*;

    fn text(text: &str) -> StrBytes {
        StrBytes::from(text)
    }

    #[test]
    fn classic_members_say_themselves_what_they_have() {
        let share = message!(consumer_protocol_assignment::TopicPartition { topic: text("t"), partitions: vec![2, 0] });
        let assignment = message!(ConsumerProtocolAssignment { assigned_partitions: vec![share] });
        let subscription =
            message!(ConsumerProtocolSubscription { topics: vec![text("t")], rack_id: Some(text("zone-a")) });
        let member = message!(classic::DescribedGroupMember {
            member_id: text("m"),
            group_instance_id: Some(text("static")),
            client_host: text("/10.0.0.1"),
            member_metadata: encode_subscription(3, &subscription).unwrap(),
            member_assignment: encode_assignment(3, &assignment).unwrap(),
        });
        let mut group = message!(classic::DescribedGroup {
            group_id: text("g"),
            group_state: text("Stable"),
            protocol_type: text("consumer"),
            protocol_data: text("range"),
            members: vec![member],
        });
        let described = of_classic(group.clone(), 7).unwrap();
        let member = &described.members[0];
        assert_eq!((described.group_type.as_str(), described.protocol.as_str()), ("classic", "range"));
        assert_eq!(member.assigned, BTreeMap::from([("t".to_owned(), vec![0, 2])]));
        assert_eq!((member.instance_id.as_deref(), member.rack.as_deref()), (Some("static"), Some("zone-a")));
        assert_eq!((member.client_host.as_str(), member.epoch, &member.target), ("10.0.0.1", None, &None));

        // A member that writes what is no subscription is shown without one.
        group.members[0].member_metadata = Bytes::from_static(b"\xff");
        group.members[0].member_assignment = Bytes::new();
        let described = of_classic(group.clone(), 7).unwrap();
        assert!(described.members[0].assigned.is_empty() && described.members[0].subscribed_topics.is_empty());
        group.group_state = text("Dead");
        assert_eq!(of_classic(group, 7).unwrap_err().code(), Some(ErrorCode::GroupIdNotFound));
    }

    #[test]
    fn members_of_the_new_protocol_are_described_by_the_server() {
        let share = |partitions| {
            let topic = message!(consumer::TopicPartitions { topic_name: text("t"), partitions });
            message!(consumer::Assignment { topic_partitions: vec![topic] })
        };
        let member = message!(consumer::Member {
            member_id: text("m"),
            member_epoch: 3,
            subscribed_topic_regex: Some(text("t.*")),
            assignment: share(vec![1]),
            target_assignment: share(vec![1, 0]),
        });
        let mut group = message!(consumer::DescribedGroup {
            group_id: text("g"),
            group_state: text("Reconciling"),
            group_epoch: 4,
            assignment_epoch: 3,
            assignor_name: text("uniform"),
            members: vec![member],
        });
        let described = of_consumer(group.clone(), 7).unwrap();
        assert_eq!((described.epoch, described.assignment_epoch, described.coordinator), (Some(4), Some(3), 7));
        let member = &described.members[0];
        assert_eq!((member.epoch, member.subscribed_regex.as_deref()), (Some(3), Some("t.*")));
        assert_eq!(member.assigned, BTreeMap::from([("t".to_owned(), vec![1])]));
        assert_eq!(member.target, Some(BTreeMap::from([("t".to_owned(), vec![0, 1])])));
        group.error_code = ErrorCode::NotCoordinator.code();
        assert!(of_consumer(group, 7).unwrap_err().is_retriable());
    }
}
