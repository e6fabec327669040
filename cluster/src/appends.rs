//! Appends and their outcomes as they travel between nodes.
//!
//! Invariant: what comes in is believed only as far as the log needs not check it: lengths add up exactly, inline batches have
//! the checksum that they claim, batches of one partition stand side by side, counts are those of a producer's batch.
//! No input panics or allocates more than a constant factor of its size.

use std::collections::BTreeSet;
use std::time::Duration;

use alluvium_infra::limits;
use alluvium_infra::store::Payload;
use alluvium_log::{
    Append, AppendOutcome, AppendRejection, AppendSource, BatchToAppend, CommitError, ForwardError,
    TransactionRejection, TransactionTag,
};
use alluvium_record::batch::{BATCH_HEADER_BYTES, BatchHeader, RecordBatch};
use alluvium_record::{ShardId, TopicId, TopicPartition};
use bytes::Bytes;

use crate::frame::{uuid, uuid_bytes};
use crate::messages::{
    AnswerMessage, BatchMessage, ForwardMessage, OutcomeKind, OutcomeMessage, TransactionTagMessage, Verdict,
};
use crate::requests::Answer;

/// An append that came from another node.
#[derive(Debug)]
pub(crate) struct Forwarded {
    pub(crate) shard: ShardId,
    pub(crate) append: Append,
    /// How long the other node waits.
    pub(crate) wait: Duration,
}

/// An append as it is sent. Inline batches are not copied.
pub(crate) fn encode(shard: ShardId, append: &Append, wait: Duration) -> (ForwardMessage, Payload) {
    let (segment, segment_created_ms) = match append.source {
        AppendSource::Inline => (Bytes::new(), 0),
        AppendSource::Segment { id, created_ms } => (uuid_bytes(id), created_ms),
    };
    let inline = segment.is_empty();
    let batches = append.batches.iter().map(|batch| batch_message(batch, inline)).collect();
    let data = append.batches.iter().filter(|_| inline).map(|batch| batch.batch.bytes.clone()).collect();
    let wait_ms = u32::try_from(wait.as_millis()).unwrap_or(u32::MAX);
    (ForwardMessage { shard: shard.0, wait_ms, segment, segment_created_ms, batches }, Payload(data))
}

fn batch_message(batch: &BatchToAppend, inline: bool) -> BatchMessage {
    BatchMessage {
        topic: Bytes::copy_from_slice(batch.topic_partition.topic.as_bytes()),
        partition: batch.topic_partition.partition,
        length: batch.length,
        header: if inline { Bytes::new() } else { Bytes::copy_from_slice(&batch.batch.header.encode()) },
        transaction: batch.transaction.as_ref().map(tag_message),
    }
}

fn tag_message(tag: &TransactionTag) -> TransactionTagMessage {
    match tag {
        TransactionTag::Verified { number, verified_ms } => {
            TransactionTagMessage { number: *number, verified_ms: *verified_ms, ..TransactionTagMessage::default() }
        }
        TransactionTag::Here { transactional_id, implicit } => TransactionTagMessage {
            transactional_id: transactional_id.to_string(),
            implicit: *implicit,
            ..TransactionTagMessage::default()
        },
    }
}

fn decode_tag(message: &TransactionTagMessage) -> TransactionTag {
    match message.number {
        0 => TransactionTag::Here {
            transactional_id: message.transactional_id.as_str().into(),
            implicit: message.implicit,
        },
        number => TransactionTag::Verified { number, verified_ms: message.verified_ms },
    }
}

