//! How fast tables are written and read on one core: `cargo run --release -p alluvium-table --example throughput [MIB]`.
//!
//! Prints a line of JSON for each kind of record. Raw bytes are those of keys, values and headers, and 12 for each record; rates
//! are by processor time, so that whatever else the machine does changes them little.

use std::hint::black_box;
use std::io::Write;

use alluvium_infra::Runtime;
use alluvium_infra::process::ProcessUsage;
use alluvium_record::{BatchBuilder, Compression, Header, RecordBatch, TopicId};
use alluvium_table::{FORMAT, TableFacts, TableOptions, TableReader, TableWriter};
use anyhow::Context;
use bytes::Bytes;

struct Kind {
    name: &'static str,
    value_bytes: usize,
    headers: usize,
    compression: Compression,
    value_columns: &'static str,
}

const KINDS: [Kind; 5] = [
    Kind { name: "100 B", value_bytes: 100, headers: 0, compression: Compression::None, value_columns: "" },
    Kind { name: "1 KiB", value_bytes: 1024, headers: 0, compression: Compression::None, value_columns: "" },
    Kind { name: "1 KiB, zstd", value_bytes: 1024, headers: 0, compression: Compression::Zstd, value_columns: "" },
    Kind { name: "1 KiB, 3 headers", value_bytes: 1024, headers: 3, compression: Compression::Lz4, value_columns: "" },
    Kind {
        name: "1 KiB, 2 columns",
        value_bytes: 1024,
        headers: 0,
        compression: Compression::None,
        value_columns: "id:int64,name:string",
    },
];

/// A JSON value that compresses to about a third, as such values do.
fn value(runtime: &Runtime, id: u64, bytes: usize) -> Bytes {
    let mut text = format!("{{\"id\":{id},\"name\":\"customer {}\",\"items\":[", runtime.random_below(100_000));
    while text.len() < bytes.saturating_sub(2) {
        text.push_str(&format!(
            "{{\"sku\":{},\"price\":{}}},",
            runtime.random_below(1 << 24),
            runtime.random_below(10_000)
        ));
    }
    text.push_str("0]}");
    Bytes::from(text)
}

fn batches(runtime: &Runtime, kind: &Kind, bytes: usize) -> Vec<RecordBatch> {
    let mut batches = Vec::new();
    let (mut offset, mut total) = (0_i64, 0);
    while total < bytes {
        let mut builder = BatchBuilder::new(kind.compression).producer(1, 0, 0);
        while builder.uncompressed_bytes() < 256 * 1024 {
            let id = runtime.random_u64() >> 20;
            let key = Some(Bytes::from(format!("key-{}", id % 1_000_000)));
            let headers =
                (0..kind.headers).map(|_| Header::new("trace-id", Some(Bytes::from(format!("{id:032x}"))))).collect();
            let timestamp = 1_700_000_000_000 + offset / 1000;
            if builder.push(timestamp, key, Some(value(runtime, id, kind.value_bytes)), headers).is_err() {
                break;
            }
        }
        total += builder.uncompressed_bytes();
        let batch = builder.build(offset);
        offset = batch.header.next_offset();
        batches.push(batch);
    }
    batches
}

fn facts(last_offset: i64) -> TableFacts {
    TableFacts {
        cluster_id: "throughput".into(),
        topic_id: TopicId::NIL,
        topic_name: "throughput".into(),
        partition: 0,
        base_offset: 0,
        last_offset,
        format: FORMAT,
    }
}

fn rate(bytes: u64, seconds: f64) -> f64 {
    bytes as f64 / 1e6 / seconds
}

/// Processor time of all threads so far.
fn seconds() -> anyhow::Result<f64> {
    ProcessUsage::read().cpu_seconds.context("the system does not tell processor time")
}

async fn measure(runtime: &Runtime, kind: &Kind, bytes: usize) -> anyhow::Result<String> {
    let batches = batches(runtime, kind, bytes);
    let last = batches.last().map_or(0, |batch| batch.header.last_offset());
    let options = TableOptions { value_columns: kind.value_columns.parse()?, ..TableOptions::default() };
    let started = seconds()?;
    let mut writer = TableWriter::new(facts(last), options)?;
    let (mut file, mut memory_bytes) = (Vec::new(), 0);
    for batch in &batches {
        writer.push(batch, |_| true)?;
        memory_bytes = memory_bytes.max(writer.memory_bytes());
        file.extend(writer.take_finished());
    }
    let finished = writer.finish()?;
    let writing = seconds()? - started;
    file.extend(finished.rest);
    let (raw, file) = (finished.summary.raw_bytes, Bytes::from(file.concat()));

    let reader = TableReader::open(std::sync::Arc::new(file), finished.summary.bytes, None).await?;
    let started = seconds()?;
    let mut decoded = Vec::new();
    for index in 0..reader.row_groups().len() {
        decoded.push(reader.read_row_group(runtime, index).await?);
    }
    let decoding = seconds()? - started;
    let started = seconds()?;
    for rows in decoded {
        black_box(rows.into_record_batches(0, Compression::None)?);
    }
    let rebuilding = seconds()? - started;
    let started = seconds()?;
    let summary = reader.verify(runtime, |_| {}).await?;
    let verifying = seconds()? - started;
    anyhow::ensure!(summary == finished.summary, "the table is not what was written");
    Ok(format!(
        "{{\"records\": \"{}\", \"raw_mb\": {:.0}, \"file_mb\": {:.0}, \"row_groups\": {}, \"footer_kb\": {:.0}, \"write_mb_s\": {:.0}, \
         \"decode_mb_s\": {:.0}, \"decode_and_rebuild_mb_s\": {:.0}, \"verify_mb_s\": {:.0}, \"writer_memory_mb\": {:.1}}}",
        kind.name,
        raw as f64 / 1e6,
        summary.bytes as f64 / 1e6,
        reader.row_groups().len(),
        summary.footer_bytes as f64 / 1e3,
        rate(raw, writing),
        rate(raw, decoding),
        rate(raw, decoding + rebuilding),
        rate(raw, verifying),
        memory_bytes as f64 / 1e6,
    ))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let mebibytes: usize = std::env::args().nth(1).map_or(Ok(128), |text| text.parse())?;
    let runtime = Runtime::system();
    for kind in &KINDS {
        let line = measure(&runtime, kind, mebibytes << 20).await?;
        writeln!(std::io::stdout(), "{line}")?;
    }
    Ok(())
}
