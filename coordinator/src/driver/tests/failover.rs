//! What members and committed offsets go through when the coordinator changes.

use futures_util::future::join;

use super::*;

#[test]
fn members_go_on_with_their_next_heartbeat() {
    Runtime::simulate(11, |runtime| async move {
        let world = World::new(runtime);
        let (one, two, topic) = world.two_nodes().await;
        let place = one.settle(None).await;
        one.commit(Some(&place), topic, 7).await.unwrap();
        // The node dies: nothing of it goes on.
        one.runtime.crash();
        two.beliefs.leads_from_now_on(true);
        assert_eq!(two.heartbeat(&place).await, Ok(()));
        assert_eq!(two.committed(topic).await, Ok(Some(7)));
        assert_eq!(two.commit(Some(&place), topic, 8).await.map(|_| ()).ok(), Some(()));
        let described = two.coordinators.describe(GROUP).await.unwrap().unwrap();
        assert_eq!((described.state.name(), described.members.len()), ("Stable", 1));
        assert_eq!(described.members[0].assignment, "mine");
        // Its session began anew, and goes on as long as it beats.
        for _ in 0..5 {
            world.pass(SESSION_MS as u64 - 2_000).await;
            assert_eq!(two.heartbeat(&place).await, Ok(()));
        }
    });
}

#[test]
fn a_join_and_a_sync_in_flight_are_sent_to_the_next_coordinator() {
    Runtime::simulate(12, |runtime| async move {
        let world = World::new(runtime);
        let (one, two, _) = world.two_nodes().await;
        let place = one.settle(None).await;
        // The second member waits for the first to join again.
        let (joining, ()) = join(one.join(""), async {
            world.pass(500).await;
            assert_eq!(one.heartbeat(&place).await, Err(GroupError::RebalanceInProgress));
            hand_over(&one, &two);
        })
        .await;
        assert_eq!(joining.unwrap_err().error, GroupError::NotCoordinator);
        assert_eq!(one.heartbeat(&place).await, Err(GroupError::NotCoordinator));
        // The generation that was never settled is nobody's: the first member is where it was.
        assert_eq!(two.heartbeat(&place).await, Ok(()));

        let (new, old) = join(two.join(""), two.join(&place.member_id)).await;
        let (new, old) = (new.unwrap(), old.unwrap());
        assert_eq!((new.generation, old.generation), (place.generation + 1, place.generation + 1));
        let follower = if new.leader == new.member_id { &old } else { &new };
        let waits = Place { member_id: follower.member_id.clone(), generation: follower.generation };
        let (syncing, ()) = join(two.sync(&waits, ""), async {
            world.pass(500).await;
            hand_over(&two, &one);
        })
        .await;
        assert_eq!(syncing.unwrap_err(), GroupError::NotCoordinator);
        // What was not settled is forgotten: who joined for it joins again, who was there before is still there.
        let is_new = waits.member_id != place.member_id;
        let expected = if is_new { GroupError::UnknownMemberId } else { GroupError::IllegalGeneration };
        assert_eq!(one.sync(&waits, "").await.unwrap_err(), expected);
        assert_eq!(one.heartbeat(&place).await, Ok(()));
    });
}

#[test]
fn one_generation_is_settled_once_although_two_nodes_believe_that_they_lead() {
    Runtime::simulate(13, |runtime| async move {
        let world = World::new(runtime);
        let (one, two, _) = world.two_nodes().await;
        let place = one.settle(None).await;
        let again = one.join(&place.member_id).await.unwrap();
        let here = Place { member_id: again.member_id, generation: again.generation };
        // The other node restores the generation before, and settles the next one in its own way.
        two.beliefs.leads_from_now_on(true);
        let there = two.join(&place.member_id).await.unwrap();
        let there = Place { member_id: there.member_id, generation: there.generation };
        assert_eq!(here.generation, there.generation);
        assert_eq!(two.sync(&there, "theirs").await.unwrap().assignment, "theirs");
        assert_eq!(one.sync(&here, "ours").await.unwrap_err(), GroupError::NotCoordinator);
        let state = two.state().await;
        let record = state.group(GROUP).unwrap().record().unwrap();
        assert_eq!((record.generation, &record.members[0].assignment[..]), (there.generation, &b"theirs"[..]));
    });
}

