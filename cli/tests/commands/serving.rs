//! A node from start to end, and what is there after another start.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::harness::{Server, alluvium};

#[test]
fn data_outlives_the_process_however_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::dev(folder.path());
    assert!(server.line.contains("alluvium serves Kafka on 127.0.0.1:"), "{}", server.line);
    assert!(server.line.contains("cluster ") && server.line.contains(" ms)"), "{}", server.line);
    server.run(&["topic", "create", "kept", "-p", "2"]).expect_done();
    server.feed(&["produce", "kept", "-K", ":"], b"a:1\nb:2\nc:3\n").expect_done();
    let before = server.run(&["consume", "kept", "-v"]).expect_done();
    assert_eq!(before.lines().count(), 3, "{before}");
    let (code, logged) = server.stop();
    assert_eq!(code, 0, "{logged}");
    assert!(logged.contains("stopped"), "{logged}");

    let server = Server::dev(folder.path());
    assert_eq!(server.run(&["consume", "kept", "-v"]).expect_done(), before);
    server.run(&["produce", "kept", "again", "-p", "0"]).expect_done();
    server.kill();

    let server = Server::dev(folder.path());
    let after = server.run(&["consume", "kept", "-v"]).expect_done();
    assert_eq!(after.lines().count(), 4, "{after}");
    assert!(after.contains("again"), "{after}");
}

#[test]
fn topics_are_made_on_first_use_unless_forbidden() {
    let server = Server::in_memory();
    server.run(&["produce", "new", "value"]).expect_done();
    assert_eq!(server.run(&["consume", "new"]).expect_done(), "value\n");

    let server =
        Server::start(alluvium(&["serve", "--store=memory://", "--listen=127.0.0.1:0", "--auto-create-topics=false"]));
    let complaint = server.run(&["produce", "new", "value"]).expect_refused(1);
    assert!(complaint.contains("alluvium topic create new"), "{complaint}");
}

#[test]
fn an_interrupt_ends_a_server_as_well() {
    let server = Server::in_memory();
    let (code, logged) = server.end_by("-INT");
    assert_eq!(code, 0, "{logged}");
    assert!(logged.contains("SIGINT"), "{logged}");
}

#[test]
fn programs_get_the_serving_line_as_json() {
    let server =
        Server::start(alluvium(&["serve", "--store", "memory://", "--listen", "127.0.0.1:0", "--log-format", "json"]));
    let line = crate::harness::json(&server.line);
    assert_eq!(line["serving"][0], server.address.as_str());
    assert_eq!(line["store"], "memory://");
    assert!(line["ready_ms"].is_u64() && line["cluster_id"].is_string(), "{line}");
}

#[test]
fn json_logs_say_which_node_of_which_cluster_they_are_from() {
    let server = Server::start(alluvium(&[
        "serve",
        "--store=memory://",
        "--listen=127.0.0.1:0",
        "--log-format=json",
        "--node-id=7",
    ]));
    let cluster_id = crate::harness::json(&server.line)["cluster_id"].clone();
    let (code, logged) = server.stop();
    assert_eq!(code, 0, "{logged}");
    let lines: Vec<_> = logged.lines().map(crate::harness::json).collect();
    assert!(lines.iter().any(|line| line["message"] == "stopped"), "{logged}");
    for line in lines {
        assert_eq!((&line["node_id"], &line["cluster_id"]), (&"7".into(), &cluster_id), "{line}");
    }
}

#[test]
fn metrics_and_health_are_served_where_the_serving_line_says() {
    let server =
        Server::start(alluvium(&["serve", "--store=memory://", "--listen=127.0.0.1:0", "--http-listen=127.0.0.1:0"]));
    let (_, rest) = server.line.split_once("metrics http://").unwrap_or_else(|| panic!("{}", server.line));
    let (address, _) = rest.split_once('/').unwrap();
    server.run(&["produce", "t", "value"]).expect_done();
    let scrape = get(address, "/metrics");
    for expected in ["alluvium_node_serving 1\n", "api=\"Produce\",outcome=\"answered\"} 1\n"] {
        assert!(scrape.contains(expected), "{scrape}");
    }
    assert!(get(address, "/readyz").starts_with("HTTP/1.1 200"));
    assert!(get(address, "/healthz").contains("\"healthy\":true"));

    let taken = alluvium(&["serve", "--store=memory://", "--listen=127.0.0.1:0", "--http-listen", address]);
    let complaint = crate::harness::end(taken).expect_refused(1);
    assert!(complaint.contains("another process has this port") && complaint.contains("--http-listen"), "{complaint}");
}

