//! 4xx: static members (KIP-345).

use super::*;

impl Harness {
    /// Two static members, `i` who leads and `j`, stable at generation 2.
    fn stable_instances(&mut self) -> (String, String) {
        let ticket = self.join_instance("i");
        let first = self.joined(ticket).member_id;
        self.sync(&first, 1, &[]);
        let newcomer = self.join_instance("j");
        let input = JoinInput { instance_id: Some("i".to_owned()), ..self.join_input(&first) };
        self.join(input);
        let second = self.joined(newcomer).member_id;
        self.sync(&first, 2, &[(&first, "0"), (&second, "1")]);
        self.sync(&second, 2, &[]);
        assert_eq!((self.state(), self.generation()), (State::Stable, 2));
        (first, second)
    }

    fn heartbeat_instance(&mut self, member_id: &str, instance_id: &str) -> Result<(), GroupError> {
        let generation = self.generation();
        let instance_id = Some(instance_id.to_owned());
        let input =
            HeartbeatInput { group: GROUP.to_owned(), generation, member_id: member_id.to_owned(), instance_id };
        self.groups.heartbeat(self.now, &input)
    }
}

#[test]
fn s401_a_restarted_follower_goes_on_without_a_rebalance() {
    let mut h = Harness::new();
    let (first, second) = h.stable_instances();
    let ticket = h.join_instance("j");
    let joined = h.joined(ticket);
    assert_ne!(joined.member_id, second);
    assert!(joined.member_id.starts_with("j-"));
    assert_eq!((joined.generation, joined.leader), (2, first));
    assert_eq!(h.state(), State::Stable);
    let sync = h.sync(&joined.member_id, 2, &[]);
    assert_eq!(h.assignment(sync), "1");
    assert_eq!(h.heartbeat_instance(&second, "j"), Err(GroupError::FencedInstanceId));
    assert_eq!(h.heartbeat_instance(&joined.member_id, "j"), Ok(()));
    assert!(h.log[GROUP].members.iter().any(|member| member.member_id == joined.member_id), "the new id is written");
}

#[test]
fn s402_a_restarted_leader_of_an_old_client_does_not_see_itself_lead() {
    let mut h = Harness::new();
    let (first, _) = h.stable_instances();
    let ticket = h.join_instance("i");
    let joined = h.joined(ticket);
    assert_eq!(joined.leader, first);
    assert_ne!(joined.member_id, first);
    assert!(joined.members.is_empty());
    assert!(!joined.skip_assignment);
    let sync = h.sync(&joined.member_id, 2, &[]);
    assert_eq!(h.assignment(sync), "0");
    assert_eq!(h.log[GROUP].leader.as_deref(), Some(joined.member_id.as_str()));
}

#[test]
fn s403_a_restarted_leader_of_a_new_client_leads_and_skips_the_assignment() {
    let mut h = Harness::new();
    h.stable_instances();
    for (instance_id, leads) in [("i", true), ("j", false)] {
        let input = JoinInput {
            instance_id: Some(instance_id.to_owned()),
            skip_assignment_supported: true,
            ..h.join_input("")
        };
        let ticket = h.join(input);
        let joined = h.joined(ticket);
        assert_eq!((joined.skip_assignment, joined.leader == joined.member_id), (leads, leads));
        assert_eq!(joined.members.len(), if leads { 2 } else { 0 });
    }
}

#[test]
fn s404_changed_topics_rebalance_changed_user_data_does_not() {
    let mut h = Harness::new();
    h.stable_instances();
    let mut with_data = subscription(&["t"]).to_vec();
    with_data.truncate(with_data.len() - 4);
    with_data.extend([0, 0, 0, 1, 42]);
    let input = JoinInput {
        instance_id: Some("j".to_owned()),
        protocols: vec![("range".to_owned(), with_data.into())],
        ..h.join_input("")
    };
    let ticket = h.join(input);
    assert_eq!(h.joined(ticket).generation, 2);
    let input = JoinInput {
        instance_id: Some("j".to_owned()),
        protocols: vec![("range".to_owned(), subscription(&["t", "u"]))],
        ..h.join_input("")
    };
    let ticket = h.join(input);
    assert!(h.is_waiting(ticket));
    assert_eq!(h.state(), State::PreparingRebalance);
}

#[test]
fn s405_a_replacement_that_changes_the_vote_rebalances() {
    let mut h = Harness::new();
    let protocols: Vec<_> = ["a", "b"].iter().map(|name| ((*name).to_owned(), Bytes::new())).collect();
    let input = JoinInput { instance_id: Some("i".to_owned()), protocols: protocols.clone(), ..h.join_input("") };
    let ticket = h.join(input);
    let member = h.joined(ticket);
    assert_eq!(member.protocol, "a");
    h.sync(&member.member_id, 1, &[]);
    let protocols = protocols.into_iter().rev().collect();
    let input = JoinInput { instance_id: Some("i".to_owned()), protocols, ..h.join_input("") };
    let ticket = h.join(input);
    assert_eq!((h.joined(ticket).protocol.as_str(), h.joined(ticket).generation), ("b", 2));
}

#[test]
fn s406_a_restart_while_the_assignment_is_awaited_rebalances() {
    let mut h = Harness::new();
    let (first, second) = h.stable_instances();
    let input = JoinInput { instance_id: Some("i".to_owned()), ..h.join_input(&first) };
    h.join(input);
    let input = JoinInput { instance_id: Some("j".to_owned()), ..h.join_input(&second) };
    h.join(input);
    assert_eq!(h.state(), State::CompletingRebalance);
    let sync = h.sync(&second, 3, &[]);
    let ticket = h.join_instance("j");
    assert_eq!(h.refused(sync), GroupError::FencedInstanceId);
    assert_eq!(h.state(), State::PreparingRebalance);
    assert!(h.is_waiting(ticket));
}

