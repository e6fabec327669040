//! Commands against three nodes that share a bucket: any of them may be asked, and one may be killed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use alluvium_infra::Runtime;
use serde_json::{Value, json};

use crate::harness::{Server, alluvium, json};

const SHARDS: u64 = 4;
const GROUPS: [&str; 8] = ["g0", "g1", "g2", "g3", "g4", "g5", "g6", "g7"];

fn start(store: &Path, node_id: &str) -> Server {
    let store = format!("file://{}", store.display());
    let (zone, shards) = (format!("zone={node_id}"), format!("shards={SHARDS}"));
    let mut command = alluvium(&["serve", "--listen", "127.0.0.1:0", "--store", &store, "--set", &shards]);
    command.args(["--set", &format!("node_id={node_id}"), "--set", &zone, "--set", "peer_listen=127.0.0.1:0"]);
    Server::start(command)
}

/// Asks until the answer is the one waited for.
fn until(server: &Server, arguments: &[&str], good: impl Fn(&Value) -> bool) -> Value {
    let runtime = Runtime::system();
    let deadline = runtime.monotonic() + Duration::from_secs(60);
    loop {
        let ended = server.run(arguments);
        if ended.code == 0 && good(&json(&ended.out)) {
            return json(&ended.out);
        }
        assert!(runtime.monotonic() < deadline, "never as expected: {ended:?}");
    }
}

fn node_ids(cluster: &Value) -> Vec<i64> {
    cluster["nodes"].as_array().unwrap().iter().map(|node| node["node"].as_i64().unwrap()).collect()
}

/// The shards that all nodes lead, sorted.
fn shards_led(cluster: &Value) -> Vec<u64> {
    let nodes = cluster["nodes"].as_array().unwrap().iter();
    let led = nodes.flat_map(|node| node["shards_led"].as_array().cloned().unwrap_or_default());
    let mut led: Vec<u64> = led.filter_map(|shard| shard.as_u64()).collect();
    led.sort_unstable();
    led
}

fn all_groups(listed: &Value) -> Vec<&str> {
    listed.as_array().unwrap().iter().map(|group| group["group"].as_str().unwrap()).collect()
}

#[test]
fn any_node_will_do_and_one_may_die() {
    let folder = tempfile::tempdir().unwrap();
    let [one, two, three] = ["1", "2", "3"].map(|node_id| start(folder.path(), node_id));
    let whole = |cluster: &Value| node_ids(cluster) == [1, 2, 3] && shards_led(cluster) == [0, 1, 2, 3];
    for server in [&one, &two, &three] {
        let cluster = until(server, &["cluster", "--json"], whole);
        assert_eq!(cluster["nodes"][1]["address"], two.address);
        assert_eq!(cluster["nodes"][2]["zone"], "3");
        assert_eq!((&cluster["controller"], &cluster["shards"]), (&json!(1), &json!(SHARDS)));
    }

    one.run(&["topic", "create", "t", "-p", "6"]).expect_done();
    for partition in ["0", "1", "2", "3", "4", "5"] {
        two.feed(&["produce", "t", "-p", partition], b"a\nb\nc\n").expect_done();
    }
    for (index, group) in GROUPS.into_iter().enumerate() {
        let server = [&one, &two, &three][index % 3];
        server.run(&["group", "reset-offsets", group, "-t", "t", "--to-offset", "1", "--execute"]).expect_done();
    }
    for server in [&one, &two, &three] {
        let listed = until(server, &["group", "list", "--json"], |listed| all_groups(listed) == GROUPS);
        let coordinators: BTreeSet<i64> =
            listed.as_array().unwrap().iter().map(|group| group["coordinator"].as_i64().unwrap()).collect();
        assert!(coordinators.len() > 1, "{listed}");
        for group in GROUPS {
            let described = json(&server.run(&["group", "describe", group, "--json"]).expect_done());
            assert_eq!(described[0]["lag"], 12, "{described}");
        }
    }

    // The controller dies, and whoever coordinated its groups goes on with what they had committed.
    one.kill();
    for server in [&two, &three] {
        until(server, &["cluster", "--json"], |cluster| {
            node_ids(cluster) == [2, 3] && shards_led(cluster) == [0, 1, 2, 3] && cluster["controller"] == 2
        });
        until(server, &["group", "list", "--json"], |listed| all_groups(listed) == GROUPS);
    }
    for group in GROUPS {
        let described = json(&three.run(&["group", "describe", group, "--json"]).expect_done());
        assert_eq!(described[0]["lag"], 12, "{described}");
        two.run(&["group", "reset-offsets", group, "-t", "t", "--shift-by", "1", "--execute"]).expect_done();
        let read = three.run(&["consume", "t", "--group", group]).expect_done();
        assert_eq!(read, "c\n".repeat(6));
        three.run(&["group", "delete", group, "--yes"]).expect_done();
    }
    two.run(&["cluster", "set-shards", "5"]).expect_done();
    until(&three, &["cluster", "--json"], |cluster| cluster["shards"] == 5 && shards_led(cluster) == [0, 1, 2, 3, 4]);
}

#[test]
fn a_member_outlives_its_coordinator() {
    let folder = tempfile::tempdir().unwrap();
    let mut nodes: BTreeMap<i64, Server> =
        (1..=3).map(|node_id: i64| (node_id, start(folder.path(), &node_id.to_string()))).collect();
    let addresses: Vec<String> = nodes.values().map(|node| node.address.clone()).collect();
    until(&nodes[&1], &["cluster", "--json"], |cluster| node_ids(cluster) == [1, 2, 3]);
    nodes[&1].run(&["topic", "create", "t", "-p", "4"]).expect_done();

    // Enough for two rounds: it ends by itself when it has them all.
    let mut member = nodes[&1].client(&["consume", "t", "--group", "g", "--follow", "-n", "80"]);
    member.env("ALLUVIUM_BOOTSTRAP", addresses.join(","));
    let member = member.spawn().unwrap();
    let described = until(&nodes[&2], &["group", "describe", "g", "--json"], |groups| groups[0]["state"] == "Stable");
    let round = |server: &Server, from: usize| {
        let values: String = (from..from + 40).map(|number| format!("{number}:{number}\n")).collect();
        server.feed(&["produce", "t", "-K", ":"], values.as_bytes()).expect_done();
    };
    round(&nodes[&2], 0);
    let lag = |groups: &Value| groups[0]["lag"].as_i64();
    let committed = |groups: &Value| {
        let offsets = groups[0]["offsets"].as_array().unwrap().iter();
        offsets.filter_map(|at| at["committed"].as_i64()).sum::<i64>()
    };
    until(&nodes[&3], &["group", "describe", "g", "--json"], |groups| {
        committed(groups) == 40 && lag(groups) == Some(0)
    });

    let coordinator = described[0]["coordinator"].as_i64().unwrap();
    nodes.remove(&coordinator).unwrap().kill();
    let other = nodes.values().next().unwrap();
    round(other, 40);
    let ended = member.wait_with_output().unwrap();
    assert!(ended.status.success(), "{ended:?}");
    let mut printed: Vec<usize> =
        String::from_utf8(ended.stdout).unwrap().lines().map(|line| line.parse().unwrap()).collect();
    printed.sort_unstable();
    assert_eq!(printed, (0..80).collect::<Vec<_>>());
    let left = until(other, &["group", "describe", "g", "--json"], |groups| groups[0]["state"] == "Empty");
    assert_eq!((lag(&left), committed(&left)), (Some(0), 80), "{left}");
    assert_ne!(left[0]["coordinator"], coordinator);
}
