//! A random walk over members of both protocols in one group, with a log that is slow and fails, and coordinators that
//! are started anew. No partition is owned by two members that the coordinator knows, every ticket is answered once,
//! and in the end, with clients who behave, everything is owned by somebody.

use proptest::prelude::*;

use super::*;
use crate::consumer_group::EmbeddedSubscription;

const CLIENTS: usize = 4;

#[derive(Clone, Debug)]
enum Step {
    /// The next request that its protocol asks for.
    Act {
        client: usize,
    },
    Leave {
        client: usize,
    },
    /// It ends without a word and comes back with the other protocol.
    Switch {
        client: usize,
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
        25 => client().prop_map(|client| Step::Act { client }),
        1 => client().prop_map(|client| Step::Leave { client }),
        1 => client().prop_map(|client| Step::Switch { client }),
        3 => prop_oneof![4 => 0i64..1_000, 2 => 0i64..8_000, 1 => 0i64..70_000]
            .prop_map(|milliseconds| Step::Pass { milliseconds }),
        15 => prop::bool::weighted(0.85).prop_map(|succeeds| Step::Write { succeeds }),
        1 => Just(Step::Restart),
    ]
}

/// What a classic client has to do next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Joining,
    Syncing,
    Beating,
}

/// A client of either protocol that does as it is told. Classic ones are cooperative.
#[derive(Clone, Debug, Default)]
struct Client {
    is_classic: bool,
    member_id: String,
    epoch: i32,
    owned: BTreeSet<i32>,
    /// It is no member any more and has not heard of it: what it takes for its own may be given to others.
    is_expelled: bool,
    phase: Phase,
    /// Those it leads and what they say they own.
    leads: Vec<(String, Vec<i32>)>,
    asked: Option<Ticket>,
}

struct Walk {
    h: Harness,
    clients: Vec<Client>,
    open: BTreeSet<Ticket>,
    lives: usize,
}

impl Walk {
    fn new() -> Walk {
        let mut h = Harness::new();
        h.writes_at_once = false;
        let mut walk = Walk { h, clients: vec![Client::default(); CLIENTS], open: BTreeSet::new(), lives: 0 };
        for client in 0..CLIENTS {
            walk.begin(client, client % 2 == 0);
        }
        walk
    }

    fn begin(&mut self, client: usize, is_classic: bool) {
        self.lives += 1;
        let member_id = if is_classic { String::new() } else { format!("new-{}", self.lives) };
        self.clients[client] = Client { is_classic, member_id, ..Client::default() };
    }

    fn act(&mut self, client: usize) {
        let known = self.clients[client].clone();
        if known.asked.is_some() {
            return;
        }
        let owned: Vec<i32> = known.owned.iter().copied().collect();
        let ticket = match (known.is_classic, &known.phase) {
            (false, _) => self.h.beat(&known.member_id, known.epoch, &owned),
            (true, Phase::Joining) => self.h.join(&known.member_id, &owned),
            (true, Phase::Syncing) => {
                let given = balanced(&known.leads);
                let given: Vec<(&str, &[i32])> =
                    given.iter().map(|(id, parts)| (id.as_str(), parts.as_slice())).collect();
                self.h.sync(&known.member_id, known.epoch, &given)
            }
            (true, Phase::Beating) => {
                let result = self.h.heartbeat(&known.member_id, known.epoch);
                self.clients[client].hear_classic_error(result);
                return;
            }
        };
        self.open.insert(ticket);
        self.clients[client].asked = Some(ticket);
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Act { client } => self.act(client),
            Step::Leave { client } => {
                let known = self.clients[client].clone();
                if known.is_classic {
                    let _ = self.h.leave(&known.member_id);
                } else {
                    let ticket = self.h.beat(&known.member_id, LEAVE_EPOCH, &[]);
                    self.open.insert(ticket);
                }
                self.begin(client, known.is_classic);
            }
            Step::Switch { client } => {
                let is_classic = self.clients[client].is_classic;
                self.begin(client, !is_classic);
            }
            Step::Pass { milliseconds } => self.h.pass(milliseconds),
            Step::Write { succeeds } => {
                if !self.h.unwritten.is_empty() {
                    self.h.write(if succeeds { Ok(()) } else { Err(PersistError::Unavailable) });
                }
            }
            Step::Restart => {
                self.h.restart();
                self.open.clear();
                for client in &mut self.clients {
                    client.asked = None;
                    if client.phase == Phase::Syncing {
                        client.phase = Phase::Joining;
                    }
                }
            }
        }
        self.learn();
        self.check();
    }

    fn learn(&mut self) {
        for client in &mut self.clients {
            if let Some(ticket) = client.asked.take_if(|ticket| self.h.answers.contains_key(ticket)) {
                client.hear(self.h.answers[&ticket].clone());
            }
        }
        let answers = &self.h.answers;
        self.open.retain(|ticket| !answers.contains_key(ticket));
    }

    fn check(&mut self) {
        self.h.table.check().unwrap();
        let consumer = self.h.table.describe_consumer(GROUP);
        let classic = self.h.table.describe(GROUP);
        let members: BTreeSet<&String> = match &consumer {
            Some(group) => group.members.iter().map(|member| &member.member_id).collect(),
            None => classic.iter().flat_map(|group| &group.members).map(|member| &member.member_id).collect(),
        };
        let mut owned = BTreeSet::new();
        for client in &mut self.clients {
            client.is_expelled |= !members.contains(&client.member_id);
            if consumer.is_some() && !client.is_expelled {
                for partition in &client.owned {
                    assert!(owned.insert(*partition), "{partition} is owned twice");
                }
            }
        }
    }

    /// The log recovers, and everybody behaves.
    fn end(mut self) {
        for _ in 0..60 {
            self.h.pass(2_000);
            for client in 0..CLIENTS {
                for step in [Step::Act { client }, Step::Write { succeeds: true }, Step::Write { succeeds: true }] {
                    self.take(step);
                }
            }
        }
        while !self.h.unwritten.is_empty() {
            self.take(Step::Write { succeeds: true });
        }
        let mut owned: Vec<i32> = self.clients.iter().flat_map(|client| client.owned.iter().copied()).collect();
        owned.sort_unstable();
        assert_eq!(owned, [0, 1, 2, 3], "everything is owned once");
        let all_classic = self.clients.iter().all(|client| client.is_classic);
        assert_eq!(self.h.types(), [(if all_classic { "classic" } else { "consumer" }, "Stable")]);
        assert!(self.open.is_empty(), "never answered: {:?}", self.open);
    }
}

