//! 8xx: random walks. Many clients, honest and not, against one coordinator whose log is slow and fails; what must
//! always hold is checked after each step, and in the end everybody has been answered.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Join {
        client: usize,
        with_id: bool,
        id_required: bool,
        topics: bool,
    },
    Sync {
        client: usize,
    },
    Heartbeat {
        client: usize,
    },
    Leave {
        client: usize,
    },
    Commit {
        client: usize,
    },
    Pass {
        milliseconds: i64,
    },
    Write {
        succeeds: bool,
    },
    /// Everybody behaves for a while.
    Settle {
        clients: usize,
        syncs: bool,
    },
    Restart,
    Delete,
}

const CLIENTS: usize = 6;

fn step() -> impl Strategy<Value = Step> {
    let client = || 0..CLIENTS;
    prop_oneof![
        10 => (client(), prop::bool::weighted(0.7), any::<bool>(), prop::bool::weighted(0.1))
            .prop_map(|(client, with_id, id_required, topics)| Step::Join { client, with_id, id_required, topics }),
        10 => client().prop_map(|client| Step::Sync { client }),
        4 => client().prop_map(|client| Step::Heartbeat { client }),
        2 => client().prop_map(|client| Step::Leave { client }),
        2 => client().prop_map(|client| Step::Commit { client }),
        3 => (1..=CLIENTS, prop::bool::weighted(0.7)).prop_map(|(clients, syncs)| Step::Settle { clients, syncs }),
        5 => prop_oneof![4 => 0i64..200, 4 => 0i64..5_000, 1 => 0i64..70_000].prop_map(|milliseconds| Step::Pass { milliseconds }),
        10 => prop::bool::weighted(0.8).prop_map(|succeeds| Step::Write { succeeds }),
        1 => Just(Step::Restart),
        1 => Just(Step::Delete),
    ]
}

/// What a client believes.
#[derive(Clone, Debug, Default)]
struct Client {
    member_id: String,
    generation: i32,
    leads: Vec<String>,
}

struct Walk {
    h: Harness,
    clients: Vec<Client>,
    asked: BTreeMap<Ticket, usize>,
    /// Assignments that the log acknowledged, as the leader's ticket that made them.
    acknowledged: BTreeSet<(i32, Bytes)>,
    generation: i32,
    lost: BTreeSet<Ticket>,
}

impl Walk {
    fn new(delay_ms: i32) -> Walk {
        let settings = GroupSettings { initial_rebalance_delay_ms: delay_ms, members_max: 5, ..settings() };
        let mut h = Harness::with(settings);
        h.writes_at_once = false;
        let clients = vec![Client::default(); CLIENTS];
        Walk { h, clients, asked: BTreeMap::new(), acknowledged: BTreeSet::new(), generation: 0, lost: BTreeSet::new() }
    }

