//! Outages longer than anybody's patience, shutting down, and bounded memory.

use std::time::Duration;

use alluvium_infra::store::{Fault, FaultRule, StoreOperation};
use alluvium_ingest::AppendError;
use alluvium_log::paths::ShardPaths;
use alluvium_tests::records;
use futures_util::FutureExt;

use crate::corner::{Corner, at};

pub(crate) async fn an_unknown_outcome_is_never_called_a_failure(corner: &Corner) {
    let mut options = corner.options();
    options.log.commit.slot.hedge_after = Duration::from_millis(100);
    let (node, faulty) = corner.faulty_node(&options).await;
    let place = at(node.create_topic("orders", 1, &[]).await, 0);
    let first = records::sequenced(corner.now_ms(), (1, 0, 0), &["first"]);
    let patience = Duration::from_millis(300);
    // The entry is written and every sign of it is lost: nobody may say that it failed.
    faulty.script(FaultRule::next(StoreOperation::PutIfAbsent, Fault::ReplyLost));
    faulty.script(FaultRule::always(StoreOperation::PutIfAbsent, "", Fault::Unavailable503));
    faulty.script(FaultRule::always(StoreOperation::Get, "", Fault::Unavailable503));
    let answer = node.produce_for(place, first.clone(), patience).await;
    assert_eq!(answer, Err(AppendError::TimedOutUnknown));
    // What came behind it and was never attempted is unknown or definitely refused, in any case not acknowledged.
    let second = records::sequenced(corner.now_ms(), (1, 0, 1), &["second"]);
    let behind = node.produce_for(place, second.clone(), patience).await;
    assert!(matches!(behind, Err(AppendError::TimedOutUnknown | AppendError::Unavailable(_))), "{behind:?}");
    faulty.clear();
    // The producer tries again, as it must, and nothing is there twice.
    let again = node.produce(place, first).await.unwrap();
    assert_eq!((again.base_offset, again.duplicate), (0, true), "it had been written");
    assert_eq!(node.must_produce(place, second).await, 1);
    assert_eq!(node.values(place).await, ["first", "second"]);
    // The other way round: nothing was written when patience ended, and a late put brings it afterwards.
    faulty.script(FaultRule::always(StoreOperation::Get, "", Fault::Unavailable503));
    faulty.script(FaultRule::next(StoreOperation::PutIfAbsent, Fault::LatePut(Duration::from_millis(600))));
    faulty.script(FaultRule::always(StoreOperation::PutIfAbsent, "", Fault::Unavailable503));
    let third = records::sequenced(corner.now_ms(), (1, 0, 2), &["third"]);
    assert_eq!(node.produce_for(place, third.clone(), patience).await, Err(AppendError::TimedOutUnknown));
    corner.runtime.sleep(Duration::from_millis(600)).await;
    faulty.clear();
    let again = node.produce(place, third).await.unwrap();
    assert_eq!((again.base_offset, again.duplicate), (2, true));
    // A segment that could not be put was never committed: that is a definite answer.
    faulty.script(FaultRule::always(StoreOperation::Put, "/segment/", Fault::Unavailable503));
    let large = records::large(corner.now_ms(), 1, 600 << 10);
    let refused = node.produce_for(place, large, patience).await;
    assert!(matches!(refused, Err(AppendError::Unavailable(_) | AppendError::TimedOutUnknown)), "{refused:?}");
    faulty.clear();
    assert_eq!(node.say(place, &["fourth"]).await, 3);
    // The whole store goes away for a while and comes back: who waits long enough never notices.
    faulty.set_down(true);
    let waiting = node.begin(vec![(place, records::batch(corner.now_ms(), &["fifth"]))], Duration::from_secs(60)).await;
    corner.runtime.sleep(Duration::from_secs(1)).await;
    faulty.set_down(false);
    assert_eq!(waiting.await[0].as_ref().unwrap().base_offset, 4);
    assert_eq!(corner.other_node().await.values(place).await, ["first", "second", "third", "fourth", "fifth"]);
}

