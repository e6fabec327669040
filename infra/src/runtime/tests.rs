//! What `Runtime` promises: repeatable when seeded, random otherwise.

use super::*;

#[test]
fn the_same_seed_gives_the_same_numbers_and_times() {
    let run = || {
        Runtime::simulate(7, |runtime| async move {
            runtime.sleep(Duration::from_secs(3600)).await;
            (runtime.random_u64(), runtime.random_uuid(), runtime.unique_uuid(), runtime.now_ms())
        })
    };
    let first = run();
    assert_eq!(first, run());
    assert_eq!(first.3, SEEDED_EPOCH_MS + 3_600_000);
    assert_eq!(first.1.get_version_num(), 4);
    assert_eq!(first.2.get_version_num(), 7);
    let (seconds, _) = first.2.get_timestamp().expect("version 7 holds a time").to_unix();
    assert_eq!(i64::try_from(seconds).unwrap() * 1000, first.3);
}

#[test]
fn different_seeds_differ_and_a_fork_has_numbers_of_its_own() {
    let (one, two) = (Runtime::seeded(1), Runtime::seeded(2));
    assert_ne!(one.random_u64(), two.random_u64());
    let child = one.fork();
    assert_ne!(child.random_u64(), one.random_u64());
}

#[test]
fn the_wall_clock_can_jump_alone() {
    Runtime::simulate(1, |runtime| async move {
        let (before, monotonic) = (runtime.now_ms(), runtime.monotonic());
        runtime.shift_wall_clock(-5_000);
        assert_eq!(runtime.now_ms(), before - 5_000);
        assert_eq!(runtime.monotonic(), monotonic);
    });
}

#[test]
fn system_randomness_covers_every_bit() {
    let runtime = Runtime::system();
    let (mut ones, mut zeros) = (0, 0);
    for _ in 0..200 {
        let number = runtime.random_u64();
        ones |= number;
        zeros |= !number;
    }
    assert_eq!((ones, zeros), (u64::MAX, u64::MAX));
    assert!(runtime.now_ms() > SEEDED_EPOCH_MS - 1_000_000_000_000);
    assert_ne!(runtime.unique_uuid(), runtime.unique_uuid());
}

#[test]
fn random_below_stays_below() {
    let runtime = Runtime::seeded(3);
    for bound in [1, 2, 10, 1_000_003, u64::MAX] {
        for _ in 0..100 {
            assert!(runtime.random_below(bound) < bound);
        }
    }
    assert_eq!(runtime.random_below(0), 0);
    assert!((0..1000).all(|_| (0.0..1.0).contains(&runtime.random_fraction())));
}

#[test]
fn a_frozen_runtime_stands_still_and_a_crashed_one_never_goes_on() {
    Runtime::simulate(1, |runtime| async move {
        let node = runtime.fork();
        let count = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        node.spawn("counter", {
            let (node, count) = (node.clone(), count.clone());
            async move {
                loop {
                    node.sleep(Duration::from_secs(1)).await;
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        runtime.sleep(Duration::from_millis(2500)).await;
        assert_eq!(count.load(Ordering::Relaxed), 2);
        node.freeze();
        runtime.sleep(Duration::from_secs(3600)).await;
        assert_eq!(count.load(Ordering::Relaxed), 2);
        node.thaw();
        runtime.sleep(Duration::from_millis(1500)).await;
        assert_eq!(count.load(Ordering::Relaxed), 4);
        node.crash();
        runtime.sleep(Duration::from_secs(3600)).await;
        assert_eq!(count.load(Ordering::Relaxed), 4);
        assert_eq!(std::sync::Arc::strong_count(&count), 1, "the task was dropped");
    });
}