    /// The first clients are static members.
    fn instance_of(client: usize) -> Option<String> {
        (client < 2).then(|| format!("instance{client}"))
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Join { client, with_id, id_required, topics } => {
                let member_id = if with_id { self.clients[client].member_id.clone() } else { String::new() };
                let mut input = self.h.join_input(&member_id);
                input.instance_id = Walk::instance_of(client);
                input.member_id_required = id_required;
                input.skip_assignment_supported = id_required;
                if topics {
                    input.protocols[0].1 = subscription(&["t", "u"]);
                }
                self.asked.insert(input.ticket, client);
                self.h.join(input);
            }
            Step::Sync { client } => {
                let Client { member_id, generation, leads } = self.clients[client].clone();
                let mut input = self.h.sync_input(&member_id, generation, &[]);
                // Every part carries the ticket that made it, so that parts of different assignments differ.
                let part = Bytes::from(input.ticket.0.to_string());
                input.assignments = leads.into_iter().map(|id| (id, part.clone())).collect();
                input.instance_id = Walk::instance_of(client);
                self.asked.insert(input.ticket, client);
                self.h.sync_with(input);
            }
            Step::Heartbeat { client } => {
                let Client { member_id, generation, .. } = self.clients[client].clone();
                let _ = self.h.heartbeat(&member_id, generation);
            }
            Step::Leave { client } => {
                let member_id = self.clients[client].member_id.clone();
                self.h.leave(&[(&member_id, Walk::instance_of(client).as_deref())]);
            }
            Step::Commit { client } => {
                let Client { member_id, generation, .. } = self.clients[client].clone();
                let input = CommitInput {
                    group: GROUP.to_owned(),
                    generation,
                    member_id,
                    instance_id: None,
                    transactional: false,
                };
                let _ = self.h.groups.check_commit(self.h.now, &input);
            }
            Step::Pass { milliseconds } => self.h.pass(milliseconds),
            Step::Write { succeeds } => self.write(succeeds),
            Step::Settle { clients, syncs } => {
                for _ in 0..2 {
                    for client in 0..clients {
                        self.take(Step::Join { client, with_id: true, id_required: true, topics: false });
                    }
                }
                self.take(Step::Pass { milliseconds: 600 });
                if syncs {
                    (0..clients).for_each(|client| self.take(Step::Sync { client }));
                    self.take(Step::Write { succeeds: true });
                }
            }
            Step::Restart => {
                self.lost.extend(self.asked.keys().filter(|ticket| self.h.is_waiting(**ticket)));
                self.h.restart();
                self.generation = 0;
            }
            Step::Delete => {
                let ticket = self.h.delete(GROUP);
                self.asked.insert(ticket, 0);
            }
        }
        self.learn();
        self.check();
    }

    fn write(&mut self, succeeds: bool) {
        let Some((_, _, change)) = self.h.unwritten.first().cloned() else { return };
        match change {
            GroupChange::Put(record) if succeeds => {
                self.acknowledged
                    .extend(record.members.iter().map(|member| (record.generation, member.assignment.clone())));
            }
            GroupChange::Put(_) | GroupChange::Delete => {}
            GroupChange::PutConsumer(change) => panic!("a classic group writes {change:?}"),
        }
        self.h.write(if succeeds { Ok(()) } else { Err(PersistError::Unavailable) });
    }

    /// Clients read their answers.
    fn learn(&mut self) {
        let answered: Vec<_> = self.asked.keys().filter(|ticket| !self.h.is_waiting(**ticket)).copied().collect();
        for ticket in answered {
            let client = self.asked.remove(&ticket).unwrap();
            let client = &mut self.clients[client];
            match self.h.answers[&ticket].clone() {
                Response::Join(Ok(joined)) => {
                    let leads = joined.leader == joined.member_id;
                    assert!(joined.members.is_empty() || leads, "only the leader is told the members");
                    assert!(
                        joined.members.is_empty()
                            || joined.members.iter().any(|member| member.member_id == joined.leader)
                    );
                    client.leads = joined.members.into_iter().map(|member| member.member_id).collect();
                    (client.member_id, client.generation) = (joined.member_id, joined.generation);
                }
                Response::Join(Err(refused)) => match refused.error {
                    GroupError::MemberIdRequired => client.member_id = refused.member_id,
                    GroupError::UnknownMemberId | GroupError::FencedInstanceId => client.member_id.clear(),
                    _ => {}
                },
                Response::Sync(Ok(synced)) => {
                    let part = (self.h.groups.groups.get(GROUP).map_or(0, |group| group.generation), synced.assignment);
                    assert!(self.acknowledged.contains(&part), "an assignment is given that was not written: {part:?}");
                }
                Response::Sync(Err(_)) | Response::Delete(_) => {}
                Response::ConsumerHeartbeat(answer) => panic!("a classic member is told {answer:?}"),
            }
        }
    }

    fn check(&mut self) {
        self.h.groups.check().unwrap();
        match self.h.groups.groups.get(GROUP) {
            Some(group) => {
                assert!(group.generation >= self.generation, "the generation went back");
                self.generation = group.generation;
            }
            None => self.generation = 0,
        }
        let next = self.h.groups.next_deadline_ms();
        assert!(
            next.is_none_or(|next| next > self.h.now) || !matches!(self.h.groups.tick(self.h.now).len(), 1..),
            "a timer was late"
        );
    }

    /// The clients fall silent and the log recovers.
    fn end(mut self) {
        for _ in 0..20 {
            while !self.h.unwritten.is_empty() {
                self.write(true);
                self.learn();
            }
            self.h.pass(200_000);
            self.learn();
            self.check();
        }
        let unanswered: Vec<_> = self.asked.keys().filter(|ticket| !self.lost.contains(ticket)).collect();
        assert!(unanswered.is_empty(), "never answered: {unanswered:?}");
        let description = self.h.groups.describe(GROUP);
        assert!(description.is_none_or(|group| group.state == State::Empty && group.members.is_empty()));
        assert!(self.h.log.get(GROUP).is_none_or(|record| record.members.is_empty()), "the log still names members");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn s801_whatever_clients_and_log_do(
        delay_ms in prop_oneof![Just(0), Just(500)],
        steps in prop::collection::vec(step(), 1..150),
    ) {
        let mut walk = Walk::new(delay_ms);
        for step in steps {
            walk.take(step);
        }
        walk.end();
    }

    #[test]
    fn s802_the_same_inputs_give_the_same_answers(steps in prop::collection::vec(step(), 1..80)) {
        let run = || {
            let mut walk = Walk::new(500);
            for step in &steps {
                walk.take(step.clone());
            }
            (walk.h.answers, walk.h.unwritten, walk.h.log)
        };
        prop_assert_eq!(run(), run());
    }
}
