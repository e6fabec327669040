//! Retention: what is old goes, whatever the clocks say meanwhile.

use std::sync::Arc;
use std::time::Duration;

use alluvium_compactor::{AllShards, Compactor, CompactorParts, CompactorSettings};
use alluvium_infra::Runtime;

use crate::world::{World, pair};

const HOUR: Duration = Duration::from_secs(3_600);
const DAY_MS: i64 = 24 * 3_600_000;

fn start(world: &World) -> Compactor {
    let settings = CompactorSettings::default();
    Compactor::start(CompactorParts { log: world.log.clone(), duty: Arc::new(AllShards), settings })
}

#[test]
fn old_records_go_and_their_objects_after_them() {
    Runtime::simulate(21, |runtime| async move {
        let world = World::new(&runtime, &[("retention.ms", "86400000")]).await;
        world.write(&[pair("old", "1")]).await;
        let compactor = start(&world);
        runtime.sleep(20 * HOUR).await;
        assert_eq!(world.kinds(0), "t", "an idle topic becomes a file after an hour");
        world.write(&[pair("new", "2")]).await;
        runtime.sleep(3 * HOUR).await;
        assert_eq!(world.partition(0).log_start_offset(), 0);
        runtime.sleep(2 * HOUR).await;
        assert_eq!(world.partition(0).log_start_offset(), 1);
        assert_eq!(world.read(0).await.len(), 1);
        runtime.sleep(4 * HOUR).await;
        assert_eq!(world.table_paths().await.len(), 1, "the file of the old record is gone");
        assert_eq!(world.log.meta().state().garbage().count(), 0);
        world.check_reachable().await;
        runtime.sleep(24 * HOUR).await;
        assert_eq!(world.read(0).await.len(), 0);
        assert_eq!(world.partition(0).high_watermark(), 2);
        compactor.stop().await.unwrap();
    });
}

#[test]
fn a_topic_is_kept_to_its_bytes() {
    Runtime::simulate(22, |runtime| async move {
        let world = World::new(&runtime, &[("retention.bytes", "2000"), ("retention.ms", "-1")]).await;
        for _ in 0..20 {
            world.write(&[pair("key", &"value ".repeat(50))]).await;
        }
        let compactor = start(&world);
        runtime.sleep(Duration::from_secs(600)).await;
        let size = world.partition(0).size_bytes();
        assert!((2_000..3_000).contains(&size), "{size}");
        assert!(world.partition(0).log_start_offset() > 5);
        compactor.stop().await.unwrap();
    });
}

#[test]
fn a_clock_that_jumps_deletes_nothing() {
    Runtime::simulate(23, |runtime| async move {
        let world = World::new(&runtime, &[("retention.ms", "86400000")]).await;
        world.write(&[pair("key", "1")]).await;
        let compactor = start(&world);
        runtime.sleep(2 * HOUR).await;
        runtime.shift_wall_clock(30 * DAY_MS);
        runtime.sleep(Duration::from_secs(9 * 60)).await;
        assert_eq!(world.partition(0).log_start_offset(), 0, "retention waits");
        assert!(compactor.counters().clock_doubts.get() > 0);
        runtime.shift_wall_clock(-30 * DAY_MS);
        runtime.sleep(10 * HOUR).await;
        assert_eq!(world.partition(0).log_start_offset(), 0);
        assert_eq!(world.read(0).await.len(), 1);
        runtime.sleep(14 * HOUR).await;
        assert_eq!(world.partition(0).log_start_offset(), 1, "and goes on");
        compactor.stop().await.unwrap();
    });
}

#[test]
fn what_is_only_compacted_is_not_deleted() {
    Runtime::simulate(24, |runtime| async move {
        let world = World::new(&runtime, &[("cleanup.policy", "compact"), ("retention.ms", "1000")]).await;
        world.write(&[pair("key", "1")]).await;
        let compactor = start(&world);
        runtime.sleep(48 * HOUR).await;
        assert_eq!(world.read(0).await.len(), 1);
        compactor.stop().await.unwrap();
    });
}
