//! What it costs: requests to the store, counted.

use std::time::Duration;

use alluvium_infra::store::StoreOperation;
use alluvium_tests::{node, records};
use futures_util::future::join_all;

use crate::corner::{Corner, at};

pub(crate) async fn many_appends_ride_in_few_entries(corner: &Corner) {
    const APPENDS: i64 = 300;
    let (node, metered) = corner.metered_node(&corner.options()).await;
    let place = at(node.create_topic("orders", 1, &[]).await, 0);
    let before = metered.snapshot();
    let appends = (0..APPENDS).map(|n| node.produce(place, records::batch(corner.now_ms(), &[&n.to_string()])));
    let mut offsets: Vec<i64> = join_all(appends).await.into_iter().map(|answer| answer.unwrap().base_offset).collect();
    offsets.sort_unstable();
    assert_eq!(offsets, (0..APPENDS).collect::<Vec<_>>());
    let since = metered.snapshot().since(&before);
    assert_eq!(since.requests(), since.puts(), "an append asks for nothing but PUTs");
    assert!(since.puts() <= APPENDS as u64 / 5, "{} puts for {APPENDS} concurrent appends", since.puts());
    // Straight into the log, past the batching of ingest: what waits rides in the next entry.
    let before = metered.snapshot();
    let commits = (0..APPENDS).map(|n| {
        let group = format!("group-{}", n % 7);
        let offset =
            alluvium_log::CommittedOffset { offset: n, leader_epoch: 0, metadata: String::new(), commit_ms: 1 };
        let operation = alluvium_log::Operation::CommitOffsets { group, offsets: vec![(place, offset)] };
        node.log.meta().commit(operation, None)
    });
    let entries: std::collections::BTreeSet<u64> =
        join_all(commits).await.into_iter().map(|committed| committed.unwrap().entry_number).collect();
    let since = metered.snapshot().since(&before);
    assert_eq!(since.requests(), entries.len() as u64, "one PUT an entry");
    assert!(entries.len() <= APPENDS as usize / 5, "{} entries for {APPENDS} concurrent commits", entries.len());
}

pub(crate) async fn a_flush_costs_one_put_or_two_and_idling_costs_nothing(corner: &Corner) {
    let (node, metered) = corner.metered_node(&corner.options()).await;
    let place = at(node.create_topic("orders", 1, &[]).await, 0);
    let before = metered.snapshot();
    for n in 0..10 {
        assert_eq!(node.say(place, &["small"]).await, n);
    }
    let since = metered.snapshot().since(&before);
    assert_eq!((since.of(StoreOperation::PutIfAbsent).requests, since.requests()), (10, 10), "one PUT a small flush");
    let before = metered.snapshot();
    for n in 10..13 {
        let batch = records::large(corner.now_ms(), n as u64, 600 << 10);
        assert_eq!(node.must_produce(place, batch).await, n);
    }
    let since = metered.snapshot().since(&before);
    assert_eq!(since.of(StoreOperation::Put).requests, 3, "one segment a large flush");
    assert_eq!((since.of(StoreOperation::PutIfAbsent).requests, since.requests()), (3, 6), "two PUTs a large flush");
    // Reading what was just written asks nothing of the store, and neither does waiting for more.
    let before = metered.snapshot();
    assert_eq!(node.read_from(place, 0).await.unwrap().len(), 13);
    let waiting = Duration::from_millis(500);
    let request = node::fetch_request(vec![node::partition_fetch(place, 13, 1000)], 1000, 1, waiting);
    let begun = corner.runtime.monotonic();
    assert!(node.reader.fetch(request).await[0].result.as_ref().unwrap().slices.is_empty());
    assert!(corner.runtime.monotonic() - begun >= waiting);
    assert_eq!(metered.snapshot().since(&before).requests(), 0, "idling costs nothing");
    let lists = metered.snapshot().of(StoreOperation::List).requests;
    assert!(lists <= 3, "{lists} LISTs, all of them while opening");
}
