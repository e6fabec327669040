//! The golden entry of compaction: runs become a file, a run becomes nothing, both become another file, and garbage goes.

use alluvium_log::format::messages::{AppendMessage, OperationKind};
use alluvium_log::format::table_messages::{ForgetObjectsMessage, ReplaceRunsMessage, TableFileMessage};
use alluvium_record::batch_sum;
use bytes::Bytes;
use uuid::Uuid;

use super::values::{DATA_START, ORDERS, Parts, SEGMENT_IDS, TIME_MS, id, plain_batch};

const FILE_IDS: [Uuid; 2] = [
    Uuid::from_u128(0x019b_7c3d_6a50_7000_8000_0000_0000_000c),
    Uuid::from_u128(0x019b_7c3d_6a51_7000_8000_0000_0000_000d),
];

fn sum(value: u128) -> Bytes {
    Bytes::copy_from_slice(&value.to_be_bytes())
}

fn file(file: Uuid, value: u128, tombstone_horizon_ms: i64) -> TableFileMessage {
    TableFileMessage {
        id: id(file),
        length: 4_000_000_000,
        footer_bytes: 900,
        record_count: 2,
        sum: sum(value),
        min_timestamp: TIME_MS - 5,
        max_timestamp: TIME_MS,
        tombstone_horizon_ms,
    }
}

pub(crate) fn table_entry() -> Parts {
    let batch = plain_batch("ten");
    let replace = |base_offset, last_offset, raw: (u64, u128), removed: (u64, u128), file| ReplaceRunsMessage {
        topic: id(ORDERS),
        partition: 0,
        base_offset,
        last_offset,
        inputs_digest: Bytes::from_static(&[7; 32]),
        raw_record_count: raw.0,
        raw_sum: sum(raw.1),
        removed_record_count: removed.0,
        removed_sum: sum(removed.1),
        file,
        cleaned_to: 0,
    };
    let operations = vec![
        OperationKind::Append(AppendMessage {
            topic: id(ORDERS),
            partition: 0,
            base_offset: 6,
            segment: 0,
            position: DATA_START,
            length: batch.bytes.len() as u32,
            offset_count: 1,
            max_timestamp: TIME_MS,
            producer_batches: Vec::new(),
            sum: batch_sum(6, 1, batch.header.crc),
        }),
        OperationKind::ReplaceRuns(replace(4, 5, (2, u128::MAX), (0, 0), Some(file(FILE_IDS[0], u128::MAX, 0)))),
        OperationKind::ReplaceRuns(replace(6, 6, (1, 77), (1, 77), None)),
        OperationKind::ReplaceRuns(ReplaceRunsMessage {
            cleaned_to: 7,
            ..replace(4, 6, (0, 0), (0, 0), Some(file(FILE_IDS[1], u128::MAX, TIME_MS + 86_400_000)))
        }),
        OperationKind::ForgetObjects(ForgetObjectsMessage { segments: vec![id(SEGMENT_IDS[0])], files: Vec::new() }),
    ];
    ("entry-tables", Vec::new(), operations, vec![batch.bytes])
}
