//! 7xx: what is written when, what follows when it is not, and restarts.

use super::*;

impl Harness {
    /// The coordinator is gone; another takes the groups over from the log.
    pub(super) fn restart(&mut self) {
        let settings = self.groups.settings().clone();
        self.groups = Groups::new(settings);
        self.unwritten.clear();
        for (group, record) in self.log.clone() {
            let effects = self.groups.restore(self.now, &group, Some(record));
            self.carry_out(effects);
        }
    }
}

#[test]
fn s701_nobody_gets_an_assignment_that_is_not_written() {
    let mut h = Harness::new();
    let first = h.stable_one();
    let newcomer = h.join_as("");
    h.join_as(&first);
    let second = h.joined(newcomer).member_id;
    h.writes_at_once = false;
    let follower = h.sync(&second, 2, &[]);
    let leader = h.sync(&first, 2, &[(&first, "0"), (&second, "1")]);
    assert!(h.is_waiting(follower) && h.is_waiting(leader));
    assert_eq!(h.state(), State::CompletingRebalance);
    assert_eq!(h.heartbeat(&first, 2), Ok(()));
    h.pass(5 * i64::from(SESSION_MS));
    h.write(Ok(()));
    assert_eq!((h.assignment(follower).as_str(), h.assignment(leader).as_str()), ("1", "0"));
    assert_eq!(h.state(), State::Stable);
}

#[test]
fn s702_an_assignment_that_cannot_be_written_is_answered_and_made_again() {
    for (error, answer) in [
        (PersistError::Unavailable, GroupError::CoordinatorNotAvailable),
        (PersistError::Unknown, GroupError::CoordinatorNotAvailable),
        (PersistError::NotCoordinator, GroupError::NotCoordinator),
        (PersistError::TooLarge, GroupError::RecordTooLarge),
    ] {
        let mut h = Harness::new();
        let ticket = h.join_as("");
        let member = h.joined(ticket).member_id;
        h.writes_at_once = false;
        let sync = h.sync(&member, 1, &[(&member, "all")]);
        h.write(Err(error));
        assert_eq!(h.refused(sync), answer);
        assert_eq!(h.heartbeat(&member, 1), Err(GroupError::RebalanceInProgress));
        let ticket = h.join_as(&member);
        assert_eq!(h.joined(ticket).generation, 2);
        let sync = h.sync(&member, 2, &[(&member, "all")]);
        h.write(Ok(()));
        assert_eq!(h.assignment(sync), "all");
    }
}

#[test]
fn s703_a_write_that_ends_after_the_group_moved_on_changes_nothing() {
    let mut h = Harness::new();
    let ticket = h.join_as("");
    let first = h.joined(ticket).member_id;
    h.writes_at_once = false;
    let sync = h.sync(&first, 1, &[(&first, "all")]);
    let newcomer = h.join_as("");
    assert_eq!(h.refused(sync), GroupError::RebalanceInProgress);
    h.join_as(&first);
    let second = h.joined(newcomer).member_id;
    let follower = h.sync(&second, 2, &[]);
    h.sync(&first, 2, &[(&second, "1")]);
    assert_eq!(h.unwritten.len(), 1, "one change at a time");
    h.write(Ok(()));
    assert!(h.is_waiting(follower), "that was the earlier generation's");
    h.write(Ok(()));
    assert_eq!(h.assignment(follower), "1");
    assert_eq!(h.log[GROUP].generation, 2);
}

#[test]
fn s704_a_leader_that_syncs_twice_writes_once() {
    let mut h = Harness::new();
    let ticket = h.join_as("");
    let member = h.joined(ticket).member_id;
    h.writes_at_once = false;
    let earlier = h.sync(&member, 1, &[(&member, "first")]);
    let later = h.sync(&member, 1, &[(&member, "second")]);
    assert_eq!(h.refused(earlier), GroupError::RebalanceInProgress);
    h.write(Ok(()));
    assert!(h.unwritten.is_empty());
    assert_eq!(h.assignment(later), "first");
    assert_eq!(h.log[GROUP].members[0].assignment, "first");
}

#[test]
fn s705_an_empty_group_is_written_until_it_is() {
    let mut h = Harness::new();
    let member = h.stable_one();
    h.writes_at_once = false;
    h.leave(&[(&member, None)]);
    for _ in 0..3 {
        h.write(Err(PersistError::Unknown));
        assert_eq!(h.unwritten.len(), 0);
        let delete = h.delete(GROUP);
        assert_eq!(h.refused(delete), GroupError::CoordinatorNotAvailable);
        h.pass(1_000);
        assert_eq!(h.unwritten.len(), 1);
    }
    h.write(Ok(()));
    h.pass(100_000);
    assert!(h.unwritten.is_empty());
    assert_eq!(h.log[GROUP].members, []);
}

