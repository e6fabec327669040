//! InitProducerId of a transactional producer.
//!
//! Without an identity it comes from a new process, which fences the one before. With one (KIP-360) it comes from a producer
//! that wants to go on after an error; the same request may come again when its answer was lost.

use alluvium_infra::planted::{self, Bug};
use alluvium_log::TransactionStatus;

use super::super::error::TransactionError;
use super::super::identity::{EPOCH_MAX, Identity, Next};
use super::Standing;

/// What to do about the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum InitStep {
    /// It was granted before.
    Answer(Identity),
    Refuse(TransactionError),
    /// The last transaction is still ending.
    Wait,
    /// Abort what is open first.
    Abort(Next),
    /// The id gets this identity. With `repeatable` the identity before may ask for it again.
    Begin {
        next: Next,
        repeatable: bool,
    },
}

pub(in super::super) fn init(standing: Option<Standing>, expected: Option<Identity>) -> InitStep {
    let Some(standing) = standing else {
        // Whatever identity the producer had is forgotten, so nobody else can have it.
        return InitStep::Begin { next: Next::NewProducerId, repeatable: false };
    };
    let is_current = expected.is_none_or(|expected| expected == standing.current);
    let is_repeated = expected.is_some() && expected == standing.previous;
    if !is_current && !is_repeated {
        return InitStep::Refuse(TransactionError::ProducerFenced);
    }
    match standing.status {
        TransactionStatus::PrepareCommit | TransactionStatus::PrepareAbort => InitStep::Wait,
        _ if !is_current => InitStep::Answer(standing.current),
        TransactionStatus::Ongoing if planted::is(Bug::InitLeavesOpen) => InitStep::Answer(standing.current),
        TransactionStatus::Ongoing => InitStep::Abort(standing.current.raised()),
        TransactionStatus::Empty | TransactionStatus::CompleteCommit | TransactionStatus::CompleteAbort => {
            debug_assert!(standing.current.epoch <= EPOCH_MAX, "no producer gets a larger epoch");
            InitStep::Begin { next: standing.current.raised(), repeatable: expected.is_some() }
        }
    }
}
