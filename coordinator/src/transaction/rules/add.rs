//! AddPartitionsToTxn and AddOffsetsToTxn.

use alluvium_log::TransactionStatus;

use super::super::error::TransactionError;
use super::super::identity::Identity;
use super::Standing;

/// What to do about the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum AddStep {
    /// All of it is part of the transaction already.
    Answer,
    Refuse(TransactionError),
    /// The last transaction is still ending.
    Wait,
    /// What is missing becomes part of the transaction; one begins if none is open.
    Add,
}

/// `contained` tells whether the open transaction, if there is one, has everything that is asked for.
pub(in super::super) fn add(standing: Option<Standing>, producer: Identity, contained: bool) -> AddStep {
    let Some(standing) = standing else { return AddStep::Refuse(TransactionError::InvalidProducerIdMapping) };
    if let Err(error) = check_identity(standing, producer) {
        return AddStep::Refuse(error);
    }
    match standing.status {
        TransactionStatus::PrepareCommit | TransactionStatus::PrepareAbort => AddStep::Wait,
        TransactionStatus::Ongoing if contained => AddStep::Answer,
        TransactionStatus::Ongoing
        | TransactionStatus::Empty
        | TransactionStatus::CompleteCommit
        | TransactionStatus::CompleteAbort => AddStep::Add,
    }
}

/// Whether the producer is the one that the id has now.
pub(super) fn check_identity(standing: Standing, producer: Identity) -> Result<(), TransactionError> {
    if standing.current.producer_id != producer.producer_id {
        return Err(TransactionError::InvalidProducerIdMapping);
    }
    if standing.current.epoch != producer.epoch {
        return Err(TransactionError::ProducerFenced);
    }
    Ok(())
}
