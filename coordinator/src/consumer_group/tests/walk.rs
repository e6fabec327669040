//! 8xx: random walks. Many clients who follow the protocol, and lose answers, against one coordinator whose log is slow
//! and fails and which is started anew; what must always hold is checked after each step, and in the end everybody has
//! a fair part of everything.

use proptest::prelude::*;

use super::*;

const CLIENTS: usize = 5;

#[derive(Clone, Debug)]
enum Step {
    /// A heartbeat; whoever has revoked says so.
    Beat {
        client: usize,
        bare: bool,
    },
    Subscribe {
        client: usize,
        both: bool,
    },
    Leave {
        client: usize,
        for_a_while: bool,
    },
    /// The process ends and another one starts in its place.
    Replace {
        client: usize,
    },
    Topics {
        t: i32,
        u: i32,
    },
    Pass {
        milliseconds: i64,
    },
    Write {
        succeeds: bool,
    },
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let client = || 0..CLIENTS;
    prop_oneof![
        20 => (client(), prop::bool::weighted(0.3)).prop_map(|(client, bare)| Step::Beat { client, bare }),
        2 => (client(), any::<bool>()).prop_map(|(client, both)| Step::Subscribe { client, both }),
        2 => (client(), any::<bool>()).prop_map(|(client, for_a_while)| Step::Leave { client, for_a_while }),
        1 => client().prop_map(|client| Step::Replace { client }),
        2 => (0i32..7, 0i32..4).prop_map(|(t, u)| Step::Topics { t, u }),
        3 => prop_oneof![4 => 0i64..2_000, 2 => 0i64..20_000, 1 => 0i64..70_000]
            .prop_map(|milliseconds| Step::Pass { milliseconds }),
        15 => prop::bool::weighted(0.8).prop_map(|succeeds| Step::Write { succeeds }),
        1 => Just(Step::Restart),
    ]
}

struct Walk {
    h: Harness,
    clients: Vec<Consumer>,
    /// The one request of each client whose answer it would still read.
    asked: BTreeMap<Ticket, usize>,
    /// All requests that this life of the coordinator has to answer.
    open: BTreeSet<Ticket>,
    lives: usize,
    epoch: i32,
}

impl Walk {
    fn new() -> Walk {
        let mut h = Harness::new();
        h.writes_at_once = false;
        let clients = (0..CLIENTS).map(Walk::fresh).collect();
        Walk { h, clients, asked: BTreeMap::new(), open: BTreeSet::new(), lives: 0, epoch: 0 }
    }

    /// The first clients are static members.
    fn fresh(client: usize) -> Consumer {
        match client {
            0 | 1 => Consumer::of_instance(&format!("m{client}"), &format!("i{client}")),
            _ => Consumer::new(&format!("m{client}")),
        }
    }

