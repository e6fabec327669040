//! Admission: room for bytes, and the checks that a batch must pass before it is buffered.
//!
//! Invariants: 12, bytes in flight are bounded; record bytes are not copied, and not decoded except on compacted topics,
//! where every record needs a key.

use std::sync::Arc;

use alluvium_infra::limits;
use alluvium_infra::planted::{self, Bug};
use alluvium_log::{State, Topic, TransactionRejection};
use alluvium_record::TimestampType;
use alluvium_record::batch::{RecordBatch, split_batches};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{AppendError, PartitionAppend};

/// Room for the bytes of one request; dropped when the request is answered.
#[derive(Debug)]
pub struct Permit {
    bytes: usize,
    room: Option<OwnedSemaphorePermit>,
}

impl Permit {
    /// Bytes of the request that it was given for.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Room for so many of the bytes, for what is appended later.
    #[must_use]
    pub fn split_off(&mut self, bytes: usize) -> Self {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        // A request larger than the whole budget has less room than bytes.
        let room = self.room.as_mut().and_then(|room| room.split(bytes.min(room.num_permits())));
        Self { bytes, room }
    }
}

impl Permit {
    /// The permit itself, unless the bug that gives room back too early is planted.
    pub(crate) fn unless_dropped_early(self) -> Self {
        if planted::is(Bug::PermitDroppedEarly) { Self::none() } else { self }
    }

    /// Room for nothing.
    fn none() -> Self {
        Self { bytes: 0, room: None }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Admission {
    bytes: Arc<Semaphore>,
    bytes_max: usize,
}

impl Admission {
    pub(crate) fn new(bytes_max: usize) -> Self {
        let bytes_max = bytes_max.clamp(1, (u32::MAX as usize).min(Semaphore::MAX_PERMITS));
        Self { bytes: Arc::new(Semaphore::new(bytes_max)), bytes_max }
    }

    pub(crate) async fn admit(&self, bytes: usize) -> Permit {
        // A request larger than the whole budget gets all of it, alone.
        let count = bytes.clamp(1, self.bytes_max) as u32;
        Permit { bytes, room: self.bytes.clone().acquire_many_owned(count).await.ok() }
    }

    pub(crate) fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    pub(crate) fn available(&self) -> usize {
        self.bytes.available_permits()
    }
}

/// A batch that passed the checks.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) batch: RecordBatch,
    pub(crate) log_append_time_ms: Option<i64>,
}

/// Checks what a client sent for one partition. A topic that this node does not know is left for the commit to judge, which
/// reads the log to its end before it says no.
pub(crate) fn check(state: &State, append: &PartitionAppend, now_ms: i64) -> Result<Admitted, AppendError> {
    let rules = TopicRules::of(state.topic(append.topic_partition.topic));
    let mut batches = split_batches(append.records.clone())?;
    let (Some(batch), true) = (batches.pop(), batches.is_empty()) else {
        let text = "a produce request carries exactly one record batch for each partition";
        return Err(AppendError::InvalidRecord(text.to_owned()));
    };
    if batch.bytes.len() > rules.message_bytes_max {
        return Err(AppendError::BatchTooLarge { bytes: batch.bytes.len(), bytes_max: rules.message_bytes_max });
    }
    if batch.header.attributes.is_transactional() && append.transaction.is_none() {
        return Err(TransactionRejection::InvalidState { status: None }.into());
    }
    let batch = batch.admitted()?;
    if rules.compacted && !batch.keys_present(limits::DECOMPRESSED_BYTES_MAX)? {
        return Err(AppendError::InvalidRecord("a compacted topic takes no record without a key".to_owned()));
    }
    if rules.timestamp_type == TimestampType::LogAppendTime {
        let batch = batch.with_log_append_time(now_ms);
        return Ok(Admitted { batch, log_append_time_ms: Some(now_ms) });
    }
    rules.check_timestamps(&batch, now_ms)?;
    Ok(Admitted { batch, log_append_time_ms: None })
}

/// What a topic's settings mean for its producers.
struct TopicRules {
    message_bytes_max: usize,
    timestamp_type: TimestampType,
    compacted: bool,
    timestamp_before_ms_max: i64,
    timestamp_after_ms_max: i64,
}

/// Kafka's default of `message.timestamp.after.max.ms` since 4.0: one hour.
const TIMESTAMP_AFTER_MS_MAX: i64 = 60 * 60 * 1000;

impl TopicRules {
    fn of(topic: Option<&Topic>) -> Self {
        let config = |name: &str| topic.and_then(|topic| topic.configs.get(name)).map(String::as_str);
        let number = |name: &str| config(name).and_then(|value| value.parse::<i64>().ok());
        Self {
            message_bytes_max: number("max.message.bytes")
                .and_then(|bytes| usize::try_from(bytes).ok())
                .unwrap_or(limits::MESSAGE_BYTES_MAX),
            timestamp_type: match config("message.timestamp.type") {
                Some("LogAppendTime") => TimestampType::LogAppendTime,
                _ => TimestampType::CreateTime,
            },
            compacted: config("cleanup.policy")
                .is_some_and(|policy| policy.split(',').any(|part| part.trim() == "compact")),
            timestamp_before_ms_max: number("message.timestamp.before.max.ms").unwrap_or(i64::MAX),
            timestamp_after_ms_max: number("message.timestamp.after.max.ms").unwrap_or(TIMESTAMP_AFTER_MS_MAX),
        }
    }

    fn check_timestamps(&self, batch: &RecordBatch, now_ms: i64) -> Result<(), AppendError> {
        let header = &batch.header;
        if header.max_timestamp.saturating_sub(now_ms) > self.timestamp_after_ms_max {
            return Err(AppendError::InvalidTimestamp(format!(
                "{} is more than {} ms after the clock ({now_ms})",
                header.max_timestamp, self.timestamp_after_ms_max
            )));
        }
        if header.max_timestamp >= 0 && now_ms.saturating_sub(header.max_timestamp) > self.timestamp_before_ms_max {
            return Err(AppendError::InvalidTimestamp(format!(
                "{} is more than {} ms before the clock ({now_ms})",
                header.max_timestamp, self.timestamp_before_ms_max
            )));
        }
        Ok(())
    }
}
