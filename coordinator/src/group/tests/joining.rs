//! 1xx: JoinGroup and the joining phase. 2xx: SyncGroup.

use super::*;

#[test]
fn s101_a_first_member_leads_alone() {
    let mut h = Harness::new();
    let ticket = h.join_as("");
    let joined = h.joined(ticket);
    assert_eq!((joined.generation, joined.protocol.as_str(), joined.protocol_type.as_str()), (1, "range", "consumer"));
    assert_eq!(joined.leader, joined.member_id);
    assert!(joined.member_id.starts_with("client-"));
    assert_eq!(
        joined.members,
        [JoinedMember { member_id: joined.member_id.clone(), instance_id: None, metadata: subscription(&["t"]) }]
    );
    assert_eq!(h.state(), State::CompletingRebalance);
    let sync = h.sync(&joined.member_id, 1, &[(&joined.member_id, "all")]);
    assert_eq!(h.assignment(sync), "all");
    assert_eq!(h.state(), State::Stable);
    assert_eq!(h.log[GROUP].members[0].assignment, "all");
}

#[test]
fn s102_a_second_member_makes_the_first_join_again() {
    let mut h = Harness::new();
    let first = h.stable_one();
    let newcomer = h.join_as("");
    assert!(h.is_waiting(newcomer));
    assert_eq!(h.heartbeat(&first, 1), Err(GroupError::RebalanceInProgress));
    let again = h.join_as(&first);
    let (led, followed) = (h.joined(again), h.joined(newcomer));
    assert_eq!((led.generation, followed.generation), (2, 2));
    assert_eq!(led.members.len(), 2);
    assert!(followed.members.is_empty());
    assert_eq!(followed.leader, first);
    let waiting = h.sync(&followed.member_id, 2, &[]);
    assert!(h.is_waiting(waiting));
    let leader = h.sync(&first, 2, &[(&first, "0"), (&followed.member_id, "1"), ("stranger", "9")]);
    assert_eq!((h.assignment(leader).as_str(), h.assignment(waiting).as_str()), ("0", "1"));
}

#[test]
fn s103_a_new_member_is_first_told_its_id() {
    let mut h = Harness::new();
    let input = JoinInput { member_id_required: true, ..h.join_input("") };
    let ticket = h.join(input.clone());
    let Some(Response::Join(Err(refused))) = h.answers.get(&ticket).cloned() else { panic!() };
    assert_eq!(refused.error, GroupError::MemberIdRequired);
    let back = JoinInput { ticket: h.ticket(), member_id: refused.member_id.clone(), ..input };
    let ticket = h.join(back);
    assert_eq!(h.joined(ticket).member_id, refused.member_id);
}

#[test]
fn s104_a_pending_id_is_forgotten_after_the_session_timeout() {
    let mut h = Harness::new();
    let input = JoinInput { member_id_required: true, ..h.join_input("") };
    let ticket = h.join(input);
    let Some(Response::Join(Err(refused))) = h.answers.get(&ticket).cloned() else { panic!() };
    assert_eq!(h.groups.len(), 1);
    h.pass(i64::from(SESSION_MS));
    assert_eq!(h.groups.len(), 0, "a group that nobody entered leaves nothing behind");
    let late = h.join_as(&refused.member_id);
    assert_eq!(h.refused(late), GroupError::UnknownMemberId);
}

#[test]
fn s105_a_rebalance_waits_for_pending_ids() {
    let mut h = Harness::new();
    let first = h.stable_one();
    let input = JoinInput { member_id_required: true, ..h.join_input("") };
    h.join(input);
    let again = h.join_as(&first);
    assert!(h.is_waiting(again), "somebody is about to come");
    h.pass(i64::from(SESSION_MS));
    assert_eq!(h.joined(again).generation, 2);
}

