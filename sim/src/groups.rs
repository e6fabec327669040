//! Consumer groups of one node: the driver that serves clients, asked in the simulation's words.

use std::sync::Arc;
use std::time::Duration;

use alluvium_coordinator::consumer_group::{ConsumerGroupSettings, FetchInput};
use alluvium_coordinator::group::{CommitInput, HeartbeatInput, JoinInput, SyncInput};
use alluvium_coordinator::{CoordinatorParts, Coordinators, GroupSettings, Leadership, OffsetsError, Ticket};
use alluvium_infra::Runtime;
use alluvium_infra::runtime::Instant;
use alluvium_log::{CommitError, CommittedOffset, Log, TransactionTag};
use alluvium_record::TopicPartition;
use bytes::Bytes;

use crate::history::Outcome;

/// Far longer than any run: expiry of offsets has tests of its own.
const OFFSETS_RETENTION: Duration = Duration::from_secs(7 * 86_400);

/// Consumer groups of one node.
#[derive(Clone, Debug)]
pub struct Groups {
    coordinators: Coordinators,
    runtime: Runtime,
}

impl Groups {
    /// Coordinates the groups of the shards that `leadership` says this node leads.
    #[must_use]
    pub fn start(log: Log, leadership: Arc<dyn Leadership>, runtime: Runtime) -> Self {
        let coordinators = Coordinators::start(CoordinatorParts {
            log,
            leadership,
            settings: GroupSettings::default(),
            consumer_settings: ConsumerGroupSettings::default(),
            offsets_retention: OFFSETS_RETENTION,
            runtime: runtime.clone(),
        });
        Self { coordinators, runtime }
    }

    /// JoinGroup.
    pub async fn join(&self, group: &str, member: &str) -> Outcome {
        let input = JoinInput {
            ticket: Ticket(0),
            group: group.to_owned(),
            member_id: member.to_owned(),
            instance_id: None,
            client_id: "sim".to_owned(),
            client_host: "sim".to_owned(),
            session_timeout_ms: 10_000,
            rebalance_timeout_ms: 10_000,
            protocol_type: "consumer".to_owned(),
            protocols: vec![("range".to_owned(), Bytes::from_static(b"sim"))],
            member_id_required: false,
            skip_assignment_supported: true,
            fresh_id: self.runtime.random_uuid(),
        };
        match self.coordinators.join(input).await {
            Ok(joined) => Outcome::Joined {
                member: joined.member_id,
                generation: joined.generation,
                members: joined.members.into_iter().map(|member| member.member_id).collect(),
            },
            Err(refused) => Outcome::Refused(refused.error.to_string()),
        }
    }

    /// SyncGroup.
    pub async fn sync(&self, group: &str, member: &str, generation: i32, assignments: &[(String, String)]) -> Outcome {
        let input = SyncInput {
            ticket: Ticket(0),
            group: group.to_owned(),
            generation,
            member_id: member.to_owned(),
            instance_id: None,
            protocol_type: None,
            protocol: None,
            assignments: assignments
                .iter()
                .map(|(member, assignment)| (member.clone(), Bytes::from(assignment.clone())))
                .collect(),
        };
        match self.coordinators.sync(input).await {
            Ok(synced) => Outcome::Synced(String::from_utf8_lossy(&synced.assignment).into_owned()),
            Err(error) => Outcome::Refused(error.to_string()),
        }
    }

    /// Heartbeat.
    pub async fn heartbeat(&self, group: &str, member: &str, generation: i32) -> Outcome {
        let input =
            HeartbeatInput { group: group.to_owned(), generation, member_id: member.to_owned(), instance_id: None };
        match self.coordinators.heartbeat(&input).await {
            Ok(()) => Outcome::Done { entry: 0 },
            Err(error) => Outcome::Refused(error.to_string()),
        }
    }

    /// OffsetCommit of one partition, by a member or by somebody who is none.
    pub async fn commit(
        &self,
        group: &str,
        member: Option<&(i32, String)>,
        offset: (TopicPartition, CommittedOffset),
        deadline: Instant,
    ) -> Outcome {
        let (generation, member_id) = member.cloned().unwrap_or((-1, String::new()));
        let input =
            CommitInput { group: group.to_owned(), generation, member_id, instance_id: None, transactional: false };
        match self.coordinators.commit_offsets(&input, vec![offset], Some(deadline)).await {
            Ok(entry) => Outcome::Done { entry },
            Err(OffsetsError::Commit(CommitError::Unknown)) => Outcome::Unknown,
            Err(error) => Outcome::Refused(error.to_string()),
        }
    }

    /// TxnOffsetCommit of one partition, by somebody who is no member.
    pub async fn commit_in_transaction(
        &self,
        group: &str,
        producer: (i64, i16),
        transaction: TransactionTag,
        offset: (TopicPartition, CommittedOffset),
        deadline: Instant,
    ) -> Outcome {
        let input = CommitInput {
            group: group.to_owned(),
            generation: -1,
            member_id: String::new(),
            instance_id: None,
            transactional: true,
        };
        let committing =
            self.coordinators.commit_transaction_offsets(&input, producer, transaction, vec![offset], Some(deadline));
        match committing.await {
            Ok(entry) => Outcome::Done { entry },
            Err(OffsetsError::Commit(CommitError::Unknown)) => Outcome::Unknown,
            Err(error) => Outcome::Refused(error.to_string()),
        }
    }

    /// OffsetFetch of one partition; refused when it is to be stable and a transaction is about to commit another offset.
    pub async fn fetch(&self, group: &str, topic_partition: TopicPartition, stable: bool) -> Outcome {
        let input = FetchInput { group: group.to_owned(), member_id: None, member_epoch: -1 };
        match self.coordinators.fetch_offsets(&input).await {
            Ok(state)
                if stable && state.group(group).is_some_and(|known| known.has_pending_offset(topic_partition)) =>
            {
                Outcome::Refused("a transaction is about to commit another offset".to_owned())
            }
            Ok(state) => Outcome::CommittedOffset(
                state
                    .group(group)
                    .and_then(|group| group.offset(topic_partition))
                    .map(|committed| (committed.offset, committed.metadata.clone())),
            ),
            Err(error) => Outcome::Refused(error.to_string()),
        }
    }

    /// Whether every group is as it should be.
    ///
    /// # Errors
    /// What is broken.
    pub fn check(&self) -> Result<(), String> {
        self.coordinators.check().map_err(|broken| format!("{broken:?}"))
    }
}
