//! Every request against every standing of an id.

use alluvium_log::TransactionStatus;
use alluvium_log::TransactionStatus::{CompleteAbort, CompleteCommit, Empty, Ongoing, PrepareAbort, PrepareCommit};

use super::super::error::TransactionError;
use super::super::identity::{EPOCH_MAX, Identity, Next};
use super::*;

mod adding;
mod ending;
mod initialising;

const ALL: [TransactionStatus; 6] = [Empty, Ongoing, PrepareCommit, PrepareAbort, CompleteCommit, CompleteAbort];
const PRODUCER: i64 = 7;
const OTHER_PRODUCER: i64 = 8;
const EPOCH: i16 = 5;

fn pair(epoch: i16) -> Identity {
    Identity::new(PRODUCER, epoch)
}

/// An id of this status in epoch 5 that no producer went on to.
fn at(status: TransactionStatus) -> Standing {
    Standing { current: pair(EPOCH), previous: None, status, marker: None }
}

/// An id of this status in epoch 5, whose producer had epoch 4 until it began anew.
fn renewed(status: TransactionStatus) -> Standing {
    Standing { previous: Some(pair(EPOCH - 1)), ..at(status) }
}

/// An id whose last transaction ended in epoch 4 and raised it to 5.
fn raised(status: TransactionStatus) -> Standing {
    Standing { marker: Some(pair(EPOCH)), ..renewed(status) }
}

/// An id whose last transaction used up the epochs of another producer id.
fn rotated(status: TransactionStatus) -> Standing {
    Standing {
        current: pair(0),
        previous: Some(Identity::new(OTHER_PRODUCER, EPOCH_MAX)),
        status,
        marker: Some(Identity::new(OTHER_PRODUCER, i16::MAX)),
    }
}

/// Every standing that the tests know, of every status, also with used up epochs.
fn every_standing() -> Vec<Standing> {
    let used_up = |standing: Standing| Standing { current: pair(EPOCH_MAX), ..standing };
    let mut all = Vec::new();
    for status in ALL {
        all.extend([at(status), renewed(status), raised(status), rotated(status), used_up(at(status))]);
        let previous = Some(pair(EPOCH_MAX - 1));
        all.push(Standing { previous, marker: Some(pair(EPOCH_MAX)), ..used_up(at(status)) });
    }
    all
}

/// Identities around those of a standing.
fn every_identity() -> Vec<Identity> {
    let epochs = [0, EPOCH - 2, EPOCH - 1, EPOCH, EPOCH + 1, EPOCH_MAX - 1, EPOCH_MAX, i16::MAX];
    [PRODUCER, OTHER_PRODUCER, 9]
        .into_iter()
        .flat_map(|producer_id| epochs.map(|epoch| Identity::new(producer_id, epoch)))
        .collect()
}

fn is_decided(status: TransactionStatus) -> bool {
    matches!(status, PrepareCommit | PrepareAbort)
}

#[test]
fn the_next_pair_is_one_epoch_higher_until_epochs_are_used_up() {
    assert_eq!(pair(0).raised(), Next::Pair(pair(1)));
    assert_eq!(pair(EPOCH_MAX - 1).raised(), Next::Pair(pair(EPOCH_MAX)));
    assert_eq!(pair(EPOCH_MAX).raised(), Next::NewProducerId);
    assert_eq!(pair(i16::MAX).raised(), Next::NewProducerId);
    assert_eq!(EPOCH_MAX + 1, i16::MAX, "the markers of the last transaction need one");
}

#[test]
fn absent_producer_ids_are_none() {
    assert_eq!(Identity::some(-1, -1), None);
    assert_eq!(Identity::some(0, 0), Some(Identity::new(0, 0)));
}
