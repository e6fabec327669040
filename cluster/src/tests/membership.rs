//! Who is up: joining, leaving, dying, silence, and who is believed about whom.

use alluvium_infra::store::{Faulty, Store, StorePath};
use alluvium_log::Peers;
use alluvium_log::format::node::{NodeListener, NodeRecord};

use super::*;
use crate::join::own_address_problem;
use crate::peers::ClusterPeers;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn three_nodes_find_each_other_and_agree_on_leaders() {
    simulate(|world| async move {
        let one = world.start(1).await;
        assert_eq!(ids_of(&one), [1]);
        let two = world.start(2).await;
        let three = world.start(3).await;
        let nodes = [&one, &two, &three];
        world.agree(&nodes, &[1, 2, 3], SECOND).await;
        assert_eq!(leaders(&one), leaders(&two));
        assert_eq!(leaders(&one), leaders(&three));
        world.sleep(1.0).await;
        for node in nodes {
            let members = node.cluster.members();
            assert!(members.all().iter().all(|member| member.linked), "node {}", node.id);
            assert_eq!(members.controller().map(|member| member.id), Some(NodeId(1)));
            assert_eq!(members.get(NodeId(2)).and_then(|member| member.zone.as_deref()), Some("even"));
            assert!(ClusterPeers(node.cluster.node.clone()).all_connected());
        }
        world.stays(&nodes, &[1, 2, 3], 60).await;
    });
}

#[test]
fn a_node_alone_does_nothing_but_its_heartbeat_and_its_list() {
    simulate(|world| async move {
        let one = world.start(1).await;
        let before = one.store.snapshot();
        world.sleep(600.0).await;
        let after = one.store.snapshot();
        let count = |operation| after.since(&before).of(operation).requests;
        use alluvium_infra::store::StoreOperation::{Get, List, Put};
        assert!((100..=110).contains(&count(Put)), "{} PUTs in ten minutes", count(Put));
        assert!((100..=110).contains(&count(Get)), "{} GETs in ten minutes", count(Get));
        assert!((20..=23).contains(&count(List)), "{} LISTs in ten minutes", count(List));
    });
}

#[test]
fn a_node_that_leaves_is_gone_at_once_and_comes_back() {
    simulate(|world| async move {
        let (one, two, three) = (world.start(1).await, world.start(2).await, world.start(3).await);
        world.agree(&[&one, &two, &three], &[1, 2, 3], SECOND).await;
        two.cluster.leave().await;
        let took = world.agree(&[&one, &two, &three], &[1, 3], SECOND).await;
        assert!(took <= Duration::from_millis(10), "{took:?}");
        assert!(world.bucket.get(&StorePath::from("node/2")).await.is_err(), "its record is gone");
        world.stays(&[&one, &two, &three], &[1, 3], 40).await;
        two.cluster.close().await;
        world.stays(&[&one, &three], &[1, 3], 40).await;
        let two = world.start(2).await;
        world.agree(&[&one, &two, &three], &[1, 2, 3], SECOND).await;
    });
}

#[test]
fn the_last_node_leaves_without_anybody_to_tell() {
    simulate(|world| async move {
        let one = world.start(1).await;
        one.cluster.leave().await;
        one.cluster.close().await;
        assert!(world.bucket.get(&StorePath::from("node/1")).await.is_err());
        world.sleep(20.0).await;
        assert!(world.bucket.get(&StorePath::from("node/1")).await.is_err(), "no heartbeat brings it back");
    });
}

#[test]
fn a_killed_node_is_noticed_by_its_refused_connections() {
    simulate(|world| async move {
        let (one, two, three) = (world.start(1).await, world.start(2).await, world.start(3).await);
        world.agree(&[&one, &two, &three], &[1, 2, 3], SECOND).await;
        world.sleep(20.0).await;
        two.runtime.crash();
        let took = world.agree(&[&one, &three], &[1, 3], 2 * SECOND).await;
        assert!(took <= SECOND, "{took:?}");
        world.stays(&[&one, &three], &[1, 3], 20).await;
        let two = world.start(2).await;
        world.agree(&[&one, &two, &three], &[1, 2, 3], SECOND).await;
    });
}

