//! 4xx: subscriptions, and topics that come, grow and go.

use super::*;

fn by_regex(h: &mut Harness, member_id: &str, regex: &str) -> ConsumerHeartbeatInput {
    let mut input = h.joining(member_id);
    input.subscribed_topics = None;
    input.subscribed_regex = Some(regex.to_owned());
    input
}

#[test]
fn s401_a_topic_may_come_later() {
    let mut h = Harness::new();
    let mut member = Consumer { topics: vec!["later".to_owned()], ..Consumer::new("a") };
    member.step(&mut h);
    assert_eq!((member.epoch, member.owned.len()), (1, 0));
    h.set_topics(&[("t", 4), ("later", 3)]);
    assert_eq!(h.epoch(), 2);
    member.step(&mut h);
    assert_eq!((member.epoch, member.owned.len()), (2, 3));
}

#[test]
fn s402_topics_grow_and_go() {
    let mut h = Harness::new();
    let mut member = Consumer { topics: vec!["t".to_owned(), "u".to_owned()], ..Consumer::new("a") };
    member.step(&mut h);
    assert_eq!(member.owned.len(), 6);
    h.set_topics(&[("t", 5), ("u", 2)]);
    member.step(&mut h);
    assert_eq!((member.epoch, member.owned.len()), (2, 7));
    h.set_topics(&[("t", 5)]);
    member.step(&mut h);
    member.step(&mut h);
    assert_eq!((member.epoch, member.owned.len()), (3, 5));
    // Of other topics the group takes no notice.
    h.set_topics(&[("t", 5), ("x", 1)]);
    assert_eq!(h.epoch(), 3);
}

#[test]
fn s403_a_topic_made_anew_is_another_topic() {
    let mut h = Harness::new();
    let mut member = Consumer::new("a");
    member.step(&mut h);
    let effects = h.groups.set_topics(h.now, Arc::new(Topics::new([("t".to_owned(), topic("t2"), 4)])));
    h.carry_out(effects);
    member.step(&mut h);
    member.step(&mut h);
    assert_eq!(member.owned.iter().next().unwrap().topic, topic("t2"));
    assert_eq!((member.owned.len(), h.state()), (4, ConsumerGroupState::Stable));
}

#[test]
fn s404_members_may_change_their_minds() {
    let mut h = Harness::new();
    let mut member = Consumer::new("a");
    member.step(&mut h);
    member.topics = vec!["u".to_owned()];
    member.step(&mut h);
    assert!(member.owned.is_empty(), "first it gives up");
    member.step(&mut h);
    assert_eq!((member.epoch, member.owned.len()), (2, 2));
    // The order of names means nothing.
    member.topics = vec!["u".to_owned(), "u".to_owned()];
    member.step(&mut h);
    assert_eq!(h.epoch(), 2);
}

#[test]
fn s405_an_expression_is_matched_again_when_topics_change() {
    let mut h = Harness::new();
    h.set_topics(&[("logs-a", 1), ("logs-b", 2), ("xlogs-c", 4)]);
    let input = by_regex(&mut h, "a", "logs-.*");
    assert_eq!(h.told(input).assignment.unwrap().len(), 3);
    h.set_topics(&[("logs-a", 1), ("logs-b", 2), ("logs-c", 3), ("xlogs-c", 4)]);
    let input = h.bare("a", 1);
    let answer = h.told(input);
    assert_eq!((answer.member_epoch, answer.assignment.unwrap().len()), (2, 6));
    assert_eq!(h.describe().members[0].subscribed_regex.as_deref(), Some("logs-.*"));
    h.restart();
    h.set_topics(&[("logs-a", 1)]);
    let mut input = h.bare("a", 2);
    input.owned = Some(Vec::new());
    assert_eq!(h.told(input).assignment.unwrap(), [part("logs-a", 0)]);
}

#[test]
fn s406_an_expression_may_be_joined_with_names_and_given_up() {
    let mut h = Harness::new();
    let mut input = by_regex(&mut h, "a", "t");
    input.subscribed_topics = Some(vec!["u".to_owned()]);
    assert_eq!(h.told(input).assignment.unwrap().len(), 6);
    let mut input = h.bare("a", 1);
    input.subscribed_regex = Some(String::new());
    assert_eq!(h.told(input).assignment.unwrap().len(), 2);
    let mut input = h.bare("a", 1);
    input.subscribed_regex = Some("[".to_owned());
    assert_eq!(h.refusal(input), GroupError::InvalidRegularExpression);
}

#[test]
fn s407_different_subscriptions_share_what_they_have_in_common() {
    let mut h = Harness::new();
    h.set_topics(&[("t", 4), ("u", 4)]);
    let mut both = Consumer { topics: vec!["t".to_owned(), "u".to_owned()], ..Consumer::new("a") };
    let mut one = Consumer::new("b");
    for _ in 0..3 {
        both.step(&mut h);
        one.step(&mut h);
    }
    assert_eq!((both.owned.len(), one.owned.len()), (4, 4));
    assert!(both.owned.iter().all(|partition| partition.topic == topic("u")));
}

#[test]
fn s408_a_join_of_nothing_is_a_join() {
    let mut h = Harness::new();
    let mut input = h.joining("a");
    input.subscribed_topics = Some(Vec::new());
    assert_eq!(h.told(input).assignment, Some(Vec::new()));
    assert_eq!(h.state(), ConsumerGroupState::Stable);
}