pub(crate) async fn a_drain_answers_everything(corner: &Corner) {
    let (node, faulty) = corner.faulty_node(&corner.options()).await;
    let place = at(node.create_topic("orders", 1, &[]).await, 0);
    faulty.script(FaultRule::next(StoreOperation::PutIfAbsent, Fault::Slow(Duration::from_millis(100))));
    let mut waiting = Vec::new();
    for n in 0..20 {
        let batch = match n % 7 {
            6 => records::large(corner.now_ms(), n, 600 << 10),
            _ => records::batch(corner.now_ms(), &["v"]),
        };
        waiting.push(node.begin(vec![(place, batch)], Duration::from_secs(30)).await);
    }
    node.ingest.drain().await;
    for (reply, offset) in waiting.into_iter().zip(0..) {
        let answers = reply.now_or_never().expect("a drain waits for every answer");
        assert_eq!(answers[0].as_ref().unwrap().base_offset, offset);
    }
    let late = node.produce(place, records::batch(corner.now_ms(), &["late"])).await;
    assert_eq!(late, Err(AppendError::ShuttingDown));
    node.log.close().await;
    let closed = node.log.meta().commit(alluvium_log::Operation::DeleteTopic { id: place.topic }, None).await;
    assert!(matches!(closed, Err(alluvium_log::CommitError::Closed)), "{closed:?}");
    assert_eq!(corner.other_node().await.read_from(place, 0).await.unwrap().len(), 20);
}

pub(crate) async fn bytes_in_flight_are_bounded(corner: &Corner) {
    let mut options = corner.options();
    options.ingest.bytes_in_flight_max = 10_000;
    let (node, faulty) = corner.faulty_node(&options).await;
    let place = at(node.create_topic("orders", 1, &[]).await, 0);
    let batch = || vec![(place, records::large(corner.now_ms(), 1, 3000))];
    faulty.set_down(true);
    let mut waiting = Vec::new();
    for _ in 0..3 {
        waiting.push(node.begin(batch(), Duration::from_secs(30)).await);
    }
    assert!(node.ingest.bytes_available() < 3000);
    let mut fourth = Box::pin(node.begin(batch(), Duration::from_secs(30)));
    let early = corner.runtime.timeout(Duration::from_millis(50), &mut fourth).await;
    assert!(early.is_err(), "there is no room for a fourth");
    faulty.set_down(false);
    for reply in waiting {
        reply.await[0].as_ref().unwrap();
    }
    fourth.await.await[0].as_ref().unwrap();
    // A request larger than the whole budget comes through, alone.
    node.must_produce(place, records::large(corner.now_ms(), 1, 50_000)).await;
    // All room is given back, a moment after the answer.
    let given_back = async {
        while node.ingest.bytes_available() < 10_000 {
            corner.runtime.sleep(Duration::from_millis(1)).await;
        }
    };
    assert!(corner.runtime.timeout(Duration::from_secs(10), given_back).await.is_ok());
}

pub(crate) async fn a_writer_that_froze_acknowledges_nothing(corner: &Corner) {
    let mut options = corner.options();
    options.log.commit.log_retention = Duration::from_secs(3);
    options.log.commit.slot.hedge_after = Duration::from_secs(60);
    let (frozen, faulty) = corner.faulty_node(&options).await;
    let place = at(frozen.create_topic("orders", 1, &[]).await, 0);
    options.log.commit.checkpoint_entries = 5;
    let awake = corner.node_with(&options).await;
    // Longer than half the time that entries are kept lies between looking at the end of the log and writing there.
    faulty.script(FaultRule::next(StoreOperation::PutIfAbsent, Fault::Slow(Duration::from_secs(2))));
    let late = records::sequenced(corner.now_ms(), (5, 0, 0), &["late"]);
    let waiting = frozen.begin(vec![(place, late.clone())], Duration::from_secs(30)).await;
    corner.runtime.sleep(Duration::from_millis(100)).await;
    for n in 0..6 {
        assert_eq!(awake.say(place, &["awake"]).await, n);
    }
    while corner.keys("/head").await.is_empty() {
        corner.runtime.sleep(Duration::from_millis(10)).await;
    }
    // A checkpoint covers them, and so they are collected: the slot is free again.
    let checkpoint = corner.keys("/checkpoint/").await.pop().expect("one was written");
    let covered = ShardPaths::parse_number(checkpoint.as_str()).expect("its name is a number");
    for entry in corner.keys("/log/").await {
        if ShardPaths::parse_number(entry.as_str()).is_some_and(|number| number <= covered) {
            corner.store.delete(&entry).await.unwrap();
        }
    }
    assert_eq!(waiting.await[0], Err(AppendError::TimedOutUnknown), "it won a slot that had been collected");
    // It builds its state anew before it goes on, and the producer's second attempt is the first that counts.
    let again = frozen.produce(place, late).await.unwrap();
    assert_eq!((again.base_offset, again.duplicate), (6, false));
    let expected = ["awake", "awake", "awake", "awake", "awake", "awake", "late"];
    assert_eq!(frozen.read_from(place, 6).await.unwrap().len(), 1);
    awake.log.meta().catch_up().await.unwrap();
    let fresh = corner.node().await;
    assert_eq!(fresh.state_bytes(), frozen.state_bytes());
    assert_eq!(fresh.state_bytes(), awake.state_bytes());
    assert_eq!(awake.values(place).await, expected, "what was in its tail");
}
