//! `alluvium cluster`: what it shows, and more shards.

use alluvium_infra::Runtime;
use serde_json::Value;

use crate::harness::{Server, alluvium, json, run};

fn described(server: &Server) -> Value {
    json(&server.run(&["cluster", "--json"]).expect_done())
}

#[test]
fn nodes_and_what_they_hold_are_shown() {
    let server =
        Server::start(alluvium(&["serve", "--listen", "127.0.0.1:0", "--store", "memory://", "--set", "zone=zone-a"]));
    server.run(&["topic", "create", "a", "-p", "3"]).expect_done();
    server.run(&["topic", "create", "b"]).expect_done();
    server.run(&["group", "reset-offsets", "g", "-t", "b", "--to-latest", "--execute"]).expect_done();
    let cluster = described(&server);
    assert_eq!(cluster, json(&server.run(&["cluster", "describe", "--json"]).expect_done()));
    for (name, count) in [("topics", 2), ("partitions", 4), ("groups", 1), ("shards", 1)] {
        assert_eq!(cluster[name], count, "{cluster}");
    }
    let node = &cluster["nodes"][0];
    assert_eq!(cluster["nodes"].as_array().unwrap().len(), 1);
    assert_eq!(node["address"], server.address);
    assert_eq!(node["zone"], "zone-a");
    assert_eq!(node["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(node["shards_led"], serde_json::json!([0]));
    assert_eq!(node["partitions_led"], 4);
    assert_eq!(node["controller"], true);
    let text = server.run(&["cluster"]).expect_done();
    assert!(text.contains("1 node, 1 shard, 2 topics, 4 partitions, 1 group"), "{text}");
    assert!(text.contains("NODE  ADDRESS") && text.contains("controller"), "{text}");
    assert!(text.starts_with(&format!("cluster {}, ", cluster["cluster"].as_str().unwrap())), "{text}");
}

#[test]
fn there_can_only_be_more_shards() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::dev(folder.path());
    server.feed(&["produce", "before"], b"1\n2\n").expect_done();
    let told = server.run(&["cluster", "set-shards", "3"]).expect_done();
    assert_eq!(told, "new topics are spread over 3 shards\n");
    server.run(&["cluster", "set-shards", "3"]).expect_done();
    let refused = server.run(&["cluster", "set-shards", "2"]).expect_refused(1);
    assert!(refused.contains("alluvium.shards is 3 and can only grow: 2 is not more"), "{refused}");
    let refused = server.run(&["cluster", "set-shards", "100000"]).expect_refused(1);
    assert!(refused.contains("alluvium.shards must be a number from 3 to 256"), "{refused}");
    assert_eq!(server.run(&["cluster", "set-shards", "0"]).code, 2);

    let runtime = Runtime::system();
    let deadline = runtime.monotonic() + std::time::Duration::from_secs(30);
    while described(&server)["nodes"][0]["shards_led"] != serde_json::json!([0, 1, 2]) {
        assert!(runtime.monotonic() < deadline, "{}", described(&server));
    }
    server.run(&["topic", "create", "after", "-p", "12"]).expect_done();
    let values: String = (0..600).map(|number| format!("{number}:{number}\n")).collect();
    server.feed(&["produce", "after", "-K", ":"], values.as_bytes()).expect_done();
    assert_eq!(server.run(&["consume", "after"]).expect_done().lines().count(), 600);
    assert_eq!(server.stop().0, 0);

    let listed = json(&run(&["inspect", folder.path().join("data").to_str().unwrap(), "--json"]).expect_done());
    let entries_of = |shard: &str| {
        let objects = listed.as_array().unwrap().iter().filter_map(|object| object["object"].as_str());
        objects.filter(|name| name.contains(&format!("/{shard}/log/"))).count()
    };
    assert!(["0", "1", "2"].iter().all(|shard| entries_of(shard) > 0), "{listed}");

    let server = Server::dev(folder.path());
    assert_eq!(described(&server)["shards"], 3);
    assert_eq!(server.run(&["consume", "after"]).expect_done().lines().count(), 600);
    assert_eq!(server.run(&["consume", "before"]).expect_done(), "1\n2\n");
}

#[test]
fn a_cluster_that_is_not_there_is_an_error() {
    let complaint = run(&["cluster", "--bootstrap", "127.0.0.1:1", "--timeout", "1s"]).expect_refused(1);
    assert!(complaint.contains("cannot connect to 127.0.0.1:1"), "{complaint}");
}
