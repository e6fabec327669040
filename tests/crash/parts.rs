//! SIGKILL in the middle of an upload in several parts loses nothing, and there is no object before all of it is there.
//!
//! `alluvium compact --once` merges a partition that is several parts long beside a program under load. Both are killed when what is
//! not finished has so many bytes in the store's folder: at the first part, and at later ones.

use std::path::PathBuf;
use std::time::Duration;

use alluvium_infra::Runtime;
use alluvium_infra::limits::UPLOAD_PART_BYTES;

use crate::clients::{self, Load, Producer};
use crate::merges::sweep_copy;
use crate::victim::{Running, Victim};
use crate::{compare, program};

/// What one partition has at least before it is merged: a file of three parts and a half.
const MERGED_BYTES: usize = 3 * UPLOAD_PART_BYTES + UPLOAD_PART_BYTES / 2;
/// Bytes of an unfinished file at which those who write it are killed: more than what the load beside it ever puts.
const CUT_AT_BYTES: [usize; 5] =
    [2 << 20, UPLOAD_PART_BYTES + 1, 2 << 20, 2 * UPLOAD_PART_BYTES + 1, UPLOAD_PART_BYTES + 1];
/// How often the folder is looked at while a merge works.
const LOOK_INTERVAL: Duration = Duration::from_millis(1);
/// A merge takes less.
const MERGE_MAX: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads_in_parts_on_a_folder() {
    let Some(program) = program() else { return };
    let runtime = Runtime::system();
    let folder = tempfile::tempdir().unwrap();
    let victim = Victim::on_folder(program, folder.path(), &runtime);
    let begun = runtime.monotonic();
    let told = run(&victim, &runtime).await;
    let left = sweep_copy(&victim, &runtime).await;
    println!("ok crashes of uploads in parts: {told}; {left}; {:.0?}", runtime.monotonic() - begun);
}

async fn run(victim: &Victim, runtime: &Runtime) -> String {
    let mut running = victim.start();
    victim.serving(&mut running).await;
    let load = Load::new(victim.port, runtime);
    load.create_topic().await;
    let producer = runtime.spawn("producer", Producer::run(load.clone(), 1));
    let consumer = runtime.spawn("consumer", clients::consume(load.clone()));
    let (mut cut, mut needs_more) = (0, true);
    for bytes in CUT_AT_BYTES {
        if needs_more {
            write_long_values(&load, runtime).await;
        }
        let mut merging = victim.compact();
        let upload = upload_of(&mut merging, victim, bytes, runtime).await;
        merging.kill();
        running.kill();
        let is_cut = upload.is_some_and(|upload| upload.exists());
        cut += usize::from(is_cut);
        // What has become a file is not uploaded again.
        needs_more = !is_cut;
        running = victim.start();
        victim.serving(&mut running).await;
    }
    load.finish.trigger();
    producer.await.unwrap();
    consumer.await.unwrap();
    assert!(victim.compact().succeeds(), "a merge that nobody kills goes through:\n{}", victim.last_words());
    let read = clients::read_all(&load).await;
    running.stop(runtime).await;
    let (batches, records) = compare(&load, &read);
    assert_eq!(victim.complaints(), Vec::<String>::new());
    let merges = CUT_AT_BYTES.len();
    assert!(cut > 0, "none of {merges} uploads was cut");
    format!("{cut} of {merges} uploads cut; {batches} batches with {records} records acknowledged and read")
}

/// Writes what makes a file of several parts.
async fn write_long_values(load: &Load, runtime: &Runtime) {
    let load = load.of_long_values();
    let until = load.acknowledged_bytes() + MERGED_BYTES;
    let producer = runtime.spawn("producer", Producer::run(load.clone(), 0));
    while load.acknowledged_bytes() < until {
        runtime.sleep(Duration::from_millis(5)).await;
    }
    load.finish.trigger();
    producer.await.unwrap();
}

/// Waits until there is an unfinished file of so many bytes that had fewer before. `None` when the merge ends without one.
async fn upload_of(merging: &mut Running, victim: &Victim, bytes: usize, runtime: &Runtime) -> Option<PathBuf> {
    let left: Vec<PathBuf> = unfinished(victim).into_iter().map(|(path, _)| path).collect();
    let looking = async {
        while merging.is_alive() {
            let found = unfinished(victim).into_iter().find(|(path, length)| *length >= bytes && !left.contains(path));
            if let Some((path, _)) = found {
                return Some(path);
            }
            runtime.sleep(LOOK_INTERVAL).await;
        }
        None
    };
    runtime.timeout(MERGE_MAX, looking).await.expect("a merge comes to its end")
}

/// What is not finished in the folder, with its length.
fn unfinished(victim: &Victim) -> Vec<(PathBuf, usize)> {
    let entries = std::fs::read_dir(victim.data().join(".tmp")).into_iter().flatten().flatten();
    // What is finished meanwhile has another name.
    entries.filter_map(|entry| Some((entry.path(), entry.metadata().ok()?.len() as usize))).collect()
}
