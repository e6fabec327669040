//! Damage in the bucket is noticed and named, never read over.

use std::time::Duration;

use alluvium_infra::store::{Payload, StorePath};
use alluvium_log::paths::ShardPaths;
use alluvium_log::{ObjectRef, OpenLogError};
use alluvium_reader::ReadError;
use alluvium_record::{ShardId, TopicPartition};
use alluvium_tests::node::{Node, NodeOptions};
use alluvium_tests::records;
use bytes::Bytes;

use crate::corner::{Corner, at};

async fn refused(corner: &Corner) -> OpenLogError {
    let opened = Node::open(corner.store.clone(), &corner.options(), &corner.runtime).await;
    opened.expect_err("a damaged log does not open")
}

async fn put(corner: &Corner, path: &StorePath, bytes: impl Into<Bytes>) {
    corner.store.put(path, Payload::from(bytes.into())).await.unwrap();
}

/// Writes `entries` entries into the corner and returns their partition.
async fn history(corner: &Corner, entries: usize) -> TopicPartition {
    let node = corner.node().await;
    let place = at(node.create_topic("orders", 1, &[]).await, 0);
    for n in 1..entries {
        node.say(place, &[&n.to_string()]).await;
    }
    place
}

pub(crate) async fn a_missing_entry_is_noticed(corner: &Corner) {
    for missing in [1, 3, 6] {
        let corner = corner.part(&missing.to_string());
        let place = history(&corner, 7).await;
        // A node that has not read so far yet.
        let running = if missing > 1 { Some(corner.other_node().await) } else { None };
        let paths = corner.paths().shard(ShardId(0));
        let entry = corner.store.get(&paths.entry(missing)).await.unwrap();
        corner.store.delete(&paths.entry(missing)).await.unwrap();
        let error = refused(&corner).await.to_string();
        let expected = format!("entry {missing} of the log is missing although entry {} is there", missing + 1);
        assert!(error.contains(&expected), "{error}");
        // Nodes that hold the state go on, and putting the object back mends the log.
        if let Some(running) = running {
            assert_eq!(running.say(place, &["on"]).await, 6);
        }
        put(&corner, &paths.entry(missing), entry).await;
        corner.node().await;
    }
}

fn flipped(bytes: &Bytes, position: usize) -> Bytes {
    let mut bytes = bytes.to_vec();
    bytes[position] ^= 0x10;
    Bytes::from(bytes)
}

pub(crate) async fn damaged_objects_are_noticed(corner: &Corner) {
    damaged_entries(&corner.part("one")).await;
    damaged_checkpoints(&corner.part("two")).await;
    damaged_segments(&corner.part("three")).await;
}

async fn damaged_entries(corner: &Corner) {
    history(corner, 5).await;
    let paths = corner.paths().shard(ShardId(0));
    let entry = corner.store.get(&paths.entry(3)).await.unwrap();
    let fifth = corner.store.get(&paths.entry(5)).await.unwrap();
    // Header, data, metadata; cut; grown; another entry in its place; nothing.
    let damaged = [
        flipped(&entry, 5),
        flipped(&entry, 20),
        flipped(&entry, 70),
        flipped(&entry, entry.len() - 1),
        entry.slice(..entry.len() - 1),
        entry.slice(..40),
        Bytes::from([&entry[..], b"x"].concat()),
        fifth,
        Bytes::new(),
    ];
    for (kind, bytes) in damaged.into_iter().enumerate() {
        put(corner, &paths.entry(3), bytes).await;
        let error = refused(corner).await;
        assert!(matches!(error, OpenLogError::Recover { .. }), "{kind}: {error}");
    }
    // A well-formed entry of another history.
    let elsewhere = corner.part("elsewhere");
    history(&elsewhere, 5).await;
    let stranger = corner.store.get(&elsewhere.paths().shard(ShardId(0)).entry(3)).await.unwrap();
    put(corner, &paths.entry(3), stranger).await;
    let error = refused(corner).await.to_string();
    assert!(error.contains("another history"), "{error}");
    put(corner, &paths.entry(3), entry).await;
    corner.node().await;
}

