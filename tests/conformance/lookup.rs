//! DeleteRecords and ListOffsets.

use alluvium_ingest::AppendError;
use alluvium_log::{CommitError, Operation, Rejection};
use alluvium_reader::{Isolation, OffsetQuery, ReadError};
use alluvium_record::{Compression, TopicPartition};
use alluvium_tests::node::Node;
use alluvium_tests::records;
use bytes::Bytes;

use crate::corner::{Corner, at};

async fn delete_before(node: &Node, topic_partition: TopicPartition, before_offset: i64) -> Result<(), CommitError> {
    let operation = Operation::DeleteRecords { topic_partition, before_offset };
    node.log.meta().commit(operation, None).await.map(|_| ())
}

pub(crate) async fn deleting_records_moves_the_start(corner: &Corner) {
    let node = corner.node().await;
    let place = at(node.create_topic("orders", 1, &[]).await, 0);
    for n in 0..5 {
        let batch = records::sequenced(corner.now_ms(), (1, 0, n * 2), &["even", "odd"]);
        node.must_produce(place, batch).await;
    }
    for beyond in [11, -1] {
        let refused = delete_before(&node, place, beyond).await;
        let expected = Rejection::OffsetOutOfRange { log_start_offset: 0, high_watermark: 10 };
        assert!(matches!(refused, Err(CommitError::Rejected(reason)) if reason == expected));
    }
    // In the middle of a batch: its first record is out of range, the batch stays.
    delete_before(&node, place, 3).await.unwrap();
    delete_before(&node, place, 2).await.unwrap();
    for reading in [&node, &corner.other_node().await] {
        assert_eq!(reading.state().partition(place).unwrap().log_start_offset(), 3, "the start never goes back");
        assert_eq!(reading.values(place).await.len(), 7);
        let refused = reading.fetch(place, 2, 1000).await.unwrap_err();
        assert_eq!(refused, ReadError::OffsetOutOfRange { offset: 2, log_start_offset: 3, high_watermark: 10 });
    }
    let appended = node.produce(place, records::batch(corner.now_ms(), &["next"])).await.unwrap();
    assert_eq!((appended.base_offset, appended.log_start_offset), (10, 3));
    delete_before(&node, place, 11).await.unwrap();
    assert_eq!(node.values(place).await, [""; 0], "all is gone");
    assert_eq!(node.state().partition(place).unwrap().size_bytes(), 0);
    // Offsets go on where they were, and so do the producers' sequences.
    let gap = node.produce(place, records::sequenced(corner.now_ms(), (1, 0, 99), &["x"])).await;
    assert_eq!(gap, Err(AppendError::OutOfOrderSequence { expected: 10, found: 99 }));
    assert_eq!(node.must_produce(place, records::sequenced(corner.now_ms(), (1, 0, 10), &["x"])).await, 11);
    alluvium_log::invariants::check_state(&node.state()).unwrap();
    assert_eq!(corner.other_node().await.values(place).await, ["x"]);
}

pub(crate) async fn offsets_are_found_by_place_and_by_time(corner: &Corner) {
    let node = corner.node().await;
    let topic = node.create_topic("orders", 2, &[]).await;
    let place = at(topic, 0);
    let base_ms = corner.now_ms() - 100_000;
    // Timestamps as producers send them, not in order: 0: 10, 1: 50 | 2: 30 | 3: 70, 4: 70, 5: 20 | 6: 60
    let batches: [&[i64]; 4] = [&[10, 50], &[30], &[70, 70, 20], &[60]];
    for (timestamps, codec) in
        batches.iter().zip([Compression::None, Compression::Lz4, Compression::Zstd, Compression::None])
    {
        let records = timestamps.iter().map(|ms| (base_ms + ms, None, Some(Bytes::from_static(b"v")), Vec::new()));
        node.must_produce(place, records::records_batch(codec, None, records)).await;
    }
    let other = corner.other_node().await;
    for reading in [&node, &other] {
        let find = async |query| {
            let found = reading.reader.offset_for(place, query, Isolation::ReadUncommitted).await.unwrap();
            (found.offset, if found.timestamp < 0 { -1 } else { found.timestamp - base_ms })
        };
        assert_eq!(find(OffsetQuery::Earliest).await, (0, -1));
        assert_eq!(find(OffsetQuery::Latest).await, (7, -1));
        for (timestamp, expected) in
            [(0, (0, 10)), (10, (0, 10)), (11, (1, 50)), (50, (1, 50)), (51, (3, 70)), (70, (3, 70)), (71, (-1, -1))]
        {
            assert_eq!(find(OffsetQuery::Timestamp(base_ms + timestamp)).await, expected, "from {timestamp}");
        }
        assert_eq!(find(OffsetQuery::MaxTimestamp).await, (3, 70), "the first of the newest");
    }
    delete_before(&node, place, 4).await.unwrap();
    // The other node has not heard of it: it reads the log to its end before it answers.
    for reading in [&other, &node] {
        let find = async |query| {
            let found = reading.reader.offset_for(place, query, Isolation::ReadCommitted).await.unwrap();
            (found.offset, found.timestamp - base_ms)
        };
        assert_eq!(find(OffsetQuery::Earliest).await.0, 4);
        assert_eq!(find(OffsetQuery::Timestamp(base_ms)).await, (4, 70), "nothing before the start is found");
        assert_eq!(find(OffsetQuery::MaxTimestamp).await, (4, 70));
    }
    let empty = at(topic, 1);
    for (query, offset) in [
        (OffsetQuery::Earliest, 0),
        (OffsetQuery::Latest, 0),
        (OffsetQuery::Timestamp(0), -1),
        (OffsetQuery::MaxTimestamp, -1),
    ] {
        let found = node.reader.offset_for(empty, query, Isolation::ReadUncommitted).await.unwrap();
        assert_eq!((found.offset, found.timestamp), (offset, -1), "{query:?}");
    }
    let missing = node.reader.offset_for(at(topic, 2), OffsetQuery::Latest, Isolation::ReadUncommitted).await;
    assert_eq!(missing, Err(ReadError::UnknownTopicOrPartition));
}
