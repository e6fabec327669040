//! Numbered scenarios of groups, and the harness they run in: a caller that keeps answers and a small log.

use std::collections::BTreeMap;

use bytes::Bytes;
use uuid::Uuid;

use super::*;

mod administration;
mod durability;
mod instances;
mod joining;
mod offsets;
mod staying;
mod walk;

/// A caller: carries out effects, keeps what was answered and what was written.
pub(super) struct Harness {
    pub(super) groups: Groups,
    pub(super) now: i64,
    pub(super) tickets: u64,
    pub(super) answers: BTreeMap<Ticket, Response>,
    /// Whether changes are written at once; otherwise they wait in `unwritten`.
    pub(super) writes_at_once: bool,
    pub(super) unwritten: Vec<(String, PersistToken, GroupChange)>,
    pub(super) log: BTreeMap<String, GroupRecord>,
}

pub(super) const GROUP: &str = "g";
pub(super) const SESSION_MS: i32 = 10_000;
pub(super) const REBALANCE_MS: i32 = 60_000;

pub(super) fn settings() -> GroupSettings {
    GroupSettings { initial_rebalance_delay_ms: 0, ..GroupSettings::default() }
}

pub(super) fn subscription(topics: &[&str]) -> Bytes {
    let mut bytes = vec![0, 0];
    bytes.extend((topics.len() as i32).to_be_bytes());
    for topic in topics {
        bytes.extend((topic.len() as i16).to_be_bytes());
        bytes.extend(topic.as_bytes());
    }
    bytes.extend((-1i32).to_be_bytes());
    bytes.into()
}

impl Harness {
    pub(super) fn new() -> Harness {
        Harness::with(settings())
    }

    pub(super) fn with(settings: GroupSettings) -> Harness {
        settings.validate().unwrap();
        Harness {
            groups: Groups::new(settings),
            now: 1_000_000,
            tickets: 0,
            answers: BTreeMap::new(),
            writes_at_once: true,
            unwritten: Vec::new(),
            log: BTreeMap::new(),
        }
    }

