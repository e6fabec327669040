//! Reads that miss the tail: caches, single flight, budgets, the pool of replays.

use std::sync::Arc;

use alluvium_infra::store::StoreOperation;
use alluvium_record::TopicPartition;
use alluvium_tests::node::{Node, NodeOptions};
use alluvium_tests::records;
use futures_util::future::join_all;

use crate::corner::{Corner, at};

fn tiny_tail(corner: &Corner) -> NodeOptions {
    let mut options = corner.options();
    options.log.tail_bytes_max = 1;
    options
}

/// Ten small flushes and two segments of two blocks each.
async fn history(corner: &Corner, node: &Node) -> TopicPartition {
    let place = at(node.create_topic("orders", 1, &[]).await, 0);
    for n in 0..10 {
        node.say(place, &[&n.to_string()]).await;
    }
    for n in 0..2 {
        node.must_produce(place, records::large(corner.now_ms(), n, 900 << 10)).await;
    }
    place
}

pub(crate) async fn what_left_the_tail_is_read_once_and_cached(corner: &Corner) {
    let (node, metered) = corner.metered_node(&tiny_tail(corner)).await;
    let place = history(corner, &node).await;
    assert_eq!(node.log.meta().tail().bytes(), 0);
    let before = metered.snapshot();
    // Twenty consumers at once: each object is asked for once.
    let readers = (0..20).map(|_| node.read_from(place, 0));
    for records in join_all(readers).await {
        assert_eq!(records.unwrap().len(), 12);
    }
    let since = metered.snapshot().since(&before);
    assert_eq!(since.of(StoreOperation::Get).requests, 10, "one GET an entry");
    assert_eq!(since.of(StoreOperation::GetRange).requests, 4, "one ranged GET a block");
    assert_eq!(since.requests(), 14);
    let before = metered.snapshot();
    assert_eq!(node.read_from(place, 0).await.unwrap().len(), 12);
    assert_eq!(metered.snapshot().since(&before).requests(), 0, "all of it is cached");
    // A reader that goes away does not take the read with it, and an error is not cached.
    let mut small = tiny_tail(corner);
    small.reader.block_cache_bytes_max = 600 << 10;
    let (small, metered) = corner.metered_node(&small).await;
    for _ in 0..3 {
        assert_eq!(small.read_from(place, 0).await.unwrap().len(), 12);
        settle(corner).await;
        let (live, replay) = small.reader.cached_bytes();
        assert!(live <= 600 << 10 && replay == 0, "{live} bytes cached");
    }
    assert!(metered.snapshot().of(StoreOperation::GetRange).requests >= 12, "what does not fit is read again");
}

/// Caches tidy up in the background.
async fn settle(corner: &Corner) {
    corner.runtime.sleep(std::time::Duration::from_millis(20)).await;
}

pub(crate) async fn a_replay_has_its_own_pool(corner: &Corner) {
    let mut options = tiny_tail(corner);
    options.reader.replay_distance_bytes = 700 << 10;
    options.reader.replay_cache_bytes_max = 4 << 20;
    let (node, metered) = corner.metered_node(&options).await;
    let place = at(node.create_topic("orders", 1, &[]).await, 0);
    for n in 0..8 {
        node.must_produce(place, records::large(corner.now_ms(), n, 600 << 10)).await;
    }
    let node = Arc::new(node);
    // A consumer at the end fills the live cache.
    assert_eq!(node.read_from(place, 7).await.unwrap().len(), 1);
    settle(corner).await;
    let (live, replay) = node.reader.cached_bytes();
    assert!(live > 600 << 10 && replay == 0, "{live} {replay}");
    // One that is far behind fills the other, within its budget: a quarter of the cache is for what is in no file.
    let mut next = 0;
    while next < 6 {
        let data = node.fetch(place, next, 1000).await.unwrap();
        next += records::read(&data.slices).len() as i64;
        settle(corner).await;
        let (still_live, replay) = node.reader.cached_bytes();
        assert_eq!(still_live, live, "a replay does not touch what the others read");
        assert!(replay > 0 && replay <= 1 << 20, "{replay} bytes of replays cached");
    }
    let before = metered.snapshot();
    assert_eq!(node.read_from(place, 7).await.unwrap().len(), 1);
    assert_eq!(metered.snapshot().since(&before).requests(), 0, "the live consumer's blocks are still there");
    // A replay takes what the live cache has.
    assert_eq!(node.read_from(place, 0).await.unwrap().len(), 8);
}
