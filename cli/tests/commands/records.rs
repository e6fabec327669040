//! Records in and out, in every form.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use crate::harness::{Server, json_lines};

#[test]
fn keys_headers_and_times_come_back() {
    let server = Server::in_memory();
    server.feed(&["produce", "t", "-K", "=", "-H", "from=test"], b"a=1\nb=2\nplain\n").expect_done();
    let records = json_lines(&server.run(&["consume", "t", "--json"]).expect_done());
    assert_eq!(records.len(), 3);
    assert_eq!((&records[0]["key"], &records[0]["value"]), (&"a".into(), &"1".into()));
    assert_eq!(records[0]["headers"][0]["name"], "from");
    assert_eq!(records[0]["headers"][0]["value"], "test");
    assert!(records[0]["timestamp"].as_i64().unwrap() > 1_700_000_000_000);
    assert!(records[2]["key"].is_null());
    assert_eq!(server.run(&["consume", "t", "--keys"]).expect_done(), "a\t1\nb\t2\nNULL\tplain\n");
    assert_eq!(server.run(&["consume", "t", "-K=:"]).expect_done(), "a:1\nb:2\nNULL:plain\n");
    let verbose = server.run(&["consume", "t", "-v", "-n", "1"]).expect_done();
    assert!(verbose.starts_with("0\t0\t20") && verbose.ends_with("Z\tfrom=test\ta\t1\n"), "{verbose}");
}

#[test]
fn what_consume_prints_produce_takes() {
    let server = Server::in_memory();
    server.feed(&["produce", "one", "--format", "hex"], b"00ff\n616263\n").expect_done();
    server.feed(&["produce", "one", "--format", "json", "--key", "1"], b"{\"a\": [1, 2]}\n").expect_done();
    server.feed(&["produce", "one", "--empty-as-null"], b"\n").expect_done();
    let printed = server.run(&["consume", "one", "--json"]).expect_done();
    server.feed(&["produce", "two", "--records"], printed.as_bytes()).expect_done();
    let mut again = json_lines(&server.run(&["consume", "two", "--json"]).expect_done());
    again.iter_mut().for_each(|record| record["topic"] = "one".into());
    assert_eq!(again, json_lines(&printed));
    let hex = server.run(&["consume", "two", "--format", "hex"]).expect_done();
    assert_eq!(hex, "00ff\n616263\n7b2261223a205b312c20325d7d\nNULL\n");
    let base64 = server.run(&["consume", "two", "--format", "base64", "-n", "1"]).expect_done();
    assert_eq!(base64, "AP8=\n");
    let documents = server.run(&["consume", "two", "--format", "json", "--from", "2", "-n", "1"]).expect_done();
    assert_eq!(documents, "{\"a\":[1,2]}\n");
}

#[test]
fn every_codec_and_every_ack() {
    let server = Server::in_memory();
    let many: String = (0..2_000).map(|number| format!("value {number}\n")).collect();
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        server.feed(&["produce", codec, "-z", codec], many.as_bytes()).expect_done();
        assert_eq!(server.run(&["consume", codec]).expect_done(), many);
    }
    server.run(&["produce", "acks", "1", "--acks", "1"]).expect_done();
    server.run(&["produce", "acks", "2", "--no-idempotence"]).expect_done();
    let unknown = server.run(&["produce", "acks", "3", "--acks", "0", "-v"]).expect_done();
    assert_eq!(unknown, "acks partition 0 offset unknown\n");
    let all = server.run(&["consume", "acks", "--follow", "-n", "3"]).expect_done();
    assert_eq!(all, "1\n2\n3\n");
}

#[test]
fn offsets_are_told() {
    let server = Server::in_memory();
    let told = server.run(&["produce", "t", "a", "b", "-v"]).expect_done();
    assert_eq!(told, "t partition 0 offset 0\nt partition 0 offset 1\n");
    let told = json_lines(&server.run(&["produce", "t", "c", "--json"]).expect_done());
    assert_eq!(told[0]["offset"], 2);
    let summary = server.run(&["produce", "t", "d"]);
    assert_eq!(summary.err, "wrote 1 record to t\n");
}

