//! What every store must do, by number.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use alluvium_infra::Runtime;
use alluvium_infra::limits::UPLOAD_PART_BYTES;
use alluvium_infra::store::{
    Fault, FaultRule, Faulty, LargeUpload, Payload, Store, StoreError, StoreOperation, StorePath,
};
use bytes::Bytes;

/// A fresh corner of a store: two handles to the same place, and keys of this scenario alone.
struct Corner<'a> {
    one: &'a Arc<dyn Store>,
    other: &'a Arc<dyn Store>,
    runtime: &'a Runtime,
    number: u32,
}

impl Corner<'_> {
    fn path(&self, key: &str) -> StorePath {
        StorePath::from(format!("scenario-{:02}/{key}", self.number))
    }

    async fn put(&self, key: &str, bytes: &'static [u8]) {
        self.one.put(&self.path(key), Payload::from(bytes)).await.unwrap();
    }

    async fn get(&self, key: &str) -> Bytes {
        self.one.get(&self.path(key)).await.unwrap()
    }

    async fn keys(&self, prefix: &str, start_after: Option<&str>, limit: usize) -> (Vec<String>, bool) {
        let beginning = format!("scenario-{:02}/", self.number);
        let start_after = start_after.map(|after| format!("{beginning}{after}"));
        let page = self.one.list(&format!("{beginning}{prefix}"), start_after.as_deref(), limit).await.unwrap();
        let key = |path: &StorePath| path.as_str().strip_prefix(&beginning).unwrap().to_owned();
        (page.objects.iter().map(|object| key(&object.path)).collect(), page.truncated)
    }
}

/// Runs all scenarios and prints a line for each.
pub(crate) async fn run(name: &str, one: &Arc<dyn Store>, other: &Arc<dyn Store>, runtime: &Runtime) {
    macro_rules! scenarios {
        ($($number:literal $scenario:ident),* $(,)?) => {$(
            $scenario(&Corner { one, other, runtime, number: $number }).await;
            println!("ok {name} {:02} {}", $number, stringify!($scenario).replace('_', " "));
        )*};
    }
    scenarios! {
        1 what_is_written_in_parts_is_read_whole,
        2 put_if_absent_never_changes_an_object,
        3 one_of_many_racing_writers_wins,
        4 what_is_absent_says_so,
        5 a_range_is_exact_or_an_error,
        6 put_replaces,
        7 lists_are_in_byte_order_and_paged,
        8 what_is_deleted_can_be_written_again,
        9 large_objects_are_read_in_ranges,
        10 empty_objects_exist,
        11 the_store_tells_its_time,
        12 parallel_readers_do_not_disturb_each_other,
        13 a_second_handle_sees_the_same,
        14 long_lists_have_many_pages,
        15 ambiguous_writes_are_resolved_by_reading,
        16 a_late_write_loses_to_the_slot_that_is_taken,
        17 an_object_in_parts_appears_when_it_is_finished,
        18 an_upload_that_is_aborted_leaves_nothing,
        19 an_upload_that_fails_on_its_way_is_no_object,
    }
}

async fn what_is_written_in_parts_is_read_whole(corner: &Corner<'_>) {
    let parts =
        vec![Bytes::from_static(b"one "), Bytes::new(), Bytes::from_static(b"two "), Bytes::from_static(b"three")];
    corner.one.put_if_absent(&corner.path("a/b/c"), Payload::from(parts.clone())).await.unwrap();
    corner.one.put(&corner.path("a/b/d"), Payload::from(parts)).await.unwrap();
    assert_eq!(&corner.get("a/b/c").await[..], b"one two three");
    assert_eq!(&corner.get("a/b/d").await[..], b"one two three");
}

async fn put_if_absent_never_changes_an_object(corner: &Corner<'_>) {
    let path = corner.path("slot");
    corner.one.put_if_absent(&path, Payload::from(&b"first"[..])).await.unwrap();
    let again = corner.one.put_if_absent(&path, Payload::from(&b"second"[..])).await;
    assert_eq!(again, Err(StoreError::AlreadyExists));
    // The same bytes make no difference: an ETag is a content hash and decides nothing.
    let same = corner.one.put_if_absent(&path, Payload::from(&b"first"[..])).await;
    assert_eq!(same, Err(StoreError::AlreadyExists));
    assert_eq!(&corner.get("slot").await[..], b"first");
}

