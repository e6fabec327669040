//! Groups of both protocols side by side, and those that change hands.

use std::collections::{BTreeMap, BTreeSet};

use alluvium_record::TopicId;
use bytes::Bytes;
use uuid::Uuid;

use super::*;
use crate::consumer_group::{ConsumerGroupChange, ConsumerMemberRecord, ConversionError, LEAVE_EPOCH, MigrationPolicy};
use crate::group::{GroupChange, GroupRecord, LeavingMember, State};

mod walk;

const GROUP: &str = "g";
const REBALANCE_MS: i32 = 60_000;

/// A group as the log has it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Logged {
    Classic(GroupRecord),
    Consumer { epoch: i32, assignment_epoch: i32, members: BTreeMap<String, ConsumerMemberRecord> },
}

/// A caller: carries out effects, keeps what was answered and what was written.
struct Harness {
    table: GroupTable,
    settings: ConsumerGroupSettings,
    now: i64,
    tickets: u64,
    answers: BTreeMap<Ticket, Response>,
    writes_at_once: bool,
    unwritten: Vec<(String, PersistToken, GroupChange)>,
    log: BTreeMap<String, Logged>,
}

fn topic(name: &str) -> TopicId {
    let mut bytes = [0; 16];
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    TopicId::from_bytes(bytes)
}

fn part(name: &str, partition: i32) -> TopicPartition {
    TopicPartition::new(topic(name), partition)
}

fn topics() -> Arc<Topics> {
    Arc::new(Topics::new([("t".to_owned(), topic("t"), 4)]))
}

/// The embedded consumer protocol of a member of topic `t` that owns these partitions.
fn subscription(owned: &[i32]) -> Bytes {
    let mut bytes = vec![0, 1, 0, 0, 0, 1, 0, 1, b't', 0xff, 0xff, 0xff, 0xff];
    // Partitions are written as in an assignment, between its version and its user data.
    let assignment = assignment(owned);
    bytes.extend(&assignment[2..assignment.len() - 4]);
    bytes.into()
}

fn assignment(partitions: &[i32]) -> Bytes {
    let mut bytes = vec![0, 1, 0, 0, 0, 1, 0, 1, b't'];
    bytes.extend((partitions.len() as i32).to_be_bytes());
    for partition in partitions {
        bytes.extend(partition.to_be_bytes());
    }
    bytes.extend((-1i32).to_be_bytes());
    bytes.into()
}

/// The partitions of an assignment.
fn partitions(assignment: &Bytes) -> Vec<i32> {
    if assignment.len() <= 10 {
        return Vec::new();
    }
    let rest = &assignment[13..assignment.len() - 4];
    rest.chunks(4).map(|chunk| i32::from_be_bytes(chunk.try_into().unwrap())).collect()
}

impl Harness {
    fn new() -> Harness {
        Harness::with(ConsumerGroupSettings::default())
    }

    fn with(settings: ConsumerGroupSettings) -> Harness {
        let mut harness = Harness {
            table: Harness::table(&settings),
            settings,
            now: 1_000_000,
            tickets: 0,
            answers: BTreeMap::new(),
            writes_at_once: true,
            unwritten: Vec::new(),
            log: BTreeMap::new(),
        };
        let effects = harness.table.set_topics(harness.now, topics());
        harness.carry_out(effects);
        harness
    }

    fn table(settings: &ConsumerGroupSettings) -> GroupTable {
        let classic = GroupSettings { initial_rebalance_delay_ms: 0, ..GroupSettings::default() };
        GroupTable::new(classic, settings.clone())
    }

    fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Respond { ticket, response } => {
                    assert!(ticket.0 <= self.tickets, "unknown ticket");
                    assert!(self.answers.insert(ticket, response).is_none(), "{ticket:?} is answered twice");
                }
                Effect::Persist { group, token, change } => {
                    assert!(self.unwritten.iter().all(|(other, ..)| *other != group), "two changes outstanding");
                    self.unwritten.push((group, token, change));
                    if self.writes_at_once {
                        self.write(Ok(()));
                    }
                }
            }
        }
        self.table.check().unwrap();
    }

    fn write(&mut self, result: Result<(), PersistError>) {
        let (group, token, change) = self.unwritten.remove(0);
        if result.is_ok() {
            self.apply(&group, change);
        }
        let effects = self.table.persisted(self.now, &group, token, result);
        self.carry_out(effects);
    }

    /// As the log does it: a record of one protocol ends the other's.
    fn apply(&mut self, group: &str, change: GroupChange) {
        match change {
            GroupChange::Put(record) => {
                self.log.insert(group.to_owned(), Logged::Classic(record));
            }
            GroupChange::PutConsumer(ConsumerGroupChange { epoch, assignment_epoch, put, remove, .. }) => {
                let mut members = match self.log.remove(group) {
                    Some(Logged::Consumer { members, .. }) => members,
                    Some(Logged::Classic(_)) | None => BTreeMap::new(),
                };
                members.retain(|id, _| !remove.contains(id));
                members.extend(put.into_iter().map(|member| (member.member_id.clone(), member)));
                self.log.insert(group.to_owned(), Logged::Consumer { epoch, assignment_epoch, members });
            }
            GroupChange::Delete => {
                self.log.remove(group);
            }
        }
    }

    /// Everything but the log is lost.
    fn restart(&mut self) {
        self.table = Harness::table(&self.settings);
        self.unwritten.clear();
        let effects = self.table.set_topics(self.now, topics());
        self.carry_out(effects);
        for (group, logged) in self.log.clone() {
            let effects = match logged {
                Logged::Classic(record) => self.table.classic.restore(self.now, &group, Some(record)),
                Logged::Consumer { epoch, assignment_epoch, members } => {
                    let put = members.into_values().collect();
                    let updated_ms = self.now;
                    let change =
                        ConsumerGroupChange { group, epoch, assignment_epoch, put, remove: Vec::new(), updated_ms };
                    let effects = self.table.consumer.restore(self.now, change);
                    self.table.settled(self.now, effects)
                }
            };
            self.carry_out(effects);
        }
    }

    fn pass(&mut self, milliseconds: i64) {
        let end = self.now + milliseconds;
        while let Some(deadline_ms) = self.table.next_deadline_ms().filter(|deadline_ms| *deadline_ms <= end) {
            self.now = self.now.max(deadline_ms);
            let effects = self.table.tick(self.now);
            self.carry_out(effects);
        }
        self.now = end;
    }

    fn join(&mut self, member_id: &str, owned: &[i32]) -> Ticket {
        let ticket = self.ticket();
        let input = JoinInput {
            ticket,
            group: GROUP.to_owned(),
            member_id: member_id.to_owned(),
            instance_id: None,
            client_id: "classic".to_owned(),
            client_host: "/127.0.0.1".to_owned(),
            session_timeout_ms: 10_000,
            rebalance_timeout_ms: REBALANCE_MS,
            protocol_type: "consumer".to_owned(),
            protocols: vec![("cooperative-sticky".to_owned(), subscription(owned))],
            member_id_required: false,
            skip_assignment_supported: false,
            fresh_id: Uuid::from_u128(u128::from(ticket.0)),
        };
        let effects = self.table.join(self.now, input);
        self.carry_out(effects);
        ticket
    }

    fn joined(&self, ticket: Ticket) -> crate::group::Joined {
        match &self.answers[&ticket] {
            Response::Join(Ok(joined)) => joined.clone(),
            other => panic!("{other:?}"),
        }
    }

    fn sync(&mut self, member_id: &str, generation: i32, assignments: &[(&str, &[i32])]) -> Ticket {
        let ticket = self.ticket();
        let input = SyncInput {
            ticket,
            group: GROUP.to_owned(),
            generation,
            member_id: member_id.to_owned(),
            instance_id: None,
            protocol_type: None,
            protocol: None,
            assignments: assignments.iter().map(|(id, owned)| ((*id).to_owned(), assignment(owned))).collect(),
        };
        let effects = self.table.sync(self.now, input);
        self.carry_out(effects);
        ticket
    }

    fn heartbeat(&mut self, member_id: &str, generation: i32) -> Result<(), GroupError> {
        let input =
            HeartbeatInput { group: GROUP.to_owned(), generation, member_id: member_id.to_owned(), instance_id: None };
        self.table.heartbeat(self.now, &input)
    }

    fn leave(&mut self, member_id: &str) -> Result<(), GroupError> {
        let members = vec![LeavingMember { member_id: member_id.to_owned(), instance_id: None }];
        let (results, effects) = self.table.leave(self.now, &LeaveInput { group: GROUP.to_owned(), members });
        self.carry_out(effects);
        results[0]
    }

    fn beat(&mut self, member_id: &str, epoch: i32, owned: &[i32]) -> Ticket {
        let ticket = self.ticket();
        let input = ConsumerHeartbeatInput {
            ticket,
            group: GROUP.to_owned(),
            member_id: member_id.to_owned(),
            member_epoch: epoch,
            instance_id: None,
            rack_id: None,
            rebalance_timeout_ms: REBALANCE_MS,
            subscribed_topics: Some(vec!["t".to_owned()]),
            subscribed_regex: None,
            assignor: None,
            owned: Some(owned.iter().map(|partition| part("t", *partition)).collect()),
            client_id: "new".to_owned(),
            client_host: "/127.0.0.1".to_owned(),
            id_made_by_client: true,
            fresh_id: Uuid::nil(),
        };
        let effects = self.table.consumer_heartbeat(self.now, input);
        self.carry_out(effects);
        ticket
    }

    fn told(&self, ticket: Ticket) -> Result<(i32, Option<Vec<i32>>), GroupError> {
        match &self.answers[&ticket] {
            Response::ConsumerHeartbeat(Ok(told)) => {
                let indexes = |owned: &Vec<TopicPartition>| owned.iter().map(|partition| partition.partition).collect();
                Ok((told.member_epoch, told.assignment.as_ref().map(indexes)))
            }
            Response::ConsumerHeartbeat(Err(refused)) => Err(refused.error),
            other => panic!("{other:?}"),
        }
    }

    fn types(&self) -> Vec<(&'static str, &'static str)> {
        self.table.list(&GroupFilter::default()).into_iter().map(|group| (group.group_type, group.state)).collect()
    }

    /// One stable classic member that owns everything, at generation 1.
    fn stable_classic(&mut self) -> String {
        let ticket = self.join("", &[]);
        let joined = self.joined(ticket);
        let member_id = joined.member_id.clone();
        self.sync(&member_id, joined.generation, &[(&member_id, &[0, 1, 2, 3])]);
        assert_eq!(self.types(), [("classic", "Stable")]);
        member_id
    }
}

