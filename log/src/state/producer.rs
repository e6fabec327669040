//! Idempotent producers of one partition: what was written last, so that nothing is written twice.
//!
//! Invariant 4: each (producer id, epoch, sequence) is in the log at most once. Kafka's rules (KIP-98, KIP-360): the last
//! five batches are remembered, a repeated one is answered with its original offset, an epoch never goes back, and
//! within an epoch sequences follow on each other; a producer that is not known may start anywhere.

use alluvium_record::batch::BatchHeader;
use rpds::RedBlackTreeMapSync;

/// How many batches are remembered, as many as a client may have in flight.
pub const REMEMBERED_BATCHES: usize = 5;

/// Silent producers are forgotten whenever the number of a partition's producers reaches a multiple of this. Like the other
/// three numbers here part of what entries mean: never changed without a new operation.
pub const SWEEP_EACH: usize = 64;
/// A producer that was silent for so long is forgotten, as Kafka's `producer.id.expiration.ms`.
pub const SILENT_MS: i64 = 24 * 60 * 60 * 1000;
/// Above so many producers, those that were silent for longest are forgotten sooner.
pub const CROWD: usize = 10_000;
/// But never one that may still repeat a batch: longer than any client's delivery timeout.
pub const RETRYING_MS: i64 = 15 * 60 * 1000;

/// One remembered batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerBatch {
    /// First sequence number.
    pub base_sequence: i32,
    /// Number of records.
    pub record_count: i32,
    /// Offset of the first record.
    pub base_offset: i64,
}

impl ProducerBatch {
    /// Sequence number of the last record; sequences wrap after `i32::MAX` to 0.
    #[must_use]
    pub fn last_sequence(&self) -> i32 {
        sequence_add(self.base_sequence, self.record_count - 1)
    }
}

/// What is known of a producer on a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducerState {
    /// Its epoch.
    pub epoch: i16,
    /// The last batches of that epoch, oldest first.
    pub batches: Vec<ProducerBatch>,
    /// Timestamp of the entry that brought the last batch or marker, milliseconds since 1970.
    pub updated_ms: i64,
    /// The transaction that is open here.
    pub transaction: Option<OpenTransaction>,
    /// Number of the last transaction that ended here; 0 before the first.
    pub ended: u64,
}

/// A transaction that is open on a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenTransaction {
    /// Its number.
    pub number: u64,
    /// Offset of its first record here.
    pub first_offset: i64,
}

/// What a batch of an idempotent producer is, against what is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SequenceCheck {
    /// The next one.
    Next,
    /// Was written before, at this offset.
    Duplicate(i64),
    /// Does not follow on the last one.
    OutOfOrder {
        /// The sequence number that would have followed.
        expected: i32,
    },
    /// Its epoch is over.
    Fenced {
        /// The producer's epoch now.
        current: i16,
    },
}

impl ProducerState {
    /// Checks the batch with `header` against what is known of its producer, which may be nothing.
    #[must_use]
    pub fn check(known: Option<&Self>, header: &BatchHeader) -> SequenceCheck {
        let Some(state) = known else {
            return SequenceCheck::Next;
        };
        if header.producer_epoch < state.epoch {
            return SequenceCheck::Fenced { current: state.epoch };
        }
        if header.producer_epoch > state.epoch {
            return if header.base_sequence == 0 {
                SequenceCheck::Next
            } else {
                SequenceCheck::OutOfOrder { expected: 0 }
            };
        }
        let repeated = state
            .batches
            .iter()
            .find(|batch| batch.base_sequence == header.base_sequence && batch.record_count == header.record_count);
        if let Some(batch) = repeated {
            return SequenceCheck::Duplicate(batch.base_offset);
        }
        // A producer without batches is known by a marker alone: its epoch has only begun.
        let expected = state.batches.last().map_or(0, |last| sequence_add(last.last_sequence(), 1));
        if header.base_sequence == expected { SequenceCheck::Next } else { SequenceCheck::OutOfOrder { expected } }
    }

