//! Consumer groups: offsets are committed, and partitions shared.

use crate::harness::Server;

#[test]
fn committed_offsets_are_found_again_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::dev(folder.path());
    server.feed(&["produce", "t"], b"1\n2\n3\n").expect_done();
    assert_eq!(server.run(&["consume", "t", "--group", "g", "-n", "2"]).expect_done(), "1\n2\n");
    assert_eq!(server.stop().0, 0);

    let server = Server::dev(folder.path());
    assert_eq!(server.run(&["consume", "t", "--group", "g"]).expect_done(), "3\n");
    assert_eq!(server.run(&["consume", "t", "--group", "g"]).expect_done(), "");
    assert_eq!(server.run(&["consume", "t", "--group", "other"]).expect_done(), "1\n2\n3\n");
}

#[test]
fn members_share_the_partitions() {
    let server = Server::in_memory();
    server.run(&["topic", "create", "t", "-p", "2"]).expect_done();
    let members: Vec<_> = (0..2)
        .map(|_| server.client(&["consume", "t", "--group", "g", "--follow", "-n", "1", "--offsets"]).spawn().unwrap())
        .collect();
    // Each member ends after one record, so both must have got a partition, or the second the first one's after that.
    server.run(&["produce", "t", "-p", "0", "zero"]).expect_done();
    server.run(&["produce", "t", "-p", "1", "one"]).expect_done();
    let mut printed: Vec<String> = members
        .into_iter()
        .map(|member| String::from_utf8(member.wait_with_output().unwrap().stdout).unwrap())
        .collect();
    printed.sort();
    assert_eq!(printed, ["0\t0\tzero\n", "1\t0\tone\n"]);
}
