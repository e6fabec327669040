//! The bytes in the bucket, pinned: each object in golden/v1 is read and compared with the value that it was made from, and the
//! value is written again and compared byte by byte.
//!
//! `ALLUVIUM_REGENERATE_GOLDEN=1` writes files that are missing; one that exists is never changed (see README.md).

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod tables;
mod transactions;
mod values;

use std::path::PathBuf;

use alluvium_log::apply::{ApplyError, apply, genesis};
use alluvium_log::format::cluster::{ClusterDescription, HeadHint};
use alluvium_log::format::messages::OperationKind;
use alluvium_log::format::{FormatError, checkpoint, entry, segment};
use alluvium_log::paths::ClusterPaths;
use alluvium_log::{State, inspect, invariants};
use alluvium_record::ShardId;
use bytes::Bytes;
use prost::Message;

/// The golden bytes of `name`; made from `current` when the file is missing and may be made.
fn golden(name: &str, current: &[u8]) -> Bytes {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden/v1").join(name);
    if !path.exists() && std::env::var("ALLUVIUM_REGENERATE_GOLDEN").as_deref() == Ok("1") {
        std::fs::write(&path, current).unwrap();
    }
    match std::fs::read(&path) {
        Ok(bytes) => Bytes::from(bytes),
        Err(error) => panic!("{}: {error}; see golden/README.md", path.display()),
    }
}

#[track_caller]
fn assert_same(name: &str, golden: &Bytes, current: &[u8]) {
    if golden != current {
        let at = golden.iter().zip(current).position(|(a, b)| a != b).unwrap_or(golden.len().min(current.len()));
        panic!("{name} is written differently from byte {at} on ({} bytes, golden {})", current.len(), golden.len());
    }
}

/// Entries of releases without clusters of many nodes.
const FIRST_ENTRIES: usize = 3;
/// Entries of releases without transactions.
const CLUSTER_ENTRIES: usize = 4;
/// Entries of releases without Parquet files.
const TRANSACTION_ENTRIES: usize = 5;

/// The state after so many entries of values.rs.
fn state_after(entries: usize) -> State {
    let mut state = genesis(ShardId(0));
    for value in values::entries().into_iter().take(entries) {
        let encoded = entry::encode(&value.message, value.data.clone());
        state = apply(&state, &entry::decode(&encoded.payload.into_bytes()).unwrap()).unwrap();
        invariants::check_state(&state).unwrap();
    }
    state
}

#[test]
fn entries() {
    for value in values::entries() {
        let encoded = entry::encode(&value.message, value.data.clone());
        let current = encoded.payload.into_bytes();
        let golden = golden(value.name, &current);
        let decoded = entry::decode(&golden).unwrap();
        assert_eq!(decoded.message, value.message, "{}", value.name);
        assert_eq!(decoded.data, value.data.concat(), "{}", value.name);
        assert_eq!(decoded.hash, encoded.hash, "{}", value.name);
        assert_eq!(decoded.object_bytes, golden.len() as u64);
        assert_same(value.name, &golden, &current);
    }
}

#[test]
fn every_operation_has_a_golden_entry() {
    let mut seen = [false; 23];
    for value in values::entries() {
        for operation in value.message.operations {
            // A new operation does not compile here until it has a place, and a place needs a golden file.
            let tag = match operation.kind.unwrap() {
                OperationKind::Append(_) => 1,
                OperationKind::CreateTopic(_) => 2,
                OperationKind::DeleteTopic(_) => 3,
                OperationKind::CreatePartitions(_) => 4,
                OperationKind::AlterTopicConfigs(_) => 5,
                OperationKind::DeleteRecords(_) => 6,
                OperationKind::CommitOffsets(_) => 7,
                OperationKind::PutGroup(_) => 8,
                OperationKind::DeleteGroup(_) => 9,
                OperationKind::DeleteOffsets(_) => 10,
                OperationKind::SetShardCount(_) => 11,
                OperationKind::TakeOver(_) => 12,
                OperationKind::PutConsumerGroup(_) => 13,
                OperationKind::TransactionalAppend(_) => 14,
                OperationKind::InitTransaction(_) => 15,
                OperationKind::AddToTransaction(_) => 16,
                OperationKind::EndTransaction(_) => 17,
                OperationKind::WriteMarkers(_) => 18,
                OperationKind::CompleteTransaction(_) => 19,
                OperationKind::CommitTransactionOffsets(_) => 20,
                OperationKind::ExpireTransactions(_) => 21,
                OperationKind::ReplaceRuns(_) => 22,
                OperationKind::ForgetObjects(_) => 23,
            };
            seen[tag - 1] = true;
        }
    }
    assert_eq!(seen, [true; 23]);
}

#[test]
fn segment() {
    let (message, batches) = values::segment();
    let id = uuid::Uuid::from_slice(&message.id).unwrap();
    let current = segment::encode(ShardId(0), id, message.created_ms, &batches).into_bytes();
    let golden = golden("segment", &current);
    let (decoded, data) = segment::decode(&golden).unwrap();
    assert_eq!(decoded, message);
    assert_eq!(data, batches.iter().map(|placed| placed.batch.bytes.clone()).collect::<Vec<_>>().concat());
    assert_same("segment", &golden, &current);
}

#[test]
fn checkpoints() {
    let names = [
        ("checkpoint", FIRST_ENTRIES),
        ("checkpoint-cluster", CLUSTER_ENTRIES),
        ("checkpoint-transactions", TRANSACTION_ENTRIES),
        ("checkpoint-tables", values::entries().len()),
    ];
    for (name, entries) in names {
        pin_checkpoint(name, &state_after(entries));
    }
}