async fn one_of_many_racing_writers_wins(corner: &Corner<'_>) {
    for round in 0..10 {
        let path = corner.path(&format!("slot/{round}"));
        let writers: Vec<_> = (0..12_u8)
            .map(|writer| {
                let store = Arc::clone(if writer % 2 == 0 { corner.one } else { corner.other });
                let (path, payload) = (path.clone(), Payload::from(vec![writer; 10_000]));
                corner.runtime.spawn("writer", async move { (writer, store.put_if_absent(&path, payload).await) })
            })
            .collect();
        let mut winners = Vec::new();
        for writer in writers {
            match writer.await.unwrap() {
                (writer, Ok(())) => winners.push(writer),
                (_, Err(StoreError::AlreadyExists | StoreError::Conflict)) => {}
                (_, Err(error)) => panic!("{error}"),
            }
        }
        assert_eq!(winners.len(), 1, "winners of one slot");
        assert_eq!(corner.one.get(&path).await.unwrap(), vec![winners[0]; 10_000]);
    }
}

async fn what_is_absent_says_so(corner: &Corner<'_>) {
    let path = corner.path("no/such/object");
    assert_eq!(corner.one.get(&path).await, Err(StoreError::NotFound));
    assert_eq!(corner.one.get_range(&path, 0..10).await, Err(StoreError::NotFound));
    assert_eq!(corner.one.delete(&path).await, Ok(()));
    assert_eq!(corner.keys("no/", None, 10).await, (vec![], false));
    // A folder is no object.
    corner.put("folder/object", b"x").await;
    assert_eq!(corner.one.get(&corner.path("folder")).await, Err(StoreError::NotFound));
}

async fn a_range_is_exact_or_an_error(corner: &Corner<'_>) {
    corner.put("object", b"0123456789").await;
    let path = corner.path("object");
    for (range, expected) in [(0..10, "0123456789"), (0..1, "0"), (9..10, "9"), (3..7, "3456"), (4..4, "")] {
        let bytes = corner.one.get_range(&path, range.clone()).await.unwrap();
        assert_eq!(bytes, expected.as_bytes(), "{range:?}");
    }
    for (range, expected, actual) in [(5..11, 6, 5), (0..100, 100, 10), (10..12, 2, 0), (50..60, 10, 0)] {
        let error = corner.one.get_range(&path, range).await.unwrap_err();
        assert_eq!(error, StoreError::Truncated { path: path.clone(), expected, actual });
    }
}

async fn put_replaces(corner: &Corner<'_>) {
    corner.put("hint", b"a long first value").await;
    corner.put("hint", b"short").await;
    assert_eq!(&corner.get("hint").await[..], b"short");
    corner.one.put_if_absent(&corner.path("entry"), Payload::from(&b"1"[..])).await.unwrap();
    corner.put("entry", b"2").await;
    assert_eq!(&corner.get("entry").await[..], b"2");
}

