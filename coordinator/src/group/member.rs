//! One member of a group, as its coordinator sees it.
//!
//! Invariants:
//! 1. At most one of `awaiting_join` and `awaiting_sync` is set between two inputs.
//! 2. `session_deadline_ms` is none exactly while an answer is outstanding, except that a new member has one from its
//!    first moment on.

use bytes::Bytes;

use super::effect::JoinedMember;
use super::input::{JoinInput, Ticket};
use super::record::MemberRecord;

#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) instance_id: Option<String>,
    pub(super) client_id: String,
    pub(super) client_host: String,
    pub(super) session_timeout_ms: i32,
    pub(super) rebalance_timeout_ms: i32,
    /// Names are unique; most wanted first.
    pub(super) protocols: Vec<(String, Bytes)>,
    pub(super) assignment: Bytes,
    /// Has never been answered by a completed rebalance.
    pub(super) is_new: bool,
    pub(super) awaiting_join: Option<Ticket>,
    pub(super) awaiting_sync: Option<Ticket>,
    pub(super) session_deadline_ms: Option<i64>,
}

impl Member {
    pub(super) fn from_join(input: &JoinInput) -> Member {
        Member {
            instance_id: input.instance_id.clone(),
            client_id: input.client_id.clone(),
            client_host: input.client_host.clone(),
            session_timeout_ms: input.session_timeout_ms,
            rebalance_timeout_ms: effective_rebalance_timeout_ms(input),
            protocols: input.protocols.clone(),
            assignment: Bytes::new(),
            is_new: true,
            awaiting_join: None,
            awaiting_sync: None,
            session_deadline_ms: None,
        }
    }

    pub(super) fn from_record(record: MemberRecord, protocol: &str) -> Member {
        Member {
            instance_id: record.instance_id,
            client_id: record.client_id,
            client_host: record.client_host,
            session_timeout_ms: record.session_timeout_ms,
            rebalance_timeout_ms: record.rebalance_timeout_ms,
            protocols: vec![(protocol.to_owned(), record.subscription)],
            assignment: record.assignment,
            is_new: false,
            awaiting_join: None,
            awaiting_sync: None,
            session_deadline_ms: None,
        }
    }

    pub(super) fn record(&self, member_id: &str, protocol: &str, assignment: Bytes) -> MemberRecord {
        MemberRecord {
            member_id: member_id.to_owned(),
            instance_id: self.instance_id.clone(),
            client_id: self.client_id.clone(),
            client_host: self.client_host.clone(),
            session_timeout_ms: self.session_timeout_ms,
            rebalance_timeout_ms: self.rebalance_timeout_ms,
            subscription: self.metadata(protocol),
            assignment,
        }
    }

    pub(super) fn joined(&self, member_id: &str, protocol: &str) -> JoinedMember {
        JoinedMember {
            member_id: member_id.to_owned(),
            instance_id: self.instance_id.clone(),
            metadata: self.metadata(protocol),
        }
    }

    /// The member's metadata for a protocol, empty if it does not support it.
    pub(super) fn metadata(&self, protocol: &str) -> Bytes {
        self.protocols.iter().find(|(name, _)| name == protocol).map(|(_, bytes)| bytes.clone()).unwrap_or_default()
    }

    /// Whether an answer is outstanding, which proves life better than a heartbeat would.
    pub(super) fn is_awaiting(&self) -> bool {
        self.awaiting_join.is_some() || self.awaiting_sync.is_some()
    }
}

/// The rebalance timeout of a join; v0 has none and uses the session timeout.
pub(super) fn effective_rebalance_timeout_ms(input: &JoinInput) -> i32 {
    if input.rebalance_timeout_ms < 0 { input.session_timeout_ms } else { input.rebalance_timeout_ms }
}
