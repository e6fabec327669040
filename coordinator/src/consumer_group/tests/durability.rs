//! 6xx: the log is slow, fails, or is all that is left.

use super::*;

#[test]
fn s601_nobody_hears_of_what_is_not_written() {
    let mut h = Harness::new();
    h.writes_at_once = false;
    let input = h.joining("a");
    let first = h.send(input);
    assert!(h.is_waiting(first));
    // What is decided meanwhile waits for the next change, all of it in one.
    let inputs = [h.joining("b"), h.joining("c")];
    let others = inputs.map(|input| h.send(input));
    assert_eq!(h.unwritten.len(), 1);
    h.write(Ok(()));
    assert_eq!(h.answer(first).unwrap().member_epoch, 1);
    assert!(others.iter().all(|ticket| h.is_waiting(*ticket)));
    h.write(Ok(()));
    assert!(others.iter().all(|ticket| h.answer(*ticket).is_ok()));
    assert_eq!((h.writes, h.log[GROUP].epoch), (2, 3));
}

#[test]
fn s602_a_heartbeat_without_news_does_not_wait_for_others() {
    let mut h = Harness::new();
    let (first, second) = two(&mut h);
    h.writes_at_once = false;
    let mut input = second.beat(&mut h);
    input.client_id = "renamed".to_owned();
    let renamed = h.send(input);
    assert!(h.is_waiting(renamed));
    let input = first.beat(&mut h);
    assert_eq!(h.told(input).member_epoch, first.epoch);
    assert_eq!(h.unwritten.len(), 1);
    // The one who changed waits, however often it asks.
    let mut input = h.bare("b", second.epoch);
    input.client_id = "renamed".to_owned();
    let bare = h.send(input);
    assert!(h.is_waiting(bare));
    h.write(Ok(()));
    assert!(h.answer(renamed).is_ok() && h.answer(bare).is_ok() && h.unwritten.is_empty());
}

#[test]
fn s603_a_failed_write_is_told_and_done_again_with_all_that_came_since() {
    for error in [PersistError::Unavailable, PersistError::Unknown] {
        let mut h = Harness::new();
        h.writes_at_once = false;
        let input = h.joining("a");
        let first = h.send(input);
        let input = h.joining("b");
        let second = h.send(input);
        h.write(Err(error));
        assert_eq!(h.answer(first).unwrap_err().error, GroupError::CoordinatorNotAvailable);
        // The second one waits for the next change, which holds the first one too.
        assert!(h.is_waiting(second));
        h.write(Ok(()));
        assert!(h.answer(second).is_ok());
        assert_eq!(h.log[GROUP].members.len(), 2);
        h.writes_at_once = true;
        let input = h.joining("a");
        assert_eq!(h.told(input).member_epoch, 2);
    }
}

#[test]
fn s604_what_nobody_asks_for_is_tried_again_after_a_pause() {
    let mut h = Harness::new();
    let (first, _) = two(&mut h);
    h.writes_at_once = false;
    h.pass(SESSION_MS);
    assert_eq!(h.unwritten.len(), 1);
    h.write(Err(PersistError::Unavailable));
    assert!(h.unwritten.is_empty());
    h.pass(999);
    assert!(h.unwritten.is_empty());
    h.pass(1);
    assert_eq!(h.unwritten.len(), 1);
    h.write(Ok(()));
    assert!(h.log[GROUP].members.is_empty());
    let input = first.beat(&mut h);
    assert_eq!(h.refusal(input), GroupError::UnknownMemberId);
}

#[test]
fn s605_who_is_removed_while_waiting_is_told_so() {
    let mut h = Harness::new();
    h.writes_at_once = false;
    let input = h.joining("a");
    let ticket = h.send(input);
    h.pass(SESSION_MS);
    assert_eq!(h.answer(ticket).unwrap_err().error, GroupError::UnknownMemberId);
    h.write(Ok(()));
    h.write(Ok(()));
    assert!(h.log[GROUP].members.is_empty());
}

#[test]
fn s606_a_leaver_is_told_when_it_is_written() {
    let mut h = Harness::new();
    Consumer::new("a").step(&mut h);
    h.writes_at_once = false;
    let input = h.bare("a", LEAVE_EPOCH);
    let ticket = h.send(input);
    assert!(h.is_waiting(ticket));
    h.write(Ok(()));
    assert_eq!(h.answer(ticket).unwrap().member_epoch, LEAVE_EPOCH);
}

