//! Operations without records: topics, groups, producer ids.

use std::collections::{BTreeMap, BTreeSet};

use alluvium_ingest::AppendError;
use alluvium_log::{CommitError, CommittedOffset, GroupRecord, MemberRecord, Operation, Rejection};
use alluvium_record::TopicId;
use alluvium_tests::node::Node;
use alluvium_tests::records;
use bytes::Bytes;
use uuid::Uuid;

use crate::corner::{Corner, at};

async fn commit(node: &Node, operation: Operation) -> Result<(), Rejection> {
    match node.log.meta().commit(operation, None).await {
        Ok(_) => Ok(()),
        Err(CommitError::Rejected(rejection)) => Err(rejection),
        Err(error) => panic!("{error}"),
    }
}

pub(crate) async fn topics_come_change_and_go(corner: &Corner) {
    let (node, other) = (corner.node().await, corner.other_node().await);
    let orders = node.create_topic("orders", 2, &[("retention.ms", "1000")]).await;
    let again = Operation::CreateTopic {
        id: TopicId(corner.runtime.random_uuid()),
        name: "orders".to_owned(),
        partition_count: 1,
        replication_factor: 1,
        configs: BTreeMap::new(),
        shard_count: 1,
    };
    // The other node has not seen the first one: it must not say yes.
    assert_eq!(commit(&other, again.clone()).await, Err(Rejection::TopicExists("orders".to_owned())));
    let fewer = Operation::CreatePartitions { id: orders, new_count: 2 };
    let expected = Rejection::PartitionCountNotLarger { current: 2, requested: 2 };
    assert_eq!(commit(&other, fewer).await, Err(expected));
    commit(&other, Operation::CreatePartitions { id: orders, new_count: 5 }).await.unwrap();
    assert_eq!(node.say(at(orders, 4), &["new partition"]).await, 0, "no node denies what another made");
    let set = vec![("max.message.bytes".to_owned(), "5000".to_owned())];
    commit(&node, Operation::AlterTopicConfigs { id: orders, set, remove: vec!["retention.ms".to_owned()] })
        .await
        .unwrap();
    other.log.meta().catch_up().await.unwrap();
    let seen = other.state();
    let topic = seen.topic_by_name("orders").unwrap();
    assert_eq!((topic.partition_count, topic.replication_factor), (5, 3));
    assert_eq!(topic.configs, BTreeMap::from([("max.message.bytes".to_owned(), "5000".to_owned())]));
    commit(&other, Operation::DeleteTopic { id: orders }).await.unwrap();
    assert_eq!(commit(&node, Operation::DeleteTopic { id: orders }).await, Err(Rejection::UnknownTopic));
    let late = node.produce(at(orders, 0), records::batch(corner.now_ms(), &["x"])).await;
    assert_eq!(late, Err(AppendError::UnknownTopicOrPartition));
    // A name can be used again; it is another topic.
    commit(&node, again).await.unwrap();
    let fresh = corner.other_node().await;
    let state = fresh.state();
    assert_ne!(state.topic_by_name("orders").unwrap().id, orders);
    assert_eq!((state.topic_count(), state.partition_count()), (1, 1));
    assert_eq!(fresh.state_bytes(), node.state_bytes());
}

fn committed(offset: i64) -> CommittedOffset {
    CommittedOffset { offset, leader_epoch: 0, metadata: format!("at {offset}"), commit_ms: 7 }
}

fn generation(generation: i32, members: &[&str]) -> GroupRecord {
    let members: Vec<MemberRecord> = members
        .iter()
        .map(|name| MemberRecord {
            member_id: (*name).to_owned(),
            instance_id: Some(format!("static-{name}")),
            client_id: "test".to_owned(),
            client_host: "/127.0.0.1".to_owned(),
            session_timeout_ms: 10_000,
            rebalance_timeout_ms: 60_000,
            subscription: Bytes::from_static(b"\x00\x01"),
            assignment: Bytes::new(),
        })
        .collect();
    GroupRecord {
        group: "billing".to_owned(),
        generation,
        protocol_type: "consumer".to_owned(),
        protocol: Some("range".to_owned()),
        leader: members.first().map(|member| member.member_id.clone()),
        members,
        updated_ms: 9,
    }
}

