//! Batches go in and come out: place, order, rules of the topic, refusals.

use alluvium_infra::store::StoreOperation;
use alluvium_ingest::AppendError;
use alluvium_log::{ObjectRef, TransactionRejection};
use alluvium_record::{Compression, Header, TimestampType};
use alluvium_tests::records;
use bytes::Bytes;
use futures_util::future::join_all;

use crate::corner::{Corner, at};

pub(crate) async fn one_record_goes_in_and_comes_out(corner: &Corner) {
    let node = corner.node().await;
    let orders = at(node.create_topic("orders", 1, &[]).await, 0);
    let headers = vec![Header::new("trace", Some(Bytes::from_static(b"\x00\xff"))), Header::new("trace", None)];
    let (key, value) = (Bytes::from_static(b"k"), Bytes::from_static(b"v"));
    let now_ms = corner.now_ms();
    let record = (now_ms, Some(key.clone()), Some(value.clone()), headers.clone());
    let batch = records::records_batch(Compression::None, None, [record]);
    let appended = node.produce(orders, batch).await.unwrap();
    assert_eq!((appended.base_offset, appended.log_start_offset), (0, 0));
    assert_eq!((appended.log_append_time_ms, appended.duplicate), (None, false));
    let data = node.fetch(orders, 0, 1 << 20).await.unwrap();
    assert_eq!((data.high_watermark, data.last_stable_offset, data.log_start_offset), (1, 1, 0));
    let batches = records::batches(&data.slices);
    assert_eq!(batches[0].header.partition_leader_epoch, 0);
    let read = records::read(&data.slices);
    assert_eq!(read.len(), 1);
    assert_eq!((read[0].offset, read[0].timestamp), (0, now_ms));
    assert_eq!((&read[0].key, &read[0].value), (&Some(key), &Some(value)));
    assert_eq!(read[0].headers, headers);
    // Another node finds it in the store alone.
    assert_eq!(corner.other_node().await.values(orders).await, ["v"]);
}

pub(crate) async fn many_partitions_ride_in_one_flush(corner: &Corner) {
    let (node, metered) = corner.metered_node(&corner.options()).await;
    let (orders, bills) = (node.create_topic("orders", 8, &[]).await, node.create_topic("bills", 3, &[]).await);
    let before = metered.snapshot();
    let places: Vec<_> = (0..8).map(|n| at(orders, n)).chain((0..3).map(|n| at(bills, n))).collect();
    let requests = places.iter().rev().map(|place| {
        let text = format!("{place}");
        let batch = records::batch(corner.now_ms(), &[&text, "second"]);
        node.produce(*place, batch)
    });
    // Handed over one after another: on a busy machine some flushes may go meanwhile, but never one for each.
    for answer in join_all(requests).await {
        assert_eq!(answer.unwrap().base_offset, 0);
    }
    let since = metered.snapshot().since(&before);
    assert!((since.puts() as usize) < places.len(), "{} puts for eleven partitions", since.puts());
    let before = metered.snapshot();
    let one_request = places.iter().map(|place| (*place, records::batch(corner.now_ms(), &["third"]))).collect();
    for answer in node.produce_all(one_request).await {
        assert_eq!(answer.unwrap().base_offset, 2);
    }
    assert_eq!(metered.snapshot().since(&before).requests(), 1, "one request is one PUT");
    let other = corner.other_node().await;
    for place in places {
        let expected = [format!("{place}"), "second".to_owned(), "third".to_owned()];
        assert_eq!(node.values(place).await, expected);
        assert_eq!(other.values(place).await, expected);
    }
}

