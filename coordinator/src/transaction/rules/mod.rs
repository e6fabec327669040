//! What a request means for a transactional id that stands where it stands: pure functions, one file per request.
//!
//! Each takes what the log says of the id and what the client says, and names one step: an answer, a refusal, waiting for the
//! end of the last transaction, or a change to propose. The caller proposes it to the log, which takes it only if the id still
//! stands there, and asks again with what it finds then. Sources: KIP-98, KIP-360, KIP-890.
//!
//! Invariants:
//! 1. A step never depends on anything but its arguments.
//! 2. A client is told its identity only if no other producer was told the same one: a request counts as repeated when its
//!    identity is the one that the log replaced at the wish of the same producer.
//! 3. The decision about a transaction is never proposed to be another one.

use alluvium_log::{TransactionRecord, TransactionStatus};

use super::identity::Identity;

mod add;
mod admit;
mod end;
mod init;
#[cfg(test)]
mod tests;

pub(super) use add::{AddStep, add};
pub(super) use admit::{AdmitStep, admit};
pub(super) use end::{EndRequest, EndStep, end};
pub(super) use init::{InitStep, init};

/// Where a transactional id stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    /// Its producer id and epoch.
    pub(super) current: Identity,
    /// The pair before, if the producer that has the current one had that one too.
    pub(super) previous: Option<Identity>,
    pub(super) status: TransactionStatus,
    /// What the markers of the last decision carry, if there was one.
    pub(super) marker: Option<Identity>,
}

impl Standing {
    pub(super) fn of(record: &TransactionRecord) -> Standing {
        Standing {
            current: Identity::new(record.producer_id, record.epoch),
            previous: Identity::some(record.previous_producer_id, record.previous_epoch),
            status: record.status,
            marker: Identity::some(record.marker_producer_id, record.marker_epoch),
        }
    }
}
