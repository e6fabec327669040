//! The log as the bucket holds it, decoded without the product's state: record batches, committed offsets, deletions.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use alluvium_log::format::ENVELOPE_HEADER_BYTES;
use alluvium_log::format::entry::{self, Entry};
use alluvium_log::format::messages::{AppendMessage, OperationKind};
use alluvium_log::format::table_messages::ReplaceRunsMessage;
use alluvium_log::paths::{ClusterPaths, ShardPaths};
use alluvium_record::batch::{RecordBatch, split_batches};
use alluvium_record::{Record, TopicId, TopicPartition};
use bytes::Bytes;
use uuid::Uuid;

use super::durable_transactions::{LogTransaction, TransactionKey};
use crate::history::{History, Microseconds, SlotWritten};
use crate::records::{digest, name_of};

/// A record in the log.
#[derive(Clone, Copy, Debug)]
pub struct LogRecord {
    /// The batch that its value names.
    pub batch: u64,
    /// Its place in the batch.
    pub index: u32,
    /// When its entry became durable.
    pub at_us: Microseconds,
    /// The transaction that it is part of.
    pub transaction: Option<TransactionKey>,
    /// Stands for all that it is.
    pub digest: u64,
    /// Stands for its key.
    pub key: u64,
    /// Whether it has no value.
    pub is_tombstone: bool,
}

/// Runs that became a file, as an entry says it.
#[derive(Clone, Debug)]
pub struct LogReplacement {
    /// The partition.
    pub topic_partition: TopicPartition,
    /// The entry.
    pub entry: u64,
    /// First offset.
    pub base_offset: i64,
    /// Last offset.
    pub last_offset: i64,
    /// Number and sum of the records that were read from batches.
    pub raw: (u64, u128),
    /// Of those that were left out.
    pub removed: (u64, u128),
    /// Of those in the file, if there is one.
    pub file: Option<(u64, u128)>,
    /// Whether keys were compacted.
    pub compacts_keys: bool,
}

/// A batch in the log.
#[derive(Clone, Copy, Debug)]
pub struct LogBatch {
    /// Its partition.
    pub topic_partition: TopicPartition,
    /// Its first offset.
    pub base_offset: i64,
    /// The batch that its records name.
    pub batch: u64,
    /// Its records.
    pub count: i32,
    /// Producer id, epoch and first sequence number.
    pub producer: Option<(i64, i16, i32)>,
    /// The entry.
    pub entry: u64,
    /// The transaction that it is part of.
    pub transaction: Option<TransactionKey>,
}

/// A committed offset in the log.
#[derive(Clone, Debug)]
pub struct LogCommit {
    /// Names the operation that wrote it.
    pub tag: String,
    /// The entry.
    pub entry: u64,
    /// When that became durable.
    pub at_us: Microseconds,
    /// The transaction that it was committed in.
    pub transaction: Option<TransactionKey>,
}

/// What a log says.
#[derive(Clone, Debug, Default)]
pub struct Durable {
    /// Records by offset.
    pub records: BTreeMap<TopicPartition, BTreeMap<i64, LogRecord>>,
    /// Batches in the order of the log.
    pub batches: Vec<LogBatch>,
    /// Runs that became files, in the order of the log.
    pub replacements: Vec<LogReplacement>,
    /// Transactions.
    pub transactions: BTreeMap<TransactionKey, LogTransaction>,
    /// Commits of each group and partition, in the order in which they count.
    pub commits: BTreeMap<(String, TopicPartition), Vec<LogCommit>>,
    pub(super) ids: BTreeMap<String, i64>,
    /// The same for entries in slots that had been collected.
    pub ghosts: Option<Box<Durable>>,
    /// Whether this is what lies in such slots: several of them may have held the same offsets, one after the other.
    is_ghostly: bool,
}

impl Durable {
    /// Decodes the entries of a history.
    ///
    /// # Errors
    /// What cannot be read.
    pub fn read(history: &History, paths: &ClusterPaths) -> Result<Self, String> {
        let mut durable = Self::default();
        let mut ghosts = Self { is_ghostly: true, ..Self::default() };
        for slot in &history.slots {
            let into = if slot.again { &mut ghosts } else { &mut durable };
            into.read_entry(slot, history, &paths.shard(slot.shard))?;
        }
        durable.ghosts = Some(Box::new(ghosts));
        Ok(durable)
    }

    fn read_entry(&mut self, slot: &SlotWritten, history: &History, paths: &ShardPaths) -> Result<(), String> {
        let entry = entry::decode(&slot.bytes).map_err(|error| format!("entry {}: {error}", slot.number))?;
        for operation in &entry.message.operations {
            match &operation.kind {
                Some(OperationKind::Append(append) | OperationKind::TransactionalAppend(append)) => {
                    let bytes = run_bytes(&entry, append, history, paths)
                        .map_err(|problem| format!("entry {}: {problem}", slot.number))?;
                    self.read_run(slot, append, bytes)?;
                }
                Some(OperationKind::CommitOffsets(commit)) => {
                    for offset in &commit.offsets {
                        let topic_partition = partition(&offset.topic, offset.partition)?;
                        let commits = self.commits.entry((commit.group.clone(), topic_partition)).or_default();
                        let (tag, entry, at_us) = (offset.metadata.clone(), slot.number, slot.at_us);
                        commits.push(LogCommit { tag, entry, at_us, transaction: None });
                    }
                }
                Some(OperationKind::ReplaceRuns(message)) => self.replacements.push(replacement(slot, message)?),
                Some(other) => self.read_transaction(slot, other)?,
                None => {}
            }
        }
        Ok(())
    }

