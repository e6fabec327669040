//! Any records come back as they were, with their batches.

use std::sync::Arc;

use alluvium_infra::Runtime;
use alluvium_record::{BatchFrame, BatchHeader, Header, TimestampType, TopicPartition};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::{DecodedRows, OpenTableError, RecordHasher, RecordSum, RecordTally, Row, WriteTableError};

#[derive(Clone, Debug)]
struct Input {
    batches: Vec<RecordBatch>,
    /// Which records are kept, over and over.
    keep: Vec<bool>,
    options: TableOptions,
}

fn nullable(bytes: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Option<Bytes>> {
    prop::option::weighted(0.8, bytes.prop_map(Bytes::from))
}

fn header() -> impl Strategy<Value = Header> {
    let name = prop_oneof![vec(any::<u8>(), 0..6), "[a-z]{0,6}".prop_map(String::into_bytes)];
    (name, nullable(vec(any::<u8>(), 0..12))).prop_map(|(name, value)| Header { name: Bytes::from(name), value })
}

fn record() -> impl Strategy<Value = Record> {
    let timestamp = prop_oneof![4 => 1_700_000_000_000..1_700_000_100_000_i64, 1 => any::<i64>(), 1 => Just(i64::MIN), 1 => Just(-1), 1 => Just(i64::MAX)];
    let headers = prop_oneof![3 => vec(header(), 0..3), 1 => vec(header(), 0..40)];
    (timestamp, nullable(vec(any::<u8>(), 0..20)), nullable(vec(0_u8..4, 0..300)), headers)
        .prop_map(|(timestamp, key, value, headers)| Record { offset: 0, timestamp, key, value, headers })
}

/// A batch without its offset, and how many offsets are missing before it.
fn loose_batch() -> impl Strategy<Value = (RecordBatch, i64)> {
    let producer = prop_oneof![Just((-1, -1, -1)), (0..i64::MAX, 0..i16::MAX, 0..=i32::MAX)];
    let gap = prop_oneof![3 => Just(0_i64), 1 => 0..1_000_000_000_000_i64];
    let append_time = prop::option::weighted(0.2, any::<i64>());
    let codec = prop::sample::select(Compression::ALL.to_vec());
    (vec(record(), 1..12), codec, producer, any::<bool>(), append_time, gap).prop_map(
        |(records, codec, (id, epoch, sequence), transactional, append_time, gap)| {
            let mut builder = BatchBuilder::new(codec).producer(id, epoch, sequence).transactional(transactional);
            for Record { timestamp, key, value, headers, .. } in records {
                builder.push(timestamp, key, value, headers).unwrap();
            }
            let batch = builder.build(0);
            (append_time.map_or(batch.clone(), |time| batch.with_log_append_time(time)), gap)
        },
    )
}

fn input() -> impl Strategy<Value = Input> {
    let start = prop_oneof![Just(0_i64), Just(i64::MAX - 100_000_000_000_000), 0..1_i64 << 40];
    let keep = prop_oneof![Just(vec![true]), vec(any::<bool>(), 1..20), Just(vec![false])];
    let limits = prop_oneof![Just((8 << 20, 1 << 20)), (20_usize..2_000, 1_usize..30)];
    (vec(loose_batch(), 0..20), start, keep, limits, any::<bool>()).prop_map(
        |(loose, start, keep, (row_group_bytes_max, row_group_rows_max), key_bloom_filter)| {
            let mut next = start;
            let batches = loose.into_iter().map(|(batch, gap)| {
                let batch = batch.at_offset(next + gap);
                next = batch.header.next_offset();
                batch
            });
            let options =
                TableOptions { row_group_bytes_max, row_group_rows_max, key_bloom_filter, ..Default::default() };
            Input { batches: batches.collect(), keep, options }
        },
    )
}

/// The records that are kept and those that are not, each with the header of its batch.
fn expected(input: &Input) -> Vec<(BatchHeader, Record, bool)> {
    let mut keep = input.keep.iter().cycle();
    let mut all = Vec::new();
    for batch in &input.batches {
        for record in batch.records(1 << 20).unwrap() {
            all.push((batch.header, record, *keep.next().unwrap()));
        }
    }
    all
}

struct Written {
    file: Bytes,
    summary: TableSummary,
    kept: RecordTally,
    left_out: RecordTally,
}

fn write_input(input: &Input) -> Written {
    let base = input.batches.first().map_or(0, |batch| batch.header.base_offset);
    let last = input.batches.last().map_or(0, |batch| batch.header.last_offset());
    let mut writer = TableWriter::new(facts(base, last), input.options.clone()).unwrap();
    let mut keep = input.keep.iter().cycle();
    let mut file = Vec::new();
    let mut pushed = (RecordTally::default(), RecordTally::default());
    for batch in &input.batches {
        let part = writer.push(batch, |_| *keep.next().unwrap()).unwrap();
        pushed.0 += part.kept;
        pushed.1 += part.left_out;
        writer.take_finished().into_iter().for_each(|part| file.extend_from_slice(&part));
    }
    let finished = writer.finish().unwrap();
    assert_eq!((finished.pushed.kept, finished.pushed.left_out), pushed);
    finished.rest.into_iter().for_each(|part| file.extend_from_slice(&part));
    Written { file: Bytes::from(file), summary: finished.summary, kept: pushed.0, left_out: pushed.1 }
}

fn owned(row: &Row<'_>) -> Record {
    let copy = Bytes::copy_from_slice;
    Record {
        offset: row.offset,
        timestamp: row.timestamp,
        key: row.key.map(copy),
        value: row.value.map(copy),
        headers: row.headers.map(|header| Header { name: copy(header.name), value: header.value.map(copy) }).collect(),
    }
}

async fn all_rows(runtime: &Runtime, reader: &TableReader) -> Vec<DecodedRows> {
    let mut all = Vec::new();
    for index in 0..reader.row_groups().len() {
        all.push(reader.read_row_group(runtime, index).await.unwrap());
    }
    all
}

/// Sums of records, computed from the records alone, the last one first.
fn tally(records: &[(BatchHeader, Record, bool)], kept: bool) -> RecordTally {
    let mut hasher = RecordHasher::default();
    let mut tally = RecordTally::default();
    for (header, record, _) in records.iter().rev().filter(|(_, _, is_kept)| *is_kept == kept) {
        let single = {
            let mut builder = BatchBuilder::new(Compression::None);
            builder.push(record.timestamp, record.key.clone(), record.value.clone(), record.headers.clone()).unwrap();
            let batch = builder.timestamp_type(header.attributes.timestamp_type()).build(record.offset);
            let decoded = batch.decode(0).unwrap();
            hasher.sum(&Row::of(&batch.header, decoded.views().next().unwrap().unwrap()))
        };
        tally.count(single);
    }
    tally
}

fn check_batches(input: &Input, expected: &[(BatchHeader, Record, bool)], batches: &[RecordBatch]) {
    let kept: Vec<Record> = expected.iter().filter(|(_, _, kept)| *kept).map(|(_, record, _)| record.clone()).collect();
    let mut found = Vec::new();
    for batch in batches {
        batch.verify_crc().unwrap();
        assert_eq!(batch.header.attributes.compression(), Ok(Compression::None));
        found.extend(batch.records(0).unwrap());
    }
    assert_eq!(found, kept);
    for original in &input.batches {
        let frame = BatchFrame::of(&original.header);
        let within = |batch: &&RecordBatch| {
            batch.header.base_offset >= frame.base_offset && batch.header.last_offset() <= frame.last_offset
        };
        let parts: Vec<&RecordBatch> = batches.iter().filter(within).collect();
        let Some((first, last)) = parts.first().zip(parts.last()) else { continue };
        assert_eq!(first.header.base_offset, frame.base_offset);
        assert_eq!(first.header.base_sequence, frame.base_sequence);
        assert_eq!(last.header.last_offset(), frame.last_offset);
        assert_eq!(last.header.last_sequence(), original.header.last_sequence());
        for pair in parts.windows(2) {
            assert_eq!(pair[0].header.next_offset(), pair[1].header.base_offset);
            if frame.base_sequence >= 0 {
                assert_eq!(pair[0].header.next_sequence(), pair[1].header.base_sequence);
            }
        }
        for part in parts {
            let header = &part.header;
            assert_eq!((header.producer_id, header.producer_epoch), (frame.producer_id, frame.producer_epoch));
            assert_eq!(header.attributes, frame.attributes.with_compression(Compression::None));
            let newest = part.records(0).unwrap().iter().map(|record| record.timestamp).max();
            assert_eq!(Some(header.max_timestamp), newest);
        }
    }
}

async fn check_reading(runtime: &Runtime, input: &Input) {
    let Written { file, summary, kept, left_out } = write_input(input);
    assert_eq!(write_input(input).file, file, "the same rows give the same bytes");
    let expected = expected(input);
    assert_eq!((kept, left_out), (tally(&expected, true), tally(&expected, false)));
    let shared = Arc::new(file.clone());
    let reader = TableReader::open(shared, summary.bytes, Some(summary.footer_bytes)).await.unwrap();
    assert_eq!(reader.facts(), open(&file).await.facts());
    assert_eq!((reader.tally(), summary.sum, summary.record_count), (kept, kept.sum, kept.record_count));
    assert_eq!(reader.verify(runtime, |_| {}).await, Ok(summary));
    let timestamps = || expected.iter().filter(|(_, _, kept)| *kept).map(|(_, record, _)| record.timestamp);
    assert_eq!(summary.min_timestamp, timestamps().min().unwrap_or(-1));
    assert_eq!(summary.max_timestamp, timestamps().max().unwrap_or(-1));

    let mut batches = Vec::new();
    let decoded = all_rows(runtime, &reader).await;
    for rows in decoded.clone() {
        let from = rows.rows().next().map_or(0, |row| row.offset);
        batches.extend(rows.into_record_batches(from, Compression::None).unwrap());
    }
    check_batches(input, &expected, &batches);
    for (header, record, kept) in &expected {
        let index = reader.row_group_of(record.offset);
        let row = index.and_then(|index| decoded[index].rows_from(record.offset).next());
        let found = row.filter(|row| row.offset == record.offset);
        assert_eq!(found.is_some(), *kept);
        if let Some(row) = found {
            assert_eq!((owned(&row), row.batch), (record.clone(), BatchFrame::of(header)));
            let since = reader.row_group_since(record.timestamp).unwrap();
            assert!(since <= index.unwrap());
        }
    }
    check_merging(runtime, input, &decoded, kept).await;
}

/// The rows of a table in another one, with other row groups: the same rows of the same batches.
async fn check_merging(runtime: &Runtime, input: &Input, decoded: &[DecodedRows], kept: RecordTally) {
    let base = input.batches.first().map_or(0, |batch| batch.header.base_offset);
    let last = input.batches.last().map_or(0, |batch| batch.header.last_offset());
    let options = TableOptions { row_group_bytes_max: 700, row_group_rows_max: 9, ..TableOptions::default() };
    let mut writer = TableWriter::new(facts(base, last), options).unwrap();
    let parts: RecordTally = decoded.iter().map(|rows| writer.push_rows(rows, |_| true).unwrap().kept).sum();
    assert_eq!(parts, kept, "sums of parts add up");
    let finished = writer.finish().unwrap();
    assert_eq!(finished.summary.sum, kept.sum);
    let reader = open(&Bytes::from(finished.rest.concat())).await;
    assert_eq!(reader.row_groups(), finished.row_groups);
    let again = all_rows(runtime, &reader).await;
    let rows = |all: &[DecodedRows]| -> Vec<_> {
        all.iter().flat_map(|rows| rows.rows().map(|row| (owned(&row), row.batch)).collect::<Vec<_>>()).collect()
    };
    assert_eq!(rows(&again), rows(decoded));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_records_come_back(input in input()) {
        Runtime::simulate(1, |runtime| async move { check_reading(&runtime, &input).await });
    }

    #[test]
    fn sums_do_not_depend_on_order_or_division(sums in vec(any::<u128>(), 0..20), cut in 0_usize..20) {
        let sums: Vec<RecordSum> = sums.into_iter().map(RecordSum).collect();
        let whole: RecordSum = sums.iter().copied().sum();
        let (left, right) = sums.split_at(cut.min(sums.len()));
        let (left, right): (RecordSum, RecordSum) = (left.iter().copied().sum(), right.iter().rev().copied().sum());
        prop_assert_eq!(right + left, whole);
        prop_assert_eq!(whole - right, left);
        prop_assert_eq!(RecordSum::from_bytes(whole.to_bytes()), whole);
        prop_assert_eq!(whole.to_string().parse(), Ok(whole));
    }
}

#[test]
fn a_fetch_begins_with_the_batch_of_its_offset() {
    Runtime::simulate(2, |runtime| async move {
        let batches = sample_batches();
        let (file, _) = write(facts(100, 200), TableOptions::default(), &batches);
        let reader = open(&file).await;
        assert_eq!(reader.row_groups().len(), 1);
        for (offset, first) in [(0, 100), (103, 100), (104, 105), (107, 105), (148, 145)] {
            let rows = reader.read_row_group(&runtime, 0).await.unwrap();
            let fetched = rows.into_record_batches(offset, Compression::Lz4).unwrap();
            assert_eq!(fetched[0].header.base_offset, first, "{offset}");
            assert_eq!(fetched.last().unwrap().header.last_offset(), 148);
            assert_eq!(fetched[0].header.attributes.compression(), Ok(Compression::Lz4));
        }
        assert_eq!(reader.row_group_of(148), Some(0));
        assert_eq!(reader.row_group_of(149), None);
        let rows = reader.read_row_group(&runtime, 0).await.unwrap();
        assert_eq!(rows.into_record_batches(149, Compression::None), Ok(Vec::new()));
    });
}

#[test]
fn a_table_is_that_of_one_partition() {
    Runtime::simulate(3, |_| async move {
        let (file, _) = write(facts(100, 200), TableOptions::default(), &sample_batches());
        let reader = open(&file).await;
        let wanted = TopicPartition::new(TOPIC, 3);
        assert_eq!(reader.expect(wanted, 100, 200), Ok(()));
        for (wanted, base, last) in [
            (TopicPartition::new(TOPIC, 4), 100, 200),
            (wanted, 99, 200),
            (wanted, 100, 148),
            (TopicPartition::new(TopicId::NIL, 3), 100, 200),
        ] {
            assert!(matches!(reader.expect(wanted, base, last), Err(OpenTableError::Foreign { .. })));
        }
    });
}

#[test]
fn what_has_no_place_in_a_table_is_refused() {
    let batches = sample_batches();
    let writer = || TableWriter::new(facts(105, 144), TableOptions::default()).unwrap();
    let refused = |batches: &[&RecordBatch]| {
        let mut writer = writer();
        batches.iter().try_for_each(|batch| writer.push(batch, |_| true).map(|_| ())).unwrap_err()
    };
    // Before the table, behind it, and out of order.
    assert!(matches!(refused(&[&batches[0]]), WriteTableError::Offset { offset: 100, .. }));
    assert!(matches!(refused(&[&batches[9]]), WriteTableError::Offset { offset: 145, .. }));
    assert!(matches!(
        refused(&[&batches[2], &batches[1]]),
        WriteTableError::Offset { offset: 105, previous: Some(113), .. }
    ));

    let mut damaged = batches[1].clone();
    let mut changed = damaged.bytes.to_vec();
    *changed.last_mut().unwrap() ^= 1;
    damaged.bytes = Bytes::from(changed);
    assert!(matches!(refused(&[&damaged]), WriteTableError::Batch { base_offset: 105, .. }));

    let control = BatchBuilder::new(Compression::None).producer(1, 0, -1).control(true);
    let mut control = control.timestamp_type(TimestampType::CreateTime);
    control.push(0, bytes("k"), None, vec![]).unwrap();
    let control = control.build(110);
    assert_eq!(refused(&[&control]), WriteTableError::ControlBatch { base_offset: 110 });
    let pushed = writer().push(&control, |_| false).unwrap();
    assert_eq!((pushed.kept.record_count, pushed.left_out.record_count), (0, 1));

    for wrong in [facts(5, 4), facts(-1, 4), TableFacts { format: 2, ..facts(1, 4) }] {
        assert!(matches!(TableWriter::new(wrong, TableOptions::default()), Err(WriteTableError::Facts { .. })));
    }
}

#[test]
fn row_groups_have_limits_and_do_not_divide_batches_without_need() {
    Runtime::simulate(4, |runtime| async move {
        let value = bytes(&"x".repeat(1000));
        let record = Record { value, ..Record::default() };
        let batches: Vec<RecordBatch> = (0..20)
            .map(|number| batch(number * 3, Compression::None, &[record.clone(), record.clone(), record.clone()]))
            .collect();
        let options = TableOptions { row_group_bytes_max: 10_000, ..TableOptions::default() };
        let (file, summary) = write(facts(0, 59), options, &batches);
        let reader = open(&file).await;
        assert_eq!(summary.raw_bytes, 60 * 1012);
        assert!(reader.row_groups().iter().all(|group| group.row_count <= 9 && group.raw_bytes <= 10_000));
        assert_eq!(reader.row_groups().len(), 7);
        let mut found = Vec::new();
        for rows in all_rows(&runtime, &reader).await {
            found.extend(rows.into_record_batches(0, Compression::None).unwrap());
        }
        assert_eq!(found.len(), 20, "no batch is in two row groups");
        assert!(found.iter().zip(&batches).all(|(found, original)| found.bytes == original.bytes));
    });
}
