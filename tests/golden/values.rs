//! What the golden files were made from: a short history in six entries, with every operation and every optional field.
//!
//! Written out by hand, so that nothing but the format decides the bytes.

use alluvium_log::format::entry;
use alluvium_log::format::messages::{
    AlterTopicConfigsMessage, AppendMessage, ClassicMemberMessage, ClassicProtocolMessage, CommitOffsetsMessage,
    CommittedOffsetMessage, ConfigMessage, ConsumerGroupChangeMessage, ConsumerMemberMessage, CreatePartitionsMessage,
    DeleteOffsetsMessage, DeleteRecordsMessage, EntryMessage, GroupIdMessage, GroupMemberMessage, GroupMessage,
    OperationKind, OperationMessage, ProducerBatchMessage, SegmentReferenceMessage, SetShardCountMessage,
    TakeOverMessage, TopicIdMessage, TopicMessage, TopicPartitionMessage,
};
use alluvium_log::format::stored_messages::{SegmentMessage, SegmentPartMessage};
use alluvium_log::{BatchToAppend, Partition, State};
use alluvium_record::batch::RecordBatch;
use alluvium_record::{Compression, Header, TopicId, TopicPartition};
use alluvium_tests::records::records_batch;
use bytes::{BufMut, Bytes};
use uuid::Uuid;

use super::tables::table_entry;
use super::transactions::transaction_entry;

/// 2026-01-02T03:04:05.678Z.
pub(crate) const TIME_MS: i64 = 1_767_323_045_678;
/// Where data begins in an object.
pub(crate) const DATA_START: u64 = 64;

pub(crate) const ORDERS: Uuid = Uuid::from_u128(0x0190_0000_0000_4000_8000_0000_0000_0001);
const BILLS: Uuid = Uuid::from_u128(0xf190_0000_0000_4000_8000_0000_0000_0002);
pub(crate) const SEGMENT_IDS: [Uuid; 2] = [
    Uuid::from_u128(0x019b_7c3d_6a4e_7000_8000_0000_0000_000a),
    Uuid::from_u128(0x019b_7c3d_6a4f_7000_8000_0000_0000_000b),
];

/// An entry and the name of its file.
pub(crate) struct EntryValue {
    pub(crate) name: &'static str,
    pub(crate) message: EntryMessage,
    pub(crate) data: Vec<Bytes>,
}

/// The history, each entry built on the one before.
pub(crate) fn entries() -> Vec<EntryValue> {
    let mut previous_hash = Bytes::new();
    let mut values = Vec::new();
    for (number, (name, segments, operations, data)) in (1_u64..).zip([
        inline_entry(),
        segment_entry(),
        operations_entry(),
        cluster_entry(),
        transaction_entry(),
        table_entry(),
    ]) {
        let message = EntryMessage {
            shard: 0,
            number,
            previous_hash,
            id: Bytes::from(vec![0xe0 + number as u8; 16]),
            timestamp_ms: TIME_MS + number as i64,
            node: "node-0".to_owned(),
            segments,
            operations: operations.into_iter().map(|kind| OperationMessage { kind: Some(kind) }).collect(),
        };
        previous_hash = Bytes::copy_from_slice(&entry::encode(&message, data.clone()).hash.0);
        values.push(EntryValue { name, message, data });
    }
    values
}