/// Reads an append.
///
/// # Errors
/// Why it is none, in words.
pub(crate) fn decode(message: &ForwardMessage, data: Bytes) -> Result<Forwarded, String> {
    let source = if message.segment.is_empty() {
        AppendSource::Inline
    } else {
        let id = uuid(&message.segment).ok_or("the segment's id is not 16 bytes")?;
        AppendSource::Segment { id, created_ms: message.segment_created_ms }
    };
    if message.batches.is_empty() || message.batches.len() > limits::OPERATIONS_PER_ENTRY_MAX {
        return Err(format!("an append of {} batches", message.batches.len()));
    }
    let mut rest = data;
    let mut batches: Vec<BatchToAppend> = Vec::with_capacity(message.batches.len());
    let mut seen = BTreeSet::new();
    for batch in &message.batches {
        let batch = decode_batch(batch, source, &mut rest)?;
        let same = batches.last().is_some_and(|last| last.topic_partition == batch.topic_partition);
        if !same && !seen.insert(batch.topic_partition) {
            return Err(format!("batches of {} do not stand side by side", batch.topic_partition));
        }
        batches.push(batch);
    }
    if !rest.is_empty() {
        return Err(format!("{} bytes belong to no batch", rest.len()));
    }
    let wait = Duration::from_millis(message.wait_ms.into());
    Ok(Forwarded { shard: ShardId(message.shard), append: Append { batches, source }, wait })
}

fn decode_batch(message: &BatchMessage, source: AppendSource, rest: &mut Bytes) -> Result<BatchToAppend, String> {
    let topic: [u8; 16] = message.topic.as_ref().try_into().map_err(|_| "a topic id is not 16 bytes")?;
    let topic_partition = TopicPartition::new(TopicId::from_bytes(topic), message.partition);
    let length = message.length as usize;
    let batch = match source {
        AppendSource::Inline => {
            if length > rest.len() {
                return Err("the data is cut short".to_owned());
            }
            let batch = RecordBatch::decode_first(&rest.split_to(length)).map_err(|error| error.to_string())?;
            batch.verify_crc().map_err(|error| error.to_string())?;
            batch
        }
        AppendSource::Segment { .. } => {
            if message.header.len() != BATCH_HEADER_BYTES {
                return Err(format!("a batch header of {} bytes", message.header.len()));
            }
            let header = BatchHeader::decode(&message.header).map_err(|error| error.to_string())?;
            RecordBatch { header, bytes: message.header.clone() }
        }
    };
    let header = &batch.header;
    if header.total_bytes() != length {
        return Err(format!("a batch of {} bytes is said to have {length}", header.total_bytes()));
    }
    if header.record_count <= 0 || i64::from(header.record_count) != i64::from(header.last_offset_delta) + 1 {
        return Err(format!("{} records over {} offsets", header.record_count, header.last_offset_delta));
    }
    let transaction = message.transaction.as_ref().map(decode_tag);
    Ok(BatchToAppend { topic_partition, batch, length: message.length, transaction })
}

/// What the log said, as it is sent.
pub(crate) fn encode_answer(result: Result<Vec<AppendOutcome>, CommitError>) -> AnswerMessage {
    match result {
        Ok(outcomes) => AnswerMessage {
            verdict: Verdict::Decided.into(),
            reason: String::new(),
            outcomes: outcomes.iter().map(encode_outcome).collect(),
        },
        Err(CommitError::Unknown) => AnswerMessage::default(),
        // All others are definite: whoever asked may commit it itself.
        Err(error @ (CommitError::Rejected(_) | CommitError::Unavailable(_) | CommitError::Closed)) => {
            nothing_done(&error.to_string())
        }
    }
}

/// The answer to what was not even tried.
pub(crate) fn nothing_done(reason: &str) -> AnswerMessage {
    AnswerMessage { verdict: Verdict::NothingDone.into(), reason: reason.to_owned(), outcomes: Vec::new() }
}

/// What another node answered. What cannot be understood is `Unknown`: it may be written. So is what the other node does not
/// know itself; whoever asked may have more time than it had.
pub(crate) fn decode_answer(message: &AnswerMessage) -> Answer {
    match message.verdict() {
        Verdict::Decided => message
            .outcomes
            .iter()
            .map(|outcome| decode_outcome(outcome).ok_or(ForwardError::Unknown))
            .collect::<Result<Vec<_>, _>>(),
        Verdict::NothingDone => Err(ForwardError::NotSent(message.reason.clone())),
        Verdict::Unknown => Err(ForwardError::Unknown),
    }
}

