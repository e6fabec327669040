//! 1xx: who may join, stay and leave, and what requests must say.

use super::*;

#[test]
fn s101_the_first_member_gets_everything() {
    let mut h = Harness::new();
    let input = h.joining("a");
    let answer = h.told(input);
    assert_eq!((answer.member_id.as_str(), answer.member_epoch, answer.heartbeat_interval_ms), ("a", 1, 5_000));
    assert_eq!(answer.assignment.unwrap(), (0..4).map(|index| part("t", index)).collect::<Vec<_>>());
    assert_eq!(h.state(), ConsumerGroupState::Stable);
    assert_eq!(h.log[GROUP].members["a"].assigned.len(), 4);
}

#[test]
fn s102_a_heartbeat_without_news_writes_nothing_and_says_nothing() {
    let mut h = Harness::new();
    let mut member = Consumer::new("a");
    member.step(&mut h);
    let writes = h.writes;
    let input = h.bare("a", 1);
    let answer = h.told(input);
    assert_eq!((answer.member_epoch, answer.assignment), (1, None));
    member.step(&mut h);
    assert_eq!(h.writes, writes);
    assert_eq!(h.epoch(), 1);
}

#[test]
fn s103_requests_that_say_too_little_or_too_much() {
    let mut h = Harness::new();
    let mut expect = |change: &dyn Fn(&mut ConsumerHeartbeatInput), error: GroupError| {
        let mut input = h.joining("a");
        change(&mut input);
        assert_eq!(h.refusal(input), error);
        assert!(h.groups.is_empty(), "a refused join leaves no group");
    };
    let invalid = GroupError::InvalidRequest;
    expect(&|input| input.group.clear(), invalid);
    expect(&|input| input.member_id.clear(), invalid);
    expect(&|input| input.instance_id = Some(String::new()), invalid);
    expect(&|input| input.rack_id = Some(String::new()), invalid);
    expect(&|input| input.rebalance_timeout_ms = -1, invalid);
    expect(&|input| input.owned = None, invalid);
    expect(&|input| input.owned = Some(vec![part("t", 0)]), invalid);
    expect(&|input| input.subscribed_topics = None, invalid);
    expect(&|input| input.member_epoch = -3, invalid);
    expect(&|input| input.member_epoch = LEAVE_FOR_A_WHILE_EPOCH, invalid);
    expect(&|input| input.client_id = "x".repeat(5_000), invalid);
    expect(&|input| input.subscribed_topics = Some(vec!["t".to_owned(); 10_001]), invalid);
    expect(&|input| input.assignor = Some("sticky".to_owned()), GroupError::UnsupportedAssignor);
    expect(&|input| input.subscribed_regex = Some("(".to_owned()), GroupError::InvalidRegularExpression);
    expect(&|input| input.member_epoch = 1, GroupError::GroupIdNotFound);
    expect(&|input| input.member_epoch = LEAVE_EPOCH, GroupError::GroupIdNotFound);
}

#[test]
fn s104_older_clients_are_given_an_id() {
    let mut h = Harness::new();
    let mut input = h.joining("");
    input.id_made_by_client = false;
    let fresh_id = input.fresh_id.to_string();
    let answer = h.told(input);
    assert_eq!(answer.member_id, fresh_id);
    let mut input = h.bare(&fresh_id, 1);
    input.id_made_by_client = false;
    assert_eq!(h.told(input).member_epoch, 1);
    let mut input = h.bare("", 1);
    input.id_made_by_client = false;
    assert_eq!(h.refusal(input), GroupError::InvalidRequest);
}

#[test]
fn s105_epochs_that_are_not_the_members_own() {
    let mut h = Harness::new();
    let (first, _) = two(&mut h);
    for epoch in [first.epoch - 2, first.epoch + 1] {
        let input = h.bare("a", epoch.max(1));
        assert_eq!(h.refusal(input), GroupError::FencedMemberEpoch, "{epoch}");
    }
    let input = h.bare("nobody", 1);
    assert_eq!(h.refusal(input), GroupError::UnknownMemberId);
}

