//! SIGKILL at any moment loses nothing: the real program is killed again and again under idempotent load, on a local folder and
//! on MinIO, and in the end everything acknowledged is compared with everything read.
//!
//! - Everything acknowledged is there, at the offset that was told; nothing is there twice; there is nothing else.
//! - What a consumer saw at an offset is what is there in the end.
//! - An offset that a group committed is never older afterwards.
//!
//! `ALLUVIUM_CRASH_KILLS` sets how often (100), `ALLUVIUM_BIN` which program; otherwise it is the one that cargo built into the
//! same target folder (`cargo build -p alluvium`).

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may fail by panicking and says what it ran or skipped"
)]

mod clients;
mod merges;
mod parts;
mod victim;

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use alluvium_infra::Runtime;
use alluvium_tests::places;

use clients::{Load, Mark, Producer};
use victim::Victim;

const PRODUCERS: usize = 4;

fn kills() -> usize {
    std::env::var("ALLUVIUM_CRASH_KILLS").map_or(100, |text| text.parse().expect("ALLUVIUM_CRASH_KILLS is a number"))
}

fn program() -> Option<std::path::PathBuf> {
    let program = victim::program();
    if program.is_none() {
        places::skip("crashes (there is no program: run cargo build -p alluvium, or set ALLUVIUM_BIN)");
    }
    program
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn folder() {
    let Some(program) = program() else { return };
    let runtime = Runtime::system();
    let folder = tempfile::tempdir().unwrap();
    run("folder", Victim::on_folder(program, folder.path(), &runtime), &runtime).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn minio() {
    let (Some(endpoint), Some(program)) = (places::endpoint("crashes", "minio"), program()) else { return };
    let runtime = Runtime::system();
    let folder = tempfile::tempdir().unwrap();
    let url = format!("s3://{}/crash/{}", places::bucket(), runtime.unique_uuid());
    let key = places::access_key("minio");
    let victim = Victim::on_server(program, &url, &endpoint, key, folder.path(), &runtime);
    run("minio", victim, &runtime).await;
}

async fn run(name: &str, victim: Victim, runtime: &Runtime) {
    let begun = runtime.monotonic();
    let mut running = victim.start();
    victim.serving(&mut running).await;
    let load = Load::new(victim.port, runtime);
    load.create_topic().await;
    let producers: Vec<_> =
        (0..PRODUCERS).map(|number| runtime.spawn("producer", Producer::run(load.clone(), number))).collect();
    let consumer = runtime.spawn("consumer", clients::consume(load.clone()));
    let committer = runtime.spawn("committer", clients::commit(load.clone()));
    for kill in 0..kills() {
        if runtime.random_below(8) > 0 {
            victim.serving(&mut running).await;
            runtime.sleep(Duration::from_millis(runtime.random_below(400))).await;
        } else {
            // While it starts: probing, recovering, before it listens.
            runtime.sleep(Duration::from_millis(runtime.random_below(100))).await;
        }
        running.kill();
        running = victim.start();
        if producers.iter().any(|producer| producer.is_finished()) {
            println!("a producer ended at kill {kill}; the program's last words:\n{}", victim.last_words());
            break;
        }
    }
    victim.serving(&mut running).await;
    runtime.sleep(Duration::from_millis(300)).await;
    load.finish.trigger();
    for producer in producers {
        producer.await.unwrap();
    }
    consumer.await.unwrap();
    let checks = committer.await.unwrap();
    let read = clients::read_all(&load).await;
    running.stop(runtime).await;
    let (batches, records) = compare(&load, &read);
    let complaints = victim.complaints();
    assert!(complaints.is_empty(), "{complaints:#?}");
    println!(
        "ok crashes on {name}: {} kills in {:.0?}; {batches} batches with {records} records acknowledged and read, {} \
         records seen on the way, {checks} committed offsets checked, {} reconnects",
        kills(),
        runtime.monotonic() - begun,
        load.seen.lock().len(),
        load.retries.load(Ordering::Relaxed),
    );
    assert!(batches >= kills(), "the load was too small to mean anything");
}

/// Everything acknowledged against everything read, but for what retention took from the front.
fn compare(load: &Load, read: &[(i32, i64, Mark)]) -> (usize, usize) {
    let mut log = BTreeMap::new();
    let mut next = [0; clients::PARTITIONS as usize];
    if load.retains {
        read.iter().rev().for_each(|(partition, offset, _)| next[*partition as usize] = *offset);
    }
    let starts = next;
    let is_kept = |partition: i32, offset: i64| offset >= starts[partition as usize];
    for (partition, offset, value) in read {
        assert_eq!(*offset, next[*partition as usize], "offsets of partition {partition} are dense");
        next[*partition as usize] += 1;
        log.insert((*partition, *offset), value);
    }
    let acknowledged = load.acknowledged.lock();
    let mut left = log.clone();
    for batch in acknowledged.iter() {
        for (value, offset) in batch.values.iter().zip(batch.base_offset..) {
            let place = (batch.partition, offset);
            if !is_kept(batch.partition, offset) {
                continue;
            }
            let found =
                log.get(&place).unwrap_or_else(|| panic!("{value:?} was acknowledged at {place:?} and is lost"));
            assert_eq!(*found, value, "at {place:?}");
            assert!(left.remove(&place).is_some(), "{place:?} was acknowledged twice");
        }
    }
    // In the end every batch was acknowledged, so that whatever is left was written twice.
    let left: Vec<_> = left.iter().take(10).collect();
    assert!(left.is_empty(), "written and never acknowledged, or written twice: {left:?}");
    for (partition, offset, value) in load.seen.lock().iter().filter(|seen| is_kept(seen.0, seen.1)) {
        assert_eq!(log.get(&(*partition, *offset)), Some(&value), "read at partition {partition} offset {offset}");
    }
    (acknowledged.len(), read.len())
}
