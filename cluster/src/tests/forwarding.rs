//! Appends forwarded to the leader and entries pushed to everybody, on a network that suffers.

use std::sync::atomic::{AtomicBool, Ordering};

use alluvium_infra::store::Payload;
use alluvium_log::{ForwardError, Peers};

use super::*;
use crate::frame;
use crate::messages::{BatchMessage, ForwardMessage, FrameKind};
use crate::peers::ClusterPeers;
use crate::testing::{Fate, FrameSort};

const SECOND: Duration = Duration::from_secs(1);

/// Two nodes with a link, and a topic that both know: the leader of shard 0 and the other one.
async fn pair(world: &World) -> (TestNode, TestNode, TopicPartition) {
    let (one, two) = (world.start(1).await, world.start(2).await);
    world.agree(&[&one, &two], &[1, 2], SECOND).await;
    world.sleep(1.0).await;
    let (leader, other) = leader_and_other([one, two]);
    let at = create_topic(&leader).await;
    other.log.catch_up().await.expect("is read");
    (leader, other, at)
}

fn peers(node: &TestNode) -> ClusterPeers {
    ClusterPeers(node.cluster.node.clone())
}

/// Forwards one batch, past the log.
async fn forward(from: &TestNode, to: &TestNode, append: Append) -> Result<Vec<AppendOutcome>, ForwardError> {
    let answer = peers(from).forward(NodeId(to.id), ShardId(0), &append, soon(&from.runtime));
    answer.await.expect("is answered")
}

/// Offsets that were given out in the partition, as a node knows it after reading the log.
async fn high_watermark(node: &TestNode, at: TopicPartition) -> i64 {
    node.log.catch_up().await.expect("is read").partition(at).expect("is there").high_watermark()
}

#[test]
fn an_append_is_committed_by_the_leader_and_the_entry_comes_back_at_once() {
    simulate(|world| async move {
        let (leader, other, at) = pair(&world).await;
        assert_eq!(peers(&other).leader(ShardId(0)), Some(NodeId(leader.id)));
        assert_eq!(peers(&leader).leader(ShardId(0)), None, "the leader commits here");
        let puts = other.store.snapshot().puts();
        let mut states = other.log.meta().subscribe();
        drop(states.newest_seen());
        for expected in 0..3 {
            assert_eq!(append(&other, at, batch(None)).await.expect("is written"), expected);
        }
        assert_eq!(other.store.snapshot().puts(), puts, "the leader put the entries");
        assert_eq!(leader.cluster.counters().appends_served.get(), 3);
        assert_eq!(other.cluster.counters().appends_decided.get(), 3);
        let known = async {
            while other.log.meta().state().entry_number() < leader.log.meta().state().entry_number() {
                states.changed().await.expect("lives");
            }
        };
        world.runtime.timeout(Duration::from_millis(20), known).await.expect("is pushed within 20 ms");
        assert_eq!(append(&leader, at, batch(None)).await.expect("is written"), 3);
    });
}

#[test]
fn what_the_leader_decides_is_what_the_client_hears() {
    simulate(|world| async move {
        let (leader, other, at) = pair(&world).await;
        let unknown = TopicPartition { partition: 7, ..at };
        let two = Append {
            batches: vec![BatchToAppend::new(at, batch(Some((5, 0)))), BatchToAppend::new(unknown, batch(None))],
            source: AppendSource::Inline,
        };
        let outcomes = forward(&other, &leader, two).await.expect("is decided");
        assert!(matches!(outcomes[0], AppendOutcome::Appended { base_offset: 0, .. }), "{outcomes:?}");
        assert!(matches!(outcomes[1], AppendOutcome::Rejected(_)), "{outcomes:?}");
        let again = forward(&other, &leader, append_of(at, batch(Some((5, 0))))).await.expect("is decided");
        assert!(matches!(again[0], AppendOutcome::Duplicate { base_offset: 0, .. }), "{again:?}");
        let gap = forward(&other, &leader, append_of(at, batch(Some((5, 9))))).await.expect("is decided");
        assert!(matches!(gap[0], AppendOutcome::Rejected(_)), "{gap:?}");
    });
}

