//! Writes tables and what a consumer reads of the same batches, for other people's readers: see tests/table.
//!
//! `cargo run -p alluvium-table --example sample FOLDER` makes `usual.parquet` and `extreme.parquet`, each with a line of JSON
//! for each record beside it. The lines are made from the record batches alone.

use std::fs;
use std::path::PathBuf;

use alluvium_record::{BatchBuilder, Compression, Header, RecordBatch, TopicId};
use alluvium_table::{FORMAT, TableFacts, TableOptions, TableWriter};
use anyhow::Context;
use bytes::Bytes;
use serde_json::{Value, json};

const DECOMPRESSED_BYTES_MAX: usize = 1 << 20;
/// Numbers of floating point are exact below this.
const FLOAT_EXACT_MAX: i64 = 1 << 53;

fn text(text: impl Into<String>) -> Option<Bytes> {
    Some(Bytes::from(text.into()))
}

fn headers(number: i64) -> Vec<Header> {
    let header = |name: &'static [u8], value| Header { name: Bytes::from_static(name), value };
    match number % 5 {
        0 => vec![],
        1 => vec![header(b"trace", text("one")), header(b"trace", text("two")), header(b"trace", text("one"))],
        2 => vec![header(b"null", None), header(b"empty", text("")), header(b"", text("\u{0}"))],
        3 => vec![
            header("na\u{ef}ve".as_bytes(), text("\u{1f600}")),
            header(b"odd\xff\xc3", text("x")),
            header(b"plain", None),
        ],
        _ => (0..20).map(|index| header(b"many", text(index.to_string()))).collect(),
    }
}

fn value(number: i64) -> Option<Bytes> {
    match number % 6 {
        0 => None,
        1 => text(""),
        2 => Some(Bytes::from((0..=255).collect::<Vec<u8>>())),
        3 => text(json!({"id": i64::MAX - number, "name": "caf\u{e9}", "ok": true, "price": 0.1, "at": 1_700_000_000_000_i64}).to_string()),
        4 => text(json!({"id": "text", "name": 5, "ok": null, "nested": {"list": [number]}}).to_string()),
        _ => text(format!("value {number} ").repeat(20)),
    }
}

fn key(number: i64) -> Option<Bytes> {
    match number % 4 {
        0 => None,
        1 => text(""),
        _ => text(format!("key-{}", number % 50)),
    }
}

/// Batches of all codecs, of several producers, with gaps; their timestamps come from `timestamp`.
fn batches(starts: &[i64], timestamp: impl Fn(i64) -> i64) -> anyhow::Result<Vec<RecordBatch>> {
    let mut batches = Vec::new();
    let mut number = 0;
    for start in starts {
        let mut next = *start;
        for index in 0..25_usize {
            let mut builder = BatchBuilder::new(Compression::ALL[index % 5]);
            if index % 3 > 0 {
                let sequence = if index % 2 == 0 { i32::MAX - 1 } else { 7 };
                builder =
                    builder.producer(i64::MAX - index as i64, index as i16, sequence).transactional(index % 3 == 2);
            }
            for _ in 0..8 {
                builder.push(timestamp(number), key(number), value(number), headers(number))?;
                number += 1;
            }
            let batch = builder.build(next);
            next = batch.header.next_offset() + i64::from(index % 4 == 0) * 3;
            let appended = index % 7 == 6;
            batches.push(if appended { batch.with_log_append_time(1_700_000_000_000 + number) } else { batch });
        }
    }
    Ok(batches)
}

fn hex(bytes: &Bytes) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn line(batch: &RecordBatch, record: &alluvium_record::Record) -> Value {
    let header = &batch.header;
    let headers: Vec<Value> =
        record.headers.iter().map(|header| json!([hex(&header.name), header.value.as_ref().map(hex)])).collect();
    json!({
        "offset": record.offset,
        "timestamp": record.timestamp,
        "timestamp_type": header.attributes.0 >> 3 & 1,
        "key": record.key.as_ref().map(hex),
        "value": record.value.as_ref().map(hex),
        "headers": headers,
        "batch_base_offset": header.base_offset,
        "batch_last_offset": header.last_offset(),
        "batch_attributes": header.attributes.0,
        "producer_id": header.producer_id,
        "producer_epoch": header.producer_epoch,
        "base_sequence": header.base_sequence,
    })
}

/// A table of all records but each eleventh.
fn write(folder: &std::path::Path, name: &str, batches: &[RecordBatch]) -> anyhow::Result<()> {
    let (first, last) = batches.first().zip(batches.last()).context("no batches")?;
    let facts = TableFacts {
        cluster_id: "sample".into(),
        topic_id: TopicId::from_bytes([7; 16]),
        topic_name: "orders".into(),
        partition: 3,
        base_offset: first.header.base_offset,
        last_offset: last.header.last_offset(),
        format: FORMAT,
    };
    let value_columns =
        "id:int64,name:string,ok:bool,price:float64,at:timestamp_ms,nested:json,first:int64:/nested/list/0".parse()?;
    let options =
        TableOptions { row_group_rows_max: 100, key_bloom_filter: true, value_columns, ..TableOptions::default() };
    let mut writer = TableWriter::new(facts, options)?;
    let (mut file, mut lines) = (Vec::new(), String::new());
    for batch in batches {
        writer.push(batch, |row| row.offset % 11 != 5)?;
        file.extend(writer.take_finished());
        for record in batch.records(DECOMPRESSED_BYTES_MAX)?.iter().filter(|record| record.offset % 11 != 5) {
            lines.push_str(&line(batch, record).to_string());
            lines.push('\n');
        }
    }
    file.extend(writer.finish()?.rest);
    fs::write(folder.join(format!("{name}.parquet")), file.concat())?;
    fs::write(folder.join(format!("{name}.jsonl")), lines)?;
    Ok(())
}

fn main() -> anyhow::Result<()> {
    let folder = PathBuf::from(std::env::args().nth(1).context("usage: sample FOLDER")?);
    let starts = [0, FLOAT_EXACT_MAX - 100, i64::MAX - 1000];
    let usual = batches(&starts, |number| if number % 9 == 0 { -1 } else { 1_700_000_000_000 + number * 7919 % 1000 })?;
    write(&folder, "usual", &usual)?;
    let extreme = batches(&starts[..1], |number| [i64::MIN, i64::MAX, 0, -1, 1 << 53][number as usize % 5])?;
    write(&folder, "extreme", &extreme)
}
