//! SIGKILL at any moment of a merge loses nothing, and what it leaves behind goes in the end.
//!
//! `alluvium compact --once` is killed again and again beside a program that compacts as well and is killed now and then, under
//! load, with retention by bytes. In the end everything acknowledged is read but what retention took from the front; then a copy of
//! the store is compacted by a clock that is days ahead, and there is nothing in it that nobody needs.
//!
//! Beside it: a disk that is full during a merge.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use alluvium_compactor::{AllShards, Compactor, CompactorParts, CompactorSettings};
use alluvium_infra::Runtime;
use alluvium_infra::store::{MemoryStore, Payload, Store, StoreOptions, StorePath};
use alluvium_log::paths::ShardPaths;
use alluvium_log::{Log, LogOptions, ObjectRef};
use bytes::Bytes;

use crate::clients::{self, Load, Producer};
use crate::victim::Victim;
use crate::{PRODUCERS, compare, kills, program};

/// Merges take longer than the other kills.
const KILLS_SHARE: usize = 4;
/// Longer than anything is kept that nobody refers to.
const IDLE: Duration = Duration::from_secs(25 * 3_600);
const ROUNDS: usize = 5;
const LIST_MAX: usize = 1_000;

type Objects = Vec<(StorePath, Bytes)>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn merges_on_a_folder() {
    let Some(program) = program() else { return };
    let runtime = Runtime::system();
    let folder = tempfile::tempdir().unwrap();
    let victim = Victim::on_folder(program, folder.path(), &runtime).merging();
    run(&victim, &runtime).await;
    println!("ok merges: {}", sweep_copy(&victim, &runtime).await);
}

/// Compacts a copy of what a victim has until there is nothing to do, and tells what is left.
pub(crate) async fn sweep_copy(victim: &Victim, runtime: &Runtime) -> String {
    let objects = objects_of(&victim.store_url(), runtime).await;
    let now_ms = runtime.now_ms();
    // The simulation of its days has an executor of its own.
    let swept = std::thread::scope(|scope| scope.spawn(|| sweep(objects, now_ms)).join());
    swept.expect("the rest is swept")
}

async fn run(victim: &Victim, runtime: &Runtime) {
    let mut running = victim.start();
    victim.serving(&mut running).await;
    let load = Load::retaining(victim.port, runtime);
    load.create_topic().await;
    let producers: Vec<_> =
        (0..PRODUCERS).map(|number| runtime.spawn("producer", Producer::run(load.clone(), number))).collect();
    let consumer = runtime.spawn("consumer", clients::consume(load.clone()));
    let (count, mut cut) = ((kills() / KILLS_SHARE).max(4), 0);
    for kill in 0..count {
        let mut merging = victim.compact();
        // How long a merge takes, the machine decides.
        let wait_ms_max = if kill % 2 == 0 { 60 } else { 700 };
        runtime.sleep(Duration::from_millis(runtime.random_below(wait_ms_max))).await;
        cut += usize::from(merging.is_alive());
        merging.kill();
        if runtime.random_below(4) == 0 {
            running.kill();
            running = victim.start();
            victim.serving(&mut running).await;
        }
    }
    load.finish.trigger();
    for producer in producers {
        producer.await.unwrap();
    }
    consumer.await.unwrap();
    assert!(victim.compact().succeeds(), "a merge that nobody kills goes through:\n{}", victim.last_words());
    let read = clients::read_all(&load).await;
    running.stop(runtime).await;
    let (batches, records) = compare(&load, &read);
    assert_eq!(victim.complaints(), Vec::<String>::new());
    assert!(cut > 0, "none of {count} merges was cut: all had ended before");
    println!("{count} merges, {cut} of them cut; {batches} batches with {records} records acknowledged and read");
}

async fn objects_of(url: &str, runtime: &Runtime) -> Objects {
    let store = alluvium_infra::store::open(url, &StoreOptions::default(), runtime).unwrap();
    let (mut objects, mut after) = (Vec::new(), None::<String>);
    loop {
        let page = store.list("", after.as_deref(), LIST_MAX).await.unwrap();
        after = page.objects.last().map(|object| object.path.as_str().to_owned());
        for object in page.objects {
            objects.push((object.path.clone(), store.get(&object.path).await.unwrap()));
        }
        if !page.truncated {
            return objects;
        }
    }
}

