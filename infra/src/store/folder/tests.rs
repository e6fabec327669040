//! What is special about a folder: what a crash leaves, foreign files, refusals.

use super::*;

fn open(root: &Path) -> FolderStore {
    FolderStore::open(root, false, &Runtime::system()).unwrap()
}

async fn keys(store: &FolderStore) -> Vec<String> {
    let page = store.list("", None, 100).await.unwrap();
    page.objects.iter().map(|object| object.path.to_string()).collect()
}

#[tokio::test]
async fn what_a_crash_leaves_is_invisible_and_removed_when_it_is_old() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    store.put(&StorePath::from("a/b"), Payload::from(&b"x"[..])).await.unwrap();
    let (fresh, old) = (root.path().join(".tmp/fresh"), root.path().join(".tmp/old"));
    for file in [&fresh, &old] {
        fs::write(file, b"half an obj").unwrap();
    }
    let long_ago = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    fs::File::options().write(true).open(&old).unwrap().set_modified(long_ago).unwrap();
    let store_after_crash = open(root.path());
    assert_eq!(keys(&store_after_crash).await, ["a/b"]);
    assert!(fresh.exists() && !old.exists());
}

#[tokio::test]
async fn files_that_are_no_objects_are_not_shown() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    fs::write(root.path().join(".DS_Store"), b"").unwrap();
    fs::write(root.path().join("not a key"), b"").unwrap();
    fs::create_dir(root.path().join("empty")).unwrap();
    store.put(&StorePath::from("key"), Payload::from(&b"x"[..])).await.unwrap();
    assert_eq!(keys(&store).await, ["key"]);
}

#[tokio::test]
async fn writes_survive_the_loss_of_their_folders() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    fs::remove_dir(root.path().join(".tmp")).unwrap();
    store.put_if_absent(&StorePath::from("a/b"), Payload::from(&b"x"[..])).await.unwrap();
    fs::remove_dir_all(root.path().join("a")).unwrap();
    store.put(&StorePath::from("a/c"), Payload::from(&b"x"[..])).await.unwrap();
    assert_eq!(keys(&store).await, ["a/c"]);
}

#[tokio::test]
async fn a_key_that_goes_on_from_another_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    store.put(&StorePath::from("a"), Payload::from(&b"x"[..])).await.unwrap();
    let error = store.put(&StorePath::from("a/b"), Payload::from(&b"x"[..])).await.unwrap_err();
    assert!(matches!(error, StoreError::Unsupported(_)), "{error:?}");
    assert_eq!(store.get(&StorePath::from("a/b")).await, Err(StoreError::NotFound));
    assert_eq!(fs::read_dir(root.path().join(".tmp")).unwrap().count(), 0);
}

#[test]
fn a_folder_that_cannot_be_used_is_named() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("file");
    fs::write(&file, b"").unwrap();
    for folder in [file.as_path(), &file.join("below"), Path::new("/proc/alluvium")] {
        let error = FolderStore::open(folder, false, &Runtime::system()).unwrap_err().to_string();
        assert!(error.starts_with(&format!("the folder {} cannot be used: ", folder.display())), "{error}");
    }
}

#[test]
fn operating_system_errors_become_what_they_mean() {
    let root = tempfile::tempdir().unwrap();
    let folder = open(root.path()).folder;
    let path = StorePath::from("a");
    let shown = root.path().display().to_string();
    let classify = |code: i32| folder.error(&io::Error::from_raw_os_error(code), &path);
    let (not_permitted, no_entry, denied, exists, no_space, read_only) = (1, 2, 13, 17, 28, 30);
    assert_eq!(classify(no_entry), StoreError::NotFound);
    assert_eq!(classify(exists), StoreError::AlreadyExists);
    assert!(matches!(classify(denied), StoreError::PermissionDenied(words) if words.contains(&shown)));
    assert!(matches!(classify(read_only), StoreError::PermissionDenied(words) if words.contains(&shown)));
    assert!(matches!(classify(not_permitted), StoreError::Unsupported(words) if words.contains("hard links")));
    let full = format!("the disk that holds {shown} is full");
    assert_eq!(classify(no_space), StoreError::Unavailable(full));
}

#[tokio::test]
#[ignore = "a measurement, to be run by hand: cargo test --release -p alluvium-infra folder::tests::speed -- --ignored --nocapture"]
async fn speed() {
    let (root, runtime) = (tempfile::tempdir().unwrap(), Runtime::system());
    let store = open(root.path());
    for (bytes, count) in [(512 << 10, 400), (8 << 20, 60)] {
        let payload = Payload::from(vec![7; bytes]);
        for parallel in [1, 4] {
            let begun = runtime.monotonic();
            let mut written = 0;
            while written < count {
                let tasks = (0..parallel).map(|task| {
                    let (store, payload) = (store.clone(), payload.clone());
                    let path = StorePath::from(format!("{bytes}-{parallel}/{}", written + task));
                    runtime.spawn("put", async move { store.put_if_absent(&path, payload).await })
                });
                for task in tasks.collect::<Vec<_>>() {
                    task.await.unwrap().unwrap();
                }
                written += parallel;
            }
            let puts = runtime.monotonic() - begun;
            let begun = runtime.monotonic();
            for number in 0..count {
                store.get(&StorePath::from(format!("{bytes}-{parallel}/{number}"))).await.unwrap();
            }
            let gets = runtime.monotonic() - begun;
            let rate = |time: Duration| (bytes * count) as f64 / time.as_secs_f64() / 1e6;
            println!(
                "{bytes} bytes, {parallel} at once: put {:.0} MB/s ({:?} each), get {:.0} MB/s",
                rate(puts),
                puts / count as u32,
                rate(gets)
            );
        }
    }
}
