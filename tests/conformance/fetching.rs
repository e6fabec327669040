//! Fetch: long polls, budgets, refusals.

use std::time::Duration;

use alluvium_reader::{FetchRequest, ReadError};
use alluvium_tests::node::{Node, fetch_request, partition_fetch};
use alluvium_tests::records;

use crate::corner::{Corner, at};

/// Longer than anything here takes when it is woken as it should be.
const FOREVER: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_secs(10);

pub(crate) async fn a_long_poll_is_woken_by_the_commit(corner: &Corner) {
    let node = std::sync::Arc::new(corner.node().await);
    let topic = node.create_topic("orders", 3, &[]).await;
    let polling = |partitions: Vec<i32>, bytes_min: i32| {
        let partitions = partitions.into_iter().map(|n| partition_fetch(at(topic, n), 0, 1 << 20)).collect();
        let request = fetch_request(partitions, 1 << 20, bytes_min, FOREVER);
        let node = node.clone();
        corner.runtime.spawn("poll", async move { node.reader.fetch(request).await })
    };
    let begun = corner.runtime.monotonic();
    let waiting = polling(vec![0, 1], 1);
    let elsewhere = polling(vec![2], 1);
    corner.runtime.sleep(Duration::from_millis(50)).await;
    assert!(!waiting.is_finished());
    node.say(at(topic, 1), &["wake up"]).await;
    let answers = waiting.await.unwrap();
    assert!(corner.runtime.monotonic() - begun < SOON);
    assert!(answers[0].result.as_ref().unwrap().slices.is_empty());
    assert_eq!(records::read(&answers[1].result.as_ref().unwrap().slices).len(), 1);
    // Other partitions' records wake nobody.
    corner.runtime.sleep(Duration::from_millis(20)).await;
    assert!(!elsewhere.is_finished());
    node.say(at(topic, 2), &["now"]).await;
    elsewhere.await.unwrap();
    // A fetch that wants more bytes than come waits on, and is woken once there are enough.
    let greedy = polling(vec![0], 300);
    node.say(at(topic, 0), &["few"]).await;
    corner.runtime.sleep(Duration::from_millis(20)).await;
    assert!(!greedy.is_finished());
    node.must_produce(at(topic, 0), records::large(corner.now_ms(), 1, 300)).await;
    assert_eq!(records::read(&greedy.await.unwrap()[0].result.as_ref().unwrap().slices).len(), 2);
    // A topic that goes ends the wait too.
    let orphan = {
        let request = fetch_request(vec![partition_fetch(at(topic, 1), 1, 100)], 100, 1, FOREVER);
        let node = node.clone();
        corner.runtime.spawn("poll", async move { node.reader.fetch(request).await })
    };
    corner.runtime.sleep(Duration::from_millis(20)).await;
    node.log.meta().commit(alluvium_log::Operation::DeleteTopic { id: topic }, None).await.unwrap();
    assert_eq!(orphan.await.unwrap()[0].result.as_ref().unwrap_err(), &ReadError::UnknownTopicOrPartition);
    assert!(corner.runtime.monotonic() - begun < SOON, "nothing waited for its time to be up");
}

pub(crate) async fn budgets_bound_a_fetch_but_one_batch_always_comes(corner: &Corner) {
    let node = corner.node().await;
    let topic = node.create_topic("orders", 3, &[]).await;
    for partition in 0..3 {
        for n in 0..4 {
            node.must_produce(at(topic, partition), records::large(corner.now_ms(), n, 1000)).await;
        }
    }
    let batch_bytes = records::large(corner.now_ms(), 0, 1000).bytes.len() as i32;
    let counts = async |node: &Node, request: FetchRequest| {
        let answers = node.reader.fetch(request).await;
        let each: Vec<usize> = answers
            .iter()
            .map(|answer| {
                let data = answer.result.as_ref().unwrap();
                assert_eq!(data.bytes, data.slices.iter().map(bytes::Bytes::len).sum::<usize>());
                records::batches(&data.slices).len()
            })
            .collect();
        each
    };
    let request = |offset: i64, each: i32, all: i32| {
        let partitions = (0..3).map(|n| partition_fetch(at(topic, n), offset, each)).collect();
        fetch_request(partitions, all, 1, Duration::ZERO)
    };
    // From memory, and by another node from the store: the budgets are the same.
    for node in [&node, &corner.other_node().await] {
        assert_eq!(counts(node, request(0, 1 << 20, 1 << 20)).await, [4, 4, 4]);
        assert_eq!(counts(node, request(0, batch_bytes, 1 << 20)).await, [1, 1, 1], "bytes for each partition");
        assert_eq!(counts(node, request(0, 2 * batch_bytes + 1, 1 << 20)).await, [2, 2, 2], "whole batches");
        assert_eq!(counts(node, request(0, 1 << 20, 6 * batch_bytes)).await, [4, 2, 0], "bytes for all");
        assert_eq!(counts(node, request(0, 1, 1)).await, [1, 0, 0], "one batch always comes");
        assert_eq!(counts(node, request(0, 1, 1 << 20)).await, [1, 0, 0], "one batch and no more");
        assert_eq!(counts(node, request(3, 1, 1)).await, [1, 0, 0], "wherever it is in its run");
        assert_eq!(counts(node, request(4, 1 << 20, 1 << 20)).await, [0, 0, 0], "nothing at the end");
    }
    // The first partition has nothing: the batch that always comes is the next one's.
    let partitions = vec![partition_fetch(at(topic, 0), 4, 1), partition_fetch(at(topic, 1), 1, 1)];
    let answers = node.reader.fetch(fetch_request(partitions, 1, 1, Duration::ZERO)).await;
    assert!(answers[0].result.as_ref().unwrap().slices.is_empty());
    assert_eq!(records::read(&answers[1].result.as_ref().unwrap().slices)[0].offset, 1);
}

pub(crate) async fn a_stale_node_does_not_say_no(corner: &Corner) {
    let (node, stale) = (corner.node().await, corner.other_node().await);
    let topic = node.create_topic("orders", 1, &[]).await;
    let place = at(topic, 0);
    node.say(place, &["a", "b", "c"]).await;
    // It knows neither the topic nor the offset.
    let data = stale.fetch(place, 2, 1000).await.unwrap();
    assert_eq!(data.high_watermark, 3);
    assert_eq!(records::read(&data.slices).last().unwrap().offset, 2);
    node.say(place, &["d"]).await;
    assert!(stale.fetch(place, 4, 1000).await.unwrap().slices.is_empty(), "the end is no error");
    for offset in [-1, 5] {
        let refused = stale.fetch(place, offset, 1000).await.unwrap_err();
        assert_eq!(refused, ReadError::OffsetOutOfRange { offset, log_start_offset: 0, high_watermark: 4 });
    }
    let missing = stale.fetch(at(topic, 1), 0, 1000).await.unwrap_err();
    assert_eq!(missing, ReadError::UnknownTopicOrPartition);
    for (epoch, expected) in [(1, ReadError::UnknownLeaderEpoch), (-1, ReadError::FencedLeaderEpoch)] {
        let mut wanted = partition_fetch(place, 0, 1000);
        wanted.leader_epoch = Some(epoch);
        let answers = stale.reader.fetch(fetch_request(vec![wanted], 1000, 0, Duration::ZERO)).await;
        assert_eq!(answers[0].result.as_ref().unwrap_err(), &expected);
    }
}