pub(crate) async fn a_small_flush_is_inline_and_a_large_one_has_a_segment(corner: &Corner) {
    let mut options = corner.options();
    options.ingest.inline_bytes_max = 64 << 10;
    let (node, metered) = corner.metered_node(&options).await;
    let topic = node.create_topic("orders", 3, &[]).await;
    let mut expected = Vec::new();
    // Just below the limit, just above it, and large enough for several runs and blocks.
    for (round, length) in [60 << 10, 70 << 10, 1000 << 10].into_iter().enumerate() {
        let before = metered.snapshot();
        let batches: Vec<_> = (0..3)
            .map(|n| (at(topic, n), records::large(corner.now_ms(), (round * 3) as u64 + n as u64, length / 3)))
            .collect();
        expected.push(batches.iter().map(|(_, batch)| batch.clone()).collect::<Vec<_>>());
        for answer in node.produce_all(batches).await {
            assert_eq!(answer.unwrap().base_offset, round as i64);
        }
        let since = metered.snapshot().since(&before);
        let segments = u64::from(round > 0);
        assert_eq!(since.of(StoreOperation::Put).requests, segments, "round {round}");
        assert_eq!(since.of(StoreOperation::PutIfAbsent).requests, 1, "round {round}");
        assert_eq!(since.requests(), segments + 1, "round {round}");
    }
    let other = corner.other_node().await;
    for reading in [&node, &other] {
        for partition in 0..3 {
            let place = at(topic, partition);
            let runs: Vec<_> = reading.state().partition(place).unwrap().runs().map(|run| run.object).collect();
            assert!(
                matches!(runs[..], [ObjectRef::Entry(_), ObjectRef::Segment(_), ObjectRef::Segment(_)]),
                "{runs:?}"
            );
            let data = reading.fetch(place, 0, 10 << 20).await.unwrap();
            let batches = records::batches(&data.slices);
            assert_eq!(batches.len(), 3);
            for (round, batch) in batches.iter().enumerate() {
                let sent = &expected[round][partition as usize];
                assert_eq!(batch.header.base_offset, round as i64);
                // Past the base offset, the length and the leader epoch every byte is the producer's.
                assert_eq!(batch.bytes[16..], sent.bytes[16..]);
            }
        }
    }
}

pub(crate) async fn timestamps_are_the_producers_or_the_logs(corner: &Corner) {
    let node = corner.node().await;
    let created = at(node.create_topic("created", 1, &[]).await, 0);
    let appended = at(node.create_topic("appended", 1, &[("message.timestamp.type", "LogAppendTime")]).await, 0);
    let now_ms = corner.now_ms();
    let old_ms = now_ms - 86_400_000;
    let first = node.produce(created, records::batch(old_ms, &["a"])).await.unwrap();
    assert_eq!(first.log_append_time_ms, None);
    assert_eq!(node.read_from(created, 0).await.unwrap()[0].timestamp, old_ms);
    let second = node.produce(appended, records::batch(old_ms, &["a", "b"])).await.unwrap();
    let told_ms = second.log_append_time_ms.expect("the append time is told");
    assert!(told_ms >= now_ms);
    let data = node.fetch(appended, 0, 1 << 20).await.unwrap();
    let header = records::batches(&data.slices)[0].header;
    assert_eq!(header.attributes.timestamp_type(), TimestampType::LogAppendTime);
    assert_eq!(header.max_timestamp, told_ms);
    assert!(records::read(&data.slices).iter().all(|record| record.timestamp == told_ms));
    // Too far in the future for the default of `message.timestamp.after.max.ms`.
    let future = records::batch(now_ms + 2 * 3_600_000, &["x"]);
    assert!(matches!(node.produce(created, future.clone()).await, Err(AppendError::InvalidTimestamp(_))));
    assert_eq!(node.produce(appended, future).await.unwrap().base_offset, 2, "the producer's time counts for nothing");
}

pub(crate) async fn a_batch_larger_than_the_topic_allows_is_refused(corner: &Corner) {
    let node = corner.node().await;
    let small = at(node.create_topic("small", 1, &[("max.message.bytes", "1000")]).await, 0);
    let usual = at(node.create_topic("usual", 1, &[]).await, 0);
    let batch = records::large(corner.now_ms(), 1, 2000);
    let bytes = batch.bytes.len();
    let refused = node.produce(small, batch.clone()).await;
    assert_eq!(refused, Err(AppendError::BatchTooLarge { bytes, bytes_max: 1000 }));
    assert_eq!(node.must_produce(usual, batch).await, 0);
    let exact = 1000 - (records::large(corner.now_ms(), 1, 900).bytes.len() - 900);
    assert_eq!(node.must_produce(small, records::large(corner.now_ms(), 2, exact)).await, 0);
    let over = records::large(corner.now_ms(), 3, (1 << 20) + 100);
    assert!(matches!(node.produce(usual, over).await, Err(AppendError::BatchTooLarge { .. })));
    assert_eq!(node.state().partition(small).unwrap().high_watermark(), 1);
}

