//! A transactional producer at one node after the other: its identity, its sequence numbers, the transaction that it attempts.
//!
//! It does as Kafka's clients do. A modern one (KIP-890) adds partitions by writing to them, and gets a new epoch with each end.
//! An older one adds partitions first and keeps its epoch; after a batch whose fate it does not know it asks for a new one (KIP-360).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use alluvium_infra::runtime::JoinHandle;
use alluvium_record::TopicPartition;

use super::Client;
use super::group::coordinator;
use crate::cluster::Cluster;
use crate::history::{Operation, Outcome, Part};
use crate::random::Random;

pub(super) const WAIT: Duration = Duration::from_secs(12);
const IN_FLIGHT_MAX: usize = 5;

/// A producer with its identity.
pub(super) struct Session {
    pub(super) id: String,
    pub(super) modern: bool,
    pub(super) timeout_ms: i32,
    pub(super) producer: (i64, i16),
    next: BTreeMap<TopicPartition, i32>,
}

/// A transaction that is attempted.
pub(super) struct Attempt {
    pub(super) part: Part,
    added: Vec<TopicPartition>,
    in_flight: BTreeMap<TopicPartition, VecDeque<JoinHandle<bool>>>,
    /// Whether the fate of all that was sent is known, and good.
    pub(super) sound: bool,
    /// Partitions whose first batch was given up: nothing follows on it.
    given_up: Vec<TopicPartition>,
    /// Whether a request about the transaction itself was repeated: the first one may arrive yet.
    repeated: bool,
}

/// Whether a producer goes on as the one that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    GoesOn,
    /// Another one has taken over, or nobody knows.
    IsOver,
}

/// Answers after which a producer is not the one of its id any more, or cannot tell.
fn is_fatal(reason: &str) -> bool {
    [
        "newer producer",
        "not the one of the transactional id",
        "no such transactional id",
        "unknown transactional id",
        "is fenced",
        "the producer's epoch is",
        "not part of an open transaction",
        "cannot be done",
    ]
    .iter()
    .any(|words| reason.contains(words))
}

impl Session {
    /// Becomes the producer of an id. `None` when time is up.
    pub(super) async fn begin(client: &mut Client, id: &str, modern: bool) -> Option<Session> {
        let timeout_ms = client.random.pick(&[2_000, 5_000, 20_000]);
        let mut session = Session { id: id.to_owned(), modern, timeout_ms, producer: (-1, -1), next: BTreeMap::new() };
        while client.goes_on() {
            if session.init(client, None).await == Some(Standing::GoesOn) {
                return Some(session);
            }
            client.pause(400).await;
        }
        None
    }

    /// One request for an identity; `None` when nothing came of it.
    async fn init(&mut self, client: &mut Client, producer: Option<(i64, i16)>) -> Option<Standing> {
        let operation = Operation::InitTransactional { id: self.id.clone(), timeout_ms: self.timeout_ms, producer };
        let node = coordinator(client, &self.id);
        match client.cluster.call(client.number, node, operation, WAIT).await {
            Outcome::Identity(producer_id, epoch) => {
                self.become_producer((producer_id, epoch));
                Some(Standing::GoesOn)
            }
            Outcome::Refused(reason) if is_fatal(&reason) => Some(Standing::IsOver),
            _ => None,
        }
    }

    fn become_producer(&mut self, producer: (i64, i16)) {
        if self.producer != producer {
            self.next.clear();
        }
        self.producer = producer;
    }

    /// Begins an attempt.
    pub(super) fn attempt(&self, client: &Client) -> Attempt {
        let attempt = client.cluster.world.next_attempt();
        let part = Part { id: self.id.clone(), attempt, modern: self.modern };
        Attempt {
            part,
            added: Vec::new(),
            in_flight: BTreeMap::new(),
            sound: true,
            given_up: Vec::new(),
            repeated: false,
        }
    }

    /// Repeats a request to the coordinator a few times.
    async fn insist(&self, client: &mut Client, attempt: &mut Attempt, operation: Operation) {
        for _ in 0..8 {
            let node = coordinator(client, &self.id);
            match client.cluster.call(client.number, node, operation.clone(), WAIT).await {
                Outcome::Done { .. } => return,
                Outcome::Refused(reason) if is_fatal(&reason) => break,
                outcome => attempt.repeated |= outcome == Outcome::Unknown,
            }
            client.pause(300).await;
        }
        attempt.sound = false;
    }

    /// Adds partitions, as older clients have to.
    pub(super) async fn add(&self, client: &mut Client, attempt: &mut Attempt, partitions: &[TopicPartition]) {
        let missing: Vec<TopicPartition> =
            partitions.iter().filter(|partition| !attempt.added.contains(partition)).copied().collect();
        if self.modern || missing.is_empty() {
            return;
        }
        let (id, producer) = (self.id.clone(), self.producer);
        let operation = Operation::AddPartitions { id, producer, partitions: missing.clone() };
        self.insist(client, attempt, operation).await;
        attempt.added.extend(missing);
    }