#[test]
fn s706_members_go_on_after_a_restart() {
    let mut h = Harness::new();
    let (first, second) = h.stable_two();
    h.restart();
    assert_eq!(h.state(), State::Stable);
    let description = h.groups.describe(GROUP).unwrap();
    assert_eq!((description.protocol.as_str(), description.members.len()), ("range", 2));
    h.pass(i64::from(SESSION_MS) - 1);
    assert_eq!(h.heartbeat(&first, 2), Ok(()));
    let sync = h.sync(&second, 2, &[]);
    assert_eq!(h.assignment(sync), "1");
    assert!(h.groups.is_subscribed(GROUP, "t"));
    h.pass(i64::from(SESSION_MS));
    assert_eq!(h.state(), State::Empty);
}

#[test]
fn s707_a_restart_in_the_middle_of_a_rebalance_goes_back_to_what_is_written() {
    let mut h = Harness::new();
    let (first, second) = h.stable_two();
    let again = h.join_as(&first);
    h.join_as(&second);
    assert_eq!(h.joined(again).generation, 3);
    h.restart();
    let sync = h.sync(&first, 3, &[]);
    assert_eq!(h.refused(sync), GroupError::IllegalGeneration);
    let again = h.join_as(&first);
    h.join_as(&second);
    assert_eq!((h.joined(again).generation, h.joined(again).members.len()), (3, 2));
}

#[test]
fn s708_groups_without_members_come_back_empty() {
    let mut h = Harness::new();
    let member = h.stable_one();
    h.leave(&[(&member, None)]);
    let emptied_ms = h.now;
    h.pass(1_000_000);
    h.restart();
    h.groups.restore(h.now, "offsets only", None);
    assert_eq!((h.state(), h.generation()), (State::Empty, 2));
    assert_eq!(h.groups.describe("offsets only").unwrap().state, State::Empty);
    let age = || [OffsetAge { key: (), topic: "t".to_owned(), commit_ms: 0 }];
    assert_eq!(h.groups.expired(emptied_ms + 999, 1_000, GROUP, age()).offsets.len(), 0);
    assert_eq!(h.groups.expired(emptied_ms + 1_000, 1_000, GROUP, age()).offsets.len(), 1);
    let ticket = h.join_as("");
    assert_eq!(h.joined(ticket).generation, 3);
}

#[test]
fn s709_restoring_leaves_a_group_that_is_known_alone() {
    let mut h = Harness::new();
    let member = h.stable_one();
    let stale = GroupRecord { group: GROUP.to_owned(), generation: 9, ..h.log[GROUP].clone() };
    assert!(h.groups.restore(h.now, GROUP, Some(stale)).is_empty());
    assert_eq!(h.heartbeat(&member, 1), Ok(()));
}

#[test]
fn s710_a_restored_group_above_the_limit_rebalances_down_to_it() {
    let mut h = Harness::new();
    let (first, second) = h.stable_two();
    h.groups = Groups::new(GroupSettings { members_max: 1, ..settings() });
    let effects = h.groups.restore(h.now, GROUP, Some(h.log[GROUP].clone()));
    h.carry_out(effects);
    assert_eq!(h.state(), State::PreparingRebalance);
    let kept = h.join_as(&second);
    let excess = h.join_as(&first);
    assert_eq!(h.refused(excess), GroupError::GroupMaxSizeReached);
    assert_eq!(h.joined(kept).members.len(), 1);
}

#[test]
fn s711_a_replacement_that_cannot_be_written_is_undone() {
    let mut h = Harness::new();
    let ticket = h.join_instance("i");
    let old = h.joined(ticket).member_id;
    h.sync(&old, 1, &[(&old, "all")]);
    h.writes_at_once = false;
    let ticket = h.join_instance("i");
    assert!(h.is_waiting(ticket));
    assert_eq!(h.heartbeat(&old, 1), Err(GroupError::UnknownMemberId));
    h.write(Err(PersistError::Unavailable));
    assert_eq!(h.refused(ticket), GroupError::CoordinatorNotAvailable);
    assert_eq!(h.heartbeat(&old, 1), Ok(()));
    let ticket = h.join_instance("i");
    h.write(Ok(()));
    let new = h.joined(ticket).member_id;
    let sync = h.sync(&new, 1, &[]);
    assert_eq!(h.assignment(sync), "all");
}

