//! Columns of row groups, read without the rest.

use std::ops::Range;
use std::sync::Arc;

use alluvium_infra::Runtime;
use alluvium_infra::store::StoreError;
use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use async_trait::async_trait;

use super::*;
use crate::{RangedFile, ReadTableError, schema};

/// A file that takes note of what is read of it.
struct Noted {
    file: Bytes,
    ranges: std::sync::Mutex<Vec<Range<u64>>>,
}

#[async_trait]
impl RangedFile for Noted {
    async fn read(&self, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.ranges.lock().unwrap().push(range.clone());
        self.file.read(range).await
    }
}

/// Sixteen records with values that take nearly all of the file.
fn large() -> (Bytes, TableSummary) {
    let mut state = 1_u64;
    let mut noise = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    let batches: Vec<RecordBatch> = (0..4)
        .map(|number| {
            let record = |index: i64| Record {
                offset: 0,
                timestamp: 1_000 + index,
                key: bytes("key"),
                value: Some((0..60_000).map(|_| noise()).collect()),
                headers: Vec::new(),
            };
            let records: Vec<Record> = (0..4).map(record).collect();
            batch(100 + number * 4, Compression::None, &records)
        })
        .collect();
    write(facts(100, 115), TableOptions { row_group_rows_max: 8, ..TableOptions::default() }, &batches)
}

#[test]
fn columns_are_those_of_the_records() {
    Runtime::simulate(1, |runtime| async move {
        let options = TableOptions { row_group_rows_max: 15, ..TableOptions::default() };
        let (file, _) = write(facts(100, 148), options, &sample_batches());
        let reader = open(&file).await;
        for index in 0..reader.row_groups().len() {
            let rows = reader.read_row_group(&runtime, index).await.unwrap();
            let names = [schema::VALUE, schema::OFFSET, schema::HEADERS, "nothing"];
            let found = reader.read_columns(&runtime, index, &names).await.unwrap().columns;
            let kept: Vec<String> = found.schema().fields().iter().map(|field| field.name().clone()).collect();
            assert_eq!(kept, [schema::OFFSET, schema::VALUE, schema::HEADERS]);
            let offsets = found.column(0).as_primitive::<Int64Type>();
            let values = found.column(1).as_binary::<i32>();
            let headers = found.column(2).as_list::<i32>();
            assert_eq!(found.num_rows(), rows.len());
            for (position, row) in rows.rows().enumerate() {
                assert_eq!(offsets.value(position), row.offset);
                let value = values.is_valid(position).then(|| values.value(position));
                assert_eq!(value, row.value);
                assert_eq!(headers.value(position).len(), row.headers.count());
            }
        }
        let beyond = reader.read_columns(&runtime, 9, &[schema::OFFSET]).await;
        assert_eq!(beyond.unwrap_err(), ReadTableError::NoSuchRowGroup(9));
    });
}

#[test]
fn what_is_not_asked_for_is_not_read() {
    Runtime::simulate(2, |runtime| async move {
        let (file, summary) = large();
        let noted = Arc::new(Noted { file, ranges: std::sync::Mutex::default() });
        let reader = TableReader::open(noted.clone(), summary.bytes, Some(summary.footer_bytes)).await.unwrap();
        let read = |names: Vec<&'static str>| {
            let (reader, noted, runtime) = (reader.clone(), noted.clone(), runtime.clone());
            async move {
                noted.ranges.lock().unwrap().clear();
                let found = reader.read_columns(&runtime, 1, &names).await.unwrap();
                let ranges = noted.ranges.lock().unwrap().clone();
                assert_eq!(found.bytes, ranges.iter().map(|range| range.end - range.start).sum::<u64>());
                ranges
            }
        };
        let group = reader.row_groups()[1];
        let narrow = read(vec![schema::OFFSET, schema::KEY]).await;
        assert_eq!(narrow.len(), 1, "side by side");
        assert!(narrow[0].start >= group.position && narrow[0].end - narrow[0].start < 2_000, "{narrow:?}");
        let apart = read(vec![schema::OFFSET, schema::HEADERS]).await;
        assert_eq!(apart.len(), 2, "the values lie between them: {apart:?}");
        let nearly_all = group.position..group.end();
        assert_eq!(read(vec![schema::VALUE]).await, std::slice::from_ref(&nearly_all));
        assert_eq!(read(vec![]).await, []);
    });
}

#[test]
fn damage_is_found_as_far_as_the_columns_show_it() {
    Runtime::simulate(3, |runtime| async move {
        let (file, summary) = large();
        let reader = open(&file).await;
        let group = reader.row_groups()[0];
        let mut wrong = 0;
        for position in group.position..group.position + 300 {
            let mut flipped = file.to_vec();
            flipped[position as usize] ^= 4;
            let flipped = Bytes::from(flipped);
            let reader = TableReader::open(Arc::new(flipped), summary.bytes, None).await.unwrap();
            let whole = reader.read_columns(&runtime, 0, &[schema::OFFSET, schema::VALUE]).await;
            assert!(matches!(whole, Err(ReadTableError::Damaged(_))), "byte {position}: it is read whole");
            // Of a part no record may have an offset or a time that the footer does not allow.
            match reader.read_columns(&runtime, 0, &[schema::OFFSET, schema::TIMESTAMP]).await {
                Ok(found) => assert_eq!(found.columns.num_rows() as u64, group.row_count),
                Err(ReadTableError::Damaged(_)) => wrong += 1,
                Err(other) => panic!("{other}"),
            }
        }
        assert!(wrong > 10, "{wrong}");
    });
}
