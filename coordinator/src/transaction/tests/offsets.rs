//! Offsets that are committed with a transaction, for groups of both protocols.

use alluvium_log::{CommitError, CommittedOffset, Rejection};

use super::*;
use crate::consumer_group::{ConsumerHeartbeatInput, FetchInput, JOIN_EPOCH};
use crate::driver::OffsetsError;
use crate::group::{CommitInput, GroupError, HeartbeatInput, JoinInput, SyncInput, Ticket};

const GROUP: &str = "copiers";

/// Who commits: member id and generation.
type Member = (String, i32);

fn anonymous() -> Member {
    (String::new(), -1)
}

impl Node {
    /// A member of a group of the classic protocol.
    async fn join_classic(&self) -> Member {
        let input = JoinInput {
            ticket: Ticket(0),
            group: GROUP.to_owned(),
            member_id: String::new(),
            instance_id: None,
            client_id: "client".to_owned(),
            client_host: "/127.0.0.1".to_owned(),
            session_timeout_ms: 300_000,
            rebalance_timeout_ms: 60_000,
            protocol_type: "consumer".to_owned(),
            protocols: vec![("range".to_owned(), Bytes::from_static(b"subscription"))],
            member_id_required: false,
            skip_assignment_supported: true,
            fresh_id: self.runtime.random_uuid(),
        };
        let joined = self.coordinators.join(input).await.unwrap();
        let input = SyncInput {
            ticket: Ticket(0),
            group: GROUP.to_owned(),
            generation: joined.generation,
            member_id: joined.member_id.clone(),
            instance_id: None,
            protocol_type: None,
            protocol: None,
            assignments: vec![(joined.member_id.clone(), Bytes::from_static(b"all"))],
        };
        self.coordinators.sync(input).await.unwrap();
        (joined.member_id, joined.generation)
    }

    /// A member of a group of the consumer protocol.
    async fn join_consumer(&self) -> Member {
        let input = ConsumerHeartbeatInput {
            ticket: Ticket(0),
            group: GROUP.to_owned(),
            member_id: "member".to_owned(),
            member_epoch: JOIN_EPOCH,
            instance_id: None,
            rack_id: None,
            rebalance_timeout_ms: 60_000,
            subscribed_topics: Some(vec!["t".to_owned()]),
            subscribed_regex: None,
            assignor: None,
            owned: Some(Vec::new()),
            client_id: "client".to_owned(),
            client_host: "/127.0.0.1".to_owned(),
            id_made_by_client: true,
            fresh_id: Uuid::nil(),
        };
        let beat = self.coordinators.consumer_heartbeat(input).await.unwrap();
        ("member".to_owned(), beat.member_epoch)
    }

    /// TxnOffsetCommit as clients send it that know KIP-890.
    async fn commit(&self, producer: Producer, member: &Member, offset: i64) -> Result<u64, OffsetsError> {
        let tag = self.transactions.admit_group(ID, producer.0, producer.1, GROUP, true).await.unwrap();
        self.commit_with(producer, member, offset, tag).await
    }

    async fn commit_with(
        &self,
        producer: Producer,
        member: &Member,
        offset: i64,
        tag: TransactionTag,
    ) -> Result<u64, OffsetsError> {
        let input = CommitInput {
            group: GROUP.to_owned(),
            generation: member.1,
            member_id: member.0.clone(),
            instance_id: None,
            transactional: true,
        };
        let commit_ms = self.runtime.now_ms();
        let offset = CommittedOffset { offset, leader_epoch: 0, metadata: String::new(), commit_ms };
        self.coordinators.commit_transaction_offsets(&input, producer, tag, vec![(self.at(0), offset)], None).await
    }

    /// The offset that is read back, and whether another one is pending.
    async fn committed(&self) -> (Option<i64>, bool) {
        let input = FetchInput { group: GROUP.to_owned(), member_id: None, member_epoch: -1 };
        let state = self.coordinators.fetch_offsets(&input).await.unwrap();
        let group = state.group(GROUP);
        let offset = group.and_then(|group| group.offset(self.at(0))).map(|committed| committed.offset);
        (offset, group.is_some_and(|group| group.has_pending_offset(self.at(0))))
    }
}

fn refused(error: OffsetsError) -> GroupError {
    match error {
        OffsetsError::Refused(error) => error,
        OffsetsError::Commit(error) => panic!("no refusal: {error}"),
    }
}