#[test]
fn a_link_that_breaks_before_the_frame_is_written_means_not_sent() {
    simulate(|world| async move {
        let (leader, other, at) = pair(&world).await;
        // What is put in within one moment has not been written when the crash is noticed in the next.
        let link = other.cluster.node.table.lock().link(NodeId(leader.id)).expect("a link");
        let answer =
            peers(&other).forward(NodeId(leader.id), ShardId(0), &append_of(at, batch(None)), soon(&other.runtime));
        link.requests.close();
        assert!(matches!(answer.await.unwrap(), Err(ForwardError::NotSent(_))));
        let late = forward(&other, &leader, append_of(at, batch(None))).await;
        assert!(matches!(late, Err(ForwardError::NotSent(_))), "{late:?}");
        world.sleep(1.0).await;
        assert_eq!(high_watermark(&leader, at).await, 0, "what was not sent was not written");
    });
}

#[test]
fn to_a_node_without_link_and_after_its_deadline_nothing_is_sent() {
    simulate(|world| async move {
        let (leader, other, at) = pair(&world).await;
        let append = append_of(at, batch(None));
        let nobody = peers(&other).forward(NodeId(77), ShardId(0), &append, soon(&other.runtime)).await.unwrap();
        assert!(matches!(nobody, Err(ForwardError::NotSent(_))), "{nobody:?}");
        let now = other.runtime.monotonic();
        let late = peers(&other).forward(NodeId(leader.id), ShardId(0), &append, now).await.unwrap();
        assert!(matches!(late, Err(ForwardError::NotSent(_))), "{late:?}");
        let unopened =
            peers(&other).forward(NodeId(leader.id), ShardId(9), &append, soon(&other.runtime)).await.unwrap();
        assert!(matches!(&unopened, Err(ForwardError::NotSent(reason)) if reason.contains("shard 9")), "{unopened:?}");
        assert_eq!(high_watermark(&leader, at).await, 0);
    });
}

#[test]
fn a_lost_answer_and_a_lost_request_are_unknown_after_two_seconds() {
    for lost in [FrameSort::Answer, FrameSort::Forward] {
        simulate(|world| async move {
            let (leader, other, at) = pair(&world).await;
            world.network.set_fate(move |_, _, sort| if sort == lost { Fate::IsLost } else { Fate::Arrives });
            let begun = world.runtime.monotonic();
            let answer = forward(&other, &leader, append_of(at, batch(None))).await;
            assert!(matches!(answer, Err(ForwardError::Unknown)), "{answer:?}");
            assert_eq!(world.runtime.monotonic() - begun, 2 * SECOND);
            let written = high_watermark(&leader, at).await;
            assert_eq!(written, i64::from(lost == FrameSort::Answer), "nobody could have known");
            assert!(is_linked(&other, leader.id), "the link goes on");
        });
    }
}

#[test]
fn a_leader_that_dies_with_an_append_in_its_hands_leaves_it_unknown_and_soon() {
    simulate(|world| async move {
        let (leader, other, at) = pair(&world).await;
        world.network.set_fate(|_, _, sort| if sort == FrameSort::Answer { Fate::IsLost } else { Fate::Arrives });
        let append = append_of(at, batch(None));
        let answer = peers(&other).forward(NodeId(leader.id), ShardId(0), &append, soon(&other.runtime));
        world.sleep(0.1).await;
        let begun = world.runtime.monotonic();
        leader.runtime.crash();
        assert!(matches!(answer.await.unwrap(), Err(ForwardError::Unknown)));
        assert!(world.runtime.monotonic() - begun < Duration::from_millis(100));
    });
}