pub(crate) async fn groups_and_offsets_are_kept(corner: &Corner) {
    let node = corner.node().await;
    let orders = node.create_topic("orders", 3, &[]).await;
    let group = || "billing".to_owned();
    let offsets = (0..3).map(|n| (at(orders, n), committed(i64::from(n)))).collect();
    commit(&node, Operation::CommitOffsets { group: group(), offsets }).await.unwrap();
    let unknown = vec![(at(orders, 3), committed(1))];
    let refused = commit(&node, Operation::CommitOffsets { group: group(), offsets: unknown }).await;
    assert_eq!(refused, Err(Rejection::UnknownPartition));
    commit(&node, Operation::PutGroup { group: generation(2, &["a", "b"]) }).await.unwrap();
    let stale = commit(&node, Operation::PutGroup { group: generation(1, &["a"]) }).await;
    assert_eq!(stale, Err(Rejection::StaleGeneration { current: 2 }));
    assert_eq!(commit(&node, Operation::DeleteGroup { group: group() }).await, Err(Rejection::GroupNotEmpty));
    let partitions = vec![at(orders, 1), at(orders, 1)];
    commit(&node, Operation::DeleteOffsets { group: group(), partitions }).await.unwrap();
    let newer = || Operation::CommitOffsets { group: group(), offsets: vec![(at(orders, 0), committed(50))] };
    // While there are members, only the coordinator commits for them.
    assert_eq!(commit(&node, newer()).await, Err(Rejection::GroupNotEmpty));
    let take_over = Operation::TakeOver { node: 1, incarnation: Uuid::from_u128(1) };
    let epoch = node.log.meta().commit(take_over, None).await.unwrap().entry_number;
    node.log.meta().commit_as(epoch, newer(), None).await.unwrap();
    // Found again from the store alone.
    let other = corner.other_node().await;
    let state = other.state();
    let found = state.group("billing").unwrap();
    assert_eq!(**found.record().unwrap(), generation(2, &["a", "b"]));
    let offsets: Vec<_> = found.offsets().map(|(place, offset)| (place.partition, offset.clone())).collect();
    assert_eq!(offsets, [(0, committed(50)), (2, committed(2))]);
    // A topic takes the offsets that were committed for it along.
    commit(&other, Operation::DeleteTopic { id: orders }).await.unwrap();
    assert_eq!(other.state().group("billing").unwrap().offsets().count(), 0);
    commit(&other, Operation::PutGroup { group: generation(3, &[]) }).await.unwrap();
    commit(&node, Operation::DeleteGroup { group: group() }).await.unwrap();
    assert_eq!(commit(&other, Operation::DeleteGroup { group: group() }).await, Err(Rejection::UnknownGroup));
    assert_eq!(node.state_bytes(), other.state_bytes());
}

pub(crate) async fn producer_ids_are_given_out_once(corner: &Corner) {
    let (node, other) = (corner.node().await, corner.other_node().await);
    let mut seen = BTreeSet::new();
    for _ in 0..5 {
        let ids = futures_util::future::join(node.log.allocate_producer_id(), other.log.allocate_producer_id()).await;
        assert!(seen.insert(ids.0.unwrap()) && seen.insert(ids.1.unwrap()), "{seen:?}");
    }
    // A block is one object, and a node that starts again takes a new one.
    assert_eq!(corner.keys("/producer-id/").await.len(), 2);
    let again = corner.node().await;
    assert!(seen.insert(again.log.allocate_producer_id().await.unwrap()));
    assert_eq!(corner.keys("/producer-id/").await.len(), 3);
    assert!(seen.iter().all(|id| *id >= 0));
}