/// A cooperative leader: nobody gets what another one still owns.
fn balanced(members: &[(String, Vec<i32>)]) -> Vec<(String, Vec<i32>)> {
    let mut given: Vec<(String, Vec<i32>)> = members.iter().map(|(id, _)| (id.clone(), Vec::new())).collect();
    for partition in 0..4 {
        let owner = members.iter().position(|(_, owned)| owned.contains(&partition));
        let wanted = partition as usize % members.len().max(1);
        if owner.is_none_or(|owner| owner == wanted)
            && let Some((_, parts)) = given.get_mut(wanted)
        {
            parts.push(partition);
        }
    }
    given
}

impl Client {
    fn hear(&mut self, answer: Response) {
        match answer {
            Response::ConsumerHeartbeat(Ok(told)) => {
                self.epoch = told.member_epoch;
                if let Some(assignment) = told.assignment {
                    self.is_expelled = false;
                    self.owned = assignment.into_iter().map(|partition| partition.partition).collect();
                }
            }
            Response::ConsumerHeartbeat(Err(refused)) => match refused.error {
                GroupError::FencedMemberEpoch | GroupError::UnknownMemberId | GroupError::GroupIdNotFound => {
                    self.epoch = JOIN_EPOCH;
                    self.owned.clear();
                }
                _ => {}
            },
            Response::Join(Ok(joined)) => {
                (self.member_id, self.epoch, self.phase) = (joined.member_id, joined.generation, Phase::Syncing);
                let owned = |metadata: &Bytes| {
                    let read = EmbeddedSubscription::read(metadata).unwrap();
                    read.owned.into_iter().flat_map(|(_, indexes)| indexes).collect()
                };
                self.leads =
                    joined.members.into_iter().map(|member| (member.member_id, owned(&member.metadata))).collect();
            }
            Response::Join(Err(refused)) => self.hear_classic_error(Err(refused.error)),
            Response::Sync(Ok(synced)) => {
                let assigned: BTreeSet<i32> = partitions(&synced.assignment).into_iter().collect();
                // Who has to give up joins again to say so.
                let revokes = self.owned.iter().any(|partition| !assigned.contains(partition));
                self.phase = if revokes { Phase::Joining } else { Phase::Beating };
                self.owned = assigned;
                self.is_expelled = false;
            }
            Response::Sync(Err(error)) => self.hear_classic_error(Err(error)),
            Response::Delete(_) => panic!("nobody deletes"),
        }
    }

    fn hear_classic_error(&mut self, result: Result<(), GroupError>) {
        match result {
            Ok(()) => {}
            Err(GroupError::UnknownMemberId) => {
                self.member_id.clear();
                self.owned.clear();
                self.phase = Phase::Joining;
            }
            Err(GroupError::IllegalGeneration) => {
                self.owned.clear();
                self.phase = Phase::Joining;
            }
            Err(GroupError::RebalanceInProgress) => self.phase = Phase::Joining,
            // It asks again.
            Err(_) => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn members_of_both_protocols_share_a_group(steps in prop::collection::vec(step(), 1..150)) {
        let mut walk = Walk::new();
        for step in steps {
            walk.take(step);
        }
        walk.end();
    }
}