fn pin_checkpoint(name: &str, state: &State) {
    let current = checkpoint::encode(state).into_bytes();
    let golden = golden(name, &current);
    let decoded = checkpoint::decode(&golden).unwrap();
    invariants::check_state(&decoded).unwrap();
    assert_eq!(checkpoint::state_bytes(&decoded), checkpoint::state_bytes(state));
    assert_eq!(inspect::describe_state(&decoded), inspect::describe_state(state));
    assert_same(name, &golden, &current);
    assert_same(name, &golden, &checkpoint::encode(&decoded).into_bytes());
}

#[test]
fn json() {
    let description = ClusterDescription {
        format_version: 1,
        cluster_id: "AZ8u3kVtQJmQ2u4o9v8xNw".to_owned(),
        shard_count: 1,
        created_ms: values::TIME_MS,
    };
    let current = serde_json::to_vec_pretty(&description).unwrap();
    let stored = golden("cluster.json", &current);
    assert_eq!(serde_json::from_slice::<ClusterDescription>(&stored).unwrap(), description);
    assert_same("cluster.json", &stored, &current);
    let hint = HeadHint { entry: 1234, checkpoint: 1000 };
    let current = serde_json::to_vec(&hint).unwrap();
    let stored = golden("head", &current);
    assert_eq!(serde_json::from_slice::<HeadHint>(&stored).unwrap(), hint);
    assert_same("head", &stored, &current);
}

#[test]
fn paths() {
    let mut lines = String::new();
    for root in ["", "some/prefix"] {
        let cluster = ClusterPaths::new(root);
        let mut line = |path: &str| lines += &format!("{path}\n");
        line(cluster.cluster().as_str());
        line(cluster.probe(values::SEGMENT_IDS[0]).as_str());
        line(cluster.producer_id_block(7).as_str());
        for shard in [0, 1, 2, 255, 70_000] {
            let shard = cluster.shard(ShardId(shard));
            line(shard.entry(1).as_str());
            line(shard.checkpoint(1_000).as_str());
            line(shard.head().as_str());
            line(shard.segment(values::SEGMENT_IDS[0]).as_str());
        }
    }
    assert_same("paths", &golden("paths", lines.as_bytes()), lines.as_bytes());
}

/// Which producers a partition forgets is part of what entries mean: a change would make old logs read differently.
#[test]
fn which_producers_are_remembered() {
    let mut state = state_after(FIRST_ENTRIES);
    let mut remembered = String::new();
    for value in values::crowd(&state) {
        let encoded = entry::encode(&value, Vec::new());
        state = apply(&state, &entry::decode(&encoded.payload.into_bytes()).unwrap()).unwrap();
        if value.number.is_multiple_of(10) {
            let partitions = state.partitions().map(|(_, partition)| partition.producers().count().to_string());
            let counts: Vec<String> = partitions.collect();
            let checksum = alluvium_record::crc32c(&checkpoint::state_bytes(&state));
            remembered += &format!("{} {} {checksum:08x}\n", value.number, counts.join(" "));
        }
    }
    assert_same("producers", &golden("producers", remembered.as_bytes()), remembered.as_bytes());
}

#[test]
fn damage_of_any_byte_is_noticed() {
    let objects = values::entries()
        .into_iter()
        .map(|value| entry::encode(&value.message, value.data).payload.into_bytes())
        .chain([checkpoint::encode(&state_after(FIRST_ENTRIES)).into_bytes()]);
    for object in objects {
        for position in 0..object.len() {
            let mut damaged = object.to_vec();
            damaged[position] ^= 0x04;
            assert!(inspect::describe(&Bytes::from(damaged)).is_err(), "byte {position}");
            assert!(inspect::describe(&object.slice(..position)).is_err(), "cut at {position}");
        }
        let longer = Bytes::from([&object[..], &[0]].concat());
        assert!(inspect::describe(&longer).is_err());
        inspect::describe(&object).unwrap();
    }
}

#[test]
fn a_newer_release_is_recognised() {
    let value = values::entries().remove(0);
    // A field that this release does not know is passed over.
    let mut metadata = value.message.encode_to_vec();
    metadata.extend([0xf8, 0x07, 0x2a]);
    let object = values::envelope(1, 1, &value.data.concat(), &metadata);
    assert_eq!(entry::decode(&object).unwrap().message, value.message);
    // An operation that it does not know is refused.
    let mut metadata = value.message.encode_to_vec();
    metadata.extend([0x42, 0x03, 0xfa, 0x07, 0x00]);
    let object = values::envelope(1, 1, &value.data.concat(), &metadata);
    let refused = apply(&genesis(ShardId(0)), &entry::decode(&object).unwrap()).unwrap_err();
    assert_eq!(refused, ApplyError::UnknownOperation(1));
    // So is another version of the envelope, or another kind of object.
    let newer = values::envelope(1, 2, b"", b"");
    assert_eq!(entry::decode(&newer).unwrap_err(), FormatError::NewerVersion { found: 2, newest: 1 });
    assert!(inspect::describe(&values::envelope(4, 1, b"", b"")).is_err());
    let checkpoint = checkpoint::encode(&state_after(FIRST_ENTRIES)).into_bytes();
    assert!(matches!(entry::decode(&checkpoint), Err(FormatError::Kind { found: 2, .. })));
}
