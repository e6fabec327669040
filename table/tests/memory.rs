//! What a writer of tables holds in memory: one row group, however many came before it.
//!
//! A counting allocator watches the whole process, so there is one test here.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use alluvium_record::{BatchBuilder, Compression, TopicId};
use alluvium_table::{FORMAT, TableFacts, TableOptions, TableWriter};
use bytes::Bytes;
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

#[test]
fn of_row_groups_that_are_complete_little_stays_in_memory() {
    const ROW_GROUPS: i64 = 60;
    const ROWS: i64 = 500;
    let facts = TableFacts {
        cluster_id: "a-cluster".into(),
        topic_id: TopicId::from_bytes([7; 16]),
        topic_name: "orders".into(),
        partition: 0,
        base_offset: 0,
        last_offset: ROW_GROUPS * ROWS,
        format: FORMAT,
    };
    // Each batch fills a row group, though by its rows it could be two thousand times as long.
    let options = TableOptions { row_group_bytes_max: 16 * 1024, key_bloom_filter: true, ..TableOptions::default() };
    let batch = |number: i64| {
        let mut builder = BatchBuilder::new(Compression::None);
        for row in 0..ROWS {
            let key = Some(Bytes::from(format!("key {}", number * ROWS + row)));
            builder.push(1_700_000_000_000, key, Some(Bytes::from_static(b"value")), Vec::new()).unwrap();
        }
        builder.build(number * ROWS)
    };
    let mut writer = TableWriter::new(facts, options).unwrap();
    let (mut row_groups, mut before) = (0, 0);
    for number in 0..ROW_GROUPS {
        writer.push(&batch(number), |_| true).unwrap();
        row_groups += writer.take_finished().iter().filter(|bytes| bytes.len() > 4).count();
        if number == 1 {
            before = ALLOCATOR.current_usage();
        }
    }
    assert!(row_groups as i64 >= ROW_GROUPS - 1, "{row_groups} row groups are complete");
    let more = ALLOCATOR.current_usage().saturating_sub(before);
    let each = more / row_groups;
    assert!(each < 16 * 1024, "{each} bytes are held of each row group that is complete");
    let finished = writer.finish().unwrap();
    assert_eq!(finished.summary.record_count as i64, ROW_GROUPS * ROWS);
}