/// Compacts a copy again and again, days apart; what is left then is needed, and whole.
fn sweep(objects: Objects, now_ms: i64) -> String {
    Runtime::simulate(1, |runtime| async move {
        runtime.shift_wall_clock(now_ms - runtime.now_ms());
        let memory = Arc::new(MemoryStore::new(runtime.clone()));
        let before = objects.len();
        for (path, bytes) in objects {
            memory.put(&path, Payload::from(bytes)).await.unwrap();
        }
        for round in 0..ROUNDS {
            runtime.sleep(IDLE).await;
            let log = Log::open(memory.clone(), LogOptions::default(), runtime.clone()).await.unwrap();
            let settings = CompactorSettings::default().at_once();
            let parts = CompactorParts { log: log.clone(), duty: Arc::new(AllShards), settings };
            let compactor = Compactor::new(parts);
            let report = compactor.run_once(None, |_| {}).await;
            assert_eq!((report.failed, report.lost), (0, 0), "round {round}");
            if round + 1 == ROUNDS {
                let findings = compactor.scrub(None, |_| {}).await.findings;
                assert!(findings.is_empty(), "{findings:?}");
                left_over(&memory, &log).await;
            }
            log.close().await;
        }
        format!("of {before} objects, and what was made of them, {} are left and needed", memory.object_count())
    })
}

async fn left_over(memory: &MemoryStore, log: &Log) {
    for shard in log.shards() {
        let (paths, state) = (shard.paths(), shard.state());
        let listed = async |prefix: String| memory.list(&prefix, None, usize::MAX).await.unwrap().objects;
        for object in listed(paths.table_prefix()).await {
            let (_, id) = ShardPaths::parse_table(object.path.as_str()).unwrap();
            assert!(state.references(ObjectRef::Table(id)) > 0, "nobody needs {}", object.path);
        }
        for object in listed(paths.segment_prefix()).await {
            let id = uuid::Uuid::parse_str(object.path.as_str().rsplit('/').next().unwrap()).unwrap();
            assert!(state.references(ObjectRef::Segment(id)) > 0, "nobody needs {}", object.path);
        }
        let numbers = |objects: Vec<alluvium_infra::store::ObjectInfo>| -> Vec<u64> {
            objects.iter().filter_map(|object| ShardPaths::parse_number(object.path.as_str())).collect()
        };
        let checkpoints = numbers(listed(paths.checkpoint_prefix()).await);
        assert!(checkpoints.len() <= 4, "{checkpoints:?}");
        // Of a log with one checkpoint every entry stays, in case that one is damaged.
        let covered = checkpoints.iter().min().copied().filter(|_| checkpoints.len() > 1).unwrap_or(0);
        for number in numbers(listed(paths.entry_prefix()).await) {
            let is_needed = number > covered || state.references(ObjectRef::Entry(number)) > 0;
            assert!(is_needed, "nobody needs entry {number}: all checkpoints cover it");
        }
    }
}

/// A disk of few bytes; gone when it is dropped.
struct Disk<'a>(&'a Path);

impl<'a> Disk<'a> {
    fn mount(at: &'a Path, mebibytes: usize) -> Option<Disk<'a>> {
        let size = format!("size={mebibytes}m");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(at).output();
        mounted.is_ok_and(|output| output.status.success()).then_some(Disk(at))
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        let _unmounted = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_during_a_merge() {
    let Some(program) = program() else { return };
    let runtime = Runtime::system();
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = Disk::mount(folder.path(), 24) else {
        alluvium_tests::places::skip("a full disk (this user cannot mount a small one)");
        return;
    };
    let victim = Victim::on_folder(program, folder.path(), &runtime);
    let mut running = victim.start();
    victim.serving(&mut running).await;
    let load = Load::new(victim.port, &runtime);
    load.create_topic().await;
    let producers: Vec<_> =
        (0..PRODUCERS).map(|number| runtime.spawn("producer", Producer::run(load.clone(), number))).collect();
    // Enough for the merge to need more than what will be left.
    while load.acknowledged_bytes() < 3 << 20 {
        runtime.sleep(Duration::from_millis(20)).await;
    }
    load.finish.trigger();
    for producer in producers {
        producer.await.unwrap();
    }
    let filler = folder.path().join("filler");
    fill(&filler, disk.0);
    assert!(!victim.compact().succeeds(), "there is no room for a file");
    let words = victim.last_words();
    assert!(words.contains("compaction failed") && words.contains("full"), "{words}");
    let before = clients::read_all(&load).await;
    compare(&load, &before);
    std::fs::remove_file(&filler).unwrap();
    assert!(victim.compact().succeeds(), "there is room again:\n{}", victim.last_words());
    let after = clients::read_all(&load).await;
    assert_eq!(before.len(), after.len());
    compare(&load, &after);
    running.stop(&runtime).await;
    println!("ok full disk: {} records", after.len());
}

/// Takes all room of a disk but half a MiB, which the log needs for its entries.
fn fill(filler: &Path, disk: &Path) {
    use std::io::Write;
    let free = || {
        let output = Command::new("df").args(["--output=avail", "-k"]).arg(disk).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().last().and_then(|line| line.trim().parse::<u64>().ok()).unwrap()
    };
    let mut file = std::fs::File::create(filler).unwrap();
    while free() > 512 {
        file.write_all(&[0; 64 * 1024]).unwrap();
    }
}
