//! ConsumerGroupDescribe and ListGroups: groups as administrators see them.

use alluvium_record::TopicPartition;

use super::settings::ConsumerGroupSettings;
use super::state::{ConsumerGroupState, Group};
use super::topics::Topics;

/// The type of every group here, as ListGroups names it.
pub const CONSUMER_GROUP_TYPE: &str = "consumer";
/// The protocol type of every group here, as ListGroups names it.
pub const CONSUMER_GROUP_PROTOCOL_TYPE: &str = "consumer";

/// One group as ConsumerGroupDescribe shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerGroupDescription {
    /// The group id.
    pub group: String,
    /// Its state.
    pub state: ConsumerGroupState,
    /// Its epoch.
    pub epoch: i32,
    /// The epoch that the targets were computed for.
    pub assignment_epoch: i32,
    /// The name of the assignor.
    pub assignor: String,
    /// The members, by member id.
    pub members: Vec<ConsumerMemberDescription>,
}

/// One member as ConsumerGroupDescribe shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerMemberDescription {
    /// The member's id.
    pub member_id: String,
    /// The static member's instance id.
    pub instance_id: Option<String>,
    /// The rack of the client.
    pub rack_id: Option<String>,
    /// Its epoch.
    pub member_epoch: i32,
    /// From the request header.
    pub client_id: String,
    /// The peer's address.
    pub client_host: String,
    /// The topics it names.
    pub subscribed_topics: Vec<String>,
    /// The expression it is subscribed to.
    pub subscribed_regex: Option<String>,
    /// What it owns, with the topics' names.
    pub assigned: Vec<(TopicPartition, String)>,
    /// What it is to own, with the topics' names.
    pub target: Vec<(TopicPartition, String)>,
    /// Whether it speaks the classic protocol.
    pub is_classic: bool,
}

impl Group {
    pub(super) fn describe(&self, settings: &ConsumerGroupSettings, topics: &Topics) -> ConsumerGroupDescription {
        let named = |partitions: &std::collections::BTreeSet<TopicPartition>| {
            // A topic that is gone has no name any more, and is nobody's business.
            let named =
                partitions.iter().filter_map(|partition| Some((*partition, topics.name(partition.topic)?.to_owned())));
            named.collect::<Vec<_>>()
        };
        let members = self
            .members
            .iter()
            .map(|(member_id, member)| ConsumerMemberDescription {
                member_id: member_id.clone(),
                instance_id: member.instance_id.clone(),
                rack_id: member.rack_id.clone(),
                member_epoch: member.epoch,
                client_id: member.client_id.clone(),
                client_host: member.client_host.clone(),
                subscribed_topics: member.subscription.topics.clone(),
                subscribed_regex: member.subscription.regex.clone(),
                assigned: named(&member.assigned),
                target: named(&member.target),
                is_classic: member.classic.is_some(),
            })
            .collect();
        ConsumerGroupDescription {
            group: self.id.clone(),
            state: self.state(),
            epoch: self.epoch,
            assignment_epoch: self.assignment_epoch,
            assignor: self.assignor(settings).name().to_owned(),
            members,
        }
    }
}