fn rejected(error: OffsetsError) -> Rejection {
    match error {
        OffsetsError::Commit(CommitError::Rejected(rejection)) => rejection,
        error => panic!("no rejection: {error}"),
    }
}

#[test]
fn offsets_become_visible_with_the_transaction() {
    for shard_count in [1, 4] {
        Runtime::simulate(71, |runtime| async move {
            let world = World::new(runtime, shard_count).await;
            let node = world.node(1, true).await;
            let in_home = node.log.group_shard(GROUP) == node.home();
            assert_eq!(in_home, shard_count == 1, "the test wants a group apart from the id");
            let partitions = node.everywhere();
            let mut producer = node.init().await.unwrap();
            let mut visible = None;
            for (offset, commit) in [(5, true), (9, false), (12, true)] {
                node.write(producer, &partitions, true).await;
                node.commit(producer, &anonymous(), offset - 1).await.unwrap();
                node.commit(producer, &anonymous(), offset).await.unwrap();
                assert_eq!(node.committed().await, (visible, true), "not before the end");
                producer = node.end(producer, commit).await.unwrap();
                visible = if commit { Some(offset) } else { visible };
                assert_eq!(node.committed().await, (visible, false));
            }
            // A transaction of nothing but offsets.
            node.commit(producer, &anonymous(), 20).await.unwrap();
            node.end(producer, true).await.unwrap();
            assert_eq!(node.committed().await, (Some(20), false));
        });
    }
}

#[test]
fn old_clients_add_the_group_first() {
    Runtime::simulate(72, |runtime| async move {
        let world = World::new(runtime, 4).await;
        let node = world.node(1, true).await;
        let producer = node.init().await.unwrap();
        let admitted = node.transactions.admit_group(ID, producer.0, producer.1, GROUP, false).await;
        assert_eq!(admitted, Err(TransactionError::InvalidTransactionState));
        for offset in 1..4 {
            node.transactions.add_group(ID, producer.0, producer.1, GROUP).await.unwrap();
            let tag = node.transactions.admit_group(ID, producer.0, producer.1, GROUP, false).await.unwrap();
            node.commit_with(producer, &anonymous(), offset, tag.clone()).await.unwrap();
            assert_eq!(node.end_as(producer, true, false).await, Ok(producer));
            assert_eq!(node.committed().await, (Some(offset), false));
            let late = node.commit_with(producer, &anonymous(), 99, tag).await.unwrap_err();
            assert!(matches!(rejected(late), Rejection::InvalidTransactionState { .. }));
            assert_eq!(node.committed().await, (Some(offset), false));
        }
    });
}

#[test]
fn members_are_checked_as_kafka_does() {
    for of_consumer_protocol in [false, true] {
        Runtime::simulate(73, |runtime| async move {
            let world = World::new(runtime, 4).await;
            let node = world.node(1, true).await;
            let producer = node.init().await.unwrap();
            let member = match of_consumer_protocol {
                false => node.join_classic().await,
                true => node.join_consumer().await,
            };
            node.commit(producer, &member, 5).await.unwrap();
            let stale = (member.0.clone(), member.1 - 1);
            let newer = (member.0.clone(), member.1 + 1);
            let stranger = ("stranger".to_owned(), member.1);
            let generation =
                if of_consumer_protocol && member.1 == 0 { None } else { Some(GroupError::IllegalGeneration) };
            for other in [stale, newer] {
                assert_eq!(node.commit(producer, &other, 6).await.err().map(refused), generation, "{other:?}");
            }
            let unknown = refused(node.commit(producer, &stranger, 6).await.unwrap_err());
            assert_eq!(unknown, GroupError::UnknownMemberId);
            // Clients that do not say who they are may, as long as they say nothing at all.
            node.commit(producer, &anonymous(), 7).await.unwrap();
            assert_eq!(node.committed().await, (None, true));
            node.end(producer, true).await.unwrap();
            assert_eq!(node.committed().await, (Some(7), false));
        });
    }
}

