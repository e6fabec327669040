//! Numbered scenarios of consumer groups, and the harness they run in: a caller that keeps answers and a small log.

use std::collections::{BTreeMap, BTreeSet};

use alluvium_record::{TopicId, TopicPartition};
use uuid::Uuid;

use super::*;
use crate::group::{GroupChange, Joined, LeavingMember, Synced};

mod classic;
mod durability;
mod joining;
mod offsets;
mod reconciling;
mod statics;
mod subscribing;
mod walk;

pub(super) const GROUP: &str = "g";
pub(super) const SESSION_MS: i64 = 45_000;
pub(super) const REBALANCE_MS: i32 = 60_000;

/// A group as the log has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Logged {
    pub(super) epoch: i32,
    pub(super) assignment_epoch: i32,
    pub(super) members: BTreeMap<String, ConsumerMemberRecord>,
}

/// A caller: carries out effects, keeps what was answered and what was written.
pub(super) struct Harness {
    pub(super) groups: ConsumerGroups,
    pub(super) now: i64,
    pub(super) tickets: u64,
    pub(super) answers: BTreeMap<Ticket, Response>,
    /// Whether changes are written at once; otherwise they wait in `unwritten`.
    pub(super) writes_at_once: bool,
    pub(super) unwritten: Vec<(String, PersistToken, GroupChange)>,
    pub(super) writes: usize,
    pub(super) log: BTreeMap<String, Logged>,
}

pub(super) fn topic(name: &str) -> TopicId {
    let mut bytes = [0; 16];
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    TopicId::from_bytes(bytes)
}

pub(super) fn part(name: &str, partition: i32) -> TopicPartition {
    TopicPartition::new(topic(name), partition)
}

pub(super) fn topics(sizes: &[(&str, i32)]) -> Arc<Topics> {
    Arc::new(Topics::new(sizes.iter().map(|(name, count)| ((*name).to_owned(), topic(name), *count))))
}

impl Harness {
    /// Topics `t` with four partitions and `u` with two.
    pub(super) fn new() -> Harness {
        Harness::with(ConsumerGroupSettings::default())
    }

    pub(super) fn with(settings: ConsumerGroupSettings) -> Harness {
        settings.validate().unwrap();
        let mut harness = Harness {
            groups: ConsumerGroups::new(settings),
            now: 1_000_000,
            tickets: 0,
            answers: BTreeMap::new(),
            writes_at_once: true,
            unwritten: Vec::new(),
            writes: 0,
            log: BTreeMap::new(),
        };
        harness.set_topics(&[("t", 4), ("u", 2)]);
        harness
    }

    pub(super) fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    pub(super) fn set_topics(&mut self, sizes: &[(&str, i32)]) {
        let effects = self.groups.set_topics(self.now, topics(sizes));
        self.carry_out(effects);
    }