pub(crate) async fn a_compacted_topic_takes_no_record_without_a_key(corner: &Corner) {
    let node = corner.node().await;
    let topic = at(node.create_topic("table", 1, &[("cleanup.policy", "delete,compact")]).await, 0);
    let now_ms = corner.now_ms();
    let record = |key: Option<&'static [u8]>| (now_ms, key.map(Bytes::from_static), None, Vec::new());
    for codec in [Compression::None, Compression::Gzip, Compression::Zstd] {
        let mixed = records::records_batch(codec, None, [record(Some(b"k")), record(None)]);
        assert!(matches!(node.produce(topic, mixed).await, Err(AppendError::InvalidRecord(_))), "{codec:?}");
        let keyed = records::records_batch(codec, None, [record(Some(b"k")), record(Some(b""))]);
        node.produce(topic, keyed).await.unwrap();
    }
    assert_eq!(node.state().partition(topic).unwrap().high_watermark(), 6);
}

pub(crate) async fn damaged_and_foreign_batches_are_refused(corner: &Corner) {
    let (node, metered) = corner.metered_node(&corner.options()).await;
    let topic = node.create_topic("orders", 2, &[]).await;
    let good = records::batch(corner.now_ms(), &["a"]);
    let changed = |position: usize, value: u8| {
        let mut bytes = good.bytes.to_vec();
        bytes[position] = value;
        Bytes::from(bytes)
    };
    let last = good.bytes.len() - 1;
    let before = metered.snapshot();
    let send = async |bytes: Bytes| {
        let permit = node.ingest.admit(bytes.len()).await;
        let presence = node.ingest.connect();
        presence.blocked();
        let append =
            alluvium_ingest::PartitionAppend { topic_partition: at(topic, 0), records: bytes, transaction: None };
        let deadline = corner.runtime.monotonic() + std::time::Duration::from_secs(10);
        node.ingest.append(permit, vec![append], deadline, &presence).await.pop().unwrap()
    };
    assert!(matches!(send(changed(last, 0xee)).await, Err(AppendError::CorruptBatch(_))), "bad checksum");
    for magic in [0, 1] {
        assert_eq!(send(changed(16, magic)).await, Err(AppendError::UnsupportedMagic(magic as i8)));
    }
    assert!(send(changed(16, 3)).await.is_err(), "a magic of the future");
    assert!(matches!(send(good.bytes.slice(..last)).await, Err(AppendError::CorruptBatch(_))), "cut short");
    assert!(send(good.bytes.slice(..30)).await.is_err(), "cut in its header");
    assert!(send(Bytes::new()).await.is_err(), "nothing");
    let two = Bytes::from([&good.bytes[..], &good.bytes[..]].concat());
    assert!(matches!(send(two).await, Err(AppendError::InvalidRecord(_))), "two batches");
    assert!(send(records::values_batch(Compression::None, None, 0, []).bytes).await.is_err(), "no record");
    let transactional =
        alluvium_record::batch::BatchBuilder::new(Compression::None).producer(1, 0, 0).transactional(true);
    let mut transactional = transactional;
    transactional.push(corner.now_ms(), None, None, Vec::new()).unwrap();
    assert_eq!(
        send(transactional.build(0).bytes).await,
        Err(TransactionRejection::InvalidState { status: None }.into())
    );
    assert_eq!(metered.snapshot().since(&before).requests(), 0, "what is refused costs nothing");
    // One bad batch in a request leaves the others alone.
    let answers =
        node.produce_all(vec![(at(topic, 1), good.clone()), (at(topic, 7), good.clone()), (at(topic, 0), good)]).await;
    assert_eq!(answers[0].as_ref().unwrap().base_offset, 0);
    assert_eq!(answers[1], Err(AppendError::UnknownTopicOrPartition));
    assert_eq!(answers[2].as_ref().unwrap().base_offset, 0);
}

pub(crate) async fn every_codec_passes_through_unchanged(corner: &Corner) {
    let node = corner.node().await;
    let place = at(node.create_topic("codecs", 1, &[]).await, 0);
    let codecs = [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];
    let mut expected = Vec::new();
    for codec in codecs {
        let values: Vec<String> = (0..50).map(|n| format!("{codec:?} {n}")).collect();
        let batch = records::values_batch(codec, None, corner.now_ms(), values.iter().cloned().map(Bytes::from));
        node.must_produce(place, batch.clone()).await;
        let data = node.fetch(place, expected.len() as i64, 1 << 20).await.unwrap();
        assert_eq!(data.slices.concat()[16..], batch.bytes[16..], "{codec:?} is stored as it came");
        expected.extend(values);
    }
    assert_eq!(node.values(place).await, expected);
    assert_eq!(corner.other_node().await.values(place).await, expected);
}
