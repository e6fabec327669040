//! 2xx: partitions change hands.

use super::*;

#[test]
fn s201_first_given_up_then_assigned() {
    let mut h = Harness::new();
    let mut first = Consumer::new("a");
    first.step(&mut h);
    let mut second = Consumer::new("b");
    second.step(&mut h);
    assert_eq!((second.epoch, second.owned.len()), (2, 0), "nothing is free yet");
    assert_eq!(h.state(), ConsumerGroupState::Reconciling);
    // The first is told to give two up, and stays at its epoch until it has.
    first.step(&mut h);
    assert_eq!((first.epoch, first.partitions()), (1, vec![0, 1]));
    second.step(&mut h);
    assert!(second.owned.is_empty(), "the first has not said that it gave them up");
    first.step(&mut h);
    assert_eq!((first.epoch, first.partitions()), (2, vec![0, 1]));
    second.step(&mut h);
    assert_eq!((second.epoch, second.partitions()), (2, vec![2, 3]));
    assert_eq!(h.state(), ConsumerGroupState::Stable);
}

#[test]
fn s202_who_does_not_give_up_in_time_is_removed() {
    let mut h = Harness::new();
    let mut first = Consumer::new("a");
    first.step(&mut h);
    let mut second = Consumer::new("b");
    second.step(&mut h);
    first.step(&mut h);
    // It lives, but it goes on owning everything.
    let kept: Vec<_> = (0..4).map(|index| part("t", index)).collect();
    for _ in 0..6 {
        h.pass(i64::from(REBALANCE_MS) / 6 - 1);
        let mut input = first.beat(&mut h);
        input.owned = Some(kept.clone());
        h.told(input);
        second.step(&mut h);
    }
    assert!(second.owned.is_empty());
    h.pass(6);
    let input = first.beat(&mut h);
    assert_eq!(h.refusal(input), GroupError::UnknownMemberId);
    second.step(&mut h);
    assert_eq!(second.owned.len(), 4);
}

#[test]
fn s203_a_bare_heartbeat_does_not_count_as_giving_up() {
    let mut h = Harness::new();
    let mut first = Consumer::new("a");
    first.step(&mut h);
    Consumer::new("b").step(&mut h);
    first.step(&mut h);
    let input = h.bare("a", 1);
    assert_eq!(h.told(input).member_epoch, 1);
}

#[test]
fn s204_part_of_what_is_wanted_may_come_first() {
    let mut h = Harness::new();
    let (mut first, mut second) = two(&mut h);
    let mut third = Consumer::new("c");
    h.set_topics(&[("t", 9)]);
    third.step(&mut h);
    // The new partitions are free at once.
    assert!(!third.owned.is_empty());
    for _ in 0..3 {
        first.step(&mut h);
        second.step(&mut h);
        third.step(&mut h);
    }
    assert_eq!([first.owned.len(), second.owned.len(), third.owned.len()], [3, 3, 3]);
    assert_eq!(h.state(), ConsumerGroupState::Stable);
}

#[test]
fn s205_an_epoch_that_passes_a_member_by_is_caught_up_with() {
    let mut h = Harness::new();
    let mut first = Consumer::new("a");
    first.step(&mut h);
    let mut others: Vec<Consumer> = ["b", "c", "d"].into_iter().map(Consumer::new).collect();
    for other in &mut others {
        other.step(&mut h);
    }
    assert_eq!(h.epoch(), 4);
    first.step(&mut h);
    assert_eq!((first.epoch, first.owned.len()), (1, 1));
    first.step(&mut h);
    assert_eq!(first.epoch, 4);
    for other in &mut others {
        other.step(&mut h);
        assert_eq!(other.owned.len(), 1);
    }
    assert_eq!(h.state(), ConsumerGroupState::Stable);
}

#[test]
fn s206_what_was_to_be_given_up_may_come_back() {
    let mut h = Harness::new();
    let mut first = Consumer::new("a");
    first.step(&mut h);
    Consumer::new("b").step(&mut h);
    first.step(&mut h);
    assert_eq!(first.owned.len(), 2);
    let input = h.bare("b", LEAVE_EPOCH);
    h.told(input);
    first.step(&mut h);
    assert_eq!((first.epoch, first.owned.len()), (3, 4));
}

#[test]
fn s207_the_assignor_most_ask_for() {
    let mut h = Harness::new();
    h.set_topics(&[("t", 2), ("u", 2)]);
    assert_eq!(h.groups.settings().assignors[0], Assignor::Uniform);
    let join = |h: &mut Harness, member_id: &str, assignor: Option<&str>| {
        let mut input = h.joining(member_id);
        input.subscribed_topics = Some(vec!["t".to_owned(), "u".to_owned()]);
        input.assignor = assignor.map(str::to_owned);
        h.told(input);
        h.describe().assignor
    };
    assert_eq!(join(&mut h, "a", Some("range")), "range");
    assert_eq!(join(&mut h, "b", Some("uniform")), "uniform");
    assert_eq!(join(&mut h, "c", Some("range")), "range");
    let targets: Vec<Vec<i32>> = h
        .describe()
        .members
        .iter()
        .map(|member| member.target.iter().map(|(partition, _)| partition.partition).collect())
        .collect();
    assert_eq!(targets, [vec![0, 0], vec![1, 1], vec![]], "a range of each topic");
}