#[test]
fn a_group_that_nobody_knows_takes_no_generation() {
    Runtime::simulate(74, |runtime| async move {
        let world = World::new(runtime, 1).await;
        let node = world.node(1, true).await;
        let producer = node.init().await.unwrap();
        let member = ("member".to_owned(), 3);
        let refused = refused(node.commit(producer, &member, 5).await.unwrap_err());
        assert_eq!(refused, GroupError::IllegalGeneration);
        let nobody = node.coordinators.describe(GROUP).await.unwrap();
        assert_eq!(nobody, None);
    });
}

#[test]
fn a_fenced_producer_commits_no_offsets() {
    for shard_count in [1, 4] {
        Runtime::simulate(75, |runtime| async move {
            let world = World::new(runtime, shard_count).await;
            let node = world.node(1, true).await;
            let first = node.init().await.unwrap();
            let tag = node.transactions.admit_group(ID, first.0, first.1, GROUP, true).await.unwrap();
            node.commit_with(first, &anonymous(), 5, tag.clone()).await.unwrap();
            let second = node.init().await.unwrap();
            assert_eq!(node.committed().await, (None, false), "aborted with the rest");
            let late = node.commit_with(first, &anonymous(), 6, tag).await.unwrap_err();
            assert!(matches!(rejected(late), Rejection::ProducerFenced { .. }));
            node.commit(second, &anonymous(), 7).await.unwrap();
            node.end(second, true).await.unwrap();
            assert_eq!(node.committed().await, (Some(7), false));
        });
    }
}

#[test]
fn what_is_pending_is_not_lost() {
    Runtime::simulate(76, |runtime| async move {
        let world = World::new(runtime, 4).await;
        let settings =
            TransactionSettings { timeout_max: Duration::from_secs(86_400), ..TransactionSettings::default() };
        let node = world.node_with(1, true, settings).await;
        let (transactional_id, timeout_ms) = (ID.to_owned(), 8 * 3_600_000);
        let input = InitTransactionalProducer { transactional_id, timeout_ms, producer: None };
        let producer = node.transactions.init(input).await.unwrap();
        node.commit(producer, &anonymous(), 5).await.unwrap();
        assert_eq!(node.coordinators.delete(GROUP).await, Err(GroupError::NonEmptyGroup));
        let deletion = node.coordinators.delete_offsets(GROUP).await.unwrap();
        deletion.delete(vec![node.at(0)], None).await.unwrap();
        // Offsets are kept for an hour.
        world.pass(3 * 3_600_000).await;
        assert_eq!(node.committed().await, (None, true));
        let next = node.end(producer, true).await.unwrap();
        assert_eq!(node.committed().await, (Some(5), false));

        // An offset that is about to be replaced does not expire either.
        node.commit(next, &anonymous(), 6).await.unwrap();
        world.pass(3 * 3_600_000).await;
        assert_eq!(node.committed().await, (Some(5), true));
        let next = node.end(next, false).await.unwrap();
        assert_eq!(node.committed().await, (Some(5), false));
        world.pass(3 * 3_600_000).await;
        assert_eq!(node.committed().await, (None, false), "nobody uses the group any more");
        node.commit(next, &anonymous(), 7).await.unwrap();
        node.end(next, true).await.unwrap();
        assert_eq!(node.coordinators.delete(GROUP).await, Ok(()));
        assert_eq!(node.committed().await, (None, false));
    });
}

#[test]
fn offsets_outlive_the_coordinators_of_both() {
    Runtime::simulate(77, |runtime| async move {
        let world = World::new(runtime, 4).await;
        let (one, two) = (world.node(1, true).await, world.node(2, false).await);
        let producer = one.init().await.unwrap();
        let member = one.join_classic().await;
        one.commit(producer, &member, 5).await.unwrap();
        one.cut_off(one.log.group_shard(GROUP));
        one.end(producer, true).await.unwrap();
        one.runtime.crash();
        two.beliefs.leads_from_now_on(true);
        world.pass(1_000).await;
        assert_eq!(two.committed().await, (Some(5), false));
        let input = HeartbeatInput {
            group: GROUP.to_owned(),
            generation: member.1,
            member_id: member.0.clone(),
            instance_id: None,
        };
        assert_eq!(two.coordinators.heartbeat(&input).await, Ok(()));
        let next = (producer.0, producer.1 + 1);
        two.commit(next, &member, 6).await.unwrap();
        two.end(next, true).await.unwrap();
        assert_eq!(two.committed().await, (Some(6), false));
    });
}
