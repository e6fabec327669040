//! Classic groups that become consumer groups, and consumer groups that come (back) here.

use super::Groups;
use super::effect::{Effect, GroupError};
use super::member::Member;
use super::state::{CONSUMER_PROTOCOL_TYPE, Group, State};
use crate::consumer_group::{ClassicGroup, ClassicGroupMember};

impl Groups {
    /// Whether there is such a group.
    pub fn contains(&self, group: &str) -> bool {
        self.groups.contains_key(group)
    }

    /// The group in the form in which it can become a consumer group. It stays here until it is forgotten.
    pub(crate) fn export(&self, group: &str) -> Result<ClassicGroup, GroupError> {
        let group = self.groups.get(group).ok_or(GroupError::GroupIdNotFound)?;
        if group.state == State::Dead || !group.queue.is_idle() {
            // What is on its way to the log must arrive first.
            return Err(GroupError::CoordinatorNotAvailable);
        }
        if !group.members.is_empty() && !group.is_consumer_group() {
            return Err(GroupError::InconsistentGroupProtocol);
        }
        let members = group
            .members
            .iter()
            .map(|(member_id, member)| ClassicGroupMember {
                member_id: member_id.clone(),
                instance_id: member.instance_id.clone(),
                client_id: member.client_id.clone(),
                client_host: member.client_host.clone(),
                session_timeout_ms: member.session_timeout_ms,
                rebalance_timeout_ms: member.rebalance_timeout_ms,
                protocols: member.protocols.clone(),
                assignment: member.assignment.clone(),
            })
            .collect();
        let protocol = group.protocol.clone();
        Ok(ClassicGroup { group: group.id.clone(), generation: group.generation, protocol, members })
    }

    /// Takes a consumer group over: its members are asked to join again. The log learns of it by the next generation;
    /// until then it would come back as what it was.
    pub(crate) fn adopt(&mut self, now: i64, consumer: ClassicGroup) -> Vec<Effect> {
        let id = consumer.group.clone();
        if self.groups.contains_key(&id) {
            return Vec::new();
        }
        let now = self.advance(now);
        let mut group = Group::new(&id, now);
        group.in_log = true;
        group.generation = consumer.generation;
        self.groups.insert(id.clone(), group);
        self.act(now, &id, |group, context| {
            let member_ids: Vec<String> = consumer.members.iter().map(|member| member.member_id.clone()).collect();
            for member in consumer.members {
                let member_id = member.member_id.clone();
                group.insert_member(&member_id, Member::from_consumer_group(member));
            }
            if member_ids.is_empty() {
                return;
            }
            group.protocol_type = Some(CONSUMER_PROTOCOL_TYPE.to_owned());
            group.protocol = group.elect_protocol();
            group.state = State::Stable;
            for member_id in &member_ids {
                group.restart_session(context, member_id);
            }
            group.prepare_rebalance(context);
        })
        .1
    }
}

impl Member {
    fn from_consumer_group(member: ClassicGroupMember) -> Member {
        Member {
            instance_id: member.instance_id,
            client_id: member.client_id,
            client_host: member.client_host,
            session_timeout_ms: member.session_timeout_ms,
            rebalance_timeout_ms: member.rebalance_timeout_ms,
            protocols: member.protocols,
            assignment: member.assignment,
            is_new: false,
            awaiting_join: None,
            awaiting_sync: None,
            session_deadline_ms: None,
        }
    }
}