async fn lists_are_in_byte_order_and_paged(corner: &Corner<'_>) {
    // '-' and '.' sort before '/', '0' and letters behind it.
    let keys = ["a-b", "a.b", "a/1", "a/2/x", "a/2=y", "a0", "b/1", "b/10", "b/2", "c"];
    for key in keys {
        corner.put(key, b"12345").await;
    }
    assert_eq!(corner.keys("", None, 100).await, (keys.map(str::to_owned).to_vec(), false));
    let of = |wanted: &[&str]| wanted.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>();
    assert_eq!(corner.keys("a/", None, 100).await, (of(&["a/1", "a/2/x", "a/2=y"]), false));
    assert_eq!(corner.keys("b/1", None, 100).await, (of(&["b/1", "b/10"]), false));
    assert_eq!(corner.keys("", Some("a0"), 100).await, (of(&["b/1", "b/10", "b/2", "c"]), false));
    assert_eq!(corner.keys("b/", Some("b/15"), 100).await, (of(&["b/2"]), false));
    assert_eq!(corner.keys("b/", Some("c"), 100).await, (vec![], false));
    assert_eq!(corner.keys("b/", Some("a"), 1).await, (of(&["b/1"]), true));
    assert!(!corner.keys("", None, 10).await.1);
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let (page, truncated) = corner.keys("", after.as_deref(), 3).await;
        assert!(page.len() <= 3);
        after = page.last().cloned();
        seen.extend(page);
        if !truncated {
            break;
        }
    }
    assert_eq!(seen, keys);
    let page = corner.one.list("scenario-07/c", None, 1).await.unwrap();
    assert_eq!(page.objects[0].size, 5);
    let age_ms = corner.runtime.now_ms() - page.objects[0].last_modified_ms;
    assert!(age_ms.abs() < 300_000, "written {age_ms} ms ago");
}

async fn what_is_deleted_can_be_written_again(corner: &Corner<'_>) {
    let path = corner.path("slot");
    for round in [&b"one"[..], b"two"] {
        corner.one.put_if_absent(&path, Payload::from(round)).await.unwrap();
        assert_eq!(&corner.get("slot").await[..], round);
        corner.one.delete(&path).await.unwrap();
        assert_eq!(corner.one.get(&path).await, Err(StoreError::NotFound));
        assert_eq!(corner.keys("slot", None, 10).await, (vec![], false));
    }
}

async fn large_objects_are_read_in_ranges(corner: &Corner<'_>) {
    let parts: Vec<Bytes> = (0..18_u8).map(|part| Bytes::from(vec![part; 512 * 1024])).collect();
    let path = corner.path("segment");
    corner.one.put_if_absent(&path, Payload::from(parts.clone())).await.unwrap();
    let whole = corner.one.get(&path).await.unwrap();
    assert_eq!(whole.len(), 9 * 1024 * 1024);
    for (number, part) in parts.iter().enumerate() {
        let start = number as u64 * 512 * 1024;
        assert_eq!(corner.one.get_range(&path, start..start + 512 * 1024).await.unwrap(), part);
    }
}

async fn empty_objects_exist(corner: &Corner<'_>) {
    let path = corner.path("empty");
    corner.one.put_if_absent(&path, Payload::default()).await.unwrap();
    assert!(corner.get("empty").await.is_empty());
    let again = corner.one.put_if_absent(&path, Payload::from(&b"x"[..])).await;
    assert_eq!(again, Err(StoreError::AlreadyExists));
    let error = corner.one.get_range(&path, 0..1).await.unwrap_err();
    assert_eq!(error, StoreError::Truncated { path, expected: 1, actual: 0 });
    assert_eq!(corner.keys("", None, 10).await, (vec!["empty".to_owned()], false));
}

async fn the_store_tells_its_time(corner: &Corner<'_>) {
    corner.put("object", b"x").await;
    let off_ms = corner.one.clock_ms().unwrap() - corner.runtime.now_ms();
    assert!(off_ms.abs() < 300_000, "the store's clock is {off_ms} ms off");
    assert!(!corner.one.describe().is_empty());
}

async fn parallel_readers_do_not_disturb_each_other(corner: &Corner<'_>) {
    let bytes: Vec<u8> = (0..200_000_u32).map(|number| (number % 251) as u8).collect();
    let path = corner.path("object");
    corner.one.put(&path, Payload::from(bytes.clone())).await.unwrap();
    let readers: Vec<_> = (0..48_u64)
        .map(|reader| {
            let (store, path) = (Arc::clone(corner.one), path.clone());
            let range = reader * 4_000..reader * 4_000 + 8_000;
            corner.runtime.spawn("reader", async move { (range.clone(), store.get_range(&path, range).await) })
        })
        .collect();
    for reader in readers {
        let (range, read) = reader.await.unwrap();
        assert_eq!(read.unwrap(), &bytes[range.start as usize..range.end as usize]);
    }
}

