//! What queries read, and what they do not.

use alluvium_infra::Runtime;
use serde_json::json;

use crate::world::{Answered, World};

const MIB: u64 = 1 << 20;

/// Three files of 100 kB each in partition 0, one in partition 1. Timestamps of each file begin at a million times its number.
async fn four_files(runtime: &Runtime) -> World {
    let world = World::new(runtime, &[]).await;
    for file in 1..=3 {
        world.write_large(0, 10, 10_000, file * 1_000_000).await;
        if file == 1 {
            world.write_large(1, 10, 10_000, 9_000_000).await;
        }
        world.compact().await;
    }
    assert_eq!((world.kinds(0).as_str(), world.kinds(1).as_str()), ("ttt", "t"));
    world
}

#[test]
fn a_count_of_whole_files_reads_none() {
    Runtime::simulate(1, |runtime| async move {
        let world = four_files(&runtime).await;
        for (condition, count) in [
            ("true", 40),
            ("partition = 0", 30),
            ("offset >= 10", 20),
            ("timestamp >= to_timestamp_millis(2000000)", 30),
        ] {
            let Answered { rows, reads, .. } =
                world.ask(&format!("select count(*) as n from orders where {condition}")).await.unwrap();
            assert_eq!((rows, reads), (vec![json!({"n": count})], 0), "{condition}");
        }
        let by_partition =
            world.ask("select partition, count(*) as n from orders group by 1 order by 1").await.unwrap();
        assert_eq!(by_partition.rows, [json!({"partition": 0, "n": 30}), json!({"partition": 1, "n": 10})]);
        assert_eq!(by_partition.reads, 0);
    });
}

#[test]
fn files_out_of_bounds_are_not_opened() {
    Runtime::simulate(2, |runtime| async move {
        let world = four_files(&runtime).await;
        // A footer and a row group for each file that is of use.
        for (condition, count, reads) in [
            ("true", 40, 8),
            ("partition = 1", 10, 2),
            ("partition = 0 and offset between 12 and 15", 4, 2),
            ("partition = 0 and offset between 8 and 11", 4, 4),
            ("timestamp > to_timestamp_millis(3000004)", 15, 4),
            ("timestamp < '1970-01-01T00:16:40.003Z'", 3, 2),
            ("timestamp > now() - interval '5 minutes'", 0, 0),
            ("partition = 5", 0, 0),
        ] {
            let answered = world.ask(&format!("select value from orders where {condition}")).await.unwrap();
            assert_eq!((answered.rows.len(), answered.reads), (count, reads), "{condition}");
            assert!(answered.bytes <= reads * 64 * 1024, "{condition}: {} bytes", answered.bytes);
        }
    });
}

#[test]
fn the_last_five_minutes_are_found_by_their_time() {
    Runtime::simulate(3, |runtime| async move {
        let world = World::new(&runtime, &[]).await;
        // SQL asks the clock of the machine.
        let now_ms = Runtime::system().now_ms();
        for age_ms in [7_200_000, 3_600_000, 200_000] {
            world.write_large(0, 10, 10_000, now_ms - age_ms).await;
            world.compact().await;
        }
        world.write_large(0, 3, 10_000, now_ms - 1000).await;
        let sql = "select count(*) as n, count(value) as v from orders where timestamp > now() - interval '5 minutes'";
        let answered = world.ask(sql).await.unwrap();
        assert_eq!(answered.rows, [json!({"n": 13, "v": 13})]);
        assert_eq!(answered.reads, 3, "footer and row group of the last file, and the raw run");
    });
}

#[test]
fn columns_that_are_not_asked_for_are_not_read() {
    Runtime::simulate(4, |runtime| async move {
        let world = World::new(&runtime, &[]).await;
        world.write_large(0, 30, 100_000, 1_000_000).await;
        world.compact().await;
        let values = world.ask("select value from orders").await.unwrap();
        assert!(values.bytes > 30 * 100_000, "{values:?}");
        for sql in ["select offset, timestamp, key from orders", "select max(timestamp) from orders where offset > 3"] {
            let answered = world.ask(sql).await.unwrap();
            assert!(answered.bytes < 100_000, "{sql}: {} bytes", answered.bytes);
        }
    });
}

#[test]
fn row_groups_out_of_bounds_are_not_read() {
    Runtime::simulate(5, |runtime| async move {
        let world = World::new(&runtime, &[]).await;
        for record in 0..30 {
            world.write_large(0, 1, 1 << 20, 1_000_000 + record).await;
        }
        world.compact().await;
        assert_eq!(world.kinds(0), "t");
        let all = world.ask("select max(value) is null as n from orders").await.unwrap();
        assert!(all.bytes > 30 * MIB);
        // Row groups of 8 MiB: four in the file.
        for condition in ["offset = 12", "timestamp = to_timestamp_millis(1000012)"] {
            let one = world.ask(&format!("select offset, value from orders where {condition}")).await.unwrap();
            assert_eq!(one.rows[0]["offset"], 12);
            assert!(one.reads <= 3 && one.bytes < 10 * MIB, "{condition}: {} reads, {} bytes", one.reads, one.bytes);
        }
        let count = world.ask("select count(*) as n from orders where offset >= 5").await.unwrap();
        assert_eq!(count.rows, [json!({"n": 25})]);
        assert!(count.bytes < MIB, "offsets of one row group: {} bytes", count.bytes);
        let limited = world.ask("select value from orders limit 2").await.unwrap();
        assert_eq!(limited.rows.len(), 2);
        assert!(limited.bytes < 10 * MIB, "{} bytes", limited.bytes);
    });
}

#[test]
fn the_last_records_are_looked_for_from_the_end() {
    Runtime::simulate(7, |runtime| async move {
        let world = World::new(&runtime, &[]).await;
        for file in 1..=20 {
            world.write_large(0, 10, 10_000, file * 1_000_000).await;
            world.compact().await;
        }
        for order in ["offset desc", "timestamp desc", "offset desc nulls last", "partition, offset desc"] {
            let last = world.ask(&format!("select offset, value from orders order by {order} limit 3")).await.unwrap();
            let offsets: Vec<_> = last.rows.iter().map(|row| row["offset"].as_i64().unwrap()).collect();
            assert_eq!(offsets, [199, 198, 197], "{order}");
            assert!(last.reads <= 20, "{order}: {} reads of 40", last.reads);
        }
        let least = world.ask("select offset, value from orders order by offset limit 3").await.unwrap();
        assert_eq!(least.rows.iter().map(|row| row["offset"].as_i64().unwrap()).sum::<i64>(), 3);
        assert!(least.reads <= 30, "{} reads of 40", least.reads);
        let newest = world.ask("select max(timestamp) as t, count(*) as n from orders").await.unwrap();
        assert_eq!(newest.rows[0]["n"], 200);
    });
}

#[test]
fn a_plan_says_what_is_left_out() {
    Runtime::simulate(6, |runtime| async move {
        let world = four_files(&runtime).await;
        let plan = world.rows("explain select offset from orders where partition = 0 and offset < 5").await;
        let plan = plan.iter().map(|row| row["plan"].as_str().unwrap()).collect::<Vec<_>>().join("\n");
        assert!(
            plan.contains("TopicScan: topic=orders, partitions=1 of 2, runs=1 of 4, columns=[offset], offsets=..=4"),
            "{plan}"
        );
        assert!(!plan.contains("FilterExec"), "{plan}");
    });
}