#[test]
fn reading_begins_where_it_is_asked_to() {
    let server = Server::in_memory();
    server.run(&["topic", "create", "t", "-p", "2"]).expect_done();
    let old = r#"{"value":"old","timestamp":1000,"partition":0}"#;
    server.feed(&["produce", "t", "--records"], old.as_bytes()).expect_done();
    server.feed(&["produce", "t", "-p", "0"], b"1\n2\n3\n").expect_done();
    server.feed(&["produce", "t", "-p", "1"], b"x\n").expect_done();
    let read = |from: &str| server.run(&["consume", "t", "-p", "0", "--from", from]).expect_done();
    assert_eq!(read("earliest"), "old\n1\n2\n3\n");
    assert_eq!(read("latest"), "");
    assert_eq!(read("2"), "2\n3\n");
    assert_eq!(read("99"), "");
    assert_eq!(read("-1"), "3\n");
    assert_eq!(read("-99"), "old\n1\n2\n3\n");
    assert_eq!(read("-1h"), "1\n2\n3\n");
    assert_eq!(read("1970-01-01T00:00:02Z"), "1\n2\n3\n");
    assert_eq!(read("2999-01-01T00:00:00Z"), "");
    let all = server.run(&["consume", "t"]).expect_done();
    assert_eq!(all.lines().count(), 5);
    assert_eq!(server.run(&["consume", "t", "-n", "2", "-p", "0"]).expect_done(), "old\n1\n");
    let complaint = server.run(&["consume", "t", "-p", "7"]).expect_refused(1);
    assert!(complaint.contains("no partition 7"), "{complaint}");
    assert_eq!(server.run(&["consume", "t", "--from", "noon"]).code, 2);
}

#[test]
fn a_follower_sees_lines_as_they_are_typed() {
    let server = Server::in_memory();
    server.run(&["topic", "create", "chat"]).expect_done();
    let mut reader = server.client(&["consume", "chat", "--follow", "-n", "2"]).spawn().unwrap();
    let mut writer = server.client(&["produce", "chat", "-v"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut typed = writer.stdin.take().unwrap();
    let mut told = BufReader::new(writer.stdout.take().unwrap());
    let mut seen = BufReader::new(reader.stdout.take().unwrap());
    for (offset, line) in ["hello", "world"].into_iter().enumerate() {
        // Written, acknowledged and read while the input is still open.
        writeln!(typed, "{line}").unwrap();
        let (mut answer, mut read) = (String::new(), String::new());
        told.read_line(&mut answer).unwrap();
        assert_eq!(answer, format!("chat partition 0 offset {offset}\n"));
        seen.read_line(&mut read).unwrap();
        assert_eq!(read, format!("{line}\n"));
    }
    drop(typed);
    assert!(writer.wait().unwrap().success());
    assert!(reader.wait().unwrap().success());
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let server = Server::in_memory();
    let many: String = (0..50_000).map(|number| format!("a value with number {number}\n")).collect();
    server.feed(&["produce", "t"], many.as_bytes()).expect_done();
    let mut consumer = server.client(&["consume", "t"]).spawn().unwrap();
    let mut first = String::new();
    // The pipe closes at the end of the statement.
    BufReader::new(consumer.stdout.take().unwrap()).read_line(&mut first).unwrap();
    let ended = consumer.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(0));
    assert_eq!(String::from_utf8(ended.stderr).unwrap(), "");
}

#[test]
fn bad_lines_are_named() {
    let server = Server::in_memory();
    let complaint = server.feed(&["produce", "t", "--format", "json"], b"{}\n{\n").expect_refused(1);
    assert!(complaint.contains("line 2 is not a JSON document"), "{complaint}");
    let complaint = server.feed(&["produce", "t", "--records"], b"{\"vaule\":1}\n").expect_refused(1);
    assert!(complaint.contains("line 1 is not a record"), "{complaint}");
    let complaint = server.feed(&["produce", "t", "-p", "9"], b"x\n").expect_refused(1);
    assert!(complaint.contains("partition 9"), "{complaint}");
    let large = vec![b'x'; 3 << 20];
    let complaint = server.feed(&["produce", "t"], &large).expect_refused(1);
    assert!(complaint.contains("MESSAGE_TOO_LARGE"), "{complaint}");
}