#[test]
fn s106_ids_that_are_unknown_or_do_not_fit_are_refused() {
    let mut h = Harness::new();
    let stranger = h.join_as("stranger");
    assert_eq!(h.refused(stranger), GroupError::UnknownMemberId);
    assert!(h.groups.is_empty());
    h.stable_one();
    let stranger = h.join_as("stranger");
    assert_eq!(h.refused(stranger), GroupError::UnknownMemberId);
    let input = JoinInput { group: String::new(), ..h.join_input("") };
    let nameless = h.join(input);
    assert_eq!(h.refused(nameless), GroupError::InvalidGroupId);
}

#[test]
fn s107_session_timeouts_outside_the_bounds_are_refused() {
    let mut h = Harness::new();
    for session_timeout_ms in [-1, 0, 5_999, 1_800_001] {
        let input = JoinInput { session_timeout_ms, ..h.join_input("") };
        let ticket = h.join(input);
        assert_eq!(h.refused(ticket), GroupError::InvalidSessionTimeout);
    }
    for session_timeout_ms in [6_000, 1_800_000] {
        let input = JoinInput { session_timeout_ms, group: session_timeout_ms.to_string(), ..h.join_input("") };
        let ticket = h.join(input);
        h.joined(ticket);
    }
}

#[test]
fn s108_protocols_must_fit() {
    let mut h = Harness::new();
    for (protocol_type, protocols) in [("", vec![("range", "")]), ("consumer", vec![])] {
        let protocols = protocols.into_iter().map(|(name, _)| (name.to_owned(), Bytes::new())).collect();
        let input = JoinInput { protocol_type: protocol_type.to_owned(), protocols, ..h.join_input("") };
        let ticket = h.join(input);
        assert_eq!(h.refused(ticket), GroupError::InconsistentGroupProtocol);
    }
    assert!(h.groups.is_empty());
    h.stable_one();
    let input = JoinInput { protocol_type: "connect".to_owned(), ..h.join_input("") };
    let other_type = h.join(input);
    assert_eq!(h.refused(other_type), GroupError::InconsistentGroupProtocol);
    let input = JoinInput { protocols: vec![("sticky".to_owned(), Bytes::new())], ..h.join_input("") };
    let nothing_shared = h.join(input);
    assert_eq!(h.refused(nothing_shared), GroupError::InconsistentGroupProtocol);
    assert_eq!(h.state(), State::Stable);
}

#[test]
fn s109_the_protocol_with_the_most_votes_is_chosen_among_those_all_support() {
    let mut h = Harness::with(GroupSettings { initial_rebalance_delay_ms: 100, ..settings() });
    let mut tickets = Vec::new();
    for names in [["a", "b", "c"], ["b", "a", "d"], ["b", "a", "c"]] {
        let protocols = names.iter().map(|name| ((*name).to_owned(), Bytes::new())).collect();
        let input = JoinInput { protocols, ..h.join_input("") };
        tickets.push(h.join(input));
    }
    h.pass(300);
    for ticket in tickets {
        assert_eq!(h.joined(ticket).protocol, "b");
    }
}

#[test]
fn s110_an_empty_group_waits_for_company_while_it_comes() {
    let mut h = Harness::with(GroupSettings { initial_rebalance_delay_ms: 1_000, ..settings() });
    let first = h.join_as("");
    h.pass(900);
    let second = h.join_as("");
    h.pass(900);
    assert!(h.is_waiting(first), "the delay is granted again because somebody came");
    h.pass(200);
    assert_eq!((h.joined(first).generation, h.joined(second).generation), (1, 1));
    assert_eq!(h.joined(first).members.len(), 2);
}

#[test]
fn s111_the_initial_delay_ends_with_the_rebalance_timeout() {
    let mut h = Harness::with(GroupSettings { initial_rebalance_delay_ms: 1_000, ..settings() });
    let input = JoinInput { rebalance_timeout_ms: 2_500, ..h.join_input("") };
    let first = h.join(input);
    for _ in 0..5 {
        h.pass(490);
        assert!(h.is_waiting(first));
        let input = JoinInput { rebalance_timeout_ms: 2_500, ..h.join_input("") };
        h.join(input);
    }
    h.pass(50);
    assert_eq!(h.joined(first).members.len(), 6);
}

