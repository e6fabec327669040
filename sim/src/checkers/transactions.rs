//! Invariant 9 in the log: a transaction is decided once, ends once wherever it is, with the outcome of its decision; it holds what
//! one client attempted, and all of it; who was replaced commits nothing; offsets and data commit together.

use std::collections::{BTreeMap, BTreeSet};

use alluvium_record::TopicPartition;

use super::Violations;
use super::durable::Durable;
use super::durable_transactions::{LogTransaction, Place, TransactionKey};
use super::producers::deleted_topics;
use crate::history::{Call, History, Operation, Outcome, Part};

pub(super) fn check(history: &History, durable: &Durable, violations: &mut Violations) {
    for (key, transaction) in &durable.transactions {
        ends_once(*key, transaction, violations);
        holds_what_was_added(*key, transaction, durable, violations);
        if history.settled {
            ends_everywhere(*key, transaction, history, violations);
        }
    }
    let attempts = Attempts::of(history);
    attempts.are_transactions(durable, violations);
    attempts.end_as_answered(history, durable, violations);
    who_was_replaced_commits_nothing(history, durable, &attempts, violations);
    offsets_follow_on_each_other(history, durable, violations);
}

/// One decision; one marker a place, of that decision, after it, with its epoch.
fn ends_once(key: TransactionKey, transaction: &LogTransaction, violations: &mut Violations) {
    violations.require(9, transaction.decisions.len() <= 1, || {
        format!("transaction {key:?} was decided {} times", transaction.decisions.len())
    });
    violations.require(9, transaction.completed_us.len() <= 1, || {
        format!("transaction {key:?} was completed {} times", transaction.completed_us.len())
    });
    let mut places = BTreeSet::new();
    for marker in &transaction.markers {
        violations.require(9, places.insert(&marker.place), || {
            format!("transaction {key:?} ended twice at {:?}", marker.place)
        });
        let decision = transaction.decision();
        let follows =
            decision.is_some_and(|decision| decision.commit == marker.commit && decision.at_us <= marker.at_us);
        violations.require(9, follows, || {
            format!("transaction {key:?} ended at {:?} with {}, {decision:?} was decided", marker.place, marker.commit)
        });
        let raised = decision.filter(|decision| decision.next.0 == key.0).map_or(marker.epoch, |next| next.next.1);
        violations.require(9, marker.epoch >= raised, || {
            format!("the marker of {key:?} at {:?} has epoch {}, {raised} follows", marker.place, marker.epoch)
        });
    }
    if let (Some(completed_us), true) = (transaction.completed_us.first(), transaction.decisions.len() == 1) {
        let late = transaction.markers.iter().find(|marker| marker.at_us > *completed_us);
        violations
            .require(9, late.is_none(), || format!("transaction {key:?} was complete before it had ended: {late:?}"));
    }
}

/// Batches and offsets of a transaction are in partitions and groups that were added, and before the end there.
fn holds_what_was_added(
    key: TransactionKey,
    transaction: &LogTransaction,
    durable: &Durable,
    violations: &mut Violations,
) {
    for batch in transaction.batches.iter().map(|index| &durable.batches[*index]) {
        let at = batch.topic_partition;
        violations.require(9, transaction.partitions.contains(&at), || {
            format!("batch {} of transaction {key:?} is in {at}, which was not added", batch.batch)
        });
        let end = transaction.end_at(&Place::Partition(at));
        violations.require(9, end.is_none_or(|end| batch.base_offset < end.offset), || {
            format!("batch {} of transaction {key:?} follows on the end of it in {at}", batch.batch)
        });
    }
    for offset in &transaction.offsets {
        violations.require(9, transaction.groups.contains(&offset.group), || {
            format!("{} of transaction {key:?} is for {}, which was not added", offset.tag, offset.group)
        });
        let end = transaction.end_at(&Place::Group(offset.group.clone()));
        violations.require(9, end.is_none_or(|end| offset.at_us <= end.at_us), || {
            format!("{} of transaction {key:?} follows on the end of it", offset.tag)
        });
    }
}

/// When all is over, every transaction is decided and has ended wherever it was: none hangs, none is torn.
fn ends_everywhere(key: TransactionKey, transaction: &LogTransaction, history: &History, violations: &mut Violations) {
    let is_complete = transaction.decisions.len() == 1 && transaction.completed_us.len() == 1;
    violations.require(9, is_complete, || format!("transaction {key:?} of {} hangs", transaction.id));
    let deleted = deleted_topics(history);
    let partitions = transaction.partitions.iter().filter(|at| !deleted.contains(&at.topic));
    let places = partitions
        .map(|at| Place::Partition(*at))
        .chain(transaction.groups.iter().map(|group| Place::Group(group.clone())));
    for place in places {
        violations.require(9, transaction.end_at(&place).is_some(), || {
            format!("transaction {key:?} of {} is torn: it has no end at {place:?}", transaction.id)
        });
    }
}