#[test]
fn a_silent_node_is_down_within_ten_seconds_and_back_when_it_is_heard() {
    simulate(|world| async move {
        let (one, two, three) = (world.start(1).await, world.start(2).await, world.start(3).await);
        world.agree(&[&one, &two, &three], &[1, 2, 3], SECOND).await;
        world.sleep(20.0).await;
        world.network.cut("n1", "n2");
        world.network.cut("n3", "n2");
        let took = world.agree(&[&one, &three], &[1, 3], 10 * SECOND).await;
        assert!(took <= 6 * SECOND, "{took:?}");
        world.agree(&[&two], &[2], 10 * SECOND).await;
        assert!(!ClusterPeers(two.cluster.node.clone()).all_connected(), "there are others, who do not push");
        // Its heartbeats go on in the bucket, and nobody believes them alone.
        world.stays(&[&one, &three], &[1, 3], 40).await;
        world.network.heal_all();
        world.agree(&[&one, &two, &three], &[1, 2, 3], 3 * SECOND).await;
    });
}

#[test]
fn a_silent_machine_whose_heart_stopped_is_forgotten() {
    simulate(|world| async move {
        let (one, two) = (world.start(1).await, world.start(2).await);
        world.agree(&[&one, &two], &[1, 2], SECOND).await;
        two.runtime.freeze();
        world.agree(&[&one], &[1], 10 * SECOND).await;
        world.sleep(20.0).await;
        assert!(one.cluster.node.table.lock().target(NodeId(2)).is_none(), "nobody tries to reach it any more");
        two.runtime.thaw();
        world.agree(&[&one, &two], &[1, 2], 10 * SECOND).await;
    });
}

#[test]
fn a_third_node_vouches_for_one_that_cannot_be_reached() {
    simulate(|world| async move {
        let (one, two, three) = (world.start(1).await, world.start(2).await, world.start(3).await);
        let nodes = [&one, &two, &three];
        world.agree(&nodes, &[1, 2, 3], SECOND).await;
        world.sleep(20.0).await;
        let before = leaders(&one);
        world.network.cut("n1", "n2");
        world.stays(&nodes, &[1, 2, 3], 60).await;
        assert!(!is_linked(&one, 2) && !is_linked(&two, 1) && is_linked(&one, 3));
        for node in nodes {
            assert_eq!(leaders(node), before);
        }
        let peers = ClusterPeers(one.cluster.node.clone());
        for shard in (0..32).map(ShardId).filter(|shard| before[shard.0 as usize] == NodeId(2)) {
            assert_eq!(peers.leader(shard), None, "nothing is forwarded without a link");
        }
        // The third node dies: nobody vouches any more.
        three.runtime.crash();
        world.agree(&[&one], &[1], 10 * SECOND).await;
        world.agree(&[&two], &[2], 10 * SECOND).await;
        world.network.heal_all();
        world.agree(&[&one, &two], &[1, 2], 3 * SECOND).await;
    });
}

#[test]
fn one_direction_is_not_enough_for_a_link() {
    simulate(|world| async move {
        let (one, two) = (world.start(1).await, world.start(2).await);
        world.agree(&[&one, &two], &[1, 2], SECOND).await;
        world.network.cut_direction("n1", "n2");
        world.agree(&[&one], &[1], 10 * SECOND).await;
        world.agree(&[&two], &[2], 10 * SECOND).await;
        world.network.heal_all();
        world.agree(&[&one, &two], &[1, 2], 5 * SECOND).await;
    });
}

#[test]
fn a_slow_network_separates_nobody() {
    simulate(|world| async move {
        world.network.set_delay(Duration::from_millis(100), Duration::from_millis(250));
        let (one, two, three) = (world.start(1).await, world.start(2).await, world.start(3).await);
        let nodes = [&one, &two, &three];
        world.agree(&nodes, &[1, 2, 3], 3 * SECOND).await;
        world.sleep(5.0).await;
        world.stays(&nodes, &[1, 2, 3], 60).await;
        assert!(nodes.iter().all(|node| node.cluster.members().all().iter().all(|member| member.linked)));
    });
}

