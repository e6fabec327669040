use super::*;
use crate::golden::java_records;
use crate::{BatchBuilder, Record};

fn original(codec: Compression) -> RecordBatch {
    let mut builder = BatchBuilder::new(codec).producer(4711, 3, i32::MAX - 1).transactional(true);
    for record in java_records() {
        builder.push(record.timestamp, record.key, record.value, record.headers).unwrap();
    }
    builder.build(1 << 40)
}

fn rebuilt(batch: &RecordBatch, frame: BatchFrame, codec: Compression, keep: impl Fn(Offset) -> bool) -> RecordBatch {
    let decoded = batch.decode(1024).unwrap();
    let mut rebuilder = BatchRebuilder::new(codec, 0);
    rebuilder.begin(frame).unwrap();
    for view in decoded.views().map(Result::unwrap).filter(|view| keep(view.offset)) {
        rebuilder.push(view.offset, view.timestamp, view.key, view.value, view.headers).unwrap();
    }
    rebuilder.finish().remove(0)
}

#[test]
fn a_whole_batch_comes_back_byte_for_byte() {
    for codec in Compression::ALL {
        let batch = original(codec);
        let again = rebuilt(&batch, BatchFrame::of(&batch.header), codec, |_| true);
        assert_eq!(again, batch, "{codec}");
        assert_eq!(again.verify_crc(), Ok(()));
    }
}

#[test]
fn gaps_keep_offsets_and_sequences() {
    let batch = original(Compression::Zstd);
    let middle = batch.header.base_offset + 1;
    let again = rebuilt(&batch, BatchFrame::of(&batch.header), Compression::None, |offset| offset == middle);
    assert_eq!(again.records(0).unwrap(), [batch.records(1024).unwrap().remove(1)]);
    assert_eq!((again.header.base_offset, again.header.last_offset()), (middle - 1, middle + 1));
    assert_eq!((again.header.base_sequence, again.header.last_sequence()), (i32::MAX - 1, 0));
    assert_eq!(again.header.record_count, 1);
    let nothing = rebuilt(&batch, BatchFrame::of(&batch.header), Compression::Gzip, |_| false);
    assert_eq!((nothing.header.last_offset(), nothing.records(1024)), (middle + 1, Ok(Vec::<Record>::new())));
    assert_eq!(nothing.verify_crc(), Ok(()));
}

#[test]
fn parts_of_a_frame_fit_together() {
    let batch = original(Compression::None);
    let frame = BatchFrame::of(&batch.header);
    let middle = frame.base_offset + 1;
    let (first, second) = (frame.ending_at(middle), frame.starting_at(middle + 1));
    assert_eq!((first.base_offset, first.last_offset, first.base_sequence), (middle - 1, middle, i32::MAX - 1));
    assert_eq!((second.base_offset, second.last_offset, second.base_sequence), (middle + 1, middle + 1, 0));
    let first = rebuilt(&batch, first, Compression::None, |offset| offset <= middle);
    let second = rebuilt(&batch, second, Compression::None, |offset| offset > middle);
    assert_eq!(first.header.next_sequence(), second.header.base_sequence);
    let records = [first.records(0).unwrap(), second.records(0).unwrap()].concat();
    assert_eq!(Ok(records), batch.records(0));
}

#[test]
fn the_append_time_counts_for_all() {
    let batch = original(Compression::None).with_log_append_time(1_700_000_005_000);
    let again = rebuilt(&batch, BatchFrame::of(&batch.header), Compression::None, |_| true);
    assert_eq!(again.records(0), batch.records(0));
    assert_eq!(again.header.max_timestamp, 1_700_000_005_000);
}

#[test]
fn offsets_outside_of_the_frame_are_refused() {
    let frame = BatchFrame { base_offset: 5, last_offset: 6, ..BatchFrame::of(&original(Compression::None).header) };
    let mut rebuilder = BatchRebuilder::new(Compression::None, 0);
    let none = std::iter::empty::<HeaderView<'_>>;
    assert_eq!(rebuilder.push(5, 0, None, None, none()), Err(PushError::OffsetOutOfRange { offset: 5 }));
    rebuilder.begin(frame).unwrap();
    for offset in [4, 7, i64::MIN, i64::MAX] {
        assert_eq!(rebuilder.push(offset, 0, None, None, none()), Err(PushError::OffsetOutOfRange { offset }));
    }
    for wrong in [BatchFrame { last_offset: 4, ..frame }, BatchFrame { last_offset: i64::MAX, ..frame }] {
        assert!(rebuilder.begin(wrong).is_err());
    }
    rebuilder.push(6, i64::MIN, None, None, none()).unwrap();
    rebuilder.push(6, i64::MAX, None, None, none()).unwrap();
    let batches = rebuilder.finish();
    assert_eq!(batches.len(), 1);
    assert_eq!(
        batches[0].records(0).unwrap().iter().map(|record| record.timestamp).collect::<Vec<_>>(),
        [i64::MIN, i64::MAX]
    );
}
