//! What is in a store.

use crate::harness::{Server, json, run};

#[test]
fn objects_are_listed_and_explained() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::dev(folder.path());
    server.run(&["produce", "seen", "-k", "key", "value"]).expect_done();
    assert_eq!(server.stop().0, 0);
    let data = folder.path().join("data");
    let data = data.to_str().unwrap();
    let url = format!("file://{data}");

    let listed = json(&run(&["inspect", &url, "--json"]).expect_done());
    let names: Vec<&str> = listed.as_array().unwrap().iter().map(|object| object["object"].as_str().unwrap()).collect();
    assert!(names.contains(&"cluster.json"), "{names:?}");
    let text = run(&["inspect", data]).expect_done();
    for name in &names {
        let explained = run(&["inspect", &url, name]);
        if name.starts_with("producer-id/") {
            continue;
        }
        assert!(!explained.expect_done().is_empty());
        assert!(text.contains(name), "{text}");
    }
    let entries: String = names
        .iter()
        .filter(|name| name.contains("/log/"))
        .map(|name| run(&["inspect", data, name]).expect_done())
        .collect();
    assert!(entries.contains("\"seen\"") && entries.contains("1 records"), "{entries}");
    assert!(run(&["inspect", data, "00/0/log/"]).expect_done().contains("OBJECT"));
    let file = format!("{data}/{}", names.iter().find(|name| name.contains("/log/")).unwrap());
    assert!(run(&["inspect", &file]).expect_done().starts_with("entry 1 of shard 0"));
}

#[test]
fn what_is_not_there_or_not_ours_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let complaint = run(&["inspect", path, "nothing"]).expect_refused(1);
    assert!(complaint.contains("no object nothing"), "{complaint}");
    let complaint = run(&["inspect", &format!("{path}/missing")]).expect_refused(1);
    assert!(complaint.contains("neither a store nor a folder nor a file"), "{complaint}");
    std::fs::write(folder.path().join("noise"), b"no object of alluvium at all").unwrap();
    let complaint = run(&["inspect", &format!("{path}/noise")]).expect_refused(1);
    assert!(complaint.contains("not an object of alluvium"), "{complaint}");
}
