//! What the coordinator wants done: answers to give and changes to write.
//!
//! Kafka's error codes are not named here; the server maps each [`GroupError`] once.

use bytes::Bytes;
use thiserror::Error;

use super::input::Ticket;
use super::record::GroupRecord;
use crate::consumer_group::{ConsumerGroupChange, ConsumerHeartbeat, HeartbeatRefused};

/// Names a change whose fate must be reported with [`Groups::persisted`](super::Groups::persisted).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PersistToken(pub u64);

/// One thing the caller has to do. Effects are carried out in the order they are given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Give this answer to whoever holds the ticket. A ticket is answered exactly once.
    Respond {
        /// The ticket given with the request.
        ticket: Ticket,
        /// The answer.
        response: Response,
    },
    /// Write this change and report what became of it. A group never has two changes outstanding.
    Persist {
        /// The group that changes.
        group: String,
        /// To report with.
        token: PersistToken,
        /// The change.
        change: GroupChange,
    },
}

/// A change to the durable state of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupChange {
    /// Replace the group's record. Committed offsets are not touched.
    Put(GroupRecord),
    /// Change a group of the consumer protocol. Committed offsets are not touched.
    PutConsumer(ConsumerGroupChange),
    /// Remove the group and all its committed offsets.
    Delete,
}

/// An answer to a request that carried a ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    /// To JoinGroup.
    Join(Result<Joined, JoinRefused>),
    /// To SyncGroup.
    Sync(Result<Synced, GroupError>),
    /// To ConsumerGroupHeartbeat.
    ConsumerHeartbeat(Result<ConsumerHeartbeat, HeartbeatRefused>),
    /// To one group of DeleteGroups.
    Delete(Result<(), GroupError>),
}

/// A member's place in the new generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// The member's id, made here if the request had none.
    pub member_id: String,
    /// The generation.
    pub generation: i32,
    /// The group's protocol type.
    pub protocol_type: String,
    /// The protocol that was chosen.
    pub protocol: String,
    /// The leader's member id.
    pub leader: String,
    /// Whether the leader must not compute a new assignment (KIP-814).
    pub skip_assignment: bool,
    /// All members, for the leader alone.
    pub members: Vec<JoinedMember>,
}

/// One member as its leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinedMember {
    /// The member's id.
    pub member_id: String,
    /// The static member's instance id.
    pub instance_id: Option<String>,
    /// The member's metadata for the chosen protocol.
    pub metadata: Bytes,
}

/// A JoinGroup that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinRefused {
    /// Why.
    pub error: GroupError,
    /// The id to come back with on [`GroupError::MemberIdRequired`], otherwise the id of the request.
    pub member_id: String,
}

/// A member's assignment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synced {
    /// The group's protocol type.
    pub protocol_type: String,
    /// The protocol that was chosen.
    pub protocol: String,
    /// What the leader gave this member; empty if it named none.
    pub assignment: Bytes,
}

/// Why a group request is refused.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GroupError {
    /// The group id is empty or too long.
    #[error("the group id is empty or too long")]
    InvalidGroupId,
    /// The session timeout is outside the bounds of the settings.
    #[error("the session timeout is outside the allowed range")]
    InvalidSessionTimeout,
    /// Protocol type or protocols do not fit those of the other members.
    #[error("the member's protocols are inconsistent with those of the group")]
    InconsistentGroupProtocol,
    /// The member must come back with the id it was just given.
    #[error("the member must join again with the id it was given")]
    MemberIdRequired,
    /// The group has no such member.
    #[error("the group has no such member")]
    UnknownMemberId,
    /// Another process has taken over this instance id.
    #[error("another member has taken over this instance id")]
    FencedInstanceId,
    /// The generation is not the group's.
    #[error("the generation is not that of the group")]
    IllegalGeneration,
    /// The member must join again.
    #[error("the group is rebalancing")]
    RebalanceInProgress,
    /// The group is full.
    #[error("the group has reached its largest size")]
    GroupMaxSizeReached,
    /// Only a group without members can be deleted.
    #[error("the group has members")]
    NonEmptyGroup,
    /// There is no such group.
    #[error("there is no such group")]
    GroupIdNotFound,
    /// Offsets of topics that members are subscribed to cannot be deleted.
    #[error("the group is subscribed to the topic")]
    GroupSubscribedToTopic,
    /// The state could not be written now; the request may be sent again.
    #[error("the coordinator is not available")]
    CoordinatorNotAvailable,
    /// The groups of the shard are being taken over; the request may be sent again.
    #[error("the coordinator is taking the group over")]
    CoordinatorLoadInProgress,
    /// This node no longer coordinates the group; the client should look for the coordinator again.
    #[error("this node does not coordinate the group")]
    NotCoordinator,
    /// The member brings more protocols, longer ids or more metadata than the settings allow.
    #[error("the member's metadata is too large")]
    MetadataTooLarge,
    /// Subscriptions and assignments of all members together are larger than the settings or the log allow.
    #[error("the group's record is too large")]
    RecordTooLarge,
    /// The coordinator holds as many groups as the settings allow.
    #[error("the coordinator holds too many groups")]
    TooManyGroups,
    /// The member's epoch is none that it could have: it must give everything up and join again.
    #[error("the member's epoch is not that of the group")]
    FencedMemberEpoch,
    /// The commit or fetch was sent under an epoch that the member has left behind.
    #[error("the member's epoch is stale")]
    StaleMemberEpoch,
    /// Another member holds this instance id and has not left.
    #[error("another member still holds this instance id")]
    UnreleasedInstanceId,
    /// There is no server-side assignor of this name.
    #[error("there is no such server-side assignor")]
    UnsupportedAssignor,
    /// The regular expression cannot be compiled.
    #[error("the regular expression is not valid")]
    InvalidRegularExpression,
    /// The request contradicts itself or lacks something.
    #[error("the request is not valid")]
    InvalidRequest,
}

/// Why a change was not acknowledged.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq, Hash)]
pub enum PersistError {
    /// Nobody knows: the change may be in the log, or may appear later.
    #[error("the outcome of the write is unknown")]
    Unknown,
    /// The change is definitely not in the log.
    #[error("the log is not available")]
    Unavailable,
    /// This node no longer coordinates the group.
    #[error("this node does not coordinate the group")]
    NotCoordinator,
    /// The log refuses records of this size.
    #[error("the record is too large for the log")]
    TooLarge,
    /// The log has no such group (a deletion found nothing to delete).
    #[error("the log has no such group")]
    GroupNotFound,
    /// The log holds members for a group that was to be deleted.
    #[error("the log holds members of the group")]
    GroupNotEmpty,
}

impl PersistError {
    /// What members waiting for the change are told.
    pub(crate) fn as_group_error(self) -> GroupError {
        match self {
            PersistError::Unknown | PersistError::Unavailable => GroupError::CoordinatorNotAvailable,
            PersistError::NotCoordinator => GroupError::NotCoordinator,
            PersistError::TooLarge => GroupError::RecordTooLarge,
            PersistError::GroupNotFound => GroupError::GroupIdNotFound,
            PersistError::GroupNotEmpty => GroupError::NonEmptyGroup,
        }
    }
}
