//! 7xx: members of the classic protocol in a consumer group, and groups that change their protocol.

use bytes::Bytes;

use super::super::embedded::{read_assignment, tests::subscription};
use super::*;

const CLASSIC_SESSION_MS: i32 = 10_000;

fn join_input(h: &mut Harness, member_id: &str, owned: &[i32]) -> JoinInput {
    let ticket = h.ticket();
    JoinInput {
        ticket,
        group: GROUP.to_owned(),
        member_id: member_id.to_owned(),
        instance_id: None,
        client_id: "classic".to_owned(),
        client_host: "/127.0.0.1".to_owned(),
        session_timeout_ms: CLASSIC_SESSION_MS,
        rebalance_timeout_ms: REBALANCE_MS,
        protocol_type: "consumer".to_owned(),
        protocols: vec![("cooperative-sticky".to_owned(), subscription(1, &["t"], &[("t", owned)]))],
        member_id_required: false,
        skip_assignment_supported: false,
        fresh_id: Uuid::from_u128(u128::from(ticket.0)),
    }
}

fn join(h: &mut Harness, input: JoinInput) -> Result<Joined, GroupError> {
    let effects = h.groups.join(h.now, &input);
    h.carry_out(effects);
    match h.answers.get(&input.ticket) {
        Some(Response::Join(answer)) => answer.clone().map_err(|refused| refused.error),
        other => panic!("no join: {other:?}"),
    }
}

fn sync(h: &mut Harness, member_id: &str, generation: i32) -> Result<Vec<i32>, GroupError> {
    let input = SyncInput {
        ticket: h.ticket(),
        group: GROUP.to_owned(),
        generation,
        member_id: member_id.to_owned(),
        instance_id: None,
        protocol_type: Some("consumer".to_owned()),
        protocol: Some("cooperative-sticky".to_owned()),
        assignments: Vec::new(),
    };
    let effects = h.groups.sync(h.now, &input);
    h.carry_out(effects);
    match h.answers.get(&input.ticket) {
        Some(Response::Sync(answer)) => answer.clone().map(|synced: Synced| {
            let assignment = read_assignment(&synced.assignment, None).unwrap();
            assert!(assignment.iter().all(|(name, _)| name == "t"));
            assignment.into_iter().flat_map(|(_, indexes)| indexes).collect()
        }),
        other => panic!("no sync: {other:?}"),
    }
}

fn heartbeat(h: &mut Harness, member_id: &str, generation: i32) -> Result<(), GroupError> {
    let input =
        HeartbeatInput { group: GROUP.to_owned(), generation, member_id: member_id.to_owned(), instance_id: None };
    let result = h.groups.heartbeat(h.now, &input);
    h.carry_out(Vec::new());
    result
}

fn leave(h: &mut Harness, member_id: &str, instance_id: Option<&str>) -> Result<(), GroupError> {
    let member = LeavingMember { member_id: member_id.to_owned(), instance_id: instance_id.map(str::to_owned) };
    let (results, effects) = h.groups.leave(h.now, &LeaveInput { group: GROUP.to_owned(), members: vec![member] });
    h.carry_out(effects);
    results[0]
}

fn classic_member(member_id: &str, owned: &[i32]) -> ClassicGroupMember {
    let partitions = [("t".to_owned(), owned.to_vec())].into();
    ClassicGroupMember {
        member_id: member_id.to_owned(),
        session_timeout_ms: CLASSIC_SESSION_MS,
        rebalance_timeout_ms: REBALANCE_MS,
        protocols: vec![("cooperative-sticky".to_owned(), subscription(1, &["t"], &[]))],
        assignment: super::super::embedded::write_assignment(1, &partitions),
        ..ClassicGroupMember::default()
    }
}

/// A classic group of one, at generation 7, which has just been taken over.
fn adopted(h: &mut Harness) {
    let classic = ClassicGroup {
        group: GROUP.to_owned(),
        generation: 7,
        protocol: Some("cooperative-sticky".to_owned()),
        members: vec![classic_member("old", &[0, 1, 2, 3])],
    };
    assert_eq!(h.groups.check_conversion(&classic), Ok(()));
    let effects = h.groups.adopt(h.now, classic);
    h.carry_out(effects);
}

