//! Who is let into a transaction, on the node that a batch or an offset commit comes to.
//!
//! What lies in the shard of the transactional id is checked by the log itself. For the rest the shard of the id says so first;
//! the number of the transaction goes along, and the other shard refuses one that has ended there. So knowledge that is a
//! little old does no harm with producers whose epoch names the transaction (KIP-890). Other producers keep their epoch from one
//! transaction to the next: for them the log is read to its end, unless this node leads the shard of the id.

use std::sync::Arc;
use std::time::Duration;

use alluvium_log::TransactionTag;
use alluvium_record::{ShardId, TopicPartition};

use super::coordinate::add_operation;
use super::desk::Desk;
use super::error::TransactionError;
use super::identity::Identity;
use super::participants::Participants;
use super::rules::{self, AdmitStep, Standing};
use super::{AdmitBatches, Transactions};

/// How old knowledge of a transaction may be; far less than the log lets a batch wait after it was let in.
const AGE_MAX: Duration = Duration::from_secs(60);
/// How old it may be on the leader of the id's shard, through which all changes go, for producers that keep their epoch.
const LEADER_AGE_MAX: Duration = Duration::from_secs(5);

/// Who wants to be let in.
struct Entrant<'a> {
    transactional_id: &'a str,
    producer: Identity,
    implicit: bool,
}

/// What the shard of the id says.
struct Admitted {
    /// Number of the transaction.
    number: u64,
    /// When that was so, milliseconds since 1970.
    at_ms: i64,
    /// Those who are not part of it, and may not become it by themselves.
    outside: Participants,
}

impl Transactions {
    /// Lets batches into the transaction of their producer, before they are appended: one answer a partition. On any node.
    pub async fn admit(&self, batches: AdmitBatches<'_>) -> Vec<Result<TransactionTag, TransactionError>> {
        let AdmitBatches { transactional_id, producer_id, epoch, partitions, implicit } = batches;
        let home = self.shard_of(transactional_id);
        let placed = self.shared.place(partitions).await;
        let elsewhere = partitions.iter().zip(&placed).filter_map(|(partition, shard)| match shard {
            Ok(shard) if *shard != home => Some((*partition, *shard)),
            Ok(_) | Err(_) => None,
        });
        let participants = Participants { partitions: elsewhere.collect(), groups: Vec::new() };
        let entrant = Entrant { transactional_id, producer: Identity::new(producer_id, epoch), implicit };
        let admitted = match participants.is_empty() {
            true => None,
            false => Some(self.let_in(&entrant, &participants).await),
        };
        let here: Arc<str> = Arc::from(transactional_id);
        let answer = |(partition, shard): (&TopicPartition, Result<ShardId, TransactionError>)| {
            let shard = shard?;
            match &admitted {
                Some(admitted) if shard != home => {
                    let admitted = admitted.as_ref().map_err(|error| *error)?;
                    if admitted.outside.partitions.iter().any(|(outside, _)| outside == partition) {
                        return Err(TransactionError::InvalidTransactionState);
                    }
                    self.tag(admitted, shard)
                }
                _ => Ok(TransactionTag::Here { transactional_id: here.clone(), implicit }),
            }
        };
        partitions.iter().zip(placed).map(answer).collect()
    }

    /// Lets offsets of a group into the transaction of a producer, before they are committed. On any node.
    pub async fn admit_group(
        &self,
        transactional_id: &str,
        producer_id: i64,
        epoch: i16,
        group: &str,
        implicit: bool,
    ) -> Result<TransactionTag, TransactionError> {
        let shard = self.shared.log.group_shard(group);
        if shard == self.shard_of(transactional_id) {
            return Ok(TransactionTag::Here { transactional_id: Arc::from(transactional_id), implicit });
        }
        let participants = Participants { partitions: Vec::new(), groups: vec![(group.to_owned(), shard)] };
        let entrant = Entrant { transactional_id, producer: Identity::new(producer_id, epoch), implicit };
        let admitted = self.let_in(&entrant, &participants).await?;
        if !admitted.outside.is_empty() {
            return Err(TransactionError::InvalidTransactionState);
        }
        self.tag(&admitted, shard)
    }

    /// What the log of the other shard wants to know.
    fn tag(&self, admitted: &Admitted, shard: ShardId) -> Result<TransactionTag, TransactionError> {
        let shard = self.shared.log.shard(shard).ok_or(TransactionError::CoordinatorNotAvailable)?;
        Ok(TransactionTag::verified(admitted.number, admitted.at_ms, &shard.state()))
    }

    /// Whether the transaction has ended on one of the participants, so that what is known of it is old.
    fn has_ended(&self, entrant: &Entrant<'_>, participants: &Participants, number: u64) -> bool {
        let view = self.shared.log.view();
        participants.partitions.iter().any(|(partition, _)| {
            let known = view.partition(*partition).and_then(|known| known.producer(entrant.producer.producer_id));
            known.is_some_and(|known| known.ended >= number)
        })
    }

    /// Asks the shard of the id. Whoever may becomes part of the transaction.
    async fn let_in(&self, entrant: &Entrant<'_>, participants: &Participants) -> Result<Admitted, TransactionError> {
        let mut desk = Desk::open(&self.shared, entrant.transactional_id)?;
        loop {
            let age_max = match (entrant.implicit, desk.post().leads()) {
                (true, _) => Some(AGE_MAX),
                (false, true) => Some(LEADER_AGE_MAX),
                (false, false) => None,
            };
            desk.be_fresh(age_max).await?;
            let record = desk.record();
            let missing = participants.missing_from(record.as_deref());
            match (rules::admit(record.as_deref().map(Standing::of), entrant.producer), record) {
                (AdmitStep::Open, Some(record)) if missing.is_empty() => {
                    if self.has_ended(entrant, participants, record.number) && !desk.may_answer().await? {
                        continue;
                    }
                    return Ok(Admitted { number: record.number, at_ms: desk.known_ms(), outside: missing });
                }
                (AdmitStep::Open | AdmitStep::Closed, _) if entrant.implicit => {
                    // Batches of one producer come side by side: whoever is first adds.
                    if desk.take_turn().await? {
                        continue;
                    }
                    let operation = add_operation(entrant.transactional_id, entrant.producer, missing);
                    // Whatever became of it, the newest state tells what is next.
                    let _proposed = desk.propose(operation).await?;
                }
                (AdmitStep::Open, Some(record)) => {
                    if desk.may_answer().await? {
                        return Ok(Admitted { number: record.number, at_ms: desk.known_ms(), outside: missing });
                    }
                }
                (AdmitStep::Open | AdmitStep::Closed, _) => {
                    if desk.may_answer().await? {
                        return Err(TransactionError::InvalidTransactionState);
                    }
                }
                (AdmitStep::Refuse(error), _) => {
                    if desk.may_answer().await? {
                        return Err(error);
                    }
                }
                (AdmitStep::Wait, _) => desk.wait_for_end().await?,
            }
        }
    }
}
