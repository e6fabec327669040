//! Tables written and read back.

use alluvium_record::{BatchBuilder, Compression, Header, Record, RecordBatch, TopicId};
use bytes::Bytes;

use crate::{TableFacts, TableOptions, TableReader, TableSummary, TableWriter};

mod damage;
mod exact;
mod golden;
mod projected;
mod values;

pub(crate) const TOPIC: TopicId = TopicId::from_bytes([7; 16]);

pub(crate) fn facts(base_offset: i64, last_offset: i64) -> TableFacts {
    TableFacts {
        cluster_id: "a-cluster".into(),
        topic_id: TOPIC,
        topic_name: "orders".into(),
        partition: 3,
        base_offset,
        last_offset,
        format: crate::FORMAT,
    }
}

pub(crate) fn batch(base_offset: i64, compression: Compression, records: &[Record]) -> RecordBatch {
    let mut builder = BatchBuilder::new(compression).producer(4711, 3, 42);
    for Record { timestamp, key, value, headers, .. } in records.iter().cloned() {
        builder.push(timestamp, key, value, headers).unwrap();
    }
    builder.build(base_offset)
}

pub(crate) fn bytes(text: &str) -> Option<Bytes> {
    Some(Bytes::copy_from_slice(text.as_bytes()))
}

/// Forty records in ten batches: some with headers, some without key, some without value, some with odd names.
pub(crate) fn sample_batches() -> Vec<RecordBatch> {
    (0..10)
        .map(|number| {
            let records: Vec<Record> = (0..4)
                .map(|index| Record {
                    offset: 0,
                    timestamp: 1_700_000_000_000 + i64::from(number * 10 - index),
                    key: if index == 0 { None } else { bytes(&format!("key-{}", number % 3)) },
                    value: if index == 1 {
                        None
                    } else {
                        bytes(&format!("value {number} {index}").repeat(index as usize))
                    },
                    headers: (0..index)
                        .map(|header| Header {
                            name: Bytes::copy_from_slice(if header == 2 {
                                b"\xffodd\xc3"
                            } else {
                                "na\u{ef}ve".as_bytes()
                            }),
                            value: if header == 0 { None } else { bytes("") },
                        })
                        .collect(),
                })
                .collect();
            batch(100 + i64::from(number) * 5, Compression::ALL[number as usize % 5], &records)
        })
        .collect()
}

pub(crate) fn write(facts: TableFacts, options: TableOptions, batches: &[RecordBatch]) -> (Bytes, TableSummary) {
    let mut writer = TableWriter::new(facts, options).unwrap();
    let mut file = Vec::new();
    for batch in batches {
        writer.push(batch, |_| true).unwrap();
        writer.take_finished().into_iter().for_each(|part| file.extend_from_slice(&part));
    }
    let finished = writer.finish().unwrap();
    finished.rest.into_iter().for_each(|part| file.extend_from_slice(&part));
    assert_eq!(finished.summary.bytes, file.len() as u64);
    (Bytes::from(file), finished.summary)
}

pub(crate) async fn open(file: &Bytes) -> TableReader {
    TableReader::open(std::sync::Arc::new(file.clone()), file.len() as u64, None).await.unwrap()
}
