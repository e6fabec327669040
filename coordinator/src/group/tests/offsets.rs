//! 5xx: who may commit and delete offsets, and which expire.

use super::*;

fn commit(group: &str, member_id: &str, generation: i32) -> CommitInput {
    CommitInput {
        group: group.to_owned(),
        generation,
        member_id: member_id.to_owned(),
        instance_id: None,
        transactional: false,
    }
}

fn age(topic: &str, commit_ms: i64) -> OffsetAge<String> {
    OffsetAge { key: topic.to_owned(), topic: topic.to_owned(), commit_ms }
}

#[test]
fn s501_consumers_without_group_management_commit_while_the_group_is_empty() {
    let mut h = Harness::new();
    assert_eq!(h.groups.check_commit(h.now, &commit("simple", "", -1)), Ok(()));
    assert_eq!(h.groups.describe("simple").unwrap().state, State::Empty);
    assert_eq!(h.groups.describe("simple").unwrap().protocol_type, "");
    h.pass(1_000_000);
    assert_eq!(h.groups.check_commit(h.now, &commit("simple", "", -1)), Ok(()));
    h.stable_one();
    assert_eq!(h.groups.check_commit(h.now, &commit(GROUP, "", -1)), Err(GroupError::UnknownMemberId));
}

#[test]
fn s502_members_commit_with_their_generation() {
    let mut h = Harness::new();
    assert_eq!(h.groups.check_commit(h.now, &commit(GROUP, "m", 1)), Err(GroupError::GroupIdNotFound));
    let transactional = CommitInput { transactional: true, ..commit(GROUP, "m", 1) };
    assert_eq!(h.groups.check_commit(h.now, &transactional), Err(GroupError::IllegalGeneration));
    assert!(h.groups.is_empty());
    let member = h.stable_one();
    assert_eq!(h.groups.check_commit(h.now, &commit(GROUP, &member, 1)), Ok(()));
    assert_eq!(h.groups.check_commit(h.now, &commit(GROUP, &member, 0)), Err(GroupError::IllegalGeneration));
    assert_eq!(h.groups.check_commit(h.now, &commit(GROUP, &member, -1)), Err(GroupError::IllegalGeneration));
    assert_eq!(h.groups.check_commit(h.now, &commit(GROUP, "stranger", 1)), Err(GroupError::UnknownMemberId));
    let fenced = CommitInput { instance_id: Some("i".to_owned()), ..commit(GROUP, &member, 1) };
    assert_eq!(h.groups.check_commit(h.now, &fenced), Err(GroupError::UnknownMemberId));
}

#[test]
fn s503_commits_during_a_rebalance() {
    let mut h = Harness::new();
    let (first, second) = h.stable_two();
    h.join_as(&first);
    assert_eq!(h.groups.check_commit(h.now, &commit(GROUP, &second, 2)), Ok(()), "a last commit before joining again");
    h.join_as(&second);
    assert_eq!(h.groups.check_commit(h.now, &commit(GROUP, &second, 2)), Err(GroupError::IllegalGeneration));
    assert_eq!(h.groups.check_commit(h.now, &commit(GROUP, &second, 3)), Err(GroupError::RebalanceInProgress));
}

#[test]
fn s504_commits_in_transactions() {
    let mut h = Harness::new();
    let member = h.stable_one();
    let nameless = CommitInput { transactional: true, ..commit(GROUP, "", -1) };
    assert_eq!(h.groups.check_commit(h.now, &nameless), Ok(()));
    let stale = CommitInput { transactional: true, ..commit(GROUP, &member, 0) };
    assert_eq!(h.groups.check_commit(h.now, &stale), Err(GroupError::IllegalGeneration));
}

#[test]
fn s505_a_commit_counts_as_a_heartbeat() {
    let mut h = Harness::new();
    let member = h.stable_one();
    for _ in 0..5 {
        h.pass(8_000);
        assert_eq!(h.groups.check_commit(h.now, &commit(GROUP, &member, 1)), Ok(()));
    }
}