#[test]
fn a_clock_that_is_an_hour_off_changes_nothing() {
    simulate(|world| async move {
        let one = world.start(1).await;
        let late = world.runtime.fork();
        late.shift_wall_clock(3_600_000);
        let two = world.start_in(late, world.settings(2), "n2").await.expect("joins");
        let early = world.runtime.fork();
        early.shift_wall_clock(-3_600_000);
        let three = world.start_in(early, world.settings(3), "n3").await.expect("joins");
        let nodes = [&one, &two, &three];
        world.agree(&nodes, &[1, 2, 3], SECOND).await;
        two.runtime.shift_wall_clock(-7_200_000);
        world.stays(&nodes, &[1, 2, 3], 60).await;
        for node in ["node/2", "node/3"] {
            let record = NodeRecord::decode(&world.bucket.get(&StorePath::from(node)).await.unwrap()).unwrap();
            let age_ms = world.runtime.now_ms() - record.heartbeat_ms;
            assert!((0..=7_000).contains(&age_ms), "{node}: {age_ms} ms by the store's clock");
        }
        two.runtime.crash();
        world.agree(&[&one, &three], &[1, 3], 2 * SECOND).await;
    });
}

#[test]
fn nodes_that_missed_each_other_at_the_start_meet_by_the_list_or_by_a_third() {
    simulate(|world| async move {
        world.network.cut("n1", "n2");
        let (one, two) = (world.start(1).await, world.start(2).await);
        assert_eq!((ids_of(&one), ids_of(&two)), (vec![1], vec![2]));
        world.sleep(60.0).await;
        let three = world.start(3).await;
        world.agree(&[&one, &two, &three], &[1, 2, 3], 5 * SECOND).await;
        world.network.heal_all();
        world.sleep(5.0).await;
        assert!(is_linked(&one, 2) && is_linked(&two, 1));
    });
}

#[test]
fn an_address_that_nobody_reaches_leaves_the_node_up_and_unlinked() {
    simulate(|world| async move {
        let one = world.start(1).await;
        let settings = ClusterSettings { peer_advertised: Some("nowhere:7000".to_owned()), ..world.settings(2) };
        let two = world.start_with(settings, "n2").await.expect("joins");
        world.agree(&[&one, &two], &[1, 2], SECOND).await;
        world.stays(&[&one, &two], &[1, 2], 20).await;
        assert!(!is_linked(&one, 2) && is_linked(&two, 1));
        assert_eq!(own_address_problem(&one.cluster.node).await, None);
        let problem = own_address_problem(&two.cluster.node).await;
        assert!(problem.is_some_and(|problem| problem.contains("refuses")), "it is said at the start");
        let peers = ClusterPeers(two.cluster.node.clone());
        assert!(!peers.all_connected(), "the other node cannot push to this one");
    });
}

#[test]
fn what_cannot_be_advertised_is_refused_before_anything_is_opened() {
    simulate(|world| async move {
        let listener = |host: &str| NodeListener { name: "PLAINTEXT".to_owned(), host: host.to_owned(), port: 9092 };
        let bad = [
            ClusterSettings { peer_advertised: Some("0.0.0.0:7000".to_owned()), ..world.settings(1) },
            ClusterSettings { peer_advertised: Some("n1:0".to_owned()), ..world.settings(1) },
            ClusterSettings { listeners: vec![listener("0.0.0.0")], ..world.settings(1) },
        ];
        for settings in bad {
            let error = world.start_with(settings, "n1").await.err().expect("is refused");
            assert!(matches!(&error, JoinError::Settings(text) if text.contains("advertise")), "{error}");
        }
        assert!(world.bucket.get(&StorePath::from("node/1")).await.is_err());
    });
}

#[test]
fn a_port_that_is_taken_is_said() {
    simulate(|world| async move {
        let one = world.start(1).await;
        let settings = ClusterSettings { peer_listen: one.cluster.peer_address(), ..world.settings(2) };
        let error = world.start_with(settings, "n1").await.err().expect("is refused");
        assert!(matches!(error, JoinError::Listen { .. }), "{error}");
    });
}