pub(crate) type Parts = (&'static str, Vec<SegmentReferenceMessage>, Vec<OperationKind>, Vec<Bytes>);

pub(crate) fn id(id: Uuid) -> Bytes {
    Bytes::copy_from_slice(id.as_bytes())
}

fn config(name: &str, value: &str) -> ConfigMessage {
    ConfigMessage { name: name.to_owned(), value: value.to_owned() }
}

fn topic(topic: Uuid, name: &str, partition_count: i32, configs: Vec<ConfigMessage>) -> TopicMessage {
    TopicMessage {
        id: id(topic),
        name: name.to_owned(),
        partition_count,
        replication_factor: 3,
        configs,
        created_ms: TIME_MS,
        shard_count: 0,
    }
}

/// Plain records, so that no codec's version decides the bytes.
fn batch(sequence: Option<(i64, i16, i32)>, values: &[&str]) -> RecordBatch {
    let records = values.iter().map(|value| {
        let headers = vec![Header::new("trace", Some(Bytes::from_static(b"\x01\x02"))), Header::new("none", None)];
        (TIME_MS, Some(Bytes::from_static(b"key")), Some(Bytes::copy_from_slice(value.as_bytes())), headers)
    });
    records_batch(Compression::None, sequence, records)
}

/// A batch of one record, of no producer.
pub(crate) fn plain_batch(value: &str) -> RecordBatch {
    batch(None, &[value])
}

/// Two topics, and records of an idempotent and of a plain producer inside the entry.
fn inline_entry() -> Parts {
    let first = batch(Some((4000, 1, 0)), &["one", "two"]);
    let second = batch(Some((4000, 1, 2)), &["three"]);
    let third = batch(None, &["four"]);
    let length = |batch: &RecordBatch| batch.bytes.len() as u32;
    let operations = vec![
        OperationKind::CreateTopic(topic(
            ORDERS,
            "orders",
            2,
            vec![config("cleanup.policy", "delete"), config("retention.ms", "86400000")],
        )),
        OperationKind::CreateTopic(topic(BILLS, "bills", 1, Vec::new())),
        OperationKind::Append(AppendMessage {
            topic: id(ORDERS),
            partition: 0,
            base_offset: 0,
            segment: 0,
            position: DATA_START,
            length: length(&first) + length(&second),
            offset_count: 3,
            max_timestamp: TIME_MS,
            producer_batches: vec![producer_batch(4000, 1, 0, 2, 0), producer_batch(4000, 1, 2, 1, 2)],
            sum: 0,
        }),
        OperationKind::Append(AppendMessage {
            topic: id(ORDERS),
            partition: 1,
            base_offset: 0,
            segment: 0,
            position: DATA_START + u64::from(length(&first) + length(&second)),
            length: length(&third),
            offset_count: 1,
            max_timestamp: TIME_MS,
            producer_batches: Vec::new(),
            sum: 0,
        }),
    ];
    ("entry-inline", Vec::new(), operations, vec![first.bytes, second.bytes, third.bytes])
}

fn producer_batch(
    producer_id: i64,
    epoch: i32,
    base_sequence: i32,
    record_count: i32,
    offset_delta: i64,
) -> ProducerBatchMessage {
    ProducerBatchMessage { producer_id, epoch, base_sequence, record_count, offset_delta, transaction: 0 }
}

/// The first of the two segments that the second entry names.
pub(crate) fn segment() -> (SegmentMessage, Vec<BatchToAppend>) {
    let placed = |topic: Uuid, partition: i32, batch: RecordBatch| {
        BatchToAppend::new(TopicPartition { topic: TopicId(topic), partition }, batch)
    };
    let batches = vec![
        placed(ORDERS, 0, batch(Some((4000, 1, 3)), &["five"])),
        placed(ORDERS, 0, batch(Some((4001, 0, 0)), &["six", "seven"])),
        placed(BILLS, 0, batch(None, &["eight"])),
    ];
    let lengths: Vec<u64> = batches.iter().map(|placed| placed.batch.bytes.len() as u64).collect();
    let parts = vec![
        SegmentPartMessage {
            topic: id(ORDERS),
            partition: 0,
            position: DATA_START,
            length: lengths[0] + lengths[1],
            batch_count: 2,
            record_count: 3,
        },
        SegmentPartMessage {
            topic: id(BILLS),
            partition: 0,
            position: DATA_START + lengths[0] + lengths[1],
            length: lengths[2],
            batch_count: 1,
            record_count: 1,
        },
    ];
    let message = SegmentMessage { shard: 0, id: id(SEGMENT_IDS[0]), created_ms: TIME_MS, parts };
    (message, batches)
}

/// Runs in two segments, one of them cut in two.
fn segment_entry() -> Parts {
    let (message, batches) = segment();
    let lengths: Vec<u32> = batches.iter().map(|placed| placed.batch.bytes.len() as u32).collect();
    let data_end = DATA_START + lengths.iter().map(|length| u64::from(*length)).sum::<u64>();
    let segments = vec![
        SegmentReferenceMessage { id: message.id, data_end, created_ms: message.created_ms },
        SegmentReferenceMessage { id: id(SEGMENT_IDS[1]), data_end: 9_000_000_000, created_ms: TIME_MS + 1 },
    ];
    let append = |partition, base_offset, position, length, offset_count, producer_batches| AppendMessage {
        topic: id(ORDERS),
        partition,
        base_offset,
        segment: 1,
        position,
        length,
        offset_count,
        max_timestamp: TIME_MS,
        producer_batches,
        sum: 0,
    };
    let second = DATA_START + u64::from(lengths[0]);
    let operations = vec![
        OperationKind::Append(append(0, 3, DATA_START, lengths[0], 1, vec![producer_batch(4000, 1, 3, 1, 0)])),
        OperationKind::Append(append(0, 4, second, lengths[1], 2, vec![producer_batch(4001, 0, 0, 2, 0)])),
        OperationKind::Append(AppendMessage {
            topic: id(BILLS),
            ..append(0, 0, second + u64::from(lengths[1]), lengths[2], 1, Vec::new())
        }),
        // Numbers beyond 32 bits, and a record without a timestamp.
        OperationKind::Append(AppendMessage {
            segment: 2,
            max_timestamp: -1,
            ..append(1, 1, 8_000_000_000, 500_000, 6_000_000_000, Vec::new())
        }),
    ];
    ("entry-segment", segments, operations, Vec::new())
}

fn committed(topic: Uuid, offset: i64, leader_epoch: i32, metadata: &str) -> CommittedOffsetMessage {
    CommittedOffsetMessage {
        topic: id(topic),
        partition: 0,
        offset,
        leader_epoch,
        metadata: metadata.to_owned(),
        commit_ms: TIME_MS,
    }
}

fn member(member_id: &str, instance_id: Option<&str>) -> GroupMemberMessage {
    GroupMemberMessage {
        member_id: member_id.to_owned(),
        instance_id: instance_id.map(str::to_owned),
        client_id: "billing-app".to_owned(),
        client_host: "/127.0.0.1".to_owned(),
        session_timeout_ms: 45_000,
        rebalance_timeout_ms: 300_000,
        subscription: Bytes::from_static(b"\x00\x03\x00"),
        assignment: Bytes::from_static(b"\x00\x03\x01"),
    }
}

fn group(name: &str, members: Vec<GroupMemberMessage>) -> GroupMessage {
    GroupMessage {
        group: name.to_owned(),
        generation: 7,
        protocol_type: "consumer".to_owned(),
        protocol: members.first().map(|_| "range".to_owned()),
        leader: members.first().map(|member| member.member_id.clone()),
        members,
        updated_ms: TIME_MS,
    }
}

/// Everything that carries no records.
fn operations_entry() -> Parts {
    let group_id = |group: &str| GroupIdMessage { group: group.to_owned() };
    let commit = |group: &str, offsets| CommitOffsetsMessage { group: group.to_owned(), offsets };
    let operations = vec![
        OperationKind::CreatePartitions(CreatePartitionsMessage { id: id(ORDERS), partition_count: 3 }),
        OperationKind::AlterTopicConfigs(AlterTopicConfigsMessage {
            id: id(ORDERS),
            set: vec![config("max.message.bytes", "2000000")],
            remove: vec!["retention.ms".to_owned()],
        }),
        OperationKind::DeleteRecords(DeleteRecordsMessage { topic: id(ORDERS), partition: 0, before_offset: 4 }),
        OperationKind::CommitOffsets(commit(
            "billing",
            vec![committed(ORDERS, 5, 0, "so far"), committed(BILLS, 1, -1, "")],
        )),
        OperationKind::CommitOffsets(commit("offsets-only", vec![committed(ORDERS, 3, -1, "")])),
        OperationKind::CommitOffsets(commit("gone", vec![committed(ORDERS, 2, 0, "")])),
        OperationKind::PutGroup(group("billing", vec![member("member-a", Some("static-a")), member("member-b", None)])),
        OperationKind::PutGroup(group("empty", Vec::new())),
        OperationKind::DeleteGroup(group_id("gone")),
        OperationKind::DeleteOffsets(DeleteOffsetsMessage {
            group: "billing".to_owned(),
            partitions: vec![TopicPartitionMessage { topic: id(BILLS), partition: 0 }],
        }),
        OperationKind::DeleteTopic(TopicIdMessage { id: id(BILLS) }),
    ];
    ("entry-operations", Vec::new(), operations, Vec::new())
}

/// What came with clusters of many nodes: a topic over several shards, a coordinator, a group of the new protocol.
fn cluster_entry() -> Parts {
    let partitions = |indexes: &[i32]| {
        indexes.iter().map(|partition| TopicPartitionMessage { topic: id(ORDERS), partition: *partition }).collect()
    };
    let member = |member_id: &str| ConsumerMemberMessage {
        member_id: member_id.to_owned(),
        instance_id: Some("static".to_owned()),
        rack_id: Some("zone-a".to_owned()),
        client_id: "billing-app".to_owned(),
        client_host: "/127.0.0.1".to_owned(),
        rebalance_timeout_ms: 300_000,
        subscribed_topics: vec!["orders".to_owned()],
        subscribed_regex: Some("or.*".to_owned()),
        assignor: Some("uniform".to_owned()),
        member_epoch: 4,
        previous_member_epoch: 3,
        state: 1,
        assigned: partitions(&[0]),
        pending_revocation: partitions(&[1]),
        target: partitions(&[0, 2]),
        classic: Some(ClassicMemberMessage {
            session_timeout_ms: 45_000,
            protocols: vec![ClassicProtocolMessage {
                name: "range".to_owned(),
                metadata: Bytes::from_static(b"\x00\x03\x00"),
            }],
        }),
    };
    let change = |epoch, put, remove: &[&str]| ConsumerGroupChangeMessage {
        group: "shipping".to_owned(),
        epoch,
        assignment_epoch: epoch,
        put,
        remove: remove.iter().map(|member| (*member).to_owned()).collect(),
        updated_ms: TIME_MS,
    };
    let spread = Uuid::from_u128(0x0190_0000_0000_4000_8000_0000_0000_0003);
    let operations = vec![
        OperationKind::SetShardCount(SetShardCountMessage { shard_count: 4 }),
        OperationKind::TakeOver(TakeOverMessage { node: 3, incarnation: id(SEGMENT_IDS[0]) }),
        OperationKind::CreateTopic(TopicMessage { shard_count: 4, ..topic(spread, "spread", 8, Vec::new()) }),
        OperationKind::PutConsumerGroup(change(4, vec![member("member-a"), member("member-b")], &[])),
        OperationKind::PutConsumerGroup(change(5, Vec::new(), &["member-a"])),
    ];
    ("entry-cluster", Vec::new(), operations, Vec::new())
}

/// Entries that bring a crowd of producers to one partition, some minutes apart, and a day later a few more.
pub(crate) fn crowd(state: &State) -> Vec<EntryMessage> {
    const EACH: i64 = 250;
    let place = TopicPartition { topic: TopicId(ORDERS), partition: 2 };
    let mut base_offset = state.partition(place).map_or(0, Partition::high_watermark);
    let mut previous_hash = Bytes::copy_from_slice(&state.entry_hash().0);
    let mut timestamp_ms = state.timestamp_ms();
    let mut entries = Vec::new();
    for round in 0..60 {
        timestamp_ms += if round == 55 { 24 * 60 * 60 * 1000 } else { 60 * 1000 };
        let message = EntryMessage {
            shard: 0,
            number: state.entry_number() + 1 + round as u64,
            previous_hash,
            id: Bytes::from(vec![round as u8; 16]),
            timestamp_ms,
            node: "node-0".to_owned(),
            segments: Vec::new(),
            operations: vec![OperationMessage {
                kind: Some(OperationKind::Append(AppendMessage {
                    topic: id(ORDERS),
                    partition: 2,
                    base_offset,
                    segment: 0,
                    position: DATA_START,
                    length: 1000,
                    offset_count: EACH,
                    max_timestamp: timestamp_ms,
                    producer_batches: (0..EACH)
                        .map(|n| producer_batch(10_000 + round * EACH + n, 0, 0, 1, n))
                        .collect(),
                    sum: 0,
                })),
            }],
        };
        base_offset += EACH;
        previous_hash = Bytes::copy_from_slice(&entry::encode(&message, Vec::new()).hash.0);
        entries.push(message);
    }
    entries
}

/// An envelope written by another hand than the library's.
pub(crate) fn envelope(kind: u16, version: u16, data: &[u8], metadata: &[u8]) -> Bytes {
    let mut object = Vec::new();
    object.extend_from_slice(b"ALLUVIUM");
    object.put_u16(kind);
    object.put_u16(version);
    object.put_u32(metadata.len() as u32);
    object.put_u64(data.len() as u64);
    object.put_u32(alluvium_record::crc32c(data));
    object.put_u32(alluvium_record::crc32c(metadata));
    object.put_bytes(0, 28);
    object.put_u32(alluvium_record::crc32c(&object));
    object.extend_from_slice(data);
    object.extend_from_slice(metadata);
    Bytes::from(object)
}
