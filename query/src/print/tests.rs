use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BinaryArray, Float64Array, Int64Array, ListArray, StringArray, TimestampMillisecondArray, UInt64Array,
};
use datafusion::arrow::datatypes::Int32Type;

use super::*;

fn rows() -> RecordBatch {
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("offset", Arc::new(Int64Array::from(vec![7, 1234]))),
        ("value", Arc::new(BinaryArray::from(vec![Some(b"a,\"b\"\n".as_slice()), Some(&[0xff, 0x01])]))),
        ("text", Arc::new(StringArray::from(vec![Some(""), None]))),
        ("time", Arc::new(TimestampMillisecondArray::from(vec![0, 1_500]).with_timezone("UTC"))),
        ("half", Arc::new(Float64Array::from(vec![0.5, f64::NAN]))),
        ("large", Arc::new(UInt64Array::from(vec![u64::MAX, 0]))),
        (
            "list",
            Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), None]), Some(vec![])])),
        ),
    ];
    RecordBatch::try_from_iter(columns).expect("columns fit")
}

fn written(write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> String {
    let mut out = Vec::new();
    write(&mut out).expect("memory takes it");
    String::from_utf8(out).expect("text")
}

#[test]
fn json_has_a_document_a_line() {
    let text = written(|out| write_json(&rows(), out));
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(
        lines[0],
        serde_json::json!({"offset": 7, "value": "a,\"b\"\n", "text": "", "time": "1970-01-01T00:00:00Z", "half": 0.5,
            "large": u64::MAX, "list": [1, null]})
    );
    assert_eq!(
        lines[1],
        serde_json::json!({"offset": 1234, "value": {"base64": "/wE="}, "text": null, "time": "1970-01-01T00:00:01.500Z",
            "half": "NaN", "large": 0, "list": []})
    );
    assert!(text.starts_with("{\"offset\":7,\"value\":"));
}

#[test]
fn csv_tells_null_from_empty() {
    let text = written(|out| write_csv(&rows(), out));
    assert_eq!(
        text,
        "7,\"a,\"\"b\"\"\n\",\"\",1970-01-01T00:00:00Z,0.5,18446744073709551615,\"[1,null]\"\r\n\
         1234,\\xff01,,1970-01-01T00:00:01.500Z,NaN,0,[]\r\n"
    );
}

#[test]
fn a_row_of_a_table_is_a_line() {
    let rows = rows().project(&[0, 1]).expect("columns are there");
    let text = written(|out| {
        let mut table = Columns::new(&["offset", "value"], [true, false].into_iter());
        table.add(&rows, out)?;
        table.flush(out)
    });
    assert_eq!(text, "offset  value\n     7  a,\"b\"\\n\n  1234  \\xff01\n");
}

#[test]
fn widths_are_kept_when_more_rows_come() {
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..2500));
    let rows = RecordBatch::try_from_iter([("n", numbers)]).expect("columns fit");
    let text = written(|out| {
        let mut table = Columns::new(&["n"], [true].into_iter());
        table.add(&rows, out)?;
        table.flush(out)
    });
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((lines.len(), lines[0], lines[1], lines[1000], lines[2500]), (2501, "  n", "  0", "999", "2499"));
}
