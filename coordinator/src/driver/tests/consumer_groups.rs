//! Groups of the consumer protocol (KIP-848), and clusters of several shards.

use std::collections::BTreeSet;

use super::*;
use crate::consumer_group::{JOIN_EPOCH, LEAVE_EPOCH};
use crate::group::GroupFilter;

fn beat(member_id: &str, member_epoch: i32, owned: Option<Vec<TopicPartition>>) -> ConsumerHeartbeatInput {
    let joins = member_epoch == JOIN_EPOCH;
    ConsumerHeartbeatInput {
        ticket: Ticket(0),
        group: GROUP.to_owned(),
        member_id: member_id.to_owned(),
        member_epoch,
        instance_id: None,
        rack_id: None,
        rebalance_timeout_ms: if joins { 60_000 } else { -1 },
        subscribed_topics: joins.then(|| vec!["t".to_owned()]),
        subscribed_regex: None,
        assignor: None,
        owned: if joins { Some(Vec::new()) } else { owned },
        client_id: "client".to_owned(),
        client_host: "/127.0.0.1".to_owned(),
        id_made_by_client: true,
        fresh_id: Uuid::nil(),
    }
}

impl Node {
    async fn beat(&self, member_id: &str, member_epoch: i32) -> Result<ConsumerHeartbeat, HeartbeatRefused> {
        self.coordinators.consumer_heartbeat(beat(member_id, member_epoch, None)).await
    }

    async fn create_spread_topic(&self, name: &str, partition_count: i32, shard_count: u32) -> TopicId {
        let id = TopicId(self.runtime.random_uuid());
        let operation = Operation::CreateTopic {
            id,
            name: name.to_owned(),
            partition_count,
            replication_factor: 1,
            configs: BTreeMap::new(),
            shard_count,
        };
        self.log.commit_topic(operation, None).await.unwrap();
        id
    }
}

#[test]
fn members_of_the_consumer_protocol_go_on_with_their_next_heartbeat() {
    Runtime::simulate(31, |runtime| async move {
        let world = World::new(runtime);
        let (one, two, topic) = world.two_nodes().await;
        let joined = one.beat("m", JOIN_EPOCH).await.unwrap();
        assert_eq!(joined.assignment, Some(vec![topic]));
        let owning = beat("m", joined.member_epoch, Some(vec![topic]));
        assert_eq!(one.coordinators.consumer_heartbeat(owning).await.unwrap().member_epoch, joined.member_epoch);
        let place = Place { member_id: "m".to_owned(), generation: joined.member_epoch };
        one.commit(Some(&place), topic, 7).await.unwrap();

        one.runtime.crash();
        two.beliefs.leads_from_now_on(true);
        let again = two.beat("m", joined.member_epoch).await.unwrap();
        assert_eq!((again.member_epoch, again.assignment), (joined.member_epoch, None), "nothing has changed for it");
        two.commit(Some(&place), topic, 8).await.unwrap();
        let wrong = Place { generation: place.generation + 1, ..place };
        assert_eq!(refused(two.commit(Some(&wrong), topic, 9).await.unwrap_err()), GroupError::StaleMemberEpoch);
        let described = two.coordinators.describe_consumer(GROUP).await.unwrap().unwrap();
        assert_eq!(described.members.len(), 1);
        assert_eq!(two.committed(topic).await, Ok(Some(8)));
        assert_eq!(two.beat("m", LEAVE_EPOCH).await.unwrap().member_epoch, LEAVE_EPOCH);
        assert!(!two.state().await.group(GROUP).unwrap().has_members());
    });
}

#[test]
fn offsets_are_told_by_nodes_that_do_not_coordinate_to_members_of_now() {
    Runtime::simulate(33, |runtime| async move {
        let world = World::new(runtime);
        let (one, two, topic) = world.two_nodes().await;
        let epoch = one.beat("m", JOIN_EPOCH).await.unwrap().member_epoch;
        let place = Place { member_id: "m".to_owned(), generation: epoch };
        one.commit(Some(&place), topic, 7).await.unwrap();
        let fetch = |member_id: &str, member_epoch| FetchInput {
            group: GROUP.to_owned(),
            member_id: Some(member_id.to_owned()),
            member_epoch,
        };
        let state = two.coordinators.fetch_offsets(&fetch("m", epoch)).await.unwrap();
        assert_eq!(committed_in(&state, topic), Some(7));
        let refused = async |input: FetchInput| two.coordinators.fetch_offsets(&input).await.unwrap_err();
        assert_eq!(refused(fetch("m", epoch + 1)).await, GroupError::StaleMemberEpoch);
        assert_eq!(refused(fetch("somebody", epoch)).await, GroupError::UnknownMemberId);
        // A node that shuts down tells as well, for as long as it has the log.
        one.coordinators.resign();
        let state = one.coordinators.fetch_offsets(&fetch("m", epoch)).await.unwrap();
        assert_eq!(committed_in(&state, topic), Some(7));
    });
}