    fn read_run(&mut self, slot: &SlotWritten, append: &AppendMessage, bytes: Bytes) -> Result<(), String> {
        let topic_partition = partition(&append.topic, append.partition)?;
        let mut offset = append.base_offset;
        for batch in split_batches(bytes).map_err(|error| format!("entry {}: {error}", slot.number))? {
            let header = &batch.header;
            let transaction = append
                .producer_batches
                .iter()
                .find(|known| append.base_offset + known.offset_delta == offset && known.transaction > 0)
                .map(|known| (known.producer_id, known.transaction));
            if header.attributes.is_transactional() != transaction.is_some() {
                return Err(format!("entry {}: a batch and its run disagree about a transaction", slot.number));
            }
            let number = self.read_batch((topic_partition, offset), &batch, slot.at_us, transaction)?;
            let producer =
                (header.producer_id >= 0).then_some((header.producer_id, header.producer_epoch, header.base_sequence));
            self.batches.push(LogBatch {
                topic_partition,
                base_offset: offset,
                batch: number,
                count: header.record_count,
                producer,
                entry: slot.number,
                transaction,
            });
            if let Some(key) = transaction {
                self.transactions.entry(key).or_default().batches.push(self.batches.len() - 1);
            }
            offset += i64::from(header.record_count);
        }
        if offset == append.base_offset + append.offset_count {
            Ok(())
        } else {
            Err(format!(
                "entry {}: a run counts {} offsets, its batches end at {offset}",
                slot.number, append.offset_count
            ))
        }
    }

    fn read_batch(
        &mut self,
        (topic_partition, base_offset): (TopicPartition, i64),
        batch: &RecordBatch,
        at_us: Microseconds,
        transaction: Option<TransactionKey>,
    ) -> Result<u64, String> {
        let records = batch.records(1 << 20).map_err(|error| error.to_string())?;
        let mut number = 0;
        for (record, offset) in records.into_iter().zip(base_offset..) {
            let (batch, index) = name_of(&record).ok_or("a record that nobody wrote")?;
            number = batch;
            let (digest, key) = (digest(&record), key_of(&record));
            let is_tombstone = record.value.is_none();
            let record = LogRecord { batch, index, at_us, transaction, digest, key, is_tombstone };
            self.put((topic_partition, offset), record)?;
        }
        Ok(number)
    }

    pub(super) fn put(&mut self, at: (TopicPartition, i64), record: LogRecord) -> Result<(), String> {
        let (topic_partition, offset) = at;
        let known = self.records.entry(topic_partition).or_default().insert(offset, record);
        if known.is_some() && !self.is_ghostly {
            return Err(format!("offset {offset} of {topic_partition} was given twice"));
        }
        Ok(())
    }

    /// Numbers of all batches in the log.
    #[must_use]
    pub fn batch_numbers(&self) -> BTreeSet<u64> {
        self.batches.iter().map(|batch| batch.batch).collect()
    }

    /// The places in the log of the commit that an operation wrote: first and last. The network may have doubled it.
    #[must_use]
    pub fn commit_places(&self, group: &str, topic_partition: TopicPartition, tag: &str) -> Option<(usize, usize)> {
        let commits = self.commits.get(&(group.to_owned(), topic_partition))?;
        let first = commits.iter().position(|commit| commit.tag == tag)?;
        let last = commits.iter().rposition(|commit| commit.tag == tag)?;
        Some((first, last))
    }
}

fn key_of(record: &Record) -> u64 {
    let mut hasher = DefaultHasher::new();
    record.key.hash(&mut hasher);
    hasher.finish()
}

fn replacement(slot: &SlotWritten, message: &ReplaceRunsMessage) -> Result<LogReplacement, String> {
    let total = |count: u64, sum: &[u8]| {
        let sum = sum.try_into().map_err(|_| format!("entry {}: a sum of {} bytes", slot.number, sum.len()));
        Ok::<_, String>((count, u128::from_be_bytes(sum?)))
    };
    let file = message.file.as_ref().map(|file| total(file.record_count, &file.sum)).transpose()?;
    Ok(LogReplacement {
        topic_partition: partition(&message.topic, message.partition)?,
        entry: slot.number,
        base_offset: message.base_offset,
        last_offset: message.last_offset,
        raw: total(message.raw_record_count, &message.raw_sum)?,
        removed: total(message.removed_record_count, &message.removed_sum)?,
        file,
        compacts_keys: message.cleaned_to > 0,
    })
}

pub(crate) fn partition(topic: &[u8], partition: i32) -> Result<TopicPartition, String> {
    let id = Uuid::from_slice(topic).map_err(|error| error.to_string())?;
    Ok(TopicPartition { topic: TopicId(id), partition })
}

/// The bytes of a run, from the entry itself or from its segment.
fn run_bytes(entry: &Entry, append: &AppendMessage, history: &History, paths: &ShardPaths) -> Result<Bytes, String> {
    let length = append.length as usize;
    if append.segment == 0 {
        let from = (append.position as usize).checked_sub(ENVELOPE_HEADER_BYTES).ok_or("a run before its data")?;
        return entry
            .data
            .get(from..from + length)
            .map(Bytes::copy_from_slice)
            .ok_or("a run beyond its data".to_owned());
    }
    let reference = entry.message.segments.get(append.segment as usize - 1).ok_or("a segment that is not listed")?;
    let id = Uuid::from_slice(&reference.id).map_err(|error| error.to_string())?;
    let path = paths.segment(id);
    let object = history.segments.get(path.as_str()).ok_or_else(|| format!("{path} does not exist"))?;
    let from = append.position as usize;
    object.get(from..from + length).map(Bytes::copy_from_slice).ok_or_else(|| format!("{path} is too short"))
}