    pub(super) fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
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
            match change {
                GroupChange::Put(record) => {
                    let before = self.log.insert(group.clone(), record);
                    assert!(before.is_none_or(|before| before.generation <= self.log[&group].generation));
                }
                GroupChange::PutConsumer(change) => panic!("a classic group writes {change:?}"),
                GroupChange::Delete => {
                    self.log.remove(&group);
                }
            }
        }
        let effects = self.groups.persisted(self.now, &group, token, result);
        self.carry_out(effects);
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
        let effects = self.groups.tick(self.now);
        self.carry_out(effects);
    }

    /// A JoinGroup to be adjusted: an ordinary consumer of topic `t`, old enough to need no id first.
    pub(super) fn join_input(&mut self, member_id: &str) -> JoinInput {
        let ticket = self.ticket();
        JoinInput {
            ticket,
            group: GROUP.to_owned(),
            member_id: member_id.to_owned(),
            instance_id: None,
            client_id: "client".to_owned(),
            client_host: "/127.0.0.1".to_owned(),
            session_timeout_ms: SESSION_MS,
            rebalance_timeout_ms: REBALANCE_MS,
            protocol_type: "consumer".to_owned(),
            protocols: vec![("range".to_owned(), subscription(&["t"]))],
            member_id_required: false,
            skip_assignment_supported: false,
            fresh_id: Uuid::from_u128(u128::from(ticket.0)),
        }
    }

    pub(super) fn join(&mut self, input: JoinInput) -> Ticket {
        let ticket = input.ticket;
        let effects = self.groups.join(self.now, input);
        self.carry_out(effects);
        ticket
    }

    pub(super) fn join_as(&mut self, member_id: &str) -> Ticket {
        let input = self.join_input(member_id);
        self.join(input)
    }

    pub(super) fn join_instance(&mut self, instance_id: &str) -> Ticket {
        let input = JoinInput { instance_id: Some(instance_id.to_owned()), ..self.join_input("") };
        self.join(input)
    }

    pub(super) fn sync_input(&mut self, member_id: &str, generation: i32, assignments: &[(&str, &str)]) -> SyncInput {
        SyncInput {
            ticket: self.ticket(),
            group: GROUP.to_owned(),
            generation,
            member_id: member_id.to_owned(),
            instance_id: None,
            protocol_type: None,
            protocol: None,
            assignments: assignments
                .iter()
                .map(|(id, part)| ((*id).to_owned(), Bytes::copy_from_slice(part.as_bytes())))
                .collect(),
        }
    }

    pub(super) fn sync(&mut self, member_id: &str, generation: i32, assignments: &[(&str, &str)]) -> Ticket {
        let input = self.sync_input(member_id, generation, assignments);
        self.sync_with(input)
    }

    pub(super) fn sync_with(&mut self, input: SyncInput) -> Ticket {
        let ticket = input.ticket;
        let effects = self.groups.sync(self.now, input);
        self.carry_out(effects);
        ticket
    }

    pub(super) fn heartbeat(&mut self, member_id: &str, generation: i32) -> Result<(), GroupError> {
        let input =
            HeartbeatInput { group: GROUP.to_owned(), generation, member_id: member_id.to_owned(), instance_id: None };
        self.groups.heartbeat(self.now, &input)
    }

    pub(super) fn leave(&mut self, leaving: &[(&str, Option<&str>)]) -> Vec<Result<(), GroupError>> {
        let members = leaving
            .iter()
            .map(|(id, instance)| LeavingMember {
                member_id: (*id).to_owned(),
                instance_id: instance.map(str::to_owned),
            })
            .collect();
        let (results, effects) = self.groups.leave(self.now, &LeaveInput { group: GROUP.to_owned(), members });
        self.carry_out(effects);
        results
    }

    pub(super) fn delete(&mut self, group: &str) -> Ticket {
        let ticket = self.ticket();
        let effects = self.groups.delete(self.now, ticket, group);
        self.carry_out(effects);
        ticket
    }

    pub(super) fn joined(&self, ticket: Ticket) -> Joined {
        match self.answers.get(&ticket) {
            Some(Response::Join(Ok(joined))) => joined.clone(),
            other => panic!("{ticket:?} is no success of a join: {other:?}"),
        }
    }

    pub(super) fn refused(&self, ticket: Ticket) -> GroupError {
        match self.answers.get(&ticket) {
            Some(Response::Join(Err(refused))) => refused.error,
            Some(Response::Sync(Err(error)) | Response::Delete(Err(error))) => *error,
            other => panic!("{ticket:?} is not refused: {other:?}"),
        }
    }

    pub(super) fn assignment(&self, ticket: Ticket) -> String {
        match self.answers.get(&ticket) {
            Some(Response::Sync(Ok(synced))) => String::from_utf8(synced.assignment.to_vec()).unwrap(),
            other => panic!("{ticket:?} is no success of a sync: {other:?}"),
        }
    }

    pub(super) fn is_waiting(&self, ticket: Ticket) -> bool {
        !self.answers.contains_key(&ticket)
    }

    pub(super) fn state(&self) -> State {
        self.groups.describe(GROUP).map_or(State::Dead, |description| description.state)
    }

    pub(super) fn generation(&self) -> i32 {
        self.groups.groups[GROUP].generation
    }

    /// One stable member.
    pub(super) fn stable_one(&mut self) -> String {
        let ticket = self.join_as("");
        let joined = self.joined(ticket);
        self.sync(&joined.member_id, joined.generation, &[(&joined.member_id, "all")]);
        assert_eq!(self.state(), State::Stable);
        joined.member_id
    }

    /// Two stable members at generation 2; the first leads.
    pub(super) fn stable_two(&mut self) -> (String, String) {
        let first = self.stable_one();
        let newcomer = self.join_as("");
        let again = self.join_as(&first);
        let second = self.joined(newcomer).member_id;
        assert_eq!(self.joined(again).leader, first);
        self.sync(&first, 2, &[(&first, "0"), (&second, "1")]);
        self.sync(&second, 2, &[]);
        assert_eq!((self.state(), self.generation()), (State::Stable, 2));
        (first, second)
    }
}
