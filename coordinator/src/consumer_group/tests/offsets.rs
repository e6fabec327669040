//! 5xx: commits, fetches and the retention of offsets.

use super::*;

fn commit_of(h: &Harness, member_id: &str, epoch: i32, partitions: &[TopicPartition]) -> Result<(), GroupError> {
    let input = CommitInput {
        group: GROUP.to_owned(),
        generation: epoch,
        member_id: member_id.to_owned(),
        instance_id: None,
        transactional: false,
    };
    h.groups.check_commit(&input, partitions)
}

/// A commit for a partition that nobody has.
fn commit(h: &Harness, member_id: &str, epoch: i32) -> Result<(), GroupError> {
    commit_of(h, member_id, epoch, &[part("nothing", 0)])
}

fn fetch(h: &Harness, member_id: Option<&str>, member_epoch: i32) -> Result<(), GroupError> {
    let member_id = member_id.map(str::to_owned);
    h.groups.check_fetch(&FetchInput { group: GROUP.to_owned(), member_id, member_epoch })
}

#[test]
fn s501_members_commit_and_fetch_under_their_epoch() {
    let mut h = Harness::new();
    let (first, _) = two(&mut h);
    assert_eq!(commit(&h, "a", first.epoch), Ok(()));
    assert_eq!(commit(&h, "a", first.epoch - 1), Err(GroupError::StaleMemberEpoch));
    assert_eq!(commit(&h, "a", first.epoch + 1), Err(GroupError::StaleMemberEpoch));
    assert_eq!(commit(&h, "x", first.epoch), Err(GroupError::UnknownMemberId));
    assert_eq!(commit(&h, "", -1), Err(GroupError::UnknownMemberId));
    assert_eq!(fetch(&h, Some("a"), first.epoch), Ok(()));
    assert_eq!(fetch(&h, Some("a"), first.epoch - 1), Err(GroupError::StaleMemberEpoch));
    assert_eq!(fetch(&h, Some("x"), first.epoch), Err(GroupError::UnknownMemberId));
    assert_eq!(fetch(&h, None, -1), Ok(()));
}

#[test]
fn s502_an_empty_group_takes_simple_commits() {
    let mut h = Harness::new();
    assert_eq!(commit(&h, "", -1), Err(GroupError::GroupIdNotFound));
    assert_eq!(fetch(&h, Some("a"), 1), Ok(()), "of a group that is unknown there are no offsets");
    Consumer::new("a").step(&mut h);
    let input = h.bare("a", LEAVE_EPOCH);
    h.told(input);
    assert_eq!(commit(&h, "", -1), Ok(()));
    assert_eq!(commit(&h, "a", 1), Err(GroupError::UnknownMemberId));
}

#[test]
fn s503_offsets_age_when_nobody_uses_them() {
    let mut h = Harness::new();
    Consumer::new("a").step(&mut h);
    let start = h.now;
    let offsets =
        || ["t", "u"].into_iter().map(move |topic| OffsetAge { key: topic, topic: topic.to_owned(), commit_ms: start });
    let expired = |h: &Harness, at: i64| h.groups.expired(at, 1_000, GROUP, offsets());
    assert_eq!(expired(&h, start + 1_000), Expired { offsets: vec!["u"], group: false });
    assert_eq!(expired(&h, start + 999), Expired { offsets: vec![], group: false });
    h.pass(SESSION_MS);
    assert_eq!(expired(&h, h.now + 999), Expired { offsets: vec![], group: false }, "all age from now on");
    assert_eq!(expired(&h, h.now + 1_000), Expired { offsets: vec!["t", "u"], group: true });
    assert!(!h.groups.is_subscribed(GROUP, "t"));
}

#[test]
fn s504_an_old_epoch_is_good_for_what_was_held_ever_since() {
    let mut h = Harness::new();
    let mut first = Consumer::new("a");
    first.step(&mut h);
    let mut second = Consumer::new("b");
    second.step(&mut h);
    first.step(&mut h);
    assert_eq!(commit_of(&h, "a", 1, &[part("t", 3)]), Ok(()), "it may commit what it is giving up");
    first.step(&mut h);
    second.step(&mut h);
    assert_eq!((first.epoch, first.partitions(), second.partitions()), (2, vec![0, 1], vec![2, 3]));
    assert_eq!(commit_of(&h, "a", 1, &[part("t", 0), part("t", 1)]), Ok(()));
    assert_eq!(commit_of(&h, "a", 1, &[part("t", 0), part("t", 2)]), Err(GroupError::StaleMemberEpoch));
    assert_eq!(commit_of(&h, "b", 1, &[part("t", 2)]), Err(GroupError::StaleMemberEpoch));
    assert_eq!(commit_of(&h, "a", 0, &[]), Err(GroupError::StaleMemberEpoch));
    // What comes back is held anew.
    let input = h.bare("b", LEAVE_EPOCH);
    h.told(input);
    first.step(&mut h);
    assert_eq!(commit_of(&h, "a", 2, &[part("t", 0)]), Ok(()));
    assert_eq!(commit_of(&h, "a", 2, &[part("t", 2)]), Err(GroupError::StaleMemberEpoch));
    h.restart();
    assert_eq!(commit_of(&h, "a", 2, &[part("t", 0)]), Err(GroupError::StaleMemberEpoch), "nobody knows any more");
    assert_eq!(commit_of(&h, "a", 3, &[part("t", 0)]), Ok(()));
}