async fn a_second_handle_sees_the_same(corner: &Corner<'_>) {
    let path = corner.path("slot");
    corner.one.put_if_absent(&path, Payload::from(&b"mine"[..])).await.unwrap();
    assert_eq!(&corner.other.get(&path).await.unwrap()[..], b"mine");
    let again = corner.other.put_if_absent(&path, Payload::from(&b"theirs"[..])).await;
    assert_eq!(again, Err(StoreError::AlreadyExists));
    corner.other.delete(&path).await.unwrap();
    assert_eq!(corner.one.get(&path).await, Err(StoreError::NotFound));
}

async fn long_lists_have_many_pages(corner: &Corner<'_>) {
    const OBJECTS: usize = 1_100;
    let keys: Vec<StorePath> = (0..OBJECTS).map(|number| corner.path(&format!("log/{number:020}"))).collect();
    for chunk in keys.chunks(100) {
        let writers = chunk.iter().map(|path| {
            let (store, path) = (Arc::clone(corner.one), path.clone());
            corner.runtime.spawn("writer", async move { store.put(&path, Payload::from(&b"x"[..])).await })
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await.unwrap().unwrap();
        }
    }
    let (all, truncated) = corner.keys("log/", None, 2_000).await;
    assert_eq!((all.len(), truncated), (OBJECTS, false));
    let (most, truncated) = corner.keys("log/", None, 1_050).await;
    assert_eq!((most.len(), truncated), (1_050, true));
    let (rest, truncated) = corner.keys("log/", Some(&most[1_049]), 1_050).await;
    assert_eq!((rest.len(), truncated), (50, false));
    let seen: BTreeSet<_> = most.into_iter().chain(rest).collect();
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), all);
}

