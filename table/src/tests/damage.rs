//! Damage is found, wherever it is, and never becomes records.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use alluvium_infra::Runtime;
use alluvium_infra::store::{MemoryStore, Payload, Store, StoreError, StorePath};
use async_trait::async_trait;

use super::*;
use crate::{OpenTableError, RangedFile, ReadTableError, StoreFile};

fn small() -> (Bytes, TableSummary) {
    let options = TableOptions { row_group_rows_max: 20, key_bloom_filter: true, ..TableOptions::default() };
    write(facts(100, 148), options, &sample_batches())
}

async fn verified(runtime: &Runtime, file: Bytes, summary: &TableSummary) -> Result<TableSummary, String> {
    let bytes = file.len() as u64;
    let reader = TableReader::open(Arc::new(file), bytes, Some(summary.footer_bytes.min(bytes))).await;
    let reader = reader.map_err(|error| match error {
        OpenTableError::Damaged(reason) => reason,
        other => panic!("{other}"),
    })?;
    match reader.verify(runtime, |_| {}).await {
        Ok(found) => Ok(found),
        Err(ReadTableError::Damaged(reason)) => Err(reason),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn every_flipped_bit_is_found() {
    Runtime::simulate(1, |runtime| async move {
        let (file, summary) = small();
        assert_eq!(verified(&runtime, file.clone(), &summary).await, Ok(summary));
        // Bytes under one checksum are all alike; those of the footer are not.
        let footer_from = file.len() - summary.footer_bytes as usize;
        for position in (0..footer_from).step_by(7).chain(footer_from..file.len()) {
            let mut flipped = file.to_vec();
            flipped[position] ^= 1 << (position % 8);
            let found = verified(&runtime, Bytes::from(flipped), &summary).await;
            assert!(found.is_err(), "byte {position} of {}", file.len());
        }
    });
}

#[test]
fn a_file_that_was_cut_is_damaged() {
    Runtime::simulate(2, |runtime| async move {
        let (file, summary) = small();
        for length in (0..file.len()).step_by(13) {
            assert!(verified(&runtime, file.slice(..length), &summary).await.is_err(), "{length}");
        }
        // The end of another file is no footer of this one.
        let (other, _) = write(facts(100, 148), TableOptions::default(), &sample_batches()[..2]);
        let mixed = [&file[..file.len() / 2], &other[other.len() - 3000..]].concat();
        assert!(verified(&runtime, Bytes::from(mixed), &summary).await.is_err());
    });
}

/// A file whose first read of each kind arrives damaged, and counts its reads.
struct Flaky {
    file: Bytes,
    reads: AtomicUsize,
    damaged_until: usize,
}

#[async_trait]
impl RangedFile for Flaky {
    async fn read(&self, range: Range<u64>) -> Result<Bytes, StoreError> {
        let bytes = self.file.read(range).await?;
        if self.reads.fetch_add(1, Ordering::Relaxed) < self.damaged_until {
            let mut changed = bytes.to_vec();
            changed[bytes.len() / 2] ^= 4;
            return Ok(Bytes::from(changed));
        }
        Ok(bytes)
    }
}

#[test]
fn what_arrives_damaged_is_read_again() {
    Runtime::simulate(3, |runtime| async move {
        let (file, summary) = small();
        let open = |damaged_until| {
            let flaky = Arc::new(Flaky { file: file.clone(), reads: AtomicUsize::new(0), damaged_until });
            (Arc::clone(&flaky), TableReader::open(flaky, summary.bytes, Some(summary.footer_bytes)))
        };
        let (flaky, opening) = open(0);
        let reader = opening.await.unwrap();
        assert_eq!(flaky.reads.load(Ordering::Relaxed), 1, "a footer is one read");
        reader.read_row_group(&runtime, 1).await.unwrap();
        assert_eq!(flaky.reads.load(Ordering::Relaxed), 2, "a row group is one read");
        assert!(matches!(reader.read_row_group(&runtime, 2).await, Err(ReadTableError::NoSuchRowGroup(2))));

        let (flaky, opening) = open(1);
        let reader = opening.await.unwrap();
        assert_eq!(flaky.reads.load(Ordering::Relaxed), 2);
        flaky.reads.store(0, Ordering::Relaxed);
        reader.read_row_group(&runtime, 0).await.unwrap();

        let (flaky, opening) = open(2);
        assert!(matches!(opening.await, Err(OpenTableError::Damaged(_))));
        assert_eq!(flaky.reads.load(Ordering::Relaxed), 2);
    });
}

#[test]
fn a_newer_format_asks_for_an_upgrade() {
    Runtime::simulate(4, |_| async move {
        let (file, summary) = small();
        let mut newer = file.to_vec();
        let key = b"alluvium.format\x18\x01";
        let at = newer.windows(key.len()).rposition(|window| window == key).unwrap() + key.len();
        assert_eq!(newer[at], b'1');
        newer[at] = b'2';
        let end = newer.len() - summary.footer_bytes as usize;
        let footer = &mut newer[end..];
        let length = footer.len();
        crate::footer::seal(footer).map(|bytes| assert_eq!(bytes, length)).unwrap();
        let opened = TableReader::open(Arc::new(Bytes::from(newer.clone())), newer.len() as u64, None).await;
        assert_eq!(opened.unwrap_err(), OpenTableError::NewerFormat(2));
    });
}

#[tokio::test]
async fn tables_are_read_from_a_store() {
    let runtime = Runtime::system();
    let (file, summary) = small();
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(runtime.clone()));
    let path = StorePath::parse("00/0/topic/file.parquet").unwrap();
    store.put(&path, Payload::from(file)).await.unwrap();
    let at = |path: &StorePath| Arc::new(StoreFile { store: Arc::clone(&store), path: path.clone() });
    let reader = TableReader::open(at(&path), summary.bytes, Some(summary.footer_bytes)).await.unwrap();
    let mut seen = Vec::new();
    assert_eq!(reader.verify(&runtime, |bytes| seen.push(bytes)).await, Ok(summary));
    let ends: Vec<u64> = reader.row_groups().iter().map(|group| group.position + group.bytes).collect();
    assert_eq!(seen, [ends, vec![summary.bytes]].concat());
    // A file that is gone is told apart from one that is damaged, before it was opened and after.
    store.delete(&path).await.unwrap();
    let opened = TableReader::open(at(&path), summary.bytes, Some(summary.footer_bytes)).await;
    assert_eq!(opened.unwrap_err(), OpenTableError::Store(StoreError::NotFound));
    let read = reader.read_row_group(&runtime, 0).await;
    assert_eq!(read.unwrap_err(), ReadTableError::Store(StoreError::NotFound));
}