#[test]
fn a_zombie_gives_no_partition_to_a_second_member() {
    Runtime::simulate(32, |runtime| async move {
        let world = World::new(runtime);
        let (one, two, topic) = world.two_nodes().await;
        let first = one.beat("first", JOIN_EPOCH).await.unwrap();
        assert_eq!(first.assignment, Some(vec![topic]));
        two.beliefs.leads_from_now_on(true);
        assert_eq!(two.beat("first", first.member_epoch).await.unwrap().member_epoch, first.member_epoch);
        // The first node believes that it leads. What it would promise must not be, so it promises nothing.
        let refused = one.beat("first", LEAVE_EPOCH).await.unwrap_err();
        assert_eq!(refused.error, GroupError::NotCoordinator);
        let second = two.beat("second", JOIN_EPOCH).await.unwrap();
        assert_eq!(second.assignment, Some(Vec::new()), "the only partition is the first member's");
        let described = two.coordinators.describe_consumer(GROUP).await.unwrap().unwrap();
        assert_eq!(described.members.len(), 2);
    });
}

#[test]
fn a_new_coordinator_takes_no_topic_away_that_it_has_not_heard_of() {
    Runtime::simulate(33, |runtime| async move {
        let world = World::new(runtime);
        let (one, two) = (world.node_of(1, true, 4).await, world.node_of(2, false, 4).await);
        assert_ne!(one.log.group_shard(GROUP), one.log.meta().id(), "the test wants a group apart from the topics");
        let topic = one.create_spread_topic("t", 3, 4).await;
        let joined = one.beat("m", JOIN_EPOCH).await.unwrap();
        assert_eq!(joined.assignment.map(|assignment| assignment.len()), Some(3));
        assert!(two.log.view().topic(topic).is_none(), "nobody told the second node");
        hand_over(&one, &two);
        let again = two.beat("m", joined.member_epoch).await.unwrap();
        assert_eq!((again.member_epoch, again.assignment), (joined.member_epoch, None));
    });
}

#[test]
fn topics_that_grow_are_shared_out() {
    Runtime::simulate(34, |runtime| async move {
        let world = World::new(runtime);
        let node = world.node_of(1, true, 4).await;
        let topic = node.create_spread_topic("t", 1, 4).await;
        let joined = node.beat("m", JOIN_EPOCH).await.unwrap();
        assert_eq!(joined.assignment, Some(vec![TopicPartition::new(topic, 0)]));
        node.log.commit_topic(Operation::CreatePartitions { id: topic, new_count: 2 }, None).await.unwrap();
        world.pass(2_000).await;
        let owned = Some(vec![TopicPartition::new(topic, 0)]);
        let grown = node.coordinators.consumer_heartbeat(beat("m", joined.member_epoch, owned)).await.unwrap();
        let both = [TopicPartition::new(topic, 0), TopicPartition::new(topic, 1)];
        assert!(grown.member_epoch > joined.member_epoch);
        assert_eq!(grown.assignment.map(BTreeSet::from_iter), Some(BTreeSet::from(both)));
    });
}

#[test]
fn groups_of_all_shards_are_listed_together() {
    Runtime::simulate(35, |runtime| async move {
        let world = World::new(runtime);
        let node = world.node_of(1, true, 4).await;
        let mut shards = BTreeSet::new();
        for number in 0..8 {
            let mut input = node.join_input("", None);
            input.group = format!("group-{number}");
            shards.insert(node.coordinators.shard_of(&input.group));
            node.coordinators.join(input).await.unwrap();
        }
        assert!(shards.len() > 1, "the groups are spread over shards");
        let listed = node.coordinators.list(&GroupFilter::default()).await.unwrap();
        let names: Vec<String> = listed.into_iter().map(|group| group.group).collect();
        assert_eq!(names, (0..8).map(|number| format!("group-{number}")).collect::<Vec<_>>());
        for shard in node.log.group_shards() {
            let taken = shard.state().coordinator().is_some();
            assert_eq!(taken, shards.contains(&shard.id()), "only shards with groups are taken over");
        }
    });
}
