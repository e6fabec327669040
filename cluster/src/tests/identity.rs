//! Who is who: two nodes with one id, other clusters, other versions of the protocol, strangers.

use alluvium_infra::store::{Modelled, Payload, Store, StoreModel, StorePath};
use alluvium_log::format::node::NodeRecord;

use super::*;
use crate::frame;
use crate::handshake;
use crate::messages::{FrameKind, HelloMessage, PROTOCOL_VERSION, WelcomeMessage};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn an_id_that_a_live_node_has_is_refused_with_its_address() {
    simulate(|world| async move {
        let one = world.start(1).await;
        let error = world.start_with(world.settings(1), "other").await.err().expect("is refused");
        assert!(matches!(&error, JoinError::IdTaken { id: NodeId(1), .. }), "{error}");
        assert!(error.to_string().contains(&one.cluster.peer_address()), "{error}");
        world.stays(&[&one], &[1], 20).await;
    });
}

#[test]
fn the_id_of_a_node_that_was_killed_just_now_is_free() {
    simulate(|world| async move {
        let (one, two) = (world.start(1).await, world.start(2).await);
        world.agree(&[&one, &two], &[1, 2], SECOND).await;
        let address = one.cluster.peer_address();
        one.runtime.crash();
        world.sleep(0.01).await;
        // At the same address, as a service that is started again.
        let settings = ClusterSettings { peer_listen: address, ..world.settings(1) };
        let again = world.start_with(settings, "n1").await.expect("joins");
        world.agree(&[&again, &two], &[1, 2], SECOND).await;
        let seen = two.cluster.members().get(NodeId(1)).map(|member| member.incarnation);
        assert_eq!(seen, Some(again.cluster.incarnation()));
        world.stays(&[&again, &two], &[1, 2], 20).await;
    });
}

#[test]
fn of_two_nodes_that_start_with_one_id_the_younger_stops_and_says_why() {
    simulate(|world| async move {
        let three = world.start(3).await;
        // Each has read that the id is free before the other one's record is written.
        let slow: Arc<dyn Store> = Modelled::new(world.bucket.clone(), StoreModel::s3(), world.runtime.clone());
        let start = |host: &'static str| {
            let (world, slow) = (world.clone(), slow.clone());
            world.runtime.clone().spawn("start", async move {
                world.start_on(slow, world.runtime.fork(), world.settings(1), host).await
            })
        };
        let (first, second) = (start("a"), start("b"));
        let (first, second) = (first.await.unwrap(), second.await.unwrap());
        let (Ok(first), Ok(second)) = (first, second) else { panic!("neither saw the other") };
        let age = |node: &TestNode| (node.cluster.node.record().started_ms, node.cluster.incarnation());
        let (stays, stops) = if age(&first) < age(&second) { (first, second) } else { (second, first) };
        let message = world.runtime.timeout(20 * SECOND, stops.cluster.failed()).await.expect("it stops");
        assert!(message.contains(&stays.cluster.peer_address()), "{message}");
        stops.cluster.leave().await;
        stops.cluster.close().await;
        world.agree(&[&stays, &three], &[1, 3], 5 * SECOND).await;
        world.stays(&[&stays, &three], &[1, 3], 30).await;
        assert!(world.runtime.timeout(20 * SECOND, stays.cluster.failed()).await.is_err(), "the other one goes on");
        let seen = three.cluster.members().get(NodeId(1)).map(|member| member.incarnation);
        assert_eq!(seen, Some(stays.cluster.incarnation()));
    });
}

#[test]
fn a_node_that_was_taken_for_dead_gives_way_to_its_successor() {
    simulate(|world| async move {
        let (one, two) = (world.start(1).await, world.start(2).await);
        world.agree(&[&one, &two], &[1, 2], SECOND).await;
        world.sleep(30.0).await;
        one.runtime.freeze();
        world.sleep(20.0).await;
        let successor = world.start_with(world.settings(1), "other").await.expect("joins");
        world.agree(&[&successor, &two], &[1, 2], 5 * SECOND).await;
        one.runtime.thaw();
        let message = world.runtime.timeout(20 * SECOND, one.cluster.failed()).await.expect("it stops");
        assert!(message.contains(&successor.cluster.peer_address()), "{message}");
        one.cluster.close().await;
        world.sleep(10.0).await;
        world.agree(&[&successor, &two], &[1, 2], SECOND).await;
        let seen = two.cluster.members().get(NodeId(1)).map(|member| member.incarnation);
        assert_eq!(seen, Some(successor.cluster.incarnation()));
    });
}

