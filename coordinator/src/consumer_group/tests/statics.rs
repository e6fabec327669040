//! 3xx: static members.

use super::*;

fn leave(h: &mut Harness, member_id: &str, instance_id: &str, epoch: i32) -> Result<ConsumerHeartbeat, GroupError> {
    let mut input = h.bare(member_id, epoch);
    input.instance_id = Some(instance_id.to_owned());
    let ticket = h.send(input);
    h.answer(ticket).map_err(|refused| refused.error)
}

#[test]
fn s301_a_static_member_comes_back_to_what_it_had() {
    let mut h = Harness::new();
    let mut first = Consumer::of_instance("a", "i");
    let mut second = Consumer::new("b");
    for _ in 0..3 {
        first.step(&mut h);
        second.step(&mut h);
    }
    let epoch = h.epoch();
    assert_eq!(leave(&mut h, "a", "i", LEAVE_FOR_A_WHILE_EPOCH).unwrap().member_epoch, LEAVE_FOR_A_WHILE_EPOCH);
    second.step(&mut h);
    assert_eq!(second.owned.len(), 2, "nothing moves");
    h.pass(SESSION_MS / 2);
    second.step(&mut h);
    let mut again = Consumer::of_instance("a2", "i");
    again.step(&mut h);
    assert_eq!((again.epoch, &again.owned), (epoch, &first.owned));
    assert_eq!((h.epoch(), h.state()), (epoch, ConsumerGroupState::Stable));
    assert!(!h.log[GROUP].members.contains_key("a"));
    let input = first.beat(&mut h);
    assert_eq!(h.refusal(input), GroupError::FencedInstanceId);
}

#[test]
fn s302_whoever_stays_away_is_removed() {
    let mut h = Harness::new();
    let mut first = Consumer::of_instance("a", "i");
    let mut second = Consumer::new("b");
    for _ in 0..3 {
        first.step(&mut h);
        second.step(&mut h);
    }
    leave(&mut h, "a", "i", LEAVE_FOR_A_WHILE_EPOCH).unwrap();
    h.pass(SESSION_MS - 1);
    second.step(&mut h);
    h.pass(1);
    second.step(&mut h);
    assert_eq!(second.owned.len(), 4);
}

#[test]
fn s303_a_held_instance_id_is_not_given_away() {
    let mut h = Harness::new();
    let mut first = Consumer::of_instance("a", "i");
    first.step(&mut h);
    let input = Consumer::of_instance("a2", "i").beat(&mut h);
    assert_eq!(h.refusal(input), GroupError::UnreleasedInstanceId);
    first.step(&mut h);
    assert_eq!(first.owned.len(), 4);
    // Its own process may join again.
    first.epoch = JOIN_EPOCH;
    first.owned.clear();
    first.step(&mut h);
    assert_eq!(first.owned.len(), 4);
}

#[test]
fn s304_ids_and_instances_must_fit() {
    let mut h = Harness::new();
    Consumer::of_instance("a", "i").step(&mut h);
    assert_eq!(leave(&mut h, "x", "i", 1), Err(GroupError::FencedInstanceId));
    assert_eq!(leave(&mut h, "a", "j", 1), Err(GroupError::UnknownMemberId));
    assert_eq!(leave(&mut h, "x", "i", LEAVE_EPOCH), Err(GroupError::FencedInstanceId));
    assert_eq!(leave(&mut h, "a", "j", LEAVE_EPOCH), Err(GroupError::UnknownMemberId));
    assert_eq!(leave(&mut h, "a", "i", LEAVE_EPOCH).unwrap().member_epoch, LEAVE_EPOCH);
    assert_eq!(h.state(), ConsumerGroupState::Empty);
}

#[test]
fn s305_an_absent_member_is_fenced_under_its_old_epoch() {
    let mut h = Harness::new();
    let mut first = Consumer::of_instance("a", "i");
    first.step(&mut h);
    leave(&mut h, "a", "i", LEAVE_FOR_A_WHILE_EPOCH).unwrap();
    let input = first.beat(&mut h);
    assert_eq!(h.refusal(input), GroupError::FencedMemberEpoch);
}

#[test]
fn s306_who_left_in_the_middle_of_giving_up_has_given_up() {
    let mut h = Harness::new();
    let mut first = Consumer::of_instance("a", "i");
    first.step(&mut h);
    let mut second = Consumer::new("b");
    second.step(&mut h);
    first.step(&mut h);
    leave(&mut h, "a", "i", LEAVE_FOR_A_WHILE_EPOCH).unwrap();
    second.step(&mut h);
    assert_eq!(second.partitions(), [2, 3]);
    let mut again = Consumer::of_instance("a2", "i");
    again.step(&mut h);
    assert_eq!(again.partitions(), [0, 1]);
}
