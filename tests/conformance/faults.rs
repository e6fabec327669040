//! Every fault at every kind of request, scripted one by one.

use std::time::Duration;

use alluvium_infra::store::{Fault, FaultRule, Faulty, StoreOperation};
use alluvium_tests::node::{Node, NodeOptions};
use alluvium_tests::records;

use crate::corner::{Corner, at};

const PAUSE: Duration = Duration::from_millis(40);

/// One of each kind.
fn every_fault() -> Vec<Fault> {
    vec![
        Fault::ReplyLost,
        Fault::LatePut(PAUSE),
        Fault::Conflict409,
        Fault::Precondition412,
        Fault::Throttle429,
        Fault::Unavailable503,
        Fault::Unavailable503AfterApply,
        Fault::Slow(PAUSE),
        Fault::SlowReply(PAUSE),
        Fault::Lost(PAUSE),
        Fault::TruncatedRead,
        Fault::FlippedBit,
    ]
}

/// A node that puts an entry a second time while a slow put is under way.
fn hedging(corner: &Corner) -> NodeOptions {
    let mut options = corner.options();
    options.log.commit.slot.hedge_after = PAUSE / 2;
    options
}

pub(crate) async fn a_slot_is_resolved_through_every_fault(corner: &Corner) {
    let (node, faulty) = corner.faulty_node(&hedging(corner)).await;
    let place = at(node.create_topic("orders", 1, &[]).await, 0);
    let mut expected = Vec::new();
    let mut say = async |what: String| {
        let offset = node.say(place, &[&what]).await;
        assert_eq!(offset, expected.len() as i64, "{what}");
        expected.push(what);
    };
    for fault in every_fault() {
        for times in [1, 3] {
            let rule = FaultRule { times, ..FaultRule::next(StoreOperation::PutIfAbsent, fault.clone()) };
            faulty.script(rule);
            say(format!("put {fault:?} {times}")).await;
            faulty.clear();
        }
        // The put's reply is lost, and the read that has to tell what happened fails as well.
        for written in [Fault::ReplyLost, Fault::Unavailable503] {
            faulty.script(FaultRule::next(StoreOperation::PutIfAbsent, written.clone()));
            faulty.script(FaultRule::next(StoreOperation::Get, fault.clone()));
            say(format!("put {written:?}, get {fault:?}")).await;
            faulty.clear();
        }
    }
    corner.runtime.sleep(2 * PAUSE).await;
    let other = corner.other_node().await;
    assert_eq!(other.values(place).await, expected);
    node.log.meta().catch_up().await.unwrap();
    assert_eq!(other.state_bytes(), node.state_bytes());
    assert_eq!(corner.keys("/log/").await.len(), expected.len() + 1, "each is in one entry");
}

pub(crate) async fn a_segment_is_put_through_every_fault(corner: &Corner) {
    let mut options = corner.options();
    options.ingest.inline_bytes_max = 1000;
    options.log.commit.checkpoint_entries = 4;
    let (node, faulty) = corner.faulty_node(&options).await;
    let place = at(node.create_topic("orders", 1, &[]).await, 0);
    let mut expected = Vec::new();
    for (fault, n) in every_fault().into_iter().zip(0..) {
        faulty.script(FaultRule::next(StoreOperation::Put, fault.clone()));
        let batch = records::large(corner.now_ms(), n, 3000);
        assert_eq!(node.must_produce(place, batch.clone()).await, expected.len() as i64, "{fault:?}");
        expected.push(batch);
        faulty.clear();
        // The same at checkpoints and head hints, which nobody waits for.
        for path in ["/checkpoint/", "/head"] {
            faulty.script(FaultRule::always(StoreOperation::Put, path, fault.clone()));
        }
        for value in ["a", "b", "c", "d"] {
            let batch = records::batch(corner.now_ms(), &[value]);
            assert_eq!(node.must_produce(place, batch.clone()).await, expected.len() as i64, "{fault:?}");
            expected.push(batch);
        }
        corner.runtime.sleep(2 * PAUSE).await;
        faulty.clear();
    }
    let other = corner.other_node().await;
    node.log.meta().catch_up().await.unwrap();
    assert_eq!(other.state_bytes(), node.state_bytes());
    let read = other.read_from(place, 0).await.unwrap();
    assert_eq!(read.len(), expected.len());
    for (record, batch) in read.iter().zip(&expected) {
        assert_eq!(
            record.value,
            records::read(std::slice::from_ref(&batch.bytes))[0].value,
            "offset {}",
            record.offset
        );
    }
}