/// The loop that a committer runs: on any error the slot is read, and an absent slot is tried again with the same bytes.
async fn commit(store: &dyn Store, path: &StorePath, mine: &'static [u8]) -> bool {
    for _ in 0..10 {
        if store.put_if_absent(path, Payload::from(mine)).await.is_ok() {
            return true;
        }
        match store.get(path).await {
            Ok(holds) => return holds == mine,
            Err(StoreError::NotFound) => {}
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the slot was not resolved");
}

async fn ambiguous_writes_are_resolved_by_reading(corner: &Corner<'_>) {
    let store = Faulty::new(Arc::clone(corner.one), corner.runtime.clone());
    let faults = [
        Fault::ReplyLost,
        Fault::Conflict409,
        Fault::Precondition412,
        Fault::Throttle429,
        Fault::Unavailable503,
        Fault::Unavailable503AfterApply,
        Fault::Slow(Duration::from_millis(20)),
        Fault::SlowReply(Duration::from_millis(20)),
        Fault::Lost(Duration::from_millis(20)),
    ];
    for (number, fault) in faults.into_iter().enumerate() {
        let path = corner.path(&format!("slot/{number}"));
        store.script(FaultRule::next(StoreOperation::PutIfAbsent, fault.clone()));
        assert!(commit(&*store, &path, b"mine").await, "{fault:?}");
        assert!(!commit(&*store, &path, b"theirs").await, "{fault:?}");
        assert_eq!(&corner.one.get(&path).await.unwrap()[..], b"mine");
    }
    assert_eq!(store.injected_count(), 9);
}

async fn a_late_write_loses_to_the_slot_that_is_taken(corner: &Corner<'_>) {
    let store = Faulty::new(Arc::clone(corner.one), corner.runtime.clone());
    let path = corner.path("slot");
    let late = Fault::LatePut(Duration::from_millis(100));
    store.script(FaultRule::next(StoreOperation::PutIfAbsent, late));
    let mine = store.put_if_absent(&path, Payload::from(&b"late"[..])).await;
    assert_eq!(mine, Err(StoreError::Timeout));
    store.put_if_absent(&path, Payload::from(&b"taken"[..])).await.unwrap();
    corner.runtime.sleep(Duration::from_millis(400)).await;
    assert_eq!(&store.get(&path).await.unwrap()[..], b"taken");
}

/// Bytes that are not the same in any two parts.
fn long_bytes(length: usize) -> Bytes {
    (0..length).map(|index| (index / 1000) as u8).collect::<Vec<u8>>().into()
}

async fn an_object_in_parts_appears_when_it_is_finished(corner: &Corner<'_>) {
    let path = corner.path("parts/out-of-order");
    let whole = long_bytes(UPLOAD_PART_BYTES + 100_000);
    let (store, other) = (corner.one, corner.other);
    let upload = store.begin_upload(&path).await.unwrap();
    let second = whole.slice(UPLOAD_PART_BYTES..);
    let wrong = Payload::from(second.slice(7..));
    store.put_part(&path, &upload, 1, wrong).await.unwrap();
    let second = Payload(vec![second.slice(..1000), second.slice(1000..)]);
    let last = store.put_part(&path, &upload, 1, second).await.unwrap();
    let first = store.put_part(&path, &upload, 0, whole.slice(..UPLOAD_PART_BYTES).into()).await.unwrap();
    assert_eq!(other.get(&path).await, Err(StoreError::NotFound));
    assert_eq!(corner.keys("parts/", None, 10).await, (vec![], false));
    store.finish_upload(&path, &upload, &[first, last]).await.unwrap();
    assert!(other.get(&path).await.unwrap() == whole, "the parts in their order");
    for (key, length) in
        [("empty", 0), ("small", 1000), ("one", UPLOAD_PART_BYTES), ("many", 3 * UPLOAD_PART_BYTES + 1)]
    {
        let (path, whole) = (corner.path(&format!("large/{key}")), long_bytes(length));
        let mut upload = LargeUpload::new(Arc::clone(store), path.clone(), corner.runtime.clone());
        for piece in whole.chunks(5_000_000) {
            upload.write(whole.slice_ref(piece)).await.unwrap();
        }
        assert_eq!(upload.finish().await, Ok(length as u64));
        assert!(other.get(&path).await.unwrap() == whole, "{key}");
    }
}

async fn an_upload_that_is_aborted_leaves_nothing(corner: &Corner<'_>) {
    let path = corner.path("aborted");
    let mut upload = LargeUpload::new(Arc::clone(corner.one), path.clone(), corner.runtime.clone());
    upload.write(long_bytes(2 * UPLOAD_PART_BYTES + 1)).await.unwrap();
    upload.abort().await;
    assert_eq!(corner.one.get(&path).await, Err(StoreError::NotFound));
    let upload = corner.one.begin_upload(&path).await.unwrap();
    let part = corner.one.put_part(&path, &upload, 0, Payload::from(&b"part"[..])).await.unwrap();
    corner.one.abort_upload(&path, &upload).await.unwrap();
    corner.one.abort_upload(&path, &upload).await.unwrap();
    corner.one.finish_upload(&path, &upload, &[part]).await.unwrap_err();
    assert_eq!(corner.one.get(&path).await, Err(StoreError::NotFound));
}

async fn an_upload_that_fails_on_its_way_is_no_object(corner: &Corner<'_>) {
    let faulty = Faulty::new(Arc::clone(corner.one), corner.runtime.clone());
    let kinds = [StoreOperation::BeginUpload, StoreOperation::PutPart, StoreOperation::FinishUpload];
    for (index, kind) in kinds.into_iter().enumerate() {
        let path = corner.path(&format!("failed/{index}"));
        faulty.script(FaultRule::next(kind, Fault::Unavailable503));
        let mut upload = LargeUpload::new(faulty.clone(), path.clone(), corner.runtime.clone());
        let written = upload.write(long_bytes(2 * UPLOAD_PART_BYTES + 1)).await;
        match written {
            Ok(()) => assert!(upload.finish().await.is_err(), "{kind}"),
            Err(_) => upload.abort().await,
        }
        assert_eq!(corner.one.get(&path).await, Err(StoreError::NotFound), "{kind}");
        assert_eq!(faulty.injected_count(), index as u64 + 1);
    }
}