#[test]
fn a_group_goes_over_and_comes_back_without_a_break() {
    let mut h = Harness::new();
    let classic = h.stable_classic();
    let ticket = h.beat("new", JOIN_EPOCH, &[]);
    assert_eq!(h.told(ticket), Ok((2, Some(vec![]))));
    assert_eq!(h.types(), [("consumer", "Reconciling")]);
    assert!(matches!(h.log[GROUP], Logged::Consumer { .. }));
    assert!(h.table.describe(GROUP).is_none() && h.table.describe_consumer(GROUP).is_some());
    assert_eq!(h.heartbeat(&classic, 1), Err(GroupError::RebalanceInProgress));
    let ticket = h.join(&classic, &[0, 1, 2, 3]);
    assert_eq!(h.joined(ticket).generation, 1);
    let ticket = h.sync(&classic, 1, &[]);
    match &h.answers[&ticket] {
        Response::Sync(Ok(synced)) => assert_eq!(partitions(&synced.assignment), [0, 1]),
        other => panic!("{other:?}"),
    }
    let ticket = h.join(&classic, &[0, 1]);
    assert_eq!(h.joined(ticket).generation, 2);
    h.sync(&classic, 2, &[]);
    let ticket = h.beat("new", 2, &[]);
    assert_eq!(h.told(ticket), Ok((2, Some(vec![2, 3]))));
    assert_eq!(h.types(), [("consumer", "Stable")]);
    // The new one leaves: the classic one goes on alone.
    h.beat("new", LEAVE_EPOCH, &[]);
    assert_eq!(h.types(), [("classic", "PreparingRebalance")]);
    assert_eq!(h.heartbeat(&classic, 2), Err(GroupError::RebalanceInProgress));
    let ticket = h.join(&classic, &[0, 1]);
    let joined = h.joined(ticket);
    assert_eq!((joined.generation, joined.leader == classic), (3, true));
    h.sync(&classic, 3, &[(&classic, &[0, 1, 2, 3])]);
    assert_eq!(h.types(), [("classic", "Stable")]);
    assert!(matches!(h.log[GROUP], Logged::Classic(_)));
}