fn encode_outcome(outcome: &AppendOutcome) -> OutcomeMessage {
    let written = |kind: OutcomeKind, base_offset: i64, log_start_offset: i64| OutcomeMessage {
        kind: kind.into(),
        base_offset,
        log_start_offset,
        ..OutcomeMessage::default()
    };
    let refused = |kind: OutcomeKind, expected: i32, found: i32| OutcomeMessage {
        kind: kind.into(),
        expected,
        found,
        ..OutcomeMessage::default()
    };
    match *outcome {
        AppendOutcome::Appended { base_offset, log_start_offset } => {
            written(OutcomeKind::Appended, base_offset, log_start_offset)
        }
        AppendOutcome::Duplicate { base_offset, log_start_offset } => {
            written(OutcomeKind::Duplicate, base_offset, log_start_offset)
        }
        AppendOutcome::Rejected(ref rejection) => match *rejection {
            AppendRejection::UnknownTopicOrPartition => refused(OutcomeKind::UnknownTopicOrPartition, 0, 0),
            AppendRejection::OutOfOrderSequence { expected, found } => {
                refused(OutcomeKind::OutOfOrderSequence, expected, found)
            }
            AppendRejection::InvalidProducerEpoch { current, found } => {
                refused(OutcomeKind::InvalidProducerEpoch, current.into(), found.into())
            }
            AppendRejection::SegmentTooOld => refused(OutcomeKind::SegmentTooOld, 0, 0),
            AppendRejection::OffsetsExhausted => refused(OutcomeKind::OffsetsExhausted, 0, 0),
            AppendRejection::Transaction(rejection) => match rejection {
                TransactionRejection::UnknownTransactionalId => refused(OutcomeKind::UnknownTransactionalId, 0, 0),
                TransactionRejection::Fenced { current } => refused(OutcomeKind::TransactionFenced, current.into(), 0),
                TransactionRejection::Concurrent => refused(OutcomeKind::ConcurrentTransactions, 0, 0),
                // Where it stands is for people; the error is the same.
                TransactionRejection::InvalidState { .. } => refused(OutcomeKind::InvalidTransactionState, 0, 0),
                TransactionRejection::VerifiedTooLongAgo => refused(OutcomeKind::VerifiedTooLongAgo, 0, 0),
                TransactionRejection::TooLarge => refused(OutcomeKind::TransactionTooLarge, 0, 0),
            },
        },
    }
}

fn decode_outcome(message: &OutcomeMessage) -> Option<AppendOutcome> {
    let OutcomeMessage { base_offset, log_start_offset, expected, found, .. } = *message;
    let rejection = match message.kind() {
        OutcomeKind::Unspecified => return None,
        OutcomeKind::Appended => return Some(AppendOutcome::Appended { base_offset, log_start_offset }),
        OutcomeKind::Duplicate => return Some(AppendOutcome::Duplicate { base_offset, log_start_offset }),
        OutcomeKind::UnknownTopicOrPartition => AppendRejection::UnknownTopicOrPartition,
        OutcomeKind::OutOfOrderSequence => AppendRejection::OutOfOrderSequence { expected, found },
        OutcomeKind::InvalidProducerEpoch => AppendRejection::InvalidProducerEpoch {
            current: i16::try_from(expected).ok()?,
            found: i16::try_from(found).ok()?,
        },
        OutcomeKind::SegmentTooOld => AppendRejection::SegmentTooOld,
        OutcomeKind::OffsetsExhausted => AppendRejection::OffsetsExhausted,
        OutcomeKind::UnknownTransactionalId => TransactionRejection::UnknownTransactionalId.into(),
        OutcomeKind::TransactionFenced => {
            TransactionRejection::Fenced { current: i16::try_from(expected).ok()? }.into()
        }
        OutcomeKind::ConcurrentTransactions => TransactionRejection::Concurrent.into(),
        OutcomeKind::InvalidTransactionState => TransactionRejection::InvalidState { status: None }.into(),
        OutcomeKind::VerifiedTooLongAgo => TransactionRejection::VerifiedTooLongAgo.into(),
        OutcomeKind::TransactionTooLarge => TransactionRejection::TooLarge.into(),
    };
    Some(AppendOutcome::Rejected(rejection))
}

#[cfg(test)]
#[path = "tests/appends.rs"]
mod tests;