/// What clients attempted.
struct Attempts<'a> {
    /// Calls that ask for the end of each attempt.
    ends: BTreeMap<u64, Vec<(&'a Call, bool)>>,
    /// The attempt of each batch, and of each commit of offsets.
    of_batch: BTreeMap<u64, &'a Part>,
    of_tag: BTreeMap<&'a str, &'a Part>,
    /// Batches and commits that were acknowledged.
    batches: BTreeSet<u64>,
    tags: BTreeSet<&'a str>,
    /// The epoch that an attempt was made with.
    epochs: BTreeMap<u64, i16>,
}

impl<'a> Attempts<'a> {
    fn of(history: &'a History) -> Self {
        let mut attempts = Self {
            ends: BTreeMap::new(),
            of_batch: BTreeMap::new(),
            of_tag: BTreeMap::new(),
            batches: BTreeSet::new(),
            tags: BTreeSet::new(),
            epochs: BTreeMap::new(),
        };
        for call in &history.calls {
            match &call.operation {
                Operation::Produce { batch, part: Some(part), producer, .. } => {
                    attempts.of_batch.insert(*batch, part);
                    if let Some((_, epoch, _)) = producer {
                        attempts.epochs.insert(part.attempt, *epoch);
                    }
                    if matches!(call.outcome, Outcome::Produced { .. }) {
                        attempts.batches.insert(*batch);
                    }
                }
                Operation::CommitTransactionOffset { part, tag, .. } => {
                    attempts.of_tag.insert(tag, part);
                    if matches!(call.outcome, Outcome::Done { .. }) {
                        attempts.tags.insert(tag);
                    }
                }
                Operation::EndTransaction { part, commit, .. } => {
                    attempts.ends.entry(part.attempt).or_default().push((call, *commit));
                }
                _ => {}
            }
        }
        attempts
    }

    /// The attempts that a transaction holds parts of.
    fn in_transaction(&self, transaction: &LogTransaction, durable: &Durable) -> BTreeSet<u64> {
        let batches = transaction.batches.iter().filter_map(|index| self.of_batch.get(&durable.batches[*index].batch));
        let offsets = transaction.offsets.iter().filter_map(|offset| self.of_tag.get(offset.tag.as_str()));
        batches.chain(offsets).map(|part| part.attempt).collect()
    }

    /// Nothing of one attempt is in the transaction of another one, or in two.
    fn are_transactions(&self, durable: &Durable, violations: &mut Violations) {
        let mut transactions: BTreeMap<u64, TransactionKey> = BTreeMap::new();
        for (key, transaction) in &durable.transactions {
            let attempts = self.in_transaction(transaction, durable);
            violations.require(9, attempts.len() <= 1, || format!("transaction {key:?} holds attempts {attempts:?}"));
            for attempt in attempts {
                let first = *transactions.entry(attempt).or_insert(*key);
                violations.require(9, first == *key, || {
                    format!("attempt {attempt} is in transactions {first:?} and {key:?}")
                });
            }
        }
        for batch in &durable.batches {
            violations.require(9, self.of_batch.contains_key(&batch.batch) == batch.transaction.is_some(), || {
                format!("batch {} is in transaction {:?}", batch.batch, batch.transaction)
            });
        }
    }

    /// What was answered about an end is what the log says, about everything that was acknowledged before.
    fn end_as_answered(&self, history: &History, durable: &Durable, violations: &mut Violations) {
        let mut keys: BTreeMap<u64, TransactionKey> = BTreeMap::new();
        for (key, transaction) in &durable.transactions {
            for attempt in self.in_transaction(transaction, durable) {
                keys.insert(attempt, *key);
            }
        }
        let is_committed =
            |key: &TransactionKey| durable.transactions[key].decision().is_some_and(|decision| decision.commit);
        for (attempt, ends) in &self.ends {
            let is_answered = |(call, _): &&(&Call, bool)| matches!(call.outcome, Outcome::Identity(..));
            let committed = keys.get(attempt).is_some_and(is_committed);
            for (_, commit) in ends.iter().filter(is_answered) {
                violations.require(9, committed == *commit || !keys.contains_key(attempt), || {
                    format!("attempt {attempt} was answered as commit={commit}, {:?} says otherwise", keys.get(attempt))
                });
            }
            let could_commit = ends.iter().any(|(call, commit)| {
                let refused = matches!(call.outcome, Outcome::Refused(_)) && call.deliveries <= 1;
                *commit && call.deliveries > 0 && !refused
            });
            violations.require(9, !committed || could_commit, || {
                format!("attempt {attempt} was committed, and every answer to that was no")
            });
        }
        for key in keys.iter().filter(|(attempt, key)| !self.ends.contains_key(attempt) && is_committed(key)) {
            violations.add(9, format!("attempt {} was committed, nobody asked for that", key.0));
        }
        self.nothing_is_lost(history, durable, violations);
    }