#[test]
fn s112_a_full_group_takes_nobody_and_keeps_whom_it_has() {
    let mut h = Harness::with(GroupSettings { members_max: 2, ..settings() });
    let (first, _) = h.stable_two();
    let third = h.join_as("");
    assert_eq!(h.refused(third), GroupError::GroupMaxSizeReached);
    assert_eq!(h.state(), State::Stable);
    let again = h.join_as(&first);
    assert!(h.is_waiting(again));
    assert_eq!(h.state(), State::PreparingRebalance);
}

#[test]
fn s113_a_follower_with_nothing_new_learns_the_generation() {
    let mut h = Harness::new();
    let (_, second) = h.stable_two();
    let ticket = h.join_as(&second);
    assert_eq!(h.joined(ticket).generation, 2);
    assert_eq!(h.state(), State::Stable);
}

#[test]
fn s114_a_leader_that_joins_again_or_a_changed_follower_rebalances() {
    let mut h = Harness::new();
    let (first, second) = h.stable_two();
    let led = h.join_as(&first);
    assert_eq!(h.state(), State::PreparingRebalance);
    let followed = h.join_as(&second);
    assert_eq!((h.joined(led).generation, h.joined(followed).generation), (3, 3));
    h.sync(&first, 3, &[]);
    h.sync(&second, 3, &[]);
    let input = JoinInput { protocols: vec![("range".to_owned(), subscription(&["t", "u"]))], ..h.join_input(&second) };
    h.join(input);
    assert_eq!(h.state(), State::PreparingRebalance);
}

#[test]
fn s115_joining_again_while_the_assignment_is_awaited() {
    let mut h = Harness::new();
    let first = h.stable_one();
    let newcomer = h.join_as("");
    h.join_as(&first);
    let second = h.joined(newcomer).member_id;
    let repeated = h.join_as(&second);
    assert_eq!(h.joined(repeated).generation, 2, "the same answer again");
    let repeated = h.join_as(&first);
    assert_eq!(h.joined(repeated).members.len(), 2, "the leader needs the members again");
    let waiting = h.sync(&second, 2, &[]);
    let third = h.join_as("");
    assert_eq!(h.refused(waiting), GroupError::RebalanceInProgress);
    assert_eq!(h.state(), State::PreparingRebalance);
    assert!(h.is_waiting(third));
}

#[test]
fn s116_who_does_not_join_again_in_time_is_removed() {
    let mut h = Harness::new();
    let (first, second) = h.stable_two();
    let again = h.join_as(&first);
    for _ in 0..REBALANCE_MS / 5_000 {
        assert!(h.is_waiting(again));
        assert_eq!(h.heartbeat(&second, 2), Err(GroupError::RebalanceInProgress));
        h.pass(5_000);
    }
    let joined = h.joined(again);
    assert_eq!((joined.generation, joined.members.len()), (3, 1));
    assert_eq!(h.heartbeat(&second, 2), Err(GroupError::UnknownMemberId));
}

#[test]
fn s117_a_leader_who_does_not_come_back_is_replaced() {
    let mut h = Harness::new();
    let (first, second) = h.stable_two();
    let third = h.join_as("");
    let again = h.join_as(&second);
    h.pass(i64::from(SESSION_MS));
    let leader = h.joined(again).leader;
    assert_ne!(leader, first);
    assert!([second, h.joined(third).member_id].contains(&leader));
}

#[test]
fn s118_a_join_sent_twice_answers_the_second() {
    let mut h = Harness::new();
    let (first, second) = h.stable_two();
    let earlier = h.join_as(&first);
    let later = h.join_as(&first);
    assert_eq!(h.refused(earlier), GroupError::RebalanceInProgress);
    h.join_as(&second);
    assert_eq!(h.joined(later).generation, 3);
}