async fn damaged_checkpoints(corner: &Corner) {
    let mut often: NodeOptions = corner.options();
    often.log.commit.checkpoint_entries = 3;
    let node = corner.node_with(&often).await;
    let topic = node.create_topic("orders", 1, &[]).await;
    for count in 1..=2 {
        for _ in 0..3 {
            node.say(at(topic, 0), &["a"]).await;
        }
        // Written beside the commits.
        while corner.keys("/checkpoint/").await.len() < count {
            corner.runtime.sleep(Duration::from_millis(5)).await;
        }
    }
    node.close().await;
    let expected = corner.node().await.state_bytes();
    let checkpoints = corner.keys("/checkpoint/").await;
    let [oldest_path, newest_path] = &checkpoints[..] else { panic!("{checkpoints:?}") };
    // The newest is damaged: the older one and the entries give the same.
    for position in [3, 30, 80] {
        let good = corner.store.get(newest_path).await.unwrap();
        put(corner, newest_path, flipped(&good, position)).await;
        assert_eq!(corner.node().await.state_bytes(), expected);
        put(corner, newest_path, good).await;
    }
    // A checkpoint under the number of another.
    let other = corner.store.get(oldest_path).await.unwrap();
    let good = corner.store.get(newest_path).await.unwrap();
    put(corner, newest_path, other).await;
    assert_eq!(corner.node().await.state_bytes(), expected);
    put(corner, newest_path, flipped(&good, 80)).await;
    // No checkpoint can be read. While all entries are there they give the same; without them opening is refused.
    let oldest = corner.store.get(oldest_path).await.unwrap();
    put(corner, oldest_path, flipped(&oldest, 80)).await;
    assert_eq!(corner.node().await.state_bytes(), expected);
    let first = corner.keys("/log/").await[0].clone();
    corner.store.delete(&first).await.unwrap();
    let error = refused(corner).await.to_string();
    let number = ShardPaths::parse_number(newest_path.as_str()).unwrap();
    assert!(error.contains(&format!("checkpoint {number}")), "{error}");
}

async fn damaged_segments(corner: &Corner) {
    let node = corner.node().await;
    let place = at(node.create_topic("orders", 1, &[]).await, 0);
    // Three batches that ride in one segment and lie across its blocks.
    let batches = (0..3).map(|n| (place, records::large(corner.now_ms(), n, 400 << 10))).collect();
    for answer in node.produce_all(batches).await {
        answer.unwrap();
    }
    let state = node.state();
    let run = *state.partition(place).unwrap().run_at(0).unwrap();
    assert!(matches!(run.object, ObjectRef::Segment(_)));
    let path = run.path(place, node.log.meta().paths()).unwrap();
    let good = corner.store.get(&path).await.unwrap();
    for (position, expected) in [(100, 0), (64 + (600 << 10), 1), (64 + (1100 << 10), 2)] {
        put(corner, &path, flipped(&good, position)).await;
        let reading = corner.other_node().await;
        for offset in 0..3 {
            let result = reading.fetch(place, offset, 1000).await;
            if offset == expected {
                assert!(matches!(result, Err(ReadError::Corrupt(_))), "{position}: {result:?}");
            } else {
                assert_eq!(records::batches(&result.unwrap().slices).len(), 1);
            }
        }
        // What was damaged is not kept: once the object is mended, so is the answer.
        put(corner, &path, good.clone()).await;
        assert_eq!(reading.read_from(place, 0).await.unwrap().len(), 3);
    }
    put(corner, &path, good.slice(..good.len() / 2)).await;
    let reading = corner.other_node().await;
    assert!(reading.fetch(place, 2, 1000).await.is_err(), "cut short");
    corner.store.delete(&path).await.unwrap();
    let reading = corner.other_node().await;
    assert!(reading.fetch(place, 0, 1000).await.is_err(), "gone");
    // The node that wrote it still has it in its tail.
    assert_eq!(node.read_from(place, 0).await.unwrap().len(), 3);
}

pub(crate) async fn newer_and_foreign_objects_are_refused(corner: &Corner) {
    let place = history(corner, 3).await;
    let cluster = corner.paths().cluster();
    let good = corner.store.get(&cluster).await.unwrap();
    let mut json: serde_json::Value = serde_json::from_slice(&good).unwrap();
    json["something_new"] = serde_json::Value::from(1);
    put(corner, &cluster, json.to_string().into_bytes()).await;
    let node = corner.node().await;
    assert_eq!(node.values(place).await.len(), 2, "unknown fields are no reason to refuse");
    json["format_version"] = serde_json::Value::from(2);
    put(corner, &cluster, json.to_string().into_bytes()).await;
    assert!(matches!(refused(corner).await, OpenLogError::NewerVersion { found: 2, newest: 1 }));
    for garbage in ["", "{}", "no JSON", r#"{"format_version": 1}"#] {
        put(corner, &cluster, garbage.as_bytes().to_vec()).await;
        assert!(matches!(refused(corner).await, OpenLogError::Malformed { .. }), "{garbage:?}");
    }
    put(corner, &cluster, good).await;
    // An entry of a newer release: its envelope has another version, with a checksum that holds.
    let entry = corner.paths().shard(ShardId(0)).entry(2);
    let mut bytes = corner.store.get(&entry).await.unwrap().to_vec();
    bytes[11] = 2;
    let checksum = alluvium_record::crc32c(&bytes[..60]);
    bytes[60..64].copy_from_slice(&checksum.to_be_bytes());
    put(corner, &entry, bytes).await;
    let error = refused(corner).await.to_string();
    assert!(error.contains("upgrade alluvium"), "{error}");
}