#[test]
fn the_http_api_is_served_where_the_serving_line_says_and_drains() {
    let server = Server::start(alluvium(&[
        "serve",
        "--store=memory://",
        "--listen=127.0.0.1:0",
        "--rest-listen=127.0.0.1:0",
        "--http-listen=127.0.0.1:0",
    ]));
    let (_, metrics) = server.line.split_once("metrics http://").unwrap_or_else(|| panic!("{}", server.line));
    let metrics = metrics.split('/').next().unwrap().to_owned();
    let (_, rest) = server.line.split_once("HTTP API http://").unwrap_or_else(|| panic!("{}", server.line));
    let address = rest.split([',', ')']).next().unwrap().to_owned();
    let mut stream = TcpStream::connect(&address).unwrap();
    let body = r#"{"records":[{"value":"hello"}]}"#;
    let length = body.len();
    write!(
        stream,
        "POST /topics/t HTTP/1.1\r\nHost: node\r\nConnection: close\r\nContent-Length: {length}\r\n\
         Content-Type: application/vnd.kafka.string.v2+json\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"offset\":0"), "{answer}");
    assert!(server.run(&["consume", "t", "--from", "earliest", "--count", "1"]).expect_done().contains("hello"));

    let taken = alluvium(&["serve", "--store=memory://", "--listen=127.0.0.1:0", "--rest-listen", &address]);
    let complaint = crate::harness::end(taken).expect_refused(1);
    assert!(complaint.contains("another process has this port") && complaint.contains("--rest-listen"), "{complaint}");

    // A read that waits is answered when the node ends, and does not hold it up.
    let clusters = get(&address, "/v3/clusters");
    let (_, cluster) = clusters.split_once("\"cluster_id\":\"").unwrap_or_else(|| panic!("{clusters}"));
    let cluster = cluster.split('"').next().unwrap();
    let path = format!("/v3/clusters/{cluster}/topics/t/partitions/0/records?offset=1&wait_ms=60000");
    let waits = || {
        let scrape = get(&metrics, "/metrics");
        scrape.lines().find(|line| line.starts_with("alluvium_fetch_waits_total")).map(str::to_owned)
    };
    let before = waits();
    let mut waiting = TcpStream::connect(&address).unwrap();
    write!(waiting, "GET {path} HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n").unwrap();
    while waits() == before {}
    let (code, logged) = server.stop();
    assert_eq!(code, 0, "{logged}");
    let mut answer = String::new();
    waiting.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"records\":[]"), "{answer}");
}

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn clients_are_told_the_advertised_address() {
    let server = Server::start(alluvium(&[
        "serve",
        "--store",
        "memory://",
        "--listen",
        "127.0.0.1:0",
        "--advertise",
        "127.0.0.1:1",
    ]));
    // The first connection works, the one to the advertised address does not.
    let complaint = server.run(&["produce", "t", "v", "--timeout", "500ms"]).expect_refused(1);
    assert!(complaint.contains("cannot connect to 127.0.0.1:1"), "{complaint}");
}

#[test]
fn an_advertised_address_that_leads_elsewhere_is_said() {
    let other = Server::in_memory();
    // Port 9 of this machine is nobody's.
    for (advertised, reason) in [("127.0.0.1:9", "refused"), (&*other.address, "another cluster answers there")] {
        let arguments = ["serve", "--store=memory://", "--listen=127.0.0.1:0", "--advertise", advertised];
        let mut server = Server::start(alluvium(&arguments));
        let line = server.logs("clients are told an address that does not lead here");
        assert!(line.contains("WARN") && line.contains(advertised) && line.contains(reason), "{line}");
    }
}
