//! The golden entry of transactions: one that commits here and elsewhere, one that aborts, one that stays open, and an id that
//! expires.

use alluvium_log::format::messages::{AppendMessage, CommittedOffsetMessage, OperationKind, ProducerBatchMessage};
use alluvium_log::format::transaction_messages::{
    AddToTransactionMessage, CommitTransactionOffsetsMessage, CompleteTransactionMessage, EndTransactionMessage,
    ExpireTransactionsMessage, InitTransactionMessage, MarkedPartitionMessage, PlacedGroupMessage,
    PlacedPartitionMessage, WriteMarkersMessage,
};
use alluvium_record::batch::{BatchBuilder, RecordBatch};
use alluvium_record::{Compression, Marker};
use bytes::Bytes;

use super::values::{DATA_START, ORDERS, Parts, TIME_MS, id};

/// The partition of topic `orders` that nothing was written to before.
const PARTITION: i32 = 2;

/// Offsets in the data of the entry.
struct Writer {
    data: Vec<Bytes>,
    operations: Vec<OperationKind>,
    next_offset: i64,
}

impl Writer {
    fn place(&mut self, batch: RecordBatch) -> (u64, u32) {
        let position = DATA_START + self.data.iter().map(|part| part.len() as u64).sum::<u64>();
        let length = batch.bytes.len() as u32;
        self.data.push(batch.bytes);
        (position, length)
    }

    fn begin(&mut self, transactional_id: &str, producer_id: i64, partitions: Vec<PlacedPartitionMessage>) {
        self.init(transactional_id, producer_id);
        let groups = vec![PlacedGroupMessage { group: "billing".to_owned(), shard: 0 }];
        let transactional_id = transactional_id.to_owned();
        self.operations.push(OperationKind::AddToTransaction(AddToTransactionMessage {
            transactional_id,
            number: 1,
            partitions,
            groups,
        }));
    }

    fn init(&mut self, transactional_id: &str, producer_id: i64) {
        self.operations.push(OperationKind::InitTransaction(InitTransactionMessage {
            transactional_id: transactional_id.to_owned(),
            producer_id,
            epoch: 3,
            timeout_ms: 60_000,
            repeatable: false,
        }));
    }

    fn append(&mut self, producer_id: i64, values: &[&str]) {
        let mut builder = BatchBuilder::new(Compression::None).producer(producer_id, 3, 0).transactional(true);
        for value in values {
            builder.push(TIME_MS, None, Some(Bytes::copy_from_slice(value.as_bytes())), Vec::new()).expect("room");
        }
        let (position, length) = self.place(builder.build(0));
        let record_count = values.len() as i32;
        self.operations.push(OperationKind::TransactionalAppend(AppendMessage {
            topic: id(ORDERS),
            partition: PARTITION,
            base_offset: self.next_offset,
            segment: 0,
            position,
            length,
            offset_count: i64::from(record_count),
            max_timestamp: TIME_MS,
            producer_batches: vec![ProducerBatchMessage {
                producer_id,
                epoch: 3,
                base_sequence: 0,
                record_count,
                offset_delta: 0,
                transaction: 1,
            }],
            sum: 0,
        }));
        self.next_offset += i64::from(record_count);
    }

    fn offsets(&mut self, producer_id: i64, offset: i64) {
        self.operations.push(OperationKind::CommitTransactionOffsets(CommitTransactionOffsetsMessage {
            group: "billing".to_owned(),
            producer_id,
            epoch: 3,
            number: 1,
            offsets: vec![CommittedOffsetMessage {
                topic: id(ORDERS),
                partition: 0,
                offset,
                leader_epoch: 0,
                metadata: "with a transaction".to_owned(),
                commit_ms: TIME_MS,
            }],
        }));
    }

    fn end(&mut self, transactional_id: &str, producer_id: i64, commit: bool) {
        self.operations.push(OperationKind::EndTransaction(EndTransactionMessage {
            transactional_id: transactional_id.to_owned(),
            number: 1,
            commit,
            next_producer_id: producer_id,
            next_epoch: 4,
            marker_epoch: 4,
        }));
        let marker =
            Marker { producer_id, producer_epoch: 4, commit, coordinator_epoch: 0, timestamp_ms: TIME_MS }.batch();
        let (position, length) = self.place(marker);
        self.operations.push(OperationKind::WriteMarkers(WriteMarkersMessage {
            producer_id,
            epoch: 4,
            number: 1,
            commit,
            position,
            length,
            timestamp_ms: TIME_MS,
            partitions: vec![MarkedPartitionMessage {
                topic: id(ORDERS),
                partition: PARTITION,
                offset: self.next_offset,
            }],
            groups: vec!["billing".to_owned()],
        }));
        self.next_offset += 1;
        let transactional_id = transactional_id.to_owned();
        self.operations
            .push(OperationKind::CompleteTransaction(CompleteTransactionMessage { transactional_id, number: 1 }));
    }
}

pub(crate) fn transaction_entry() -> Parts {
    let placed = |partition, shard| PlacedPartitionMessage { topic: id(ORDERS), partition, shard };
    let mut writer = Writer { data: Vec::new(), operations: Vec::new(), next_offset: 0 };
    writer.begin("billing-1", 5000, vec![placed(PARTITION, 0), placed(7, 3)]);
    writer.append(5000, &["six", "seven"]);
    writer.offsets(5000, 3);
    writer.end("billing-1", 5000, true);
    writer.begin("billing-2", 5001, vec![placed(PARTITION, 0)]);
    writer.append(5001, &["eight"]);
    writer.offsets(5001, 4);
    writer.end("billing-2", 5001, false);
    writer.begin("billing-3", 5002, vec![placed(PARTITION, 0)]);
    writer.append(5002, &["nine"]);
    writer.offsets(5002, 5);
    writer.init("gone", 5003);
    writer.operations.push(OperationKind::ExpireTransactions(ExpireTransactionsMessage {
        transactional_ids: vec!["gone".to_owned()],
    }));
    ("entry-transactions", Vec::new(), writer.operations, writer.data)
}
