//! A producer id with an epoch, and which pair follows on it.
//!
//! Invariant: no producer gets the largest epoch there is: the markers that end what its predecessor had open carry it.

/// The largest epoch that a producer gets. Markers of its last transaction carry one more.
pub(super) const EPOCH_MAX: i16 = i16::MAX - 1;

/// A producer id with an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Identity {
    pub(super) producer_id: i64,
    pub(super) epoch: i16,
}

/// The pair that a transactional id has next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// This one.
    Pair(Identity),
    /// A producer id that nobody had, with epoch 0: the epochs of the old one are used up.
    NewProducerId,
}

impl Identity {
    pub(super) fn new(producer_id: i64, epoch: i16) -> Identity {
        Identity { producer_id, epoch }
    }

    /// As requests and records name it: a producer id below 0 stands for none.
    pub(super) fn some(producer_id: i64, epoch: i16) -> Option<Identity> {
        (producer_id >= 0).then_some(Identity { producer_id, epoch })
    }

    /// As requests and records name it.
    pub(super) fn pair(self) -> (i64, i16) {
        (self.producer_id, self.epoch)
    }

    /// The pair that fences this one.
    pub(super) fn raised(self) -> Next {
        if self.epoch >= EPOCH_MAX {
            Next::NewProducerId
        } else {
            Next::Pair(Identity { epoch: self.epoch + 1, ..self })
        }
    }
}
