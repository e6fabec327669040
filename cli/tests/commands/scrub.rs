//! Proving what is in a store: what it says, and what it exits with.

use std::path::{Path, PathBuf};

use crate::harness::{Server, run};

/// Files below a folder whose path has this in it.
fn files(folder: &Path, part: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let found = entries.flat_map(|path| if path.is_dir() { files(&path, part) } else { vec![path] });
    found.filter(|path| path.to_str().unwrap().contains(part)).collect()
}

#[test]
fn what_is_whole_is_proven_and_what_is_damaged_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Server::dev(folder.path());
    for topic in ["orders", "clicks"] {
        server.run(&["topic", "create", topic, "--partitions", "1"]).expect_done();
    }
    server.feed(&["produce", "orders"], "a line of some length\n".repeat(50).as_bytes()).expect_done();
    server.run(&["produce", "clicks", "one"]).expect_done();
    server.stop();
    let store = format!("--store=file://{}", data.to_str().unwrap());
    run(&["compact", "--once", &store, "orders"]).expect_done();

    let proven = run(&["scrub", &store]).expect_done();
    assert!(proven.starts_with("2 runs with ") && proven.contains("50 records of files were counted"), "{proven}");
    let report = |ended: &str| -> serde_json::Value { serde_json::from_str(ended).unwrap() };
    let whole = report(&run(&["scrub", "--json", &store]).expect_done());
    assert_eq!(
        (&whole["runs"], &whole["records_in_files"], &whole["findings"]),
        (&2.into(), &50.into(), &serde_json::json!([]))
    );
    let refused = run(&["scrub", "nowhere", &store]).expect_refused(1);
    assert!(refused.contains("there is no topic nowhere"), "{refused}");

    let [file] = &files(&data, ".parquet")[..] else { panic!("one file") };
    let mut bytes = std::fs::read(file).unwrap();
    bytes[20] ^= 1;
    std::fs::write(file, bytes).unwrap();
    let ended = run(&["scrub", "--json", &store]);
    let damaged = report(&ended.out);
    assert!(ended.expect_refused(1).contains("1 runs are not what the log says"));
    assert_eq!((&damaged["runs"], &damaged["findings"][0]["is_unknown"]), (&1.into(), &false.into()));
    assert_eq!(damaged["findings"][0]["place"], "orders/0 from offset 0 to 49");
    let ended = run(&["scrub", "orders", &store]);
    assert!(ended.code == 1 && ended.out.contains("orders/0 from offset 0 to 49: "), "{ended:?}");
    run(&["scrub", "clicks", &store]).expect_done();
    std::fs::remove_file(file).unwrap();
    assert!(run(&["scrub", &store]).expect_refused(1).contains("1 runs are not"));
}
