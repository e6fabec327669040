//! Planning an entry: proposals are validated one after another against the exact state that the entry will follow.
//!
//! Owns: which proposal is accepted, the offsets that batches get, and how runs are cut. Pure, like `apply`, which does
//! the changing: each accepted operation is applied to a working copy before the next proposal is looked at.
//!
//! Invariants: 2, offsets are dense; 4, duplicates are answered and never written; a run holds whole batches and no more
//! than `run_bytes_max` unless one batch is larger.

mod transaction;

use alluvium_infra::planted::{self, Bug};
use alluvium_record::TopicPartition;
use alluvium_record::batch::BatchHeader;
use alluvium_record::batch_sum;
use bytes::Bytes;
use uuid::Uuid;

use crate::apply::{Applier, ApplyError};
use crate::format::ENVELOPE_HEADER_BYTES;
use crate::format::convert::{topic_field, uuid_field};
use crate::format::messages::{
    AppendMessage, EntryMessage, OperationKind, OperationMessage, ProducerBatchMessage, SegmentReferenceMessage,
};
use crate::operation::{
    Append, AppendOutcome, AppendRejection, AppendSource, BatchToAppend, Operation, Rejection, TransactionRejection,
};
use crate::state::{ProducerState, SequenceCheck, State};

/// Planning rules that come from settings.
#[derive(Debug, Clone, Copy)]
pub struct PlanRules {
    /// Longest run in bytes, unless one batch is longer.
    pub run_bytes_max: u32,
    /// An entry never names a segment whose upload began longer ago than this.
    pub segment_age_ms_max: i64,
}

/// An entry in the making.
pub struct Plan {
    /// Metadata of the entry.
    pub message: EntryMessage,
    /// Data of the entry.
    pub data: Vec<Bytes>,
    /// Bytes of data.
    pub data_bytes: u64,
    /// The state with all accepted operations applied.
    pub working: State,
    applier: Applier,
    rules: PlanRules,
    now_ms: i64,
}

impl Plan {
    /// Starts an entry that follows on `state`.
    ///
    /// # Errors
    /// Never for a message that this function makes; the type is that of applying.
    pub fn new(state: &State, id: Uuid, node: &str, now_ms: i64, rules: PlanRules) -> Result<Self, ApplyError> {
        let message = EntryMessage {
            shard: state.shard.0,
            number: state.entry_number + 1,
            previous_hash: state.entry_hash.to_field(),
            id: uuid_field(id),
            timestamp_ms: now_ms.max(state.timestamp_ms),
            node: node.to_owned(),
            segments: Vec::new(),
            operations: Vec::new(),
        };
        let applier = Applier::new(&message)?;
        Ok(Self { message, data: Vec::new(), data_bytes: 0, working: state.clone(), applier, rules, now_ms })
    }