    fn ask(&mut self, client: usize, input: ConsumerHeartbeatInput) {
        // The client gives its earlier request up.
        self.asked.retain(|_, other| *other != client);
        self.asked.insert(input.ticket, client);
        self.open.insert(input.ticket);
        self.h.send(input);
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Beat { client, bare } => {
                let mut input = self.clients[client].beat(&mut self.h);
                if bare && input.member_epoch > 0 {
                    (input.rebalance_timeout_ms, input.subscribed_topics, input.owned) = (-1, None, None);
                }
                self.ask(client, input);
            }
            Step::Subscribe { client, both } => {
                let names: &[&str] = if both { &["t", "u"] } else { &["t"] };
                self.clients[client].topics = names.iter().map(|name| (*name).to_owned()).collect();
            }
            Step::Leave { client, for_a_while } => {
                let is_static = self.clients[client].instance_id.is_some();
                let epoch = if for_a_while && is_static { LEAVE_FOR_A_WHILE_EPOCH } else { LEAVE_EPOCH };
                let mut input = self.clients[client].beat(&mut self.h);
                input.member_epoch = epoch;
                self.clients[client].owned.clear();
                self.clients[client].epoch = JOIN_EPOCH;
                self.ask(client, input);
                // Nobody waits for the answer.
                self.asked.retain(|_, other| *other != client);
            }
            Step::Replace { client } => {
                self.lives += 1;
                self.asked.retain(|_, other| *other != client);
                let fresh = Walk::fresh(client);
                self.clients[client] = Consumer { member_id: format!("{}-{}", fresh.member_id, self.lives), ..fresh };
            }
            Step::Topics { t, u } => self.h.set_topics(&[("t", t), ("u", u)]),
            Step::Pass { milliseconds } => self.h.pass(milliseconds),
            Step::Write { succeeds } => self.write(succeeds),
            Step::Restart => {
                self.asked.clear();
                self.open.clear();
                self.h.restart();
                self.epoch = 0;
            }
        }
        self.learn();
        self.check();
    }

    fn write(&mut self, succeeds: bool) {
        if !self.h.unwritten.is_empty() {
            self.h.write(if succeeds { Ok(()) } else { Err(PersistError::Unavailable) });
        }
    }

    /// Clients read their answers.
    fn learn(&mut self) {
        self.open.retain(|ticket| self.h.is_waiting(*ticket));
        let answered: Vec<_> = self.asked.keys().filter(|ticket| !self.h.is_waiting(**ticket)).copied().collect();
        for ticket in answered {
            let client = self.asked.remove(&ticket).unwrap();
            let answer = self.h.answer(ticket);
            if let Ok(told) = &answer {
                let logged = self.h.log[GROUP].members.get(&told.member_id);
                assert!(
                    logged.is_none_or(|logged| told.member_epoch <= logged.member_epoch),
                    "told before it is written"
                );
            }
            self.clients[client].hear(answer);
        }
    }

    fn check(&mut self) {
        self.h.groups.check().unwrap();
        let Some(group) = self.h.groups.describe(GROUP) else {
            self.epoch = 0;
            return;
        };
        assert!(group.epoch >= self.epoch, "the epoch went back");
        self.epoch = group.epoch;
        // Whoever is no member any more will learn it; of the others no two own the same.
        let mut owned = BTreeSet::new();
        for client in &self.clients {
            if group.members.iter().any(|member| member.member_id == client.member_id) {
                for partition in &client.owned {
                    assert!(owned.insert(*partition), "{partition:?} is owned twice");
                }
            }
        }
        if group.state == ConsumerGroupState::Stable {
            for member in &group.members {
                assert_eq!(member.assigned, member.target);
            }
        }
    }

    /// The log recovers, and everybody behaves.
    fn end(mut self) {
        // Those who are away stay there until their sessions end.
        for round in 0..30 {
            self.h.pass(if round < 20 { 4_000 } else { 100 });
            while !self.h.unwritten.is_empty() {
                self.write(true);
                self.learn();
            }
            for client in 0..CLIENTS {
                self.take(Step::Beat { client, bare: false });
                while !self.h.unwritten.is_empty() {
                    self.take(Step::Write { succeeds: true });
                }
            }
        }
        assert!(self.open.is_empty(), "never answered: {:?}", self.open);
        let group = self.h.describe();
        assert_eq!((group.state, group.members.len()), (ConsumerGroupState::Stable, CLIENTS));
        let mut owned = 0;
        for (client, name) in
            self.clients.iter().flat_map(|client| client.topics.iter().map(move |name| (client, name)))
        {
            owned += client.owned.iter().filter(|partition| partition.topic == topic(name)).count();
        }
        let wanted: i32 = ["t", "u"]
            .into_iter()
            .filter(|name| self.clients.iter().any(|client| client.topics.iter().any(|topic| topic == name)))
            .filter_map(|name| self.h.groups.topics().by_name(name))
            .map(|size| size.partition_count)
            .sum();
        assert_eq!(owned as i32, wanted, "everything is owned");
        for client in &self.clients {
            let logged = &self.h.log[GROUP].members[&client.member_id];
            assert_eq!(logged.assigned, client.owned.iter().copied().collect::<Vec<_>>());
        }
        let before = self.h.describe();
        self.h.restart();
        assert_eq!(self.h.describe(), before, "a restart changes nothing");
        self.h.pass(2 * SESSION_MS);
        while !self.h.unwritten.is_empty() {
            self.write(true);
        }
        assert!(self.h.log[GROUP].members.is_empty(), "the log still names members");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn s801_whatever_clients_and_log_do(steps in prop::collection::vec(step(), 1..150)) {
        let mut walk = Walk::new();
        for step in steps {
            walk.take(step);
        }
        walk.end();
    }

    #[test]
    fn s802_the_same_inputs_give_the_same_answers(steps in prop::collection::vec(step(), 1..80)) {
        let run = || {
            let mut walk = Walk::new();
            for step in &steps {
                walk.take(step.clone());
            }
            (walk.h.answers, walk.h.unwritten, walk.h.log)
        };
        prop_assert_eq!(run(), run());
    }
}