#[test]
fn records_of_nodes_that_died_are_deleted_after_a_day() {
    simulate(|world| async move {
        let (one, two) = (world.start(1).await, world.start(2).await);
        let died = world.start(3).await;
        world.agree(&[&one, &two, &died], &[1, 2, 3], SECOND).await;
        died.runtime.crash();
        world.sleep(5.0).await;
        let record = StorePath::from("node/3");
        // The store's clock jumps, and all others with it.
        let pass = |hours: f64| world.runtime.shift_wall_clock((hours * 3_600_000.0) as i64);
        pass(23.9);
        world.sleep(60.0).await;
        assert!(world.bucket.get(&record).await.is_ok());
        pass(0.2);
        world.sleep(60.0).await;
        assert!(world.bucket.get(&record).await.is_err());
        assert_eq!((ids_of(&one), ids_of(&two)), (vec![1, 2], vec![1, 2]));
    });
}

#[test]
fn a_run_is_repeatable() {
    let run = || {
        let seen = Arc::new(parking_lot::Mutex::new(Vec::new()));
        simulate({
            let seen = seen.clone();
            |world| async move {
                let (one, two, three) = (world.start(1).await, world.start(2).await, world.start(3).await);
                let mut members = one.cluster.subscribe();
                let task = world.runtime.spawn("watch", {
                    let (seen, runtime, cluster) = (seen.clone(), world.runtime.clone(), one.cluster.clone());
                    async move {
                        while members.changed().await.is_ok() {
                            seen.lock().push((runtime.now_ms(), format!("{:?}", cluster.members())));
                        }
                    }
                });
                world.network.cut("n1", "n2");
                world.sleep(20.0).await;
                world.network.heal_all();
                world.sleep(5.0).await;
                three.runtime.crash();
                world.sleep(5.0).await;
                two.cluster.leave().await;
                task.abort();
            }
        });
        let seen = seen.lock();
        seen.clone()
    };
    let first = run();
    assert!(first.len() >= 4, "{first:?}");
    assert_eq!(first, run());
}

#[test]
fn a_node_that_loses_the_store_is_not_sent_to_until_it_has_it_again() {
    simulate(|world| async move {
        let one = world.start(1).await;
        let faulty = Faulty::new(world.bucket.clone(), world.runtime.clone());
        let two = world.start_on(faulty.clone(), world.runtime.fork(), world.settings(2), "n2").await.expect("joins");
        world.agree(&[&one, &two], &[1, 2], SECOND).await;
        faulty.set_down(true);
        world.agree(&[&one, &two], &[1], 20 * SECOND).await;
        world.stays(&[&one, &two], &[1], 60).await;
        assert!(two.cluster.counters().heartbeats_failed.get() >= 30, "it tries each second");
        let record =
            || async { NodeRecord::decode(&world.bucket.get(&StorePath::from("node/2")).await.unwrap()).unwrap() };
        assert!(world.runtime.now_ms() - record().await.heartbeat_ms > 50_000);
        faulty.clear();
        world.agree(&[&one, &two], &[1, 2], 3 * SECOND).await;
        assert!(world.runtime.now_ms() - record().await.heartbeat_ms < 3_500, "written soon after");
    });
}

#[test]
fn a_store_that_nobody_reaches_separates_nobody() {
    simulate(|world| async move {
        let faulty = [(); 2].map(|()| Faulty::new(world.bucket.clone(), world.runtime.clone()));
        let start = |index: usize| {
            let id = index as i32 + 1;
            let host = if index == 0 { "n1" } else { "n2" };
            world.start_on(faulty[index].clone(), world.runtime.fork(), world.settings(id), host)
        };
        let one = start(0).await.expect("joins");
        let two = start(1).await.expect("joins");
        world.agree(&[&one, &two], &[1, 2], SECOND).await;
        faulty.iter().for_each(|faulty| faulty.set_down(true));
        world.sleep(20.0).await;
        world.stays(&[&one, &two], &[1, 2], 60).await;
        faulty.iter().for_each(|faulty| faulty.clear());
        world.sleep(5.0).await;
        world.stays(&[&one, &two], &[1, 2], 10).await;
    });
}