#[test]
fn s701_a_classic_group_goes_on_with_a_member_of_the_new_protocol() {
    let mut h = Harness::new();
    adopted(&mut h);
    assert_eq!((h.state(), h.epoch()), (ConsumerGroupState::Stable, 7));
    assert_eq!(heartbeat(&mut h, "old", 7), Ok(()));
    let mut new = Consumer::new("new");
    new.step(&mut h);
    assert_eq!((new.epoch, new.owned.len()), (8, 0));
    assert!(h.groups.pop_convertible().is_none());
    // The classic member is called back, learns what it may keep, revokes, and joins again.
    assert_eq!(heartbeat(&mut h, "old", 7), Err(GroupError::RebalanceInProgress));
    let input = join_input(&mut h, "old", &[0, 1, 2, 3]);
    let joined = join(&mut h, input).unwrap();
    assert_eq!((joined.generation, joined.leader.as_str(), joined.protocol.as_str()), (7, "", "cooperative-sticky"));
    assert_eq!(sync(&mut h, "old", 7).unwrap(), [0, 1]);
    assert_eq!(heartbeat(&mut h, "old", 7), Err(GroupError::RebalanceInProgress), "it must say what it gave up");
    new.step(&mut h);
    assert!(new.owned.is_empty());
    let input = join_input(&mut h, "old", &[0, 1]);
    assert_eq!(join(&mut h, input).unwrap().generation, 8);
    assert_eq!(sync(&mut h, "old", 8).unwrap(), [0, 1]);
    assert_eq!(heartbeat(&mut h, "old", 8), Ok(()));
    new.step(&mut h);
    assert_eq!(new.partitions(), [2, 3]);
    assert_eq!(h.state(), ConsumerGroupState::Stable);
    let description = h.describe();
    assert_eq!(description.members.iter().map(|member| member.is_classic).collect::<Vec<_>>(), [false, true]);
}

#[test]
fn s702_an_eager_member_gives_everything_up_by_joining() {
    let mut h = Harness::new();
    adopted(&mut h);
    let mut new = Consumer::new("new");
    new.step(&mut h);
    let input = join_input(&mut h, "old", &[]);
    assert_eq!(join(&mut h, input).unwrap().generation, 8);
    assert_eq!(sync(&mut h, "old", 8).unwrap(), [0, 1]);
    new.step(&mut h);
    assert_eq!(new.partitions(), [2, 3]);
}

#[test]
fn s703_the_last_of_the_new_protocol_leaves() {
    let mut h = Harness::new();
    adopted(&mut h);
    let mut new = Consumer::new("new");
    new.step(&mut h);
    let input = join_input(&mut h, "old", &[]);
    join(&mut h, input).unwrap();
    h.writes_at_once = false;
    let input = h.bare("new", LEAVE_EPOCH);
    let ticket = h.send(input);
    assert!(h.groups.pop_convertible().is_none(), "first it is written that the other one went");
    h.write(Ok(()));
    assert!(h.answer(ticket).is_ok());
    let classic = h.groups.pop_convertible().unwrap();
    assert_eq!((classic.group.as_str(), classic.generation), (GROUP, 8));
    assert_eq!(classic.members[0].member_id, "old");
    assert_eq!(classic.members[0].protocols[0].0, "cooperative-sticky");
    assert_eq!(read_assignment(&classic.members[0].assignment, None).unwrap(), [("t".to_owned(), vec![0, 1])]);
    assert!(!h.groups.contains(GROUP));
}