    /// Whether nothing was accepted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.message.operations.is_empty()
    }

    /// Adds an operation without records.
    ///
    /// # Errors
    /// The outer error means that the state and the operation's own checks disagree: a bug. The inner one is the answer.
    pub fn operation(
        &mut self,
        operation: &Operation,
        coordinator: Option<u64>,
    ) -> Result<Result<(), Rejection>, ApplyError> {
        let checked = match coordinator {
            Some(epoch) => crate::validate::check_coordinator(&self.working, epoch),
            None => crate::validate::check_outsider(&self.working, operation),
        };
        if let Err(rejection) = checked {
            return Ok(Err(rejection));
        }
        if operation.is_of_transaction() {
            return self.transaction_operation(operation);
        }
        match crate::validate::validate(&self.working, operation, self.message.timestamp_ms) {
            Err(rejection) => Ok(Err(rejection)),
            Ok(None) => Ok(Ok(())),
            Ok(Some(kind)) => self.accept(kind).map(Ok),
        }
    }

    /// Adds record batches; one outcome a batch.
    ///
    /// # Errors
    /// As for [`Plan::operation`].
    pub fn append(&mut self, append: &Append) -> Result<Vec<AppendOutcome>, ApplyError> {
        let bytes: u64 = append.batches.iter().map(|batch| u64::from(batch.length)).sum();
        let mut place = match append.source {
            AppendSource::Inline => Place::Inline,
            AppendSource::Segment { id, created_ms } => {
                if self.now_ms.saturating_sub(created_ms) > self.rules.segment_age_ms_max {
                    let rejected = AppendOutcome::Rejected(AppendRejection::SegmentTooOld);
                    return Ok(vec![rejected; append.batches.len()]);
                }
                let position = ENVELOPE_HEADER_BYTES as u64;
                Place::Segment { id, created_ms, data_end: position + bytes, index: 0, position }
            }
        };
        let mut outcomes = Vec::with_capacity(append.batches.len());
        let mut open: Option<OpenRun> = None;
        for batch in &append.batches {
            let position = place.next(batch, self.data_bytes);
            let outcome = self.append_batch(batch, position, &mut open, &mut place)?;
            outcomes.push(outcome);
        }
        self.close(open)?;
        if let Place::Segment { id, created_ms, data_end, index, .. } = place
            && index > 0
        {
            self.message.segments.push(SegmentReferenceMessage { id: uuid_field(id), data_end, created_ms });
        }
        Ok(outcomes)
    }

    fn append_batch(
        &mut self,
        batch: &BatchToAppend,
        position: u64,
        open: &mut Option<OpenRun>,
        place: &mut Place,
    ) -> Result<AppendOutcome, ApplyError> {
        // A new run is due when the partition changes: the check below needs the state with the last run applied.
        if open.as_ref().is_some_and(|run| !run.takes(batch, position, self.rules.run_bytes_max)) {
            self.close(open.take())?;
        }
        let header = batch.header();
        let Some(partition) = self.working.partition(batch.topic_partition) else {
            return Ok(AppendOutcome::Rejected(AppendRejection::UnknownTopicOrPartition));
        };
        let log_start_offset = partition.log_start_offset();
        let next_offset = open.as_ref().map_or(partition.high_watermark(), OpenRun::next_offset);
        let mut number = 0;
        if header.producer_id < 0 && header.attributes.is_transactional() {
            let nobody = TransactionRejection::InvalidState { status: None };
            return Ok(AppendOutcome::Rejected(nobody.into()));
        }
        if header.producer_id >= 0 {
            let tentative = open.as_ref().and_then(|run| run.producer(header.producer_id));
            let known = tentative.as_ref().or_else(|| partition.producer(header.producer_id));
            match check_sequence(known, header, log_start_offset) {
                None => {}
                Some(outcome) => return Ok(outcome),
            }
            let known = known.cloned();
            let tag = batch.transaction.as_ref();
            match self.transaction_of_batch(header, tag, known.as_ref(), batch.topic_partition)? {
                Ok(found) => number = found,
                Err(rejection) => return Ok(AppendOutcome::Rejected(rejection.into())),
            }
        }
        let count = i64::from(header.record_count);
        if next_offset.checked_add(count).is_none() {
            return Ok(AppendOutcome::Rejected(AppendRejection::OffsetsExhausted));
        }
        if matches!(place, Place::Inline) {
            self.data.push(batch.batch.bytes.clone());
            self.data_bytes += batch.batch.bytes.len() as u64;
        }
        let index = self.segment_index(place);
        let run = open.get_or_insert_with(|| {
            OpenRun::new(
                batch.topic_partition,
                next_offset,
                position,
                index,
                partition_producers(&self.working, batch.topic_partition),
            )
        });
        run.push(batch, number, self.message.timestamp_ms);
        Ok(AppendOutcome::Appended { base_offset: next_offset, log_start_offset })
    }

    /// The number by which operations of this entry name the place; names a segment only when it is used.
    fn segment_index(&mut self, place: &mut Place) -> u32 {
        match place {
            Place::Inline => 0,
            Place::Segment { id, index, data_end, .. } => {
                if *index == 0 {
                    *index = self.message.segments.len() as u32 + 1;
                    self.applier.add_segment(*id, *data_end);
                }
                *index
            }
        }
    }

    fn close(&mut self, open: Option<OpenRun>) -> Result<(), ApplyError> {
        match open {
            None => Ok(()),
            Some(run) if run.message.producer_batches.iter().any(|batch| batch.transaction > 0) => {
                self.accept(OperationKind::TransactionalAppend(run.message))
            }
            Some(run) => self.accept(OperationKind::Append(run.message)),
        }
    }

    fn accept(&mut self, kind: OperationKind) -> Result<(), ApplyError> {
        self.applier.apply(&mut self.working, &kind)?;
        self.message.operations.push(OperationMessage { kind: Some(kind) });
        Ok(())
    }
}

