//! 6xx: DescribeGroups, ListGroups and DeleteGroups.

use super::*;

#[test]
fn s601_describe_shows_metadata_and_assignment_when_stable() {
    let mut h = Harness::new();
    assert_eq!(h.groups.describe(GROUP), None);
    let (first, _) = h.stable_two();
    let description = h.groups.describe(GROUP).unwrap();
    assert_eq!((description.protocol_type.as_str(), description.protocol.as_str()), ("consumer", "range"));
    let member = description.members.iter().find(|member| member.member_id == first).unwrap();
    assert_eq!((member.client_id.as_str(), member.client_host.as_str()), ("client", "/127.0.0.1"));
    assert_eq!((member.metadata.clone(), member.assignment.clone()), (subscription(&["t"]), Bytes::from_static(b"0")));
    h.join_as(&first);
    let description = h.groups.describe(GROUP).unwrap();
    assert_eq!((description.state.name(), description.protocol.as_str()), ("PreparingRebalance", ""));
    assert!(description.members.iter().all(|member| member.metadata.is_empty() && member.assignment.is_empty()));
}

#[test]
fn s602_list_filters_by_state_and_type() {
    let mut h = Harness::new();
    h.stable_one();
    let input = JoinInput { group: "b".to_owned(), ..h.join_input("") };
    h.join(input);
    h.groups.restore(h.now, "a", None);
    let names = |states: &[&str], types: &[&str]| {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let listings = h.groups.list(&GroupFilter { states: owned(states), types: owned(types) });
        listings.into_iter().map(|listing| listing.group).collect::<Vec<_>>()
    };
    assert_eq!(names(&[], &[]), ["a", "b", GROUP]);
    assert_eq!(names(&["stable", "EMPTY"], &[]), ["a", GROUP]);
    assert_eq!(names(&[], &["Classic"]), ["a", "b", GROUP]);
    assert!(names(&[], &["consumer"]).is_empty());
    assert!(names(&["nonsense"], &[]).is_empty());
}

#[test]
fn s603_only_empty_groups_are_deleted() {
    let mut h = Harness::new();
    let absent = h.delete(GROUP);
    assert_eq!(h.refused(absent), GroupError::GroupIdNotFound);
    let member = h.stable_one();
    let busy = h.delete(GROUP);
    assert_eq!(h.refused(busy), GroupError::NonEmptyGroup);
    h.leave(&[(&member, None)]);
    let done = h.delete(GROUP);
    assert_eq!(h.answers[&done], Response::Delete(Ok(())));
    assert!(h.groups.is_empty() && h.log.is_empty());
}

#[test]
fn s604_a_group_being_deleted_is_dead_until_the_log_has_said_so() {
    let mut h = Harness::new();
    let member = h.stable_one();
    h.leave(&[(&member, None)]);
    h.writes_at_once = false;
    let deleting = h.delete(GROUP);
    assert!(h.is_waiting(deleting));
    assert_eq!(h.state(), State::Dead);
    let again = h.delete(GROUP);
    assert_eq!(h.refused(again), GroupError::GroupIdNotFound);
    let join = h.join_as("");
    assert_eq!(h.refused(join), GroupError::CoordinatorNotAvailable);
    let sync = h.sync(&member, 1, &[]);
    assert_eq!(h.refused(sync), GroupError::CoordinatorNotAvailable);
    assert_eq!(h.heartbeat(&member, 1), Err(GroupError::CoordinatorNotAvailable));
    assert_eq!(h.leave(&[(&member, None)]), [Err(GroupError::CoordinatorNotAvailable)]);
    h.write(Err(PersistError::Unavailable));
    assert_eq!(h.refused(deleting), GroupError::CoordinatorNotAvailable);
    assert_eq!(h.state(), State::Empty);
    let third = h.delete(GROUP);
    h.write(Err(PersistError::GroupNotFound));
    assert_eq!(h.answers[&third], Response::Delete(Ok(())));
    assert!(h.groups.is_empty());
}

#[test]
fn s605_a_group_can_be_born_again() {
    let mut h = Harness::new();
    let member = h.stable_one();
    h.leave(&[(&member, None)]);
    h.delete(GROUP);
    h.stable_one();
    assert_eq!(h.generation(), 1);
}
