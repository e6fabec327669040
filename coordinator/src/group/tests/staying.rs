//! 3xx: Heartbeat, session timeouts and LeaveGroup.

use super::*;

#[test]
fn s301_heartbeats_keep_a_member() {
    let mut h = Harness::new();
    let member = h.stable_one();
    for _ in 0..10 {
        h.pass(i64::from(SESSION_MS) - 1);
        assert_eq!(h.heartbeat(&member, 1), Ok(()));
    }
    h.pass(i64::from(SESSION_MS));
    assert_eq!(h.heartbeat(&member, 1), Err(GroupError::UnknownMemberId));
    assert_eq!(h.state(), State::Empty);
    assert_eq!(h.log[GROUP].members, []);
    assert_eq!(h.log[GROUP].generation, 2);
}

#[test]
fn s302_heartbeats_are_checked() {
    let mut h = Harness::new();
    assert_eq!(h.heartbeat("m", 1), Err(GroupError::UnknownMemberId));
    let member = h.stable_one();
    assert_eq!(h.heartbeat("stranger", 1), Err(GroupError::UnknownMemberId));
    assert_eq!(h.heartbeat(&member, 0), Err(GroupError::IllegalGeneration));
    assert_eq!(h.heartbeat(&member, 2), Err(GroupError::IllegalGeneration));
    let input = HeartbeatInput { group: String::new(), generation: 1, member_id: member, instance_id: None };
    assert_eq!(h.groups.heartbeat(h.now, &input), Err(GroupError::InvalidGroupId));
}

#[test]
fn s303_a_member_that_dies_makes_the_others_share_again() {
    let mut h = Harness::new();
    let (first, second) = h.stable_two();
    h.pass(6_000);
    assert_eq!(h.heartbeat(&second, 2), Ok(()));
    h.pass(4_000);
    assert_eq!(h.heartbeat(&second, 2), Err(GroupError::RebalanceInProgress));
    assert_eq!(h.heartbeat(&first, 2), Err(GroupError::UnknownMemberId));
    let again = h.join_as(&second);
    assert_eq!((h.joined(again).leader, h.joined(again).generation), (second, 3));
}

#[test]
fn s304_a_member_that_leaves_makes_the_others_share_at_once() {
    let mut h = Harness::new();
    let (first, second) = h.stable_two();
    assert_eq!(h.leave(&[(&first, None)]), [Ok(())]);
    assert_eq!(h.heartbeat(&second, 2), Err(GroupError::RebalanceInProgress));
    let again = h.join_as(&second);
    assert_eq!(h.joined(again).leader, second);
    assert_eq!(h.leave(&[(&second, None)]), [Ok(())]);
    assert_eq!(h.state(), State::Empty);
    assert_eq!(h.log[GROUP].members, []);
}

#[test]
fn s305_leaving_is_answered_for_each_member() {
    let mut h = Harness::new();
    assert_eq!(h.leave(&[("m", None), ("n", None)]), [Err(GroupError::UnknownMemberId); 2]);
    let (first, second) = h.stable_two();
    let results = h.leave(&[
        (&first, None),
        ("stranger", None),
        (&second, Some("i")),
        ("", None),
        ("", Some("i")),
        (&first, None),
    ]);
    let unknown = Err(GroupError::UnknownMemberId);
    assert_eq!(results, [Ok(()), unknown, unknown, unknown, unknown, unknown]);
    assert_eq!(h.leave(&[("stranger", None)]), [Err(GroupError::UnknownMemberId)]);
}

#[test]
fn s306_several_members_leave_with_one_rebalance() {
    let mut h = Harness::new();
    let (first, second) = h.stable_two();
    assert_eq!(h.leave(&[(&first, None), (&second, None)]), [Ok(()), Ok(())]);
    assert_eq!((h.state(), h.generation()), (State::Empty, 3));
}

#[test]
fn s307_leaving_answers_what_the_member_waits_for() {
    let mut h = Harness::new();
    let (first, second) = h.stable_two();
    let join = h.join_as(&first);
    h.leave(&[(&first, None)]);
    assert_eq!(h.refused(join), GroupError::UnknownMemberId);
    let again = h.join_as(&second);
    assert_eq!(h.joined(again).generation, 3);
    let newcomer = h.join_as("");
    h.join_as(&second);
    let third = h.joined(newcomer).member_id;
    let sync = h.sync(&third, 4, &[]);
    h.leave(&[(&third, None)]);
    assert_eq!(h.refused(sync), GroupError::UnknownMemberId);
}

#[test]
fn s308_the_last_missing_member_leaving_completes_the_rebalance() {
    let mut h = Harness::new();
    let (first, second) = h.stable_two();
    let again = h.join_as(&first);
    assert!(h.is_waiting(again));
    h.leave(&[(&second, None)]);
    assert_eq!(h.joined(again).members.len(), 1);
}

#[test]
fn s309_a_pending_id_can_leave() {
    let mut h = Harness::new();
    let first = h.stable_one();
    let input = JoinInput { member_id_required: true, ..h.join_input("") };
    let ticket = h.join(input);
    let Some(Response::Join(Err(refused))) = h.answers.get(&ticket).cloned() else { panic!() };
    let again = h.join_as(&first);
    assert!(h.is_waiting(again));
    assert_eq!(h.heartbeat(&refused.member_id, 1), Err(GroupError::UnknownMemberId));
    assert_eq!(h.leave(&[(&refused.member_id, None)]), [Ok(())]);
    assert_eq!(h.joined(again).generation, 2);
}

#[test]
fn s310_everyone_gone_during_the_initial_delay() {
    let mut h = Harness::with(GroupSettings { initial_rebalance_delay_ms: 1_000, ..settings() });
    let ticket = h.join_as("");
    let member = h.groups.describe(GROUP).unwrap().members[0].member_id.clone();
    h.leave(&[(&member, None)]);
    assert_eq!(h.refused(ticket), GroupError::UnknownMemberId);
    h.pass(1_000);
    assert!(h.groups.is_empty());
    assert!(h.log.is_empty());
}

#[test]
fn s311_a_clock_that_steps_back_is_ignored() {
    let mut h = Harness::new();
    let member = h.stable_one();
    h.now -= 500_000;
    assert_eq!(h.heartbeat(&member, 1), Ok(()));
    h.now += 500_000 + i64::from(SESSION_MS) - 1;
    assert_eq!(h.heartbeat(&member, 1), Ok(()));
}

#[test]
fn s312_timers_of_many_groups_run_in_order() {
    let mut h = Harness::new();
    for number in 0..50 {
        let input = JoinInput {
            group: format!("g{number:02}"),
            session_timeout_ms: 6_000 + 100 * (number % 7),
            ..h.join_input("")
        };
        h.join(input);
    }
    assert_eq!(h.groups.next_deadline_ms(), Some(h.now + 6_000));
    h.pass(10_000_000);
    assert!(h.groups.is_empty(), "nothing was ever written, so nothing stays");
    assert_eq!(h.groups.next_deadline_ms(), None);
}