pub(crate) async fn reads_fail_aloud_or_not_at_all(corner: &Corner) {
    let mut options = corner.options();
    options.log.tail_bytes_max = 1;
    // Nothing stays cached, so that every read goes to the store.
    options.reader.block_cache_bytes_max = 1;
    let (node, faulty) = corner.faulty_node(&options).await;
    let place = at(node.create_topic("orders", 1, &[]).await, 0);
    node.say(place, &["small"]).await;
    node.must_produce(place, records::large(corner.now_ms(), 1, 900 << 10)).await;
    let expected = node.read_from(place, 0).await.unwrap();
    assert_eq!(expected.len(), 2);
    for fault in every_fault() {
        for (operation, offset, index) in [(StoreOperation::Get, 0, 0), (StoreOperation::GetRange, 1, 1)] {
            for nth in [1, 2] {
                faulty.script(FaultRule::nth(nth, operation, "", fault.clone()));
                if let Ok(data) = node.fetch(place, offset, 1000).await {
                    assert_eq!(records::read(&data.slices)[0], expected[index], "{fault:?} at {operation}");
                }
                faulty.clear();
                let data = node.fetch(place, offset, 1000).await.expect("a fault is not kept");
                assert_eq!(records::read(&data.slices)[0], expected[index], "after {fault:?} at {operation}");
            }
        }
        // Damage that comes once is read again, so that nobody hears of it.
        if fault == Fault::FlippedBit {
            for operation in [StoreOperation::Get, StoreOperation::GetRange] {
                faulty.script(FaultRule::next(operation, fault.clone()));
                assert_eq!(node.read_from(place, 0).await.unwrap(), expected);
                assert_eq!(faulty.injected().last().unwrap().operation, operation);
                faulty.clear();
            }
        }
    }
    // A running node that reads the log forward.
    let (behind, faulty) = corner.faulty_node(&options).await;
    for (fault, n) in every_fault().into_iter().zip(2..) {
        assert_eq!(node.say(place, &["next"]).await, n);
        faulty.script(FaultRule::next(StoreOperation::Get, fault.clone()));
        if let Ok(state) = behind.log.meta().catch_up().await {
            assert_eq!(state.partition(place).unwrap().high_watermark(), n + 1, "{fault:?}");
        }
        faulty.clear();
        let state = behind.log.meta().catch_up().await.expect("a fault does not break a node for good");
        assert_eq!(state.partition(place).unwrap().high_watermark(), n + 1, "after {fault:?}");
    }
    assert_eq!(behind.state_bytes(), node.state_bytes());
}

pub(crate) async fn recovery_survives_or_fails_aloud(corner: &Corner) {
    let mut options = corner.options();
    options.log.commit.checkpoint_entries = 4;
    let node = corner.node_with(&options).await;
    let place = at(node.create_topic("orders", 1, &[]).await, 0);
    for _ in 0..6 {
        node.say(place, &["v"]).await;
    }
    corner.runtime.sleep(2 * PAUSE).await;
    let expected = node.state_bytes();
    let faulty = Faulty::new(corner.store.clone(), corner.runtime.clone());
    for fault in every_fault() {
        for operation in [StoreOperation::Get, StoreOperation::List] {
            // cluster.json, head, checkpoint, entries, the slot behind the end.
            for nth in 1..=5 {
                faulty.script(FaultRule::nth(nth, operation, "", fault.clone()));
                if let Ok(node) = Node::open(faulty.clone(), &options, &corner.runtime).await {
                    assert_eq!(node.state_bytes(), expected, "{fault:?} at {operation} {nth}");
                }
                faulty.clear();
            }
        }
        let node = Node::open(faulty.clone(), &options, &corner.runtime).await.expect("a fault leaves nothing behind");
        assert_eq!(node.state_bytes(), expected, "after {fault:?}");
        // A cluster that is made, and a block of producer ids that is claimed, through the same fault.
        let fresh = corner.part(&format!("{}", faulty.injected_count()));
        faulty.script(FaultRule::next(StoreOperation::PutIfAbsent, fault.clone()));
        let first = Node::open(faulty.clone(), &fresh.options(), &corner.runtime).await;
        faulty.clear();
        let again = Node::open(faulty.clone(), &fresh.options(), &corner.runtime).await.expect("opens the second time");
        if let Ok(first) = first {
            assert_eq!(first.log.cluster_id(), again.log.cluster_id(), "{fault:?}");
        }
        faulty.script(FaultRule::next(StoreOperation::PutIfAbsent, fault.clone()));
        let id = again.log.allocate_producer_id().await;
        faulty.clear();
        let next = again.log.allocate_producer_id().await.unwrap();
        assert!(id.is_err() || id.is_ok_and(|id| id != next), "{fault:?}");
    }
}
