//! Scrub finds what was planted, and nothing else.

use alluvium_compactor::ScrubReport;
use alluvium_infra::Runtime;
use alluvium_infra::store::{Payload, Store, StorePath};
use alluvium_record::Compression;

use crate::world::{Pair, World, pair};

fn records(count: usize, value: &str) -> Vec<Pair> {
    (0..count).map(|index| pair(&format!("key {index}"), value)).collect()
}

/// Two files and a raw run in each partition.
async fn world(runtime: &Runtime) -> World {
    let world = World::new(runtime, &[]).await;
    for value in ["one", "two", "three"] {
        let both = vec![
            (0, world.batch(&records(2_000, value), Compression::Zstd)),
            (1, world.batch(&records(2_000, value), Compression::None)),
        ];
        world.append_segment(both).await;
        if value != "three" {
            world.compact().await;
        }
    }
    assert_eq!(world.kinds(0), "ttr");
    world
}

async fn scrub(world: &World) -> ScrubReport {
    world.compactor(World::settings()).scrub(Some(world.topic), |_| {}).await
}

async fn found(world: &World) -> Vec<String> {
    let report = scrub(world).await;
    assert!(report.findings.iter().all(|finding| !finding.is_unknown));
    report.findings.into_iter().map(|finding| format!("{}: {}", finding.place, finding.reason)).collect()
}

#[test]
fn what_is_whole_is_proven() {
    Runtime::simulate(51, |runtime| async move {
        let world = world(&runtime).await;
        let told = parking_lot::Mutex::new(Vec::new());
        let compactor = world.compactor(World::settings());
        let report = compactor.scrub(Some(world.topic), |progress| told.lock().push(progress)).await;
        assert_eq!(report.findings, []);
        assert_eq!((report.progress.runs, report.progress.records), (6, 8_000));
        assert_eq!(report.progress.bytes, report.progress.bytes_total);
        // It tells after each run, and of files also inside.
        let told = told.into_inner();
        assert!(told.iter().is_sorted_by_key(|progress| progress.bytes) && told.last() == Some(&report.progress));
        let inside = |runs: u64| told.windows(2).any(|pair| pair[0].runs == runs && pair[1].runs == runs);
        assert_eq!([0, 1, 2, 3, 4].map(inside), [true, true, false, true, true]);
    });
}

#[test]
fn a_flipped_bit_is_found_wherever_it_is() {
    Runtime::simulate(52, |runtime| async move {
        let world = world(&runtime).await;
        let file = world.table_paths().await.remove(0);
        let length = world.memory.get(&file).await.unwrap().len();
        for share in 0..50 {
            let at = share * (length - 1) / 49;
            world.overwrite(&file, |bytes| bytes[at] ^= 4).await;
            assert_eq!(found(&world).await.len(), 1, "byte {at} of {length}");
            world.overwrite(&file, |bytes| bytes[at] ^= 4).await;
        }
        let run = *world.partition(1).runs().last().unwrap();
        let path = run.path(world.at(1), world.log.meta().paths()).unwrap();
        world.overwrite(&path, |bytes| bytes[run.position as usize + 1_000] ^= 4).await;
        let found = found(&world).await;
        assert!(found.len() == 1 && found[0].starts_with("orders/1 from offset 4000 to 5999"), "{found:?}");
    });
}

#[test]
fn what_is_missing_cut_swapped_or_other_is_found() {
    Runtime::simulate(53, |runtime| async move {
        let world = world(&runtime).await;
        let files: Vec<StorePath> = world.table_paths().await;
        let (one, other) = (world.memory.get(&files[0]).await.unwrap(), world.memory.get(&files[1]).await.unwrap());
        world.memory.delete(&files[0]).await.unwrap();
        assert_eq!(found(&world).await.len(), 1, "a missing file");
        world.memory.put(&files[0], Payload::from(one.slice(..one.len() - 100))).await.unwrap();
        assert_eq!(found(&world).await.len(), 1, "a file that was cut");
        world.memory.put(&files[0], Payload::from(other.clone())).await.unwrap();
        world.memory.put(&files[1], Payload::from(one.clone())).await.unwrap();
        assert_eq!(found(&world).await.len(), 2, "two files that were swapped");
        world.memory.put(&files[0], Payload::from(one)).await.unwrap();
        world.memory.put(&files[1], Payload::from(other)).await.unwrap();
        assert_eq!(found(&world).await, Vec::<String>::new());
        let run = *world.partition(0).runs().last().unwrap();
        let segment = run.path(world.at(0), world.log.meta().paths()).unwrap();
        let whole = world.memory.get(&segment).await.unwrap();
        world.memory.delete(&segment).await.unwrap();
        let missing = found(&world).await;
        assert_eq!(missing.len(), 2, "{missing:?}: both partitions have a run in the segment");
        world.memory.put(&segment, Payload::from(whole.slice(..whole.len() / 2))).await.unwrap();
        assert!(!found(&world).await.is_empty(), "a segment that was cut");
        world.memory.put(&segment, Payload::from(whole)).await.unwrap();
        assert_eq!(found(&world).await, Vec::<String>::new());
        // A sound file of the same place with other records.
        let elsewhere = World::new(&runtime, &[]).await;
        elsewhere.write(&records(1_999, "one")).await;
        elsewhere.write(&records(1, "one")).await;
        elsewhere.compact().await;
        let theirs = elsewhere.memory.get(&elsewhere.table_paths().await[0]).await.unwrap();
        world.memory.put(&files[0], Payload::from(theirs)).await.unwrap();
        assert_eq!(found(&world).await.len(), 1, "another file");
    });
}

/// Where the text behind the last occurrence of a key begins in the metadata of a file: a field header and the length are between.
fn value_at(bytes: &[u8], key: &str) -> usize {
    let at = bytes.windows(key.len()).rposition(|window| window == key.as_bytes()).unwrap();
    at + key.len() + 2
}

#[test]
fn a_file_that_lies_about_nothing_but_its_number_of_records_is_found() {
    Runtime::simulate(54, |runtime| async move {
        let world = world(&runtime).await;
        let file = world.table_paths().await.remove(0);
        world
            .overwrite(&file, |bytes| {
                let end = bytes.len();
                let footer = 8 + u32::from_le_bytes(bytes[end - 8..end - 4].try_into().unwrap()) as usize;
                let footer = &mut bytes[end - footer..];
                let count = value_at(footer, "alluvium.record_count");
                assert_eq!(&footer[count..count + 4], b"2000");
                footer[count..count + 4].copy_from_slice(b"2001");
                // Whoever does that by hand makes the checksum right as well.
                let crc = value_at(footer, "alluvium.footer_crc32c");
                footer[crc..crc + 8].copy_from_slice(b"00000000");
                let right = format!("{:08x}", alluvium_record::crc32c(footer));
                footer[crc..crc + 8].copy_from_slice(right.as_bytes());
            })
            .await;
        let found = found(&world).await;
        assert!(found.len() == 1 && found[0].contains("records"), "{found:?}");
        let report = world.compactor(World::settings()).run_once(None, |_| {}).await;
        assert_eq!(world.kinds(0), "ttt", "the other runs are merged: {report:?}");
    });
}