#[test]
fn a_producer_with_sequences_survives_every_loss_without_loss_or_double() {
    simulate(|world| async move {
        let (leader, other, at) = pair(&world).await;
        let lossy = Arc::new(AtomicBool::new(true));
        world.network.set_fate({
            let (lossy, runtime) = (lossy.clone(), world.runtime.clone());
            move |_, _, sort| match sort {
                FrameSort::Forward | FrameSort::Answer
                    if lossy.load(Ordering::Relaxed) && runtime.random_below(3) == 0 =>
                {
                    Fate::IsLost
                }
                FrameSort::Push if runtime.random_below(4) == 0 => Fate::IsLost,
                FrameSort::Push if runtime.random_below(4) == 0 => Fate::ComesTwice,
                FrameSort::Push if runtime.random_below(4) == 0 => Fate::IsOvertaken(Duration::from_millis(700)),
                _ => Fate::Arrives,
            }
        });
        for sequence in 0..40 {
            let offset = append(&other, at, batch(Some((5, sequence)))).await.expect("is written");
            assert_eq!(offset, i64::from(sequence));
        }
        lossy.store(false, Ordering::Relaxed);
        assert_eq!(high_watermark(&leader, at).await, 40);
        assert_eq!(high_watermark(&other, at).await, 40);
    });
}

#[test]
fn pushes_that_come_twice_and_out_of_turn_are_applied_once_and_in_turn() {
    simulate(|world| async move {
        let (leader, other, at) = pair(&world).await;
        let count = Arc::new(std::sync::atomic::AtomicU64::new(0));
        world.network.set_fate(move |_, _, sort| match sort {
            FrameSort::Push => match count.fetch_add(1, Ordering::Relaxed) % 3 {
                0 => Fate::IsOvertaken(Duration::from_millis(30)),
                1 => Fate::ComesTwice,
                _ => Fate::Arrives,
            },
            _ => Fate::Arrives,
        });
        let gets = other.store.snapshot().gets();
        for offset in 0..30 {
            assert_eq!(append(&leader, at, batch(None)).await.expect("is written"), offset);
        }
        world.sleep(0.5).await;
        let state = other.log.meta().state();
        assert_eq!(state.partition(at).expect("is there").high_watermark(), 30);
        assert_eq!(state.entry_number(), leader.log.meta().state().entry_number());
        assert!(other.store.snapshot().gets() - gets <= 1, "nothing but a heartbeat was read");
    });
}

#[test]
fn a_cut_network_holds_up_nobody_for_longer_than_two_seconds() {
    simulate(|world| async move {
        let (leader, other, at) = pair(&world).await;
        world.network.cut("n1", "n2");
        for sequence in 0..20 {
            let begun = world.runtime.monotonic();
            let offset = append(&other, at, batch(Some((5, sequence)))).await.expect("is written");
            let took = world.runtime.monotonic() - begun;
            assert!(took <= 3 * SECOND, "{took:?} for append {sequence}");
            assert_eq!(offset, i64::from(sequence));
            world.sleep(0.2).await;
        }
        world.network.heal_all();
        world.agree(&[&leader, &other], &[1, 2], 5 * SECOND).await;
        assert_eq!(high_watermark(&leader, at).await, 20, "late frames changed nothing");
    });
}

#[test]
fn a_leaving_node_serves_what_it_was_sent_and_then_nothing() {
    simulate(|world| async move {
        let (leader, other, at) = pair(&world).await;
        leader.cluster.leave().await;
        world.agree(&[&other], &[other.id], SECOND).await;
        assert_eq!(peers(&other).leader(ShardId(0)), None, "this node leads now");
        let outcomes = forward(&other, &leader, append_of(at, batch(None))).await.expect("is still served");
        assert!(matches!(outcomes[0], AppendOutcome::Appended { base_offset: 0, .. }));
        // Served while it closes: the answer is awaited, and nobody else is taken.
        let answer =
            peers(&other).forward(NodeId(leader.id), ShardId(0), &append_of(at, batch(None)), soon(&other.runtime));
        world.sleep(0.002).await;
        leader.cluster.close().await;
        assert!(matches!(answer.await.unwrap(), Ok(outcomes) if outcomes.len() == 1));
        world.sleep(0.01).await;
        let late = forward(&other, &leader, append_of(at, batch(None))).await;
        assert!(matches!(late, Err(ForwardError::NotSent(_))), "{late:?}");
        assert_eq!(high_watermark(&other, at).await, 2);
        assert_eq!(append(&other, at, batch(None)).await.expect("is written"), 2);
    });
}

