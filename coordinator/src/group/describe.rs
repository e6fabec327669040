//! DescribeGroups and ListGroups: groups as administrators see them.

use bytes::Bytes;

use super::state::{Group, State};

/// The type of every group here, as ListGroups names it.
pub const GROUP_TYPE: &str = "classic";

/// One group as DescribeGroups shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupDescription {
    /// The group id.
    pub group: String,
    /// Its state.
    pub state: State,
    /// Its protocol type, empty if nobody ever joined.
    pub protocol_type: String,
    /// The chosen protocol, empty unless the group is stable.
    pub protocol: String,
    /// The members, by member id.
    pub members: Vec<MemberDescription>,
}

/// One member as DescribeGroups shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberDescription {
    /// The member's id.
    pub member_id: String,
    /// The static member's instance id.
    pub instance_id: Option<String>,
    /// From the request header.
    pub client_id: String,
    /// The peer's address when it joined.
    pub client_host: String,
    /// Its metadata for the chosen protocol, empty unless the group is stable.
    pub metadata: Bytes,
    /// Its assignment, empty unless the group is stable.
    pub assignment: Bytes,
}

/// Which groups ListGroups wants; an empty list wants all. Case does not matter.
#[derive(Clone, Debug, Default)]
pub struct GroupFilter {
    /// Names of states (v4 and later).
    pub states: Vec<String>,
    /// Names of group types (v5 and later).
    pub types: Vec<String>,
}

/// One group as ListGroups shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupListing {
    /// The group id.
    pub group: String,
    /// Its protocol type, empty if nobody ever joined.
    pub protocol_type: String,
    /// Its state.
    pub state: State,
}

impl GroupFilter {
    /// Whether a group with these names of state and type is wanted.
    pub(crate) fn admits(&self, state: &str, group_type: &str) -> bool {
        let named = |names: &[String], name: &str| {
            names.is_empty() || names.iter().any(|wanted| wanted.eq_ignore_ascii_case(name))
        };
        named(&self.states, state) && named(&self.types, group_type)
    }
}

impl Group {
    pub(super) fn describe(&self) -> GroupDescription {
        let stable = self.state == State::Stable;
        let protocol = if stable { self.protocol.clone().unwrap_or_default() } else { String::new() };
        let members = self
            .members
            .iter()
            .map(|(member_id, member)| MemberDescription {
                member_id: member_id.clone(),
                instance_id: member.instance_id.clone(),
                client_id: member.client_id.clone(),
                client_host: member.client_host.clone(),
                metadata: if stable { member.metadata(&protocol) } else { Bytes::new() },
                assignment: if stable { member.assignment.clone() } else { Bytes::new() },
            })
            .collect();
        let protocol_type = self.protocol_type.clone().unwrap_or_default();
        GroupDescription { group: self.id.clone(), state: self.state, protocol_type, protocol, members }
    }

    pub(super) fn listing(&self, filter: &GroupFilter) -> Option<GroupListing> {
        filter.admits(self.state.name(), GROUP_TYPE).then(|| GroupListing {
            group: self.id.clone(),
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            state: self.state,
        })
    }
}