#[test]
fn empty_groups_make_way_both_ways() {
    let mut h = Harness::new();
    let classic = h.stable_classic();
    h.leave(&classic).unwrap();
    assert_eq!(h.types(), [("classic", "Empty")]);
    let ticket = h.beat("new", JOIN_EPOCH, &[]);
    let (epoch, owned) = h.told(ticket).unwrap();
    assert_eq!((epoch, owned), (3, Some(vec![0, 1, 2, 3])), "the epoch goes on from the generation");
    h.beat("new", LEAVE_EPOCH, &[]);
    assert_eq!(h.types(), [("consumer", "Empty")]);
    let ticket = h.join("", &[]);
    let joined = h.joined(ticket);
    assert_eq!(joined.generation, 5);
    assert_eq!(h.types(), [("classic", "CompletingRebalance")]);
    h.restart();
    assert_eq!(h.types(), [("consumer", "Empty")], "the log knows of generations that are assigned");
}

#[test]
fn whoever_waits_in_a_group_that_goes_over_is_told_to_join_again() {
    let mut h = Harness::new();
    let first = h.stable_classic();
    let newcomer = h.join("", &[]);
    assert!(!h.answers.contains_key(&newcomer), "it waits for the first one");
    let ticket = h.beat("new", JOIN_EPOCH, &[]);
    assert!(h.told(ticket).is_ok());
    match &h.answers[&newcomer] {
        Response::Join(Err(refused)) => assert_eq!(refused.error, GroupError::RebalanceInProgress),
        other => panic!("{other:?}"),
    }
    assert_eq!(h.table.describe_consumer(GROUP).unwrap().members.len(), 3);
    assert_eq!(h.heartbeat(&first, 1), Err(GroupError::RebalanceInProgress));
}