    pub(super) fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Respond { ticket, response } => {
                    assert!(ticket.0 <= self.tickets, "unknown ticket");
                    assert!(self.answers.insert(ticket, response).is_none(), "{ticket:?} is answered twice");
                }
                Effect::Persist { group, token, change } => {
                    assert!(self.unwritten.iter().all(|(other, ..)| *other != group), "two changes outstanding");
                    assert!(ConsumerGroups::is_own_token(token));
                    self.unwritten.push((group, token, change));
                    if self.writes_at_once {
                        self.write(Ok(()));
                    }
                }
            }
        }
        self.groups.check().unwrap();
    }

    /// Decides the fate of the oldest unwritten change.
    pub(super) fn write(&mut self, result: Result<(), PersistError>) {
        let (group, token, change) = self.unwritten.remove(0);
        if result.is_ok() {
            self.apply(&group, change);
        }
        let effects = self.groups.persisted(self.now, &group, token, result);
        self.carry_out(effects);
    }

    pub(super) fn apply(&mut self, group: &str, change: GroupChange) {
        self.writes += 1;
        match change {
            GroupChange::PutConsumer(change) => {
                let known = self.log.entry(group.to_owned()).or_default();
                assert!(known.epoch <= change.epoch, "the epoch goes back");
                known.epoch = change.epoch;
                known.assignment_epoch = change.assignment_epoch;
                known.members.retain(|id, _| !change.remove.contains(id));
                known.members.extend(change.put.into_iter().map(|member| (member.member_id.clone(), member)));
                let mut held = BTreeSet::new();
                for partition in
                    known.members.values().flat_map(|member| member.assigned.iter().chain(&member.pending_revocation))
                {
                    assert!(held.insert(*partition), "the log says that {partition:?} has two owners");
                }
            }
            GroupChange::Delete => {
                assert!(self.log.remove(group).is_none_or(|known| known.members.is_empty()));
            }
            GroupChange::Put(record) => panic!("a consumer group writes {record:?}"),
        }
    }

    /// Everything but the log and the topics is lost.
    pub(super) fn restart(&mut self) {
        let topics = self.groups.topics().clone();
        self.groups = ConsumerGroups::new(self.groups.settings().clone());
        self.unwritten.clear();
        let effects = self.groups.set_topics(self.now, topics);
        self.carry_out(effects);
        for (group, logged) in self.log.clone() {
            let record = ConsumerGroupChange {
                group,
                epoch: logged.epoch,
                assignment_epoch: logged.assignment_epoch,
                put: logged.members.into_values().collect(),
                remove: Vec::new(),
                updated_ms: self.now,
            };
            let effects = self.groups.restore(self.now, record);
            self.carry_out(effects);
        }
    }

    /// Lets time pass, with every timer on the way.
    pub(super) fn pass(&mut self, milliseconds: i64) {
        let end = self.now + milliseconds;
        while let Some(deadline_ms) = self.groups.next_deadline_ms().filter(|deadline_ms| *deadline_ms <= end) {
            self.now = self.now.max(deadline_ms);
            let effects = self.groups.tick(self.now);
            self.carry_out(effects);
        }
        self.now = end;
    }

    /// A heartbeat that says nothing but who sends it.
    pub(super) fn bare(&mut self, member_id: &str, member_epoch: i32) -> ConsumerHeartbeatInput {
        let ticket = self.ticket();
        ConsumerHeartbeatInput {
            ticket,
            group: GROUP.to_owned(),
            member_id: member_id.to_owned(),
            member_epoch,
            instance_id: None,
            rack_id: None,
            rebalance_timeout_ms: -1,
            subscribed_topics: None,
            subscribed_regex: None,
            assignor: None,
            owned: None,
            client_id: "client".to_owned(),
            client_host: "/127.0.0.1".to_owned(),
            id_made_by_client: true,
            fresh_id: Uuid::from_u128(u128::from(ticket.0)),
        }
    }

    /// A join of topic `t`.
    pub(super) fn joining(&mut self, member_id: &str) -> ConsumerHeartbeatInput {
        ConsumerHeartbeatInput {
            rebalance_timeout_ms: REBALANCE_MS,
            subscribed_topics: Some(vec!["t".to_owned()]),
            owned: Some(Vec::new()),
            ..self.bare(member_id, JOIN_EPOCH)
        }
    }

    pub(super) fn send(&mut self, input: ConsumerHeartbeatInput) -> Ticket {
        let ticket = input.ticket;
        let effects = self.groups.consumer_heartbeat(self.now, input);
        self.carry_out(effects);
        ticket
    }

    pub(super) fn answer(&self, ticket: Ticket) -> Result<ConsumerHeartbeat, HeartbeatRefused> {
        match self.answers.get(&ticket) {
            Some(Response::ConsumerHeartbeat(answer)) => answer.clone(),
            other => panic!("{ticket:?} is no heartbeat: {other:?}"),
        }
    }

    pub(super) fn told(&mut self, input: ConsumerHeartbeatInput) -> ConsumerHeartbeat {
        let ticket = self.send(input);
        self.answer(ticket).unwrap()
    }

    pub(super) fn refusal(&mut self, input: ConsumerHeartbeatInput) -> GroupError {
        let ticket = self.send(input);
        self.answer(ticket).unwrap_err().error
    }

    pub(super) fn is_waiting(&self, ticket: Ticket) -> bool {
        !self.answers.contains_key(&ticket)
    }

    pub(super) fn describe(&self) -> ConsumerGroupDescription {
        self.groups.describe(GROUP).unwrap()
    }

    pub(super) fn state(&self) -> ConsumerGroupState {
        self.describe().state
    }

    pub(super) fn epoch(&self) -> i32 {
        self.describe().epoch
    }
}

/// A client that follows the protocol: it owns what it is told to own, as soon as it says so.
#[derive(Clone, Debug, Default)]
pub(super) struct Consumer {
    pub(super) member_id: String,
    pub(super) instance_id: Option<String>,
    pub(super) epoch: i32,
    pub(super) owned: BTreeSet<TopicPartition>,
    pub(super) topics: Vec<String>,
}

impl Consumer {
    pub(super) fn new(member_id: &str) -> Consumer {
        Consumer { member_id: member_id.to_owned(), topics: vec!["t".to_owned()], ..Consumer::default() }
    }

    pub(super) fn of_instance(member_id: &str, instance_id: &str) -> Consumer {
        Consumer { instance_id: Some(instance_id.to_owned()), ..Consumer::new(member_id) }
    }

    /// A heartbeat that says everything.
    pub(super) fn beat(&self, harness: &mut Harness) -> ConsumerHeartbeatInput {
        ConsumerHeartbeatInput {
            instance_id: self.instance_id.clone(),
            rebalance_timeout_ms: REBALANCE_MS,
            subscribed_topics: Some(self.topics.clone()),
            owned: Some(self.owned.iter().copied().collect()),
            ..harness.bare(&self.member_id, self.epoch)
        }
    }

    pub(super) fn hear(&mut self, answer: Result<ConsumerHeartbeat, HeartbeatRefused>) {
        match answer {
            Ok(answer) => {
                self.epoch = answer.member_epoch;
                if let Some(assignment) = answer.assignment {
                    self.owned = assignment.into_iter().collect();
                }
            }
            Err(refused) if matches!(refused.error, GroupError::FencedMemberEpoch | GroupError::UnknownMemberId) => {
                self.epoch = JOIN_EPOCH;
                self.owned.clear();
            }
            Err(_) => {}
        }
    }

    /// Sends a heartbeat and hears the answer.
    pub(super) fn step(&mut self, harness: &mut Harness) {
        let input = self.beat(harness);
        let ticket = harness.send(input);
        self.hear(harness.answer(ticket));
    }

    pub(super) fn partitions(&self) -> Vec<i32> {
        self.owned.iter().map(|partition| partition.partition).collect()
    }
}

/// Two members who share topic `t` evenly.
pub(super) fn two(harness: &mut Harness) -> (Consumer, Consumer) {
    let (mut first, mut second) = (Consumer::new("a"), Consumer::new("b"));
    for _ in 0..3 {
        first.step(harness);
        second.step(harness);
    }
    assert_eq!((first.owned.len(), second.owned.len()), (2, 2));
    assert_eq!(harness.state(), ConsumerGroupState::Stable);
    (first, second)
}
