//! How a coordinator begins.

use alluvium_infra::store::{Fault, FaultRule, StoreOperation};
use futures_util::future::join;

use super::*;

#[test]
fn a_node_takes_over_once_and_only_when_it_is_asked() {
    Runtime::simulate(1, |runtime| async move {
        let world = World::new(runtime);
        let node = world.node(1, true).await;
        let topic = node.create_topic().await;
        world.pass(60_000).await;
        assert_eq!(node.state().await.coordinator(), None);
        assert_eq!(node.coordinators.list(&GroupFilter::default()).await.unwrap(), []);
        assert_eq!(node.state().await.coordinator(), None, "a list of nothing is no reason to take over");

        let (one, other) = join(node.join(""), node.committed(topic)).await;
        assert_eq!((one.unwrap().generation, other.unwrap()), (1, None));
        let state = node.state().await;
        let coordinator = *state.coordinator().unwrap();
        assert_eq!((coordinator.node, coordinator.incarnation), (1, node.beliefs.incarnation));
        assert_eq!(coordinator.epoch, state.entry_number());
        node.commit(None, topic, 5).await.unwrap_err();
        world.pass(1_000).await;
        assert_eq!(node.state().await.entry_number(), coordinator.epoch, "nothing else was written");
    });
}

#[test]
fn who_does_not_lead_says_so_and_writes_nothing() {
    Runtime::simulate(2, |runtime| async move {
        let world = World::new(runtime);
        let (_one, two, topic) = world.two_nodes().await;
        let before = two.state().await.entry_number();
        let nobody = Place { member_id: "nobody".to_owned(), generation: 1 };
        assert_eq!(two.join("").await.unwrap_err().error, GroupError::NotCoordinator);
        assert_eq!(two.sync(&nobody, "").await.unwrap_err(), GroupError::NotCoordinator);
        assert_eq!(two.heartbeat(&nobody).await, Err(GroupError::NotCoordinator));
        assert_eq!(refused(two.commit(None, topic, 1).await.unwrap_err()), GroupError::NotCoordinator);
        assert_eq!(two.committed(topic).await, Ok(None), "the log tells offsets to everybody");
        assert_eq!(two.coordinators.delete(GROUP).await, Err(GroupError::NotCoordinator));
        assert_eq!(two.coordinators.describe(GROUP).await, Err(GroupError::NotCoordinator));
        assert_eq!(two.coordinators.delete_offsets(GROUP).await.unwrap_err(), GroupError::NotCoordinator);
        assert_eq!(two.coordinators.list(&GroupFilter::default()).await.unwrap(), []);
        assert_eq!(two.state().await.entry_number(), before);
    });
}

#[test]
fn a_restart_forgets_nothing() {
    Runtime::simulate(3, |runtime| async move {
        let world = World::new(runtime);
        let node = world.node(1, true).await;
        let topic = node.create_topic().await;
        let place = node.settle(None).await;
        node.commit(Some(&place), topic, 42).await.unwrap();
        let before = node.state().await.entry_number();
        node.coordinators.resign();
        assert_eq!(node.heartbeat(&place).await, Err(GroupError::NotCoordinator));
        node.log.close().await;

        let node = world.node(1, true).await;
        assert_eq!(node.heartbeat(&place).await, Ok(()));
        assert_eq!(node.committed(topic).await, Ok(Some(42)));
        assert_eq!(node.state().await.entry_number(), before + 1, "one entry for the start");
    });
}

#[test]
fn groups_with_members_are_taken_over_without_being_asked() {
    Runtime::simulate(4, |runtime| async move {
        let world = World::new(runtime);
        let (one, two, _) = world.two_nodes().await;
        one.settle(None).await;
        let epoch = one.state().await.coordinator().unwrap().epoch;
        two.state().await;
        hand_over(&one, &two);
        world.pass(100).await;
        let state = two.state().await;
        assert_eq!(state.coordinator().map(|coordinator| coordinator.node), Some(2));
        assert!(state.coordinator().unwrap().epoch > epoch);
        // The member is silent. Somebody has to miss it.
        world.pass(SESSION_MS as u64 + 1_000).await;
        assert!(!two.state().await.group(GROUP).unwrap().has_members());
    });
}

#[test]
fn a_take_over_that_fails_is_tried_again_for_members() {
    Runtime::simulate(5, |runtime| async move {
        let world = World::new(runtime);
        let (one, two, _) = world.two_nodes().await;
        one.settle(None).await;
        two.state().await;
        two.store.set_down(true);
        hand_over(&one, &two);
        world.pass(60_000).await;
        assert_eq!(one.state().await.coordinator().map(|coordinator| coordinator.node), Some(1));
        two.store.set_down(false);
        world.pass(60_000).await;
        assert_eq!(one.state().await.coordinator().map(|coordinator| coordinator.node), Some(2));
    });
}

#[test]
fn requests_wait_for_the_take_over_but_not_for_ever() {
    Runtime::simulate(6, |runtime| async move {
        let world = World::new(runtime);
        let node = world.node(1, true).await;
        let topic = node.create_topic().await;
        let slow = |for_ms| Fault::SlowReply(Duration::from_millis(for_ms));
        node.store.script(FaultRule::next(StoreOperation::PutIfAbsent, slow(300)));
        let begun = world.runtime.monotonic();
        let (one, other) = join(node.committed(topic), node.committed(topic)).await;
        assert_eq!((one, other), (Ok(None), Ok(None)));
        assert!(begun.elapsed() >= Duration::from_millis(300), "nobody is let in before the take-over");
        assert_eq!(node.state().await.entry_number(), node.state().await.coordinator().unwrap().epoch);

        let late = world.node(2, true).await;
        late.store.script(FaultRule::always(StoreOperation::PutIfAbsent, "", slow(15_000)));
        let begun = world.runtime.monotonic();
        let somebody = Place { member_id: "somebody".to_owned(), generation: 1 };
        let members = join(late.heartbeat(&somebody), late.sync(&somebody, ""));
        let (offsets, (beat, synced)) = join(late.committed(topic), members).await;
        assert!(begun.elapsed() < Duration::from_secs(10));
        assert_eq!(offsets, Err(GroupError::CoordinatorLoadInProgress));
        // Clients do not know that error in every answer.
        assert_eq!((beat, synced), (Ok(()), Err(GroupError::RebalanceInProgress)));
    });
}

#[test]
fn leadership_that_goes_during_the_take_over_sends_everybody_away() {
    Runtime::simulate(7, |runtime| async move {
        let world = World::new(runtime);
        let (one, two, _) = world.two_nodes().await;
        let slow = Fault::Slow(Duration::from_secs(3));
        one.store.script(FaultRule::always(StoreOperation::PutIfAbsent, "", slow));
        let begun = world.runtime.monotonic();
        let asking = async {
            let answer = one.join("").await;
            assert!(begun.elapsed() < Duration::from_secs(2), "nobody waits for what is pointless");
            answer
        };
        let (answer, ()) = join(asking, async {
            world.pass(1_000).await;
            hand_over(&one, &two);
        })
        .await;
        assert_eq!(answer.unwrap_err().error, GroupError::NotCoordinator);
        // The take-over that was under way is in the log, and is worth nothing.
        world.pass(5_000).await;
        assert_eq!(one.join("").await.unwrap_err().error, GroupError::NotCoordinator);
        assert_eq!(two.join("").await.unwrap().generation, 1);
        assert_eq!(two.state().await.coordinator().map(|coordinator| coordinator.node), Some(2));
    });
}