    /// Remembers a batch that was written, in transaction `transaction` unless that is 0.
    pub(crate) fn remember(
        known: Option<&Self>,
        epoch: i16,
        batch: ProducerBatch,
        transaction: u64,
        updated_ms: i64,
    ) -> Self {
        let open = known.and_then(|state| state.transaction);
        let transaction = match open {
            None if transaction > 0 => Some(OpenTransaction { number: transaction, first_offset: batch.base_offset }),
            open => open,
        };
        let mut batches = match known {
            Some(state) if state.epoch == epoch => state.batches.clone(),
            _ => Vec::with_capacity(1),
        };
        if batches.len() == REMEMBERED_BATCHES {
            batches.remove(0);
        }
        batches.push(batch);
        Self { epoch, batches, updated_ms, transaction, ended: known.map_or(0, |state| state.ended) }
    }

    /// Remembers that transaction `number` ended with a marker of `epoch`. A higher epoch fences what was sent before.
    pub(crate) fn end(known: Option<&Self>, epoch: i16, number: u64, updated_ms: i64) -> Self {
        let batches = match known {
            Some(state) if state.epoch >= epoch => state.batches.clone(),
            _ => Vec::new(),
        };
        let epoch = known.map_or(epoch, |state| state.epoch.max(epoch));
        Self { epoch, batches, updated_ms, transaction: None, ended: number }
    }
}

/// Makes room after a producer was added: the silent ones go, and in a crowd the eighth that was silent for longest. Time comes
/// from the entry, so every node forgets the same ones.
pub(crate) fn forget(producers: &mut RedBlackTreeMapSync<i64, ProducerState>, now_ms: i64) {
    if !producers.size().is_multiple_of(SWEEP_EACH) {
        return;
    }
    let mut by_age: Vec<(i64, i64)> = producers
        .iter()
        .filter(|(_, state)| state.transaction.is_none())
        .map(|(id, state)| (state.updated_ms, *id))
        .collect();
    by_age.sort_unstable();
    let older_than = |age_ms| by_age.partition_point(|(updated_ms, _)| now_ms.saturating_sub(*updated_ms) > age_ms);
    let crowded = if producers.size() > CROWD { (CROWD / 8).min(older_than(RETRYING_MS)) } else { 0 };
    for (_, id) in &by_age[..older_than(SILENT_MS).max(crowded)] {
        producers.remove_mut(id);
    }
}