#[test]
fn static_members_keep_their_place() {
    Runtime::simulate(14, |runtime| async move {
        let world = World::new(runtime);
        let (one, two, _) = world.two_nodes().await;
        let place = one.settle(Some("instance")).await;
        hand_over(&one, &two);
        // The process comes back without its member id, and finds what it had.
        let joined = two.coordinators.join(two.join_input("", Some("instance"))).await.unwrap();
        assert_eq!((joined.generation, joined.skip_assignment), (place.generation, true));
        assert_ne!(joined.member_id, place.member_id);
        let back = Place { member_id: joined.member_id, generation: joined.generation };
        assert_eq!(two.sync(&back, "").await.unwrap().assignment, "mine");
        let fenced = HeartbeatInput {
            group: GROUP.to_owned(),
            generation: place.generation,
            member_id: place.member_id,
            instance_id: Some("instance".to_owned()),
        };
        assert_eq!(two.coordinators.heartbeat(&fenced).await, Err(GroupError::FencedInstanceId));
        hand_over(&two, &one);
        assert_eq!(one.heartbeat(&back).await, Ok(()), "the new id is as durable as the old one was");
    });
}

#[test]
fn groups_are_listed_by_their_coordinator_alone() {
    Runtime::simulate(15, |runtime| async move {
        let world = World::new(runtime);
        let (one, two, topic) = world.two_nodes().await;
        one.commit(None, topic, 1).await.unwrap();
        let named = |listed: Vec<ListedGroup>| listed.into_iter().map(|group| group.group).collect::<Vec<_>>();
        let all = GroupFilter::default();
        assert_eq!(named(one.coordinators.list(&all).await.unwrap()), [GROUP]);
        assert_eq!(named(two.coordinators.list(&all).await.unwrap()), [""; 0]);
        hand_over(&one, &two);
        assert_eq!(named(one.coordinators.list(&all).await.unwrap()), [""; 0]);
        assert_eq!(named(two.coordinators.list(&all).await.unwrap()), [GROUP]);
        assert_eq!(two.coordinators.delete(GROUP).await, Ok(()));
        assert_eq!(two.state().await.group(GROUP).map(|_| ()), None);
    });
}

#[test]
fn offsets_expire_at_the_coordinator_alone() {
    Runtime::simulate(16, |runtime| async move {
        let world = World::new(runtime);
        let (one, two, topic) = world.two_nodes().await;
        one.commit(None, topic, 1).await.unwrap();
        // Nobody asks the second node for a group, so it has no reason to take over, and none to look for old offsets.
        hand_over(&one, &two);
        world.pass(2 * 3_600_000).await;
        assert_eq!(committed_in(&*two.state().await, topic), Some(1));
        assert_eq!(two.committed(topic).await, Ok(Some(1)));
        world.pass(1_300_000).await;
        assert_eq!(two.state().await.group(GROUP).map(|_| ()), None);
    });
}

#[test]
fn commits_follow_each_other_as_they_were_placed_however_their_answers_are_awaited() {
    Runtime::simulate(17, |runtime| async move {
        let world = World::new(runtime);
        let (one, _, topic) = world.two_nodes().await;
        let place = one.settle(None).await;
        let mut answers = Vec::new();
        for offset in 1..=5 {
            let (input, committed) = one.to_commit(Some(&place), offset);
            let committer = one.coordinators.committer(GROUP).await.unwrap();
            answers.push(committer.commit(&input, vec![(topic, committed)], None).unwrap());
        }
        let mut entries = Vec::new();
        while let Some(answer) = answers.pop() {
            entries.push(answer.await.unwrap());
        }
        assert_eq!(one.committed(topic).await, Ok(Some(5)));
        assert!(entries.last() < entries.first() || entries[0] == entries[4], "{entries:?}");
        entries.dedup();
        assert!(entries.len() <= 2, "they ride together: {entries:?}");
    });
}
