//! The table in tests/golden: it is read for ever, and new ones say what it says.
//!
//! `ALLUVIUM_REGENERATE_GOLDEN=1` writes files that are missing; one that exists is never changed.

use std::path::PathBuf;

use alluvium_infra::Runtime;
use parquet::file::metadata::ParquetMetaDataReader;
use parquet::schema::printer::print_schema;

use super::*;

fn golden(name: &str, current: &[u8]) -> Bytes {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/v1").join(name);
    if !path.exists() && std::env::var("ALLUVIUM_REGENERATE_GOLDEN").as_deref() == Ok("1") {
        std::fs::write(&path, current).unwrap();
    }
    Bytes::from(std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

/// Schema, and metadata in order.
fn description(file: &Bytes) -> String {
    let metadata = ParquetMetaDataReader::new().parse_and_finish(file).unwrap();
    let mut text = Vec::new();
    print_schema(&mut text, metadata.file_metadata().schema());
    let mut text = String::from_utf8(text).unwrap();
    text.push_str(&format!("created by {}\n", metadata.file_metadata().created_by().unwrap()));
    for pair in metadata.file_metadata().key_value_metadata().unwrap() {
        text.push_str(&format!("{} = {}\n", pair.key, pair.value.clone().unwrap()));
    }
    text
}

/// The description without what depends on how well the codec of the day does.
fn without_bytes(description: &str) -> Vec<&str> {
    description.lines().filter(|line| !line.contains("crc32c") && !line.contains("row_groups")).collect()
}

#[test]
fn the_golden_table_is_read_and_written_again() {
    let value_columns = "v:int64,w:string:/a/b".parse().unwrap();
    let options =
        TableOptions { row_group_rows_max: 20, key_bloom_filter: true, value_columns, ..TableOptions::default() };
    let (current, summary) = write(facts(100, 150), options, &sample_batches());
    let file = golden("table.parquet", &current);
    let pinned = golden("table.description", description(&current).as_bytes());
    let pinned = std::str::from_utf8(&pinned).unwrap();
    assert_eq!(description(&file), pinned);
    assert_eq!(without_bytes(&description(&current)), without_bytes(pinned));
    Runtime::simulate(1, |runtime| async move {
        let reader = open(&file).await;
        assert_eq!(reader.facts(), &facts(100, 150));
        let verified = reader.verify(&runtime, |_| {}).await.unwrap();
        assert_eq!(
            (verified.sum, verified.record_count, verified.min_timestamp, verified.max_timestamp, verified.raw_bytes),
            (summary.sum, 40, summary.min_timestamp, summary.max_timestamp, summary.raw_bytes)
        );
        // Sums are in logs that are kept for ever.
        assert_eq!(verified.sum.to_string(), "106e58f055a8e290f1d4b66d138a685a");
        let mut found = Vec::new();
        for index in 0..reader.row_groups().len() {
            let rows = reader.read_row_group(&runtime, index).await.unwrap();
            found.extend(rows.into_record_batches(0, Compression::None).unwrap());
        }
        let records = |batches: &[RecordBatch]| -> Vec<Record> {
            batches.iter().flat_map(|batch| batch.records(1 << 20).unwrap()).collect()
        };
        assert_eq!(records(&found), records(&sample_batches()));
        assert_eq!(found.len(), 10);
    });
}