#[test]
fn s119_a_new_member_that_waits_too_long_is_taken_for_dead() {
    let mut h = Harness::with(GroupSettings { new_member_join_timeout_ms: 20_000, ..settings() });
    let first = h.stable_one();
    let newcomer = h.join_as("");
    for _ in 0..4 {
        assert!(h.is_waiting(newcomer));
        h.pass(5_000);
        let _ = h.heartbeat(&first, 1);
    }
    assert_eq!(h.refused(newcomer), GroupError::UnknownMemberId);
}

#[test]
fn s120_members_bring_no_more_than_the_limits() {
    let mut h = Harness::with(GroupSettings {
        metadata_bytes_max: 100,
        protocols_max: 2,
        id_bytes_max: 50,
        groups_max: 1,
        ..settings()
    });
    let many = (0..3).map(|n| (n.to_string(), Bytes::new())).collect();
    let large = vec![("range".to_owned(), Bytes::from(vec![0; 100]))];
    let inputs = [
        JoinInput { protocols: many, ..h.join_input("") },
        JoinInput { protocols: large, ..h.join_input("") },
        JoinInput { client_id: "c".repeat(51), ..h.join_input("") },
        JoinInput { instance_id: Some("i".repeat(51)), ..h.join_input("") },
    ];
    for input in inputs {
        let ticket = h.join(input);
        assert_eq!(h.refused(ticket), GroupError::MetadataTooLarge);
    }
    h.stable_one();
    let input = JoinInput { group: "another".to_owned(), ..h.join_input("") };
    let ticket = h.join(input);
    assert_eq!(h.refused(ticket), GroupError::TooManyGroups);
}

#[test]
fn s121_a_protocol_offered_twice_counts_once() {
    let mut h = Harness::new();
    let twice = vec![("range".to_owned(), Bytes::new()), ("range".to_owned(), Bytes::new())];
    let input = JoinInput { protocols: twice, ..h.join_input("") };
    let ticket = h.join(input);
    let first = h.joined(ticket).member_id;
    let newcomer = h.join_as("");
    let again = h.join_as(&first);
    assert_eq!((h.joined(newcomer).protocol.as_str(), h.joined(again).generation), ("range", 2));
}

#[test]
fn s122_without_a_rebalance_timeout_the_session_timeout_counts() {
    let mut h = Harness::new();
    let input = JoinInput { rebalance_timeout_ms: -1, ..h.join_input("") };
    h.join(input);
    assert_eq!(h.groups.groups[GROUP].rebalance_timeout_ms(), SESSION_MS);
}

#[test]
fn s201_sync_checks_member_generation_and_protocol() {
    let mut h = Harness::new();
    let nowhere = h.sync("m", 1, &[]);
    assert_eq!(h.refused(nowhere), GroupError::UnknownMemberId);
    let ticket = h.join_as("");
    let member = h.joined(ticket).member_id;
    let cases = [
        (SyncInput { member_id: "stranger".to_owned(), ..h.sync_input(&member, 1, &[]) }, GroupError::UnknownMemberId),
        (h.sync_input(&member, 0, &[]), GroupError::IllegalGeneration),
        (h.sync_input(&member, 2, &[]), GroupError::IllegalGeneration),
        (
            SyncInput { protocol_type: Some("connect".to_owned()), ..h.sync_input(&member, 1, &[]) },
            GroupError::InconsistentGroupProtocol,
        ),
        (
            SyncInput { protocol: Some("sticky".to_owned()), ..h.sync_input(&member, 1, &[]) },
            GroupError::InconsistentGroupProtocol,
        ),
        (SyncInput { instance_id: Some("i".to_owned()), ..h.sync_input(&member, 1, &[]) }, GroupError::UnknownMemberId),
    ];
    for (number, (input, error)) in cases.into_iter().enumerate() {
        let input = SyncInput { ticket: h.ticket(), ..input };
        let ticket = h.sync_with(input);
        assert_eq!(h.refused(ticket), error, "case {number}");
    }
    let right = SyncInput {
        protocol_type: Some("consumer".to_owned()),
        protocol: Some("range".to_owned()),
        ..h.sync_input(&member, 1, &[(&member, "all")])
    };
    let ticket = h.sync_with(right);
    assert_eq!(h.assignment(ticket), "all");
}

