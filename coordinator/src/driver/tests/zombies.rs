//! Nodes that believe that they lead although they do not.

use super::*;

#[test]
fn a_zombie_commits_nothing_and_says_who_it_is_not() {
    Runtime::simulate(21, |runtime| async move {
        let world = World::new(runtime);
        let (one, two, topic) = world.two_nodes().await;
        let place = one.settle(None).await;
        one.commit(Some(&place), topic, 5).await.unwrap();
        // The first node never hears that it does not lead any more.
        two.beliefs.leads_from_now_on(true);
        two.commit(Some(&place), topic, 9).await.unwrap();
        assert_eq!(refused(one.commit(Some(&place), topic, 6).await.unwrap_err()), GroupError::NotCoordinator);
        assert_eq!(committed_in(&*two.state().await, topic), Some(9));
        assert_eq!(two.commit(Some(&place), topic, 10).await.map(|_| ()).ok(), Some(()));
    });
}

#[test]
fn a_zombie_never_answers_with_offsets_that_are_older_than_acknowledged_ones() {
    Runtime::simulate(22, |runtime| async move {
        let world = World::new(runtime);
        let (one, two, topic) = world.two_nodes().await;
        one.commit(None, topic, 5).await.unwrap();
        assert_eq!(one.committed(topic).await, Ok(Some(5)));
        two.beliefs.leads_from_now_on(true);
        two.commit(None, topic, 9).await.unwrap();
        assert_eq!(one.committed(topic).await, Ok(Some(9)), "it finds out, and the log tells everybody");
        // It still believes that it leads, so it takes over again, and then it knows.
        assert_eq!(one.committed(topic).await, Ok(Some(9)));
        assert_eq!(refused(two.commit(None, topic, 10).await.unwrap_err()), GroupError::NotCoordinator);
    });
}

#[test]
fn a_node_that_stood_still_misses_no_member_and_denies_none() {
    Runtime::simulate(23, |runtime| async move {
        let world = World::new(runtime);
        let (one, two, _) = world.two_nodes().await;
        let place = one.settle(None).await;
        one.runtime.freeze();
        two.beliefs.leads_from_now_on(true);
        for _ in 0..10 {
            assert_eq!(two.heartbeat(&place).await, Ok(()));
            world.pass(3_000).await;
        }
        one.runtime.thaw();
        // By its own clock the session of the member has ended long ago.
        let coordinators = one.coordinators.clone();
        let input = HeartbeatInput {
            group: GROUP.to_owned(),
            generation: place.generation,
            member_id: place.member_id.clone(),
            instance_id: None,
        };
        let answer = one.runtime.spawn("heartbeat", async move { coordinators.heartbeat(&input).await });
        assert_eq!(answer.await.unwrap(), Err(GroupError::NotCoordinator));
        assert_eq!(two.heartbeat(&place).await, Ok(()));
    });
}

#[test]
fn a_zombie_that_only_hears_heartbeats_finds_out_within_seconds() {
    Runtime::simulate(24, |runtime| async move {
        let world = World::new(runtime);
        let (one, two, _) = world.two_nodes().await;
        let place = one.settle(None).await;
        two.beliefs.leads_from_now_on(true);
        assert_eq!(two.heartbeat(&place).await, Ok(()));
        let begun = world.runtime.monotonic();
        while one.heartbeat(&place).await.is_ok() {
            world.pass(500).await;
        }
        assert!(begun.elapsed() < Duration::from_secs(7), "took {:?}", begun.elapsed());
    });
}

#[test]
fn a_store_that_is_away_ends_no_session() {
    Runtime::simulate(25, |runtime| async move {
        let world = World::new(runtime);
        let node = world.node(1, true).await;
        let place = node.settle(None).await;
        node.store.set_down(true);
        for _ in 0..20 {
            assert_eq!(node.heartbeat(&place).await, Ok(()));
            world.pass(3_000).await;
        }
        node.store.set_down(false);
        assert_eq!(node.heartbeat(&place).await, Ok(()));
    });
}

#[test]
fn nodes_that_disagree_do_not_fill_the_log_with_take_overs() {
    Runtime::simulate(26, |runtime| async move {
        let world = World::new(runtime);
        let (one, two, topic) = world.two_nodes().await;
        one.commit(None, topic, 0).await.unwrap();
        two.beliefs.leads_from_now_on(true);
        let (mut epochs, mut answered) = (std::collections::BTreeSet::new(), 0);
        for offset in 1..=1_200 {
            let node = if offset % 2 == 0 { &one } else { &two };
            match node.commit(None, topic, offset).await {
                Ok(_) => answered += 1,
                Err(error) => assert_eq!(refused(error), GroupError::NotCoordinator),
            }
            epochs.extend(two.state().await.coordinator().map(|coordinator| coordinator.epoch));
            world.pass(50).await;
        }
        // A minute: ten periods, two nodes, two take-overs each.
        assert!(epochs.len() <= 10 * 2 * 2 + 4, "{} take-overs", epochs.len());
        assert!(epochs.len() > 4, "neither of them gives up");
        assert!(answered > 100, "one of them serves most of the time, {answered} were answered");
    });
}