#[test]
fn s106_a_lost_answer_may_be_asked_for_again() {
    let mut h = Harness::new();
    let mut first = Consumer::new("a");
    first.step(&mut h);
    let mut second = Consumer::new("b");
    second.step(&mut h);
    // The first is asked to give two up, does, and does not hear that it is at the next epoch.
    first.step(&mut h);
    let input = first.beat(&mut h);
    let lost = h.told(input);
    assert_eq!(lost.member_epoch, 2);
    let input = first.beat(&mut h);
    let again = h.told(input);
    assert_eq!((again.member_epoch, again.assignment.map(|owned| owned.len())), (2, Some(2)));
    // Whoever owns more than is assigned did miss more than that.
    let mut input = first.beat(&mut h);
    input.owned = Some((0..4).map(|index| part("t", index)).collect());
    assert_eq!(h.refusal(input), GroupError::FencedMemberEpoch);
    // Nor may it keep silent about what it owns.
    let input = h.bare("a", 1);
    assert_eq!(h.refusal(input), GroupError::FencedMemberEpoch);
}

#[test]
fn s107_whoever_leaves_is_gone_and_the_others_get_its_part() {
    let mut h = Harness::new();
    let (mut first, second) = two(&mut h);
    let input = h.bare("b", LEAVE_EPOCH);
    let answer = h.told(input);
    assert_eq!((answer.member_id.as_str(), answer.member_epoch, answer.assignment), ("b", LEAVE_EPOCH, None));
    assert!(!h.log[GROUP].members.contains_key("b"));
    first.step(&mut h);
    assert_eq!(first.partitions(), [0, 1, 2, 3]);
    let input = second.beat(&mut h);
    assert_eq!(h.refusal(input), GroupError::UnknownMemberId);
}

#[test]
fn s108_the_last_one_leaves_an_empty_group_whose_epoch_goes_on() {
    let mut h = Harness::new();
    let mut member = Consumer::new("a");
    member.step(&mut h);
    let input = h.bare("a", LEAVE_EPOCH);
    h.told(input);
    assert_eq!((h.state(), h.epoch()), (ConsumerGroupState::Empty, 2));
    h.restart();
    assert_eq!((h.state(), h.epoch()), (ConsumerGroupState::Empty, 2));
    let input = h.joining("b");
    assert_eq!(h.told(input).member_epoch, 3);
}

#[test]
fn s109_silence_ends_a_session() {
    let mut h = Harness::new();
    let (mut first, _) = two(&mut h);
    h.pass(SESSION_MS - 1);
    first.step(&mut h);
    h.pass(1);
    assert_eq!(h.describe().members.len(), 1);
    first.step(&mut h);
    assert_eq!(first.owned.len(), 4);
    h.pass(SESSION_MS);
    assert_eq!(h.state(), ConsumerGroupState::Empty);
    assert!(h.log[GROUP].members.is_empty());
}

#[test]
fn s110_a_full_group_admits_nobody_new() {
    let mut h = Harness::with(ConsumerGroupSettings { members_max: 2, ..ConsumerGroupSettings::default() });
    two(&mut h);
    let input = h.joining("c");
    assert_eq!(h.refusal(input), GroupError::GroupMaxSizeReached);
    let input = h.joining("a");
    assert!(h.told(input).assignment.is_some());
}

#[test]
fn s111_a_member_that_joins_again_is_told_what_it_had() {
    let mut h = Harness::new();
    let (first, _) = two(&mut h);
    let input = h.joining("a");
    let answer = h.told(input);
    assert_eq!(answer.assignment.unwrap(), first.owned.into_iter().collect::<Vec<_>>());
    assert_eq!(h.state(), ConsumerGroupState::Stable);
}

#[test]
fn s112_deleting_is_for_groups_without_members() {
    let mut h = Harness::new();
    let mut member = Consumer::new("a");
    member.step(&mut h);
    let delete = |h: &mut Harness| {
        let ticket = h.ticket();
        let effects = h.groups.delete(h.now, ticket, GROUP);
        h.carry_out(effects);
        match h.answers[&ticket] {
            Response::Delete(result) => result,
            ref other => panic!("{other:?}"),
        }
    };
    assert_eq!(delete(&mut h), Err(GroupError::NonEmptyGroup));
    let input = h.bare("a", LEAVE_EPOCH);
    h.told(input);
    assert_eq!(delete(&mut h), Ok(()));
    assert!(h.groups.is_empty() && h.log.is_empty());
    assert_eq!(delete(&mut h), Err(GroupError::GroupIdNotFound));
}

#[test]
fn s113_groups_have_a_limit() {
    let mut h = Harness::with(ConsumerGroupSettings { groups_max: 1, ..ConsumerGroupSettings::default() });
    let input = h.joining("a");
    h.told(input);
    let mut input = h.joining("a");
    input.group = "other".to_owned();
    assert_eq!(h.refusal(input), GroupError::TooManyGroups);
}