/// Adds to a sequence number as Kafka does: after `i32::MAX` comes 0.
#[must_use]
pub fn sequence_add(sequence: i32, count: i32) -> i32 {
    ((i64::from(sequence) + i64::from(count)) % (i64::from(i32::MAX) + 1)) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(epoch: i16, batches: &[(i32, i32, i64)]) -> ProducerState {
        ProducerState {
            epoch,
            batches: batches
                .iter()
                .map(|&(base_sequence, record_count, base_offset)| ProducerBatch {
                    base_sequence,
                    record_count,
                    base_offset,
                })
                .collect(),
            updated_ms: 0,
            transaction: None,
            ended: 0,
        }
    }

    fn header(epoch: i16, base_sequence: i32, record_count: i32) -> BatchHeader {
        BatchHeader {
            base_offset: 0,
            batch_length: 49,
            partition_leader_epoch: 0,
            magic: 2,
            crc: 0,
            attributes: alluvium_record::batch::Attributes(0),
            last_offset_delta: record_count - 1,
            base_timestamp: 0,
            max_timestamp: 0,
            producer_id: 9,
            producer_epoch: epoch,
            base_sequence,
            record_count,
        }
    }

    #[test]
    fn sequences_wrap_to_zero() {
        assert_eq!(sequence_add(i32::MAX, 1), 0);
        assert_eq!(sequence_add(i32::MAX - 1, 3), 1);
        let known = state(0, &[(i32::MAX - 1, 2, 10)]);
        assert_eq!(ProducerState::check(Some(&known), &header(0, 0, 1)), SequenceCheck::Next);
    }

    #[test]
    fn an_unknown_producer_may_start_anywhere() {
        assert_eq!(ProducerState::check(None, &header(3, 77, 1)), SequenceCheck::Next);
    }

    #[test]
    fn a_repeated_batch_is_answered_with_its_offset_and_a_gap_is_refused() {
        let known = state(1, &[(0, 5, 100), (5, 5, 105)]);
        assert_eq!(ProducerState::check(Some(&known), &header(1, 0, 5)), SequenceCheck::Duplicate(100));
        assert_eq!(ProducerState::check(Some(&known), &header(1, 10, 1)), SequenceCheck::Next);
        assert_eq!(ProducerState::check(Some(&known), &header(1, 11, 1)), SequenceCheck::OutOfOrder { expected: 10 });
        assert_eq!(ProducerState::check(Some(&known), &header(1, 0, 4)), SequenceCheck::OutOfOrder { expected: 10 });
    }

    #[test]
    fn an_old_epoch_is_fenced_and_a_new_one_starts_at_zero() {
        let known = state(4, &[(0, 5, 100)]);
        assert_eq!(ProducerState::check(Some(&known), &header(3, 5, 1)), SequenceCheck::Fenced { current: 4 });
        assert_eq!(ProducerState::check(Some(&known), &header(5, 0, 1)), SequenceCheck::Next);
        assert_eq!(ProducerState::check(Some(&known), &header(5, 5, 1)), SequenceCheck::OutOfOrder { expected: 0 });
    }

    fn silent(updated_ms: i64) -> ProducerState {
        ProducerState { updated_ms, ..state(0, &[]) }
    }

    #[test]
    fn a_marker_ends_the_transaction_and_a_higher_epoch_begins_at_sequence_zero() {
        let batch = ProducerBatch { base_sequence: 0, record_count: 2, base_offset: 7 };
        let open = ProducerState::remember(None, 3, batch, 9, 5);
        assert_eq!(open.transaction, Some(OpenTransaction { number: 9, first_offset: 7 }));
        let same = ProducerState::end(Some(&open), 3, 9, 6);
        assert_eq!((same.transaction, same.ended, same.epoch), (None, 9, 3));
        assert_eq!(ProducerState::check(Some(&same), &header(3, 2, 1)), SequenceCheck::Next);
        let raised = ProducerState::end(Some(&open), 4, 9, 6);
        assert_eq!(ProducerState::check(Some(&raised), &header(3, 2, 1)), SequenceCheck::Fenced { current: 4 });
        assert_eq!(ProducerState::check(Some(&raised), &header(4, 2, 1)), SequenceCheck::OutOfOrder { expected: 0 });
        assert_eq!(ProducerState::check(Some(&raised), &header(4, 0, 1)), SequenceCheck::Next);
    }

    #[test]
    fn a_producer_with_an_open_transaction_is_never_forgotten() {
        let mut producers = crowd(0..63, 0);
        let batch = ProducerBatch { base_sequence: 0, record_count: 1, base_offset: 0 };
        producers.insert_mut(63, ProducerState::remember(None, 0, batch, 1, 0));
        forget(&mut producers, 1 + SILENT_MS);
        assert_eq!(producers.keys().copied().collect::<Vec<_>>(), [63]);
    }

    fn crowd(ids: std::ops::Range<i64>, updated_ms: i64) -> RedBlackTreeMapSync<i64, ProducerState> {
        let mut producers = RedBlackTreeMapSync::new_sync();
        for id in ids {
            producers.insert_mut(id, silent(updated_ms));
        }
        producers
    }

    #[test]
    fn silent_producers_are_forgotten() {
        let mut producers = crowd(0..63, 5);
        producers.insert_mut(63, silent(6));
        forget(&mut producers, 5 + SILENT_MS);
        assert_eq!(producers.size(), 64, "a day is not over");
        forget(&mut producers, 6 + SILENT_MS);
        assert_eq!(producers.keys().copied().collect::<Vec<_>>(), [63]);
    }

    #[test]
    fn a_crowd_is_thinned_but_never_of_producers_that_may_retry() {
        let full = (CROWD / SWEEP_EACH + 1) * SWEEP_EACH;
        let mut producers = crowd(0..full as i64, 0);
        forget(&mut producers, RETRYING_MS);
        assert_eq!(producers.size(), full);
        forget(&mut producers, RETRYING_MS + 1);
        assert_eq!(producers.size(), full - CROWD / 8);
    }

    #[test]
    fn five_batches_are_remembered() {
        let mut known = None;
        for n in 0..7 {
            let batch = ProducerBatch { base_sequence: n, record_count: 1, base_offset: i64::from(n) };
            known = Some(ProducerState::remember(known.as_ref(), 0, batch, 0, 0));
        }
        let known = known.expect("was set");
        assert_eq!(known.batches.len(), REMEMBERED_BATCHES);
        assert_eq!(known.batches[0].base_sequence, 2);
    }
}
