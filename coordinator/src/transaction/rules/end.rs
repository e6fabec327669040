//! EndTxn.
//!
//! Since version 5 (KIP-890) each end raises the epoch, so that the epoch names the transaction: a request with the epoch
//! before is the same one again, and an abort of nothing is a request like any other. Before, an end keeps the epoch, and a
//! request that asks for what has happened is taken for a repeated one.

use alluvium_log::TransactionStatus;

use super::super::error::TransactionError;
use super::super::identity::{Identity, Next};
use super::Standing;

/// What a producer asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct EndRequest {
    pub(in super::super) producer: Identity,
    pub(in super::super) commit: bool,
    pub(in super::super) raises_epoch: bool,
}

/// What to do about the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum EndStep {
    /// It has happened. The producer goes on with this identity.
    Answer(Identity),
    /// It is decided; the answer is due when it is known everywhere.
    Decided(Identity),
    Refuse(TransactionError),
    /// The last transaction, which is not the one meant, is still ending.
    Wait,
    /// Decide as asked; the producer goes on with this identity.
    Decide(Next),
}

pub(in super::super) fn end(standing: Option<Standing>, request: EndRequest) -> EndStep {
    let Some(standing) = standing else { return EndStep::Refuse(TransactionError::InvalidProducerIdMapping) };
    let is_repeated = request.raises_epoch && is_repeated(standing, request.producer);
    if standing.current.producer_id != request.producer.producer_id && !is_repeated {
        return EndStep::Refuse(TransactionError::InvalidProducerIdMapping);
    }
    if standing.current.epoch != request.producer.epoch && !is_repeated {
        return EndStep::Refuse(TransactionError::ProducerFenced);
    }
    let next = if request.raises_epoch { standing.current.raised() } else { Next::Pair(standing.current) };
    let (was_commit, complete) = match standing.status {
        TransactionStatus::Ongoing => return EndStep::Decide(next),
        TransactionStatus::Empty if request.raises_epoch && !request.commit => return EndStep::Decide(next),
        TransactionStatus::Empty => return EndStep::Refuse(TransactionError::InvalidTransactionState),
        TransactionStatus::PrepareCommit => (true, false),
        TransactionStatus::PrepareAbort => (false, false),
        TransactionStatus::CompleteCommit => (true, true),
        TransactionStatus::CompleteAbort => (false, true),
    };
    if request.raises_epoch && !is_repeated {
        return match (complete, request.commit) {
            (false, _) => EndStep::Wait,
            (true, true) => EndStep::Refuse(TransactionError::InvalidTransactionState),
            (true, false) => EndStep::Decide(next),
        };
    }
    match (request.commit == was_commit, complete) {
        // It took too long: whoever aborted it has raised the epoch, which fences as any other.
        (false, _) if request.raises_epoch && request.commit => EndStep::Refuse(TransactionError::ProducerFenced),
        (false, _) => EndStep::Refuse(TransactionError::InvalidTransactionState),
        (true, true) => EndStep::Answer(standing.current),
        (true, false) => EndStep::Decided(standing.current),
    }
}

/// Whether the last decision is the one about the transaction that this identity had.
fn is_repeated(standing: Standing, producer: Identity) -> bool {
    let ended = matches!(
        standing.status,
        TransactionStatus::PrepareCommit
            | TransactionStatus::PrepareAbort
            | TransactionStatus::CompleteCommit
            | TransactionStatus::CompleteAbort
    );
    let marker = producer.epoch.checked_add(1).map(|epoch| Identity { epoch, ..producer });
    ended && standing.previous == Some(producer) && standing.marker == marker
}