#[test]
fn s704_the_policy_decides_who_may_change() {
    for (migration, up, down) in [
        (MigrationPolicy::Disabled, false, false),
        (MigrationPolicy::Upgrade, true, false),
        (MigrationPolicy::Downgrade, false, true),
        (MigrationPolicy::Bidirectional, true, true),
    ] {
        let mut h = Harness::with(ConsumerGroupSettings { migration, ..ConsumerGroupSettings::default() });
        let mut classic = ClassicGroup { group: GROUP.to_owned(), generation: 1, ..ClassicGroup::default() };
        assert_eq!(h.groups.check_conversion(&classic), Ok(()), "an empty group may always go");
        classic.members = vec![classic_member("old", &[0])];
        assert_eq!(h.groups.check_conversion(&classic).is_ok(), up);
        let effects = h.groups.adopt(h.now, classic);
        h.carry_out(effects);
        assert_eq!(h.groups.pop_convertible().is_some(), down);
    }
}

#[test]
fn s705_what_cannot_be_understood_is_not_taken_over() {
    let h = Harness::new();
    let mut classic = ClassicGroup { members: vec![classic_member("old", &[0])], ..ClassicGroup::default() };
    classic.members[0].assignment = Bytes::from_static(&[0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 9]);
    assert!(matches!(h.groups.check_conversion(&classic), Err(ConversionError::Member { .. })));
    classic.members[0] = classic_member("old", &[0]);
    classic.members[0].protocols[0].1 = Bytes::from_static(b"x");
    assert!(matches!(h.groups.check_conversion(&classic), Err(ConversionError::Member { .. })));
    classic.members = vec![classic_member("old", &[0]); 2_001];
    assert_eq!(h.groups.check_conversion(&classic), Err(ConversionError::TooManyMembers));
}

#[test]
fn s706_a_classic_member_that_stays_silent_is_removed() {
    let mut h = Harness::new();
    adopted(&mut h);
    let mut new = Consumer::new("new");
    new.step(&mut h);
    // It beats, but it does not join.
    for _ in 0..10 {
        assert_eq!(heartbeat(&mut h, "old", 7), Err(GroupError::RebalanceInProgress));
        h.pass(i64::from(REBALANCE_MS) / 10);
        new.step(&mut h);
    }
    assert_eq!(heartbeat(&mut h, "old", 7), Err(GroupError::UnknownMemberId));
    new.step(&mut h);
    assert_eq!(new.owned.len(), 4);
    // It joins, but it does not sync.
    let input = join_input(&mut h, "", &[]);
    let joined = join(&mut h, input).unwrap();
    for _ in 0..10 {
        // Whether there is more for it or not.
        let _ = heartbeat(&mut h, &joined.member_id, joined.generation);
        h.pass(i64::from(REBALANCE_MS) / 10);
        new.step(&mut h);
    }
    assert_eq!(h.describe().members.len(), 1);
    // It says nothing at all.
    let input = join_input(&mut h, "", &[]);
    join(&mut h, input).unwrap();
    h.pass(i64::from(CLASSIC_SESSION_MS));
    assert_eq!(h.describe().members.len(), 1);
}

#[test]
fn s707_joins_of_the_classic_protocol_follow_its_rules() {
    let mut h = Harness::with(ConsumerGroupSettings { members_max: 2, ..ConsumerGroupSettings::default() });
    let mut new = Consumer::new("new");
    new.step(&mut h);
    let mut input = join_input(&mut h, "", &[]);
    input.member_id_required = true;
    assert_eq!(join(&mut h, input), Err(GroupError::MemberIdRequired));
    let mut input = join_input(&mut h, "", &[]);
    input.protocol_type = "connect".to_owned();
    assert_eq!(join(&mut h, input), Err(GroupError::InconsistentGroupProtocol));
    let mut input = join_input(&mut h, "", &[]);
    input.protocols[0].1 = Bytes::from_static(b"?");
    assert_eq!(join(&mut h, input), Err(GroupError::InconsistentGroupProtocol));
    let input = join_input(&mut h, "classic-1", &[]);
    let joined = join(&mut h, input).unwrap();
    assert_eq!(joined.member_id, "classic-1");
    let input = join_input(&mut h, "", &[]);
    assert_eq!(join(&mut h, input), Err(GroupError::GroupMaxSizeReached));
    assert_eq!(sync(&mut h, "classic-1", joined.generation - 1), Err(GroupError::IllegalGeneration));
    assert_eq!(sync(&mut h, "new", new.epoch), Err(GroupError::UnknownMemberId));
    assert_eq!(heartbeat(&mut h, "new", new.epoch), Err(GroupError::UnknownMemberId));
    assert_eq!(leave(&mut h, "new", None), Err(GroupError::UnknownMemberId));
    assert_eq!(leave(&mut h, "classic-1", None), Ok(()));
    assert_eq!(h.describe().members.len(), 1);
}