#[test]
fn s202_a_stable_group_gives_the_assignment_again() {
    let mut h = Harness::new();
    let (first, second) = h.stable_two();
    let repeated = [h.sync(&first, 2, &[]), h.sync(&second, 2, &[])].map(|ticket| h.assignment(ticket));
    assert_eq!(repeated, ["0", "1"]);
}

#[test]
fn s203_a_member_that_never_syncs_is_removed() {
    let mut h = Harness::new();
    let first = h.stable_one();
    let newcomer = h.join_as("");
    h.join_as(&first);
    let second = h.joined(newcomer).member_id;
    h.sync(&first, 2, &[(&first, "0"), (&second, "1")]);
    assert_eq!(h.state(), State::Stable);
    for _ in 0..REBALANCE_MS / 5_000 {
        h.pass(5_000);
        let _ = h.heartbeat(&first, 2);
        let _ = h.heartbeat(&second, 2);
    }
    assert_eq!(h.heartbeat(&second, 2), Err(GroupError::UnknownMemberId));
    assert_eq!(h.heartbeat(&first, 2), Err(GroupError::RebalanceInProgress));
}

#[test]
fn s204_a_leader_that_never_syncs_is_removed_and_its_followers_join_again() {
    let mut h = Harness::new();
    let first = h.stable_one();
    let newcomer = h.join_as("");
    h.join_as(&first);
    let second = h.joined(newcomer).member_id;
    let waiting = h.sync(&second, 2, &[]);
    for _ in 0..REBALANCE_MS / 5_000 {
        h.pass(5_000);
        let _ = h.heartbeat(&first, 2);
    }
    assert_eq!(h.refused(waiting), GroupError::RebalanceInProgress);
    assert_eq!(h.heartbeat(&first, 2), Err(GroupError::UnknownMemberId));
    let again = h.join_as(&second);
    assert_eq!(h.joined(again).leader, second);
}

#[test]
fn s205_who_waits_for_an_assignment_does_not_time_out() {
    let mut h = Harness::new();
    let first = h.stable_one();
    let newcomer = h.join_as("");
    h.join_as(&first);
    let second = h.joined(newcomer).member_id;
    let waiting = h.sync(&second, 2, &[]);
    for _ in 0..5 {
        h.pass(5_000);
        assert_eq!(h.heartbeat(&first, 2), Ok(()));
    }
    assert!(h.is_waiting(waiting));
    h.sync(&first, 2, &[(&second, "1")]);
    assert_eq!(h.assignment(waiting), "1");
}

#[test]
fn s206_a_sync_during_the_joining_phase_is_sent_back() {
    let mut h = Harness::new();
    let (first, second) = h.stable_two();
    h.join_as(&first);
    let ticket = h.sync(&second, 2, &[]);
    assert_eq!(h.refused(ticket), GroupError::RebalanceInProgress);
}

#[test]
fn s207_a_sync_sent_twice_answers_the_second() {
    let mut h = Harness::new();
    let first = h.stable_one();
    let newcomer = h.join_as("");
    h.join_as(&first);
    let second = h.joined(newcomer).member_id;
    let earlier = h.sync(&second, 2, &[]);
    let later = h.sync(&second, 2, &[]);
    assert_eq!(h.refused(earlier), GroupError::RebalanceInProgress);
    h.sync(&first, 2, &[(&second, "1")]);
    assert_eq!(h.assignment(later), "1");
}
