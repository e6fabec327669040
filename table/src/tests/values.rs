//! Columns out of values that are JSON, as Parquet has them.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMillisecondType};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::*;
use alluvium_infra::Runtime;

#[test]
fn members_become_columns_where_they_fit() {
    let values = [
        r#"{"n": 9223372036854775807, "f": 0.1, "s": "a\u00e9", "b": true, "t": 1700000000000, "o": {"x": [1, "y"]}}"#,
        r#"{"n": 1.5, "f": 3, "s": 5, "b": 0, "t": "2026-01-01", "o": null}"#,
        r#"{"n": 9223372036854775808, "f": -1e300, "s": "", "b": false, "t": -1, "o": "text", "deep": {"er": 7}}"#,
        r#"{"n": 1, "n": 2"#,
        "[]",
        "",
    ];
    let mut records: Vec<Record> =
        values.iter().map(|value| Record { value: bytes(value), ..Record::default() }).collect();
    records.push(Record::default());
    records.push(Record { value: bytes(&"[".repeat(100_000)), ..Record::default() });
    let value_columns =
        "n:int64,f:float64,s:string,b:bool,t:timestamp_ms,o:json,x:json:/o/x/1,e:int64:/deep/er".parse().unwrap();
    let options = TableOptions { value_columns, ..TableOptions::default() };
    let (file, summary) = write(facts(0, 7), options.clone(), &[batch(0, Compression::Gzip, &records)]);

    let mut arrow = ParquetRecordBatchReaderBuilder::try_new(file.clone()).unwrap().build().unwrap();
    let rows = arrow.next().unwrap().unwrap();
    assert_eq!(rows.schema().fields(), crate::schema::arrow_schema(&options.value_columns).fields());
    let present = |name: &str, expected: [bool; 3]| {
        let column = rows.column_by_name(name).unwrap();
        let found: Vec<bool> = (0..8).map(|row| column.is_valid(row)).collect();
        assert_eq!(found, [&expected[..], &[false; 5]].concat(), "{name}");
        column
    };
    assert_eq!(present("value_n", [true, false, false]).as_primitive::<Int64Type>().value(0), i64::MAX);
    let floats = present("value_f", [true, true, true]).as_primitive::<Float64Type>();
    assert_eq!([floats.value(0), floats.value(1), floats.value(2)], [0.1, 3.0, -1e300]);
    let strings = present("value_s", [true, false, true]).as_string::<i32>();
    assert_eq!([strings.value(0), strings.value(2)], ["a\u{e9}", ""]);
    assert!(present("value_b", [true, false, true]).as_boolean().value(0));
    let times = present("value_t", [true, false, true]).as_primitive::<TimestampMillisecondType>();
    assert_eq!([times.value(0), times.value(2)], [1_700_000_000_000, -1]);
    let members = present("value_o", [true, true, true]).as_string::<i32>();
    assert_eq!([members.value(0), members.value(1), members.value(2)], [r#"{"x":[1,"y"]}"#, "null", r#""text""#]);
    assert_eq!(present("value_x", [true, false, false]).as_string::<i32>().value(0), r#""y""#);
    assert_eq!(present("value_e", [false, false, true]).as_primitive::<Int64Type>().value(2), 7);

    Runtime::simulate(1, |runtime| async move {
        let reader = open(&file).await;
        assert_eq!(reader.value_columns(), &options.value_columns);
        assert_eq!(reader.verify(&runtime, |_| {}).await, Ok(summary));
        let rows = reader.read_row_group(&runtime, 0).await.unwrap();
        let found = rows.into_record_batches(0, Compression::None).unwrap();
        assert_eq!(found[0].records(0), batch(0, Compression::None, &records).records(0));
    });
}