/// `None` when the batch is the next one of its producer.
fn check_sequence(known: Option<&ProducerState>, header: &BatchHeader, log_start_offset: i64) -> Option<AppendOutcome> {
    match ProducerState::check(known, header) {
        SequenceCheck::Next => None,
        SequenceCheck::Duplicate(_) if planted::is(Bug::SkipDuplicateCheck) => None,
        SequenceCheck::Duplicate(base_offset) => Some(AppendOutcome::Duplicate { base_offset, log_start_offset }),
        SequenceCheck::OutOfOrder { expected } => {
            let found = header.base_sequence;
            Some(AppendOutcome::Rejected(AppendRejection::OutOfOrderSequence { expected, found }))
        }
        SequenceCheck::Fenced { current } => {
            let found = header.producer_epoch;
            Some(AppendOutcome::Rejected(AppendRejection::InvalidProducerEpoch { current, found }))
        }
    }
}

type Producers = rpds::RedBlackTreeMapSync<i64, ProducerState>;

fn partition_producers(state: &State, topic_partition: TopicPartition) -> Producers {
    state.partition(topic_partition).map(|partition| partition.producers.clone()).unwrap_or_default()
}

/// Where the bytes of an append go.
enum Place {
    Inline,
    Segment { id: Uuid, created_ms: i64, data_end: u64, index: u32, position: u64 },
}

impl Place {
    /// The position of `batch`; in a segment, all batches take their place whether the log takes them or not.
    fn next(&mut self, batch: &BatchToAppend, inline_bytes: u64) -> u64 {
        match self {
            Self::Inline => ENVELOPE_HEADER_BYTES as u64 + inline_bytes,
            Self::Segment { position, .. } => {
                let at = *position;
                *position += u64::from(batch.length);
                at
            }
        }
    }
}

/// A run that may take more batches, and its producers as they will be.
struct OpenRun {
    topic_partition: TopicPartition,
    message: AppendMessage,
    producers: Producers,
}

impl OpenRun {
    fn new(
        topic_partition: TopicPartition,
        base_offset: i64,
        position: u64,
        segment: u32,
        producers: Producers,
    ) -> Self {
        let message = AppendMessage {
            topic: topic_field(topic_partition.topic),
            partition: topic_partition.partition,
            base_offset,
            segment,
            position,
            max_timestamp: i64::MIN,
            ..AppendMessage::default()
        };
        Self { topic_partition, message, producers }
    }

    fn next_offset(&self) -> i64 {
        self.message.base_offset + self.message.offset_count
    }

    fn producer(&self, id: i64) -> Option<ProducerState> {
        self.producers.get(&id).cloned()
    }

    fn takes(&self, batch: &BatchToAppend, position: u64, run_bytes_max: u32) -> bool {
        self.topic_partition == batch.topic_partition
            && self.message.position + u64::from(self.message.length) == position
            && u64::from(self.message.length) + u64::from(batch.length) <= u64::from(run_bytes_max)
    }

    fn push(&mut self, batch: &BatchToAppend, transaction: u64, timestamp_ms: i64) {
        let header = batch.header();
        if header.producer_id >= 0 {
            let message = ProducerBatchMessage {
                producer_id: header.producer_id,
                epoch: i32::from(header.producer_epoch),
                base_sequence: header.base_sequence,
                record_count: header.record_count,
                offset_delta: self.message.offset_count,
                transaction,
            };
            let remembered = ProducerState::remember(
                self.producers.get(&header.producer_id),
                header.producer_epoch,
                crate::state::ProducerBatch {
                    base_sequence: header.base_sequence,
                    record_count: header.record_count,
                    base_offset: self.next_offset(),
                },
                transaction,
                timestamp_ms,
            );
            self.producers.insert_mut(header.producer_id, remembered);
            self.message.producer_batches.push(message);
        }
        let sum = batch_sum(self.next_offset(), header.record_count, header.crc);
        self.message.sum = self.message.sum.wrapping_add(sum);
        self.message.length += batch.length;
        self.message.offset_count += i64::from(header.record_count);
        self.message.max_timestamp = self.message.max_timestamp.max(header.max_timestamp);
    }
}