#[test]
fn changes_of_the_two_protocols_never_race() {
    let mut h = Harness::new();
    h.writes_at_once = false;
    let ticket = h.join("", &[]);
    let joined = h.joined(ticket);
    h.sync(&joined.member_id, joined.generation, &[]);
    let ticket = h.beat("new", JOIN_EPOCH, &[]);
    assert_eq!(h.told(ticket), Err(GroupError::CoordinatorNotAvailable));
    h.write(Ok(()));
    let ticket = h.beat("new", JOIN_EPOCH, &[]);
    assert!(!h.answers.contains_key(&ticket));
    while !h.unwritten.is_empty() {
        h.write(Ok(()));
    }
    assert!(h.told(ticket).is_ok());
    h.leave(&joined.member_id).unwrap();
    h.beat("new", LEAVE_EPOCH, &[]);
    let ticket = h.join("", &[]);
    match &h.answers[&ticket] {
        Response::Join(Err(refused)) => assert_eq!(refused.error, GroupError::CoordinatorNotAvailable),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_cannot_go_over_stays() {
    let refused = |h: &mut Harness| {
        let ticket = h.beat("new", JOIN_EPOCH, &[]);
        assert_eq!(h.told(ticket), Err(GroupError::GroupIdNotFound));
        assert_eq!(h.types(), [("classic", "Stable")]);
        match &h.answers[&ticket] {
            Response::ConsumerHeartbeat(Err(refused)) => refused.message.clone(),
            other => panic!("{other:?}"),
        }
    };
    let mut h = Harness::with(ConsumerGroupSettings {
        migration: MigrationPolicy::Disabled,
        ..ConsumerGroupSettings::default()
    });
    h.stable_classic();
    assert!(refused(&mut h).contains(&ConversionError::Policy.to_string()));
    // Not even for a member that would be refused anyway.
    let mut h = Harness::new();
    let classic = h.stable_classic();
    let ticket = h.beat("new", -7, &[]);
    assert_eq!(h.told(ticket), Err(GroupError::InvalidRequest));
    let ticket = h.beat("new", 1, &[]);
    assert_eq!(h.told(ticket), Err(GroupError::GroupIdNotFound));
    assert_eq!(h.types(), [("classic", "Stable")]);
    assert_eq!(h.heartbeat(&classic, 1), Ok(()));
}

#[test]
fn a_refused_newcomer_does_not_leave_a_group_between_protocols() {
    let mut h = Harness::with(ConsumerGroupSettings { members_max: 1, ..ConsumerGroupSettings::default() });
    let classic = h.stable_classic();
    let ticket = h.beat("new", JOIN_EPOCH, &[]);
    assert_eq!(h.told(ticket), Err(GroupError::GroupMaxSizeReached));
    assert_eq!(h.types(), [("classic", "PreparingRebalance")]);
    let ticket = h.join(&classic, &[]);
    assert!(h.joined(ticket).generation > 1);
}

#[test]
fn lists_filters_and_retention_know_both() {
    let mut h = Harness::new();
    h.stable_classic();
    let input = CommitInput {
        group: "simple".to_owned(),
        generation: -1,
        member_id: String::new(),
        instance_id: None,
        transactional: false,
    };
    assert_eq!(h.table.check_commit(h.now, &input, &[]), Ok(()));
    h.beat("new", JOIN_EPOCH, &[]);
    let names = |types: &[&str]| {
        let filter =
            GroupFilter { types: types.iter().map(|name| (*name).to_owned()).collect(), ..GroupFilter::default() };
        h.table.list(&filter).into_iter().map(|group| group.group).collect::<Vec<_>>()
    };
    assert_eq!(names(&[]), ["g", "simple"]);
    assert_eq!(names(&["Consumer"]), ["g"]);
    assert_eq!(names(&["classic"]), ["simple"]);
    assert!(h.table.is_subscribed(GROUP, "t") && !h.table.is_subscribed(GROUP, "u"));
    assert_eq!(h.table.check_offset_delete(GROUP), Ok(()));
    let input = FetchInput { group: GROUP.to_owned(), member_id: Some("new".to_owned()), member_epoch: 2 };
    assert_eq!(h.table.check_fetch(&input), Ok(()));
    let age = || [OffsetAge { key: (), topic: "t".to_owned(), commit_ms: 0 }];
    assert_eq!(h.table.expired(h.now, 1, GROUP, age()).offsets.len(), 0);
    assert_eq!(h.table.expired(h.now, 1, "simple", age()).offsets.len(), 1);
    let ticket = h.ticket();
    let effects = h.table.delete(h.now, ticket, GROUP);
    h.carry_out(effects);
    assert_eq!(h.answers[&ticket], Response::Delete(Err(GroupError::NonEmptyGroup)));
}

#[test]
fn a_restart_in_the_middle_of_a_change_of_protocol() {
    let mut h = Harness::new();
    let classic = h.stable_classic();
    h.writes_at_once = false;
    h.beat("new", JOIN_EPOCH, &[]);
    h.restart();
    assert_eq!(h.types(), [("classic", "Stable")], "nothing was written");
    h.beat("new", JOIN_EPOCH, &[]);
    h.write(Ok(()));
    h.restart();
    // The first change moved the group, the second one would have let the newcomer in.
    assert_eq!(h.types(), [("classic", "PreparingRebalance")]);
    assert_eq!(h.table.describe(GROUP).unwrap().state, State::PreparingRebalance);
    let ticket = h.join(&classic, &[]);
    assert!(h.joined(ticket).generation >= 2);
}

#[test]
fn the_table_counts_both_and_forgets_both() {
    let mut h = Harness::with(ConsumerGroupSettings { groups_max: 1, ..ConsumerGroupSettings::default() });
    assert!(h.table.is_empty());
    h.stable_classic();
    assert_eq!(h.table.len(), 1);
    let ticket = h.beat("new", JOIN_EPOCH, &[]);
    assert!(h.told(ticket).is_ok(), "it takes a group over and makes none");
    let effects = h.table.forget(GROUP, GroupError::NotCoordinator);
    h.carry_out(effects);
    assert!(h.table.is_empty() && h.table.next_deadline_ms().is_none());
}