#[test]
fn s506_a_removed_member_commits_no_more() {
    let mut h = Harness::new();
    let member = h.stable_one();
    h.pass(i64::from(SESSION_MS));
    assert_eq!(h.state(), State::Empty);
    assert_eq!(h.groups.check_commit(h.now, &commit(GROUP, &member, 1)), Err(GroupError::UnknownMemberId));
    assert_eq!(h.groups.check_commit(h.now, &commit(GROUP, "", -1)), Ok(()));
}

#[test]
fn s507_offsets_of_topics_in_use_cannot_be_deleted() {
    let mut h = Harness::new();
    assert_eq!(h.groups.check_offset_delete(GROUP), Err(GroupError::GroupIdNotFound));
    let member = h.stable_one();
    assert_eq!(h.groups.check_offset_delete(GROUP), Ok(()));
    assert!(h.groups.is_subscribed(GROUP, "t"));
    assert!(!h.groups.is_subscribed(GROUP, "u"));
    h.leave(&[(&member, None)]);
    assert_eq!(h.groups.check_offset_delete(GROUP), Ok(()));
    assert!(!h.groups.is_subscribed(GROUP, "t"));
}

#[test]
fn s508_when_subscriptions_cannot_be_read_every_topic_counts_as_in_use() {
    let mut h = Harness::new();
    let input = JoinInput { protocols: vec![("range".to_owned(), Bytes::from_static(b"?"))], ..h.join_input("") };
    h.join(input);
    assert!(h.groups.is_subscribed(GROUP, "t"));
    let input = JoinInput { group: "connect".to_owned(), protocol_type: "connect".to_owned(), ..h.join_input("") };
    h.join(input);
    assert_eq!(h.groups.check_offset_delete("connect"), Err(GroupError::NonEmptyGroup));
}

#[test]
fn s509_offsets_of_an_empty_group_expire_after_it_became_empty() {
    let mut h = Harness::new();
    let member = h.stable_one();
    let committed_ms = h.now;
    h.pass(5_000);
    h.leave(&[(&member, None)]);
    let emptied_ms = h.now;
    let ages = || [age("t", committed_ms), age("u", committed_ms)];
    let early = h.groups.expired(emptied_ms + 999, 1_000, GROUP, ages());
    assert_eq!(early, Expired { offsets: vec![], group: false });
    let due = h.groups.expired(emptied_ms + 1_000, 1_000, GROUP, ages());
    assert_eq!(due, Expired { offsets: vec!["t".to_owned(), "u".to_owned()], group: true });
    let none = h.groups.expired(emptied_ms, 1_000, GROUP, Vec::<OffsetAge<String>>::new());
    assert!(none.group, "an empty group without offsets can go");
}

#[test]
fn s510_offsets_of_unused_topics_expire_while_the_group_lives() {
    let mut h = Harness::new();
    h.stable_one();
    let now = h.now + 1_000;
    let due = h.groups.expired(now, 1_000, GROUP, [age("t", h.now), age("u", h.now), age("v", h.now + 1)]);
    assert_eq!(due, Expired { offsets: vec!["u".to_owned()], group: false });
    h.join_as("");
    let rebalancing = h.groups.expired(now, 1_000, GROUP, [age("u", h.now)]);
    assert_eq!(rebalancing, Expired { offsets: vec![], group: false });
}

#[test]
fn s511_offsets_of_simple_consumers_expire_by_their_commit() {
    let mut h = Harness::new();
    h.groups.check_commit(h.now, &commit(GROUP, "", -1)).unwrap();
    let due = h.groups.expired(h.now + 1_000, 1_000, GROUP, [age("t", h.now), age("u", h.now + 1)]);
    assert_eq!(due, Expired { offsets: vec!["t".to_owned()], group: false });
    assert!(!h.groups.expired(h.now, 1_000, "unknown", [age("t", 0)]).group);
}