    /// Everything that was acknowledged in an attempt whose commit was acknowledged is in the log as part of what was committed.
    fn nothing_is_lost(&self, history: &History, durable: &Durable, violations: &mut Violations) {
        let committed: BTreeSet<u64> = self
            .ends
            .iter()
            .filter(|(_, ends)| {
                ends.iter().any(|(call, commit)| *commit && matches!(call.outcome, Outcome::Identity(..)))
            })
            .map(|(attempt, _)| *attempt)
            .collect();
        let is_visible = |key: &TransactionKey, place: &Place| {
            let transaction = &durable.transactions[key];
            let decision = transaction.decision().is_some_and(|decision| decision.commit);
            decision && (!history.settled || transaction.end_at(place).is_some_and(|end| end.commit))
        };
        let batches: BTreeMap<u64, (Option<TransactionKey>, TopicPartition)> =
            durable.batches.iter().map(|batch| (batch.batch, (batch.transaction, batch.topic_partition))).collect();
        let deleted = deleted_topics(history);
        for batch in self.batches.iter().filter(|batch| committed.contains(&self.of_batch[batch].attempt)) {
            let found = batches.get(batch);
            let is_there = found.is_some_and(|(key, at)| {
                deleted.contains(&at.topic) || key.is_some_and(|key| is_visible(&key, &Place::Partition(*at)))
            });
            violations.require(9, is_there, || format!("batch {batch} of a committed transaction is lost: {found:?}"));
        }
        for tag in self.tags.iter().filter(|tag| committed.contains(&self.of_tag[*tag].attempt)) {
            let is_there = durable.transactions.iter().any(|(key, transaction)| {
                transaction
                    .offsets
                    .iter()
                    .any(|offset| offset.tag == *tag && is_visible(key, &Place::Group(offset.group.clone())))
            });
            violations.require(9, is_there, || format!("the offset {tag} of a committed transaction is lost"));
        }
    }
}

/// Once anybody was told an epoch of a transactional id, nothing of an older one is committed.
fn who_was_replaced_commits_nothing(
    history: &History,
    durable: &Durable,
    attempts: &Attempts<'_>,
    violations: &mut Violations,
) {
    let mut told: BTreeMap<i64, Vec<(u64, i16)>> = BTreeMap::new();
    for call in &history.calls {
        if let (Outcome::Identity(producer_id, epoch), Some(answered_us)) = (&call.outcome, call.answered_us) {
            told.entry(*producer_id).or_default().push((answered_us, *epoch));
        }
    }
    for (key, transaction) in &durable.transactions {
        let Some(decision) = transaction.decision().filter(|decision| decision.commit) else { continue };
        let attempt = attempts.in_transaction(transaction, durable).first().copied();
        let Some(epoch) = attempt.and_then(|attempt| attempts.epochs.get(&attempt)) else { continue };
        let newer = told
            .get(&key.0)
            .and_then(|told| told.iter().find(|(at_us, newer)| newer > epoch && *at_us < decision.at_us));
        violations.require(9, newer.is_none(), || {
            format!("transaction {key:?} of epoch {epoch} was committed after somebody was told {newer:?}")
        });
    }
}

/// Offsets that transactions commit to one group: each goes on where the one before ended, so nothing is copied twice or left out.
fn offsets_follow_on_each_other(history: &History, durable: &Durable, violations: &mut Violations) {
    let asked: BTreeMap<&str, (i64, i64)> = history
        .calls
        .iter()
        .filter_map(|call| match &call.operation {
            Operation::CommitTransactionOffset { tag, after, offset, .. } => Some((tag.as_str(), (*after, *offset))),
            _ => None,
        })
        .collect();
    for ((group, topic_partition), commits) in &durable.commits {
        if commits.iter().any(|commit| commit.transaction.is_none()) {
            continue;
        }
        let mut before = 0;
        let mut last = None;
        for commit in commits {
            // The network doubles requests: the same commit again, in the same transaction.
            if last == Some(&commit.tag) {
                continue;
            }
            last = Some(&commit.tag);
            let Some((after, offset)) = asked.get(commit.tag.as_str()) else { continue };
            violations.require(9, *after == before, || {
                format!(
                    "{} commits {offset} of {topic_partition} for {group} after {after}, {before} was committed",
                    commit.tag
                )
            });
            before = *offset;
        }
    }
}