#[test]
fn s712_two_replacements_wait_in_one_queue() {
    let mut h = Harness::new();
    let ticket = h.join_instance("i");
    let first = h.joined(ticket).member_id;
    h.sync(&first, 1, &[]);
    for instance in ["j", "k"] {
        let newcomer = h.join_instance(instance);
        let rejoining: Vec<_> = h
            .groups
            .describe(GROUP)
            .unwrap()
            .members
            .into_iter()
            .filter(|m| m.instance_id.as_deref() != Some(instance))
            .collect();
        for member in rejoining {
            let input = JoinInput { instance_id: member.instance_id, ..h.join_input(&member.member_id) };
            h.join(input);
        }
        h.joined(newcomer);
        let (leader, generation) = (h.joined(newcomer).leader, h.generation());
        h.sync(&leader, generation, &[]);
    }
    assert_eq!(h.state(), State::Stable);
    h.writes_at_once = false;
    let tickets = ["i", "j", "k"].map(|instance| h.join_instance(instance));
    let twice = h.join_instance("j");
    assert_eq!(h.refused(tickets[1]), GroupError::FencedInstanceId);
    h.write(Ok(()));
    assert!(!h.is_waiting(tickets[0]) && h.is_waiting(tickets[2]));
    h.write(Ok(()));
    let members: Vec<_> = h.log[GROUP].members.iter().map(|member| member.member_id.clone()).collect();
    for ticket in [tickets[0], tickets[2], twice] {
        assert!(members.contains(&h.joined(ticket).member_id));
    }
    assert_eq!(members.len(), 3);
}

#[test]
fn s713_a_replacement_overtaken_by_a_rebalance_is_answered_by_it() {
    let mut h = Harness::new();
    let ticket = h.join_instance("i");
    let first = h.joined(ticket).member_id;
    h.sync(&first, 1, &[]);
    h.writes_at_once = false;
    let replaced = h.join_instance("i");
    let newcomer = h.join_as("");
    assert_eq!((h.joined(replaced).generation, h.joined(newcomer).generation), (2, 2));
    h.write(Err(PersistError::Unavailable));
    assert_eq!(h.groups.describe(GROUP).unwrap().members.len(), 2);
}

#[test]
fn s714_an_assignment_above_the_limit_is_refused() {
    let mut h = Harness::with(GroupSettings { record_bytes_max: 1_000, ..settings() });
    let ticket = h.join_as("");
    let member = h.joined(ticket).member_id;
    let large = "x".repeat(1_000);
    let sync = h.sync(&member, 1, &[(&member, &large)]);
    assert_eq!(h.refused(sync), GroupError::RecordTooLarge);
    assert!(h.log.is_empty());
    assert_eq!(h.heartbeat(&member, 1), Err(GroupError::RebalanceInProgress));
}

#[test]
fn s715_giving_up_answers_everyone() {
    let mut h = Harness::new();
    let (first, second) = h.stable_two();
    let newcomer = h.join_as("");
    let again = h.join_as(&first);
    let input = JoinInput { group: "other".to_owned(), ..h.join_input("") };
    let ticket = h.join(input);
    let member_id = h.joined(ticket).member_id;
    h.writes_at_once = false;
    let input = SyncInput { group: "other".to_owned(), ..h.sync_input(&member_id, 1, &[]) };
    let sync = h.sync_with(input);
    let effects = h.groups.forget("other", GroupError::CoordinatorNotAvailable);
    h.carry_out(effects);
    assert_eq!(h.refused(sync), GroupError::CoordinatorNotAvailable);
    let effects = h.groups.resign(GroupError::NotCoordinator);
    h.carry_out(effects);
    assert_eq!((h.refused(newcomer), h.refused(again)), (GroupError::NotCoordinator, GroupError::NotCoordinator));
    assert!(h.groups.is_empty());
    assert_eq!(h.groups.next_deadline_ms(), None);
    assert_eq!(h.heartbeat(&second, 2), Err(GroupError::UnknownMemberId));
    h.write(Ok(()));
}

#[test]
fn s716_a_token_of_an_earlier_life_is_ignored() {
    let mut h = Harness::new();
    let ticket = h.join_as("");
    let member = h.joined(ticket).member_id;
    h.writes_at_once = false;
    let sync = h.sync(&member, 1, &[]);
    let effects = h.groups.persisted(h.now, GROUP, PersistToken(999), Ok(()));
    assert!(effects.is_empty() && h.is_waiting(sync));
}
