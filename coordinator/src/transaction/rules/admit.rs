//! Whether batches and offsets of other shards may become part of a transaction.

use alluvium_log::TransactionStatus;

use super::super::error::TransactionError;
use super::super::identity::Identity;
use super::Standing;
use super::add::check_identity;

/// What to do about them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum AdmitStep {
    /// A transaction is open: let in what is part of it.
    Open,
    /// None is open: one would have to begin.
    Closed,
    Refuse(TransactionError),
    /// The last transaction is still ending.
    Wait,
}

pub(in super::super) fn admit(standing: Option<Standing>, producer: Identity) -> AdmitStep {
    let Some(standing) = standing else { return AdmitStep::Refuse(TransactionError::InvalidProducerIdMapping) };
    if let Err(error) = check_identity(standing, producer) {
        return AdmitStep::Refuse(error);
    }
    match standing.status {
        TransactionStatus::Ongoing => AdmitStep::Open,
        TransactionStatus::PrepareCommit | TransactionStatus::PrepareAbort => AdmitStep::Wait,
        TransactionStatus::Empty | TransactionStatus::CompleteCommit | TransactionStatus::CompleteAbort => {
            AdmitStep::Closed
        }
    }
}