#[test]
fn s607_members_go_on_after_a_restart() {
    let mut h = Harness::new();
    let (mut first, mut second) = two(&mut h);
    let before = h.describe();
    h.restart();
    assert_eq!(h.describe(), before);
    let writes = h.writes;
    first.step(&mut h);
    second.step(&mut h);
    assert_eq!(h.writes, writes, "nothing is written for a restart");
    h.pass(SESSION_MS - 1);
    assert_eq!(h.describe().members.len(), 2, "sessions start anew");
    h.pass(1);
    assert!(h.describe().members.is_empty());
}

#[test]
fn s608_a_restart_in_the_middle_of_giving_up() {
    let mut h = Harness::new();
    let mut first = Consumer::new("a");
    first.step(&mut h);
    let mut second = Consumer::new("b");
    second.step(&mut h);
    first.step(&mut h);
    h.restart();
    second.step(&mut h);
    assert!(second.owned.is_empty());
    first.step(&mut h);
    second.step(&mut h);
    assert_eq!((first.partitions(), second.partitions()), (vec![0, 1], vec![2, 3]));
    // The rebalance timeout holds after a restart too.
    let mut third = Consumer::new("c");
    third.step(&mut h);
    second.step(&mut h);
    assert_eq!(second.owned.len(), 1);
    h.restart();
    for _ in 0..2 {
        h.pass(i64::from(REBALANCE_MS) / 2);
        let input = h.bare("b", second.epoch);
        h.send(input);
        first.step(&mut h);
        third.step(&mut h);
    }
    assert_eq!(h.log[GROUP].members.keys().collect::<Vec<_>>(), ["a", "c"]);
}

#[test]
fn s609_topics_that_changed_while_nobody_watched() {
    let mut h = Harness::new();
    let (mut first, mut second) = two(&mut h);
    let epoch = h.epoch();
    let grown = topics(&[("t", 6)]);
    h.groups = ConsumerGroups::new(ConsumerGroupSettings::default());
    let effects = h.groups.set_topics(h.now, grown);
    h.carry_out(effects);
    h.restart();
    assert_eq!(h.epoch(), epoch + 1);
    first.step(&mut h);
    second.step(&mut h);
    assert_eq!((first.owned.len(), second.owned.len()), (3, 3));
}

#[test]
fn s610_a_coordinator_that_resigns_sends_everybody_away() {
    let mut h = Harness::new();
    h.writes_at_once = false;
    let input = h.joining("a");
    let ticket = h.send(input);
    let effects = h.groups.resign(GroupError::NotCoordinator);
    h.carry_out(effects);
    assert_eq!(h.answer(ticket).unwrap_err().error, GroupError::NotCoordinator);
    assert!(h.groups.is_empty() && h.groups.next_deadline_ms().is_none());
    // The fate of a change of an earlier life is nobody's concern.
    h.write(Ok(()));
    assert!(h.groups.is_empty());
}

#[test]
fn s611_one_group_may_be_forgotten() {
    let mut h = Harness::new();
    h.writes_at_once = false;
    let input = h.joining("a");
    let ticket = h.send(input);
    let effects = h.groups.forget(GROUP, GroupError::NotCoordinator);
    h.carry_out(effects);
    assert_eq!(h.answer(ticket).unwrap_err().error, GroupError::NotCoordinator);
    assert!(!h.groups.contains(GROUP));
}

#[test]
fn s612_a_deletion_waits_for_the_last_change_and_may_fail() {
    let mut h = Harness::new();
    Consumer::new("a").step(&mut h);
    h.writes_at_once = false;
    let input = h.bare("a", LEAVE_EPOCH);
    h.send(input);
    let ticket = h.ticket();
    let effects = h.groups.delete(h.now, ticket, GROUP);
    h.carry_out(effects);
    assert_eq!(h.state(), ConsumerGroupState::Dead);
    let input = h.joining("b");
    assert_eq!(h.refusal(input), GroupError::CoordinatorNotAvailable);
    h.write(Ok(()));
    assert!(h.is_waiting(ticket));
    assert!(matches!(h.unwritten[0].2, GroupChange::Delete));
    h.write(Err(PersistError::Unavailable));
    assert_eq!(h.answers[&ticket], Response::Delete(Err(GroupError::CoordinatorNotAvailable)));
    assert_eq!(h.state(), ConsumerGroupState::Empty);
    let again = h.ticket();
    let effects = h.groups.delete(h.now, again, GROUP);
    h.carry_out(effects);
    h.write(Err(PersistError::GroupNotFound));
    assert_eq!(h.answers[&again], Response::Delete(Ok(())));
    assert!(h.groups.is_empty());
}