    /// Sends a batch, and does not wait for its answer unless it is the first of its partition.
    pub(super) async fn send(
        &mut self,
        client: &mut Client,
        attempt: &mut Attempt,
        topic_partition: TopicPartition,
        count: u32,
    ) {
        if attempt.given_up.contains(&topic_partition) {
            return;
        }
        self.add(client, attempt, &[topic_partition]).await;
        let batch = client.cluster.world.next_batch();
        let next = self.next.entry(topic_partition).or_default();
        let (producer_id, epoch) = self.producer;
        let operation = Operation::Produce {
            topic_partition,
            batch,
            count,
            producer: Some((producer_id, epoch, *next)),
            part: Some(attempt.part.clone()),
        };
        *next += count as i32;
        let random = Random::new(client.random.bits(), 2);
        // Somebody who gives up early does not know what becomes of the batch.
        let tries = client.random.pick(&[1, 4, 12, 12, 12]);
        let sending = send(client.cluster.clone(), client.number, random, operation, tries);
        let mut sending = client.cluster.world.runtime.spawn("batch", sending);
        let Some(in_flight) = attempt.in_flight.get_mut(&topic_partition) else {
            // A partition that does not know the producer takes any sequence number for the first.
            match (&mut sending).await.unwrap_or(false) {
                true => drop(attempt.in_flight.insert(topic_partition, VecDeque::new())),
                false => {
                    attempt.sound = false;
                    attempt.given_up.push(topic_partition);
                }
            }
            return;
        };
        in_flight.push_back(sending);
        if in_flight.len() > IN_FLIGHT_MAX
            && let Some(first) = in_flight.pop_front()
        {
            attempt.sound &= first.await.unwrap_or(false);
        }
    }

    /// Waits for the answers to all batches.
    pub(super) async fn flush(&self, attempt: &mut Attempt) {
        for sending in std::mem::take(&mut attempt.in_flight).into_values().flatten() {
            attempt.sound &= sending.await.unwrap_or(false);
        }
    }

    /// Commits an offset of a group in the transaction.
    pub(super) async fn commit_offset(
        &self,
        client: &mut Client,
        attempt: &mut Attempt,
        group: &str,
        topic_partition: TopicPartition,
        (after, offset): (i64, i64),
    ) {
        let (id, producer) = (self.id.clone(), self.producer);
        if !self.modern {
            let operation = Operation::AddGroup { id, producer, group: group.to_owned() };
            self.insist(client, attempt, operation).await;
        }
        let operation = Operation::CommitTransactionOffset {
            part: attempt.part.clone(),
            producer,
            group: group.to_owned(),
            topic_partition,
            offset,
            tag: format!("a{}", attempt.part.attempt),
            after,
        };
        for _ in 0..8 {
            if !attempt.sound {
                return;
            }
            let node = coordinator(client, group);
            match client.cluster.call(client.number, node, operation.clone(), WAIT).await {
                Outcome::Done { .. } => return,
                Outcome::Refused(reason) if is_fatal(&reason) => break,
                outcome => attempt.repeated |= outcome == Outcome::Unknown,
            }
            client.pause(300).await;
        }
        attempt.sound = false;
    }

    /// Ends the transaction, whatever it takes.
    pub(super) async fn end(&mut self, client: &mut Client, mut attempt: Attempt, commit: bool) -> Standing {
        let operation = Operation::EndTransaction { part: attempt.part.clone(), producer: self.producer, commit };
        // Faults end some day, and then this does too.
        loop {
            let node = coordinator(client, &self.id);
            match client.cluster.call(client.number, node, operation.clone(), WAIT).await {
                Outcome::Identity(producer_id, epoch) => {
                    self.become_producer((producer_id, epoch));
                    break;
                }
                Outcome::Refused(reason) if is_fatal(&reason) => return Standing::IsOver,
                outcome => attempt.repeated |= outcome == Outcome::Unknown,
            }
            client.pause(400).await;
        }
        match (self.modern, attempt.sound, attempt.repeated) {
            (true, _, _) | (false, true, false) => return Standing::GoesOn,
            // What comes late would be about the next transaction: a new producer is not concerned.
            (false, _, true) => return Standing::IsOver,
            (false, false, false) => {}
        }
        // What was sent may come yet: with another epoch it is nobody's.
        let mine = self.producer;
        loop {
            match self.init(client, Some(mine)).await {
                Some(standing) => return standing,
                None => client.pause(400).await,
            }
        }
    }
}

/// Sends one batch until it is known to be written, or hope is lost. Tells whether it is written.
async fn send(cluster: Arc<Cluster>, client: u32, mut random: Random, operation: Operation, tries: u32) -> bool {
    for _ in 0..tries {
        let node = random.below(cluster.nodes.len() as u64) as u32;
        // An impatient client repeats itself while the first request is still on its way.
        let wait = if random.chance(200) { Duration::from_millis(random.between(5, 800)) } else { WAIT };
        match cluster.call(client, node, operation.clone(), wait).await {
            Outcome::Produced { .. } => return true,
            Outcome::Refused(reason) if is_fatal(&reason) => return false,
            _ => {}
        }
        cluster.world.runtime.sleep(Duration::from_millis(random.between(5, 400))).await;
    }
    false
}
