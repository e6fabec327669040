use alluvium_record::batch::BatchBuilder;
use alluvium_record::{Compression, Header};
use bytes::Bytes;

use super::*;

fn wanted(offset: i64, isolation: Isolation) -> Wanted {
    Wanted { offset, bytes_max: 1 << 20, records_max: usize::MAX, wait_max: Duration::ZERO, isolation }
}

fn batch(producer_id: i64, transactional: bool, offset: i64, values: &[&str]) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None).producer(producer_id, 0, 0).transactional(transactional);
    for value in values {
        let value = Some(Bytes::copy_from_slice(value.as_bytes()));
        builder.push(0, None, value, vec![Header::new("h", None)]).unwrap();
    }
    builder.build(offset).bytes
}

fn marker(producer_id: i64, offset: i64, commit: bool) -> Bytes {
    let marker = Marker { producer_id, producer_epoch: 0, commit, coordinator_epoch: 0, timestamp_ms: 0 };
    marker.batch().at_offset(offset).patched(offset, 0).concat().into()
}

fn fetched(slices: Vec<Bytes>, aborted: &[(i64, i64)]) -> FetchedData {
    let aborted = aborted.iter().map(|&(producer_id, first_offset)| AbortedTransaction { producer_id, first_offset });
    let bytes = slices.iter().map(Bytes::len).sum();
    let aborted = aborted.collect();
    FetchedData { high_watermark: 9, last_stable_offset: 9, log_start_offset: 0, aborted, slices, bytes }
}

fn values(read: &(Vec<Record>, i64)) -> Vec<&str> {
    read.0.iter().map(|record| std::str::from_utf8(record.value.as_ref().unwrap()).unwrap()).collect()
}

#[test]
fn nothing_of_an_aborted_transaction_is_shown_and_markers_are_passed_over() {
    let slices = vec![
        batch(1, true, 0, &["a"]),
        batch(2, true, 1, &["b"]),
        marker(1, 2, false),
        batch(1, true, 3, &["c"]),
        batch(-1, false, 4, &["d"]),
        marker(2, 5, true),
        marker(1, 6, true),
    ];
    let data = fetched(slices, &[(1, 0)]);
    let committed = visible(&data, &wanted(0, Isolation::ReadCommitted)).unwrap();
    assert_eq!((values(&committed), committed.1), (vec!["b", "c", "d"], 7));
    let all = visible(&data, &wanted(0, Isolation::ReadUncommitted)).unwrap();
    assert_eq!((values(&all), all.1), (vec!["a", "b", "c", "d"], 7));
}

#[test]
fn reading_begins_within_a_batch_and_stops_at_the_number_asked_for() {
    let data = fetched(vec![batch(-1, false, 0, &["a", "b", "c", "d"])], &[]);
    let middle = visible(&data, &Wanted { records_max: 2, ..wanted(1, Isolation::ReadCommitted) }).unwrap();
    assert_eq!((values(&middle), middle.1), (vec!["b", "c"], 3));
    let nothing = visible(&fetched(Vec::new(), &[]), &wanted(4, Isolation::ReadCommitted)).unwrap();
    assert_eq!((nothing.0.len(), nothing.1), (0, 4));
}

#[test]
fn a_record_takes_the_bytes_that_are_counted_also_within_the_text_of_a_function() {
    for value in ["", "a", "\"\"\"\"", "\u{1}\u{1f}\n\\", "ü{}", "{\"a\":\"b\\\\c\"}"] {
        let data = fetched(vec![batch(-1, false, 0, &[value])], &[]);
        let records = visible(&data, &wanted(0, Isolation::ReadCommitted)).unwrap().0;
        for format in [Format::Binary, Format::Json, Format::String] {
            // Not everything is JSON.
            let Ok(shown) = show(format, format, &records[0]) else { continue };
            let enclosed = serde_json::to_string(shown.get()).unwrap();
            assert_eq!(answer_bytes(Role::Node, shown.get()), shown.get().len() + 1);
            // Without the quotes around it, and with a comma.
            assert_eq!(answer_bytes(Role::Reader, shown.get()), enclosed.len() - 2 + 1, "{enclosed}");
        }
    }
}
