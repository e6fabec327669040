//! Topics from making to deleting.

use crate::harness::{Server, json};

#[test]
fn a_topic_lives() {
    let server = Server::in_memory();
    let none = server.run(&["topic", "list"]);
    assert!(none.out.is_empty() && none.err.contains("alluvium topic create"), "{none:?}");
    let created = server.run(&["topic", "create", "orders", "-p", "3", "-r", "3", "-c", "retention.ms=1000"]);
    assert_eq!(created.expect_done(), "created orders with 3 partitions\n");
    let complaint = server.run(&["topic", "create", "orders"]).expect_refused(1);
    assert!(complaint.contains("TOPIC_ALREADY_EXISTS"), "{complaint}");
    server.run(&["topic", "create", "orders", "--if-not-exists"]).expect_done();

    let listed = json(&server.run(&["topic", "list", "--json"]).expect_done());
    assert_eq!(listed[0]["name"], "orders");
    assert_eq!(listed[0]["partitions"], 3);
    assert_eq!(listed[0]["replication_factor"], 3);

    server.run(&["produce", "orders", "-p", "1", "a", "b"]).expect_done();
    let described = json(&server.run(&["topic", "describe", "orders", "--json"]).expect_done());
    assert_eq!(described[0]["partitions"][1]["end_offset"], 2);
    assert!(described[0]["partitions"][1]["size_bytes"].as_i64().unwrap() > 60);
    assert_eq!(described[0]["configs"]["retention.ms"], "1000");

    server.run(&["topic", "alter", "orders", "-p", "5", "--unset", "retention.ms"]).expect_done();
    server.run(&["topic", "alter", "orders", "-c", "cleanup.policy=compact"]).expect_done();
    let text = server.run(&["topic", "describe", "orders"]).expect_done();
    assert!(text.contains("5 partitions") && text.contains("cleanup.policy  compact  topic"), "{text}");
    assert!(!text.contains("retention.ms"), "{text}");
    let text = server.run(&["topic", "describe", "orders", "--all-configs"]).expect_done();
    assert!(text.contains("retention.ms"), "{text}");

    assert_eq!(server.run(&["topic", "delete", "orders"]).expect_refused(2).matches("--yes").count(), 1);
    server.run(&["topic", "delete", "orders", "--yes"]).expect_done();
    server.run(&["topic", "delete", "orders", "--yes", "--if-exists"]).expect_done();
    let complaint = server.run(&["topic", "delete", "orders", "--yes"]).expect_refused(1);
    assert!(complaint.contains("UNKNOWN_TOPIC_OR_PARTITION"), "{complaint}");
    let complaint = server.run(&["topic", "describe", "orders"]).expect_refused(1);
    assert!(complaint.contains("there is no such topic"), "{complaint}");
}

#[test]
fn wrong_changes_are_refused_with_the_reason() {
    let server = Server::in_memory();
    server.run(&["topic", "create", "t", "-p", "2"]).expect_done();
    for (arguments, code, part) in [
        (&["topic", "create", "u", "-c", "no.such.config=1"][..], 1, "no.such.config"),
        (&["topic", "create", "bad name"], 1, "INVALID_TOPIC_EXCEPTION"),
        (&["topic", "alter", "t", "-p", "1"], 1, "INVALID_PARTITIONS"),
        (&["topic", "alter", "t", "-c", "retention.ms=soon"], 1, "INVALID_CONFIG"),
        (&["topic", "alter", "t"], 2, "nothing to change"),
        (&["topic", "alter", "nope", "-p", "3"], 1, "UNKNOWN_TOPIC_OR_PARTITION"),
    ] {
        let complaint = server.run(arguments).expect_refused(code);
        assert!(complaint.contains(part), "{arguments:?}: {complaint}");
    }
    assert_eq!(server.run(&["topic", "create", "u", "-p", "0"]).code, 2);
    assert_eq!(server.run(&["topic", "create", "u", "-c", "novalue"]).code, 2);
}