#[test]
fn a_record_alone_is_no_rival() {
    simulate(|world| async move {
        let one = world.start(1).await;
        world.sleep(1.0).await;
        let path = StorePath::from("node/1");
        // The last write of a node that is gone comes late, for whom this one would make room if it lived.
        let mut ghost = NodeRecord::decode(&world.bucket.get(&path).await.unwrap()).unwrap();
        ghost.incarnation = uuid::Uuid::from_u128(1);
        ghost.started_ms -= 3_000;
        ghost.peer_address = "gone:7000".to_owned();
        world.bucket.put(&path, ghost.encode()).await.unwrap();
        assert!(world.runtime.timeout(30 * SECOND, one.cluster.failed()).await.is_err());
        let record = NodeRecord::decode(&world.bucket.get(&path).await.unwrap()).unwrap();
        assert_eq!(record.incarnation, one.cluster.incarnation());
        // One whose heart beats lives, though it cannot be reached.
        let rival = world.runtime.spawn("rival", {
            let world = world.clone();
            async move {
                loop {
                    ghost.heartbeat_ms = world.runtime.now_ms();
                    world.bucket.put(&path, ghost.encode()).await.unwrap();
                    world.sleep(2.0).await;
                }
            }
        });
        let message = world.runtime.timeout(30 * SECOND, one.cluster.failed()).await.expect("it stops");
        assert!(message.contains("gone:7000"), "{message}");
        rival.abort();
    });
}

/// Connects to a node, says `first` and gives what it answers, if anything.
async fn knock(world: &World, node: &TestNode, first: Payload) -> Option<FrameKind> {
    let mut connection = world.network.host("stranger").connect(&node.cluster.peer_address()).await.unwrap();
    connection.writer.write(first).await.unwrap();
    let answer = world.runtime.timeout(5 * SECOND, connection.reader.read(100_000)).await.expect("answers or closes");
    frame::decode(answer.ok()??).ok()?.kind
}

fn refusal(answer: Option<FrameKind>) -> String {
    match answer {
        Some(FrameKind::Welcome(WelcomeMessage { refusal, .. })) => refusal,
        other => panic!("not a welcome: {other:?}"),
    }
}

#[test]
fn peers_of_other_clusters_and_other_versions_are_refused_with_the_reason() {
    simulate(|world| async move {
        let (one, two) = (world.start(1).await, world.start(2).await);
        let mut hello = handshake::hello(&two.cluster.node, false);
        hello.cluster_id = "another".to_owned();
        let answer = knock(&world, &one, frame::notice(FrameKind::Hello(hello.clone()))).await;
        assert!(refusal(answer).contains("cluster another"));
        hello = HelloMessage {
            version: PROTOCOL_VERSION + 2,
            oldest: PROTOCOL_VERSION + 1,
            ..handshake::hello(&two.cluster.node, false)
        };
        let answer = knock(&world, &one, frame::notice(FrameKind::Hello(hello.clone()))).await;
        assert!(refusal(answer).contains("protocol"));
        hello = handshake::hello(&one.cluster.node, false);
        let answer = knock(&world, &one, frame::notice(FrameKind::Hello(hello.clone()))).await;
        assert!(refusal(answer).contains("already here"));
        hello = HelloMessage { node_id: 9, ..handshake::hello(&two.cluster.node, false) };
        let answer = knock(&world, &one, frame::notice(FrameKind::Hello(hello))).await;
        assert!(refusal(answer).contains("another node"));
        world.stays(&[&one, &two], &[1, 2], 5).await;
    });
}

#[test]
fn strangers_get_nothing() {
    simulate(|world| async move {
        let one = world.start(1).await;
        let whole = frame::notice(FrameKind::Hello(handshake::hello(&one.cluster.node, false))).into_bytes();
        let cut = whole.slice(..whole.len() / 2);
        for bytes in [Bytes::from_static(b"GET / HTTP/1.1\r\n\r\n"), Bytes::new(), cut, Bytes::from(vec![0xff; 90_000])]
        {
            assert_eq!(knock(&world, &one, Payload::from(bytes)).await, None);
        }
        // Who connects and says nothing is sent away.
        let mut silent = world.network.host("stranger").connect(&one.cluster.peer_address()).await.unwrap();
        let read = world.runtime.timeout(5 * SECOND, silent.reader.read(1_000)).await.expect("closes");
        assert!(matches!(read, Ok(None)));
        world.stays(&[&one], &[1], 5).await;
    });
}