#[test]
fn s708_a_second_protocol_must_be_common_to_all_classic_members() {
    let mut h = Harness::new();
    Consumer::new("new").step(&mut h);
    let input = join_input(&mut h, "classic-1", &[]);
    join(&mut h, input).unwrap();
    let mut input = join_input(&mut h, "classic-2", &[]);
    input.protocols[0].0 = "range".to_owned();
    assert_eq!(join(&mut h, input), Err(GroupError::InconsistentGroupProtocol));
}

#[test]
fn s709_a_rolling_upgrade_of_static_members() {
    let mut h = Harness::new();
    let mut member = classic_member("old", &[0, 1, 2, 3]);
    member.instance_id = Some("i".to_owned());
    let classic = ClassicGroup { group: GROUP.to_owned(), generation: 7, protocol: None, members: vec![member] };
    let effects = h.groups.adopt(h.now, classic);
    h.carry_out(effects);
    // The same instance comes back with the new protocol, though the old process never said goodbye.
    let mut new = Consumer::of_instance("new", "i");
    new.step(&mut h);
    assert_eq!((new.owned.len(), h.describe().members.len()), (4, 1));
    assert!(h.groups.pop_convertible().is_none());
    // And back again.
    let mut input = join_input(&mut h, "", &[]);
    input.instance_id = Some("i".to_owned());
    let joined = join(&mut h, input).unwrap();
    assert_eq!(sync(&mut h, &joined.member_id, joined.generation).unwrap(), [0, 1, 2, 3]);
    let input = new.beat(&mut h);
    assert_eq!(h.refusal(input), GroupError::FencedInstanceId);
    assert_eq!(h.groups.pop_convertible().unwrap().members.len(), 1);
}

#[test]
fn s710_an_administrator_removes_by_instance() {
    let mut h = Harness::new();
    Consumer::of_instance("a", "i").step(&mut h);
    assert_eq!(leave(&mut h, "", Some("j")), Err(GroupError::UnknownMemberId));
    assert_eq!(leave(&mut h, "", Some("i")), Ok(()));
    assert_eq!(h.state(), ConsumerGroupState::Empty);
}

#[test]
fn s711_a_classic_member_commits_under_its_generation() {
    let mut h = Harness::new();
    adopted(&mut h);
    let commit = |generation: i32| CommitInput {
        group: GROUP.to_owned(),
        generation,
        member_id: "old".to_owned(),
        instance_id: None,
        transactional: false,
    };
    assert_eq!(h.groups.check_commit(&commit(7), &[]), Ok(()));
    assert_eq!(h.groups.check_commit(&commit(6), &[]), Err(GroupError::IllegalGeneration));
}

#[test]
fn s712_an_empty_group_makes_way() {
    let mut h = Harness::new();
    assert_eq!(h.groups.pop_empty(GROUP), Ok(None));
    Consumer::new("a").step(&mut h);
    assert_eq!(h.groups.pop_empty(GROUP), Err(GroupError::NonEmptyGroup));
    h.writes_at_once = false;
    let input = h.bare("a", LEAVE_EPOCH);
    h.send(input);
    assert_eq!(h.groups.pop_empty(GROUP), Err(GroupError::CoordinatorNotAvailable));
    h.write(Ok(()));
    let classic = h.groups.pop_empty(GROUP).unwrap().unwrap();
    assert_eq!((classic.generation, classic.members.len()), (2, 0));
    assert!(h.groups.is_empty() && h.groups.next_deadline_ms().is_none());
}
