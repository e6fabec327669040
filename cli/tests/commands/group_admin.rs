//! `alluvium group`: what it shows, what it changes, what it refuses.

use std::process::{Child, Command};
use std::time::Duration;

use alluvium_infra::Runtime;

use crate::harness::{Ended, Server, json};

/// Asks until the answer is the one waited for.
fn until(server: &Server, arguments: &[&str], good: impl Fn(&Ended) -> bool) -> Ended {
    let runtime = Runtime::system();
    let deadline = runtime.monotonic() + Duration::from_secs(30);
    loop {
        let ended = server.run(arguments);
        if good(&ended) {
            return ended;
        }
        assert!(runtime.monotonic() < deadline, "never as expected: {ended:?}");
    }
}

/// A member that runs until it is dropped.
struct Member(Child);

impl Member {
    fn of(server: &Server, group: &str, topic: &str) -> Member {
        let member = Member(server.client(&["consume", topic, "--group", group, "--follow"]).spawn().unwrap());
        until(server, &["group", "describe", group, "--json"], |ended| {
            ended.code == 0 && json(&ended.out)[0]["state"] == "Stable"
        });
        member
    }

    /// Leaves the group.
    fn leave(mut self) {
        let sent = Command::new("kill").args(["-INT", &self.0.id().to_string()]).status().unwrap();
        assert!(sent.success());
        self.0.wait().unwrap();
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // It may have ended already.
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// A topic with three partitions of six records each.
fn filled(server: &Server, topic: &str) {
    server.run(&["topic", "create", topic, "-p", "3"]).expect_done();
    for partition in ["0", "1", "2"] {
        server.feed(&["produce", topic, "-p", partition], b"a\nb\nc\nd\ne\nf\n").expect_done();
    }
}

/// What is committed in each partition of the group's only topic.
fn committed(server: &Server, group: &str) -> Vec<(i64, i64)> {
    let described = json(&server.run(&["group", "describe", group, "--json"]).expect_done());
    let offsets = described[0]["offsets"].as_array().unwrap();
    offsets.iter().map(|at| (at["partition"].as_i64().unwrap(), at["committed"].as_i64().unwrap_or(-1))).collect()
}

#[test]
fn members_shares_and_lag_are_shown() {
    let server = Server::in_memory();
    assert_eq!(server.run(&["group", "list"]).err, "there are no groups yet\n");
    assert_eq!(server.run(&["group", "list", "--json"]).expect_done(), "[]\n");
    filled(&server, "t");
    server.run(&["consume", "t", "--group", "idle", "-n", "4"]).expect_done();
    let member = Member::of(&server, "busy", "t");

    let listed = json(&server.run(&["group", "list", "--json"]).expect_done());
    let row = |index: usize, field: &str| listed[index][field].clone();
    assert_eq!((row(0, "group"), row(0, "state"), row(0, "members")), ("busy".into(), "Stable".into(), 1.into()));
    assert_eq!((row(1, "group"), row(1, "state"), row(1, "members")), ("idle".into(), "Empty".into(), 0.into()));
    assert_eq!(row(0, "type"), "classic");
    let table = server.run(&["group", "list", "--state", "empty", "--type", "classic"]).expect_done();
    assert!(table.starts_with("GROUP ") && table.contains("idle") && !table.contains("busy"), "{table}");
    assert_eq!(server.run(&["group", "list", "--type", "consumer"]).err, "there are no such groups\n");

    let idle = json(&server.run(&["group", "describe", "idle", "--json"]).expect_done());
    let read: i64 = idle[0]["offsets"].as_array().unwrap().iter().filter_map(|at| at["committed"].as_i64()).sum();
    assert_eq!(read, 4);
    let lag: i64 = idle[0]["offsets"].as_array().unwrap().iter().filter_map(|at| at["lag"].as_i64()).sum();
    assert_eq!(idle[0]["lag"], lag);
    assert_eq!(idle[0]["offsets"][0]["end"], 6);

    let busy = json(&server.run(&["group", "describe", "busy", "--json"]).expect_done());
    assert_eq!(busy[0]["protocol"], "range");
    assert_eq!(busy[0]["members"][0]["assigned"], serde_json::json!({"t": [0, 1, 2]}));
    assert_eq!(busy[0]["members"][0]["host"], "127.0.0.1");
    assert_eq!(busy[0]["offsets"][2]["owner"], busy[0]["members"][0]["member"]);
    let text = server.run(&["group", "describe", "busy", "idle"]).expect_done();
    assert!(text.contains("group busy, type classic, state Stable, protocol range, 1 member, coordinator"), "{text}");
    assert!(text.contains("t(0,1,2)") && text.contains("TOPIC") && text.contains("group idle"), "{text}");
    let state = server.run(&["group", "describe", "busy", "--state"]).expect_done();
    assert_eq!(state.lines().count(), 1, "{state}");
    let members = server.run(&["group", "describe", "busy", "--members"]).expect_done();
    assert!(members.starts_with("MEMBER") && members.lines().count() == 2, "{members}");
    member.leave();
}

#[test]
fn offsets_are_reset_in_every_way() {
    let server = Server::in_memory();
    filled(&server, "t");
    let reset = |arguments: &[&str]| {
        let mut all = vec!["group", "reset-offsets", "g"];
        all.extend(arguments);
        server.run(&all)
    };
    let dry = reset(&["-t", "t", "--to-offset", "2"]);
    assert_eq!(dry.err, "nothing was changed: add --execute to commit these offsets\n");
    assert!(dry.expect_done().starts_with("TOPIC"));
    assert_eq!(server.run(&["group", "describe", "g"]).code, 1);

    reset(&["-t", "t", "--to-offset", "2", "--execute"]).expect_done();
    assert_eq!(committed(&server, "g"), [(0, 2), (1, 2), (2, 2)]);
    reset(&["-t", "t:0,2", "--shift-by", "-1", "--execute"]).expect_done();
    reset(&["-t", "t:1", "--shift-by", "3", "--execute"]).expect_done();
    assert_eq!(committed(&server, "g"), [(0, 1), (1, 5), (2, 1)]);
    let taken = reset(&["--all-topics", "--shift-by", "100", "--execute"]);
    assert!(taken.err.contains("t, partition 0: offset 101 is not from 0 to 6, taking 6"), "{taken:?}");
    assert_eq!(committed(&server, "g"), [(0, 6), (1, 6), (2, 6)]);
    reset(&["-t", "t", "--to-earliest", "--execute"]).expect_done();
    assert_eq!(committed(&server, "g"), [(0, 0), (1, 0), (2, 0)]);
    reset(&["-t", "t:0", "--to-latest", "--execute"]).expect_done();
    reset(&["-t", "t:1", "--to-datetime", "2100-01-01T00:00:00Z", "--execute"]).expect_done();
    reset(&["-t", "t", "--to-current", "--execute"]).expect_done();
    assert_eq!(committed(&server, "g"), [(0, 6), (1, 6), (2, 0)]);
    reset(&["-t", "t", "--by-duration", "PT1H", "--execute"]).expect_done();
    assert_eq!(committed(&server, "g"), [(0, 0), (1, 0), (2, 0)]);
}

#[test]
fn a_plan_goes_out_and_comes_back() {
    let server = Server::in_memory();
    filled(&server, "t");
    let plan = server.run(&["group", "reset-offsets", "g", "-t", "t", "--to-offset", "4", "--export"]).expect_done();
    assert_eq!(plan, "t,0,4\nt,1,4\nt,2,4\n");
    let back = ["group", "reset-offsets", "other", "--from-file", "-", "--execute", "--json"];
    let done = json(&server.feed(&back, plan.as_bytes()).expect_done());
    assert_eq!((&done["executed"], &done["offsets"][1]["new"]), (&true.into(), &4.into()));
    assert_eq!(committed(&server, "other"), [(0, 4), (1, 4), (2, 4)]);
    let wrong = server.feed(&back, b"t,0,x\n").expect_refused(2);
    assert!(wrong.contains("line 1 is not topic,partition,offset"), "{wrong}");
    let missing = server.feed(&back, b"t,7,0\n").expect_refused(1);
    assert!(missing.contains("topic t has no partition 7: its partitions are 0 to 2"), "{missing}");
}

#[test]
fn a_group_with_members_is_left_alone() {
    let server = Server::in_memory();
    filled(&server, "t");
    let member = Member::of(&server, "g", "t");
    let refused = server.run(&["group", "reset-offsets", "g", "-t", "t", "--to-latest", "--execute"]).expect_refused(1);
    assert!(
        refused.contains("group g has 1 member (state Stable)") && refused.contains("stop them first"),
        "{refused}"
    );
    let refused = server.run(&["group", "delete", "g", "--yes"]).expect_refused(1);
    assert!(refused.contains("NON_EMPTY_GROUP: the group has members; stop them first"), "{refused}");
    // The member commits what it has read at some time.
    until(&server, &["group", "describe", "g", "--json"], |ended| json(&ended.out)[0]["offsets"][0]["lag"] == 0);
    let refused = server.run(&["group", "delete-offsets", "g", "-t", "t", "--yes"]).expect_refused(1);
    assert!(refused.contains("GROUP_SUBSCRIBED_TO_TOPIC: a member of the group reads the topic"), "{refused}");
    member.leave();
    server.run(&["group", "reset-offsets", "g", "-t", "t", "--to-earliest", "--execute"]).expect_done();
    assert_eq!(committed(&server, "g"), [(0, 0), (1, 0), (2, 0)]);
}

#[test]
fn groups_and_offsets_are_deleted() {
    let server = Server::in_memory();
    filled(&server, "t");
    server.run(&["group", "reset-offsets", "g", "-t", "t", "--to-latest", "--execute"]).expect_done();
    assert_eq!(
        server.run(&["group", "delete", "g"]).expect_refused(2),
        "alluvium: deleting needs --yes when nobody can be asked"
    );
    let deleted = server.run(&["group", "delete-offsets", "g", "-t", "t:0,1", "-y"]).expect_done();
    assert_eq!(deleted, "deleted the offsets of g in t:0, t:1\n");
    assert_eq!(committed(&server, "g"), [(2, 6)]);
    let nothing = server.run(&["group", "delete-offsets", "g", "-t", "t:0", "-y"]).expect_refused(1);
    assert!(nothing.contains("has committed nothing there"), "{nothing}");
    assert_eq!(server.run(&["group", "delete", "g", "-y"]).expect_done(), "deleted g\n");
    let absent = server.run(&["group", "delete", "g", "-y"]).expect_refused(1);
    assert!(absent.contains("there is no such group; `alluvium group list` shows"), "{absent}");
    assert_eq!(server.run(&["group", "delete", "g", "-y", "--if-exists"]).expect_done(), "there is no g\n");
    let absent = server.run(&["group", "describe", "g"]).expect_refused(1);
    assert!(absent.contains("GROUP_ID_NOT_FOUND"), "{absent}");
    for wrong in [
        &["-t", "t"][..],
        &["--to-latest"],
        &["-t", "t", "--to-latest", "--to-earliest"],
        &["-t", "t", "--by-duration", "x"],
    ] {
        assert_eq!(server.run(&[&["group", "reset-offsets", "g"][..], wrong].concat()).code, 2, "{wrong:?}");
    }
    let nothing = server.run(&["group", "reset-offsets", "g", "--all-topics", "--to-latest"]).expect_refused(1);
    assert!(nothing.contains("group g has committed nothing: name the topics with --topic"), "{nothing}");
    server.run(&["group", "reset-offsets", "g", "-t", "t:0", "--to-latest", "--execute"]).expect_done();
    let unset = server.run(&["group", "reset-offsets", "g", "-t", "t:1", "--shift-by", "1"]).expect_refused(1);
    assert!(unset.contains("nothing is committed in topic t, partition 1"), "{unset}");
}

#[test]
fn a_topic_that_is_gone_has_no_lag() {
    let server = Server::in_memory();
    filled(&server, "t");
    filled(&server, "kept");
    for topic in ["t", "kept"] {
        server.run(&["group", "reset-offsets", "g", "-t", topic, "--to-offset", "1", "--execute"]).expect_done();
    }
    server.run(&["topic", "delete", "t", "--yes"]).expect_done();
    let described = json(&server.run(&["group", "describe", "g", "--json"]).expect_done());
    assert_eq!(described[0]["lag"], 15, "{described}");
}