#[test]
fn s407_a_restart_during_the_joining_phase_takes_the_place() {
    let mut h = Harness::new();
    let (first, second) = h.stable_instances();
    let input = JoinInput {
        instance_id: Some("j".to_owned()),
        protocols: vec![("range".to_owned(), subscription(&["u"]))],
        ..h.join_input(&second)
    };
    let old = h.join(input);
    let new = h.join_instance("j");
    assert_eq!(h.refused(old), GroupError::FencedInstanceId);
    let input = JoinInput { instance_id: Some("i".to_owned()), ..h.join_input(&first) };
    h.join(input);
    assert_eq!((h.joined(new).generation, h.groups.describe(GROUP).unwrap().members.len()), (3, 2));
}

#[test]
fn s408_requests_with_a_fenced_id_are_refused() {
    let mut h = Harness::new();
    let (_, second) = h.stable_instances();
    h.join_instance("j");
    let instance = Some("j".to_owned());
    let input = SyncInput { instance_id: instance.clone(), ..h.sync_input(&second, 2, &[]) };
    let sync = h.sync_with(input);
    assert_eq!(h.refused(sync), GroupError::FencedInstanceId);
    let input = JoinInput { instance_id: instance.clone(), ..h.join_input(&second) };
    let join = h.join(input);
    assert_eq!(h.refused(join), GroupError::FencedInstanceId);
    assert_eq!(h.leave(&[(&second, Some("j"))]), [Err(GroupError::FencedInstanceId)]);
    let input = CommitInput {
        group: GROUP.to_owned(),
        generation: 2,
        member_id: second,
        instance_id: instance,
        transactional: false,
    };
    assert_eq!(h.groups.check_commit(h.now, &input), Err(GroupError::FencedInstanceId));
}

#[test]
fn s409_static_members_outlive_a_rebalance_they_miss() {
    let mut h = Harness::new();
    let mut inputs = Vec::new();
    for _ in 0..2 {
        inputs.push(JoinInput { session_timeout_ms: 300_000, ..h.join_input("") });
    }
    inputs[1].instance_id = Some("i".to_owned());
    let ticket = h.join(inputs[0].clone());
    let first = h.joined(ticket).member_id;
    let newcomer = h.join(inputs[1].clone());
    let again = JoinInput { ticket: h.ticket(), member_id: first.clone(), ..inputs[0].clone() };
    h.join(again);
    let second = h.joined(newcomer).member_id;
    h.sync(&first, 2, &[]);
    h.sync(&second, 2, &[]);
    let again = JoinInput { ticket: h.ticket(), member_id: first.clone(), ..inputs[0].clone() };
    let again = h.join(again);
    h.pass(i64::from(REBALANCE_MS));
    assert_eq!((h.joined(again).generation, h.joined(again).members.len()), (3, 2));
    h.sync(&first, 3, &[]);
    assert_eq!(h.state(), State::Stable);
    h.pass(i64::from(REBALANCE_MS));
    assert_eq!(h.groups.describe(GROUP).unwrap().members.len(), 1, "but it must sync within the rebalance timeout");
}

#[test]
fn s410_a_group_whose_static_members_all_stay_away_waits_for_their_sessions() {
    let mut h = Harness::new();
    let input = JoinInput { instance_id: Some("i".to_owned()), session_timeout_ms: 200_000, ..h.join_input("") };
    let ticket = h.join(input);
    let first = h.joined(ticket).member_id;
    h.sync(&first, 1, &[]);
    let newcomer = h.join_as("");
    let second = h
        .groups
        .describe(GROUP)
        .unwrap()
        .members
        .iter()
        .find(|member| member.instance_id.is_none())
        .unwrap()
        .member_id
        .clone();
    h.leave(&[(&second, None)]);
    assert_eq!(h.refused(newcomer), GroupError::UnknownMemberId);
    h.pass(3 * i64::from(REBALANCE_MS));
    assert_eq!(h.state(), State::PreparingRebalance);
    h.pass(i64::from(REBALANCE_MS));
    assert_eq!(h.state(), State::Empty);
}

#[test]
fn s411_an_administrator_removes_by_instance_id() {
    let mut h = Harness::new();
    let (first, _) = h.stable_instances();
    assert_eq!(h.leave(&[("", Some("j")), ("", Some("k"))]), [Ok(()), Err(GroupError::UnknownMemberId)]);
    assert_eq!(h.heartbeat_instance(&first, "i"), Err(GroupError::RebalanceInProgress));
    assert_eq!(h.groups.describe(GROUP).unwrap().members.len(), 1);
}

#[test]
fn s412_a_pending_id_cannot_become_static() {
    let mut h = Harness::new();
    let input = JoinInput { member_id_required: true, ..h.join_input("") };
    let ticket = h.join(input);
    let Some(Response::Join(Err(refused))) = h.answers.get(&ticket).cloned() else { panic!() };
    let input = JoinInput { instance_id: Some("i".to_owned()), ..h.join_input(&refused.member_id) };
    let ticket = h.join(input);
    assert_eq!(h.refused(ticket), GroupError::UnknownMemberId);
}

#[test]
fn s413_a_restarted_static_member_finds_room_in_a_full_group() {
    let mut h = Harness::with(GroupSettings { members_max: 2, ..settings() });
    h.stable_instances();
    let ticket = h.join_instance("j");
    h.joined(ticket);
    let ticket = h.join_instance("k");
    assert_eq!(h.refused(ticket), GroupError::GroupMaxSizeReached);
}