#[test]
fn a_node_that_closes_does_nothing_with_what_comes_late_and_says_so() {
    simulate(|world| async move {
        let (leader, other, at) = pair(&world).await;
        leader.cluster.node.served.drain().await;
        let late = forward(&other, &leader, append_of(at, batch(None))).await;
        assert!(matches!(&late, Err(ForwardError::NotSent(reason)) if reason.contains("shutting down")), "{late:?}");
        assert_eq!(append(&other, at, batch(None)).await.expect("is written"), 0, "the node commits it itself");
    });
}

#[test]
fn closing_answers_everything_and_ends_every_task() {
    simulate(|world| async move {
        let (leader, other, at) = pair(&world).await;
        world.network.set_fate(|_, _, sort| if sort == FrameSort::Answer { Fate::IsLost } else { Fate::Arrives });
        let append = append_of(at, batch(None));
        let answer = peers(&other).forward(NodeId(leader.id), ShardId(0), &append, soon(&other.runtime));
        world.sleep(0.1).await;
        other.cluster.leave().await;
        other.cluster.close().await;
        assert!(matches!(answer.await.unwrap(), Err(ForwardError::Unknown)));
        let (node, transport) = (Arc::downgrade(&other.cluster.node), other.cluster.peer_address());
        let closed = world.network.host("n9").connect(&transport).await.err();
        assert_eq!(closed, Some(crate::ConnectError::Refused));
        drop(other.cluster);
        world.sleep(5.0).await;
        assert_eq!(node.strong_count(), 1, "besides the log, to which it is attached, a task still holds the node");
    });
}

/// A connection to `node` in the name of `by`, past its link.
async fn impostor(world: &World, by: &TestNode, node: &TestNode) -> crate::Connection {
    let hello = crate::handshake::hello(&by.cluster.node, false);
    let mut connection = world.network.host("impostor").connect(&node.cluster.peer_address()).await.unwrap();
    connection.writer.write(frame::notice(FrameKind::Hello(hello))).await.unwrap();
    connection.reader.read(100_000).await.unwrap().expect("is welcomed");
    connection
}

#[test]
fn what_is_no_append_is_answered_and_what_is_no_frame_ends_the_connection() {
    simulate(|world| async move {
        let (leader, other, at) = pair(&world).await;
        let mut connection = impostor(&world, &other, &leader).await;
        let topic = Bytes::copy_from_slice(at.topic.as_bytes());
        let lies = BatchMessage { topic, partition: 0, length: u32::MAX, header: Bytes::new(), transaction: None };
        let message = ForwardMessage { batches: vec![lies], ..ForwardMessage::default() };
        connection.writer.write(frame::encode(9, FrameKind::Forward(message), Default::default())).await.unwrap();
        let answer = connection.reader.read(100_000).await.unwrap().expect("is answered");
        let answer = frame::decode(answer).unwrap();
        assert_eq!(answer.request, 9);
        assert!(matches!(&answer.kind, Some(FrameKind::Answer(answer)) if answer.verdict == 2), "{answer:?}");
        let push = FrameKind::Push(crate::messages::PushMessage { shard: 0, number: 1 });
        let garbage = Payload::from(&b"no entry"[..]);
        connection.writer.write(frame::encode(0, push, garbage)).await.unwrap();
        connection.writer.write(Payload::from(&b"no frame"[..])).await.unwrap();
        assert_eq!(connection.reader.read(100_000).await.unwrap(), None);
        assert_eq!(append(&leader, at, batch(None)).await.expect("is written"), 0, "the leader minds nothing");
        assert_eq!(leader.cluster.counters().appends_refused.get(), 1);
    });
}

#[test]
fn a_peer_that_reads_nothing_costs_bounded_memory_and_nobody_time() {
    simulate(|world| async move {
        let (leader, other, _) = pair(&world).await;
        world.network.cut("n1", "n2");
        let entry = Payload::from(Bytes::from(vec![7; 1024 * 1024]));
        for number in 0..100 {
            peers(&leader).push(ShardId(0), number, entry.clone());
        }
        let counters = leader.cluster.counters();
        assert!(counters.pushes_dropped.get() >= 80, "{} were dropped", counters.pushes_dropped.get());
        world.agree(&[&leader], &[leader.id], 10 * SECOND).await;
        drop(other);
    });
}
